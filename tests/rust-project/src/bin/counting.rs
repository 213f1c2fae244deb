//! besom behind the program's own allocator, in a module of the program: leaks are found as well.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting(AtomicUsize);

// SAFETY: passes everything on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.fetch_add(1, Relaxed);
        // SAFETY: passed on.
        unsafe { besom::Besom.alloc(layout) }
    }

    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe { besom::Besom.dealloc(object, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting(AtomicUsize::new(0));

#[inline(never)]
fn lost_behind_a_wrapper() {
    std::mem::forget(std::hint::black_box(vec![7u8; 333]));
}

fn main() {
    lost_behind_a_wrapper();
    assert!(ALLOCATOR.0.load(Relaxed) > 0);
}
