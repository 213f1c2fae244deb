//! The leak finder for Rust programs, as `besom::leak`.

use super::check::{self, Trigger};
use super::ignore::{self, Ignored};
use super::stale::{Assertion, Stale};
use super::{is_on, roots, scope, stop_world};
use crate::base::Addr;
use crate::report::{Amount as Counted, Kind, Totals};
use crate::sys::message::say;
use core::hint::black_box;
use core::marker::PhantomData;

/// A number of blocks, and the bytes that the program asked for in them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Amount {
    /// Bytes as requested.
    pub bytes: usize,
    /// Number of blocks.
    pub blocks: usize,
}

impl From<Counted> for Amount {
    fn from(Counted { bytes, blocks }: Counted) -> Self {
        Self { bytes, blocks }
    }
}

/// What a check found.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// Nothing points to these blocks.
    pub definitely_lost: Amount,
    /// Only lost blocks point to these.
    pub indirectly_lost: Amount,
    /// Only pointers into their inside keep these.
    pub possibly_lost: Amount,
    /// The program can still reach these.
    pub still_reachable: Amount,
    /// Lost, but a suppression hides them.
    pub suppressed: Amount,
}

impl Summary {
    /// What is definitely or indirectly lost: what decides the exit status.
    pub fn leaked(&self) -> Amount {
        let (definite, indirect) = (self.definitely_lost, self.indirectly_lost);
        Amount { bytes: definite.bytes + indirect.bytes, blocks: definite.blocks + indirect.blocks }
    }
}

impl From<Totals> for Summary {
    fn from(totals: Totals) -> Self {
        Self {
            definitely_lost: totals.get(Kind::Definite).into(),
            indirectly_lost: totals.get(Kind::Indirect).into(),
            possibly_lost: totals.get(Kind::Possible).into(),
            still_reachable: totals.get(Kind::Reachable).into(),
            suppressed: totals.get(Kind::Suppressed).into(),
        }
    }
}

/// Looks for leaks now and reports them as at exit; the program goes on. `None` if leak mode is off or the
/// check could not be made; a line on standard error says which.
///
/// The caller's frame counts as in use as a whole: a pointer that was in one of its variables may still lie there.
/// [`assert_no_leaks`] runs code in a frame of its own.
///
/// Stops all threads for the time of a `fork`. Not for signal handlers.
pub fn try_check() -> Option<Summary> {
    if !is_on() {
        say!("leak check: leak mode is off; start the program with BESOM_OPTIONS=leak=1");
        return None;
    }
    check::run(Trigger::Call).map(Summary::from)
}

/// As [`try_check`]; if there was no check, the summary is all zeros.
pub fn check() -> Summary {
    try_check().unwrap_or_default()
}

/// Takes the object that `object` points to or into out of all reports, and with it what only it holds,
/// until it is freed. `false` if there is no such object or leak mode is off.
pub fn ignore<T: ?Sized>(object: *const T) -> bool {
    ignore::object(Addr::of(object.cast::<u8>())) != Ignored::NotAnObject
}

/// While it lives, what this thread allocates is never reported. Such scopes nest.
///
/// ```
/// let _scope = besom::leak::Disabled::new();
/// let table: &'static mut [u8] = Box::leak(Box::new([0; 4096]));
/// # let _ = table;
/// ```
#[derive(Debug)]
pub struct Disabled {
    /// The counter is the thread's: the guard has to stay with it.
    stays: PhantomData<*const ()>,
}

impl Disabled {
    /// Begins the scope.
    #[must_use = "the scope ends when this is dropped"]
    pub fn new() -> Self {
        scope::disable();
        Self { stays: PhantomData }
    }
}

impl Default for Disabled {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Disabled {
    fn drop(&mut self) {
        scope::enable();
    }
}

/// A place outside the heap where the program keeps pointers, such as memory of a device or of another
/// allocator: what these point to is reachable while this lives.
#[derive(Debug)]
pub struct RootRegion {
    start: usize,
    bytes: usize,
}

impl RootRegion {
    /// Registers the `bytes` bytes from `start` on. They are read during checks as far as they can be read.
    /// `None` without memory to note it in.
    pub fn new(start: *const u8, bytes: usize) -> Option<Self> {
        roots::register(start.addr(), bytes).ok()?;
        Some(Self { start: start.addr(), bytes })
    }
}

impl Drop for RootRegion {
    fn drop(&mut self) {
        roots::unregister(self.start, self.bytes);
    }
}

/// Runs `body` and panics if more is definitely or indirectly lost after it than before. For tests:
///
/// ```no_run
/// #[global_allocator]
/// static ALLOC: besom::Besom = besom::Besom;
///
/// fn main() {
///     let sum = besom::leak::assert_no_leaks(|| vec![1, 2, 3].iter().sum::<i32>());
///     assert_eq!(sum, 6);
/// }
/// ```
///
/// It checks the whole process twice, so other threads should be quiet: `cargo test -- --test-threads=1`. What
/// is lost is reported on standard error with the stacks that allocated it. `leak_new` leaves out of these reports what
/// was reported before, but nothing out of the comparison, and `reclaim` frees nothing meanwhile.
///
/// `body` gets no block of up to 64 KiB at an address that stale words of the program hold; these would hide a loss. As
/// long as `body` runs, up to 64 MiB of such places are kept free. What was allocated before and is moved into `body`
/// may go on being named by a dead slot of the caller's frame, and so may what takes the place of a block that `body`
/// frees. An assertion within or beside another avoids nothing; one whose body forks goes on in the child.
///
/// # Panics
/// If something leaked. Also if it can't be told, for an assertion that can't be checked must not hold: if leak mode is
/// off, a check fails, or a block had to be placed where stale words point, because memory ran out or they point to
/// more than 64 MiB of such places.
#[track_caller]
pub fn assert_no_leaks<R>(body: impl FnOnce() -> R) -> R {
    assert!(is_on(), "leak mode is off: start the program with BESOM_OPTIONS=leak=1");
    let wiped_bytes = wiped_bytes();
    let _assertion = Assertion::begin();
    // Until the second check is over, so that no word that was there before keeps what `body` loses.
    let stale = Stale::new().expect("no memory to note stale words in");
    wipe_dead_stack(wiped_bytes);
    let before = leaked(stale.as_ref());
    if let Some(stale) = &stale {
        stale.avoid();
    }
    let result = apart(body);
    wipe_dead_stack(wiped_bytes);
    let after = leaked(None);
    let (bytes, blocks) =
        (after.bytes.saturating_sub(before.bytes), after.blocks.saturating_sub(before.blocks));
    assert!(blocks == 0, "{bytes} bytes leaked in {blocks} blocks");
    assert!(
        !stale.is_some_and(|stale| stale.could_not_avoid()),
        "leaks can't be ruled out: for want of memory, or of room beyond 64 MiB, blocks lie where stale words point"
    );
    result
}

#[track_caller]
fn leaked(stale: Option<&Stale>) -> Amount {
    check::run_for_assertion(stale)
        .expect("the check for leaks could not be made; standard error says why")
        .into()
}

/// Runs `body` in frames of its own, which are dead afterwards.
#[inline(never)]
fn apart<R>(body: impl FnOnce() -> R) -> R {
    black_box(body())
}

/// Bytes of dead stack to wipe, by frames of [`WIPED_AT_ONCE`]: 64 KiB, more than most test bodies use, but no more
/// than half of what the thread has left. What lies deeper may hide a leak.
fn wiped_bytes() -> usize {
    const MOST: usize = 64 << 10;
    let mut attributes = core::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut stack, mut bytes) = (core::ptr::null_mut(), 0);
    // SAFETY: the first call fills the attributes if it returns 0; only then they are read and given back.
    let is_known = unsafe {
        libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) == 0 && {
            libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut stack, &raw mut bytes);
            libc::pthread_attr_destroy(attributes.as_mut_ptr()) == 0
        }
    };
    let room = stop_world::stack_pointer().saturating_sub(stack.addr());
    match is_known {
        true if room < bytes => MOST.min(room / 2),
        // On a stack that the program has made itself, and nobody knows the end of.
        true => WIPED_AT_ONCE,
        // The main thread's, where /proc is hidden.
        false => MOST,
    }
}

/// Bytes of a frame that wipes.
const WIPED_AT_ONCE: usize = 4 << 10;

/// Overwrites the dead part of the stack: its words would pass for live ones as soon as the check's own
/// frames lie over them.
#[inline(never)]
fn wipe_dead_stack(bytes: usize) {
    let mut dead = [0u8; WIPED_AT_ONCE];
    black_box(&mut dead);
    if bytes > WIPED_AT_ONCE {
        wipe_dead_stack(bytes - WIPED_AT_ONCE);
    }
    // The frame is still needed, so that the next one lies below it.
    black_box(&mut dead);
}
