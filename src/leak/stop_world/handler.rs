//! What a thread does on the stop signal.
//!
//! The kernel has put all its registers, vector registers too, into a frame on its stack before the
//! handler starts. The handler writes where that frame lies into the thread's slot, says so, and sleeps
//! until the gate opens. It uses little stack (threads may have 16 KiB, of which the kernel's frame can
//! take a quarter), makes only raw system calls, so that errno stays, and runs with all signals blocked.
//!
//! On the alternate stack where there is one (`SA_ONSTACK`): some languages run code on stacks of a few
//! hundred bytes and demand that of every handler in the process.

use super::slots::{Phase, SLOTS, Slot};
use crate::sys::{
    futex,
    message::{process_id, thread_id},
    signal::{self, Action, Info},
    syscall::Errno,
};
use core::ffi::c_void;
use core::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, SeqCst},
};

/// The number of the current stop, which is odd, or an even number while the program runs.
pub(super) static GATE: AtomicU32 = AtomicU32::new(0);
/// Threads that have answered in the current stop.
pub(super) static ANSWERS: AtomicU32 = AtomicU32::new(0);
/// The number of answers at which the stopper wants to be woken.
pub(super) static WANTED: AtomicU32 = AtomicU32::new(u32::MAX);

/// What the program itself had set for our signal: whatever is not from us goes there.
static PREVIOUS_HANDLER: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);
static PREVIOUS_FLAGS: AtomicUsize = AtomicUsize::new(0);

/// What a stop signal carries: a mark that it is ours, the stop's number, the slot's index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cookie {
    pub(super) generation: u32,
    pub(super) index: usize,
}

impl Cookie {
    const MARK: usize = 0xbe50;
    const INDEX_BITS: u32 = 24;
    const GENERATION_BITS: u32 = 24;
    /// Numbers of stops wrap here, back to 1.
    pub(super) const GENERATION_MASK: u32 = (1 << Self::GENERATION_BITS) - 1;

    /// The word that the signal carries.
    pub(super) fn word(self) -> usize {
        Self::MARK << (Self::INDEX_BITS + Self::GENERATION_BITS)
            | (self.generation as usize) << Self::INDEX_BITS
            | self.index
    }

    /// The cookie in a word, if it is one.
    fn of(word: usize) -> Option<Self> {
        let ours = word >> (Self::INDEX_BITS + Self::GENERATION_BITS) == Self::MARK;
        ours.then_some(Self {
            generation: (word >> Self::INDEX_BITS) as u32 & Self::GENERATION_MASK,
            index: word & ((1 << Self::INDEX_BITS) - 1),
        })
    }
}

/// Makes `on_stop` the handler of `signal`; whether it was not so already.
///
/// It stays: a thread that blocks the signal may take it long after the stop.
pub(super) fn install(signal: i32) -> Result<bool, Errno> {
    let ours = Action::handle(on_stop, libc::SA_RESTART | libc::SA_ONSTACK);
    let now = signal::action(signal)?;
    if now.handler == ours.handler {
        return Ok(false);
    }
    PREVIOUS_FLAGS.store(now.flags, Relaxed);
    PREVIOUS_HANDLER.store(now.handler, SeqCst);
    // SAFETY: the handler may run at any point of any thread: see the module text.
    unsafe { signal::set_action(signal, &ours) }.map(|_| true)
}

unsafe extern "C" fn on_stop(signal: i32, info: *const Info, context: *mut c_void) {
    // SAFETY: the kernel passes the signal's information, which lies in the frame.
    let Info { code, pid, value, .. } = unsafe { *info };
    let ours = code == libc::SI_QUEUE && pid as u32 == process_id();
    match Cookie::of(value).filter(|_| ours) {
        // SAFETY: the kernel passes the interrupted context.
        Some(cookie) => unsafe { stop_here(cookie, context.cast()) },
        // SAFETY: these are the kernel's own arguments.
        None => unsafe { forward(signal, info, context) },
    }
}

/// Publishes this thread and sleeps until the world goes on.
///
/// # Safety
/// `context` must be the kernel's.
unsafe fn stop_here(cookie: Cookie, context: *mut libc::ucontext_t) {
    if GATE.load(Acquire) != cookie.generation {
        return;
    }
    if let Some(slot) = SLOTS.get(cookie.index)
        && slot.advance(cookie.generation, Phase::Sent, Phase::Writing)
    {
        // SAFETY: passed on.
        unsafe { publish(slot, context) };
        slot.advance(cookie.generation, Phase::Writing, Phase::Stopped);
        // The stopper stores what it wants, then reads the answers; here it is the other way round. In
        // one total order one of the two sees the other's write, so no wake-up is lost.
        if ANSWERS.fetch_add(1, SeqCst) + 1 >= WANTED.load(SeqCst) {
            futex::wake(&ANSWERS, 1);
        }
    }
    // A thread that was given up still stops here: better late than never.
    while GATE.load(Acquire) == cookie.generation {
        futex::wait(&GATE, cookie.generation);
    }
}

/// # Safety
/// `context` must be the kernel's.
unsafe fn publish(slot: &Slot, context: *mut libc::ucontext_t) {
    // SAFETY: the kernel built the context on this thread's stack, where it stays until the return.
    let context = unsafe { &*context };
    slot.stack_pointer.store(stack_pointer(context), Relaxed);
    slot.frame.store((&raw const *context).addr(), Relaxed);
    slot.frame_end.store(frame_end(context), Relaxed);
    slot.thread_pointer.store(thread_pointer(), Relaxed);
    // The context holds what sigaltstack() would say, and says it also where the kernel has switched
    // the alternate stack off for the time of the handler (SS_AUTODISARM).
    if context.uc_stack.ss_flags & libc::SS_DISABLE == 0 {
        slot.alternate.store(context.uc_stack.ss_sp.addr(), Relaxed);
        slot.alternate_bytes.store(context.uc_stack.ss_size, Relaxed);
    }
}

#[cfg(target_arch = "x86_64")]
fn stack_pointer(context: &libc::ucontext_t) -> usize {
    context.uc_mcontext.gregs[libc::REG_RSP as usize] as usize
}

/// The frame ends with the area that XSAVE wrote: its size stands in bytes that the hardware leaves to
/// software (`struct _fpx_sw_bytes` of the kernel's `asm/sigcontext.h`).
#[cfg(target_arch = "x86_64")]
fn frame_end(context: &libc::ucontext_t) -> usize {
    const LEGACY_BYTES: usize = 512;
    const SOFTWARE_AT: usize = 464;
    const HAS_EXTENDED: u32 = 0x4650_5853;
    /// AMX's tiles make the largest area yet, 11 KiB.
    const MOST_BYTES: usize = 64 << 10;
    let area = context.uc_mcontext.fpregs.cast::<u8>();
    if area.is_null() {
        return (&raw const *context).addr() + size_of::<libc::ucontext_t>();
    }
    // SAFETY: the kernel saved at least the legacy area there, and these eight bytes are part of it.
    let [mark, bytes] = unsafe { area.add(SOFTWARE_AT).cast::<[u32; 2]>().read() };
    let bytes = if mark == HAS_EXTENDED { (bytes as usize).min(MOST_BYTES) } else { LEGACY_BYTES };
    area.addr() + bytes
}

#[cfg(target_arch = "x86_64")]
fn thread_pointer() -> usize {
    const ARCH_GET_FS: usize = 0x1003;
    let mut base = 0usize;
    // SAFETY: the kernel writes the register's value into the word.
    let _ = unsafe {
        crate::sys::syscall::call(libc::SYS_arch_prctl, [ARCH_GET_FS, &raw mut base as usize, 0, 0, 0, 0])
    };
    base
}

#[cfg(target_arch = "aarch64")]
fn stack_pointer(context: &libc::ucontext_t) -> usize {
    context.uc_mcontext.sp as usize
}

/// The vector registers lie in the context's reserved 4 KiB (without SVE's longer ones).
#[cfg(target_arch = "aarch64")]
fn frame_end(context: &libc::ucontext_t) -> usize {
    (&raw const *context).addr() + size_of::<libc::ucontext_t>()
}

#[cfg(target_arch = "aarch64")]
fn thread_pointer() -> usize {
    let base: usize;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mrs {}, tpidr_el0", out(reg) base, options(nomem, nostack)) };
    base
}

/// The caller's own thread pointer, for its slot.
pub(super) fn own_thread_pointer() -> usize {
    thread_pointer()
}

/// Hands a signal that is not ours to whom it was meant for.
///
/// # Safety
/// The arguments must be the kernel's.
#[cold]
unsafe fn forward(signal: i32, info: *const Info, context: *mut c_void) {
    match PREVIOUS_HANDLER.load(SeqCst) {
        libc::SIG_IGN => {}
        libc::SIG_DFL => die_of(signal),
        handler if PREVIOUS_FLAGS.load(Relaxed) & libc::SA_SIGINFO as usize != 0 => {
            // SAFETY: the program gave this handler, of this type, to the kernel for this signal.
            let handler: signal::Handler = unsafe { core::mem::transmute(handler) };
            // SAFETY: called as the kernel would.
            unsafe { handler(signal, info, context) };
        }
        handler => {
            // SAFETY: as above, of the type without SA_SIGINFO.
            let handler: unsafe extern "C" fn(i32) = unsafe { core::mem::transmute(handler) };
            // SAFETY: called as the kernel would.
            unsafe { handler(signal) };
        }
    }
}

/// The default action of a real-time signal ends the process: sets it and raises the signal again, to be
/// taken when the handler returns.
fn die_of(signal: i32) {
    // SAFETY: the default action runs no code of this process.
    let _ = unsafe { signal::set_action(signal, &Action::DEFAULT) };
    // SAFETY: the process is meant to end, as it would have without this handler.
    let _ = unsafe { signal::queue(process_id(), thread_id(), signal, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_survive_their_word_and_other_words_are_none() {
        let cookie = Cookie { generation: Cookie::GENERATION_MASK, index: (1 << 24) - 1 };
        assert_eq!(Cookie::of(cookie.word()), Some(cookie));
        assert_eq!(Cookie::of(0), None);
        assert_eq!(Cookie::of(usize::MAX), None);
    }
}
