//! Stopping: at the next step, or the compiler, or after a grace the process.
//!
//! The stop button makes a file appear that the library looks for at every step of a training or a generation. A
//! compiler that works for the cell is ended at once. A cell that doesn't listen is ended after a grace.

use crate::platform::children;
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a running cell may take to stop by itself.
pub const GRACE: Duration = Duration::from_secs(3);

#[derive(Default)]
struct State {
    /// The number of the job in work; 0: none.
    job: AtomicU64,
    queued: AtomicU64,
    /// Whether the cells' process is inside a cell.
    running: AtomicBool,
    asked: AtomicBool,
    ended: AtomicBool,
    /// The last of the cells' processes that was ended here.
    ended_child: AtomicU32,
    child: Mutex<Option<Arc<Mutex<Child>>>>,
    stop_file: Mutex<Option<PathBuf>>,
}

/// What is running, and how to stop it.
#[derive(Default, Clone)]
pub struct Interrupt(Arc<State>);

impl Interrupt {
    /// Where the file is to appear.
    pub fn set_stop_file(&self, file: PathBuf) {
        set(&self.0.stop_file, file);
    }

    /// Which process runs the cells.
    pub fn set_child(&self, child: Arc<Mutex<Child>>) {
        set(&self.0.child, child);
    }

    /// A job waits.
    pub fn queued(&self) {
        self.0.queued.fetch_add(1, Ordering::SeqCst);
    }

    /// A waiting job will not be done.
    pub fn dropped(&self) {
        self.0.queued.fetch_sub(1, Ordering::SeqCst);
    }

    /// A job begins.
    pub fn begin(&self) {
        self.remove_stop_file();
        self.0.ended.store(false, Ordering::SeqCst);
        self.0.job.fetch_add(1, Ordering::SeqCst);
    }

    /// A job has ended; true if it was to be stopped.
    pub fn end(&self) -> bool {
        self.0.queued.fetch_sub(1, Ordering::SeqCst);
        self.remove_stop_file();
        self.0.job.fetch_add(1, Ordering::SeqCst);
        self.0.asked.swap(false, Ordering::SeqCst)
    }

    /// Whether the job in work is to be stopped.
    pub fn is_asked(&self) -> bool {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// Whether the cells' process was ended because it didn't listen.
    pub fn has_ended_child(&self) -> bool {
        self.0.ended.load(Ordering::SeqCst)
    }

    /// Whether a process of the cells' was ended for a job before this one.
    pub fn is_stray(&self, child: Option<u32>) -> bool {
        !self.has_ended_child() && child.is_some_and(|child| self.0.ended_child.load(Ordering::SeqCst) == child)
    }

    /// The cells' process is inside a cell, or is not any more.
    pub fn set_running(&self, running: bool) {
        self.0.running.store(running, Ordering::SeqCst);
    }

    /// Whether it is.
    pub fn is_running(&self) -> bool {
        self.0.running.load(Ordering::SeqCst)
    }

    /// The process that runs the cells.
    pub fn child_id(&self) -> Option<u32> {
        let child = self.0.child.lock().ok()?.clone()?;
        // evcxr holds the lock only while it starts a process anew or has found it dead.
        child.try_lock().ok().map(|child| child.id())
    }

    /// The person wants what runs to stop.
    pub fn stop(&self) {
        if self.0.queued.load(Ordering::SeqCst) == 0 {
            return;
        }
        self.0.asked.store(true, Ordering::SeqCst);
        if let Some(file) = self.0.stop_file.lock().ok().and_then(|file| file.clone()) {
            // Without the file the cell is ended after the grace.
            let _ = std::fs::write(file, "");
        }
        let (this, job) = (self.clone(), self.0.job.load(Ordering::SeqCst));
        std::thread::spawn(move || this.follow_up(job, GRACE));
    }

    /// Ends compilers, and after the grace the cell, until the job is over.
    fn follow_up(&self, job: u64, grace: Duration) {
        let asked_at = Instant::now();
        // Between two jobs the number is even: then there is nothing to end.
        while job % 2 == 1 && self.0.job.load(Ordering::SeqCst) == job {
            match self.child_id() {
                Some(child) if !self.is_running() => end_processes(&compilers(Some(child))),
                Some(child) if asked_at.elapsed() >= grace => {
                    // The button may be pressed twice; the process that follows the ended one has done nothing.
                    if !self.0.ended.swap(true, Ordering::SeqCst) {
                        self.0.ended_child.store(child, Ordering::SeqCst);
                        end_processes(&[child]);
                    }
                    return;
                }
                _ => {}
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the cells' process and all compilers.
    pub fn end_all(&self) {
        let child = self.child_id();
        let mut all = compilers(None);
        all.extend(child);
        end_processes(&all);
    }

    fn remove_stop_file(&self) {
        if let Some(file) = self.0.stop_file.lock().ok().and_then(|file| file.clone()) {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn set<T>(place: &Mutex<Option<T>>, value: T) {
    if let Ok(mut place) = place.lock() {
        *place = Some(value);
    }
}

/// All processes below this one but the cells'.
fn compilers(child: Option<u32>) -> Vec<u32> {
    let mut found = children(std::process::id());
    found.retain(|process| Some(*process) != child);
    let mut at = 0;
    while at < found.len() {
        found.extend(children(found[at]));
        at += 1;
    }
    found
}

fn end_processes(processes: &[u32]) {
    for process in processes {
        // SAFETY: a signal to a process below this one, which has not been waited for, so that its number is still its own.
        unsafe { libc::kill(*process as i32, libc::SIGKILL) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processes_below_are_found_and_ended_but_for_the_cells() {
        let mut compiler = std::process::Command::new("sh").args(["-c", "sleep 100; :"]).spawn().unwrap();
        let mut cells = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let found = compilers(Some(cells.id()));
        // Other tests have processes too.
        let mut ours = children(compiler.id());
        assert_eq!(ours.len(), 1);
        // First itself, or it might come to its own end before.
        ours.insert(0, compiler.id());
        assert!(ours.iter().all(|process| found.contains(process)) && !found.contains(&cells.id()));
        end_processes(&ours);
        assert!(!compiler.wait().unwrap().success());
        assert!(cells.try_wait().unwrap().is_none());
        cells.kill().unwrap();
        cells.wait().unwrap();
    }

    #[test]
    fn dropped_jobs_leave_the_next_one_stoppable() {
        let interrupt = Interrupt::default();
        (0..3).for_each(|_| interrupt.queued());
        interrupt.begin();
        interrupt.end();
        interrupt.dropped();
        interrupt.begin();
        interrupt.stop();
        assert!(interrupt.is_asked());
        assert_eq!(
            interrupt.0.job.load(Ordering::SeqCst) % 2,
            1,
            "follow_up looks for an odd number while a job is in work"
        );
        assert!(interrupt.end());
        assert!(!interrupt.is_asked());
    }

    #[test]
    fn a_job_ends_one_process_and_that_is_known_to_the_next_job() {
        let sleep = || std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let child = Arc::new(Mutex::new(sleep()));
        let first = child.lock().unwrap().id();
        let interrupt = Interrupt::default();
        interrupt.set_child(child.clone());
        interrupt.queued();
        interrupt.begin();
        interrupt.set_running(true);
        let job = interrupt.0.job.load(Ordering::SeqCst);
        interrupt.follow_up(job, Duration::ZERO);
        assert!(interrupt.has_ended_child() && !interrupt.is_stray(Some(first)));
        let mut dead = std::mem::replace(&mut *child.lock().unwrap(), sleep());
        assert!(!dead.wait().unwrap().success());
        interrupt.follow_up(job, Duration::ZERO);
        assert!(child.lock().unwrap().try_wait().unwrap().is_none(), "the button was pressed twice");
        interrupt.end();
        interrupt.begin();
        assert!(interrupt.is_stray(Some(first)) && !interrupt.is_stray(Some(child.lock().unwrap().id())));
        child.lock().unwrap().kill().unwrap();
        child.lock().unwrap().wait().unwrap();
    }

    #[test]
    fn with_nothing_to_stop_nothing_is_stopped() {
        let interrupt = Interrupt::default();
        interrupt.stop();
        assert!(!interrupt.is_asked());
    }
}
