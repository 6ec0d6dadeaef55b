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
use glasslab_wire::{CONTROL, FromCell, MARK, ToCell, frame};
use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL, Symbol};
use std::ffi::c_void;
use std::fs::File;
use std::io::{Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
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
    control: UnixDatagram,
    hooks: Option<Hooks>,
    variables: *mut c_void,
    cells: u64,
}

impl Child {
    fn new() -> Result<Child> {
        let mark = std::env::var(MARK).context("the kernel's mark is missing")?;
        let names = std::env::var(DESCRIPTORS)?;
        let theirs: Vec<RawFd> = names.split(',').map(str::parse).collect::<Result<_, _>>()?;
        let &[output, errors, input] = &theirs[..] else { bail!("expected three descriptors, got {names}") };
        let control: RawFd = std::env::var(CONTROL)?.parse()?;
        // SAFETY: evcxr's pipes are copied, then the kernel's sockets take their places; all are open, and nothing else
        // in this process, has used them yet.
        let (commands, to_evcxr, control) = unsafe {
            let commands = File::from_raw_fd(libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 10));
            let to_evcxr = File::from_raw_fd(libc::fcntl(1, libc::F_DUPFD_CLOEXEC, 10));
            for (socket, standard) in [(input, 0), (output, 1), (errors, 2)] {
                if libc::dup2(socket, standard) < 0 {
                    return Err(std::io::Error::last_os_error()).context("the kernel's sockets are not there");
                }
                libc::close(socket);
            }
            (commands, to_evcxr, UnixDatagram::from_raw_fd(control))
        };
        control.set_nonblocking(true)?;
        // What was meant for a process before this one.
        while control.recv(&mut [0; 16]).is_ok() {}
        // SAFETY: reads what waits on standard input into an array of that length, and waits for nothing.
        while unsafe { libc::recv(0, [0_u8; 256].as_mut_ptr().cast(), 256, libc::MSG_DONTWAIT) } > 0 {}
        Ok(Child { mark, commands, to_evcxr, control, hooks: Hooks::load(), variables: std::ptr::null_mut(), cells: 0 })
    }

    fn serve(&mut self) -> Result<()> {
        let mut pending = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let (command, message) = wait(self.commands.as_raw_fd(), self.control.as_raw_fd())?;
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
        write_to(1, &frame(&self.mark, &FromCell::Begun));
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
        write_to(2, &ended);
        write_to(1, &ended);
        let lines = self.wait_until_settled(number)?;
        self.to_evcxr.write_all((lines + DONE).as_bytes())?;
        self.listen();
        Ok(())
    }

    /// Waits until the kernel has read all of the cell's output; the answer is what evcxr must see of it.
    fn wait_until_settled(&mut self, cell: u64) -> Result<String> {
        loop {
            wait(-1, self.control.as_raw_fd())?;
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

/// Waits until one of two descriptors (−1: none) has something to read.
fn wait(first: RawFd, second: RawFd) -> Result<(bool, bool)> {
    let entry = |descriptor| libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
    let mut entries = [entry(first), entry(second)];
    // SAFETY: an array of two, as said.
    let answer = unsafe { libc::poll(entries.as_mut_ptr(), 2, -1) };
    let error = std::io::Error::last_os_error();
    if answer < 0 && error.kind() != std::io::ErrorKind::Interrupted {
        return Err(error.into());
    }
    Ok((entries[0].revents != 0, entries[1].revents != 0))
}

/// Past the standard library's buffers, of which this program and the cells each have their own.
fn write_to(descriptor: RawFd, bytes: &[u8]) {
    // SAFETY: standard output and error are open for the life of this process, and are not closed here.
    let mut file = ManuallyDrop::new(unsafe { File::from_raw_fd(descriptor) });
    // A closed wire means that the kernel is gone, and this process with it.
    let _ = file.write_all(bytes);
}
