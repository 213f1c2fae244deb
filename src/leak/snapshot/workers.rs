//! Threads for marking in parallel, made without libc.

use crate::base::{Addr, align_up};
use crate::leak::own_memory;
use crate::sys::{auxv::kernel_page_bytes, clone, futex};
use core::sync::atomic::{AtomicU32, Ordering::Acquire};

/// What a thread of this process shares with the others: everything. Its number is cleared, and whoever
/// waits for that is woken, when its stack is no longer in use.
const FLAGS: i32 = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID;

/// Threads at most: more than any machine's memory can feed.
pub(crate) const MOST: usize = 64;

/// A worker, at the lower end of its own stack.
#[repr(C)]
struct Worker<'a> {
    /// The kernel's number of the thread; 0 when it has ended.
    tid: AtomicU32,
    index: usize,
    work: &'a (dyn Fn(usize) + Sync),
}

/// See [`super::run_workers`].
pub(super) fn run(count: usize, stack_bytes: usize, work: &(dyn Fn(usize) + Sync)) -> usize {
    let mut stacks = [Addr(0); MOST];
    let mut started = 0;
    for index in 1..count.min(MOST) {
        let (Some(stack), Some(slot)) = (start(index, stack_bytes, work), stacks.get_mut(started)) else {
            break;
        };
        *slot = stack;
        started += 1;
    }
    work(0);
    stacks.iter().take(started).for_each(|&stack| join(stack));
    started + 1
}

/// Starts a worker; returns its stack.
fn start(index: usize, stack_bytes: usize, work: &(dyn Fn(usize) + Sync)) -> Option<Addr> {
    let bytes = align_up(stack_bytes + size_of::<Worker<'_>>(), kernel_page_bytes());
    let stack = own_memory::map(bytes)?;
    let worker: *mut Worker<'_> = stack.ptr();
    // SAFETY: the fresh mapping has room for the worker at its beginning.
    unsafe { worker.write(Worker { tid: AtomicU32::new(0), index, work }) };
    let word = worker_of(stack).tid.as_ptr();
    // SAFETY: the stack is fresh; the thread uses what `work` uses, and is joined before that ends.
    let made = unsafe { clone::clone_onto(FLAGS as usize, stack.plus(bytes), entry, stack.0, word) };
    if made.is_err() {
        // SAFETY: no thread uses it.
        unsafe { own_memory::unmap(stack) };
    }
    made.ok().map(|_| stack)
}

fn worker_of<'a>(stack: Addr) -> &'a Worker<'a> {
    // SAFETY: `start` wrote a worker at the beginning of the stack, and `join` unmaps it last.
    unsafe { &*stack.ptr::<Worker<'a>>() }
}

extern "C" fn entry(stack: usize) -> ! {
    let worker = worker_of(Addr(stack));
    (worker.work)(worker.index);
    clone::exit_thread()
}

/// Waits until a worker has ended and frees its stack.
fn join(stack: Addr) {
    let worker = worker_of(stack);
    loop {
        match worker.tid.load(Acquire) {
            0 => break,
            tid => futex::wait_for_kernel(&worker.tid, tid),
        }
    }
    // SAFETY: the kernel has cleared the number, so the thread does not use its stack any more.
    unsafe { own_memory::unmap(stack) };
}
