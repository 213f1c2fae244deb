//! Turns the copy of the program into a process of its own.

use super::{Plan, faults};
use crate::sys::{
    file::{File, write_all},
    signal::{self, Action},
    syscall::call,
};

/// Makes a copy of the program into a process that can't disturb it.
pub(super) fn prepare(plan: &Plan) {
    for signal in (1..=signal::LAST).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        // The program's handlers must not run here. A report that can't be written is no reason to lose the result.
        let is_of_writing = [libc::SIGPIPE, libc::SIGXFSZ].contains(&signal);
        let action = if is_of_writing { Action::IGNORE } else { Action::DEFAULT };
        // SAFETY: these actions run no code of this process.
        let _ = unsafe { signal::set_action(signal, &action) };
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
