//! The table in which each exercise is written down.

/// One exercise as a table. It becomes a [`Judge`](super::judge::Judge) of the name in capitals:
///
/// ```text
/// exercise! {
///     NAME: what goes into the function => what comes out = name(its, arguments),
///     task: "What is to be written, with the shapes.",
///     hints: ["A nudge.", "More.", "Nearly the answer."],
///     input: |number, rng| makes input number 0, 1, …,
///     given: a pattern for the input, for all that follows,
///     reference: the right answer,
///     mistakes: {
///         "ends the sentence “It looks as if …”" => the answer of who has made this mistake,
///     },
/// }
/// ```
macro_rules! exercise {
    (
        $exercise:ident: $input:ty => $answer:ty = $name:ident($($argument:ident),*),
        task: $task:expr,
        hints: [$($hint:expr),* $(,)?],
        input: $make:expr,
        given: $given:pat_param,
        reference: $reference:expr,
        mistakes: { $($named:expr => $done:expr),* $(,)? } $(,)?
    ) => {
        // Not every answer needs all that is given.
        #[allow(unused_variables)]
        pub(super) static $exercise: $crate::check::judge::Judge<$input, $answer> = $crate::check::judge::Judge {
            exercise: $crate::check::exercise::Exercise {
                name: stringify!($name),
                task: $task,
                hints: [$($hint),*],
                reference: concat!(stringify!($name), "(", stringify!($($argument),*), ")"),
            },
            input: $make,
            reference: |$given: &$input| $reference,
            mistakes: &[$($crate::check::judge::Mistake { named: $named, done: |$given: &$input| $done }),*],
            judged: $crate::check::judge::Judge::judged,
        };
    };
}
pub(super) use exercise;
