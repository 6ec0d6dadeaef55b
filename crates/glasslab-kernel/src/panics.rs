//! What a panic must not do here: end the thread that evaluates, or keep a lock (poison it) from all others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Does work of evcxr's or rust-analyzer's; nothing if it panics, which must not end this thread: all cells would wait for ever.
pub fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// Takes a lock, also one that a panic has left: nothing in this kernel is half done while it holds one.
pub fn lock<T: ?Sized>(place: &Mutex<T>) -> MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_what_is_looked_up_is_no_answer_and_no_end() {
        assert_eq!(caught(|| -> i32 { panic!("as rust-analyzer does") }), None);
        assert_eq!(caught(|| 3), Some(3));
        let place = Mutex::new(1);
        caught(|| {
            let mut held = lock(&place);
            *held = 2;
            panic!("while it holds a lock")
        });
        assert_eq!(*lock(&place), 2);
    }
}
