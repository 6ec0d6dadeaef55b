//! A model that reads byte pairs, under every instrument: each speaks of its pieces, and all agree with the model.

use glasslab::evaluate::evaluate;
use glasslab::prelude::*;

const TEXT: &str = "The café 🦀 was open. The cat ran.";

fn stories() -> Stories {
    Stories::parse(&format!("{TEXT} The dog sat in the café. ").repeat(12)).unwrap()
}

/// A trained transformer, and the tokens that it has learnt from.
fn model() -> (TransformerLm, Tokens) {
    let stories = stories();
    let pairs = BytePair::train(&stories, 280).unwrap();
    let tokens = Tokens::encode(&stories, &pairs).unwrap();
    let config =
        TransformerConfig { n_vocab: pairs.n_vocab(), context_len: 40, n_layers: 2, ..TransformerConfig::small() };
    let mut model = TransformerLm::new(config, Device::Cpu).unwrap().with_tokenizer(&pairs).unwrap();
    let training = TrainConfig { length: Length::Steps(60), context_len: 20, batch_size: 8, ..TrainConfig::default() };
    train(&mut model, &tokens, &tokens, &training).unwrap();
    (model, tokens)
}

#[test]
fn every_instrument_speaks_of_the_models_own_pieces() {
    let (model, tokens) = model();
    let pieces = model.tokenizer().cut(TEXT).unwrap();
    assert!(
        pieces.ids.len() < TEXT.chars().count()
            && pieces.labels.iter().any(|label| label.starts_with('␣') && label.len() > 5)
    );
    assert!(pieces.labels.iter().any(|label| label.contains("\\x")), "a crab is several tokens: {:?}", pieces.labels);

    let trace = model.trace(TEXT).unwrap();
    assert_eq!((&trace.labels, trace.text.as_str(), trace.max_abs_error), (&pieces.labels, TEXT, 0.0));
    assert_eq!(trace.step("ids").unwrap().tensor, Tensor::from_slice(&pieces.ids).unsqueeze(0));
    let said: String = trace.steps.iter().map(|step| format!("{} {}\n", step.formula, step.meaning)).collect();
    assert!(said.contains("which token stands here") && !said.contains("character"), "{said}");
    let last = pieces.ids.len() as i64 - 1;
    let likeliest = trace.step("logits").unwrap().tensor.get(0).get(last - 1).argmax(-1, false).int64_value(&[]);
    let expected = model.tokenizer().label(likeliest).unwrap();
    let bars = trace.next_characters_at(last as usize - 1, 3).unwrap().draw().unwrap();
    assert!(bars.alt.contains("next token after") && bars.alt.contains(&format!("“{expected}”")), "{}", bars.alt);

    let lens = Lens::new(&model, TEXT).unwrap();
    assert_eq!(lens.rows.last().unwrap().predictions[last as usize - 1].0, expected);
    assert!(lens.to_string().contains("nats/token"), "{lens}");

    let heads = HeadPatterns::find(&model, TEXT).unwrap();
    assert!(heads.chars == pieces.ids.len() && heads.to_string().contains("the same token before"), "{heads}");

    let effect = model.ablate(Cut::Head { layer: 0, head: 0 }, TEXT).unwrap();
    assert!(effect.to_string().contains("nats/token") && effect.before.trace.labels == pieces.labels);
    let written = generate(&model, &model.tokenizer(), TEXT, &Sampling { chars: 5, ..Sampling::greedy() }).unwrap();
    assert_eq!(
        effect.before.written.chars().take(5).collect::<String>(),
        written.chars().skip(TEXT.chars().count()).collect::<String>()
    );

    let surprise = Surprise::new(&model, &stories().get(0).unwrap()[..60]).unwrap();
    let same =
        Tokens::encode(&Stories::parse(&stories().get(0).unwrap()[..60]).unwrap(), &tokenizer_of(&model)).unwrap();
    let loss = evaluate(&model, &same).unwrap();
    assert!((surprise.bits_per_char().unwrap() - loss.bits_per_char()).abs() < 1e-4, "{surprise:?} {loss:?}");
    assert!(surprise.html().html.contains("Point at a token"));

    let html = trace.explore().unwrap().html().unwrap().html;
    assert!(html.contains("\"unit\":\"token\"") && html.contains(&pieces.labels[0]));
    let map = EmbeddingMap::tokens(&model.embedding, &model.tokenizer(), &[300 % 280, 65, 260]).unwrap();
    assert_eq!(map.labels[1], "A");
    assert!(map.projection().is_ok() && EmbeddingMap::tokens(&model.embedding, &model.tokenizer(), &[280]).is_err());
    let backward = model.backward(TEXT).unwrap();
    assert!(
        backward.blame("embedded", &[0, 3, 2]).is_ok()
            && backward.by_hand("block.1.attn.scores", &[0, 0, 5, 3]).is_ok()
    );
    assert_eq!(tokens.dropped, 0);
}

fn tokenizer_of(model: &impl LanguageModel) -> AnyTokenizer {
    model.tokenizer()
}

#[test]
fn films_and_watched_trainings_show_the_pieces() {
    let (mut model, tokens) = model();
    let training = TrainConfig { length: Length::Steps(4), context_len: 20, batch_size: 2, ..TrainConfig::default() };
    let mut film = Film::new(TEXT).every(2);
    film.train(&mut model, &tokens, &tokens, &training).unwrap();
    let html = film.html().unwrap().html;
    assert!(html.contains("nats/token on this text") && html.contains("\"unit\":\"token\""));
    let mut learning = Learning::new(TEXT).every(2);
    learning.train(&mut model, &tokens, &tokens, &training).unwrap();
    assert!(learning.film().unwrap().html.contains("nats/token on its batch"));
}
