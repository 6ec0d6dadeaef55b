//! Every mistake of notebook 5, written as a learner would.

use super::*;
use crate::check::judge::named;

fn mean(x: &Tensor) -> Tensor {
    x.mean_dim(-1, true, Kind::Float)
}

fn centred(x: &Tensor) -> Tensor {
    x - mean(x)
}

fn norm1(block: &Block, x: &Tensor) -> Tensor {
    block.norm1.forward(x).unwrap()
}

fn norm2(block: &Block, x: &Tensor) -> Tensor {
    block.norm2.forward(x).unwrap()
}

fn look(block: &Block, x: &Tensor) -> Tensor {
    block.attention.forward(x, None, None, "attn", &mut NoProbe).unwrap().output
}

fn think(block: &Block, x: &Tensor) -> Tensor {
    let (hidden_bias, output_bias) = block.mlp.biases.as_ref().unwrap();
    let hidden = x.linear(&block.mlp.hidden_weight, Some(hidden_bias)).relu();
    hidden.linear(&block.mlp.output_weight, Some(output_bias))
}

fn place(x: &Tensor, table: &Tensor, first: i64) -> Tensor {
    table.narrow(0, first, x.size()[0])
}

fn highest(logits: &Tensor, k: usize) -> Tensor {
    logits.topk(k as i64, -1, true, true).0
}

fn soft(x: &Tensor) -> Tensor {
    x.softmax(-1, Kind::Float)
}

const NONE: f64 = f64::NEG_INFINITY;

#[test]
fn the_right_ones_are_right() {
    let my_block = |block: &Block, x: &Tensor| {
        let x = x + look(block, &norm1(block, x));
        &x + think(block, &norm2(block, &x))
    };
    for verdict in [
        layer_norm(|x| centred(x) / (mean(&centred(x).square()) + 1e-5).sqrt()),
        layer_norm(|x| centred(x) / x.var_dim(-1, false, true).sqrt()),
        add_positions(|x, table| x + place(x, table, 0)),
        block(my_block),
        top_k(|x, k| soft(&x.masked_fill(&x.lt_tensor(&highest(x, k).min()), NONE))),
    ] {
        assert!(verdict.is_right(), "{verdict}");
    }
}

#[test]
fn each_mistake_of_layer_norm_is_named() {
    let over = |x: &Tensor, axis: i64| {
        let left = x - x.mean_dim(axis, true, Kind::Float);
        &left / left.square().mean_dim(axis, true, Kind::Float).sqrt()
    };
    named(layer_norm(|x| over(x, 0)), "wrong axis");
    named(layer_norm(|x| centred(x) / x.std_dim(-1, true, true)), "n − 1");
    named(layer_norm(|x| x / mean(&x.square()).sqrt()), "RMS norm");
    named(layer_norm(|x| x / x.var_dim(-1, false, true).sqrt()), "did not subtract the mean");
    named(layer_norm(centred), "did not divide");
    named(layer_norm(|x| centred(x) / (mean(&centred(x).square()) + 1e-5)), "by the variance");
    let all = |x: &Tensor| {
        let left = x - x.mean(Kind::Float);
        &left / left.square().mean(Kind::Float).sqrt()
    };
    named(layer_norm(all), "all numbers together");
}

#[test]
fn each_mistake_of_add_positions_is_named() {
    named(add_positions(|x, table| x + place(x, table, 1)), "one place off");
    named(add_positions(|x, table| x + place(x, table, table.size()[0] - x.size()[0])), "last rows");
    named(add_positions(|x, table| x + table.get(0)), "same row");
    named(add_positions(|x, table| x * place(x, table, 0)), "multiplied");
    named(add_positions(|x, table| place(x, table, 0)), "positions alone");
    named(add_positions(|x, _| x.copy()), "changed nothing");
}

#[test]
fn each_mistake_of_block_is_named() {
    let no_first = |block: &Block, x: &Tensor| {
        let x = look(block, &norm1(block, x));
        &x + think(block, &norm2(block, &x))
    };
    named(block(no_first), "residual around the attention");
    let no_second = |block: &Block, x: &Tensor| {
        let x = x + look(block, &norm1(block, x));
        think(block, &norm2(block, &x))
    };
    named(block(no_second), "residual around the MLP");
    named(block(|block, x| think(block, &norm2(block, &look(block, &norm1(block, x))))), "both residuals");
    let after = |block: &Block, x: &Tensor| {
        let x = norm1(block, &(x + look(block, x)));
        norm2(block, &(&x + think(block, &x)))
    };
    named(block(after), "post-norm");
    let on_result = |block: &Block, x: &Tensor| {
        let x = x + norm1(block, &look(block, x));
        &x + norm2(block, &think(block, &x))
    };
    named(block(on_result), "on the result");
    let stream_normed = |block: &Block, x: &Tensor| {
        let x = norm1(block, x);
        let x = &x + look(block, &x);
        let x = norm2(block, &x);
        &x + think(block, &x)
    };
    named(block(stream_normed), "added to the normalised x");
    let no_norm = |block: &Block, x: &Tensor| {
        let x = x + look(block, x);
        &x + think(block, &x)
    };
    named(block(no_norm), "norms are missing");
    let beside = |block: &Block, x: &Tensor| x + look(block, &norm1(block, x)) + think(block, &norm2(block, x));
    named(block(beside), "from before the attention");
}

#[test]
fn each_mistake_of_top_k_is_named() {
    let others = |x: &Tensor, k: usize| x.lt_tensor(&highest(x, k).min());
    named(top_k(|x, k| soft(x).masked_fill(&others(x, k), 0.0)), "softmax first");
    named(top_k(|x, k| soft(&x.masked_fill(&others(x, k), 0.0))), "score 0 instead");
    named(top_k(|x, k| soft(&x.masked_fill(&x.gt_tensor(&(-highest(&-x, k)).max()), NONE))), "k lowest");
    named(top_k(|x, k| soft(&x.masked_fill(&x.le_tensor(&highest(x, k).min()), NONE))), "one too few");
    named(top_k(|x, k| soft(&highest(x, k))), "gave k probabilities");
    named(top_k(|x, _| soft(x)), "did not use k");
}

#[test]
fn unwritten_and_misshapen_ones_get_a_verdict() {
    for verdict in
        [layer_norm(|_| todo!()), add_positions(|_, _| todo!()), block(|_, _| todo!()), top_k(|_, _| todo!())]
    {
        assert!(verdict.to_string().contains("not written yet"), "{verdict}");
    }
    for verdict in [
        layer_norm(|x| x - x.mean_dim(-1, false, Kind::Float)),
        add_positions(|x, table| x + table),
        block(|block, x| look(block, &x.get(0))),
        top_k(|x, k| x.topk(k as i64 + 9, -1, true, true).0),
    ] {
        assert!(verdict.to_string().contains("stopped with"), "{verdict}");
    }
    let said = layer_norm(mean).to_string();
    assert!(said.contains("expected: shape (4, 6)") && said.contains("got:      shape (4, 1)"), "{said}");
}
