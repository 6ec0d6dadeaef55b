//! What glasslab's kernel calls in the process that runs the cells.
//!
//! The kernel's child program and the cells each have their own standard library; the cells share theirs with
//! this one (it is a dynamic library there). So only from here can the text that a cell has `print!`ed without a
//! newline be flushed, and a panic of a cell be caught before it is printed.

pub mod variables;

use crate::error::Error;
use crate::interact;
use glasslab_wire::{FromCell, ToCell, send};
use std::backtrace::Backtrace;
use std::io::Write;
use std::panic::{Location, PanicHookInfo};

/// Where evcxr puts a cell's code.
const CELL: &str = "src/lib.rs";

/// Called once, before the first cell.
#[unsafe(no_mangle)]
pub extern "C" fn glasslab_begin() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic_message(panic);
        let place = panic.location().map_or(String::new(), |place| format!("{}:{}", place.file(), place.line()));
        let direct = panic.location().filter(|place| place.file() == CELL).map(|place| place.line());
        let line = direct.or_else(cell_line);
        send(&FromCell::Panic { message, line, place });
    }));
    // The first operation loads and starts what later ones find ready.
    let _ = tch::Tensor::from_slice(&[1.0f32, 2.0]).f_add_scalar(1.0);
}

/// Called after each cell: what it wrote goes out.
#[unsafe(no_mangle)]
pub extern "C" fn glasslab_flush() {
    let _ = std::io::stdout().flush();
}

/// Called with a message that came while no cell runs.
///
/// # Safety
/// `bytes` must point to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn glasslab_message(bytes: *const u8, length: usize) {
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(bytes, length) };
    if let Ok(message) = serde_json::from_slice::<ToCell>(bytes) {
        interact::take(message);
    }
}

/// Called between cells: draws what controls that were moved ask for.
#[unsafe(no_mangle)]
pub extern "C" fn glasslab_idle() {
    interact::draw_waiting();
    let _ = std::io::stdout().flush();
}

/// The sentence of a panic, without libtorch's call stack.
fn panic_message(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    Error::shorten(text.unwrap_or("the cell panicked"))
}

/// The innermost line of a cell's code that is being executed.
fn cell_line() -> Option<u32> {
    // `at src/lib.rs:12:34`, or with the whole path of the session's folder before it.
    let trace = Backtrace::force_capture().to_string();
    trace.lines().find_map(|line| {
        let (file, rest) = line.trim().strip_prefix("at ")?.split_once(".rs:")?;
        let is_cell =
            file.ends_with("src/lib") && (file.contains("/sessions/") || file == "./src/lib" || file == "src/lib");
        if is_cell { rest.split(':').next()?.parse().ok() } else { None }
    })
}

/// Tells the kernel at which `?` of the cell an error was passed on. The kernel puts a call of this into evcxr's code
/// around a cell.
pub fn failed(at: &Location<'_>) {
    send(&FromCell::Failed { line: Some(at.line()) });
}
