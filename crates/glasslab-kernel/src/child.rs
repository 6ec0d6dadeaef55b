//! The process that runs the cells.
//!
//! It speaks evcxr's protocol in the place of evcxr's own runtime: evcxr sends `LOAD_AND_RUN library function`,
//! and waits for a line that says that it ran. What is different:
//!
//! - standard output and error are sockets to the kernel, so that text and pictures come when they happen;
//! - the library, and libtorch with it, is loaded before the first cell asks for it;
//! - after a cell, text without a newline is flushed, and evcxr hears of the end only when the kernel has read everything;
//! - between cells, it listens for sliders;
//! - it ends with the kernel, however that ends.

use crate::link::{DESCRIPTORS, PRELOAD};
use crate::platform;
use anyhow::{Context, Result, bail};
use glasslab_wire::{FromCell, MARK, ToCell, frame};
use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL, Symbol};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{RecvFlags, recv};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use std::ffi::c_void;
use std::fs::File;
use std::io::{Read, Write, stderr, stdin, stdout};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;

/// Set by evcxr in the process that it starts for the cells.
const IS_RUNTIME: &str = "EVCXR_IS_RUNTIME";
const DONE: &str = "EVCXR_EXECUTION_COMPLETE\n";

/// Whether this process is to run cells for glasslab's own kernel.
pub fn is_wanted() -> bool {
    std::env::var_os(IS_RUNTIME).is_some() && std::env::var_os(DESCRIPTORS).is_some()
}

/// Runs cells until evcxr closes its pipe.
pub fn run() -> Result<()> {
    platform::end_with_parent();
    // SAFETY: changes how this process takes a signal. Ctrl-C on the terminal is for the kernel, which will say what it means.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    let mut child = Child::new()?;
    child.serve()
}

/// What the library offers to this program; see its `hooks`.
struct Hooks {
    flush: Symbol<extern "C" fn()>,
    message: Symbol<unsafe extern "C" fn(*const u8, usize)>,
    idle: Symbol<extern "C" fn()>,
    _library: ManuallyDrop<Library>,
}

impl Hooks {
    /// Loads the library; without it, cells run too, but what they show is not live.
    fn load() -> Option<Hooks> {
        let path = std::env::var_os(PRELOAD)?;
        // SAFETY: the library was built from this project; loading it runs libtorch's initialisers.
        unsafe {
            let library = ManuallyDrop::new(Library::open(Some(path), RTLD_LAZY | RTLD_LOCAL).ok()?);
            let begin: Symbol<extern "C" fn()> = library.get(b"glasslab_begin").ok()?;
            begin();
            Some(Hooks {
                flush: library.get(b"glasslab_flush").ok()?,
                message: library.get(b"glasslab_message").ok()?,
                idle: library.get(b"glasslab_idle").ok()?,
                _library: library,
            })
        }
    }
}

struct Child {
    mark: String,
    commands: File,
    to_evcxr: File,
    control: ManuallyDrop<UnixDatagram>,
    hooks: Option<Hooks>,
    variables: *mut c_void,
    cells: u64,
}

impl Child {
    fn new() -> Result<Child> {
        let mark = std::env::var(MARK).context("the kernel's mark is missing")?;
        let names = std::env::var(DESCRIPTORS)?;
        let theirs: Vec<RawFd> = names.split(',').filter_map(glasslab_wire::number_of).collect();
        let &[output, errors, input] = &theirs[..] else { bail!("expected the kernel's three sockets, got {names}") };
        let control = glasslab_wire::control().context("the kernel's socket for messages is not there")?;
        // evcxr's pipes are copied, then the kernel's sockets take their places.
        let commands = File::from(fcntl_dupfd_cloexec(stdin(), 10).context("evcxr's pipe is not there")?);
        let to_evcxr = File::from(fcntl_dupfd_cloexec(stdout(), 10).context("evcxr's pipe is not there")?);
        // SAFETY: they are open, the very ones that the kernel has made for this process, and nothing else in it has used them yet.
        let [input, output, errors] = [input, output, errors].map(|socket| unsafe { OwnedFd::from_raw_fd(socket) });
        let are_taken = dup2_stdin(input).and_then(|()| dup2_stdout(output)).and_then(|()| dup2_stderr(errors));
        are_taken.context("the kernel's sockets are not there")?;
        control.set_nonblocking(true)?;
        // What was meant for a process before this one.
        while control.recv(&mut [0; 16]).is_ok() {}
        while recv(stdin(), &mut [0; 256], RecvFlags::DONTWAIT).is_ok_and(|(_, length)| length > 0) {}
        Ok(Child { mark, commands, to_evcxr, control, hooks: Hooks::load(), variables: std::ptr::null_mut(), cells: 0 })
    }

    fn serve(&mut self) -> Result<()> {
        let mut pending = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let (command, message) = wait(&self.commands, &*self.control)?;
            if message {
                self.listen();
            }
            if command {
                let length = self.commands.read(&mut buffer)?;
                if length == 0 {
                    return Ok(());
                }
                pending.extend_from_slice(&buffer[..length]);
                while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = pending.drain(..=end).collect();
                    self.execute(String::from_utf8_lossy(&line).trim())?;
                }
            }
        }
    }

    fn execute(&mut self, command: &str) -> Result<()> {
        let ["LOAD_AND_RUN", library, function] = command.split(' ').collect::<Vec<_>>()[..] else {
            bail!("evcxr sends what this kernel does not know: {command}");
        };
        self.cells += 1;
        let number = (u64::from(std::process::id()) << 32) + self.cells;
        write_to(stdout(), &frame(&self.mark, &FromCell::Begun));
        // SAFETY: the library holds code that evcxr generated with just this signature. It is never unloaded, because
        // variables of later cells may have their code in it.
        unsafe {
            let library = ManuallyDrop::new(Library::open(Some(library), RTLD_LAZY | RTLD_LOCAL)?);
            let cell: Symbol<extern "C" fn(*mut c_void) -> *mut c_void> = library.get(function.as_bytes())?;
            self.variables = cell(self.variables);
        }
        if let Some(hooks) = &self.hooks {
            (hooks.flush)();
        }
        flush_c();
        let ended = frame(&self.mark, &FromCell::Ended { number });
        write_to(stderr(), &ended);
        write_to(stdout(), &ended);
        let lines = self.wait_until_settled(number)?;
        self.to_evcxr.write_all((lines + DONE).as_bytes())?;
        self.listen();
        Ok(())
    }

    /// Waits until the kernel has read all of the cell's output; the answer is what evcxr must see of it.
    fn wait_until_settled(&mut self, cell: u64) -> Result<String> {
        loop {
            wait(&*self.control, &*self.control)?;
            while let Some(bytes) = self.receive() {
                match serde_json::from_slice(&bytes) {
                    Ok(ToCell::Settled { number, lines }) if number == cell => {
                        return Ok(lines.into_iter().map(|line| line + "\n").collect());
                    }
                    _ => self.deliver(&bytes),
                }
            }
        }
    }

    /// Gives what the front-end says to the library, then lets it draw.
    fn listen(&mut self) {
        while let Some(bytes) = self.receive() {
            self.deliver(&bytes);
        }
        if let Some(hooks) = &self.hooks {
            (hooks.idle)();
        }
        flush_c();
    }

    fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 1 << 16];
        let length = self.control.recv(&mut buffer).ok()?;
        buffer.truncate(length);
        Some(buffer)
    }

    fn deliver(&self, bytes: &[u8]) {
        if let Some(hooks) = &self.hooks {
            // SAFETY: the slice's own pointer and length.
            unsafe { (hooks.message)(bytes.as_ptr(), bytes.len()) };
        }
    }
}

/// What C code has printed goes out: its streams are not Rust's.
fn flush_c() {
    // SAFETY: flushes all of C's output streams, which may be done at any time.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

/// Waits until one of two has something to read.
fn wait(first: &impl AsFd, second: &impl AsFd) -> Result<(bool, bool)> {
    let mut entries = [PollFd::new(first, PollFlags::IN), PollFd::new(second, PollFlags::IN)];
    match poll(&mut entries, None) {
        Ok(_) | Err(Errno::INTR) => Ok((!entries[0].revents().is_empty(), !entries[1].revents().is_empty())),
        Err(error) => Err(error.into()),
    }
}

/// Past the standard library's buffers, of which this program and the cells each have their own.
fn write_to(stream: impl AsFd, mut bytes: &[u8]) {
    // A closed wire means that the kernel is gone, and this process with it.
    while let Ok(length @ 1..) = rustix::io::retry_on_intr(|| rustix::io::write(&stream, bytes)) {
        bytes = &bytes[length..];
    }
}
