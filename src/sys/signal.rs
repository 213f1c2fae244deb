//! Signal actions and directed signals, without libc.
//!
//! libc's `sigaction` hides the signals it uses itself, may be interposed by the program, and writes
//! errno; its siginfo hides the fields that a queued signal carries.

use super::syscall::{Errno, call};
use super::write_guard::change_blocked;
use core::ffi::c_void;

/// A handler as the kernel calls it: signal, what is known of its origin, the interrupted context.
pub(crate) type Handler = unsafe extern "C" fn(i32, *const Info, *mut c_void);

/// A set of signals: bit `n - 1` stands for signal `n`.
pub(crate) type Set = u64;

/// Every signal. The kernel leaves SIGKILL and SIGSTOP out by itself.
pub(crate) const ALL: Set = u64::MAX;

/// Every signal but those that an instruction of the thread itself raises: the kernel ends a process that
/// blocks these. SIGSYS is how a filter of system calls asks the program to do one for it.
pub(crate) const ASYNCHRONOUS: Set = ALL
    & !(only(libc::SIGSEGV)
        | only(libc::SIGBUS)
        | only(libc::SIGILL)
        | only(libc::SIGFPE)
        | only(libc::SIGTRAP)
        | only(libc::SIGSYS));

/// The highest signal number.
pub(crate) const LAST: i32 = 64;

/// The set that holds `signal` alone.
pub(crate) const fn only(signal: i32) -> Set {
    1 << (signal - 1)
}

/// The kernel's `struct sigaction`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Action {
    /// `SIG_DFL` (0), `SIG_IGN` (1) or the address of a handler.
    pub(crate) handler: usize,
    /// `SA_*`.
    pub(crate) flags: usize,
    restorer: usize,
    /// Signals blocked while the handler runs.
    pub(crate) mask: Set,
}

impl Action {
    /// What happens to a signal nobody handles.
    pub(crate) const DEFAULT: Self = Self { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    /// Nothing.
    pub(crate) const IGNORE: Self = Self { handler: libc::SIG_IGN, ..Self::DEFAULT };

    /// Runs `handler` with all signals blocked; `flags` are added to `SA_SIGINFO`.
    pub(crate) fn handle(handler: Handler, flags: i32) -> Self {
        let flags = (libc::SA_SIGINFO | flags) as usize;
        #[cfg(target_arch = "x86_64")]
        let (flags, restorer) = (flags | SA_RESTORER, restorer as *const () as usize);
        #[cfg(not(target_arch = "x86_64"))]
        let restorer = 0;
        Self { handler: handler as *const () as usize, flags, restorer, mask: ALL }
    }
}

/// x86-64's kernel returns from handlers only through code that the process supplies.
#[cfg(target_arch = "x86_64")]
const SA_RESTORER: usize = 0x0400_0000;

/// Returns from a handler. Unwinders and debuggers know it by exactly these two instructions.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn restorer() {
    core::arch::naked_asm!("mov rax, {sigreturn}", "syscall", sigreturn = const libc::SYS_rt_sigreturn)
}

/// The kernel's `siginfo_t`, as laid out for a queued signal.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Info {
    signal: i32,
    errno: i32,
    /// `SI_*`, or a positive number if the kernel itself raised the signal.
    pub(crate) code: i32,
    pad: i32,
    /// The sender, for a queued signal.
    pub(crate) pid: i32,
    uid: u32,
    /// The value that a queued signal carries.
    pub(crate) value: usize,
    rest: [u64; 12],
}

const _: () = assert!(size_of::<Info>() == 128, "SI_MAX_SIZE");

impl Info {
    /// The address whose access faulted; meaningful for SIGSEGV and SIGBUS only.
    pub(crate) fn fault_address(&self) -> usize {
        self.pid as u32 as usize | (self.uid as usize) << 32
    }
}

/// The action now set for `signal`.
pub(crate) fn action(signal: i32) -> Result<Action, Errno> {
    let mut old = Action::DEFAULT;
    let args = [signal as usize, 0, &raw mut old as usize, size_of::<Set>(), 0, 0];
    // SAFETY: with no new action the kernel only writes the old one, which lives for the call.
    unsafe { call(libc::SYS_rt_sigaction, args) }.map(|_| old)
}

/// Sets the action for `signal` and returns the one before.
///
/// # Safety
/// The handler must be sound to run at any point of any thread, or be the default or ignored.
pub(crate) unsafe fn set_action(signal: i32, new: &Action) -> Result<Action, Errno> {
    let mut old = Action::DEFAULT;
    let args = [signal as usize, &raw const *new as usize, &raw mut old as usize, size_of::<Set>(), 0, 0];
    // SAFETY: both structures live for the call; the caller answers for the handler.
    unsafe { call(libc::SYS_rt_sigaction, args) }.map(|_| old)
}

/// Sets this thread's blocked signals and returns those before.
pub(crate) fn set_blocked(blocked: Set) -> Set {
    change_blocked(libc::SIG_SETMASK, blocked)
}

/// Lets this thread take `signal`.
pub(crate) fn unblock(signal: i32) {
    change_blocked(libc::SIG_UNBLOCK, only(signal));
}

/// Queues `signal` with `value` for thread `tid` of this process.
///
/// `EAGAIN`: the user's limit of pending signals is reached. `ESRCH`: no such thread any more.
///
/// # Safety
/// The action for `signal` must be one that does no harm in that thread.
pub(crate) unsafe fn queue(pid: u32, tid: u32, signal: i32, value: usize) -> Result<(), Errno> {
    let info = Info {
        signal,
        errno: 0,
        code: libc::SI_QUEUE,
        pad: 0,
        pid: pid as i32,
        uid: 0,
        value,
        rest: [0; 12],
    };
    let args = [pid as usize, tid as usize, signal as usize, &raw const info as usize, 0, 0];
    // SAFETY: the kernel copies the information; the caller answers for the signal's effect.
    unsafe { call(libc::SYS_rt_tgsigqueueinfo, args) }.map(drop)
}

/// Whether thread `tid` of process `pid` exists, as a zombie too.
pub(crate) fn thread_exists(pid: u32, tid: u32) -> bool {
    // SAFETY: signal 0 is never delivered; only the existence is checked.
    let checked = unsafe { call(libc::SYS_tgkill, [pid as usize, tid as usize, 0, 0, 0, 0]) };
    checked != Err(Errno(libc::ESRCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    static GOT: AtomicUsize = AtomicUsize::new(0);

    unsafe extern "C" fn note(_: i32, info: *const Info, _: *mut c_void) {
        // SAFETY: the kernel passes the information of a queued signal.
        GOT.store(unsafe { (*info).value }, SeqCst);
    }

    #[test]
    fn a_queued_signal_arrives_with_its_value_and_the_old_action_comes_back() {
        let signal = libc::SIGRTMIN() + 5;
        let ours = Action::handle(note, libc::SA_RESTART);
        // SAFETY: the handler only stores into a static.
        let before = unsafe { set_action(signal, &ours) }.unwrap();
        assert_eq!(before, Action::DEFAULT);
        assert_eq!(action(signal).unwrap().handler, ours.handler);
        let (pid, tid) = (crate::sys::message::process_id(), crate::sys::message::thread_id());
        // SAFETY: the handler set above runs.
        unsafe { queue(pid, tid, signal, 0xabcd) }.unwrap();
        assert_eq!(GOT.load(SeqCst), 0xabcd);
        let open = set_blocked(ALL);
        // SAFETY: as above.
        unsafe { queue(pid, tid, signal, 0xef) }.unwrap();
        assert_eq!(GOT.load(SeqCst), 0xabcd, "it is blocked");
        unblock(signal);
        assert_eq!((GOT.load(SeqCst), set_blocked(open) & only(signal)), (0xef, 0));
        // SAFETY: puts back what was there.
        unsafe { set_action(signal, &before) }.unwrap();
        assert!(thread_exists(pid, tid));
        assert!(!thread_exists(pid, pid + 1_000_000));
    }
}
