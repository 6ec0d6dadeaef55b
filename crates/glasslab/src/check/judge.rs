//! Calling a learner's function, and finding out what it did.

use super::answer::{Answer, Difference, InWords};
use super::exercise::Exercise;
use super::kept::{self, KeptAnswers};
use super::verdict::{Outcome, Verdict};
use crate::rng::Rng;
use std::any::Any;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Mutex};
use std::thread;

/// Inputs that are tried.
const INPUTS: usize = 6;

/// The learner's function, of one input.
pub(super) type Given<'a, I, A> = &'a dyn Fn(&I) -> A;

/// A well-known mistake: what to say, and the function that one has then written.
pub struct Mistake<I, A> {
    /// Ends the sentence "It looks as if …".
    pub named: &'static str,
    /// The mistake, done on purpose. It may panic where the function that it stands for would.
    pub done: fn(&I) -> A,
}

/// What a function is compared with.
pub struct Judge<I: 'static, A: 'static> {
    /// The exercise.
    pub exercise: Exercise,
    /// Makes input number 0, 1, …, out of a generator of the check's seed. It is called anew for each function, so that one
    /// that changes its input in place can't change what it is compared with.
    pub input: fn(usize, &mut Rng) -> I,
    /// The right function.
    pub reference: fn(&I) -> A,
    /// What people often write instead.
    pub mistakes: &'static [Mistake<I, A>],
    /// [`Judge::judged`] for these types: named here, it is compiled here once, and not in each cell that checks.
    pub judged: fn(&Self, Given<'_, I, A>) -> Verdict,
}

impl<I, A> Judge<I, A> {
    /// Calls a learner's function on every input, and says what it did.
    pub fn judge(&self, f: Given<'_, I, A>) -> Verdict {
        (self.judged)(self, f)
    }
}

/// A judge, whatever it compares.
pub trait AnyJudge: Sync {
    /// The exercise.
    fn exercise(&self) -> &Exercise;

    /// Judges what a function gave elsewhere, to the inputs of a seed.
    fn judge_kept(&self, seed: u64, kept: &KeptAnswers) -> Verdict;

    /// With the inputs of a seed: whether the reference is refused, and which mistakes are not.
    #[cfg(test)]
    fn faults(&self, seed: u64) -> Vec<String>;

    /// The right answers to the inputs of a seed, as a check keeps them.
    #[cfg(test)]
    fn rote(&self, seed: u64) -> KeptAnswers;
}

impl<I: InWords, A: Answer> AnyJudge for Judge<I, A> {
    fn exercise(&self) -> &Exercise {
        &self.exercise
    }

    fn judge_kept(&self, seed: u64, kept: &KeptAnswers) -> Verdict {
        let answers: Option<Vec<A>> = kept.answers.iter().map(A::read).collect();
        let whole = |count: usize| if kept.stopped.is_some() { count < INPUTS } else { count == INPUTS };
        match answers.filter(|answers| whole(answers.len())) {
            Some(answers) => self.verdict(|| self.compared(seed, &answers, kept.stopped.clone())),
            None => self.verdict(|| Outcome::Unfit {
                message: "What was kept of it are no answers of this exercise.".to_owned(),
            }),
        }
    }

    #[cfg(test)]
    fn faults(&self, seed: u64) -> Vec<String> {
        let refused = |f: Given<'_, I, A>| !self.verdict(|| self.outcome(seed, f)).is_right();
        let reference = refused(&self.reference).then(|| format!("{}, seed {seed}: the reference", self.exercise.name));
        let passing = self.mistakes.iter().filter(|mistake| !refused(&mistake.done));
        let passing = passing.map(|mistake| format!("{}, seed {seed}: {}", self.exercise.name, mistake.named));
        reference.into_iter().chain(passing).collect()
    }

    #[cfg(test)]
    fn rote(&self, seed: u64) -> KeptAnswers {
        let _guard = tch::no_grad_guard();
        self.kept(seed, &self.reference)
    }
}

impl<I: InWords, A: Answer> Judge<I, A> {
    fn make(&self, seed: u64, number: usize) -> I {
        // Of seed 0, the generators are those of 0, 1, 2, …; the streams of two seeds have nothing in common.
        let start = if seed == 0 { 0 } else { Rng::new(seed).bits() };
        (self.input)(number, &mut Rng::new(start.wrapping_add(number as u64)))
    }

    /// The same, compiled where the exercise stands.
    pub fn judged(&self, f: Given<'_, I, A>) -> Verdict {
        self.verdict(|| self.outcome(kept::seed(), f))
    }

    fn verdict(&self, outcome: impl FnOnce() -> Outcome) -> Verdict {
        let _guard = tch::no_grad_guard();
        // What it tries itself may fail, too: a reference that panics would be a fault of ours.
        let outcome = catch_unwind(AssertUnwindSafe(outcome)).unwrap_or_else(|panic| Outcome::Panicked {
            input: "(none)".to_owned(),
            message: format!("the check itself failed, which is not your fault: {}", message(&*panic)),
            named: None,
        });
        Verdict { exercise: self.exercise, outcome, note: None }
    }

    fn outcome(&self, seed: u64, f: Given<'_, I, A>) -> Outcome {
        let (answers, stopped) = self.asked(seed, f);
        kept::keep(|| self.noted(&answers, stopped.clone()));
        self.compared(seed, &answers, stopped)
    }

    /// The function's answers, and what it said if it stopped before the last one.
    fn asked(&self, seed: u64, f: Given<'_, I, A>) -> (Vec<A>, Option<String>) {
        let mut answers = Vec::with_capacity(INPUTS);
        for number in 0..INPUTS {
            let input = self.make(seed, number);
            match quietly(|| f(&input)) {
                Ok(answer) => answers.push(answer),
                Err(message) => return (answers, Some(message)),
            }
        }
        (answers, None)
    }

    fn noted(&self, answers: &[A], stopped: Option<String>) -> KeptAnswers {
        let exercise = self.exercise.name.to_owned();
        KeptAnswers { exercise, answers: answers.iter().map(A::kept).collect(), stopped }
    }

    /// What a function gives, as a check keeps it.
    #[cfg(test)]
    pub fn kept(&self, seed: u64, f: Given<'_, I, A>) -> KeptAnswers {
        let (answers, stopped) = self.asked(seed, f);
        self.noted(&answers, stopped)
    }

    fn compared(&self, seed: u64, answers: &[A], stopped: Option<String>) -> Outcome {
        match stopped {
            Some(message) if is_unwritten(&message) => return Outcome::NotWritten,
            Some(message) => {
                let input = self.make(seed, answers.len()).shown();
                return Outcome::Panicked { input, message, named: self.named(seed, answers, |_| true) };
            }
            None => {}
        }
        let mut first = None;
        for (number, answer) in answers.iter().enumerate() {
            let input = self.make(seed, number);
            if let Some(place) = answer.difference(&(self.reference)(&input)) {
                first = first.or(Some(Difference { input: input.shown(), place }));
            }
        }
        let Some(difference) = first else { return Outcome::Right { inputs: INPUTS } };
        // A mistake that makes everything infinite on one input may be another one on all the rest.
        let finite: Vec<bool> = answers.iter().map(Answer::is_finite).collect();
        let on_the_rest =
            || if finite.contains(&false) { self.named(seed, answers, |number| finite[number]) } else { None };
        match self.named(seed, answers, |_| true).or_else(on_the_rest) {
            Some(named) => Outcome::Mistake { named, difference },
            None => Outcome::Different { difference },
        }
    }

    /// The mistake that gives exactly these answers to the inputs that count.
    fn named(&self, seed: u64, answers: &[A], counts: impl Fn(usize) -> bool) -> Option<&'static str> {
        let seen = |mistake: &&Mistake<I, A>| self.is_seen(seed, mistake, answers, &counts);
        self.mistakes.iter().find(seen).map(|mistake| mistake.named)
    }

    /// Whether a mistake gives exactly these answers, on at least one input not the right ones. Where the function stopped
    /// before the last input, it is enough that the mistake stops there as well: a shape that it can't take is wrong, too.
    fn is_seen(&self, seed: u64, mistake: &Mistake<I, A>, answers: &[A], counts: impl Fn(usize) -> bool) -> bool {
        let done = |number: usize| quietly(|| (mistake.done)(&self.make(seed, number)));
        let mut wrong = (1..INPUTS).contains(&answers.len()) && done(answers.len()).is_err();
        for (number, answer) in answers.iter().enumerate().filter(|(number, _)| counts(*number)) {
            if done(number).map_or(true, |done| answer.difference(&done).is_some()) {
                return false;
            }
            wrong |= answer.difference(&(self.reference)(&self.make(seed, number))).is_some();
        }
        wrong
    }
}

/// `todo!()` and `unimplemented!()` say so.
fn is_unwritten(message: &str) -> bool {
    message.starts_with("not yet implemented") || message.starts_with("not implemented")
}

/// Held while the panic hook is a silent one: two checks must not put back each other's.
static HOOK: Mutex<()> = Mutex::new(());

/// Calls `f`; a panic becomes its message, and prints nothing.
pub(super) fn quietly<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;
    let Ok(held) = HOOK.try_lock() else {
        // Another check is at it, perhaps the one that has called this function: it puts the hook back.
        return catch_unwind(AssertUnwindSafe(f)).map_err(|panic| message(&*panic));
    };
    let checked = thread::current().id();
    let usual: Arc<Hook> = Arc::new(take_hook());
    let others = usual.clone();
    set_hook(Box::new(move |info| {
        if thread::current().id() != checked {
            others(info);
        }
    }));
    let answer = catch_unwind(AssertUnwindSafe(f));
    drop(take_hook());
    match Arc::try_unwrap(usual) {
        Ok(usual) => set_hook(usual),
        Err(shared) => set_hook(Box::new(move |info| shared(info))), // another thread is panicking right now
    }
    drop(held);
    answer.map_err(|panic| message(&*panic))
}

/// What a panic said, without libtorch's call stack.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.as_str(),
        (_, Some(text)) => text,
        _ => "a panic without a message",
    };
    let text = text.replace("\\n", "\n");
    let end = text.find("\nException raised from").unwrap_or(text.len());
    let text = text[..end].trim();
    // The library's errors are sentences; tch's, which it unwraps itself, have a form that is not for reading.
    let text = text.strip_prefix("called `Result::unwrap()` on an `Err` value: ").unwrap_or(text);
    let torch = text.strip_prefix("Torch(\"");
    torch.map_or_else(|| text.to_owned(), |said| format!("libtorch: {}", said.trim_end_matches("\")")))
}

/// Fails unless a verdict names the mistake by these words.
#[cfg(test)]
pub fn named(verdict: Verdict, words: &str) {
    let said = match &verdict.outcome {
        Outcome::Mistake { named, .. } | Outcome::Panicked { named: Some(named), .. } => *named,
        _ => "nothing",
    };
    assert!(said.contains(words), "{words}: {verdict}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use tch::Tensor;

    fn outcome(f: impl Fn(&Tensor) -> Tensor) -> Outcome {
        check::relu(f).outcome
    }

    #[test]
    fn what_is_not_written_is_told_as_that() {
        assert_eq!(outcome(|_| todo!()), Outcome::NotWritten);
        assert_eq!(outcome(|_| todo!("your turn")), Outcome::NotWritten);
        assert_eq!(outcome(|_| unimplemented!()), Outcome::NotWritten);
    }

    #[test]
    fn a_panic_is_a_verdict_with_libtorchs_sentence_and_no_call_stack() {
        let said = check::relu(|x| x.matmul(&x.unsqueeze(0).unsqueeze(0).view([1, -1]))).to_string();
        assert!(said.contains("Your function stopped with: libtorch: "), "{said}");
        assert!(said.contains("for the input: a tensor of shape") && !said.contains("frame #"), "{said}");
        let said = check::relu(|_| panic!("on purpose")).to_string();
        assert!(said.contains("on purpose"), "{said}");
    }

    #[test]
    fn a_panic_that_comes_late_is_named_by_the_answers_before_it_or_by_a_mistake_that_stops_there_too() {
        // Right for tables, and a batch of one hides nothing; a batch of two stops it.
        let by_the_first_axis = |scores: &Tensor| {
            let time = scores.size()[0];
            let future = Tensor::ones([time, time], (tch::Kind::Bool, tch::Device::Cpu)).triu(1);
            scores.masked_fill(&future, f64::NEG_INFINITY)
        };
        let verdict = check::causal_mask(by_the_first_axis);
        assert!(matches!(verdict.outcome, Outcome::Panicked { .. }), "{verdict}");
        named(verdict, "size()[0]");
        let untold = check::relu(|x| if x.size()[0] < 4 { x + 7.0 } else { panic!("enough") });
        assert!(matches!(untold.outcome, Outcome::Panicked { named: None, .. }), "{untold}");
    }

    #[test]
    fn what_libtorch_says_of_gradients_and_axes_is_explained() {
        let said = check::scores(|queries, keys| queries.matmul(&keys.tr())).to_string();
        assert!(said.contains("x.transpose(-2, -1)"), "{said}");
    }

    #[test]
    fn a_function_that_changes_its_input_is_compared_with_the_input_as_it_was() {
        assert!(matches!(outcome(|x| x.shallow_clone().fill_(0.0)), Outcome::Different { .. }));
        assert!(matches!(outcome(|x| x.shallow_clone().relu_()), Outcome::Right { .. }));
    }

    #[test]
    fn a_check_inside_of_a_check_neither_hangs_nor_crashes() {
        let inner = |x: &Tensor| {
            assert!(!check::relu(|_| panic!("inside")).is_right());
            x.relu()
        };
        assert!(check::relu(inner).is_right());
    }

    #[test]
    fn one_function_always_gets_one_verdict() {
        assert_eq!(outcome(|x| x * 2.0), outcome(|x| x * 2.0));
    }
}
