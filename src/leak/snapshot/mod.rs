//! The check in a child: a frozen copy of the whole process, made while the world is stopped.
//!
//! The child comes from the bare `clone` system call, as `fork` would make it but without libc's
//! handlers and locks. What it may do: raw system calls, memory from `own_memory`. What it may not:
//! anything of libc that locks or allocates, the program's heap, thread-local storage in its workers.
//!
//! **The program never sees it.** Its exit signal is 0: no SIGCHLD is sent, and `wait`, `waitpid(-1)`
//! and `waitid(P_ALL)` pass over such children unless asked for them by `__WALL` or `__WCLONE`, which
//! only debuggers do. An emulator that refuses this gets a second try with SIGCHLD. If somebody takes the child's status all the same, the result, which stands in
//! memory that parent and child share, still counts. If the program ends first, init inherits the child.
//!
//! **Never fatal.** A child that dies is a failed check, no more. It is bounded in time by an alarm, is
//! the first to go when memory runs out, leaves no core file, and gives the program's files back: a pipe
//! of which it held a copy would not end. If no child can be made (memory, limits, filters), the check
//! runs in the process itself, which waits meanwhile.

mod child;
pub(crate) mod faults;
#[cfg(test)]
mod tests;
mod workers;

pub(crate) use workers::MOST as MAX_WORKERS;

use super::own_memory;
use super::stop_world::StoppedWorld;
use crate::base::Addr;
use crate::heap::arena;
use crate::sys::{
    clone::{self, End},
    message::say,
    syscall::Errno,
};
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// A result as bytes in shared memory: plain numbers, for which zero bytes are a valid value.
///
/// # Safety
/// The type must hold no pointers and be valid when all its bytes are zero.
pub(crate) unsafe trait Plain: Copy + 'static {}

/// How to check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// The parent waits for the result (at exit). The child then ends with it.
    pub(crate) wait: bool,
    /// The child is killed after so many seconds; 0 for never.
    pub(crate) limit_seconds: u32,
    /// A descriptor that the child keeps besides the standard ones, or -1.
    pub(crate) keep_file: i32,
    /// Bytes of the stack that the work runs on: the caller's may be small.
    pub(crate) stack_bytes: usize,
    /// Don't try to make a child.
    pub(crate) in_place: bool,
}

/// Where the work runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// In a child, which owns its memory.
    Child,
    /// In the stopped process itself, since no child could be made.
    InPlace(Errno),
}

/// Why there is no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// No memory for the stack or the result.
    NoMemory,
    /// The child was killed by this signal; `SIGALRM` is its limit of time.
    Killed(u8),
    /// The child ended early with this status.
    Ended(u8),
    /// Somebody else waited for the child before it had a result.
    Lost,
}

impl Failure {
    /// The reason in words, for a message.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::NoMemory | Self::Ended(NO_MEMORY_STATUS) => "no memory",
            Self::Killed(signal) if i32::from(signal) == libc::SIGALRM => "it took too long",
            Self::Killed(_) => "its process was killed by a signal",
            Self::Ended(_) => "its process ended early",
            Self::Lost => "its process was waited for by somebody else",
        }
    }
}

/// A check that was started.
pub(crate) enum Outcome<R: Plain> {
    /// It is over. The place is for tests.
    Done(R, #[cfg_attr(not(test), allow(dead_code))] Place),
    /// Its child runs.
    Running(Running<R>),
    /// It failed.
    Failed(Failure),
}

/// What parent and child share.
#[repr(C)]
struct Shared<R: Plain> {
    state: AtomicU32,
    result: UnsafeCell<R>,
}

const DONE: u32 = 1;

/// The mapping of a [`Shared`], unmapped on drop.
struct SharedPage<R: Plain>(Addr, PhantomData<R>);

impl<R: Plain> SharedPage<R> {
    fn new() -> Option<Self> {
        own_memory::map_shared(size_of::<Shared<R>>()).map(|at| Self(at, PhantomData))
    }

    fn shared(&self) -> &Shared<R> {
        // SAFETY: the mapping is large enough, aligned to a page, and all-zero bytes are a valid value.
        unsafe { &*self.0.ptr::<Shared<R>>() }
    }

    /// The result, if the work has been finished.
    fn result(&self) -> Option<R> {
        let shared = self.shared();
        // SAFETY: the worker wrote the result before the state and does not touch it afterwards.
        (shared.state.load(Acquire) == DONE).then(|| unsafe { *shared.result.get() })
    }
}

impl<R: Plain> Drop for SharedPage<R> {
    fn drop(&mut self) {
        // SAFETY: made by `new`; the owner is being dropped.
        unsafe { own_memory::unmap(self.0) };
    }
}

/// A stack of its own, unmapped on drop.
struct Stack {
    at: Addr,
    top: Addr,
}

impl Stack {
    fn new(bytes: usize) -> Option<Self> {
        let bytes = crate::base::align_up(bytes, crate::sys::auxv::kernel_page_bytes());
        own_memory::map(bytes).map(|at| Self { at, top: at.plus(bytes) })
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: made by `new`; whoever ran on it has returned, or is a process with a copy of it.
        unsafe { own_memory::unmap(self.at) };
    }
}

/// The work and what it needs, as it crosses to the other stack.
struct Job<'a, R: Plain, F> {
    work: Option<F>,
    world: &'a StoppedWorld,
    plan: &'a Plan,
    place: Place,
    page: &'a SharedPage<R>,
}

/// Runs `work` on a snapshot: in a child if there can be one. The world goes on as soon as the snapshot
/// is made, and then `resumed` is called in this process: there the locks held for the stop are given
/// back. `work` gets the stopped threads, where it runs, and room for the result, zero at first.
///
/// `work` must not unwind, and in the child obey the rules of the module text.
pub(crate) fn run<R: Plain, F: FnOnce(&StoppedWorld, Place, &mut R)>(
    world: StoppedWorld,
    plan: &Plan,
    resumed: impl FnOnce(),
    work: F,
) -> Outcome<R> {
    let (Some(page), Some(stack)) = (SharedPage::new(), Stack::new(plan.stack_bytes)) else {
        world.resume();
        resumed();
        return Outcome::Failed(Failure::NoMemory);
    };
    let mut job = Job { work: Some(work), world: &world, plan, place: Place::Child, page: &page };
    let started = start_child(&mut job, &stack);
    if let Err(errno) = started {
        job.place = Place::InPlace(errno);
        let before = own_memory::Mark::now();
        // SAFETY: the stack is fresh; the entry gets the job that it expects and does not unwind.
        unsafe { clone::call_on_stack(stack.top, in_place_entry::<R, F>, (&raw mut job).addr(), &WAY_BACK) };
        // SAFETY: the work is over, or given up: nothing uses its memory.
        unsafe {
            arena::finish();
            before.release_since();
        }
    }
    let place = job.place;
    world.resume();
    resumed();
    match started {
        // Without a result it was given up.
        Err(_) => {
            page.result().map_or(Outcome::Failed(Failure::NoMemory), |result| Outcome::Done(result, place))
        }
        Ok(pid) => {
            let running = Running { pid, page };
            if plan.wait { running.wait() } else { Outcome::Running(running) }
        }
    }
}

/// The way back from work in place.
static WAY_BACK: AtomicUsize = AtomicUsize::new(0);
/// Whether this is a child.
static IS_CHILD: AtomicBool = AtomicBool::new(false);
/// How a child ends without memory.
const NO_MEMORY_STATUS: u8 = 112;

/// Ends the work that [`run`] runs without a result, for want of memory. Only for the work's own thread.
pub(crate) fn give_up() -> ! {
    if IS_CHILD.load(Relaxed) {
        clone::exit_process(NO_MEMORY_STATUS);
    }
    // SAFETY: the work runs in place, in this thread; what stands on its stack is plain memory, `Mark` and
    // `arena::finish` give back the rest.
    unsafe { clone::come_back(WAY_BACK.load(Relaxed)) }
}

/// Makes the child; returns its number.
fn start_child<R: Plain, F: FnOnce(&StoppedWorld, Place, &mut R)>(
    job: &mut Job<'_, R, F>,
    stack: &Stack,
) -> Result<u32, Errno> {
    if job.plan.in_place {
        return Err(Errno(0));
    }
    let argument = (&raw mut *job).addr();
    let clone = |flags: i32| {
        // SAFETY: the stack is fresh and private, so the child runs on its copy; the entry obeys the rules of
        // a process whose other threads do not exist.
        unsafe {
            clone::clone_onto(flags as usize, stack.top, child_entry::<R, F>, argument, core::ptr::null())
        }
    };
    // No exit signal: a copy of the process that nobody is told of. Untraced: a debugger would take a
    // process without exit signal for a thread, and the faults that it catches for the program's.
    match clone(libc::CLONE_UNTRACED) {
        Err(Errno(libc::EINVAL)) => {
            // qemu-user makes no other processes than `fork` does.
            static SAID: AtomicBool = AtomicBool::new(false);
            if !SAID.swap(true, Relaxed) {
                say!(
                    "leak checks: as this kernel (an emulator?) makes children, the program gets SIGCHLD for them"
                );
            }
            clone(libc::SIGCHLD)
        }
        result => result,
    }
}

extern "C" fn child_entry<R: Plain, F: FnOnce(&StoppedWorld, Place, &mut R)>(job: usize) -> ! {
    // SAFETY: the address of the job in the parent's frame, of which this process has a copy.
    let job = unsafe { &mut *Addr(job).ptr::<Job<'_, R, F>>() };
    IS_CHILD.store(true, Relaxed);
    child::prepare(job.plan);
    run_job(job);
    clone::exit_process(0)
}

extern "C" fn in_place_entry<R: Plain, F: FnOnce(&StoppedWorld, Place, &mut R)>(job: usize) {
    // SAFETY: the address of the job in the caller's frame, which waits for this call.
    run_job(unsafe { &mut *Addr(job).ptr::<Job<'_, R, F>>() });
}

fn run_job<R: Plain, F: FnOnce(&StoppedWorld, Place, &mut R)>(job: &mut Job<'_, R, F>) {
    let shared = job.page.shared();
    if let Some(work) = job.work.take() {
        // SAFETY: until the state says so, the other process does not look at the result.
        work(job.world, job.place, unsafe { &mut *shared.result.get() });
        shared.state.store(DONE, Release);
    }
}

/// A check whose child runs. Whoever started it asks for it again: an unasked child stays a zombie.
pub(crate) struct Running<R: Plain> {
    pid: u32,
    page: SharedPage<R>,
}

impl<R: Plain> Running<R> {
    /// The child's process number.
    #[cfg(test)]
    pub(crate) fn process(&self) -> u32 {
        self.pid
    }

    /// Looks whether the check is over, without waiting.
    #[cfg(test)]
    pub(crate) fn poll(self) -> Outcome<R> {
        match clone::wait_child(self.pid, false) {
            Ok(None) => Outcome::Running(self),
            ended => self.outcome(ended),
        }
    }

    /// Waits until the check is over.
    pub(crate) fn wait(self) -> Outcome<R> {
        let ended = clone::wait_child(self.pid, true);
        self.outcome(ended)
    }

    fn outcome(&self, ended: Result<Option<End>, Errno>) -> Outcome<R> {
        // The result counts even if the child's end is unknown or came after it.
        match (self.page.result(), ended) {
            (Some(result), _) => Outcome::Done(result, Place::Child),
            (None, Ok(Some(End::Killed(signal)))) => Outcome::Failed(Failure::Killed(signal)),
            (None, Ok(Some(End::Exited(status)))) => Outcome::Failed(Failure::Ended(status)),
            (None, _) => Outcome::Failed(Failure::Lost),
        }
    }
}

/// Runs `work(0)` here and `work(1 .. count)` on threads of their own, and waits for all; returns how
/// many ran. Fewer than asked for if the kernel gives no more threads.
///
/// The threads are the kernel's alone: they share this thread's thread-local storage and must not touch
/// it, errno included. In the child only, since the program would see them.
pub(crate) fn run_workers(count: usize, stack_bytes: usize, work: &(dyn Fn(usize) + Sync)) -> usize {
    workers::run(count, stack_bytes, work)
}
