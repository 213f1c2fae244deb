//! Threads of besom's own, made by libc like the program's: they may allocate.

use core::ffi::c_void;
use core::ptr::{null, null_mut};

/// What a thread runs.
pub(crate) type Entry = extern "C" fn(*mut c_void) -> *mut c_void;

/// Starts a detached thread that takes none of the program's signals; the error is libc's.
///
/// Not under a lock, since it allocates. In a child of fork the thread has to be started again.
pub(crate) fn start(entry: Entry) -> Result<(), i32> {
    // SAFETY: plain data, filled in by the calls below; the thread's function stays as long as the process.
    let error = unsafe {
        let mut id: libc::pthread_t = core::mem::zeroed();
        let mut all: libc::sigset_t = core::mem::zeroed();
        let mut before: libc::sigset_t = core::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let error = libc::pthread_create(&raw mut id, null(), entry, null_mut());
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, null_mut());
        if error == 0 {
            libc::pthread_detach(id);
        }
        error
    };
    if error == 0 { Ok(()) } else { Err(error) }
}

/// Lets other threads run, if any wait for this CPU.
#[cfg(feature = "leak")]
pub(crate) fn give_way() {
    // SAFETY: a system call without arguments.
    unsafe { libc::sched_yield() };
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

    static SEEN: AtomicU32 = AtomicU32::new(0);

    extern "C" fn look(_: *mut c_void) -> *mut c_void {
        // SAFETY: asks for this thread's blocked signals.
        let blocked = unsafe {
            let mut set: libc::sigset_t = core::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_SETMASK, null(), &raw mut set);
            libc::sigismember(&raw const set, libc::SIGUSR1)
        };
        SEEN.store(1 + blocked as u32, SeqCst);
        null_mut()
    }

    #[test]
    fn the_programs_signals_are_for_its_own_threads() {
        assert_eq!(start(look), Ok(()));
        while SEEN.load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        assert_eq!(SEEN.load(SeqCst), 2);
    }
}
