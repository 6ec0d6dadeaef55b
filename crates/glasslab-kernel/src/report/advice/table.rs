//! The sentences themselves, a row each: rustc's number of the error (empty: an error of grammar), what it says, the
//! learner's line with the place in ⟦ ⟧, and what to write.
//!
//! The first row that fits counts. The middle two are regular expressions, found anywhere; an empty one always fits. In the
//! sentence `$it` is the text at the place, `$one` the same in brackets unless it is one piece, `$x` what the place belongs
//! to (`x` in `x.⟦sqrt⟧()`, `t` in `t⟦[0]⟧`), `$args` what is in the brackets behind it, and `$name` what a regular
//! expression has caught under this name.

pub struct Row(pub &'static str, pub &'static str, pub &'static str, pub &'static str);

/// These stand in the place of rustc's own help, which leads elsewhere, or knows nothing of tensors.
#[rustfmt::skip]
pub const INSTEAD: &[Row] = &[
    // A tensor is no list.
    Row("E0608", "`Tensor`", r"⟦\[(?<from>\w*)\.\.(?<to>\w*)\]⟧",
        "a Tensor has no [ ]: $x.narrow(0, from, how_many) is a part of its first dimension"),
    Row("E0608", "`Tensor`", r"⟦\[(?<i>[^\]]*)\]⟧",
        "a Tensor has no [ ]: write $x.get($i); a single number is $x.double_value(&[row, column])"),
    Row("E0608", "`Chars<", r"⟦\[(?<i>[^\]]*)\]⟧", "characters are counted from the front: $x.nth($i).unwrap()"),
    Row("E0277", "`str` cannot be indexed", "",
        "characters of a text are counted from the front: $x.chars().nth($it).unwrap()"),
    Row("", r"found `\[`|found `,`", r"(?<t>[\w.]+)(⟦\[⟧|\[)[^\]]*,",
        "a single number of a Tensor is $t.double_value(&[row, column]), a row of it $t.get(row)"),
    Row("", "found `:`", r"\w\[[^\]]*⟦:⟧",
        "where Python writes `:`, Rust writes `..`: &list[1..3]; a row of a Tensor is x.get(0), a column x.select(1, \
         0), a part x.narrow(dimension, from, how_many)"),
    Row("E0369", "operation `[<>]=?` cannot be applied to type `&?Tensor`", "",
        "a Tensor is compared place by place: $x.lt(0.0), .gt, .le, .ge, or with another Tensor $x.lt_tensor(&y)"),
    Row("E0277", "`Scalar: From<", "",
        "a Tensor is added to a Tensor or to a single number: make a list a Tensor with Tensor::from_slice(&list)"),
    // What is called otherwise than in Python.
    Row("E0609 E0599 E0615", "(field|method named) `(shape|size)` (on type|found for struct) `Tensor`", "",
        "the sizes of a Tensor: $x.size(), the first of them $x.size()[0]"),
    Row("E0609 E0599", "(field|method named) `(T|t|mT)` (on type|found for struct) `Tensor`", "",
        "transposed: $x.tr(), with more than two dimensions $x.transpose(-2, -1)"),
    Row("E0609 E0599", "(field|method named) `dtype` (on type|found for struct) `Tensor`", "",
        "the kind of its numbers: $x.kind()"),
    Row("E0609 E0599", "(field|method named) `ndim` (on type|found for struct) `Tensor`", "",
        "how many dimensions it has: $x.dim()"),
    Row("E0599", "method named `item` found for struct `Tensor`", "",
        "the number in a Tensor of one number: $x.double_value(&[]), or $x.int64_value(&[])"),
    Row("E0599", "method named `(tolist|numpy)` found for struct `Tensor`", "",
        "its numbers as a list: Vec::<f64>::try_from($x.flatten(0, -1).to_kind(Kind::Double))?"),
    Row("E0599", "method named `(float|double|long|int|half|bool|type|astype)` found for struct `Tensor`", "",
        "another kind of numbers: $x.to_kind(Kind::Float), Kind::Double or Kind::Int64"),
    Row("E0599", "method named `(cuda|cpu)` found for struct `Tensor`", "",
        "to another device: $x.to_device(Device::Cpu), or Device::Cuda(0)"),
    Row("E0308", "expected `Device`, found `Kind`", "", "another kind of numbers: $x.to_kind($it)"),
    Row("E0308", "expected `Device`, found `&str`", "", "a device is Device::Cpu or Device::Cuda(0)"),
    Row("E0599", "method named `len` found for struct `Tensor`", "",
        "the size of a Tensor's first dimension: $x.size()[0]; the count of all its numbers: $x.numel()"),
    Row("E0599", "method named `(append|extend)` found for struct `Tensor`", "",
        "tensors are joined into a new one: Tensor::cat(&[$x, y], 0)"),
    Row("E0599", "method named `add` found for struct `Tensor`", "", "write $x + $args"),
    Row("E0599", "method named `sub` found for struct `Tensor`", "", "write $x - $args"),
    Row("E0599", "method named `mul` found for struct `Tensor`", "", "write $x * $args"),
    Row("E0599", "method named `div` found for struct `Tensor`", "", "write $x / $args"),
    Row("E0599", "method named `(?<m>add|sub|mul|div)_` found for struct `Tensor`", "",
        "in place it is $x.g_${m}_(…), or with a sign: $x += …, -=, *=, /="),
    Row("E0061", r"pub fn clone\(&self, out: &Tensor\)", "",
        "$x.shallow_clone() is a second handle of the same numbers, $x.copy() has numbers of its own"),
    Row("E0599 E0423 E0061", "named `of_slice` found for struct `Tensor`|found struct `Tensor`|pub fn new\\(\\) -> Tensor",
        "",
        "a Tensor of given numbers: Tensor::from_slice(&[1.0, 2.0])"),
    Row("E0599", r"method named `sum` found for struct `Vec<(?<k>\w+)>", "",
        "the sum of a list: $x.iter().sum::<$k>()"),
    Row("E0599", r"method named `mean` found for struct `Vec<(?<k>\w+)>", "",
        "the mean of a list: $x.iter().sum::<$k>() as f64 / $x.len() as f64"),
    Row("E0599 E0277", "method named `(max|min)` found for struct `Vec|`f64: Ord` is not satisfied", "",
        "the largest of a list of f64: list.iter().copied().fold(f64::MIN, f64::max); of whole numbers: \
         list.iter().max()"),
    Row("E0283", "`_: std::iter::(Sum|Product)<", "", "say what kind of number comes out: .sum::<f64>()"),
    // Arguments.
    Row("E0061", r"pub fn max\(&self\) -> Tensor", "",
        "max() is a Tensor's largest number; the larger of each number and $args is $x.clamp_min($args), which for \
         0.0 is $x.relu()"),
    Row("E0061", r"pub fn min\(&self\) -> Tensor", "",
        "min() is a Tensor's smallest number; the smaller of each number and $args is $x.clamp_max($args)"),
    Row("E0061", r"/\* dtype \*/", r"⟧\(\)", "say in which kind of number: $x.$it(Kind::Float)"),
    Row("E0061", r"/\* dtype \*/", "", "say in which kind of number: $x.$it($args, Kind::Float)"),
    Row("E0061", r"keepdim: bool", r"⟧\([^)]+\)",
        "the last argument is keepdim, whether the dimension stays as one of size 1: $x.$it($args, false)"),
    Row("E0061", r"pub fn (view|reshape|permute|expand)\b", "", "one list of sizes: $x.$it([$args])"),
    Row("E0061", r"pub fn squeeze\(&self\)", "", "one dimension of size 1 goes away with $x.squeeze_dim($args)"),
    Row("E0277", r"`Option<Kind>: From<", "",
        "over all numbers: $x.mean(Kind::Float); over dimension $it: $x.mean_dim($it, false, Kind::Float), \
         $x.sum_dim_intlist($it, false, Kind::Float)"),
    Row("E0277", "IntListOption", "",
        "one dimension is a plain number, -1; several are a slice: [0i64, 1].as_slice()"),
    Row("E0277", r"`\[usize; \d+\]: .*Shape`", "", "sizes are i64: write n as i64"),
    Row("E0061 E0308", r"expected `\(Kind, Device\)`|/\* \(Kind, Device\) \*/", "",
        "the last argument says which kind of numbers, and where: (Kind::Float, Device::Cpu); all sizes are one list: \
         [2, 3]"),
    Row("E0061", r"pub fn (double|int64)_value\(", "",
        "the place of the number as a list: $x.$it(&[row, column]), or $x.$it(&[]) if it is the only one"),
    Row("E0308", r"pub fn (double|int64)_value\(.*", r"_value\(⟦[^&\[]*⟧",
        "the place of the number as a list: &[$it]"),
    Row("E0425", "cannot find value", r"[(,]\s*⟦(?<name>\w+)⟧\s*=[^=]",
        "arguments have no names in Rust, they stand in their order (Shift+Tab shows it): leave out `$name =`"),
    // Weights that are changed.
    Row("E0614", "cannot be dereferenced", r"\*\s*⟦\*",
        "`**` is no operator: x.square() or x.pow_tensor_scalar(3) of a Tensor, x.powi(2) of an f64, x.pow(2) of a \
         whole number"),
    Row("E0369", r"no implementation for `(Tensor|&Tensor|f64|f32|\{float\}) \^", "",
        "`^` is no power: x.powi(2) of an f64, x.square() or x.pow_tensor_scalar(3) of a Tensor"),
    Row("E0308 E0599", r"pub fn pow\(&self, exponent: &Tensor\)|method named `powi` found for struct `Tensor`", "",
        "a power with a number is $x.pow_tensor_scalar(2), the second also $x.square()"),
    Row("E0614", "`Tensor` cannot be dereferenced", r"⟦\*(?<t>[^⟧]+)⟧\s*(?<op>[-+*/]=)",
        "$t is the Tensor itself: write $t $op … without the `*`, and mut where the name before the dot is made: for \
         mut parameter in model.parameters() { … }"),
    Row("E0614", "`Tensor` cannot be dereferenced", "", "it is the Tensor itself: leave out the `*`"),
    Row("E0368", "cannot be applied to type `&Tensor`", r"⟦(?<t>[\w.]+)",
        "this Tensor is lent for reading only: go through them with .iter_mut() and write *tensor -= …; or take a \
         second handle of the same numbers: let mut tensor = $t.shallow_clone(); tensor -= …;"),
    // Numbers.
    Row("E0599", r"method named `log` found for type `&?[iu](8|16|32|64|size)`", "",
        "a whole number becomes an f64 first: ($x as f64).ln()"),
    Row("E0599", r"method named `(?<m>\w+)` found for type `&?[iu](8|16|32|64|size)`",
        r"⟦(sqrt|exp|exp2|ln|log2|log10|sin|cos|tan|tanh|powf|powi|floor|ceil|round)⟧",
        "a whole number becomes an f64 first: ($x as f64).$m($args)"),
    Row("E0689", "on ambiguous numeric type", "", "say which kind of number it is: ($x as f64).$it($args)"),
    Row("E0061", "pub fn log\\(self, base: f64\\)", "", "the natural logarithm is $x.ln()"),
    Row("E0308", r"expected `(?<to>[iu](8|16|32|64|size)|f32|f64)`, found `([iu](8|16|32|64|size)|f32|f64)`", "",
        "turn one kind of number into the other: $one as $to"),
    Row("E0308", r"expected `(?<to>[iu](8|16|32|64|size)|f32|f64)`, found `&([iu](8|16|32|64|size)|f32|f64)`", "",
        "a number behind a reference: *$one, or *$one as $to if it is of another kind"),
    Row("E0308", "expected `f64`, found `Tensor`", "",
        "the number in a Tensor of one number: $one.double_value(&[])"),
    Row("E0308", "expected `(i64|usize)`, found `Tensor`", "",
        "the number in a Tensor of one number: $one.int64_value(&[])"),
    Row("E0308", "expected `&?Tensor`, found (integer|floating-point number|`f64`|`i64`)", "",
        "a number as a Tensor: Tensor::from($it)"),
    Row("E0308", r"expected `Vec<(?<to>\w+)>`, found `Vec<[iuf](8|16|32|64|size)>`", "",
        "each number for itself: $one.iter().map(|n| *n as $to).collect::<Vec<_>>()"),
    Row("E0308", "expected `&str`, found (integer|floating-point number|`[iuf](8|16|32|64|size)`)", "",
        "values within a text: format!(\"{} {}\", a, b)"),
    Row("E0308", "found `Map<|found `Filter<|found `Rev<", "",
        "an iterator becomes a list with .collect::<Vec<_>>() at its end"),
    Row("E0605", "cast: `Tensor` as", r"⟦\(?(?<t>.*?)\)? as",
        "the number in a Tensor of one number: $t.double_value(&[])"),
    Row("E0277", "cannot be indexed by `[iu](8|16|32|64)`", "", "a place in a list is a usize: $one as usize"),
    Row("E0600 E0277", "`-` to type `usize`|`Neg` is not implemented for `usize`", "",
        "a usize is never negative: count from the end with x.len() - 1, or make it an i64"),
    Row("", "negative integers cannot be used to index", r"⟦-(?<n>\w+)⟧",
        "from the end: $x[$x.len() - $n]; the last also *$x.last().unwrap()"),
    Row("E0277", r"no implementation for `(?<a>&?[iu](8|16|32|64|size)) (?<op>\S+) (f32|f64|\{float\})`", "",
        "a whole number and an f64 don't mix: turn the $a into an f64, (n as f64) $op …"),
    Row("E0277", r"no implementation for `(f32|f64|\{float\}) (?<op>\S+) (?<b>&?[iu](8|16|32|64|size))`", "",
        "an f64 and a whole number don't mix: turn the $b into an f64, … $op (n as f64)"),
    Row("E0277", r"no implementation for `\{integer\} \S+ (f32|f64|\{float\})`|cannot add-assign `f64` to `\{integer\}`|a float to an integer",
        "",
        "an f64 is written with a point: 1.0, not 1"),
    Row("E0308", r"expected (integer|`[iu](8|16|32|64|size)`), found floating-point number", "",
        "a whole number is wanted here: without the point, or $one as i64"),
    Row("", "expected one of", r" as (?<to>\w+) < ", "put what is turned into a $to in brackets: (n as $to) < …"),
    Row("E0277", "`(?<n>i64|usize|i32)` is not an iterator", "", "a loop goes over a range: for i in 0..$it { … }"),
    Row("E0277", "can't compare `&?str(ing)?` with `char`|can't compare `(&?str|String)` with `char`", "",
        "'a' is one character, \"a\" a text"),
    Row("E0369", r"to `Option<|`Option<[^`]*>` by", "",
        "it may be missing, so it is an Option: .unwrap() takes the value out; a list's value is also list[0]"),
    Row("E0277", "the `\\?` operator can only be applied", "", "this can't fail, so there is no `?` behind it"),
    // Python's functions.
    Row("E0425", "cannot find function `max`", "",
        "the larger of each number of a Tensor and 0.0: x.clamp_min(0.0), the same as x.relu(); its largest number: \
         x.max(); the larger of two numbers: a.max(b)"),
    Row("E0425", "cannot find function `min`", "",
        "the smaller of each number of a Tensor and 1.0: x.clamp_max(1.0); its smallest number: x.min(); the smaller \
         of two numbers: a.min(b)"),
    Row("E0425", "cannot find function `len`", "", "$args.len(); of a Tensor $args.size()[0]"),
    Row("E0425", "cannot find function `x?range`", "", "for i in 0..n { … } has 0 to n − 1, and 0..=n has n as well"),
    Row("E0425", "cannot find function `enumerate`", "", "for (i, value) in $args.iter().enumerate() { … }"),
    Row("E0425", "cannot find function `zip`", "", "for (a, b) in list.iter().zip(&other) { … }"),
    Row("E0425", "cannot find function `sum`", "",
        "$args.iter().sum::<f64>() of a list, $args.sum(Kind::Float) of a Tensor"),
    Row("E0425", "cannot find function `no_grad`", "", "tch::no_grad(|| { … })"),
    Row("E0425", "cannot find function `(?<m>exp|sqrt|log|ln|sin|cos|tanh|pow|round|floor|ceil)`", "",
        "it stands behind its number: ($args as f64).$m(); the natural logarithm is .ln()"),
    Row("E0423", "found macro `print", r"⟦print(ln)?⟧\(\x22[^\x22]*\x22\)",
        "with an exclamation mark: println!($args); a variable stands in the text: println!(\"n is {n}\")"),
    Row("E0423", "found macro `print", r"⟦print(ln)?⟧\([^,]*\)",
        "println!(\"{}\", $args), with an exclamation mark and a {} for each value"),
    Row("E0423", "found macro `print", "",
        "with an exclamation mark, and a {} in the text for each value: println!(\"{} {}\", a, b)"),
    Row("E0425 E0423", "cannot find function `str`|found builtin type `str`", "",
        "as a text: $args.to_string(); a value within a text: format!(\"n is {n}\")"),
    Row("E0425 E0423", "cannot find function `int`|found builtin type `[iu](8|16|32|64|size)`", "",
        "turned into a whole number: $args as i64"),
    Row("E0425 E0423", "cannot find function `float`|found builtin type `f(32|64)`", "",
        "turned into an f64: $args as f64"),
    Row("E0425", "cannot find type `int`", "", "a whole number is an i64, a place or a count a usize"),
    Row("E0425", "cannot find type `(float|double)`", "", "a number with a point is an f64"),
    Row("E0425", "cannot find type `(str|string|list|List|tuple|dict)`", "",
        "a text is a String, lent &str; a list Vec<f64> (or of whatever it holds), lent &[f64]"),
    Row("E0425 E0433", "cannot find (value|module or crate) `(torch|np|numpy|nn|F|math|plt)`", "",
        "there is no such module here: what it does to a Tensor is the Tensor's method, x.relu(); a new one is \
         Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)); a number's root is 2.0_f64.sqrt()"),
    Row("E0425", "cannot find value `(Float|Double|Int64|float|double|int64|float32|float64)`", "",
        "a kind of numbers is Kind::Float, Kind::Double or Kind::Int64"),
    Row("E0425", "cannot find value `(null|nil|NULL|nullptr|none)`", "",
        "nothing is None, and something Some(x); a variable for both is an Option<f64>"),
    Row("E0425", "cannot find value `pass`", "", "an empty block is { }"),
    // Python's grammar.
    Row("", "found `@`", r"&?(?<a>[\w.]+)\s*⟦@⟧\s*&?(?<b>[\w.]+)", "the product of two matrices: $a.matmul(&$b)"),
    Row("", "found `@`", "", "the product of two matrices: a.matmul(&b)"),
    Row("", "found", r"\bdef ?⟦",
        "a function: fn name(x: &Tensor) -> Tensor { … }, with the type of each argument and of the result, and \
         braces"),
    Row("", "found", r"\bclass ?⟦",
        "a type of your own: struct Name { field: f64 }, and its methods in impl Name { … }"),
    Row("", "found", r"^\s*(import|from) ?⟦",
        "nothing needs to be imported: the library and tch are there; of Rust's own it would be use \
         std::collections::HashMap;"),
    Row("", "found", r"\blambda ?⟦", "a function without a name: |x| x + 1.0"),
    Row("", "found", r"\belif ?⟦", "Rust writes else if"),
    Row("", "found", r"\bassert ?⟦", "assert_eq!(a, b); or assert!(a > b);"),
    Row("", "found", r"\bwith ?⟦", "without gradients: tch::no_grad(|| { … })"),
    Row("", "found keyword `for`", r"\[[^\]]*⟦for⟧", "a list from a loop: (0..n).map(|i| i * 2).collect::<Vec<_>>()"),
    Row("", "found keyword `if`", r"=[^=]*⟦(if)?⟧ ?(if)? ", "the condition comes first: if condition { a } else { b }"),
    Row("", "expected", r"\b(if|while|for|else|elif)\b.*⟦:⟧",
        "a block stands in braces: for x in list { … }, if a > b { … } else { … }"),
    Row("", "missing a block after", r"\b⟦?not\b", "a condition is turned around by an exclamation mark: if !ok { … }"),
    Row("", "found `:`", r"\{\s*[\x22\w]+⟦:⟧",
        "a table of keys and values: std::collections::HashMap::from([(\"a\", 1)])"),
    Row("", "prefix `f` is unknown|expected `;`, found `\x22", r"⟦?f⟦?⟧(?<s>\x22[^\x22]*\x22)", "values within a text: format!($s)"),
    Row("", "", r"(^|\s)(⟦#⟧|# ⟦)", "a comment begins with //"),
    Row("", "expected `;`", r"=\s*[\w.]+⟦⟧\s*//\s*\w+;\s*$", "`//` begins a comment: whole numbers are divided by /"),
    Row("", "found keyword `let`", "", "a semicolon is missing before this let"),
    Row("", "expected one of `:`", r"\bfn \w+\(",
        "each argument has its type, and so has the result: fn name(x: &Tensor) -> Tensor"),
];

/// These are said where nothing is left of rustc's own help.
#[rustfmt::skip]
pub const OTHERWISE: &[Row] = &[
    Row("E0277", r"no implementation for `(f32|f64|\{float\}) \S+ \{integer\}`", "",
        "an f64 is written with a point: 1.0, not 1"),
    Row("E0308", r"(expected floating-point number|expected `f(32|64)`), found integer", "",
        "an f64 is written with a point: 1.0, not 1; and 1 / 2 of whole numbers is 0"),
    Row("E0384 E0594 E0596", r"`\*?(?<n>\w+)", "", "to make a variable of an earlier cell mutable: let mut $n = $n;"),
    Row("E0282", "", "", "say of which type it is: let x: Vec<f64> = …;"),
    Row("E0716 E0597", "", "",
        "a reference needs somebody who keeps the value: give the value a name of its own first, or make it a value with \
         .to_owned() or .to_vec()"),
    Row("E0435", "", "", "a list whose length is only known when it runs: vec![0.0; n as usize]"),
];

/// These are said in any case.
#[rustfmt::skip]
pub const BESIDE: &[Row] = &[
    Row("E0382 E0505", "", "",
        "a value that was moved is gone, in later cells too; .shallow_clone() gives a second handle of a Tensor, .clone() \
         of most others; &x + 1.0 only lends x"),
];

/// What evcxr says in words of its own, and what is said instead.
#[rustfmt::skip]
pub const EVCXRS: &[(&str, &str)] = &[
    (r"variable `(?<x>\w+)` is a closure",
        "`$x` is a closure, which later cells could not use: make it a function, fn $x(n: f64) -> f64 { … }, or put \
         it and its use into one pair of braces, { let $x = …; … }"),
    (r"determine type of variable `(?<x>\w+)`",
        "the type of `$x` is not clear, or has no name: say it, as in let $x: Vec<f64> = …; an iterator becomes a list \
         with .collect::<Vec<_>>()"),
    (r"variable `(?<x>\w+)` contains a reference",
        "`$x` refers to another variable, and could outlive it in later cells: make it a value of its own \
         (.to_owned(), .to_vec(), .shallow_clone() of a Tensor), or put it and its use into one pair of braces, { let \
         $x = …; … }"),
    (r"variable `(?<x>\w+)` has type `(?<t>[^`]*)` which cannot be persisted",
        "`$x` is of a type that later cells could not name ($t): a list is made of an iterator by \
         .collect::<Vec<_>>(); or put it and its use into one pair of braces, { let $x = …; … }"),
    ("missing a semicolon", "a semicolon is missing: each line but the last ends with one"),
];

/// libtorch's most frequent complaints while a cell runs, and what to do.
#[rustfmt::skip]
pub const LIBTORCHS: &[(&str, &str)] = &[
    ("shapes cannot be multiplied",
        "in (A×B)·(C×D) the inner sizes B and C must be equal: transpose one with .tr(), or check which dimension is \
         which with .size()"),
    ("must match the size of tensor b",
        "two tensors are added or multiplied place by place: in each dimension their sizes must be equal, or one of \
         them 1; look at both .size()"),
    ("is invalid for input of size",
        "a view keeps all numbers: the product of the new sizes must be the old number of elements"),
    ("Expected size for first two dimensions of batch2",
        "in a product of batches (B, n, m)·(B, m, p) both B and both m must be equal"),
    ("index out of range", "an id is as large as the table has rows, or larger: compare the largest id with n_vocab"),
    ("expected scalar type",
        "the two tensors hold different kinds of numbers: convert one with .to_kind(Kind::Float) or Kind::Int64"),
    ("same dtype", "the two tensors hold different kinds of numbers: convert one with .to_kind(…)"),
    ("Dimension out of range", "the tensor has fewer dimensions than that; -1 is the last one; look at .size()"),
    ("requires grad is being used in an in-place operation",
        "change learnt numbers where nobody follows the gradient: tch::no_grad(|| { … })"),
    ("does not require grad",
        "nothing here was computed from a tensor whose gradient is wanted: .set_requires_grad(true) on the weights, \
         and no .detach() or no_grad on the way"),
    ("grad can be implicitly created only for scalar outputs",
        "backward() starts at a single number: take .mean(Kind::Float) or .sum(Kind::Float) first"),
    ("backward through the graph a second time",
        "after backward() the way back is gone: run the forward pass again before the next one"),
    ("on an undefined Tensor", "this tensor was never given a value; a gradient is there only after backward()"),
];
