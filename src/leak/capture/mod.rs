//! The stack that allocates: captured in some hundred nanoseconds, without frame pointers, memory, locks
//! or libc, in any thread, on any stack, in signal handlers.
//!
//! [`record`] is all that an allocation needs:
//!
//! 0. A stack that comes after the same one as before is compared with a trace of it ([`trace`]); then nothing more
//!    is needed.
//! 1. The walk ([`walk`]). Per frame it finds the return address in a table ([`table`]) that says how to
//!    get to the caller ([`rule`]): add a number to the stack or frame pointer, load the return address
//!    from below that. Most programs need no more after a short while.
//! 2. A return address seen for the first time is looked up in the call frame information of its module
//!    ([`modules`], [`elf`], [`cfi`]), by a few frames an expression is evaluated ([`expression`]).
//! 3. Nothing is read that is not proven to be readable ([`stack`]).
//! 4. The depot ([`super::depot`]) gives the stack its number. If it is new, the modules of its frames
//!    are compared with those that the rules came from, because a library may have been unloaded and
//!    another loaded in its place.
//!
//! Functions that have no call frame information (generated code, a Rust program built with
//! `panic=abort` and no `-C force-unwind-tables`) are stepped over by frame pointer, if they keep one;
//! else the stack ends there. On aarch64 all steps are by frame pointer ([`chain`]).

#[cfg(any(not(target_arch = "x86_64"), test))]
mod chain;
mod stack;
mod statistics;

#[cfg(target_arch = "x86_64")]
mod cfi;
#[cfg(target_arch = "x86_64")]
mod elf;
#[cfg(target_arch = "x86_64")]
mod expression;
#[cfg(target_arch = "x86_64")]
mod history;
#[cfg(target_arch = "x86_64")]
mod maps;
#[cfg(target_arch = "x86_64")]
mod memo;
#[cfg(target_arch = "x86_64")]
mod modules;
#[cfg(target_arch = "x86_64")]
mod rule;
#[cfg(target_arch = "x86_64")]
mod table;
#[cfg(target_arch = "x86_64")]
mod trace;
#[cfg(target_arch = "x86_64")]
mod walk;

#[cfg(target_arch = "x86_64")]
mod by_tables;
#[cfg(target_arch = "x86_64")]
use by_tables as engine;
#[cfg(not(target_arch = "x86_64"))]
mod by_chain;
#[cfg(not(target_arch = "x86_64"))]
use by_chain as engine;

pub(crate) use engine::{after_fork, before_fork, caller_of_function, for_each_mapping, lock_comes_free};
#[cfg(not(target_arch = "x86_64"))]
pub(crate) use engine::{modules_missed, modules_seen};
#[cfg(target_arch = "x86_64")]
pub(crate) use history::{modules_missed, modules_seen};
#[cfg(test)]
use statistics::statistics;

use super::depot::{self, Hasher, StackId};
use crate::config::{self, Key};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The most frames of the program that are kept of a stack: what the option's table allows.
const MAX_DEPTH: usize = 128;

/// Room for besom's own frames, from [`record`] to the function that the program called. How many there are differs
/// with that function and what is inlined, so these are kept besides what the option asks for, and the report cuts
/// what is left over. The built libraries have two to four, and a Rust program its allocator's wrappers; without
/// optimization there are a dozen.
const OWN_FRAMES: usize = if cfg!(debug_assertions) { 16 } else { 6 };

/// The most frames that are kept of a stack: about 1 KiB of buffer on the stack of whoever allocates.
pub(crate) const MAX_FRAMES: usize = MAX_DEPTH + OWN_FRAMES;

/// Frames to keep; 0 until [`init`], so that nothing is captured before.
static DEPTH: AtomicUsize = AtomicUsize::new(0);

/// Prepares for captures: maps the table of rules, finds out how modules are found, and reads the option
/// for the depth. Once, at start-up, before the first capture; without memory nothing will be captured.
pub(crate) fn init() {
    init_to(config::get(Key::StackDepth).clamp(1, MAX_DEPTH) + OWN_FRAMES);
}

/// As [`init`], for `depth` frames of whichever kind.
pub(crate) fn init_to(depth: usize) {
    if engine::init() {
        DEPTH.store(depth.min(MAX_FRAMES), Relaxed);
    }
}

/// Room for one stack. Not cleared: making one costs nothing.
pub(crate) struct StackBuffer {
    frames: [MaybeUninit<usize>; MAX_FRAMES],
    len: usize,
    hasher: Hasher,
}

impl StackBuffer {
    /// An empty stack.
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self { frames: [const { MaybeUninit::uninit() }; MAX_FRAMES], len: 0, hasher: Hasher::new() }
    }

    /// The frames captured, innermost first.
    #[inline(always)]
    pub(crate) fn frames(&self) -> &[usize] {
        // SAFETY: the first `len` frames are written, one by one as `len` grows, and `len` stays within
        // the array.
        unsafe { core::slice::from_raw_parts(self.frames.as_ptr().cast(), self.len) }
    }

    /// Their hash, as `depot::hash` computes it.
    #[inline(always)]
    pub(crate) fn hash(&self) -> u32 {
        self.hasher.finish()
    }

    /// Empties the buffer and lends it to a walk, which is to leave out `skip` frames and to end after
    /// `depth`.
    #[inline(always)]
    fn sink(&mut self, skip: usize, depth: usize) -> Sink<'_> {
        let depth = depth.min(MAX_FRAMES);
        let limit = skip.min(MAX_FRAMES);
        Sink { frames: &mut self.frames, len: 0, limit, hasher: Hasher::new(), skip, depth }
    }
}

/// Where a walk puts its frames. It is handed from function to function by value, so that the loop keeps
/// the counters in registers.
///
/// Frames to be left out are written too, and overwritten when there were enough of them: that makes one
/// comparison per frame for both counts.
struct Sink<'a> {
    frames: &'a mut [MaybeUninit<usize>; MAX_FRAMES],
    len: usize,
    /// Where to stop and look what comes next; at most `MAX_FRAMES`.
    limit: usize,
    hasher: Hasher,
    /// Frames still to be left out, those written included.
    skip: usize,
    depth: usize,
}

impl Sink<'_> {
    /// Takes the next frame; `false` if no more are wanted.
    fn push(&mut self, pc: usize) -> bool {
        if self.is_full() && !self.start_over() {
            return false;
        }
        let mut writer = self.writer();
        writer.push(pc);
        let Writer { next, hasher, .. } = writer;
        self.accept(next, hasher);
        true
    }

    /// Lends the room up to the limit.
    #[inline(always)]
    fn writer(&mut self) -> Writer<'_> {
        let free = self.frames.get_mut(self.len..self.limit).unwrap_or(&mut []).as_mut_ptr_range();
        Writer { next: free.start, end: free.end, hasher: self.hasher, room: PhantomData }
    }

    /// Whether the limit is reached.
    #[inline(always)]
    fn is_full(&self) -> bool {
        self.len == self.limit
    }

    /// At the limit: frames left out make place for others; `false` if there are enough of those.
    #[cold]
    fn start_over(&mut self) -> bool {
        if self.skip == 0 {
            return false;
        }
        self.skip -= self.len;
        self.limit = if self.skip == 0 { self.depth } else { self.skip.min(MAX_FRAMES) };
        (self.len, self.hasher) = (0, Hasher::new());
        self.limit > 0
    }

    /// Takes what was written.
    #[inline(always)]
    fn accept(&mut self, next: *mut MaybeUninit<usize>, hasher: Hasher) {
        self.len = (next.addr() - self.frames.as_ptr().addr()) / size_of::<usize>();
        self.hasher = hasher;
    }

    /// How many frames there are, and their hash.
    fn finish(self) -> (usize, Hasher) {
        if self.skip == 0 { (self.len, self.hasher) } else { (0, Hasher::new()) }
    }
}

/// Writes frames into a [`Sink`]'s room: one pointer, one comparison, and the hash.
struct Writer<'a> {
    next: *mut MaybeUninit<usize>,
    end: *mut MaybeUninit<usize>,
    hasher: Hasher,
    room: PhantomData<&'a mut [MaybeUninit<usize>]>,
}

impl Writer<'_> {
    /// Whether there is no room for another frame.
    #[inline(always)]
    fn is_full(&self) -> bool {
        self.next == self.end
    }

    /// Writes a frame; nothing if it is full.
    #[inline(always)]
    fn push(&mut self, pc: usize) {
        if self.is_full() {
            return;
        }
        // SAFETY: `next` is not at the end of the borrowed room, hence within it, and the pointer after it
        // within it or at its end.
        unsafe {
            self.next.write(MaybeUninit::new(pc));
            self.next = self.next.add(1);
        }
        self.hasher = self.hasher.add(pc);
    }
}

/// Captures the calling thread's stack: return addresses, innermost first, as many as the option
/// `stack_depth` says and room for besom's own. The first one lies in the function that called `here`; `skip`
/// leaves out that many before the first. Empty before [`init`].
///
/// Each address is that after a call; `address - 1` lies in the call instruction and so in the right
/// function and line. An instruction that a signal interrupted is the exception.
#[inline(always)]
pub(crate) fn here(skip: usize, buffer: &mut StackBuffer) -> &[usize] {
    here_to(skip, DEPTH.load(Relaxed), buffer)
}

/// As [`here`], with at most `depth` frames.
#[inline(never)]
fn here_to(skip: usize, depth: usize, buffer: &mut StackBuffer) -> &[usize] {
    capture::<false>(skip, depth, buffer);
    buffer.frames()
}

/// Captures the stack of the function that this is inlined into, from its caller on. With `PREDICTED` a
/// stack that was stored before is right; a new one may, with a probability of the order of 2^-33 per
/// frame, be not.
#[inline(always)]
fn capture<const PREDICTED: bool>(skip: usize, depth: usize, buffer: &mut StackBuffer) {
    // One more is left out, for a walk starts with the registers' own frame.
    let sink = buffer.sink(skip.saturating_add(1), depth);
    let (len, hasher) = if depth == 0 {
        (0, Hasher::new())
    } else {
        // SAFETY: the registers are those of the function around, which runs until the walk is over.
        unsafe { engine::walk::<PREDICTED>(engine::Cursor::here(), sink) }.finish()
    };
    (buffer.len, buffer.hasher) = (len, hasher);
}

/// Captures the calling thread's stack as [`here`] does, the first frame being in the caller of
/// `record`, and stores it. [`StackId::NONE`] if there is no stack or no memory.
#[inline(never)]
pub(crate) fn record(skip: usize) -> StackId {
    record_to(skip, DEPTH.load(Relaxed))
}

/// As [`record`], for the function that this is inlined into.
#[inline(always)]
fn record_to(skip: usize, depth: usize) -> StackId {
    let mut buffer = StackBuffer::new();
    #[cfg(target_arch = "x86_64")]
    let known = engine::find_known(skip, depth);
    #[cfg(not(target_arch = "x86_64"))]
    let known = None;
    // Here and not in functions of their own: those might take the place of this one's frame.
    let known = known.unwrap_or_else(
        #[inline(always)]
        || {
            capture::<true>(skip, depth, &mut buffer);
            depot::find_hashed(buffer.frames(), buffer.hash())
        },
    );
    if known != StackId::NONE {
        return known;
    }
    // A new stack has time: it is walked again without predictions, and its modules are checked. Another
    // walk is needed once per replaced module; if other threads load and unload modules all the time,
    // the last one has to do.
    for _ in 0..3 {
        let epoch = engine::epoch();
        here_to(skip.saturating_add(1), depth, &mut buffer);
        if engine::is_unchanged(buffer.frames(), epoch) {
            break;
        }
        statistics::REWALKS.count();
    }
    let new = depot::insert_hashed(buffer.frames(), buffer.hash());
    #[cfg(target_arch = "x86_64")]
    engine::forget_last(new);
    new
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
