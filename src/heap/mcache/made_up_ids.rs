//! Made-up CPU ids: only in the build for measurements (`--cfg besom_measure`), where every thread counts as one
//! that runs on a CPU of its own, so that a machine with few CPUs shows what many caches cost.
//!
//! A thread's id lies in its thread-local memory, where the sections read it instead of the kernel's. That is safe
//! because no two threads have the same one: a section needs the kernel's restart only against others of its CPU.

use super::MAX_CPUS;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The id that threads begin with; it never gets a slab, so their first request takes the slow path.
const NONE: u32 = MAX_CPUS as u32 - 1;

core::arch::global_asm!(
    ".pushsection .tdata.besom_made_up_id, \"awT\", @progbits",
    ".balign 4",
    "besom_made_up_id: .long {none}",
    ".popsection",
    none = const NONE,
);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Distance of the id from the thread pointer.
pub(super) fn offset() -> isize {
    let offset: isize;
    // SAFETY: loads a constant.
    unsafe {
        core::arch::asm!(
            "movq $besom_made_up_id@tpoff, {}",
            out(reg) offset,
            options(att_syntax, nomem, nostack, preserves_flags)
        );
    }
    offset
}

/// The id of this thread, given now if it has none; `None` when there are no more.
pub(super) fn own() -> Option<usize> {
    let at = crate::sys::rseq::thread_pointer().wrapping_add_signed(offset());
    let id = core::ptr::with_exposed_provenance_mut::<u32>(at);
    // SAFETY: this thread's own variable.
    unsafe {
        if *id == NONE {
            let next = NEXT.fetch_add(1, Relaxed);
            if next >= NONE {
                return None;
            }
            *id = next;
        }
        Some(*id as usize)
    }
}
