//! Giving memory back to the system, which the allocator of the C library does not do by itself: what a thousand
//! connections once needed would stay with the process for as long as something that was allocated later lives.

/// Returns every free page of the heap. Takes as long as it takes to look at all of it, a few milliseconds at most.
pub fn return_free_memory() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "malloc_trim(3) has no safe wrapper")]
    // SAFETY: malloc_trim(3) is thread-safe, takes the allocator's own locks, and gives back only pages that hold
    // nothing allocated; the argument is the number of bytes to keep at the end of the heap.
    unsafe {
        libc::malloc_trim(0);
    }
}
