//! Work shared among threads.

use std::sync::{Mutex, PoisonError};

/// Does each of these, the first ones first, on as many threads as libtorch computes with.
pub(crate) fn share<T: Send>(jobs: Vec<T>, work: impl Fn(T) + Sync) {
    let threads = jobs.len().min(tch::get_num_threads().max(1) as usize);
    let left = Mutex::new(jobs.into_iter());
    let some = || {
        while let Some(job) = { left.lock().unwrap_or_else(PoisonError::into_inner).next() } {
            work(job);
        }
    };
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| _ = scope.spawn(some));
        some();
    });
}
