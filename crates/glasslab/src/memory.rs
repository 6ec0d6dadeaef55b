//! Memory that one pass through a model frees is kept for the next one.

/// Tells the allocator to keep what is freed. A step of training, or of writing many texts, takes and
/// frees the same MB again and again; given back to the system, it would come back page by page, each of them cleared first (docs/performance.md).
///
/// Only glibc's allocator gives it back; elsewhere there is nothing to do.
pub(crate) fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt changes numbers of the allocator's, under its own lock.
    unsafe {
        const MIB: i32 = 1 << 20;
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 * MIB); // the most that every glibc takes
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2047 * MIB);
        libc::mallopt(libc::M_TOP_PAD, 64 * MIB);
    }
}
