//! The dummy method under load, and the proof that this test can fail.
//!
//! Threads pop tokens from a private table and push them back, migrate and are hit by signals whose handler
//! does the same; another thread stops CPUs, empties their slabs and lets them go on. No token may be handed
//! out twice and none may be lost. The same without the fence must show tokens handed out twice or lost.

use super::{CLASS, Place, new_slab, new_table, sections};
use crate::base::Addr;
use crate::heap::mcache::object_of;
use crate::heap::mcache::slab::Slab;
use crate::heap::mcache::table::CpuTable;
use crate::sys::memory::{self, Access};
use crate::sys::{cpu, message, rseq};
use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{boxed::Box, eprintln, thread, vec, vec::Vec};

const THREADS: usize = 12;
const TOKENS: usize = 1024;
/// Slots of a slab: fewer than tokens per CPU, so that stacks are full at times.
const CAPACITY: usize = 256;
/// Stops that make a good run, if time allows.
const STOPS: usize = 4000;
/// A run ends here at the latest; on a busy machine with fewer stops.
const LONGEST: Duration = Duration::from_secs(8);
/// The run without the fence must have failed by then.
const LONGEST_CONTROL: Duration = Duration::from_secs(20);
/// Duplicates that are proof enough: they multiply.
const ENOUGH: u64 = 100;

/// What the threads of one run share.
struct World {
    place: Place,
    table: &'static CpuTable,
    slabs: Vec<Slab>,
    /// Whether stops have the fence. Without it capacities stay as they are: a section that goes on with a stack
    /// that has moved since would write outside of it.
    with_fence: bool,
    /// Per token: whether somebody holds it.
    held: Vec<AtomicBool>,
    /// Tokens that found no room in a slab.
    pool: Mutex<Vec<Addr>>,
    /// The same for signal handlers, which may not lock.
    handler_pool: Vec<AtomicUsize>,
    /// The threads' numbers, for signals; 0 for one that has not started.
    threads: [AtomicU32; THREADS],
    /// Pushes so far.
    turns: AtomicU32,
    duplicates: AtomicU64,
    done: AtomicBool,
    operations: AtomicU64,
    moved: AtomicU64,
    capacities: AtomicU64,
    in_handlers: AtomicU64,
}

/// The world that signal handlers work on; null outside of a run.
static WORLD: AtomicPtr<World> = AtomicPtr::new(null_mut());
/// One run at a time: the handler and the signal are the process's.
static RUNS: Mutex<()> = Mutex::new(());

impl World {
    /// `None` where there is no rseq.
    fn new(with_fence: bool) -> Option<Self> {
        let area = rseq::find()?;
        let id = if area.has_mm_cid { rseq::MM_CID } else { rseq::CPU_ID };
        let place = Place { area: area.offset, id: area.offset + id as isize };
        let table = new_table();
        // A thread on a CPU beyond these finds the dummy, which is right as well.
        let slabs: Vec<_> = (0..cpu::allowed()).map(|_| new_slab(CAPACITY)).collect();
        slabs.iter().enumerate().for_each(|(cpu, &slab)| table.publish(cpu, slab));
        Some(Self {
            place,
            table,
            slabs,
            with_fence,
            held: (0..=TOKENS).map(|_| AtomicBool::new(false)).collect(),
            pool: Mutex::new((1..=TOKENS).map(|i| Addr(i * 16)).collect()),
            handler_pool: (0..TOKENS).map(|_| AtomicUsize::new(0)).collect(),
            threads: [const { AtomicU32::new(0) }; THREADS],
            turns: AtomicU32::new(0),
            duplicates: AtomicU64::new(0),
            done: AtomicBool::new(false),
            operations: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            capacities: AtomicU64::new(0),
            in_handlers: AtomicU64::new(0),
        })
    }

    /// Notes that this thread holds `token`, and whether somebody else does.
    fn receive(&self, token: Addr) {
        if self.held[token.0 / 16].swap(true, AcqRel) {
            self.duplicates.fetch_add(1, Relaxed);
        }
    }

    fn give_up(&self, token: Addr) {
        self.held[token.0 / 16].store(false, Release);
    }

    fn pop(&self) -> Option<Addr> {
        // SAFETY: the place is glibc's; the class has a stack.
        let token = object_of(unsafe { sections::pop(self.place, self.table, CLASS) })?;
        self.receive(token);
        Some(token)
    }

    fn push(&self, token: Addr) -> bool {
        self.give_up(token);
        // SAFETY: as above; this thread holds the token.
        unsafe {
            match self.is_noted() {
                true => sections::push_looked_up(self.place, self.table, CLASS, token),
                false => sections::push(self.place, self.table, CLASS, token),
            }
        }
    }

    /// Whether to use the section that notes what it pushes: now and then, so that both kinds meet.
    fn is_noted(&self) -> bool {
        self.turns.fetch_add(1, Relaxed) % 5 < 3
    }

    /// A batch from the slab, which widens the window that the fence has to close, or else from the pool.
    fn pop_batch(&self, into: &mut [Addr]) -> usize {
        // SAFETY: as above.
        let mut count = unsafe { sections::pop_batch(self.place, self.table, CLASS, into) };
        if count == 0 {
            let mut pool = self.pool.lock().unwrap();
            while count < into.len() {
                let Some(token) = pool.pop() else { break };
                into[count] = token;
                count += 1;
            }
        }
        into[..count].iter().for_each(|&token| self.receive(token));
        count
    }

    fn push_batch(&self, tokens: &[Addr]) {
        tokens.iter().for_each(|&token| self.give_up(token));
        // SAFETY: as above.
        let kept = unsafe { sections::push_batch(self.place, self.table, CLASS, tokens) };
        if kept < tokens.len() {
            self.pool.lock().unwrap().extend(&tokens[kept..]);
        }
    }

    /// Gives this CPU's stack another capacity, if it has the header that some CPU had a moment ago. An empty stack
    /// moves between its places.
    fn change_capacity(&self, round: usize) {
        let old = self.slabs[round % self.slabs.len()].read(CLASS);
        let new = old.with_capacity(CLASS, [CAPACITY, 8, 64, 65][round / 16 % 4]);
        // SAFETY: as above; `with_capacity` keeps the header inside the stack, in any slab that has `old`.
        if unsafe { sections::replace_header(self.place, self.table, CLASS, old, new) }.is_some() {
            self.capacities.fetch_add(1, Relaxed);
        }
    }

    fn is_done(&self) -> bool {
        self.done.load(Relaxed)
    }

    /// What a thread does; every third one also moves from CPU to CPU.
    fn work(&self, thread: usize) {
        self.threads[thread].store(message::thread_id(), Relaxed);
        let cpus = if thread.is_multiple_of(3) { allowed_cpus() } else { Vec::new() };
        let mut batch = Batch::new();
        let mut round = thread;
        while !self.is_done() {
            round += 1;
            if let Some(token) = self.pop()
                && !self.push(token)
            {
                self.pool.lock().unwrap().push(token);
            }
            if round.is_multiple_of(8) {
                batch.release();
            }
            let batch = batch.tokens();
            let n = self.pop_batch(&mut batch[..1 + round % 32]);
            self.push_batch(&batch[..n]);
            self.operations.fetch_add(2, Relaxed);
            if self.with_fence && round.is_multiple_of(16) {
                self.change_capacity(round);
            }
            if round.is_multiple_of(256) && cpus.len() > 1 {
                run_on(cpus[round / 256 % cpus.len()]);
                self.moved.fetch_add(1, Relaxed);
            }
        }
    }

    /// Takes a CPU's slab away, empties it, and gives it back.
    fn stop_and_empty(&self, cpu: usize) {
        let slab = self.slabs[cpu];
        self.table.take_away(cpu);
        if self.with_fence {
            assert!(rseq::fence());
        }
        let mut stolen = vec![Addr(0); CAPACITY];
        let count = slab.pop_batch(CLASS, &mut stolen);
        stolen.truncate(count);
        stolen.iter().for_each(|&token| self.receive(token));
        stolen.iter().for_each(|&token| self.give_up(token));
        // Some go back to where they were, so that the slab is in use again at once.
        if self.with_fence {
            slab.set_capacity(CLASS, [64, CAPACITY][count % 2]);
        }
        let kept = slab.push_batch(CLASS, &stolen[..count / 2]);
        self.pool.lock().unwrap().extend(&stolen[kept..]);
        self.table.publish(cpu, slab);
    }

    /// What the signal handler does: it may have interrupted a section, and uses sections itself.
    fn handle_signal(&self) {
        self.in_handlers.fetch_add(1, Relaxed);
        let Some(token) = self.pop() else { return };
        if !self.push(token) {
            let free = |slot: &&AtomicUsize| slot.compare_exchange(0, token.0, AcqRel, Relaxed).is_ok();
            assert!(self.handler_pool.iter().find(free).is_some(), "more tokens than there are");
        }
    }

    /// Tokens that are not there exactly once, with nobody running any more.
    fn missing_or_doubled(&self) -> usize {
        let mut copies = vec![0usize; TOKENS + 1];
        let mut count = |token: Addr| copies[token.0 / 16] += 1;
        let pool = self.pool.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        pool.iter().for_each(|&token| count(token));
        let in_handlers = self.handler_pool.iter().map(|slot| Addr(slot.load(Acquire)));
        in_handlers.filter(|&token| token != Addr(0)).for_each(&mut count);
        self.slabs.iter().for_each(|slab| slab.for_each_object(&mut |_, token| count(token)));
        copies[1..].iter().filter(|&&n| n != 1).count()
    }
}

/// Room for tokens on a page of its own, which can be made absent: the section that then writes to it takes a page
/// fault in its middle. The kernel restarts no section for that, so it lasts for a microsecond instead of some
/// nanoseconds, and a stop without the fence falls into one within moments instead of once in many seconds.
struct Batch(Addr);

impl Batch {
    const TOKENS: usize = 32;
    const BYTES: usize = 4096;

    fn new() -> Self {
        Self(memory::map(Self::BYTES, Access::ReadWrite).unwrap())
    }

    fn release(&mut self) {
        // SAFETY: the page is this batch's; what it held is not looked at again.
        assert_eq!(unsafe { libc::madvise(self.0.ptr(), Self::BYTES, libc::MADV_DONTNEED) }, 0);
    }

    fn tokens(&mut self) -> &mut [Addr] {
        // SAFETY: a mapped page, borrowed with the batch; absent memory reads as zeros, which are addresses.
        unsafe { core::slice::from_raw_parts_mut(self.0.ptr(), Self::TOKENS) }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: the page is this batch's, and nobody borrows it any more.
        unsafe { memory::unmap(self.0, Self::BYTES) };
    }
}

extern "C" fn on_signal(_: libc::c_int) {
    // SAFETY: non-null only while `run` keeps the world alive.
    if let Some(world) = unsafe { WORLD.load(Acquire).as_ref() } {
        world.handle_signal();
    }
}

fn allowed_cpus() -> Vec<usize> {
    // SAFETY: an all-zero set is a valid one, and the call fills it in.
    let set = unsafe {
        let mut set: libc::cpu_set_t = core::mem::zeroed();
        assert_eq!(libc::sched_getaffinity(0, size_of_val(&set), &mut set), 0);
        set
    };
    // SAFETY: only reads the set.
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

/// Moves this thread.
fn run_on(cpu: usize) {
    // SAFETY: an all-zero set is a valid one; the CPU is one of those allowed, below the set's size.
    unsafe {
        let mut set: libc::cpu_set_t = core::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

/// What came of a run.
#[derive(Debug)]
struct Outcome {
    stops: usize,
    duplicates: u64,
    missing_or_doubled: usize,
    /// Threads that a stack in disorder has ended.
    panics: usize,
}

impl Outcome {
    fn is_right(&self) -> bool {
        (self.duplicates, self.missing_or_doubled, self.panics) == (0, 0, 0)
    }
}

/// Runs until there were `STOPS` stops, something went wrong often enough, or `longest` is over.
fn run(with_fence: bool, longest: Duration) -> Option<Outcome> {
    let _one_at_a_time = RUNS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let world = Box::new(World::new(with_fence)?);
    // SAFETY: the handler only uses sections and atomics; SIGURG is ignored by default and by others.
    let old = unsafe { libc::signal(libc::SIGURG, on_signal as *const () as libc::sighandler_t) };
    WORLD.store((&raw const *world).cast_mut(), Release);
    let (stops, panics) = thread::scope(|scope| {
        let world = &*world;
        let threads: Vec<_> = (0..THREADS).map(|i| scope.spawn(move || world.work(i))).collect();
        // Caught, or the threads would go on for ever.
        let stops = catch_unwind(AssertUnwindSafe(|| stop_repeatedly(world, Instant::now() + longest)));
        world.done.store(true, Relaxed);
        let panics = threads.into_iter().filter_map(|thread| thread.join().err()).count();
        (stops.as_ref().map_or(0, |&stops| stops), panics + usize::from(stops.is_err()))
    });
    WORLD.store(null_mut(), Release);
    // SAFETY: puts back what was there.
    unsafe { libc::signal(libc::SIGURG, old) };
    let outcome = Outcome {
        stops,
        duplicates: world.duplicates.load(Relaxed),
        missing_or_doubled: world.missing_or_doubled(),
        panics,
    };
    eprintln!(
        "fence {with_fence}: {outcome:?}, {} operations, {} moves, {} capacities, {} signals",
        world.operations.load(Relaxed),
        world.moved.load(Relaxed),
        world.capacities.load(Relaxed),
        world.in_handlers.load(Relaxed),
    );
    Some(outcome)
}

fn stop_repeatedly(world: &World, end: Instant) -> usize {
    let mut stops = 0;
    let enough = |stops: usize| world.with_fence && stops >= STOPS;
    while !enough(stops) && world.duplicates.load(Relaxed) < ENOUGH && Instant::now() < end {
        world.stop_and_empty(stops % world.slabs.len());
        let thread = world.threads[stops % THREADS].load(Relaxed);
        if thread != 0 {
            send_signal(thread);
        }
        stops += 1;
        // Now and then the processor goes to the others, or on one CPU nothing would be stopped.
        if stops.is_multiple_of(64) {
            thread::yield_now();
        }
    }
    stops
}

fn send_signal(thread: u32) {
    // SAFETY: a signal with a handler that may run on any thread. One that a panic has ended gets none, or a later
    // thread of this process gets it.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGURG) };
}

const NO_RSEQ: &str = "skipped: this thread has no restartable sequences (old kernel, valgrind, emulator)";

#[test]
fn stopped_slabs_lose_and_double_no_token() {
    let Some(outcome) = run(true, LONGEST) else { return eprintln!("{NO_RSEQ}") };
    assert!(outcome.stops > 0 && outcome.is_right(), "{outcome:?}");
}

#[test]
fn without_the_fence_the_same_run_fails() {
    if allowed_cpus().len() < 2 {
        return eprintln!("skipped: with one CPU no section can run while another thread empties its slab");
    }
    let Some(outcome) = run(false, LONGEST_CONTROL) else { return eprintln!("{NO_RSEQ}") };
    // Not a panic alone: that may be the machine's fault.
    assert!(
        outcome.duplicates > 0 || outcome.missing_or_doubled > 0,
        "the test above proves nothing: {outcome:?}"
    );
}

#[test]
fn one_cpu_at_a_time_is_enough_for_the_kernel_to_restart_sections() {
    // All threads on one CPU: only preemption and signals come in between.
    let Some(world) = World::new(true) else { return eprintln!("{NO_RSEQ}") };
    let cpu = allowed_cpus()[0];
    let finished = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                run_on(cpu);
                let mut batch = [Addr(0); 32];
                for round in 0..20_000 {
                    let n = world.pop_batch(&mut batch[..1 + round % 32]);
                    world.push_batch(&batch[..n]);
                }
                finished.fetch_add(1, Relaxed);
            });
        }
    });
    assert_eq!(finished.load(Relaxed) as usize, THREADS);
    assert_eq!((world.duplicates.load(Relaxed), world.missing_or_doubled()), (0, 0));
}
