//! A leak check, from the stop to the report.
//!
//! 1. One check at a time.
//! 2. Take every lock of the heap, so that no stopped thread holds one: what is copied is consistent.
//! 3. Stop the world (`stop_world`).
//! 4. Fork (`snapshot`). The world goes on and the locks are given back; the rest happens in the child,
//!    or, if there can be no child, in the stopped process.
//! 5. Number the objects, mark from the roots, classify (`mark`).
//! 6. Suppress, group and write the report (`report`).
//! 7. Hand the totals back, and a list of what was lost, by which the process remembers what it has
//!    reported and, if asked to, reclaims what two checks running found lost: bit by bit (`sweep`), to the end before
//!    the next check.

use super::mark::{self, GroupKey, Groups, HeapImage, Marker, Objects, Reader};
use super::own_memory::{self, Buffer, NoMemory};
use super::roots::{self, Kinds, Root, Search, What};
use super::snapshot::{self, Outcome, Place, Plan};
use super::stale::{self, Stale};
use super::stop_world::{self, Caller, How, Options, Source, StoppedWorld};
use super::trace::{Milliseconds, Phase, Times};
use super::{capture, depot, frame, sweep, trigger};
use crate::base::Addr;
use crate::config::{self, Key};
use crate::heap::{self, tracking};
use crate::report::{Amount, Group, Kind, LeakReport, ReportOptions, Session, Totals};
use crate::sync::{OwnerLock, Rank};
use crate::sys::{cpu, file::File, message, message::say, signal, time};
use alloc::{format, string::String, vec::Vec};

use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// Why a check is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trigger {
    /// The program ends.
    Exit,
    /// The program asked.
    Call,
    /// A signal came.
    Signal,
    /// It was time.
    Interval,
    /// The heap has grown.
    Growth,
}

impl Trigger {
    /// The word for it in trace lines.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Call => "call",
            Self::Signal => "signal",
            Self::Interval => "interval",
            Self::Growth => "growth",
        }
    }
}

/// One check at a time in the process.
static CHECKING: OwnerLock = OwnerLock::new(Rank::LeakCheck);
/// Checks made so far: the generation of objects allocated now.
static GENERATION: AtomicU32 = AtomicU32::new(0);
/// Whether this process has written a report.
static HAS_REPORTED: AtomicBool = AtomicBool::new(false);
/// Text of `__lsan_default_suppressions()`: address and length.
static PROGRAM_SUPPRESSIONS: (AtomicUsize, AtomicUsize) = (AtomicUsize::new(0), AtomicUsize::new(0));

/// Checks made so far.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Relaxed)
}

/// In a child of the program's: a check of the parent's is not this process's. fork does not wait for one,
/// which can take long, so that the child may find its lock held.
///
/// # Safety
/// Right after fork, in the child.
pub(crate) unsafe fn reset_after_fork() {
    // SAFETY: the thread that forked is the only one, and makes no check; the lock guards no value.
    unsafe { CHECKING.reset_in_child() };
    // SAFETY: likewise.
    unsafe { sweep::reset_after_fork() };
    HAS_REPORTED.store(false, Relaxed);
}

/// Sets the suppressions that the program brings along.
pub(crate) fn set_program_suppressions(text: &'static [u8]) {
    PROGRAM_SUPPRESSIONS.1.store(text.len(), Relaxed);
    PROGRAM_SUPPRESSIONS.0.store(text.as_ptr().expose_provenance(), Release);
}

fn program_suppressions() -> &'static [u8] {
    match PROGRAM_SUPPRESSIONS.0.load(Acquire) {
        0 => &[],
        // SAFETY: `set_program_suppressions` stored the parts of a static slice.
        at => unsafe { core::slice::from_raw_parts(Addr(at).ptr(), PROGRAM_SUPPRESSIONS.1.load(Relaxed)) },
    }
}

/// Most lost objects that are remembered from one check: 8 MiB of addresses, only touched as far as used.
const MAX_LOST: usize = 1 << 20;

/// What the child reports back.
#[derive(Clone, Copy)]
struct Result {
    totals: Totals,
    /// What is definitely or indirectly lost, whether reported before or not.
    leaked: Amount,
    times: Times,
    live_bytes: usize,
    live_blocks: usize,
    scanned_bytes: usize,
    /// Nanoseconds of processor time that marking from the roots took.
    mark_cpu: u64,
    /// Lost objects that the process is told of, and those beyond.
    lost: usize,
    forgotten: usize,
    workers: usize,
    /// Whether there was something that the check could not look at.
    is_partial: bool,
    /// Whether the report had anything to say.
    wrote: bool,
    failed: bool,
}

// SAFETY: numbers and booleans, for which zero is a value.
unsafe impl snapshot::Plain for Result {}

/// Stack for the work: the demanglers recurse, and a program's own stack may be tiny.
const WORK_STACK_BYTES: usize = 8 << 20;
/// A check that takes longer than this is given up.
const LIMIT_SECONDS: u32 = 600;
/// Most workers by default: memory feeds no more on the usual machine.
const MAX_DEFAULT_WORKERS: usize = 8;

/// A worker is not worth its start for less than this, about a millisecond of work.
const BYTES_PER_WORKER: usize = 4 << 20;

/// Makes a check and returns what it found; `None` if leak mode is off or the check failed, which was said.
///
/// A signal handler that makes one may find that it interrupted the allocator; then the check fails.
///
/// Not inlined: its frame is where the search of this stack begins, and everything below is dead.
#[inline(never)]
pub(crate) fn run(trigger: Trigger) -> Option<Totals> {
    // The first frame of the program's that waits for this; see `frame`.
    run_for(trigger, caller_of(trigger), None).map(|result| result.totals)
}

/// As [`run`], for an assertion: returns all that is definitely or indirectly lost, also what `leak_new` leaves out,
/// and notes in `stale` the words that lead to no object.
#[inline(never)]
pub(crate) fn run_for_assertion(stale: Option<&Stale>) -> Option<Amount> {
    run_for(Trigger::Call, caller_of(Trigger::Call), stale).map(|result| result.leaked)
}

/// As [`run`] at the end of the process, when the stack is live from `stack_pointer` on.
pub(crate) fn run_at_exit(stack_pointer: usize) -> Option<Totals> {
    // Nothing of a frame that made a call lies below its stack pointer.
    let stack_pointer = stack_pointer + stop_world::RED_ZONE_BYTES;
    run_for(Trigger::Exit, Caller { stack_pointer, registers: None }, None).map(|result| result.totals)
}

#[inline(never)]
fn run_for(trigger: Trigger, caller: Caller, stale: Option<&Stale>) -> Option<Result> {
    if !super::is_on() {
        return None;
    }
    if is_bypassed() {
        return None;
    }
    if is_made_here() {
        // In a signal handler.
        say!("leak check failed: this thread is making one already");
        return None;
    }
    if !locks_come_free() {
        say!("leak check failed: the allocator stays locked, as by a signal handler that interrupted it");
        return None;
    }
    let _one = CHECKING.lock();
    sweep::finish();
    let mut times = Times::start();
    let lost_list = LostList::new();
    let kept = Kept { trigger, lost_list: &lost_list, stale };
    let signals = lock_heap();
    // SAFETY: the heap's locks are held.
    unsafe { tracking::forget_lost_if_due(generation()) };
    let world = match stop_world::stop(&stop_options(caller)) {
        Ok(world) => world,
        Err(error) => {
            unlock_heap(signals);
            say!("leak check failed: the threads could not be stopped: {error}");
            return None;
        }
    };
    times.note(Phase::Stop);
    let plan = Plan {
        wait: true,
        limit_seconds: LIMIT_SECONDS,
        keep_file: message::output_fd(),
        stack_bytes: WORK_STACK_BYTES,
        in_place: false,
    };
    let mut paused = times;
    let resumed = || {
        unlock_heap(signals);
        paused.note(Phase::Fork);
    };
    let outcome = snapshot::run(world, &plan, resumed, |world, place, result: &mut Result| {
        if let Place::InPlace(errno) = place {
            say!("leak check: no copy of the process could be made ({errno}); it waits meanwhile");
        }
        // SAFETY: one check at a time; the workers that mark allocate from `own_memory` only.
        unsafe { heap::arena::serve(|| work(world, place, &kept, times, result), snapshot::give_up) };
    });
    let result = match outcome {
        Outcome::Done(result, _) => Some(result),
        Outcome::Running(running) => {
            drop(running);
            None
        }
        Outcome::Failed(failure) => {
            say!("leak check failed: {}", failure.text());
            None
        }
    };
    GENERATION.fetch_add(1, Relaxed);
    // A copy that died may have written before. A file that none of this process's checks has begun may be there from a
    // process that had its number: the first that writes must not go on with that.
    if result.is_none_or(|result| result.wrote) {
        HAS_REPORTED.store(true, Relaxed);
    }
    result.filter(|result| !result.failed).inspect(|result| {
        let reclaimed = remember(result, &lost_list);
        trigger::note_checked(reclaimed.bytes);
        if reclaimed.blocks > 0 {
            // SAFETY: `remember` has noted so many objects there.
            unsafe { lost_list.sweep(reclaimed.blocks) };
        }
        if config::is_on(Key::Trace) {
            trace(trigger, result, &paused, reclaimed);
        }
    })
}

/// What of the calling thread is scanned: at exit only what lies above the call of `exit`.
#[inline(always)]
fn caller_of(trigger: Trigger) -> Caller {
    // As below: this frame is in the middle of a call.
    let stack_pointer = stop_world::stack_pointer() + stop_world::RED_ZONE_BYTES;
    match trigger {
        Trigger::Exit => {
            // That frame is in the middle of a call: nothing of it lies below its stack pointer, and the
            // red zone there would be what `main` has left behind.
            let frame = frame::of_exit().map(|sp| sp + stop_world::RED_ZONE_BYTES);
            Caller { stack_pointer: frame.unwrap_or(stack_pointer), registers: None }
        }
        _ => Caller { stack_pointer, registers: Some(stop_world::save_registers()) },
    }
}

fn stop_options(caller: Caller) -> Options {
    Options {
        signal: stop_world::DEFAULT_SIGNAL,
        limit_milliseconds: config::get(Key::StopTimeout) as u64,
        caller,
    }
}

/// Whether the program may allocate without besom: in a Rust program that links it, or where another library's
/// malloc comes first. It is told so once if nothing has been allocated at all: an empty report would mislead.
static MAY_BE_BYPASSED: AtomicBool = AtomicBool::new(false);

/// Sets whether the program may allocate without besom.
pub(super) fn set_may_be_bypassed(may_be: bool) {
    MAY_BE_BYPASSED.store(may_be, Relaxed);
}

fn is_bypassed() -> bool {
    if !MAY_BE_BYPASSED.load(Relaxed) || tracking::bytes() > 0 {
        return false;
    }
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Relaxed) {
        say!(
            "leak=1 finds nothing: this program does not allocate with besom (it needs besom as its \
             #[global_allocator], or no malloc that comes before besom's)"
        );
    }
    true
}

/// Whether this thread is making a check: in a signal handler it may be.
pub(crate) fn is_made_here() -> bool {
    CHECKING.is_held_here()
}

/// Whether the locks that [`lock_heap`] takes can be waited for.
fn locks_come_free() -> bool {
    let limit = config::get(Key::StopTimeout) as u64 * 1_000_000;
    let deadline = time::nanoseconds().saturating_add(limit);
    heap::fork::locks_come_free(deadline) && capture::lock_comes_free(deadline) && sweep::comes_free(deadline)
}

/// Takes the heap's locks, and returns this thread's signals, for [`unlock_heap`]. Handlers of the program must
/// run neither under the locks, for they may allocate, nor in the child before its own are set.
fn lock_heap() -> signal::Set {
    let signals = signal::set_blocked(signal::ASYNCHRONOUS);
    heap::fork::prepare();
    capture::before_fork();
    // SAFETY: the heap's locks are held.
    unsafe { heap::pages::note_top() };
    signals
}

fn unlock_heap(signals: signal::Set) {
    // SAFETY: `lock_heap` took them in this thread.
    unsafe {
        capture::after_fork(false);
        heap::fork::release(false);
    }
    signal::set_blocked(signals);
}

/// What the work gets besides the world.
struct Kept<'a> {
    trigger: Trigger,
    lost_list: &'a LostList,
    stale: Option<&'a Stale>,
}

fn work(world: &StoppedWorld, place: Place, kept: &Kept<'_>, mut times: Times, result: &mut Result) {
    if let Err(broken) = try_work(world, place, kept, &mut times, result) {
        say!("leak check failed: {}", broken.text());
        result.failed = true;
    }
    result.times = times;
}

/// Why the work could not be done.
enum Broken {
    /// No memory for its tables.
    NoMemory,
    /// In the process itself memory is read through the kernel, which a filter of system calls forbids.
    Unreadable,
}

impl Broken {
    fn text(self) -> &'static str {
        match self {
            Self::NoMemory => "no memory for its tables",
            Self::Unreadable => "no copy of the process can be made, and process_vm_readv is forbidden",
        }
    }
}

impl From<NoMemory> for Broken {
    fn from(_: NoMemory) -> Self {
        Self::NoMemory
    }
}

fn try_work(
    world: &StoppedWorld,
    place: Place,
    kept: &Kept<'_>,
    times: &mut Times,
    result: &mut Result,
) -> core::result::Result<(), Broken> {
    times.note(Phase::Fork);
    let in_place = place != Place::Child;
    if in_place && !super::peek::is_allowed() {
        return Err(Broken::Unreadable);
    }
    let reader = if in_place { Reader::ThroughKernel } else { Reader::Direct };
    let objects = Objects::new(HeapImage::new(reader)?)?;
    times.note(Phase::Number);
    let workers = if in_place { 1 } else { worker_count(objects.live().bytes) };
    let unaligned = config::is_on(Key::UseUnaligned);
    let marker = Marker::new(&objects, unaligned, workers).ok_or(NoMemory)?.noting(kept.stale);
    let cpu_before = time::process_cpu_nanoseconds();
    let mut notes = mark_from_roots(&marker, world, in_place)?;
    result.mark_cpu = time::process_cpu_nanoseconds() - cpu_before;
    times.note(Phase::Mark);

    let mut options = ReportOptions::from_config();
    options.append = HAS_REPORTED.load(Relaxed);
    options.program_suppressions = program_suppressions();
    options.print_clean |= kept.trigger != Trigger::Exit;
    let seen: Vec<_> = capture::modules_seen().collect();
    let mut session = Session::new(&options, &seen);
    mark::suppress(&marker, |stack, amount| {
        session.suppress(stack as usize, depot::frames(depot::StackId(stack)), amount)
    });
    let only_new = config::is_on(Key::OnlyNew);
    let (mut noted, mut forgotten, mut all) = (0, 0, Totals::NONE);
    let each_lost = |object, kind, amount| {
        all.add(kind, amount);
        let has_room = kept.lost_list.set(noted, object);
        *(if has_room { &mut noted } else { &mut forgotten }) += 1;
    };
    let (totals, groups) =
        mark::classify(&marker, options.report_objects, options.show_reachable, only_new, each_lost);
    times.note(Phase::Classify);
    if marker.is_incomplete() {
        return Err(Broken::NoMemory);
    }
    (result.totals, result.leaked) = (totals, all.leaked());
    (result.live_bytes, result.live_blocks) = (objects.live().bytes, objects.live().blocks);
    (result.lost, result.forgotten) = (noted, forgotten);
    (result.scanned_bytes, result.workers) = (marker.scanned_bytes(), workers);
    notes.unread |= objects.frozen().has_unread();
    let mut not_seen = not_seen(world, notes);
    result.is_partial = !not_seen.is_empty();
    if result.is_partial && config::is_on(Key::Reclaim) {
        not_seen.push(String::from("what is lost is not freed: what was not seen may lead to it"));
    }
    not_seen.extend(limits(forgotten));
    result.wrote = write_report(&mut session, totals, &groups, &not_seen);
    times.note(Phase::Report);
    Ok(())
}

fn worker_count(live_bytes: usize) -> usize {
    match config::get(Key::LeakWorkers) {
        0 => cpu::allowed().min(MAX_DEFAULT_WORKERS).min(1 + live_bytes / BYTES_PER_WORKER),
        n => n.min(snapshot::MAX_WORKERS),
    }
}

fn mark_from_roots(
    marker: &Marker<'_, HeapImage>,
    world: &StoppedWorld,
    in_place: bool,
) -> core::result::Result<roots::Notes, NoMemory> {
    let unaligned = config::is_on(Key::UseUnaligned);
    let search = Search { world, kinds: kinds(), owned: &super::own_ranges, in_place, unaligned };
    let mut found = Ok(roots::Notes::default());
    let (mut kept, mut noted) = (Buffer::new(), Ok(()));
    marker.mark_from_roots(|feeder| {
        found = roots::find(&search, &mut |root: Root| match root.what {
            What::Words((start, end)) => feeder.words(start, end),
            What::Object(at) => feeder.object(at),
            What::Keep(at) => noted = noted.and(kept.push(at)),
        });
    });
    // Last, so that an object with another way to it has been scanned.
    kept.items().iter().for_each(|&at| marker.keep(at));
    noted.and(found)
}

/// The kinds of roots that the options leave on.
fn kinds() -> Kinds {
    use roots::Kind as Root;
    const GROUPS: &[(Key, &[Root])] = &[
        (Key::UseGlobals, &[Root::Globals]),
        (Key::UseStacks, &[Root::Stack, Root::AlternateStack]),
        (Key::UseRegisters, &[Root::Registers]),
        (Key::UseTls, &[Root::Tls, Root::Specific, Root::Descriptor]),
        (Key::UseRootRegions, &[Root::Region]),
        (Key::UseMappings, &[Root::Mapping, Root::SharedMemory]),
    ];
    let off = GROUPS.iter().filter(|(key, _)| !config::is_on(*key));
    off.flat_map(|(_, roots)| roots.iter()).fold(Kinds::DEFAULT, |kinds, &root| kinds.without(root))
}

/// The list of lost objects, in memory that parent and child share; empty if there is none.
struct LostList(Option<Addr>);

impl LostList {
    fn new() -> Self {
        Self(own_memory::map_shared(MAX_LOST * size_of::<usize>()))
    }

    /// Notes an object as number `index`; `false`: there is no room.
    fn set(&self, index: usize, start: usize) -> bool {
        let Some(list) = self.0.filter(|_| index < MAX_LOST) else { return false };
        // SAFETY: the mapping has room for MAX_LOST addresses, and one thread at a time writes there: the check's, then
        // the one that waited for it.
        unsafe { list.ptr::<usize>().add(index).write(start) };
        true
    }

    /// The object noted as number `index`.
    fn get(&self, index: usize) -> Option<Addr> {
        let list = self.0.filter(|_| index < MAX_LOST)?;
        // SAFETY: as above; nobody else writes there any more.
        Some(Addr(unsafe { list.ptr::<usize>().add(index).read() }))
    }

    /// Has the first `count` objects swept up, from now on.
    ///
    /// # Safety
    /// In a check that has ended; so many objects are noted, and the last check found them lost.
    unsafe fn sweep(mut self, count: usize) {
        let Some(list) = self.0.take() else { return };
        // SAFETY: this check has finished the sweep before it began; the rest is the caller's promise, and the mapping
        // is not `self`'s any more.
        unsafe { sweep::put(list, count, generation()) };
        trigger::wake_to_sweep();
    }
}

impl Drop for LostList {
    fn drop(&mut self) {
        if let Some(list) = self.0 {
            // SAFETY: made by `new`; a child has a mapping of its own.
            unsafe { own_memory::unmap(list) };
        }
    }
}

/// Notes in the objects' records what was lost. What was lost twice running is to be freed, if asked to: such objects
/// come to the list's beginning, and their amount is returned.
///
/// What is lost stays as it is: the program can't reach it to free it.
fn remember(result: &Result, list: &LostList) -> Amount {
    let reclaim = config::is_on(Key::Reclaim) && !stale::is_assertion_on() && !result.is_partial;
    let mut again = Amount::default();
    for object in (0..result.lost).filter_map(|index| list.get(index)) {
        let Some(record) = tracking::find(object).filter(|record| record.is_live()) else { continue };
        record.add(tracking::REPORTED);
        // Its place in the list is that of one that has been looked at.
        if reclaim && record.lost_before(generation()) && list.set(again.blocks, object.0) {
            again = again.plus(Amount { bytes: record.requested(), blocks: 1 });
        }
        record.note_lost(generation());
    }
    again
}

fn write_report(session: &mut Session<'_>, totals: Totals, groups: &Groups, not_seen: &[String]) -> bool {
    let groups: Vec<Group<'_>> = groups
        .iter()
        .map(|(&GroupKey { stack, kind }, lost)| Group {
            kind,
            amount: lost.amount,
            stack: depot::frames(depot::StackId(stack)),
            id: stack as usize,
            objects: &lost.objects,
        })
        .collect();
    let not_seen: Vec<&str> = not_seen.iter().map(String::as_str).collect();
    let mut command = [0; 4096];
    let command = match File::open(c"/proc/self/cmdline") {
        Ok(file) => file.read_all(&mut command),
        Err(_) => &[],
    };
    session.write(&LeakReport {
        pid: super::process(),
        command,
        totals,
        not_seen: &not_seen,
        groups: &groups,
    })
}

/// What the check could not look at, a sentence each.
fn not_seen(world: &StoppedWorld, notes: roots::Notes) -> Vec<String> {
    let mut lines = Vec::new();
    for thread in world.threads() {
        let mut name = [0; 16];
        let mut named = || {
            let name = stop_world::thread_name(world.process(), thread.tid, &mut name);
            format!("thread {} ({})", thread.tid, config::Ascii(name))
        };
        match thread.how {
            How::NotSeen(reason) => lines.push(format!("{} {}", named(), reason.text())),
            How::Sampled => {
                lines.push(format!("{} blocks the stop signal: its registers were not searched", named()));
            }
            How::Caller | How::Signal => {}
        }
    }
    let source = world.source();
    let said = [
        (source == Source::Libc, "/proc can't be read: threads that libc did not make were not stopped"),
        (source == Source::Nothing, "no list of threads could be read: only the calling thread was stopped"),
        (
            notes.no_maps,
            "/proc/self/maps can't be read: mappings other than stacks and loaded objects were not searched",
        ),
        (
            notes.no_threads,
            "glibc's list of threads is not as known: thread-local storage was searched as mappings",
        ),
        (notes.broken_list, "glibc's list of threads led nowhere: some thread-local storage may be missing"),
        (notes.hidden_data, "some variables are protected from reading, and were taken for empty"),
        (notes.untried, "some pages could not be tried before they were read"),
        (notes.unread, "some pages could not be read and were taken for empty"),
    ];
    lines.extend(said.iter().filter(|(is_so, _)| *is_so).map(|(_, text)| String::from(*text)));
    let replaced = snapshot::faults::pages();
    if replaced > 0 {
        lines.push(format!("{replaced} page(s) could not be read and were taken for empty"));
    }
    lines
}

/// Whether it matters what checks have found lost before.
fn keeps_lost() -> bool {
    config::is_on(Key::OnlyNew) || config::is_on(Key::Reclaim)
}

/// What the check found and could not keep, a sentence each.
fn limits(forgotten: usize) -> impl Iterator<Item = String> {
    let forgotten = (forgotten > 0 && keeps_lost())
        .then(|| format!("{forgotten} lost blocks are not remembered: the next check takes them for new"));
    let dropped = depot::statistics().dropped;
    let dropped = (dropped > 0).then(|| format!("{dropped} stacks could not be stored for want of memory"));
    let missed = capture::modules_missed();
    let missed = (missed > 0).then(|| {
        format!("{missed} modules could not be noted: once unloaded, their functions have no names")
    });
    forgotten.into_iter().chain(dropped).chain(missed)
}

fn trace(trigger: Trigger, result: &Result, paused: &Times, reclaimed: Amount) {
    let number = GENERATION.load(Relaxed);
    let lost = result.totals.leaked();
    let before = Amount { bytes: result.live_bytes, blocks: result.live_blocks };
    let after = before.minus(reclaimed);
    say!(
        "check {number} ({}): {}; pause {}; {} workers scanned {} bytes in {} of CPU; heap {} bytes in {} blocks before, {} in {} after; lost {} in {}, reclaimed {} in {}",
        trigger.name(),
        result.times,
        paused.pause(),
        result.workers,
        result.scanned_bytes,
        Milliseconds(result.mark_cpu),
        before.bytes,
        before.blocks,
        after.bytes,
        after.blocks,
        lost.bytes,
        lost.blocks,
        reclaimed.bytes,
        reclaimed.blocks,
    );
    if result.forgotten > 0 && keeps_lost() {
        say!(
            "check {number}: {} lost blocks more than are remembered: the next check takes them for new",
            result.forgotten
        );
    }
}

const _: () = assert!(Kind::COUNT == 5);
