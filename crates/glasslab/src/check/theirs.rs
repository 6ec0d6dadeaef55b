//! The exercises on models of others: what Llama, GPT and Gemma do otherwise than the learner's own.

use super::answer::InWords;
use super::inputs;
use super::reference;
use super::table::exercise;
use super::verdict::Verdict;
use crate::rng::Rng;
use tch::{Kind, Tensor};

exercise! {
    SCALED_RMS_NORM: (Tensor, Tensor) => Tensor = scaled_rms_norm(x, scale),
    task: "Write Llama's norm: x (…, C), that is (T, C) or (B, T, C), and a learnt scale (C) → the same shape as x, each row divided by \
           √(mean of x² + 1e-5), as in rms_norm, and then each column multiplied by its number of scale.",
    hints: [
        "Your RMS norm of notebook 7, and one multiplication behind it.",
        "scale has a number for each column, C in all: x * scale multiplies every row by it, number by number.",
        "x / (x.square().mean_dim(-1, true, Kind::Float) + 1e-5).sqrt() * …",
    ],
    input: |number, rng| {
        let size = [&[3, 4][..], &[4, 4], &[2, 3, 6], &[5, 3], &[1, 2, 8], &[3, 3, 3]][number];
        // Rows whose mean square is as small as what is added to it, and a scale that is not around 0.
        let deviation = if number % 2 == 0 { 1.0 } else { 5e-3 };
        let scale = inputs::tensor(rng, &size[size.len() - 1..], 0.5) + 1.0;
        (inputs::tensor(rng, size, deviation) + deviation * 0.5, scale)
    },
    given: (x, scale),
    reference: reference::scaled_rms_norm(x, scale),
    mistakes: {
        "you left the scale out: that is the norm of `small`, which has learnt none" => reference::rms_norm(x),
        "you multiplied by 1 + scale: so Gemma keeps its norms, and so its weights are written down; Llama's are the factor itself"
            => reference::scaled_rms_norm(x, &(scale + 1.0)),
        "you scaled x before dividing, so that the root is that of the scaled numbers: divide first, then scale"
            => reference::rms_norm(&(x * scale)),
        "you divided by the scale" => reference::rms_norm(x) / scale,
        "you added the scale: it is a factor" => reference::rms_norm(x) + scale,
        "you subtracted the mean first (that is layer norm)"
            => reference::rms_norm(&(x - x.mean_dim(-1, true, Kind::Float))) * scale,
        "you forgot the small number under the root: a row of nearly zeros gets large numbers"
            => x / x.square().mean_dim(-1, true, Kind::Float).sqrt() * scale,
        "you took the sum of the squares instead of their mean"
            => x / (x.square().sum_dim_intlist(-1, true, Kind::Float) + 1e-5).sqrt() * scale,
        "you forgot the root" => x / (x.square().mean_dim(-1, true, Kind::Float) + 1e-5) * scale,
        "you normalised columns: each row by itself"
            => x / (x.square().mean_dim(-2, true, Kind::Float) + 1e-5).sqrt() * scale,
    },
}

/// Checks `scaled_rms_norm`: x (…, C) and scale (C) → (…, C).
pub fn scaled_rms_norm(f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Verdict {
    SCALED_RMS_NORM.judge(&|(x, scale)| f(x, scale))
}

exercise! {
    SWIGLU: (Tensor, Tensor, Tensor, Tensor) => Tensor = swiglu(x, gate, up, down),
    task: "Write Llama's MLP: x (T, C) and the weights gate (N, C), up (N, C) and down (C, N) → (T, C). Each of N hidden numbers is \
           silu(x·gate) times x·up, where silu(z) = z · sigmoid(z); down leads back to C.",
    hints: [
        "Two products of x side by side, (T, N) each. One goes through silu, and then they are multiplied number by number.",
        "x.matmul(&gate.tr()) is (T, N); .silu() does what its name says; `*` multiplies number by number.",
        "(x.matmul(&gate.tr()).silu() * x.matmul(&up.tr())).matmul(…)",
    ],
    input: |number, rng| {
        let (time, channels, hidden) = [(3, 4, 6), (1, 3, 5), (5, 6, 4), (2, 4, 7), (4, 3, 8), (3, 5, 6)][number];
        let mut random = |size: [i64; 2]| inputs::tensor(rng, &size, 0.8);
        (random([time, channels]), random([hidden, channels]), random([hidden, channels]), random([channels, hidden]))
    },
    given: (x, gate, up, down),
    reference: reference::swiglu(x, gate, up, down),
    mistakes: {
        "you put silu on the other branch: the gate goes through it, and up stays as it is" => reference::swiglu(x, up, gate, down),
        "you forgot the gate: what comes of up alone is an ordinary MLP" => through(&product(x, up).silu(), down),
        "you forgot up: the gate has nothing to let through" => through(&product(x, gate).silu(), down),
        "you forgot silu: two products multiplied, that is a bilinear MLP" => through(&(product(x, gate) * product(x, up)), down),
        "you took the sigmoid alone (that is GLU, Dauphin et al. 2017): silu(z) is z · sigmoid(z)"
            => through(&(product(x, gate).sigmoid() * product(x, up)), down),
        "you took GELU instead of silu: that is GeGLU, Gemma's MLP"
            => through(&(product(x, gate).gelu("tanh") * product(x, up)), down),
        "you took GELU instead of silu: that is GeGLU, nearly Gemma's MLP"
            => through(&(product(x, gate).gelu("none") * product(x, up)), down),
        "you took ReLU instead of silu (that is ReGLU)" => through(&(product(x, gate).relu() * product(x, up)), down),
        "you added the two branches: they are multiplied, that is what a gate is"
            => through(&(product(x, gate).silu() + product(x, up)), down),
        "you put silu on both branches" => through(&(product(x, gate).silu() * product(x, up).silu()), down),
        "you put silu behind the product: it belongs to the gate alone"
            => through(&(product(x, gate) * product(x, up)).silu(), down),
        "you stopped before down: N numbers lead back to C" => product(x, gate).silu() * product(x, up),
        "you added x: the block does that" => x + reference::swiglu(x, gate, up, down),
    },
}

fn product(x: &Tensor, weight: &Tensor) -> Tensor {
    x.matmul(&weight.tr())
}

fn through(hidden: &Tensor, down: &Tensor) -> Tensor {
    product(hidden, down)
}

/// Checks `swiglu`: x (T, C), gate and up (N, C), down (C, N) → (T, C).
pub fn swiglu(f: impl Fn(&Tensor, &Tensor, &Tensor, &Tensor) -> Tensor) -> Verdict {
    SWIGLU.judge(&|(x, gate, up, down)| f(x, gate, up, down))
}

exercise! {
    KEY_HEAD: (i64, i64, i64) => i64 = key_head(head, n_heads, n_kv_heads),
    task: "Write which key-value head a query head uses (both counted from 0) where n_heads query heads share n_kv_heads of them: \
           neighbours share one.",
    hints: [
        "With 9 query heads and 3 key-value heads, 0, 1 and 2 share the first, 3, 4 and 5 the second. How many share one?",
        "n_heads / n_kv_heads of them share one. The division of whole numbers rounds down, which is what is needed here.",
        "head / (n_heads / …)",
    ],
    input: |number, rng| {
        let mut size = |low, high| inputs::between(rng, low, high);
        // All share one, each has its own, or groups.
        let (each, n_kv_heads) = match number {
            3 => (size(4, 6), 1),
            4 => (1, size(5, 9)),
            _ => (size(2, 4), size(3, 8)),
        };
        let n_heads = each * n_kv_heads;
        // Where there are groups, not one of the first, and one at which its place is not what a wrong division gives.
        let tells = |head: &i64| each == 1 || n_kv_heads == 1 || head % each != head / n_kv_heads;
        let first = if n_kv_heads == 1 { 1 } else { each };
        let heads: Vec<i64> = (first..n_heads).filter(tells).collect();
        (heads[rng.below(heads.len())], n_heads, n_kv_heads)
    },
    given: &(head, n_heads, n_kv_heads),
    reference: reference::key_head(head, n_heads, n_kv_heads),
    mistakes: {
        "you dealt them out in turn (head % n_kv_heads): neighbours share one" => head % n_kv_heads,
        "you divided by the number of key-value heads: divide by how many query heads share one" => head / n_kv_heads,
        "you took each its own: that is attention without groups" => head,
        "you took the place within the group" => head % (n_heads / n_kv_heads),
        "you counted from 1: the first head is 0" => head / (n_heads / n_kv_heads) + 1,
        "all share one: that is multi-query attention, n_kv_heads = 1" => 0,
    },
}

/// Checks `key_head`: a query head, n_heads and n_kv_heads → a key-value head.
pub fn key_head(f: impl Fn(i64, i64, i64) -> i64) -> Verdict {
    KEY_HEAD.judge(&|&(head, n_heads, n_kv_heads)| f(head, n_heads, n_kv_heads))
}

exercise! {
    TURN_BY_HALVES: (Tensor, Tensor, Tensor) => Tensor = turn_by_halves(x, cos, sin),
    task: "Write the rotary position of Hugging Face's Llama: x (T, D), cos and sin (T, D/2) → (T, D). Number i of a row is turned together \
           with number i + D/2 by angle i of that row: (a, b) becomes (a·cos − b·sin, a·sin + b·cos).",
    hints: [
        "`small` turns number 2i with its neighbour 2i + 1. Here the partner is half a row away. So cut the row into two halves, a and b.",
        "x.narrow(1, 0, half) is the first half, (T, D/2); Tensor::cat(&[first, second], 1) puts two halves side by side.",
        "Tensor::cat(&[&a * cos - &b * sin, &a * sin + …], 1)",
    ],
    input: |number, rng| {
        let (time, half) = [(3, 2), (1, 4), (5, 3), (2, 2), (4, 4), (6, 2)][number];
        let angles = inputs::tensor(rng, &[time, half], 1.5);
        (inputs::tensor(rng, &[time, 2 * half], 1.0), angles.cos(), angles.sin())
    },
    given: (x, cos, sin),
    reference: reference::turn_by_halves(x, cos, sin),
    mistakes: {
        "you turned neighbours, number 2i with 2i + 1, as `small` and llama2.c do: here the partner is D/2 away"
            => {
                let pairs = x.view([x.size()[0], -1, 2]);
                let (a, b) = (pairs.select(2, 0), pairs.select(2, 1));
                Tensor::stack(&[&a * cos - &b * sin, &a * sin + &b * cos], 2).view_as(x)
            },
        "you turned backwards: the sign of the two sines" => turned(x, cos, &-sin, |a, b| [a, b]),
        "you exchanged sine and cosine" => turned(x, sin, cos, |a, b| [a, b]),
        "both signs are plus: that is no turn, it changes the length of the row"
            => {
                let [a, b] = halves(x);
                Tensor::cat(&[&a * cos + &b * sin, &a * sin + &b * cos], 1)
            },
        "both signs are minus"
            => {
                let [a, b] = halves(x);
                Tensor::cat(&[&a * cos - &b * sin, &b * cos - &a * sin], 1)
            },
        "you put the second half first" => turned(x, cos, sin, |a, b| [b, a]),
        "you turned the first half only: the second one is turned with it"
            => {
                let [a, b] = halves(x);
                Tensor::cat(&[&a * cos - &b * sin, b], 1)
            },
        "you multiplied by the cosine alone: the partner's part is missing"
            => x * Tensor::cat(&[cos, cos], 1),
        "you changed nothing" => x.shallow_clone(),
    },
}

/// The two halves of each row.
fn halves(x: &Tensor) -> [Tensor; 2] {
    let half = x.size()[1] / 2;
    [x.narrow(1, 0, half), x.narrow(1, half, half)]
}

fn turned(x: &Tensor, cos: &Tensor, sin: &Tensor, order: fn(Tensor, Tensor) -> [Tensor; 2]) -> Tensor {
    let [a, b] = halves(x);
    Tensor::cat(&order(&a * cos - &b * sin, &a * sin + &b * cos), 1)
}

/// Checks `turn_by_halves`: x (T, D), cos and sin (T, D/2) → (T, D).
pub fn turn_by_halves(f: impl Fn(&Tensor, &Tensor, &Tensor) -> Tensor) -> Verdict {
    TURN_BY_HALVES.judge(&|(x, cos, sin)| f(x, cos, sin))
}

exercise! {
    INDUCTION_SCORE: (Tensor, i64) => f64 = induction_score(weights, n),
    task: "Write the induction score of a head: its weights (2n, 2n) on a text of n tokens that stands there twice, and n → the mean weight \
           that the rows n to 2n − 1 give to the place n − 1 before their own, where the token stands that came next the first time.",
    hints: [
        "The token of row n + t stood at t before, and what came after it there stands at t + 1. How far is t + 1 from n + t?",
        "weights.diagonal(-(n - 1), 0, 1) is that stripe. It begins at row n − 1, one before the second half does.",
        "weights.diagonal(-(n - 1), 0, 1).narrow(0, 1, …).mean(Kind::Double).double_value(&[])",
    ],
    input: |number, rng| {
        let n = [3, 2, 4, 5, 6, 7][number];
        let scores = inputs::tensor(rng, &[2 * n, 2 * n], 1.5);
        (reference::softmax_rows(&reference::causal_mask(&scores)), n)
    },
    given: (weights, n),
    reference: reference::induction_score(weights, *n),
    mistakes: {
        "you took the stripe n below the diagonal: there stands the same token before, and not what came after it"
            => stripe(weights, *n).mean(Kind::Double).double_value(&[]),
        "you took the whole stripe: its first number is that of row n − 1, which is still in the first half"
            => stripe(weights, n - 1).mean(Kind::Double).double_value(&[]),
        "you left the last row out: there are n of them in the second half"
            => stripe(weights, n - 1).narrow(0, 1, n - 1).mean(Kind::Double).double_value(&[]),
        "you took the stripe right below the diagonal: that is the score of a head that looks at the token before"
            => stripe(weights, 1).mean(Kind::Double).double_value(&[]),
        "you added up and did not divide: it is the mean over n rows"
            => stripe(weights, n - 1).narrow(0, 1, *n).sum(Kind::Double).double_value(&[]),
        "you looked above the diagonal (the sign of k): there is the future, which the mask hides"
            => weights.diagonal(n - 1, 0, 1).mean(Kind::Double).double_value(&[]),
        "you took the stripe n + 1 below the diagonal: that is what stood before the same token"
            => stripe(weights, n + 1).mean(Kind::Double).double_value(&[]),
    },
}

/// The stripe so far below the diagonal.
fn stripe(weights: &Tensor, below: i64) -> Tensor {
    weights.diagonal(-below, 0, 1)
}

/// Checks `induction_score`: weights (2n, 2n) and n → a share.
pub fn induction_score(f: impl Fn(&Tensor, i64) -> f64) -> Verdict {
    INDUCTION_SCORE.judge(&|(weights, n)| f(weights, *n))
}

/// A role and what it says, one after the other.
type Messages = Vec<(String, String)>;

impl InWords for Messages {
    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

exercise! {
    CHAT_TEXT: Messages => String = chat_text(messages),
    task: "Write a conversation as SmolLM2 and Qwen read it (ChatML): for each message, a pair of a role and what it says, \
           `<|im_start|>role`, a line break, what it says, `<|im_end|>` and a line break; and at the end `<|im_start|>assistant` and a line \
           break, behind which the model goes on.",
    hints: [
        "Go through the messages and append to a String. What stands behind the last one is what makes the model answer, and not ask.",
        "let mut text = String::new(); for (role, says) in messages { text += &format!(\"…\"); }",
        "text += &format!(\"<|im_start|>{role}\\n{says}<|im_end|>\\n\"); and behind the loop text += \"<|im_start|>…\\n\";",
    ],
    input: |number, rng| messages(number, rng),
    given: messages,
    reference: reference::chat_text(messages),
    mistakes: {
        "you left out what makes the model answer, <|im_start|>assistant and a line break at the end: it would go on as it likes"
            => chat(messages, "", "\n", "<|im_end|>\n"),
        "you closed the turn of the assistant, <|im_end|>: then the answer is over before it has begun"
            => chat(messages, "<|im_start|>assistant\n<|im_end|>\n", "\n", "<|im_end|>\n"),
        "the line break behind the last `assistant` is missing: the model has always seen one there"
            => chat(messages, "<|im_start|>assistant", "\n", "<|im_end|>\n"),
        "you wrote a space where a line break stands behind the role" => chat(messages, GO_ON, " ", "<|im_end|>\n"),
        "you wrote a colon behind the role: the model has not seen that" => chat(messages, GO_ON, ": ", "<|im_end|>\n"),
        "<|im_end|> is missing: nothing tells where a message ends" => chat(messages, GO_ON, "\n", "\n"),
        "the line break behind <|im_end|> is missing" => chat(messages, GO_ON, "\n", "<|im_end|>"),
        "you put a line break before <|im_end|>, too" => chat(messages, GO_ON, "\n", "\n<|im_end|>\n"),
        "you asked for an answer behind each message: once, at the end"
            => messages.iter().map(|one| chat(std::slice::from_ref(one), GO_ON, "\n", "<|im_end|>\n")).collect(),
        "you exchanged the role and what it says"
            => {
                let exchanged: Messages = messages.iter().map(|(role, says)| (says.clone(), role.clone())).collect();
                chat(&exchanged, GO_ON, "\n", "<|im_end|>\n")
            },
    },
}

const GO_ON: &str = "<|im_start|>assistant\n";

fn chat(messages: &[(String, String)], at_the_end: &str, behind_role: &str, behind_message: &str) -> String {
    let message = |(role, says): &(String, String)| format!("<|im_start|>{role}{behind_role}{says}{behind_message}");
    messages.iter().map(message).collect::<String>() + at_the_end
}

/// One message first, then more.
fn messages(number: usize, rng: &mut Rng) -> Messages {
    let mut says = || {
        let sentence = ["Hello", "Why?", "Tell me a story of", "Two\nlines:"][rng.below(4)];
        format!("{sentence} {}", inputs::letters(rng, 5))
    };
    let roles: &[&str] = match number {
        0 => &["user"],
        1 => &["system", "user"],
        _ => &["system", "user", "assistant", "user"][number % 2..],
    };
    roles.iter().map(|role| ((*role).to_owned(), says())).collect()
}

/// Checks `chat_text`: roles and what they say → one text.
pub fn chat_text(f: impl Fn(&[(String, String)]) -> String) -> Verdict {
    CHAT_TEXT.judge(&|messages| f(messages))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::judge::named;

    fn mean_square(x: &Tensor) -> Tensor {
        (x * x).mean_dim(-1, true, Kind::Float)
    }

    #[test]
    fn the_right_ones_are_right() {
        for verdict in [
            scaled_rms_norm(|x, scale| scale * x * (mean_square(x) + 1e-5).rsqrt()),
            swiglu(|x, gate, up, down| {
                let z = x.matmul(&gate.tr());
                (&z * z.sigmoid() * x.matmul(&up.tr())).matmul(&down.tr())
            }),
            key_head(|head, n_heads, n_kv_heads| head * n_kv_heads / n_heads),
            turn_by_halves(|x, cos, sin| {
                let parts = x.chunk(2, 1);
                let rotated = Tensor::cat(&[&-&parts[1], &parts[0]], 1);
                x * Tensor::cat(&[cos, cos], 1) + rotated * Tensor::cat(&[sin, sin], 1)
            }),
            induction_score(|w, n| (n..2 * n).map(|row| w.double_value(&[row, row - n + 1])).sum::<f64>() / n as f64),
            chat_text(|messages| {
                let mut text = String::new();
                for (role, says) in messages {
                    text += &["<|im_start|>", role, "\n", says, "<|im_end|>\n"].concat();
                }
                text + "<|im_start|>assistant\n"
            }),
        ] {
            assert!(verdict.is_right(), "{verdict}");
        }
    }

    #[test]
    fn each_mistake_of_scaled_rms_norm_is_named() {
        let norm = |x: &Tensor| x / (mean_square(x) + 1e-5).sqrt();
        named(scaled_rms_norm(|x, _| norm(x)), "left the scale out");
        named(scaled_rms_norm(|x, scale| norm(x) * (1.0 + scale)), "Gemma");
        named(scaled_rms_norm(|x, scale| norm(&(x * scale))), "scaled x before");
        named(scaled_rms_norm(|x, scale| norm(x) / scale), "divided by the scale");
        named(scaled_rms_norm(|x, scale| norm(x) + scale), "added the scale");
        named(scaled_rms_norm(|x, scale| norm(&(x - x.mean_dim(-1, true, Kind::Float))) * scale), "layer norm");
        named(scaled_rms_norm(|x, scale| x / mean_square(x).sqrt() * scale), "small number");
        named(
            scaled_rms_norm(|x, scale| x / (mean_square(x) * x.size()[x.dim() - 1] + 1e-5).sqrt() * scale),
            "the sum",
        );
        named(scaled_rms_norm(|x, scale| x / (mean_square(x) + 1e-5) * scale), "the root");
        named(
            scaled_rms_norm(|x, scale| x / ((x * x).mean_dim(-2, true, Kind::Float) + 1e-5).sqrt() * scale),
            "columns",
        );
    }

    #[test]
    fn each_mistake_of_swiglu_is_named() {
        let (g, u) = (|x: &Tensor, w: &Tensor| x.matmul(&w.tr()), |x: &Tensor, w: &Tensor| x.matmul(&w.tr()));
        named(swiglu(|x, gate, up, down| g(&(g(x, gate) * u(x, up).silu()), down)), "other branch");
        named(swiglu(|x, _, up, down| g(&u(x, up).silu(), down)), "forgot the gate");
        named(swiglu(|x, gate, _, down| g(&g(x, gate).silu(), down)), "forgot up");
        named(swiglu(|x, gate, up, down| g(&(g(x, gate) * u(x, up)), down)), "bilinear");
        named(swiglu(|x, gate, up, down| g(&(g(x, gate).sigmoid() * u(x, up)), down)), "sigmoid alone");
        named(swiglu(|x, gate, up, down| g(&(g(x, gate).gelu("tanh") * u(x, up)), down)), "GeGLU, Gemma");
        named(swiglu(|x, gate, up, down| g(&(g(x, gate).gelu("none") * u(x, up)), down)), "nearly Gemma");
        named(swiglu(|x, gate, up, down| g(&(g(x, gate).relu() * u(x, up)), down)), "ReGLU");
        named(swiglu(|x, gate, up, down| g(&(g(x, gate).silu() + u(x, up)), down)), "added the two");
        named(swiglu(|x, gate, up, down| g(&(g(x, gate).silu() * u(x, up).silu()), down)), "both branches");
        named(swiglu(|x, gate, up, down| g(&(g(x, gate) * u(x, up)).silu(), down)), "behind the product");
        named(swiglu(|x, gate, up, _| g(x, gate).silu() * u(x, up)), "before down");
        named(swiglu(|x, gate, up, down| x + g(&(g(x, gate).silu() * u(x, up)), down)), "added x");
    }

    #[test]
    fn each_mistake_of_key_head_is_named() {
        named(key_head(|head, _, n_kv_heads| head % n_kv_heads), "in turn");
        named(key_head(|head, _, n_kv_heads| head / n_kv_heads), "divided by the number");
        named(key_head(|head, _, _| head), "its own");
        named(key_head(|head, n_heads, n_kv_heads| head % (n_heads / n_kv_heads)), "within the group");
        named(key_head(|head, n_heads, n_kv_heads| 1 + head * n_kv_heads / n_heads), "from 1");
        named(key_head(|_, _, _| 0), "multi-query");
    }

    #[test]
    fn each_mistake_of_turn_by_halves_is_named() {
        let with = |turn: fn(&Tensor, &Tensor, &Tensor, &Tensor) -> [Tensor; 2]| {
            turn_by_halves(move |x, cos, sin| {
                let parts = x.chunk(2, 1);
                Tensor::cat(&turn(&parts[0], &parts[1], cos, sin), 1)
            })
        };
        named(with(|a, b, cos, sin| [a * cos + b * sin, b * cos - a * sin]), "backwards");
        named(with(|a, b, cos, sin| [a * sin - b * cos, a * cos + b * sin]), "sine and cosine");
        named(with(|a, b, cos, sin| [a * cos + b * sin, a * sin + b * cos]), "both signs are plus");
        named(with(|a, b, cos, sin| [a * cos - b * sin, b * cos - a * sin]), "both signs are minus");
        named(with(|a, b, cos, sin| [a * sin + b * cos, a * cos - b * sin]), "second half first");
        named(with(|a, b, cos, sin| [a * cos - b * sin, b.shallow_clone()]), "first half only");
        named(with(|a, b, cos, _| [a * cos, b * cos]), "cosine alone");
        named(turn_by_halves(|x, _, _| x.shallow_clone()), "changed nothing");
        named(
            turn_by_halves(|x, cos, sin| {
                let mut columns = Vec::new();
                for pair in 0..x.size()[1] / 2 {
                    let (a, b, c, s) =
                        (x.select(1, 2 * pair), x.select(1, 2 * pair + 1), cos.select(1, pair), sin.select(1, pair));
                    columns.push(&a * &c - &b * &s);
                    columns.push(&a * &s + &b * &c);
                }
                Tensor::stack(&columns, 1)
            }),
            "neighbours",
        );
    }

    #[test]
    fn each_mistake_of_induction_score_is_named() {
        let mean = |stripe: Tensor| stripe.mean(Kind::Double).double_value(&[]);
        let below = |w: &Tensor, k: i64| w.diagonal(-k, 0, 1);
        named(induction_score(|w, n| mean(below(w, n))), "same token before");
        named(induction_score(|w, n| mean(below(w, n - 1))), "the whole stripe");
        named(induction_score(|w, n| mean(below(w, n - 1).narrow(0, 1, n - 1))), "last row");
        named(induction_score(|w, _| mean(below(w, 1))), "right below");
        named(induction_score(|w, n| mean(below(w, n - 1).narrow(0, 1, n)) * n as f64), "did not divide");
        named(induction_score(|w, n| mean(below(w, 1 - n))), "above the diagonal");
        named(induction_score(|w, n| mean(below(w, n + 1))), "stood before the same");
    }

    #[test]
    fn unwritten_and_misshapen_ones_get_a_verdict() {
        assert!(swiglu(|_, _, _, _| todo!()).to_string().contains("not written yet"));
        assert!(key_head(|head, _, _| head / (head - head)).to_string().contains("divide by zero"));
        assert!(turn_by_halves(|x, cos, _| x * cos).to_string().contains("input:"));
        assert!(scaled_rms_norm(|x, scale| x.matmul(scale)).to_string().contains("expected: shape"));
    }

    #[test]
    fn each_mistake_of_chat_text_is_named() {
        let each = |one: fn(&str, &str) -> String, end: &'static str| {
            chat_text(move |messages| messages.iter().map(|(role, says)| one(role, says)).collect::<String>() + end)
        };
        let right = |role: &str, says: &str| format!("<|im_start|>{role}\n{says}<|im_end|>\n");
        named(each(right, ""), "makes the model answer");
        named(each(right, "<|im_start|>assistant\n<|im_end|>\n"), "closed the turn");
        named(each(right, "<|im_start|>assistant"), "last `assistant`");
        named(each(|role, says| format!("<|im_start|>{role} {says}<|im_end|>\n"), GO_ON), "a space");
        named(each(|role, says| format!("<|im_start|>{role}: {says}<|im_end|>\n"), GO_ON), "a colon");
        named(each(|role, says| format!("<|im_start|>{role}\n{says}\n"), GO_ON), "where a message ends");
        named(each(|role, says| format!("<|im_start|>{role}\n{says}<|im_end|>"), GO_ON), "behind <|im_end|>");
        named(each(|role, says| format!("<|im_start|>{role}\n{says}\n<|im_end|>\n"), GO_ON), "before <|im_end|>");
        let again = |role: &str, says: &str| format!("<|im_start|>{role}\n{says}<|im_end|>\n<|im_start|>assistant\n");
        named(each(again, ""), "each message");
        named(each(|role, says| format!("<|im_start|>{says}\n{role}<|im_end|>\n"), GO_ON), "exchanged the role");
    }
}
