//! Stretches of a thread's run in which what it allocates is not to be reported.
//!
//! A counter per thread says how deep they are nested. It is a thread-local word in the static block
//! (initial-exec): the general form could call the allocator from inside the allocator, and Rust's
//! `thread_local!` needs std. Rust has no syntax for such a word without std, hence assembly.

use crate::sys::message::say;
use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

// Hidden: of no concern to the dynamic linker, but visible to all parts of this crate. Weak, so that two
// versions of the crate in one program share the word instead of failing to link.
global_asm!(
    ".pushsection .tbss.__besom_leak_scope,\"awT\",@nobits",
    ".balign 8",
    ".weak __besom_leak_scope",
    ".hidden __besom_leak_scope",
    ".type __besom_leak_scope, @object",
    ".size __besom_leak_scope, 8",
    "__besom_leak_scope:",
    ".zero 8",
    ".popsection",
);

/// This thread's counter. Only this thread uses it, but a signal handler of its may do so in between.
#[inline]
fn depth() -> &'static AtomicUsize {
    let address: *const AtomicUsize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads the thread pointer and the word's distance from it, which the dynamic linker has put
    // into the table; neither changes while the thread lives.
    unsafe {
        asm!(
            "mov {0}, qword ptr fs:[0]",
            "add {0}, qword ptr [rip + __besom_leak_scope@gottpoff]",
            out(reg) address,
            options(pure, readonly, nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        asm!(
            "mrs {0}, tpidr_el0",
            "adrp {1}, :gottprel:__besom_leak_scope",
            "ldr {1}, [{1}, :gottprel_lo12:__besom_leak_scope]",
            "add {0}, {0}, {1}",
            out(reg) address,
            out(reg) _,
            options(pure, readonly, nostack),
        );
    }
    // SAFETY: an aligned word that exists as long as the thread does, which is longer than this call; zero
    // is a valid counter.
    unsafe { &*address }
}

/// Begins a stretch whose allocations are ignored. They nest.
pub(crate) fn disable() {
    depth().store(depth().load(Relaxed).saturating_add(1), Relaxed);
}

/// Ends a stretch. One that was not begun is said and changes nothing.
pub(crate) fn enable() {
    match depth().load(Relaxed).checked_sub(1) {
        Some(less) => depth().store(less, Relaxed),
        None => say!("leak checking was enabled more often than disabled in this thread"),
    }
}

/// Whether this thread is in such a stretch: what it allocates gets the flag `tracking::IGNORED`.
#[inline]
pub(crate) fn is_disabled() -> bool {
    depth().load(Relaxed) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_nest() {
        assert!(!is_disabled());
        disable();
        disable();
        enable();
        assert!(is_disabled());
        enable();
        assert!(!is_disabled());
    }

    #[test]
    fn an_end_too_many_changes_nothing() {
        enable();
        disable();
        assert!(is_disabled());
        enable();
    }

    #[test]
    fn threads_have_their_own() {
        disable();
        std::thread::spawn(|| assert!(!is_disabled())).join().unwrap();
        enable();
    }
}
