//! Every mistake of the exercises on training and writing, written as a learner would.

use super::*;
use crate::check::judge::named;
use crate::check::verdict::Outcome;
use crate::generate::{Sampling, generate};
use crate::model::{MlpLm, TransformerLm, wake};
use crate::tokenizer::CharTokenizer;
use tch::Device;

fn rows(ids: &[i64], starts: &[usize], from: usize, length: usize) -> Tensor {
    let rows: Vec<Tensor> = starts.iter().map(|&s| Tensor::from_slice(&ids[s + from..s + from + length])).collect();
    Tensor::stack(&rows, 0)
}

#[test]
fn the_right_ones_are_right() {
    let by_a_flat_list = |ids: &[i64], starts: &[usize], t: usize| {
        let flat = |from: usize| {
            let all: Vec<i64> = starts.iter().flat_map(|&s| ids[s + from..s + from + t].to_vec()).collect();
            Tensor::from_slice(&all).view([starts.len() as i64, t as i64])
        };
        (flat(0), flat(1))
    };
    for verdict in [
        batch(|ids, starts, t| (rows(ids, starts, 0, t), rows(ids, starts, 1, t))),
        batch(by_a_flat_list),
        sgd_step(my_sgd_step),
        write(my_write),
    ] {
        assert!(verdict.is_right(), "{verdict}");
    }
}

#[test]
fn each_mistake_of_batch_is_named() {
    named(batch(|ids, starts, t| (rows(ids, starts, 0, t), rows(ids, starts, 0, t))), "inputs themselves");
    let before = |ids: &[i64], starts: &[usize], t: usize| {
        let earlier: Vec<usize> = starts.iter().map(|s| s - 1).collect();
        (rows(ids, starts, 0, t), rows(ids, &earlier, 0, t))
    };
    named(batch(before), "characters before");
    named(batch(|ids, starts, t| (rows(ids, starts, 0, t), rows(ids, starts, 2, t))), "two places on");
    named(batch(|ids, starts, t| (rows(ids, starts, 1, t), rows(ids, starts, 0, t))), "exchanged");
    named(batch(|ids, starts, t| (rows(ids, starts, 0, t - 1), rows(ids, starts, 1, t - 1))), "T − 1");
    named(batch(|ids, starts, t| (rows(ids, starts, 0, t), rows(ids, starts, 1, t - 1))), "one shorter");
    let first =
        |ids: &[i64], starts: &[usize], t: usize| (rows(ids, &starts[..1], 0, t), rows(ids, &starts[..1], 1, t));
    named(batch(first), "first start only");
    let same = |ids: &[i64], starts: &[usize], t: usize| {
        let starts = vec![starts[0]; starts.len()];
        (rows(ids, &starts, 0, t), rows(ids, &starts, 1, t))
    };
    named(batch(same), "every row begins");
    named(batch(|ids, starts, t| (rows(ids, starts, 0, t).tr(), rows(ids, starts, 1, t).tr())), "turned around");
}

/// As it stands in the hint.
fn my_sgd_step(parameters: &mut [Tensor], loss: &Tensor, lr: f64) {
    for p in parameters.iter_mut() {
        p.zero_grad();
    }
    loss.backward();
    tch::no_grad(|| {
        for p in parameters.iter_mut() {
            let gradient = p.grad();
            *p -= gradient * lr;
        }
    });
}

/// The same with another last line.
fn stepped(change: impl Fn(&mut Tensor, Tensor, f64)) -> Verdict {
    sgd_step(|parameters, loss, lr| {
        parameters.iter_mut().for_each(Tensor::zero_grad);
        loss.backward();
        tch::no_grad(|| {
            for p in parameters.iter_mut() {
                let gradient = p.grad();
                change(p, gradient, lr);
            }
        });
    })
}

#[test]
fn each_mistake_of_sgd_step_is_named() {
    let not_zeroed = |parameters: &mut [Tensor], loss: &Tensor, lr: f64| {
        loss.backward();
        tch::no_grad(|| parameters.iter_mut().for_each(|p| *p -= p.grad() * lr));
    };
    named(sgd_step(not_zeroed), "not zeroed");
    named(stepped(|p, gradient, lr| *p += gradient * lr), "uphill");
    named(stepped(|p, gradient, _| *p -= gradient), "forgot the learning rate");
    named(stepped(|p, gradient, lr| *p = &*p - gradient * lr), "new tensors");
    named(stepped(|_, _, _| ()), "no parameter has changed");
    let too_late = |parameters: &mut [Tensor], loss: &Tensor, lr: f64| {
        parameters.iter_mut().for_each(Tensor::zero_grad);
        tch::no_grad(|| parameters[..1].iter_mut().for_each(|p| *p -= p.grad() * lr));
        loss.backward();
    };
    named(sgd_step(too_late), "no parameter has changed");
    named(stepped(|p, gradient, lr| *p -= gradient / lr), "divided by");
    named(stepped(|p, gradient, lr| *p -= &gradient / gradient.norm() * lr), "one unit long");
    named(stepped(|p, gradient, lr| *p -= gradient.sign() * lr), "sign of each");
    named(sgd_step(|parameters, loss, lr| my_sgd_step(&mut parameters[..1], loss, lr)), "only the first");
}

#[test]
fn what_libtorch_says_of_a_step_is_explained_and_gradients_stay_as_they_were() {
    let recorded = |parameters: &mut [Tensor], loss: &Tensor, lr: f64| {
        parameters.iter_mut().for_each(Tensor::zero_grad);
        loss.backward();
        parameters.iter_mut().for_each(|p| *p -= p.grad() * lr);
    };
    let said = sgd_step(recorded).to_string();
    assert!(said.contains("stopped with") && said.contains("tch::no_grad(|| { … })"), "{said}");
    let early = |parameters: &mut [Tensor], _: &Tensor, lr: f64| {
        tch::no_grad(|| parameters.iter_mut().for_each(|p| *p -= p.grad() * lr));
    };
    let said = sgd_step(early).to_string();
    assert!(said.contains("loss.backward() comes first"), "{said}");
    let twice = |_: &mut [Tensor], loss: &Tensor, _: f64| {
        loss.backward();
        loss.backward();
    };
    let said = sgd_step(twice).to_string();
    assert!(said.contains("one time"), "{said}");
    let x = Tensor::from_slice(&[2.0]).set_requires_grad(true);
    assert!((&x * 2.0).requires_grad(), "a function that stopped inside no_grad leaves gradients on");
}

/// As it stands in the hints.
fn my_write(model: &dyn LanguageModel, prompt: &[i64], chars: usize, temperature: f64, rng: &mut Rng) -> Vec<i64> {
    let mut ids = prompt.to_vec();
    for _ in 0..chars {
        let seen = &ids[ids.len().saturating_sub(model.context_len() as usize)..];
        let logits = model.logits(&Tensor::from_slice(seen).unsqueeze(0)).unwrap();
        let probabilities = (logits.select(1, -1) / temperature).softmax(-1, Kind::Double);
        ids.push(rng.draw(&probabilities));
    }
    ids
}

/// The loop with another way of choosing, from the logits (T, V).
fn chosen(choose: impl Fn(&Tensor, f64, &mut Rng) -> i64) -> Verdict {
    write(|model, prompt, chars, temperature, rng| {
        let mut ids = prompt.to_vec();
        for _ in 0..chars {
            let seen = &ids[ids.len().saturating_sub(model.context_len() as usize)..];
            let logits = model.logits(&Tensor::from_slice(seen).unsqueeze(0)).unwrap().squeeze_dim(0);
            ids.push(choose(&logits, temperature, rng));
        }
        ids
    })
}

fn soft(x: Tensor) -> Tensor {
    x.softmax(-1, Kind::Float)
}

#[test]
fn each_mistake_of_write_is_named() {
    named(chosen(|x, _, _| x.get(-1).argmax(-1, false).int64_value(&[])), "likeliest");
    named(chosen(|x, t, rng| rng.draw(&soft(x.get(0) / t))), "first place");
    named(chosen(|x, _, rng| rng.draw(&soft(x.get(-1)))), "did not use the temperature");
    named(chosen(|x, t, rng| rng.draw(&soft(x.get(-1) * t))), "multiplied");
    named(chosen(|x, t, rng| rng.draw(&(x.get(-1) / t))), "drew from the scores");
    named(write(|m, prompt, n, t, rng| my_write(m, prompt, n, t, rng)[prompt.len()..].to_vec()), "prompt is missing");
    let not_appended = |model: &dyn LanguageModel, prompt: &[i64], n: usize, t: f64, rng: &mut Rng| {
        let drawn = (0..n).map(|_| my_write(model, prompt, 1, t, rng)[prompt.len()]);
        [prompt.to_vec(), drawn.collect()].concat()
    };
    named(write(not_appended), "always asked about the prompt");
    let repeated = |model: &dyn LanguageModel, prompt: &[i64], n: usize, t: f64, rng: &mut Rng| {
        let id = my_write(model, prompt, 1, t, rng)[prompt.len()];
        [prompt.to_vec(), vec![id; n]].concat()
    };
    named(write(repeated), "drew once");
    let short = |model: &dyn LanguageModel, prompt: &[i64], n: usize, t: f64, rng: &mut Rng| {
        let mut ids = prompt.to_vec();
        for _ in 0..n {
            let last = my_write(model, &ids[ids.len() - 1..], 1, t, rng)[1];
            ids.push(last);
        }
        ids
    };
    named(write(short), "last character only");
}

#[test]
fn a_text_that_outgrows_the_context_is_told_to_be_cut() {
    let uncut = |model: &dyn LanguageModel, prompt: &[i64], chars: usize, temperature: f64, rng: &mut Rng| {
        let mut ids = prompt.to_vec();
        for _ in 0..chars {
            let logits = model.logits(&Tensor::from_slice(&ids).unsqueeze(0)).unwrap();
            ids.push(rng.draw(&(logits.select(1, -1) / temperature).softmax(-1, Kind::Double)));
        }
        ids
    };
    let said = write(uncut).to_string();
    assert!(said.contains("last model.context_len() ids only"), "{said}");
}

#[test]
fn the_learners_loop_writes_the_text_of_generate() {
    let tokenizer = CharTokenizer::default();
    let mlp = wake(MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap(), 0.3);
    let original = TransformerConfig { context_len: 64, ..TransformerConfig::original() };
    let transformer = wake(TransformerLm::new(original, Device::Cpu).unwrap(), 0.3);
    let written = |model: &dyn LanguageModel, chars: usize, seed: u64| {
        let ids = my_write(model, &tokenizer.encode("Once upon"), chars, 0.8, &mut Rng::new(seed));
        tokenizer.decode(&ids).unwrap()
    };
    for seed in [0, 7] {
        let sampling = |chars| Sampling { chars, temperature: 0.8, seed, ..Sampling::default() };
        assert_eq!(written(&mlp, 200, seed), generate(&mlp, &tokenizer, "Once upon", &sampling(200)).unwrap());
        // To the end of its context: beyond it, generate drops a quarter at once, so that it has to read less anew.
        let room = 64 - "Once upon".len() + 1;
        assert_eq!(
            written(&transformer, room, seed),
            generate(&transformer, &tokenizer, "Once upon", &sampling(room)).unwrap()
        );
    }
}

#[test]
fn unwritten_and_misshapen_ones_get_a_verdict() {
    for verdict in [batch(|_, _, _| todo!()), sgd_step(|_, _, _| todo!()), write(|_, _, _, _, _| todo!())] {
        assert_eq!(verdict.outcome, Outcome::NotWritten);
    }
    let said = batch(|ids, starts, t| (rows(ids, starts, 0, t).view([-1]), rows(ids, starts, 1, t))).to_string();
    assert!(said.contains("first of the two") && said.contains("expected: shape (2, 3)"), "{said}");
    assert!(write(|_, prompt, _, _, _| prompt.to_vec()).to_string().contains("got:"));
}
