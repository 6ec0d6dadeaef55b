//! Whether an experiment is a controlled one: the rules, gone through one by one, and which differences mean something.

use super::setup::Setup;
use super::{Sweep, Variant, errors_apart, grouped};
use crate::data::Text;
use std::fmt;

/// A difference of so many of its standard errors, or more, is to be believed.
pub const BELIEVED: f64 = 3.0;
/// As many variants are compared each with each; of more, each with the best one.
const EACH_WITH_EACH: usize = 5;
/// Settings that are told first.
const LEADING: [&str; 6] = ["model", "context_len", "emb_dim", "n_layers", "n_heads", "training.context_len"];
const LEARNT_FROM: &str = "the text learnt from";
const MEASURED_ON: &str = "the text measured on";
/// The second may follow from the first: be equal to it, a multiple of it, or such that their product stays.
const KIN: [(&str, &str); 9] = [
    ("context_len", "training.context_len"),
    ("context_len", "training.batch_size"),
    ("training.context_len", "training.batch_size"),
    ("emb_dim", "n_hidden"),
    ("emb_dim", "n_heads"),
    ("emb_dim", "n_kv_heads"),
    ("emb_dim", "head_dim"),
    ("n_heads", "n_kv_heads"),
    ("n_heads", "head_dim"),
];

/// What is to be said of an experiment. It prints as a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// What is varied.
    pub what: String,
    /// The rules.
    pub rules: Vec<Rule>,
    /// The differences between variants.
    pub pairs: Vec<Pair>,
}

/// Whether a rule is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// It is, yet there is something to mind.
    Mind,
}

/// A rule of a controlled experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Whether it is kept.
    pub kept: Kept,
    /// What was found.
    pub said: String,
}

/// Two variants.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The one with the lower loss.
    pub better: String,
    /// The other one.
    pub worse: String,
    /// By how much its loss is higher, in nats per character.
    pub difference: f64,
    /// The same in units of its standard error, where both have one.
    pub errors: Option<f64>,
}

impl Rule {
    fn new(kept: Kept, said: impl Into<String>) -> Rule {
        Rule { kept, said: said.into() }
    }

    /// The sign that it is shown with: never a colour alone.
    pub fn sign(&self) -> char {
        match self.kept {
            Kept::Yes => '✓',
            Kept::No => '✗',
            Kept::Mind => '!',
        }
    }
}

impl Pair {
    fn of(one: &Variant, other: &Variant) -> Pair {
        let (better, worse) = if one.mean() <= other.mean() { (one, other) } else { (other, one) };
        let with_error = |variant: &Variant| Some((variant.mean(), variant.standard_error()?));
        let errors = with_error(better).zip(with_error(worse)).map(|(one, other)| errors_apart(one, other));
        Pair {
            better: better.name.clone(),
            worse: worse.name.clone(),
            difference: worse.mean() - better.mean(),
            errors: errors.filter(|errors| errors.is_finite()),
        }
    }

    /// Whether it is several times its standard error.
    pub fn is_believed(&self) -> bool {
        self.errors.is_some_and(|errors| errors >= BELIEVED)
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pair { better, worse, difference, errors } = self;
        write!(out, "{better} is better than {worse} by {difference:.3}: ")?;
        match errors {
            None => out.write_str("no error bar, so nothing can be said"),
            Some(errors) if self.is_believed() => write!(out, "{errors:.1} standard errors, believe it"),
            Some(errors) => write!(out, "{errors:.1} standard errors, it may be chance"),
        }
    }
}

impl fmt::Display for Design {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}: a controlled experiment?", self.what)?;
        for rule in &self.rules {
            writeln!(out, "{} {}", rule.sign(), rule.said)?;
        }
        if !self.pairs.is_empty() {
            writeln!(out, "Differences in nats per character; {BELIEVED} standard errors or more are no chance:")?;
        }
        self.pairs.iter().try_for_each(|pair| writeln!(out, "  {pair}"))
    }
}

impl Design {
    pub(super) fn of(sweep: &Sweep) -> Design {
        let variants = &sweep.variants[..];
        let rules = match variants {
            [] => vec![Rule::new(Kept::No, "nothing was measured yet: call measure first")],
            _ => [varied(variants), points(variants), seeds(variants), lengths(variants)].concat(),
        };
        let best = variants.iter().min_by(|one, other| one.mean().total_cmp(&other.mean()));
        let centre = around(variants).map(|(base, _)| base).or(best.filter(|_| variants.len() > EACH_WITH_EACH));
        let pairs = match centre {
            Some(centre) => {
                variants.iter().filter(|other| other.name != centre.name).map(|other| Pair::of(centre, other)).collect()
            }
            _ => {
                let after = |place: usize| variants[place + 1..].iter();
                let all = variants.iter().enumerate();
                all.flat_map(|(place, one)| after(place).map(move |other| Pair::of(one, other))).collect()
            }
        };
        Design { what: sweep.what.clone(), rules, pairs }
    }
}

/// A setting that differs between variants, and those that change along with it.
struct Varied {
    name: String,
    values: Vec<String>,
    along: Vec<String>,
}

impl Varied {
    fn numbers(&self) -> Option<Vec<f64>> {
        self.values.iter().map(|value| value.parse().ok()).collect()
    }

    /// How another setting follows from this one, if it does.
    fn explains(&self, other: &Varied) -> Option<String> {
        let name = &other.name;
        if !KIN.contains(&(self.name.as_str(), name.as_str())) {
            return None;
        }
        if self.values == other.values {
            return Some(format!("{name} (the same)"));
        }
        let (mine, theirs) = (self.numbers()?, other.numbers()?);
        let same = |combine: fn(f64, f64) -> f64| {
            let all: Vec<f64> = mine.iter().zip(&theirs).map(|(one, other)| combine(*one, *other)).collect();
            all.iter().all(|number| (number - all[0]).abs() <= 1e-9 * all[0].abs()).then(|| all[0])
        };
        if let Some(product) = same(|one, other| one * other) {
            return Some(format!("{name} (so that {} · {name} stays {product})", self.name));
        }
        same(|one, other| other / one).map(|ratio| match ratio {
            less if less < 1.0 => format!("{name} ({} / {:.0})", self.name, 1.0 / less),
            more => format!("{name} ({more} · {})", self.name),
        })
    }

    fn said(&self) -> String {
        let mut shown = self.values.clone();
        shown.dedup();
        let along =
            if self.along.is_empty() { String::new() } else { format!(", and with it {}", self.along.join(", ")) };
        format!("{} ({}){along}", self.name, shown.join(", "))
    }
}

/// What differs between variants: the text, and the settings, those that follow from others put with them.
fn differing(variants: &[Variant]) -> Vec<Varied> {
    let setups = || variants.iter().map(|variant| &variant.setup);
    let mut names: Vec<&str> = Vec::new();
    let mut found: Vec<Varied> = Vec::new();
    for (name, _) in setups().flat_map(|setup| &setup.settings) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort_by_key(|name| LEADING.iter().position(|leading| leading == name).unwrap_or(LEADING.len()));
    let differs = |get: &dyn Fn(&Setup) -> String| {
        let values: Vec<String> = setups().map(get).collect();
        values.iter().any(|value| *value != values[0]).then_some(values)
    };
    let kinds = differs(&|setup| setup.get("model").unwrap_or_default().to_owned());
    let (mut sizes, mut own) = (0, None);
    for name in names {
        // Another kind of model has other sizes altogether: that is one thing.
        if kinds.is_some() && name != "model" && !name.starts_with("training.") {
            sizes += 1;
            continue;
        }
        let Some(values) = differs(&|setup| setup.get(name).unwrap_or("none").to_owned()) else { continue };
        if name.starts_with("shape of ") {
            // Of a model of one's own the shapes are known, not what made them.
            match &mut own {
                None => own = Some(Varied { name: name.to_owned(), values, along: Vec::new() }),
                Some(Varied { along, .. }) => along.push(name.to_owned()),
            }
            continue;
        }
        let one = Varied { name: name.to_owned(), values, along: Vec::new() };
        match found.iter().position(|leading| leading.explains(&one).is_some()) {
            Some(place) => {
                let said = found[place].explains(&one).unwrap_or_default();
                found[place].along.push(said);
            }
            None => found.push(one),
        }
    }
    if sizes > 0 {
        found.iter_mut().filter(|one| one.name == "model").for_each(|one| one.along.push("its sizes".to_owned()));
    }
    found.extend(own);
    let text = |place: usize| differs(&|setup: &Setup| setup.texts[place].said()).map(|values| (place, values));
    let texts = [0, 1].into_iter().filter_map(text);
    found.extend(texts.map(|(place, values)| Varied {
        name: [LEARNT_FROM, MEASURED_ON][place].to_owned(),
        values,
        along: Vec::new(),
    }));
    found
}

impl Text {
    fn said(self) -> String {
        format!("{} characters, checksum {:04x}", grouped(self.chars as i64), self.checksum & 0xffff)
    }
}

/// A variant from which every other one differs in one thing, and what that is, where not all differ in the same.
fn around(variants: &[Variant]) -> Option<(&Variant, Vec<String>)> {
    if variants.len() < 3 || differing(variants).len() < 2 {
        return None;
    }
    variants.iter().find_map(|base| {
        let others = variants.iter().filter(|other| other.name != base.name);
        let differences = others.map(|other| match &differing(&[base.clone(), other.clone()])[..] {
            [one] if one.name != MEASURED_ON => Some(format!("{} in {}", other.name, one.said())),
            _ => None,
        });
        Some((base, differences.collect::<Option<Vec<String>>>()?))
    })
}

/// One thing was varied, all else stayed.
fn varied(variants: &[Variant]) -> Vec<Rule> {
    let found = differing(variants);
    let each = around(variants).map(|(base, differences)| {
        let (base, list) = (&base.name, differences.join("; "));
        let said = format!(
            "each differs from {base} in one thing: {list}. So compare each with {base}, and not with one another"
        );
        vec![Rule::new(Kept::Yes, said)]
    });
    let all = || match &found[..] {
        _ if variants.len() < 2 => Vec::new(),
        [] => vec![Rule::new(
            Kept::No,
            "nothing that can be seen was varied: the same settings, the same text (what `forward` of a model of your own does can't be \
             seen)",
        )],
        [one] if one.name == MEASURED_ON => {
            vec![Rule::new(
                Kept::No,
                format!("{} was varied: two losses on different texts can't be compared", one.said()),
            )]
        }
        [one] => vec![Rule::new(Kept::Yes, format!("one thing was varied: {}", one.said()))],
        several => {
            let list: Vec<String> = several.iter().map(Varied::said).collect();
            let which = format!(
                "{} things were varied at once, so that none can be made responsible: {}",
                several.len(),
                list.join("; ")
            );
            vec![Rule::new(Kept::No, which)]
        }
    };
    let mut rules = each.unwrap_or_else(all);
    let mut parameters: Vec<String> = variants.iter().map(|variant| grouped(variant.parameters)).collect();
    parameters.dedup();
    if parameters.len() > 1 {
        let said = format!("also the number of parameters differs: {}", parameters.join(", "));
        rules.push(Rule::new(Kept::Mind, said));
    }
    if !found.iter().any(|one| [LEARNT_FROM, MEASURED_ON].contains(&one.name.as_str())) {
        let said = variants[0].setup.texts.map(|text| grouped(text.chars as i64));
        rules.push(Rule::new(
            Kept::Yes,
            format!("the same text: {} characters learnt from, {} measured on", said[0], said[1]),
        ));
    }
    rules
}

/// At least three points.
fn points(variants: &[Variant]) -> Vec<Rule> {
    vec![match variants.len() {
        1 => Rule::new(Kept::No, "1 variant: there is nothing to compare it with"),
        2 => {
            Rule::new(Kept::No, "2 variants: a difference, and no course yet; a third one would show which way it goes")
        }
        more => Rule::new(Kept::Yes, format!("{more} variants")),
    }]
}

/// Several seeds, the same ones for all, and used.
fn seeds(variants: &[Variant]) -> Vec<Rule> {
    let fewest = variants.iter().map(|variant| variant.losses.len()).min().unwrap_or(0);
    let mut rules = vec![match fewest {
        0 | 1 => Rule::new(
            Kept::No,
            "one seed has no error bar, so no difference can be believed: 0..3 instead of 0..1 measures three",
        ),
        2 => Rule::new(Kept::Mind, "2 seeds: with so few, the error bar is a rough guess itself; 0..5 measures five"),
        more => Rule::new(Kept::Yes, format!("{more} seeds")),
    }];
    if variants.iter().any(|variant| variant.setup.seeds != variants[0].setup.seeds) {
        rules.push(Rule::new(Kept::Mind, "not all variants have the same seeds"));
    }
    let alike =
        |variant: &&Variant| variant.losses.len() > 1 && variant.losses.iter().all(|loss| *loss == variant.losses[0]);
    if let Some(variant) = variants.iter().find(alike) {
        let said = format!(
            "all seeds of {} gave the very same loss: do the model and its training use the seed?",
            variant.name
        );
        rules.push(Rule::new(Kept::No, said));
    }
    rules
}

/// All learnt from the same number of characters.
fn lengths(variants: &[Variant]) -> Vec<Rule> {
    let chars: Vec<f64> = variants.iter().map(|variant| variant.setup.chars as f64).collect();
    let (least, most) =
        (chars.iter().copied().fold(f64::INFINITY, f64::min), chars.iter().copied().fold(0.0, f64::max));
    let said = |number: f64| grouped(number as i64);
    let by_the_clock = variants
        .iter()
        .any(|variant| variant.setup.get("training.length").is_some_and(|length| length.ends_with("seconds")));
    vec![if most - least <= 0.005 * most {
        Rule::new(Kept::Yes, format!("the same number of characters learnt from: {}", said(most)))
    } else if by_the_clock {
        let said = format!(
            "trained by the clock: the slowest learnt from {} characters, the fastest from {}. That is fair if time is what counts",
            said(least),
            said(most)
        );
        Rule::new(Kept::Mind, said)
    } else {
        Rule::new(Kept::No, format!("not the same number of characters learnt from: {} to {}", said(least), said(most)))
    }]
}

#[cfg(test)]
mod tests;
