//! Stopping: at the next step, or the compiler, or after a grace the process.
//!
//! The stop button makes a file appear that the library looks for at every step of a training or a generation. A
//! compiler that works for the cell is ended at once. A cell that doesn't listen is ended after a grace. One that has
//! heard says so by a second file, `stopping` beside the first, which it touches at least every second: it is waited for
//! as long as that file is fresh. Who doesn't want to wait presses again.

use crate::panics::lock;
use crate::platform::{children, stands_still};
use glasslab_wire::STOPPING;
use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a running cell may take to stop by itself, or to say that it has heard.
pub const GRACE: Duration = Duration::from_secs(3);
/// How long a word of its that it is stopping holds.
const FRESH: Duration = Duration::from_secs(2);
/// What comes sooner after a press is the same press (debounce).
const DOUBLE: Duration = Duration::from_millis(700);
/// How long a process that is to stand still is waited for: one that waits for another that stands still already does not come
/// to it.
const STANDING: Duration = Duration::from_millis(100);

/// Why a cell's process was ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cause {
    /// It did not hear the button.
    Deaf,
    /// It had heard, and then was silent.
    Stuck,
    /// The button was pressed again.
    Again,
}

#[derive(Default)]
struct State {
    /// The number of the job in work; 0: none.
    job: AtomicU64,
    queued: AtomicU64,
    /// Whether the cells' process is inside a cell.
    running: AtomicBool,
    asked: AtomicBool,
    /// When the button was pressed first, for the job in work.
    asked_at: Mutex<Option<Instant>>,
    /// Whether it was pressed again.
    again: AtomicBool,
    ended: Mutex<Option<Cause>>,
    /// The last of the cells' processes that was ended here.
    ended_child: AtomicU32,
    child: Mutex<Option<Arc<Mutex<Child>>>>,
    stop_file: Mutex<Option<PathBuf>>,
    /// Held while a job begins, ends or is to be stopped: in a race of a press with a job's end, the press is that job's, or
    /// nobody's.
    turn: Mutex<()>,
}

/// What is running, and how to stop it.
#[derive(Default, Clone)]
pub struct Interrupt(Arc<State>);

impl Interrupt {
    /// Where the file is to appear.
    pub fn set_stop_file(&self, file: PathBuf) {
        *lock(&self.0.stop_file) = Some(file);
    }

    /// Which process runs the cells.
    pub fn set_child(&self, child: Arc<Mutex<Child>>) {
        *lock(&self.0.child) = Some(child);
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
        let _turn = lock(&self.0.turn);
        self.remove_stop_file();
        *lock(&self.0.ended) = None;
        self.0.job.fetch_add(1, Ordering::SeqCst);
    }

    /// A job has ended; true if it was to be stopped.
    pub fn end(&self) -> bool {
        let _turn = lock(&self.0.turn);
        self.0.queued.fetch_sub(1, Ordering::SeqCst);
        self.remove_stop_file();
        self.0.job.fetch_add(1, Ordering::SeqCst);
        *lock(&self.0.asked_at) = None;
        self.0.again.store(false, Ordering::SeqCst);
        self.0.asked.swap(false, Ordering::SeqCst)
    }

    /// Whether the job in work is to be stopped.
    pub fn is_asked(&self) -> bool {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// Why the cells' process was ended here, if it was.
    pub fn has_ended_child(&self) -> Option<Cause> {
        *lock(&self.0.ended)
    }

    /// Whether a process of the cells' was ended for a job before this one.
    pub fn is_stray(&self, child: Option<u32>) -> bool {
        self.has_ended_child().is_none()
            && child.is_some_and(|child| self.0.ended_child.load(Ordering::SeqCst) == child)
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
        let child = lock(&self.0.child).clone()?;
        // evcxr holds the lock only while it starts a process anew or has found it dead.
        child.try_lock().ok().map(|child| child.id())
    }

    /// The person wants what runs to stop; `waits` is called if that takes longer because the cell says that it is stopping.
    pub fn stop(&self, waits: impl FnOnce() + Send + 'static) {
        let _turn = lock(&self.0.turn);
        if self.0.queued.load(Ordering::SeqCst) == 0 {
            return;
        }
        let first = *lock(&self.0.asked_at).get_or_insert_with(Instant::now);
        if self.0.asked.swap(true, Ordering::SeqCst) {
            // The first press is being followed up.
            self.0.again.fetch_or(first.elapsed() > DOUBLE, Ordering::SeqCst);
            return;
        }
        if let Some(file) = &*lock(&self.0.stop_file) {
            // Without the file the cell is ended after the grace.
            let _ = std::fs::write(file, "");
        }
        let (this, job) = (self.clone(), self.0.job.load(Ordering::SeqCst));
        std::thread::spawn(move || this.follow_up(job, GRACE, waits));
    }

    /// Ends compilers, and after the grace the cell, until the job is over.
    fn follow_up(&self, job: u64, grace: Duration, waits: impl FnOnce()) {
        let (asked_at, mut waits, mut has_heard) = (Instant::now(), Some(waits), false);
        loop {
            // No other job begins meanwhile, whose compilers would not be meant.
            let turn = lock(&self.0.turn);
            // Between two jobs the number is even: then there is nothing to end.
            if job.is_multiple_of(2) || self.0.job.load(Ordering::SeqCst) != job {
                return;
            }
            let is_stopping = self.is_stopping();
            has_heard |= is_stopping;
            let cause = match asked_at.elapsed() >= grace {
                _ if self.0.again.load(Ordering::SeqCst) => Some(Cause::Again),
                true if is_stopping => None,
                true => Some(if has_heard { Cause::Stuck } else { Cause::Deaf }),
                false => None,
            };
            match (self.child_id(), cause) {
                (Some(child), _) if !self.is_running() => end_processes(&compilers(Some(child))),
                (Some(child), Some(cause)) => {
                    // The process that follows the ended one has done nothing.
                    if lock(&self.0.ended).replace(cause).is_none() {
                        self.0.ended_child.store(child, Ordering::SeqCst);
                        end_processes(&[child]);
                    }
                    return;
                }
                (Some(_), None) if asked_at.elapsed() >= grace => {
                    if let Some(waits) = waits.take() {
                        waits();
                    }
                }
                _ => {}
            }
            drop(turn);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether the cell has said of late that it is stopping.
    fn is_stopping(&self) -> bool {
        let file = lock(&self.0.stop_file).as_ref().map(|file| file.with_file_name(STOPPING));
        let told = file.and_then(|file| std::fs::metadata(file).ok()?.modified().ok());
        told.is_some_and(|told| told.elapsed().unwrap_or_default() < FRESH)
    }

    /// Ends the cells' process and all compilers.
    pub fn end_all(&self) {
        let child = self.child_id();
        let mut all = compilers(None);
        all.extend(child);
        end_processes(&all);
    }

    fn remove_stop_file(&self) {
        if let Some(file) = &*lock(&self.0.stop_file) {
            let _ = std::fs::remove_file(file);
            let _ = std::fs::remove_file(file.with_file_name(STOPPING));
        }
    }
}

/// All processes below this one but the cells'.
fn compilers(child: Option<u32>) -> Vec<u32> {
    halted_below(std::process::id(), child)
}

/// All processes below one, but for one of them. They stand still from now on: one that went on might start another while
/// its end is under way, which nobody would find, and which would write where the next cell is compiled. So each stands still
/// before it is asked for those below it; one that would end in this race would leave them to nobody.
fn halted_below(process: u32, but: Option<u32>) -> Vec<u32> {
    let mut found = Vec::new();
    loop {
        let (mut begun, mut at) = (halt_new(process, but, &mut found), 0);
        while at < found.len() {
            begun |= halt_new(found[at], but, &mut found);
            at += 1;
        }
        if !begun {
            return found;
        }
    }
}

/// Halts what a process has started and adds it to what is found; true if there was something new.
fn halt_new(process: u32, but: Option<u32>, found: &mut Vec<u32>) -> bool {
    let mut new = children(process);
    new.retain(|process| Some(*process) != but && !found.contains(process));
    signal(&new, Signal::STOP);
    let begun = Instant::now();
    while !new.iter().all(|process| stands_still(*process)) && begun.elapsed() < STANDING {
        std::thread::sleep(Duration::from_millis(1));
    }
    found.extend(&new);
    !new.is_empty()
}

fn end_processes(processes: &[u32]) {
    signal(processes, Signal::KILL);
}

/// To processes below this one, which have not been waited for, so that their numbers are still their own.
fn signal(processes: &[u32], signal: Signal) {
    for process in processes.iter().filter_map(|process| Pid::from_raw(*process as i32)) {
        // One that has ended already is as good.
        let _ = kill_process(process, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell that waits, and the process that it starts.
    fn below_a_shell(script: &str) -> (Child, u32) {
        let shell = std::process::Command::new("sh").args(["-c", &format!("{script} & wait; :")]).spawn().unwrap();
        let first = loop {
            if let [first] = children(shell.id())[..] {
                break first;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        (shell, first)
    }

    #[test]
    fn the_processes_below_are_found_and_ended_but_for_the_cells() {
        let (mut kernel, cells) = below_a_shell("exec sleep 100");
        assert!(halted_below(kernel.id(), Some(cells)).is_empty());
        assert_eq!(halted_below(kernel.id(), None), [cells]);
        end_processes(&[cells]);
        assert!(kernel.wait().unwrap().success());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_ended_while_it_starts_others_leaves_none_behind() {
        // Nobody else sleeps for so long.
        let seconds = format!("100.{}", std::process::id());
        let name = format!("sleep\0{seconds}\0");
        let is_sleeper =
            |id: &u32| std::fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| line == name.as_bytes());
        let sleepers = || -> Vec<u32> {
            let processes = std::fs::read_dir("/proc").unwrap().flatten();
            processes.filter_map(|process| process.file_name().to_str()?.parse().ok()).filter(is_sleeper).collect()
        };
        for round in 0..20 {
            let (mut kernel, _) = below_a_shell(&format!("(for n in $(seq 300); do sleep {seconds} & done; wait)"));
            std::thread::sleep(Duration::from_millis(2 * round));
            end_processes(&halted_below(kernel.id(), None));
            kernel.wait().unwrap();
            // What was ended needs a moment to be gone; what was missed stays.
            let (begun, mut left) = (Instant::now(), sleepers());
            while !left.is_empty() && begun.elapsed() < Duration::from_secs(2) {
                std::thread::sleep(Duration::from_millis(20));
                left = sleepers();
            }
            end_processes(&left);
            assert!(left.is_empty(), "round {round}: {} are left", left.len());
        }
    }

    #[test]
    fn dropped_jobs_leave_the_next_one_stoppable() {
        let interrupt = Interrupt::default();
        (0..3).for_each(|_| interrupt.queued());
        interrupt.begin();
        interrupt.end();
        interrupt.dropped();
        interrupt.begin();
        interrupt.stop(|| {});
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
        interrupt.follow_up(job, Duration::ZERO, || {});
        assert_eq!(interrupt.has_ended_child(), Some(Cause::Deaf));
        assert!(!interrupt.is_stray(Some(first)));
        let mut dead = std::mem::replace(&mut *child.lock().unwrap(), sleep());
        assert!(!dead.wait().unwrap().success());
        interrupt.follow_up(job, Duration::ZERO, || {});
        assert!(child.lock().unwrap().try_wait().unwrap().is_none(), "the button was pressed twice");
        interrupt.end();
        interrupt.begin();
        assert!(interrupt.is_stray(Some(first)) && !interrupt.is_stray(Some(child.lock().unwrap().id())));
        child.lock().unwrap().kill().unwrap();
        child.lock().unwrap().wait().unwrap();
    }

    #[test]
    fn a_cell_that_says_that_it_is_stopping_is_waited_for_until_it_is_silent_or_the_button_is_pressed_again() {
        let folder = tempfile::tempdir().unwrap();
        let says = folder.path().join(STOPPING);
        for (again, cause) in [(false, Cause::Stuck), (true, Cause::Again)] {
            let child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
            let child = Arc::new(Mutex::new(child));
            let interrupt = Interrupt::default();
            interrupt.set_stop_file(folder.path().join("stop"));
            interrupt.set_child(child.clone());
            interrupt.queued();
            interrupt.begin();
            interrupt.set_running(true);
            std::fs::write(&says, "").unwrap();
            let job = interrupt.0.job.load(Ordering::SeqCst);
            let (waits, is_waited_for) = std::sync::mpsc::channel();
            std::thread::scope(|scope| {
                let ends = scope.spawn(|| interrupt.follow_up(job, Duration::ZERO, move || waits.send(()).unwrap()));
                is_waited_for.recv().unwrap();
                assert!(child.lock().unwrap().try_wait().unwrap().is_none());
                if again {
                    interrupt.0.again.store(true, Ordering::SeqCst);
                } else {
                    std::fs::File::open(&says).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
                }
                ends.join().unwrap();
            });
            assert_eq!(interrupt.has_ended_child(), Some(cause));
            assert!(!child.lock().unwrap().wait().unwrap().success());
            interrupt.end();
            assert!(!says.exists(), "the next cell has not heard yet");
        }
    }

    #[test]
    fn two_presses_at_once_are_one() {
        let interrupt = Interrupt::default();
        interrupt.queued();
        interrupt.begin();
        interrupt.stop(|| {});
        interrupt.stop(|| {});
        assert!(interrupt.is_asked() && !interrupt.0.again.load(Ordering::SeqCst));
        *lock(&interrupt.0.asked_at) = Instant::now().checked_sub(2 * DOUBLE);
        interrupt.stop(|| {});
        assert!(interrupt.0.again.load(Ordering::SeqCst));
        interrupt.end();
        assert!(!interrupt.0.again.load(Ordering::SeqCst));
    }

    #[test]
    fn a_press_that_comes_with_the_end_of_a_job_is_not_the_next_ones() {
        let (interrupt, done) = (Interrupt::default(), AtomicBool::new(false));
        let wrong = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    interrupt.stop(|| {});
                }
            });
            let wrong = (0..50_000).find(|_| {
                interrupt.queued();
                interrupt.begin();
                interrupt.end();
                (0..200).for_each(|_| std::hint::spin_loop());
                interrupt.is_asked()
            });
            done.store(true, Ordering::SeqCst);
            wrong
        });
        assert_eq!(wrong, None, "this job has ended, and none waits");
    }

    #[test]
    fn with_nothing_to_stop_nothing_is_stopped() {
        let interrupt = Interrupt::default();
        interrupt.stop(|| {});
        assert!(!interrupt.is_asked());
    }
}
