//! What each system does in its own way. The rest of the kernel is the same everywhere.
//!
//! | | Linux | macOS (type-checked, never run) |
//! |---|---|---|
//! | the cells' process ends with the kernel | a signal of the system's | it looks five times a second whether its parent has changed |
//! | the processes below one | `/proc/N/task/*/children` | libproc |
//! | a process stands still after SIGSTOP | `/proc/N/task/*/stat` | the system doesn't tell |
//! | a cell waits for a typed line | `/proc/N/syscall` | the system doesn't tell: `ask(…)` asks, a bare `read_line` waits unseen until the cell is stopped |
//! | a datagram's room | 200 kB, and a sender waits for it | 2 kB unless more is asked for, and a sender is refused |

use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// Where the system's loader looks for libraries.
pub const LIBRARY_PATH: &str = if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };

/// Ends this process with the one that started it, however that ends.
pub fn end_with_parent() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    #[cfg(not(target_os = "linux"))]
    watch_parent();
}

/// For systems that send no signal: an orphan has another parent.
#[cfg(any(not(target_os = "linux"), test))]
fn watch_parent() {
    use rustix::process::{Signal, getpid, kill_process};
    use std::os::unix::process::parent_id;
    let parent = parent_id();
    std::thread::spawn(move || {
        while parent_id() == parent {
            std::thread::sleep(Duration::from_millis(200));
        }
        kill_process(getpid(), Signal::KILL)
    });
}

/// The processes that this one has started and not yet waited for.
#[cfg(target_os = "linux")]
pub fn children(process: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let lists = threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()).collect()
}

/// The processes that this one has started and not yet waited for.
#[cfg(not(target_os = "linux"))]
pub fn children(process: u32) -> Vec<u32> {
    let mut found = [0_i32; 4096];
    // SAFETY: fills no more than the array, whose size in bytes it is told.
    unsafe { libc::proc_listchildpids(process as i32, found.as_mut_ptr().cast(), size_of_val(&found) as i32) };
    found.into_iter().filter_map(|id| u32::try_from(id).ok()).take_while(|id| *id != 0).collect()
}

/// Whether all threads of a process stand still, after a signal that says so, or have ended.
#[cfg(target_os = "linux")]
pub fn stands_still(process: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let mut states = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
    // `7 (name) T …`, where the name may hold anything.
    states.all(|state| state.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['T', 't', 'Z', 'X'])))
}

/// The system does not tell.
#[cfg(not(target_os = "linux"))]
pub fn stands_still(_process: u32) -> bool {
    true
}

/// Whether the process waits in `read(0, …)`.
#[cfg(target_os = "linux")]
pub fn reads_input(process: u32) -> bool {
    let call = std::fs::read_to_string(format!("/proc/{process}/syscall")).unwrap_or_default();
    call.starts_with(&format!("{} 0x0 ", libc::SYS_read))
}

/// The system does not tell.
#[cfg(not(target_os = "linux"))]
pub fn reads_input(_process: u32) -> bool {
    false
}

/// Lets messages of up to 64 kB pass from one end to the other.
pub fn make_room(sender: &UnixDatagram, receiver: &UnixDatagram) -> io::Result<()> {
    set_socket_send_buffer_size(sender, 1 << 18)?;
    Ok(set_socket_recv_buffer_size(receiver, 1 << 18)?)
}

/// Sends a message, and waits for as long as there is no room for it: back-pressure, also where the system gives none.
pub fn send(socket: &UnixDatagram, message: &[u8]) -> io::Result<()> {
    loop {
        match socket.send(message) {
            Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {
                std::thread::sleep(Duration::from_millis(5))
            }
            sent => return sent.map(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};
    use std::time::Instant;

    #[test]
    fn a_process_that_watches_its_parent_ends_after_it() {
        const IS_CHILD: &str = "GLASSLAB_TEST_WATCHES";
        if std::env::var_os(IS_CHILD).is_some() {
            watch_parent();
            println!("watching");
            std::thread::sleep(Duration::from_secs(60));
            return;
        }
        // A shell starts this very test again, as the child that watches, and ends when its input does.
        let script =
            "\"$0\" --nocapture --exact platform::tests::a_process_that_watches_its_parent_ends_after_it & read line";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(std::env::current_exe().unwrap()).env(IS_CHILD, "1");
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(shell.stdout.take().unwrap());
        while !said.by_ref().lines().next().unwrap().unwrap().contains("watching") {}
        drop(shell.stdin.take());
        shell.wait().unwrap();
        // The child holds the shell's output open for as long as it lives.
        let (ended, mut rest) = (Instant::now(), String::new());
        said.read_to_string(&mut rest).unwrap();
        assert!(
            ended.elapsed() < Duration::from_secs(20) && !rest.contains("test result"),
            "it outlived its parent: {rest}"
        );
    }

    #[test]
    fn the_largest_message_passes_whole() {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        make_room(&sender, &receiver).unwrap();
        let message: Vec<u8> = (0..1 << 16).map(|at| (at % 251) as u8).collect();
        let sending = std::thread::spawn({
            let message = message.clone();
            // More than there is room for at once.
            move || (0..20).for_each(|_| send(&sender, &message).unwrap())
        });
        let mut buffer = vec![0; 1 << 17];
        for _ in 0..20 {
            let length = receiver.recv(&mut buffer).unwrap();
            assert!(buffer[..length] == message);
        }
        sending.join().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_waits_for_a_line_is_seen() {
        let mut reads = Command::new("sh").args(["-c", "read line"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut sleeps = Command::new("sleep").arg("60").stdin(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        assert!(reads_input(reads.id()) && !reads_input(sleeps.id()));
        for process in [&mut reads, &mut sleeps] {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}
