//! The whole transformer as a learner writes it, and every mistake with it.

use super::*;
use crate::check::{self, judge::named};
use crate::model::{Mine, Sizes, Trainable, count_parameters, cross_entropy};

/// A step's name, its numbers, the steps before → what the learner has written instead, if it is this step.
type Slip = fn(&str, &Tensor, &Recording) -> Option<Tensor>;

/// A learner's transformer with a slip in it. `names` says whether its steps have names.
struct Slipped {
    mine: Mine,
    slip: Slip,
    names: bool,
}

impl Model for Slipped {
    fn forward(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
        let mut altering = Altering { change: self.slip, before: Recording::default() };
        let logits = self.mine.forward(ids, &mut altering)?;
        if self.names {
            for step in altering.before.steps {
                let _ = probe.at(step.name, step.tensor);
            }
        }
        Ok(logits)
    }

    fn parameters(&self) -> Vec<Parameter> {
        Model::parameters(&self.mine)
    }

    fn sizes(&self) -> Sizes {
        self.mine.sizes()
    }
}

fn slipped(slip: Slip) -> Verdict {
    transformer(&Slipped { mine: Mine::new(), slip, names: false })
}

/// With another one in a step's place.
macro_rules! instead {
    ($step:literal, $of:literal, $make:expr) => {
        slipped(|name, _, before| (name == $step).then(|| before.get($of).map($make)).flatten())
    };
}

/// With a step's own numbers changed.
macro_rules! changed {
    ($step:literal, $change:expr) => {
        slipped(|name, tensor, _| (name == $step).then(|| ($change)(tensor)))
    };
}

fn same(x: &Tensor) -> Tensor {
    x.shallow_clone()
}

#[test]
fn the_learners_transformer_is_right_and_keeps_its_weights() {
    let mine = Mine::new();
    let before = weights(&Model::parameters(&mine));
    let verdict = transformer(&mine);
    assert!(verdict.is_right() && verdict.note.is_none(), "{verdict}");
    let wrong = Slipped { mine, slip: |name, x, _| (name == "logits").then(|| x * 2.0), names: true };
    assert!(!transformer(&wrong).is_right());
    assert!(!transformer(&Stopping(&wrong.mine)).is_right());
    for ((name, before), after) in before.iter().zip(Model::parameters(&wrong.mine)) {
        assert_eq!(before, &after.tensor, "{name}");
        assert!(after.tensor.requires_grad() && after.name == *name);
    }
}

fn other_triangle(x: &Tensor) -> Tensor {
    x.masked_fill(&x.ones_like().tril(-1).gt(0.0), f64::NEG_INFINITY)
}

/// Its forward pass panics.
struct Stopping<'a>(&'a Mine);

impl Model for Stopping<'_> {
    fn forward(&self, ids: &Tensor, _: &mut impl Probe) -> Result<Tensor> {
        Ok(self.0.embedding.matmul(ids))
    }

    fn parameters(&self) -> Vec<Parameter> {
        Model::parameters(self.0)
    }
}

#[test]
fn each_mistake_of_transformer_is_named() {
    named(instead!("block.0.attn.masked", "block.0.attn.scores", same), "no mask");
    let after_softmax: Slip = |name, x, before| match name {
        "block.0.attn.masked" => before.get("block.0.attn.scores").map(same),
        "block.0.attn.weights" => Some(x.tril(0)),
        _ => None,
    };
    named(slipped(after_softmax), "masked after softmax");
    named(instead!("block.0.attn.masked", "block.0.attn.scores", other_triangle), "kept the future");
    named(changed!("block.0.attn.scores", |x: &Tensor| x * 4.0), "not divided by √head_dim");
    named(changed!("block.0.attn.scores", |x: &Tensor| x * 4.0 / 32.0_f64.sqrt()), "by √emb_dim");
    named(changed!("block.0.attn.scores", |x: &Tensor| x * 4.0 / (x.size()[3] as f64).sqrt()), "by √T");
    named(changed!("block.0.attn.scores", |x: &Tensor| x / 4.0), "instead of its root");
    named(changed!("block.0.attn.scores", |x: &Tensor| x.transpose(2, 3)), "queries and keys");
    named(instead!("positioned", "embedded", same), "positions are forgotten");
    named(instead!("block.0.norm1", "positioned", same), "norm before the attention");
    named(instead!("block.0.norm2", "block.0.after_attn", same), "norm before the MLP");
    let no_norms: Slip = |name, _, before| match name {
        "block.0.norm1" => before.get("positioned").map(same),
        "block.0.norm2" => before.get("block.0.after_attn").map(same),
        _ => None,
    };
    named(slipped(no_norms), "both norms");
    named(instead!("block.0.after_attn", "block.0.attn.output", same), "around the attention");
    named(instead!("block.0.after_mlp", "block.0.mlp.output", same), "around the MLP");
    let no_residuals: Slip = |name, _, before| match name {
        "block.0.after_attn" => before.get("block.0.attn.output").map(same),
        "block.0.after_mlp" => before.get("block.0.mlp.output").map(same),
        _ => None,
    };
    named(slipped(no_residuals), "both residuals");
    named(instead!("block.0.mlp.activated", "block.0.mlp.hidden", same), "ReLU is forgotten");
    named(changed!("logits", |x: &Tensor| x.softmax(-1, Kind::Float)), "gave probabilities");
    named(changed!("logits", |x: &Tensor| x.log_softmax(-1, Kind::Float)), "log-probabilities");
}

/// A transformer that does not use all that it has learnt.
struct Bare {
    mine: Mine,
    without: &'static str,
}

impl Model for Bare {
    fn forward(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        for mut parameter in Model::parameters(&self.mine) {
            if self.without == "position" && parameter.name == "position" {
                let (time, table) = (ids.size()[1], parameter.tensor.copy());
                parameter.tensor.narrow(0, 0, time).copy_(&table.narrow(0, 0, time).flip([0]));
            } else if self.without == "first position" && parameter.name == "position" {
                let first = parameter.tensor.get(0).expand_as(&parameter.tensor).copy();
                parameter.tensor.copy_(&first);
            } else if self.without == "mlp" && parameter.name.contains("mlp") && parameter.name.ends_with("bias") {
                let _ = parameter.tensor.zero_();
            } else if self.without == "norm" && parameter.name.contains("norm") {
                let _ = parameter.tensor.fill_(if parameter.name.ends_with("bias") { 0.0 } else { 1.0 });
            }
        }
        self.mine.forward(ids, probe)
    }

    fn parameters(&self) -> Vec<Parameter> {
        Model::parameters(&self.mine)
    }
}

#[test]
fn what_a_model_has_learnt_and_does_not_use_is_named() {
    let bare = |without| transformer(&Bare { mine: Mine::new(), without });
    named(bare("mlp"), "biases of the MLP");
    named(bare("norm"), "no scale and shift");
    named(bare("first position"), "same position");
    named(bare("position"), "positions are in the wrong order");
}

#[test]
fn where_no_mistake_is_known_the_first_step_that_differs_is_named_with_what_it_should_be() {
    let with = |slip: Slip, names| transformer(&Slipped { mine: Mine::new(), slip, names }).to_string();
    let odd: Slip = |name, x, _| (name == "block.0.attn.heads").then(|| x * 3.0);
    let said = with(odd, true);
    assert!(said.contains("Up to block.0.attn.weights") && said.contains("differs is block.0.attn.heads"), "{said}");
    assert!(said.contains("Σₛ weights[t, s] · values[s]") && said.contains("(2, 1, 7, 16)"), "{said}");
    let said = with(odd, false);
    assert!(said.contains("Name your steps"), "{said}");
    // A mask of −10⁹ is no difference.
    let soft: Slip = |name, x, _| match name {
        "block.0.attn.masked" => Some(x.clamp_min(-1e9)),
        "block.0.mlp.output" => Some(x * 3.0),
        _ => None,
    };
    assert!(with(soft, true).contains("differs is block.0.mlp.output"), "{}", with(soft, true));
    /// Goes on after its last step.
    struct Further(Mine);
    impl Model for Further {
        fn forward(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
            Ok(self.0.forward(ids, probe)? + 0.5)
        }
        fn parameters(&self) -> Vec<Parameter> {
            Model::parameters(&self.0)
        }
    }
    let said = transformer(&Further(Mine::new())).to_string();
    assert!(said.contains("not what `forward` returns"), "{said}");
    let shaped: Slip = |name, x, _| (name == "logits").then(|| x.flatten(0, 1));
    assert!(with(shaped, true).contains("stopped with") && with(shaped, true).contains("(1, 5, 256)"));
}

#[test]
fn other_parameters_are_told_with_those_that_are_expected() {
    type Shapes = Vec<(&'static str, Vec<i64>)>;
    struct Other(Shapes);
    impl Model for Other {
        fn forward(&self, _: &Tensor, _: &mut impl Probe) -> Result<Tensor> {
            todo!()
        }
        fn parameters(&self) -> Vec<Parameter> {
            let make = |(name, size): &(&str, Vec<i64>)| {
                Parameter::new(*name, &Tensor::zeros(&size[..], (Kind::Float, Device::Cpu)))
            };
            self.0.iter().map(make).collect()
        }
    }
    let right: Shapes = vec![
        ("embedding", vec![256, 32]),
        ("position", vec![100, 32]),
        ("block.0.norm1.weight", vec![32]),
        ("block.0.norm1.bias", vec![32]),
        ("block.0.attn.qkv.weight", vec![48, 32]),
        ("block.0.attn.output.weight", vec![32, 16]),
        ("block.0.norm2.weight", vec![32]),
        ("block.0.norm2.bias", vec![32]),
        ("block.0.mlp.hidden.weight", vec![128, 32]),
        ("block.0.mlp.output.weight", vec![32, 128]),
        ("block.0.mlp.hidden.bias", vec![128]),
        ("block.0.mlp.output.bias", vec![32]),
    ];
    assert_eq!(transformer(&Other(right.clone())).outcome, Outcome::NotWritten);
    let with = |change: &dyn Fn(&mut Shapes)| {
        let mut all = right.clone();
        change(&mut all);
        let said = transformer(&Other(all)).to_string();
        assert!(said.contains("not yet") && said.contains("block.0.attn.qkv.weight (48, 32), block.0.attn"), "{said}");
        said
    };
    assert!(with(&|all| drop(all.remove(1))).contains("has no position of shape (100, 32)"));
    assert!(with(&|all| all[4].1 = vec![32, 48]).contains("turned on its side"));
    assert!(with(&|all| all[8].1 = vec![64, 32]).contains("(64, 32), expected (128, 32)"));
    assert!(with(&|all| all.push(("head", vec![256, 32]))).contains("weight tying"));
    assert!(with(&|all| all.push(("final_norm.weight", vec![32]))).contains("no norm before the output head"));
    assert!(with(&|all| all.push(("position", vec![100, 32]))).contains("twice"));
}

#[test]
fn a_parameter_that_can_not_learn_is_told() {
    struct Still(Mine);
    impl Model for Still {
        fn forward(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
            self.0.forward(ids, probe)
        }
        fn parameters(&self) -> Vec<Parameter> {
            let detached = |one: Parameter| match one.name == "position" {
                true => Parameter::new("position", &one.tensor.detach()),
                false => one,
            };
            Model::parameters(&self.0).into_iter().map(detached).collect()
        }
        fn sizes(&self) -> Sizes {
            self.0.sizes()
        }
    }
    let said = transformer(&Still(Mine::new())).to_string();
    assert!(said.contains("position can't learn") && said.contains("set_requires_grad"), "{said}");
}

#[test]
fn parameters_that_are_copies_are_told() {
    struct Copies(Mine);
    impl Model for Copies {
        fn forward(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
            self.0.forward(ids, probe)
        }
        fn parameters(&self) -> Vec<Parameter> {
            let copy = |Parameter { name, tensor, .. }| Parameter::new(name, &tensor.detach().copy());
            Model::parameters(&self.0).into_iter().map(copy).collect()
        }
    }
    assert!(transformer(&Copies(Mine::new())).to_string().contains("no copies"));
}

#[test]
fn the_reference_runs_and_learns_on_the_learners_own_parameters() {
    /// Stuck, and going on with the library's.
    struct Stuck(Mine);
    impl Model for Stuck {
        fn forward(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
            check::reference::transformer(self, ids, probe)
        }
        fn parameters(&self) -> Vec<Parameter> {
            Model::parameters(&self.0)
        }
    }
    let stuck = Stuck(Mine::new());
    assert!(transformer(&stuck).is_right());
    assert_eq!(count_parameters(&stuck), 21_920);
    let ids = Tensor::from_slice(&[1_i64, 2, 3]).unsqueeze(0);
    assert!((stuck.logits(&ids).unwrap() - stuck.0.logits(&ids).unwrap()).abs().max().double_value(&[]) < 1e-5);
    cross_entropy(&stuck.logits(&ids).unwrap(), &ids).unwrap().backward();
    assert!(Trainable::parameters(&stuck).iter().all(|parameter| parameter.tensor.grad().defined()));
}
