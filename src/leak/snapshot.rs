//! The check in a child: a frozen copy of the whole process, made while the world is stopped.
//!
//! The child comes from the bare `clone` system call, as `fork` would make it but without libc's
//! handlers and locks. What it may do: raw system calls, memory from `own_memory`. What it may not:
//! anything of libc that locks or allocates, the program's heap, thread-local storage in its workers.
//!
//! **The program never sees it.** Its exit signal is 0: no SIGCHLD is sent, and `wait`, `waitpid(-1)`
//! and `waitid(P_ALL)` pass over such children unless asked for them by `__WALL` or `__WCLONE`, which
//! only debuggers do. If somebody takes the child's status all the same, the result, which stands in
//! memory that parent and child share, still counts. If the program ends first, init inherits the child.
//!
//! **Never fatal.** A child that dies is a failed check, no more. It is bounded in time by an alarm, is
//! the first to go when memory runs out, leaves no core file, and gives the program's files back: a pipe
//! of which it held a copy would not end. If no child can be made (memory, limits, filters), the check
//! runs in the process itself, which waits meanwhile.

use super::own_memory;
use super::stop_world::StoppedWorld;
use super::{faults, workers};
use crate::base::Addr;
use crate::sys::{
    clone::{self, End},
    file::{File, write_all},
    signal::{self, Action},
    syscall::{Errno, call},
};
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Release},
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
            Self::NoMemory => "no memory",
            Self::Killed(signal) if i32::from(signal) == libc::SIGALRM => "it took too long",
            Self::Killed(_) => "its process was killed by a signal",
            Self::Ended(_) => "its process ended early",
            Self::Lost => "its process was waited for by somebody else",
        }
    }
}

/// A check that was started.
pub(crate) enum Outcome<R: Plain> {
    /// It is over.
    Done(R, Place),
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
        // SAFETY: the stack is fresh; the entry gets the job that it expects and does not unwind.
        unsafe { clone::call_on_stack(stack.top, in_place_entry::<R, F>, (&raw mut job).addr()) };
    }
    let place = job.place;
    world.resume();
    resumed();
    match started {
        Err(_) => page.result().map_or(Outcome::Failed(Failure::Lost), |result| Outcome::Done(result, place)),
        Ok(pid) => {
            let running = Running { pid, page };
            if plan.wait { running.wait() } else { Outcome::Running(running) }
        }
    }
}

/// Makes the child; returns its number.
fn start_child<R: Plain, F: FnOnce(&StoppedWorld, Place, &mut R)>(
    job: &mut Job<'_, R, F>,
    stack: &Stack,
) -> Result<u32, Errno> {
    if job.plan.in_place {
        return Err(Errno(0));
    }
    // No flags and no exit signal: a copy of the process that nobody is told of.
    // SAFETY: the stack is fresh and private, so the child runs on its copy; the entry obeys the rules of
    // a process whose other threads do not exist.
    unsafe { clone::clone_onto(0, stack.top, child_entry::<R, F>, (&raw mut *job).addr(), core::ptr::null()) }
}

extern "C" fn child_entry<R: Plain, F: FnOnce(&StoppedWorld, Place, &mut R)>(job: usize) -> ! {
    // SAFETY: the address of the job in the parent's frame, of which this process has a copy.
    let job = unsafe { &mut *Addr(job).ptr::<Job<'_, R, F>>() };
    prepare_child(job.plan);
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

/// Makes a copy of the program into a process that can't disturb it.
fn prepare_child(plan: &Plan) {
    for signal in (1..=signal::LAST).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        // The program's handlers must not run here.
        // SAFETY: the default action runs no code of this process.
        let _ = unsafe { signal::set_action(signal, &Action::DEFAULT) };
    }
    faults::catch_in_child();
    signal::set_blocked(0);
    limit(plan);
    give_files_back(plan.keep_file);
    set_name();
    if let Ok(file) = File::open_with(c"/proc/self/oom_score_adj", libc::O_WRONLY, 0) {
        write_all(file.fd(), b"1000");
    }
}

/// Bounds the child's life, and lets its death leave nothing behind.
fn limit(plan: &Plan) {
    let no_core = [0u64; 2];
    let args = [libc::RLIMIT_CORE as usize, no_core.as_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the kernel reads the two numbers.
    let _ = unsafe { call(libc::SYS_setrlimit, args) };
    let seconds = u64::from(plan.limit_seconds);
    let timer = [0, 0, seconds, 0];
    let args = [libc::ITIMER_REAL as usize, timer.as_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the kernel reads the four numbers; a time of zero sets no timer.
    let _ = unsafe { call(libc::SYS_setitimer, args) };
    if plan.wait {
        // The signal comes when the thread ends that made the child, which here waits for it.
        let args = [libc::PR_SET_PDEATHSIG as usize, libc::SIGKILL as usize, 0, 0, 0, 0];
        // SAFETY: sets a number of this process.
        let _ = unsafe { call(libc::SYS_prctl, args) };
    }
}

/// Closes all files but the standard ones and `keep`: a copy held here would keep a pipe or a port open
/// that the program closes. Kernels before 5.9 can't, and then the child holds them while it runs.
fn give_files_back(keep: i32) {
    const FIRST: usize = libc::STDERR_FILENO as usize + 1;
    let close = |from: usize, to: usize| {
        // SAFETY: nothing in the child uses the program's files.
        let _ = unsafe { call(libc::SYS_close_range, [from, to, 0, 0, 0, 0]) };
    };
    match usize::try_from(keep) {
        Ok(keep) if keep >= FIRST => {
            if keep > FIRST {
                close(FIRST, keep - 1);
            }
            close(keep + 1, u32::MAX as usize);
        }
        _ => close(FIRST, u32::MAX as usize),
    }
}

/// Names the process, so that who looks at a list of processes knows it.
fn set_name() {
    let args = [libc::PR_SET_NAME as usize, c"besom-check".as_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the kernel copies the name.
    let _ = unsafe { call(libc::SYS_prctl, args) };
}

/// A check whose child runs. Whoever started it asks for it again: an unasked child stays a zombie.
pub(crate) struct Running<R: Plain> {
    pid: u32,
    page: SharedPage<R>,
}

impl<R: Plain> Running<R> {
    /// The child's process number.
    pub(crate) fn process(&self) -> u32 {
        self.pid
    }

    /// Looks whether the check is over, without waiting.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leak::stop_world::{self, tests::alone, tests::options};
    use crate::sys::{futex, memory, memory::Access, message::process_id};
    use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Report {
        process: u32,
        value: usize,
    }

    // SAFETY: two numbers.
    unsafe impl Plain for Report {}

    const PLAN: Plan =
        Plan { wait: true, limit_seconds: 60, keep_file: -1, stack_bytes: 256 << 10, in_place: false };

    fn check(plan: Plan, work: impl FnOnce(&StoppedWorld, Place, &mut Report)) -> Outcome<Report> {
        run(stop_world::stop(&options()).unwrap(), &plan, || (), work)
    }

    fn done(outcome: Outcome<Report>) -> (Report, Place) {
        match outcome {
            Outcome::Done(report, place) => (report, place),
            Outcome::Failed(failure) => panic!("{failure:?}"),
            Outcome::Running(_) => panic!("still running"),
        }
    }

    #[test]
    fn the_childs_result_arrives_and_its_memory_is_its_own() {
        let _alone = alone();
        static PLACE: AtomicUsize = AtomicUsize::new(5);
        let (report, place) = done(check(PLAN, |world, place, report| {
            assert!(world.threads().count() > 0 && place == Place::Child);
            PLACE.fetch_add(1, SeqCst);
            *report = Report { process: process_id(), value: PLACE.load(SeqCst) };
        }));
        assert_eq!((report.value, place), (6, Place::Child));
        assert_ne!(report.process, process_id());
        assert_eq!(PLACE.load(SeqCst), 5);
    }

    #[test]
    fn the_program_goes_on_and_does_not_see_the_child() {
        let _alone = alone();
        // Shared, so that the child sees what the parent does.
        let gate = memory::map_shared(4096).unwrap();
        // SAFETY: zeroed, and mapped until the end of the test.
        let gate: &AtomicU32 = unsafe { &*gate.ptr() };
        let outcome = check(Plan { wait: false, ..PLAN }, |_, _, report| {
            while gate.load(SeqCst) == 0 {
                // Not a private wait: the word is another process's too.
                futex::wait_for_kernel(gate, 0);
            }
            report.value = 9;
        });
        let Outcome::Running(running) = outcome else { panic!("not running") };
        let Outcome::Running(running) = running.poll() else { panic!("over already") };
        let child = running.process() as i32;
        // SAFETY: only asks.
        let waited = unsafe { libc::waitpid(child, core::ptr::null_mut(), libc::WNOHANG) };
        assert_eq!((waited, std::io::Error::last_os_error().raw_os_error()), (-1, Some(libc::ECHILD)));
        gate.store(1, SeqCst);
        // SAFETY: wakes sleepers on the word.
        let _ =
            unsafe { call(libc::SYS_futex, [gate.as_ptr() as usize, libc::FUTEX_WAKE as usize, 1, 0, 0, 0]) };
        assert_eq!(done(running.wait()).0.value, 9);
    }

    #[test]
    fn a_child_that_dies_is_a_failed_check() {
        let _alone = alone();
        let failure = |outcome| match outcome {
            Outcome::Failed(failure) => failure,
            _ => panic!("did not fail"),
        };
        let killed = failure(check(PLAN, |_, _, _| {
            // SAFETY: kills the child.
            let _ =
                unsafe { call(libc::SYS_kill, [process_id() as usize, libc::SIGKILL as usize, 0, 0, 0, 0]) };
        }));
        assert_eq!(killed, Failure::Killed(libc::SIGKILL as u8));
        assert_eq!(failure(check(PLAN, |_, _, _| clone::exit_process(3))), Failure::Ended(3));
        let wild = failure(check(PLAN, |_, _, report| {
            // SAFETY: none: the child must die of it.
            report.value = unsafe { core::ptr::read_volatile(Addr(16).ptr()) };
        }));
        assert_eq!(wild, Failure::Killed(libc::SIGSEGV as u8));
        let slow = failure(check(Plan { limit_seconds: 1, ..PLAN }, |_, _, _| {
            loop {
                futex::wait(&AtomicU32::new(0), 0);
            }
        }));
        assert_eq!(slow, Failure::Killed(libc::SIGALRM as u8));
        assert_eq!(slow.text(), "it took too long");
    }

    #[test]
    fn unreadable_pages_are_zero_in_the_child() {
        let _alone = alone();
        let hole = memory::map(3 * 4096, Access::None).unwrap();
        let (report, _) = done(check(PLAN, |_, _, report| {
            for page in 0..3 {
                // SAFETY: caught by the handler.
                report.value += unsafe { crate::leak::peek::directly(hole.0 + page * 4096) };
            }
            report.value += faults::pages() * 10;
        }));
        assert_eq!(report.value, 30);
        assert_eq!(crate::leak::peek::through_kernel(hole.0), None, "still unreadable here");
    }

    #[test]
    fn the_child_gives_the_programs_files_back() {
        let _alone = alone();
        let [mut ends, mut kept] = [[0; 2]; 2];
        // SAFETY: the kernel writes two descriptors each.
        unsafe { (libc::pipe(ends.as_mut_ptr()), libc::pipe(kept.as_mut_ptr())) };
        let plan = Plan { keep_file: kept[1], ..PLAN };
        let is_open = |fd: i32| {
            // SAFETY: only asks.
            unsafe { call(libc::SYS_fcntl, [fd as usize, libc::F_GETFD as usize, 0, 0, 0, 0]) }.is_ok()
        };
        let (report, _) = done(check(plan, |_, _, report| {
            let open = [ends[0], ends[1], kept[0], kept[1], libc::STDERR_FILENO].map(is_open);
            report.value = open.iter().fold(0, |bits, &open| bits * 2 + usize::from(open));
        }));
        assert_eq!(report.value, 0b00011);
        assert!(is_open(ends[0]));
        // SAFETY: the test's own.
        ends.into_iter().chain(kept).for_each(|fd| assert_eq!(unsafe { libc::close(fd) }, 0));
    }

    #[test]
    fn workers_run_side_by_side_in_the_child() {
        let _alone = alone();
        static MET: AtomicU32 = AtomicU32::new(0);
        static SUM: AtomicUsize = AtomicUsize::new(0);
        let (report, _) = done(check(PLAN, |_, _, report| {
            let workers = run_workers(4, 64 << 10, &|index| {
                // None goes on before all are there: they must run at the same time.
                MET.fetch_add(1, SeqCst);
                while MET.load(SeqCst) < 4 {
                    core::hint::spin_loop();
                }
                SUM.fetch_add(1 << index, SeqCst);
            });
            *report = Report { process: workers as u32, value: SUM.load(SeqCst) };
        }));
        assert_eq!(report, Report { process: 4, value: 0b1111 });
    }

    #[test]
    fn where_no_process_can_be_made_the_check_runs_in_place() {
        let _alone = alone();
        let (report, place) = done(check(Plan { in_place: true, ..PLAN }, |_, _, report| {
            *report = Report { process: process_id(), value: 1 };
        }));
        assert_eq!((report.process, place), (process_id(), Place::InPlace(Errno(0))));
        // In a process of its own, whose user may not have another one.
        // SAFETY: the child makes raw system calls and runs the check, which needs nothing of libc.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let none = [0u64; 2];
            // SAFETY: gives up privileges and processes in this child.
            let made = unsafe {
                let _ = call(libc::SYS_setresuid, [65534, 65534, 65534, 0, 0, 0]);
                call(libc::SYS_setrlimit, [libc::RLIMIT_NPROC as usize, none.as_ptr() as usize, 0, 0, 0, 0])
            };
            let outcome = check(PLAN, |_, place, report| {
                report.value = usize::from(place == Place::InPlace(Errno(libc::EAGAIN)));
            });
            let good = matches!(outcome, Outcome::Done(Report { value: 1, .. }, _)) && made.is_ok();
            clone::exit_process(if good { 0 } else { 1 });
        }
        assert_eq!(clone::wait_child(child as u32, true), Ok(Some(End::Exited(0))));
    }
}
