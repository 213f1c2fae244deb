//! Starting the heap: once, on the first request that the fast path can't serve.
//!
//! That may be long before this library's constructor runs. The order of states is: not relocated (only
//! the bootstrap arena can serve), relocated but not started, starting (other threads wait), started.

use super::size_class::{self, TINY_PAGES};
use super::{mcache, pages};
use crate::base::Addr;
use crate::config::{self, Key};
use crate::sync::Once;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The heap's start. Where there was no memory for its tables every request fails, as it would a little
/// later. The thread that starts it may come back in: reading options may call malloc.
static START: Once = Once::new();

/// A pointer that is null until the dynamic linker has relocated this library.
struct Relocated(*const u8);
// SAFETY: the pointer is only compared with null.
unsafe impl Sync for Relocated {}
static ANCHOR: u8 = 0;
static RELOCATED: Relocated = Relocated(&raw const ANCHOR);

fn is_relocated() -> bool {
    // SAFETY: reads a static; volatile, because the compiler knows its value and not its relocation.
    !unsafe { core::ptr::read_volatile(&raw const RELOCATED.0) }.is_null()
}

/// Whether the heap has started.
#[inline]
pub(crate) fn is_started() -> bool {
    START.is_started()
}

/// Starts the heap if it can be started. `false`: it can't yet, or there is no memory for it.
#[inline]
pub(crate) fn ensure_started() -> bool {
    is_started() || (is_relocated() && START.start(crate::sys::rseq::thread_pointer(), start_once))
}

fn start_once() -> bool {
    config::init();
    if !pages::init() {
        return false;
    }
    apply_min_align();
    let tracked = config::is_on(Key::Check) || (config::is_on(Key::Leak) && config::is_on(Key::DetectLeaks));
    mcache::init(config::is_on(Key::Rseq), tracked);
    true
}

/// The alignment of C's smallest objects, by option `min_align`.
static C_MIN_ALIGN: AtomicUsize = AtomicUsize::new(8);

/// The alignment of C's packed objects.
pub(super) fn c_min_align() -> usize {
    C_MIN_ALIGN.load(Relaxed)
}

fn apply_min_align() {
    let align = 1 << config::get(Key::MinAlign);
    C_MIN_ALIGN.store(align, Relaxed);
    let class = match align {
        16 => 2,
        8 => 1,
        _ => TINY_PAGES,
    };
    if class != 1 {
        // SAFETY: the heap is starting.
        unsafe { size_class::set_c_class_of_smallest(class) };
    }
}

const _: () = assert!(core::mem::size_of::<Addr>() == core::mem::size_of::<usize>());
