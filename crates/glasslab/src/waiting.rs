//! How libtorch's threads wait for each other, by the load of the machine.
//!
//! Between two operations libtorch's threads, which are libgomp's, spin: on a quiet machine the next operation begins
//! a few microseconds sooner. Where others compute too, a thread that spins holds the processor that the thread it
//! waits for needs, and a training takes up to ten times as long (docs/performance.md). libgomp itself knows the mend:
//! while it has more threads than there are processors, each goes to sleep as soon as it waits (`GOMP_SPINCOUNT` in its
//! manual). So while others compute, idle threads are kept.
//!
//! How many threads compute stays as it was, and with it the order of every sum: a seed gives the same numbers,
//! whatever runs beside.

/// While it lives, libtorch's threads wait as the load of the machine asks for. A person's own `OMP_WAIT_POLICY` or
/// `GOMP_SPINCOUNT` is left alone.
///
/// Only Linux tells the load in this way, and only libgomp listens; elsewhere nothing is done.
#[derive(Debug)]
pub(crate) struct Waiting {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    _watcher: Option<crate::helper::Helper>,
}

impl Waiting {
    /// For the computation that begins now, in this thread.
    pub(crate) fn by_load() -> Waiting {
        Waiting {
            #[cfg(all(target_os = "linux", target_env = "gnu"))]
            _watcher: by_load::watch(),
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod by_load {
    use crate::helper::Helper;
    use std::sync::mpsc::RecvTimeoutError;
    use std::time::{Duration, Instant};
    use tch::{Device, Kind, Tensor};

    /// Looks at the load again and again; `None` where there is nothing to choose.
    pub(super) fn watch() -> Option<Helper> {
        let threads = tch::get_num_threads();
        let chosen = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"].iter().any(|name| std::env::var_os(name).is_some());
        if threads < 2 || chosen {
            return None;
        }
        Helper::start(move |end| {
            let Some(processors) = processors() else { return };
            // The system counts idle time in hundredths of a second for each processor.
            let pause = Duration::from_millis(25 * processors.len().min(16) as u64);
            let (mut before, mut crowd) = (Load::now(&processors), None);
            while end.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let now = Load::now(&processors);
                let (Some(from), Some(to)) = (before, now) else { return };
                let others = to.others_since(from, processors.len());
                match should_sleep(crowd.is_some(), others, threads as usize, processors.len()) {
                    true => crowd = crowd.or_else(|| idle_threads(processors.len())),
                    false => crowd = None,
                }
                before = now;
            }
        })
    }

    /// Whether threads should go to sleep as soon as they wait: if others take half a processor of those that
    /// `threads` need; and then until it is less than a quarter.
    fn should_sleep(asleep: bool, others: f64, threads: usize, processors: usize) -> bool {
        others + threads as f64 - processors as f64 > if asleep { 0.25 } else { 0.5 }
    }

    /// Threads of libgomp that do nothing: with any two others, more than there are processors.
    fn idle_threads(processors: usize) -> Option<Helper> {
        Helper::start(move |end| {
            // libgomp makes a thread's helpers at its first operation that is large enough for two, and keeps them while it lives.
            let usual = tch::get_num_threads();
            let other = usual != processors as i32;
            if other {
                tch::set_num_threads(processors as i32);
            }
            let _ = Tensor::f_ones([1 << 16], (Kind::Uint8, Device::Cpu));
            if other {
                tch::set_num_threads(usual); // libtorch gives it to threads to come
            }
            let _ = end.recv();
        })
    }

    /// The processors that this process may use, by number.
    fn processors() -> Option<Vec<usize>> {
        // SAFETY: a set of bits, for which zeros are a value; the call fills it up to its size.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            let done = libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) == 0;
            done.then(|| (0..libc::CPU_SETSIZE as usize).filter(|number| libc::CPU_ISSET(*number, &set)).collect())
        }
    }

    /// What has been done so far, in seconds.
    #[derive(Debug, Clone, Copy)]
    struct Load {
        at: Instant,
        /// By no one, summed over the processors.
        idle: f64,
        /// By this process.
        own: f64,
    }

    impl Load {
        fn now(processors: &[usize]) -> Option<Load> {
            let idle = idle(&std::fs::read_to_string("/proc/stat").ok()?, processors)?;
            let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: the call fills what it is given.
            let done = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) } == 0;
            let own = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
            done.then(|| Load { at: Instant::now(), idle, own })
        }

        /// How many processors others kept busy, on average.
        fn others_since(&self, before: Load, processors: usize) -> f64 {
            let seconds = self.at.duration_since(before.at).as_secs_f64();
            processors as f64 - (self.idle - before.idle + self.own - before.own) / seconds.max(1e-9)
        }
    }

    /// The idle seconds of these processors in the text of `/proc/stat`: of each line `cpuN user nice system idle
    /// iowait …`, in hundredths, the fourth and the fifth number.
    fn idle(stat: &str, processors: &[usize]) -> Option<f64> {
        let mut hundredths = 0;
        for line in stat.lines().skip(1) {
            let Some((number, times)) = line.strip_prefix("cpu").and_then(|line| line.split_once(' ')) else { break };
            if processors.contains(&number.parse().ok()?) {
                for time in times.split(' ').skip(3).take(2) {
                    hundredths += time.parse::<u64>().ok()?;
                }
            }
        }
        Some(hundredths as f64 / 100.0)
    }

    #[cfg(test)]
    mod tests {
        use super::super::Waiting;
        use super::*;
        use std::process::{Child, Command};

        #[test]
        fn threads_sleep_where_others_need_their_processors_and_no_sooner() {
            let asleep = |others, threads, processors| should_sleep(false, others, threads, processors);
            assert!(asleep(1.0, 2, 2) && asleep(6.0, 4, 8), "one program more than there is room for");
            assert!(!asleep(0.0, 2, 2) && !asleep(0.3, 2, 2), "alone, and beside a browser");
            assert!(!asleep(4.0, 4, 8), "room for both");
            assert!(
                should_sleep(true, 0.3, 2, 2) && !should_sleep(true, 0.1, 2, 2),
                "what is between leaves it as it is"
            );
        }

        #[test]
        fn what_others_take_is_neither_idle_nor_our_own() {
            let stat = "cpu  9 9 9 9 9\ncpu0 10 0 5 300 20 0 3 0 0 0\ncpu1 7 7 7 100 0 0 0 0 0 0\ncpu10 1 1 1 5 5 0 0 0 0 0\nintr 99 1";
            assert_eq!(idle(stat, &[0, 1]), Some(4.2));
            assert_eq!(idle(stat, &[10]), Some(0.1));
            let at = Instant::now();
            let before = Load { at, idle: 1.0, own: 5.0 };
            let after = Load { at: at + Duration::from_millis(100), idle: 1.05, own: 5.04 };
            assert!((after.others_since(before, 2) - 1.1).abs() < 1e-9);
        }

        /// Whether a thread spins when an operation is over: half a millisecond and more of a processor, for nothing.
        fn spins() -> bool {
            let own = || Load::now(&[]).unwrap().own;
            let mut burnt: Vec<f64> = (0..11)
                .map(|_| {
                    let _ = Tensor::ones([1 << 16], (Kind::Uint8, Device::Cpu));
                    let before = own();
                    std::thread::sleep(Duration::from_millis(20));
                    own() - before
                })
                .collect();
            burnt.sort_by(f64::total_cmp);
            burnt[5] > 4e-4
        }

        fn wait_until(what: &str, condition: impl Fn() -> bool) {
            let begun = Instant::now();
            while !condition() {
                assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
            }
        }

        struct Busy(Child);

        impl Drop for Busy {
            fn drop(&mut self) {
                let _ = (self.0.kill(), self.0.wait());
            }
        }

        /// In a process of its own: other tests have threads of libgomp, too.
        #[test]
        fn beside_a_busy_process_threads_sleep_as_soon_as_they_wait() {
            const ALONE: &str = "GLASSLAB_TEST_ALONE";
            if std::env::var_os(ALONE).is_none() {
                let mut alone = Command::new(std::env::current_exe().unwrap());
                alone.args(["beside_a_busy_process", "--nocapture"]).env(ALONE, "1").env("OMP_NUM_THREADS", "2");
                let answer = alone.env_remove("OMP_WAIT_POLICY").env_remove("GOMP_SPINCOUNT").output().unwrap();
                let told = String::from_utf8_lossy(&answer.stdout) + String::from_utf8_lossy(&answer.stderr);
                assert!(answer.status.success() && told.contains("1 passed"), "{told}");
                return;
            }
            let processors = processors().unwrap().len();
            if processors < 2 {
                return; // libgomp lets its threads sleep
            }
            wait_until("by itself, a thread spins", spins);
            let crowd = idle_threads(processors);
            wait_until("beside idle threads it sleeps", || !spins());
            drop(crowd);
            wait_until("without them it spins", spins);
            let shell = || Busy(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap());
            let busy: Vec<Busy> = (0..processors).map(|_| shell()).collect();
            let waiting = Waiting::by_load();
            wait_until("beside busy processes it sleeps", || !spins());
            drop((waiting, busy));
            wait_until("when the computation is over, it spins", spins);
        }
    }
}
