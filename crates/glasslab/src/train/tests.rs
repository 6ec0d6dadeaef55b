use super::*;
use crate::data::Stories;
use crate::model::{MlpConfig, MlpLm, Ngrams, TransformerConfig, TransformerLm};
use crate::tokenizer::{BytePair, CharTokenizer};
use tch::Device;

fn tokens(text: &str) -> Tokens {
    Tokens::encode(&Stories::parse(text).unwrap(), &CharTokenizer::default()).unwrap()
}

fn small() -> TrainConfig {
    TrainConfig {
        length: Length::Steps(60),
        batch_size: 4,
        context_len: 8,
        lr: 0.02,
        seed: 3,
        reports: 2,
        ..TrainConfig::default()
    }
}

fn trained(config: &TrainConfig) -> Result<(MlpLm, History)> {
    let tokens = tokens("abcabcabcabcabcabc");
    let mut model = MlpLm::new(MlpConfig::original(), Device::Cpu)?;
    let history = train(&mut model, &tokens, &tokens, config)?;
    Ok((model, history))
}

#[test]
fn a_text_with_one_follower_for_each_character_is_learnt_by_heart() {
    let (_, history) = trained(&small()).unwrap();
    assert!((history.points[0].train - 256_f64.ln()).abs() < 0.2, "{history:?}");
    assert!(history.held_out().unwrap() < 0.05, "{history:?}");
}

#[test]
fn rows_for_groups_learn_what_one_character_does_not_tell() {
    // After an a comes an a or a b: the character before tells which. No block, so nothing looks back.
    let tokens = tokens(&"aab".repeat(20));
    let loss = |ngrams| {
        let config = TransformerConfig { n_layers: 0, ngrams, ..TransformerConfig::small() };
        let mut model = TransformerLm::new(config, Device::Cpu).unwrap();
        train(&mut model, &tokens, &tokens, &small()).unwrap().held_out().unwrap()
    };
    let (without, with) = (loss(None), loss(Some(Ngrams { longest: 2, rows: 1000 })));
    assert!(without > 0.4 && with < 0.1, "{without} and {with}");
}

#[test]
fn one_seed_gives_one_course() {
    let losses = |config: &TrainConfig| -> Vec<f64> {
        trained(config).unwrap().1.points.iter().map(|point| point.train).collect()
    };
    assert_eq!(losses(&small()), losses(&small()));
    assert_ne!(losses(&small()), losses(&TrainConfig { seed: 4, ..small() }));
}

#[test]
fn a_loss_out_of_range_stops_with_what_to_do() {
    let message = trained(&TrainConfig { lr: 1e30, ..small() }).unwrap_err().to_string();
    assert!(message.contains("smaller learning rate"), "{message}");
}

#[test]
fn a_training_by_the_clock_ends_with_it() {
    let (_, history) = trained(&TrainConfig { length: Length::Seconds(0.3), ..small() }).unwrap();
    let last = history.points.last().unwrap();
    assert!(last.seconds >= 0.3 && last.held_out.is_some(), "{last:?}");
    assert!(last.step > 10, "{last:?}");
}

const TEXT: &str = "Once upon a time, there was a little girl named Lily. She had a red ball.";

fn tiny() -> TransformerLm {
    let config = TransformerConfig {
        emb_dim: 32,
        n_layers: 1,
        n_heads: 2,
        n_kv_heads: 2,
        head_dim: 16,
        n_hidden: 64,
        ..TransformerConfig::small()
    };
    TransformerLm::new(config, Device::Cpu).unwrap()
}

fn for_tiny() -> TrainConfig {
    TrainConfig { length: Length::Steps(60), batch_size: 8, context_len: 32, lr: 0.004, ..TrainConfig::default() }
}

const ALL: [OptimiserKind; 4] =
    [OptimiserKind::Muon, OptimiserKind::Adamw, OptimiserKind::Momentum, OptimiserKind::Sgd];

#[test]
fn a_history_is_per_character_whatever_the_tokens_are() {
    let stories = Stories::parse(&TEXT.repeat(3)).unwrap();
    let tokenizer = BytePair::train(&stories, 280).unwrap();
    let tokens = Tokens::encode(&stories, &tokenizer).unwrap();
    let width = tokens.chars_per_token();
    assert!(width > 1.2, "{width}");
    let mut model = TransformerLm::new(TransformerConfig { n_vocab: 280, ..tiny().config }, Device::Cpu).unwrap();
    let config = TrainConfig { length: Length::Steps(4), context_len: 8, keep_best: false, ..for_tiny() };
    let history = train(&mut model, &tokens, &tokens, &config).unwrap();
    let loss = crate::evaluate::evaluate(&model, &tokens).unwrap();
    assert!((history.held_out().unwrap() - loss.nats_per_char).abs() < 1e-6, "{loss}");
    let guessing = 280_f64.ln() / width;
    assert!((history.guessing.unwrap() - guessing).abs() < 1e-12);
    // A new model guesses.
    assert!((history.points[0].train - guessing).abs() < 0.05 * guessing, "{:?}", history.points[0]);
    assert_eq!(history.points[0].chars, (8.0 * 8.0 * width).round() as usize);
}

#[test]
fn what_is_counted_per_token_says_so() {
    let stories = Stories::parse(&TEXT.repeat(3)).unwrap();
    let tokenizer = BytePair::train(&stories, 280).unwrap();
    let tokens = Tokens::encode(&stories, &tokenizer).unwrap();
    let sizes = TransformerConfig { n_vocab: 280, ..tiny().config };
    let mut model = TransformerLm::new(sizes, Device::Cpu).unwrap().with_tokenizer(tokenizer).unwrap();
    let config = TrainConfig { length: Length::Steps(4), context_len: 8, keep_best: false, ..for_tiny() };
    let downhill = Downhill::from(&model, &tokens, &config).unwrap().to_string();
    let small = LandscapeConfig { points: 2, chars: 20, ..LandscapeConfig::default() };
    let landscape = Landscape::around(&model, &tokens, &small).unwrap().to_string();
    let mut steps = StepByStep::new(&mut model, &tokens, &config).unwrap();
    let step = steps.next(&mut model).unwrap();
    let all = [step.to_string(), downhill, landscape];
    assert!(all.iter().all(|told| told.contains("nats/token") && !told.contains("nats/char")), "{all:?}");
    assert!(all[2].contains("tokens: from"), "{}", all[2]);
    // A history is per character, and so is the loss of guessing beside it.
    let history = steps.history();
    assert_eq!(history.chars_per_token, tokens.chars_per_token());
    assert!(steps.to_string().contains("nats/char"));
}

#[test]
fn a_transformer_overfits_one_text() {
    let tokens = tokens(TEXT);
    for optimiser in [OptimiserKind::Muon, OptimiserKind::Adamw] {
        let config = TrainConfig { length: Length::Steps(150), optimiser, lr: 0.006, ..for_tiny() };
        let history = train(&mut tiny(), &tokens, &tokens, &config).unwrap();
        assert!(history.points.last().unwrap().train < 0.5, "{optimiser:?}: {:?}", history.points.last());
    }
}

fn without_seconds(history: &History) -> Vec<Point> {
    history.points.iter().map(|point| Point { seconds: 0.0, ..*point }).collect()
}

#[test]
fn a_resumed_training_is_the_uninterrupted_one_to_the_bit() {
    let tokens = tokens(TEXT);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.training");
    // Each of 60 steps is a point of the history, and of 600 each third.
    for (optimiser, steps, step) in ALL.map(|each| (each, 60, 31)).into_iter().chain([(OptimiserKind::Adamw, 600, 302)])
    {
        let length = Length::Steps(steps);
        let config = TrainConfig { autosave: Some(path.clone()), optimiser, length, ..for_tiny() };
        let mut whole = tiny();
        let uninterrupted = train(&mut whole, &tokens, &tokens, &config).unwrap();
        let stop_at = |step| {
            move |moment: Moment<'_>| match moment.step == step {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let stopped = train_with(&mut tiny(), &tokens, &tokens, &config, stop_at(step)).unwrap();
        assert!(stopped.stopped && stopped.points.last().unwrap().step == step);
        let mut model = tiny();
        let resumed = resume(&mut model, &tokens, &tokens, &path).unwrap();
        assert_eq!(without_seconds(&resumed), without_seconds(&uninterrupted), "{optimiser:?}");
        assert!(!resumed.stopped);
        for (one, other) in model.parameters().iter().zip(whole.parameters()) {
            assert_eq!(one.tensor, other.tensor, "{}", one.name);
        }
    }
}

#[test]
fn a_stopped_training_is_measured_where_it_stopped_and_the_model_is_that() {
    let text = tokens(TEXT);
    let config = TrainConfig { length: Length::Steps(100), reports: 2, ..for_tiny() };
    for at in [1, 70] {
        let stop = |moment: Moment<'_>| match moment.step == at {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let mut model = tiny();
        let history = train_with(&mut model, &text, &text, &config, stop).unwrap();
        let loss = crate::evaluate::evaluate(&model, &text).unwrap().nats_per_char;
        assert_eq!((history.kept_step, history.points.len()), (None, at), "{:?}", history.ending());
        assert!((history.held_out().unwrap() - loss).abs() < 1e-6, "{loss} is not {:?}", history.held_out());
    }
}

#[test]
fn the_time_of_trainings_before_is_counted_once_and_survives_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let (text, path) = (tokens(TEXT), folder.path().join("state.training"));
    let config = TrainConfig { length: Length::Steps(6), autosave: Some(path.clone()), ..for_tiny() };
    let stop = |moment: Moment<'_>| match moment.step == 3 {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let mut first = tiny();
    train_with(&mut first, &text, &text, &config, stop).unwrap();
    resume(&mut first, &text, &text, &path).unwrap();
    let before = first.trained().unwrap().clone();
    assert_eq!((before.steps, before.earlier_seconds), (6, 0.0), "its own seconds are no earlier ones");
    train_with(&mut first, &text, &text, &config, stop).unwrap();
    let mut anew = tiny();
    resume(&mut anew, &text, &text, &path).unwrap();
    assert_eq!(anew.trained().unwrap().earlier_seconds, before.seconds, "those of the training before are");
}

#[test]
fn a_state_of_another_training_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.training");
    let text = tokens(TEXT);
    let config = TrainConfig { length: Length::Steps(2), autosave: Some(path.clone()), ..for_tiny() };
    let _ = train(&mut tiny(), &text, &text, &config).unwrap();
    let refused = |path: &Path, model: &mut TransformerLm, data: &Tokens| {
        resume(model, data, data, path).unwrap_err().to_string()
    };
    let mut larger = TransformerLm::new(TransformerConfig::small(), Device::Cpu).unwrap();
    let message = refused(&path, &mut larger, &text);
    assert!(message.contains("emb_dim is 96 and was 32") && !message.contains("seed"), "{message}");
    // Of the same length, but for one letter the same.
    for other in [TEXT.repeat(2), TEXT.replace("Lily", "Lila")] {
        let message = refused(&path, &mut tiny(), &tokens(&other));
        assert!(message.contains("learnt from another text"), "{message}");
    }
    let message = resume(&mut tiny(), &text, &tokens("Another one."), &path).unwrap_err().to_string();
    assert!(message.contains("another held-out text"), "{message}");
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 9, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(refused(&path, &mut tiny(), &text).contains("no whole safetensors"));
    }
    assert!(refused(&folder.path().join("none"), &mut tiny(), &text).contains("none"));
}

/// A training of two steps, and the file that holds it.
fn kept(folder: &Path) -> (Tokens, std::path::PathBuf) {
    let (text, path) = (tokens(TEXT), folder.join("state.training"));
    let config = TrainConfig { length: Length::Steps(2), autosave: Some(path.clone()), ..for_tiny() };
    train(&mut tiny(), &text, &text, &config).unwrap();
    (text, path)
}

#[test]
fn where_going_on_is_refused_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (text, path) = kept(folder.path());
    let whole = crate::model::file::read_tensors(&path).unwrap();
    let values = |model: &TransformerLm| -> Vec<tch::Tensor> {
        model.parameters().into_iter().map(|one| one.tensor.detach().copy()).collect()
    };
    let mut model = tiny();
    let before = values(&model);
    // Whatever is missing, be it the last that is looked for.
    for (missing, _) in &whole {
        let part = whole.iter().filter(|(name, _)| name != missing);
        let part = part.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        crate::model::file::write_tensors(&path, part, None).unwrap();
        let message = resume(&mut model, &text, &text, &path).unwrap_err().to_string();
        assert!(message.contains(missing.as_str()), "{missing}: {message}");
        assert_eq!(values(&model), before, "{missing}");
    }
}

#[test]
fn a_training_goes_on_with_other_settings_where_that_makes_sense() {
    let folder = tempfile::tempdir().unwrap();
    let (text, path) = kept(folder.path());
    let read = || SavedTraining::read(folder.path()).unwrap();
    assert_eq!((read().step(), read().model()), (2, tiny().settings()));
    let usual = read().config().clone();
    let with = |config: TrainConfig| read().with(&config);
    // It has ended, and is given more steps, and another learning rate.
    let longer = TrainConfig { length: Length::Steps(5), lr: 0.001, ..usual.clone() };
    assert_eq!(read().changes(&longer), "length is {\"steps\":5} and was {\"steps\":2}, lr is 0.001 and was 0.004");
    assert_eq!(read().changes(&usual), "");
    let history = with(longer).unwrap().resume(&mut tiny(), &text, &text).unwrap();
    assert_eq!(history.points.last().unwrap().step, 5);
    let kept = SavedTraining::read(&path).unwrap();
    assert_eq!((kept.step(), kept.config().lr), (5, 0.001));
    for (named, config) in [
        ("batch_size is 9 and was 8", TrainConfig { batch_size: 9, ..usual.clone() }),
        ("context_len is 16 and was 32", TrainConfig { context_len: 16, ..usual.clone() }),
        ("seed is 7 and was 0", TrainConfig { seed: 7, ..usual.clone() }),
        ("optimiser is \"sgd\" and was", TrainConfig { optimiser: OptimiserKind::Sgd, ..usual.clone() }),
        ("done 5 steps", TrainConfig { length: Length::Steps(4), ..usual.clone() }),
        ("lr must be above 0", TrainConfig { lr: -1.0, ..usual.clone() }),
    ] {
        let message = with(config).unwrap_err().to_string();
        assert!(message.contains(named), "{named}: {message}");
    }
}

#[test]
fn a_state_of_an_older_version_is_still_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let (text, path) = kept(folder.path());
    let mut tensors = crate::model::file::read_tensors(&path).unwrap();
    let json = tensors.iter_mut().find(|(name, _)| name == "state.json").unwrap();
    let mut state: serde_json::Value = serde_json::from_slice(&Vec::<u8>::try_from(&json.1).unwrap()).unwrap();
    let fields = state.as_object_mut().unwrap();
    assert!(fields.remove("texts").is_some() && fields.remove("model").is_some());
    assert!(fields["history"].as_object_mut().unwrap().remove("guessing").is_some());
    fields["config"]["length"]["steps"] = 4.into();
    json.1 = tch::Tensor::from_slice(state.to_string().as_bytes());
    crate::model::file::write_tensors(&path, tensors, None).unwrap();
    let history = resume(&mut tiny(), &text, &text, &path).unwrap();
    assert_eq!(history.points.last().unwrap().step, 4);
}

#[test]
fn a_state_that_can_t_be_kept_ends_no_training() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").unwrap();
    let config = TrainConfig { autosave: Some(file.join("state.training")), ..small() };
    let tokens = tokens("abcabcabcabcabcabc");
    let mut model = MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap();
    let mut told = 0;
    let history = train_with(&mut model, &tokens, &tokens, &config, |moment| {
        told += usize::from(moment.trouble.is_some());
        assert!(moment.kept.is_none());
        ControlFlow::Continue(())
    });
    let history = history.unwrap();
    assert!(history.points.last().unwrap().step == 60 && told == 2, "{told}");
    assert!(history.ending().unwrap().contains("could not be kept"), "{:?}", history.ending());
}

#[test]
fn a_model_that_ends_worse_than_guessing_is_told_with_what_to_do() {
    let (text, config) = (tokens(TEXT), TrainConfig { lr: 1e4, ..small() });
    let mut model = MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap();
    let history = train(&mut model, &text, &text, &config).unwrap();
    assert!(history.is_worse_than_guessing(), "{history:?}");
    let ending = history.ending().unwrap();
    assert!(ending.contains("worse than guessing") && ending.contains("smaller learning rate"), "{ending}");
    let (_, history) = trained(&TrainConfig { length: Length::Steps(1), ..small() }).unwrap();
    assert!(!history.is_worse_than_guessing(), "a model that has hardly begun guesses");
    // Learnt by heart, and measured on what is all other.
    let (one, other) = (tokens(&"ab".repeat(40)), tokens(&"ba<|endoftext|>cc<|endoftext|>dd".repeat(9)));
    let mut model = MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap();
    let config = TrainConfig { keep_best: false, length: Length::Steps(300), ..small() };
    let ending = train(&mut model, &one, &other, &config).unwrap().ending().unwrap();
    assert!(ending.contains("worse than guessing") && ending.contains("not like the held-out"), "{ending}");
}

#[test]
fn a_held_out_text_that_can_t_be_measured_is_told_before_the_first_step() {
    let text = tokens(TEXT);
    let narrow = MlpConfig { n_vocab: 100, ..MlpConfig::original() };
    for (config, held_out, why) in
        [(MlpConfig::original(), "x<|endoftext|>y", "longer held-out text"), (narrow, TEXT, "the model's tokenizer")]
    {
        let mut steps = 0;
        let mut model = MlpLm::new(config, Device::Cpu).unwrap();
        let result = train_with(&mut model, &text, &tokens(held_out), &small(), |_| {
            steps += 1;
            ControlFlow::Continue(())
        });
        let message = result.unwrap_err().to_string();
        assert!(message.contains(why) && steps == 0, "{message}, after {steps} steps");
    }
}

#[test]
fn after_a_loss_out_of_range_the_model_has_its_best_parameters_and_the_state_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.training");
    let text = tokens(TEXT);
    let config = TrainConfig { length: Length::Steps(40), autosave: Some(path.clone()), ..for_tiny() };
    let mut model = tiny();
    let mut kept = f64::NAN;
    // Half-way, a parameter becomes NaN, as a batch or a too large step might make it.
    let broken = model.blocks[0].mlp.hidden_weight.shallow_clone();
    let error = train_with(&mut model, &text, &text, &config, |moment| {
        kept = moment.history.held_out().unwrap_or(kept);
        if moment.step == 22 {
            let _guard = tch::no_grad_guard();
            let _ = broken.detach().fill_(f64::NAN);
        }
        ControlFlow::Continue(())
    });
    let message = error.unwrap_err().to_string();
    assert!(message.contains("state.training") && message.contains("smaller learning rate"), "{message}");
    let loss = crate::evaluate::evaluate(&model, &text).unwrap().nats_per_char;
    assert!((loss - kept).abs() < 1e-4, "{loss} is not the last good {kept}");
}

#[test]
fn parameters_that_the_last_step_has_broken_are_not_what_the_model_ends_with() {
    let text = tokens(TEXT);
    struct Breaking(TransformerLm);
    impl crate::model::LanguageModel for Breaking {
        fn logits(&self, ids: &tch::Tensor) -> Result<tch::Tensor> {
            self.0.logits(ids)
        }
        fn loss(&self, ids: &tch::Tensor, targets: &tch::Tensor) -> Result<tch::Tensor> {
            // A loss that is finite, and whose gradient is not.
            let zero = self.0.logits(ids)?.f_sum(tch::Kind::Float)?.f_mul_scalar(0.0)?;
            Ok(self.0.loss(ids, targets)?.f_add(&zero.f_sqrt()?)?)
        }
        fn n_vocab(&self) -> i64 {
            self.0.n_vocab()
        }
        fn context_len(&self) -> i64 {
            self.0.context_len()
        }
        fn max_len(&self) -> Option<i64> {
            self.0.max_len()
        }
        fn device(&self) -> Device {
            Device::Cpu
        }
    }
    impl crate::model::Trainable for Breaking {
        fn parameters(&self) -> Vec<crate::model::Parameter> {
            self.0.parameters()
        }
    }
    let mut model = Breaking(tiny());
    let config = TrainConfig { length: Length::Steps(1), ..for_tiny() };
    let error = train(&mut model, &text, &text, &config).unwrap_err();
    assert!(matches!(error, crate::Error::NonFinite { .. }), "{error}");
    assert!(crate::evaluate::evaluate(&model, &text).is_ok(), "the parameters are those of the start");
}

#[test]
fn a_model_that_learns_by_heart_is_kept_where_it_was_best() {
    let (train_text, other) =
        (tokens(TEXT), tokens("A quick brown fox jumps over the lazy dog, and the cow over the moon."));
    let config = TrainConfig { length: Length::Steps(200), reports: 20, ..for_tiny() };
    let mut model = tiny();
    let history = train(&mut model, &train_text, &other, &config).unwrap();
    let lowest = history.points.iter().filter_map(|point| point.held_out).fold(f64::INFINITY, f64::min);
    assert!(history.kept_step.is_some_and(|step| step < 200), "{:?}", history.kept_step);
    assert_eq!(history.held_out(), Some(lowest));
    let measured = crate::evaluate::evaluate(&model, &other).unwrap().nats_per_char;
    assert!((measured - lowest).abs() < 1e-5, "{measured} is not {lowest}");
    let last = TrainConfig { keep_best: false, ..config };
    assert!(train(&mut tiny(), &train_text, &other, &last).unwrap().held_out().unwrap() > lowest);
}

#[test]
fn a_short_training_measures_little_on_its_way_and_the_rest_at_its_end() {
    use std::cell::Cell;
    /// Counts how many tokens it reads without learning.
    struct Counting(TransformerLm, Cell<usize>);
    impl crate::model::LanguageModel for Counting {
        fn logits(&self, ids: &tch::Tensor) -> Result<tch::Tensor> {
            self.1.set(self.1.get() + ids.numel());
            self.0.logits(ids)
        }
        fn loss(&self, ids: &tch::Tensor, targets: &tch::Tensor) -> Result<tch::Tensor> {
            self.0.loss(ids, targets)
        }
        fn n_vocab(&self) -> i64 {
            self.0.n_vocab()
        }
        fn context_len(&self) -> i64 {
            self.0.context_len()
        }
        fn max_len(&self) -> Option<i64> {
            self.0.max_len()
        }
        fn device(&self) -> Device {
            Device::Cpu
        }
    }
    impl crate::model::Trainable for Counting {
        fn parameters(&self) -> Vec<crate::model::Parameter> {
            self.0.parameters()
        }
    }
    let (text, held_out) = (tokens(TEXT), tokens(&TEXT.repeat(100)));
    let config = TrainConfig { length: Length::Steps(10), reports: 5, ..for_tiny() };
    let mut model = Counting(tiny(), Cell::new(0));
    let mut read = Vec::new();
    let history = train_with(&mut model, &text, &held_out, &config, |moment| {
        if moment.report {
            read.push(moment.history.at_end.is_some());
        }
        ControlFlow::Continue(())
    });
    let history = history.unwrap();
    assert_eq!(read, [false, false, false, false, true]);
    // Each is read twice at most, 2,000 at each report; at the end all.
    let at_most = 2 * (5 * 2_000 + held_out.len()) + 1000;
    assert!(model.1.get() < at_most, "{} tokens were read, not below {at_most}", model.1.get());
    let loss = crate::evaluate::evaluate(&model, &held_out).unwrap().nats_per_char;
    assert!((history.held_out().unwrap() - loss).abs() < 1e-6, "{loss}");
    assert!(history.line(1.0).contains(&format!("held-out {loss:.3}")), "{}", history.line(1.0));
    // Taken up after its end, it has the same to tell; and longer, it measures as little as before.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.training");
    let config = TrainConfig { autosave: Some(path.clone()), ..config };
    let ended = train(&mut tiny(), &text, &held_out, &config).unwrap();
    assert_eq!(resume(&mut tiny(), &text, &held_out, &path).unwrap().held_out(), ended.held_out());
    let longer = TrainConfig { length: Length::Steps(2000), ..config };
    let kept = SavedTraining::read(&path).unwrap().with(&longer).unwrap();
    let mut model = Counting(tiny(), Cell::new(0));
    let mut read = 0;
    let watch = |moment: Moment<'_>| {
        read += usize::from(moment.report);
        if moment.step < 900 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    kept.resume_with(&mut model, &text, &held_out, watch).unwrap();
    let at_most = 2 * ((read + 1) * 2_000 + 2 * held_out.len()) + 2000;
    assert!(read == 2 && model.1.get() < at_most, "{read} reports, {} tokens, not below {at_most}", model.1.get());
}

#[test]
fn parameters_that_are_the_best_by_chance_are_not_kept() {
    // The first 2,000 tokens are like nothing learnt, and the loss on them rises; on the rest it falls.
    let (text, held_out) = (tokens(TEXT), tokens(&format!("{}<|endoftext|>{}", "zq".repeat(1000), TEXT.repeat(200))));
    let config = TrainConfig { length: Length::Steps(60), reports: 4, ..for_tiny() };
    let mut model = tiny();
    let history = train(&mut model, &text, &held_out, &config).unwrap();
    let on_the_way: Vec<f64> = history.points.iter().filter_map(|point| point.held_out).collect();
    assert!(on_the_way.first() < on_the_way.last(), "{on_the_way:?}");
    assert_eq!(history.kept_step, None);
    let words = history.curve().draw().unwrap().alt;
    assert!(!words.contains("by heart"), "{words}");
    let loss = crate::evaluate::evaluate(&model, &held_out).unwrap().nats_per_char;
    assert!((history.held_out().unwrap() - loss).abs() < 1e-6, "{loss} is not {:?}", history.held_out());
}
