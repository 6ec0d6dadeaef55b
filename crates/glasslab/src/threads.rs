//! Work shared among threads.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// To go through so many numbers is worth a thread.
pub(crate) const WORTH: usize = 1 << 15;

/// Does each of these, the first ones first, on as many threads as libtorch computes with; on fewer, if all jobs together go through
/// few `numbers`.
pub(crate) fn share<T: Send>(jobs: Vec<T>, numbers: usize, work: impl Fn(T) + Sync) {
    let most = (tch::get_num_threads().max(1) as usize).min(numbers / WORTH);
    let threads = jobs.len().min(most);
    let left = Mutex::new(jobs.into_iter());
    let some = || {
        while let Some(job) = { left.lock().unwrap_or_else(PoisonError::into_inner).next() } {
            work(job);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // Where the system gives no more threads, those that are there do the rest.
            let _ = thread::Builder::new().spawn_scoped(scope, some);
        }
        some();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_done_once_however_much_it_is() {
        for numbers in [0, WORTH, 3 * WORTH] {
            let mut done = vec![0; 50];
            share(done.iter_mut().enumerate().collect(), numbers, |(place, done)| *done += place);
            assert!(done.iter().enumerate().all(|(place, &done)| done == place), "{done:?}");
        }
    }
}
