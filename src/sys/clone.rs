//! New processes, new threads and other stacks, below libc.
//!
//! libc's `fork` runs handlers and takes locks that a stopped thread may hold; its threads need memory
//! of its own. The leak checker uses the bare system call for both.

use super::syscall::{Errno, call};
use crate::base::Addr;
use core::arch::{asm, naked_asm};
use core::sync::atomic::AtomicUsize;

/// Starts a process or thread (`flags` of `clone(2)`, the exit signal in the low byte) that runs
/// `entry(argument)` on the stack that ends at `stack_top`; returns its number to the caller.
///
/// With `CLONE_PARENT_SETTID` and `CLONE_CHILD_CLEARTID` the kernel writes the number to `tid_word` and
/// clears it when the thread is gone.
///
/// # Safety
/// `stack_top` must be 16-aligned and the end of memory that nothing else uses while the child runs.
/// `entry` must never return, and do only what the flags allow: without `CLONE_VM` no lock may be taken
/// that another thread of the parent may hold; with it but without `CLONE_SETTLS`, which is not passed,
/// the child shares the caller's thread-local storage and must not touch it.
pub(crate) unsafe fn clone_onto(
    flags: usize,
    stack_top: Addr,
    entry: extern "C" fn(usize) -> !,
    argument: usize,
    tid_word: *const u32,
) -> Result<u32, Errno> {
    let result: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the child has a copy of these registers and its own stack, on which it calls the entry with
    // the alignment of the ABI; it never comes back here. In the parent this is a system call.
    unsafe {
        asm!("syscall",
             "test rax, rax",
             "jnz 2f",
             "xor ebp, ebp",
             "mov rdi, r13",
             "call r12",
             "ud2",
             "2:",
             inlateout("rax") libc::SYS_clone as isize => result,
             in("rdi") flags, in("rsi") stack_top.0, in("rdx") tid_word, in("r10") tid_word, in("r8") 0,
             in("r12") entry, in("r13") argument, lateout("rcx") _, lateout("r11") _);
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above; aarch64 passes the thread pointer before the child's word.
    unsafe {
        asm!("svc 0",
             "cbnz x0, 2f",
             "mov x29, xzr",
             "mov x0, x21",
             "blr x20",
             "brk 1",
             "2:",
             inlateout("x0") flags as isize => result,
             in("x8") libc::SYS_clone, in("x1") stack_top.0, in("x2") tid_word, in("x3") 0, in("x4") tid_word,
             in("x20") entry, in("x21") argument, lateout("x30") _);
    }
    if result < 0 { Err(Errno(-result as i32)) } else { Ok(result as u32) }
}

/// Calls `entry(argument)` on the stack that ends at `stack_top` and comes back, when the entry returns or by
/// [`come_back`], for which it notes the way in `way_back`.
///
/// # Safety
/// As for [`clone_onto`]: a 16-aligned end of a stack nobody uses, large enough for the call. The entry
/// must not unwind.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn call_on_stack(
    stack_top: Addr,
    entry: extern "C" fn(usize),
    argument: usize,
    way_back: &AtomicUsize,
) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rcx], rsp",
        // Survives the call by the ABI.
        "mov r12, rsp",
        "mov rsp, rdi",
        "mov rdi, rdx",
        "call rsi",
        "mov rdi, r12",
        "jmp {come_back}",
        come_back = sym come_back,
    )
}

/// Goes back to where [`call_on_stack`] was called, and leaves what has run on the other stack as it stands:
/// nothing there is dropped.
///
/// # Safety
/// `way_back` is what that call noted; it must not have come back yet, and this thread must have made it.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn come_back(way_back: usize) -> ! {
    naked_asm!("mov rsp, rdi", "pop r15", "pop r14", "pop r13", "pop r12", "pop rbx", "pop rbp", "ret")
}

/// As on x86-64.
///
/// # Safety
/// As there.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn call_on_stack(
    stack_top: Addr,
    entry: extern "C" fn(usize),
    argument: usize,
    way_back: &AtomicUsize,
) {
    naked_asm!(
        "stp x29, x30, [sp, -160]!",
        "stp x19, x20, [sp, 16]",
        "stp x21, x22, [sp, 32]",
        "stp x23, x24, [sp, 48]",
        "stp x25, x26, [sp, 64]",
        "stp x27, x28, [sp, 80]",
        "stp d8, d9, [sp, 96]",
        "stp d10, d11, [sp, 112]",
        "stp d12, d13, [sp, 128]",
        "stp d14, d15, [sp, 144]",
        "mov x19, sp",
        "str x19, [x3]",
        "mov sp, x0",
        "mov x0, x2",
        "blr x1",
        "mov x0, x19",
        "b {come_back}",
        come_back = sym come_back,
    )
}

/// As on x86-64.
///
/// # Safety
/// As there.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn come_back(way_back: usize) -> ! {
    naked_asm!(
        "mov sp, x0",
        "ldp x19, x20, [sp, 16]",
        "ldp x21, x22, [sp, 32]",
        "ldp x23, x24, [sp, 48]",
        "ldp x25, x26, [sp, 64]",
        "ldp x27, x28, [sp, 80]",
        "ldp d8, d9, [sp, 96]",
        "ldp d10, d11, [sp, 112]",
        "ldp d12, d13, [sp, 128]",
        "ldp d14, d15, [sp, 144]",
        "ldp x29, x30, [sp], 160",
        "ret"
    )
}

/// Ends this thread alone.
pub(crate) fn exit_thread() -> ! {
    loop {
        // SAFETY: the thread ends here; nothing of it is used again.
        let _ = unsafe { call(libc::SYS_exit, [0; 6]) };
    }
}

/// Ends this process without libc's handlers.
pub(crate) fn exit_process(status: u8) -> ! {
    loop {
        // SAFETY: the process ends here.
        let _ = unsafe { call(libc::SYS_exit_group, [usize::from(status), 0, 0, 0, 0, 0]) };
    }
}

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// By itself, with this status.
    Exited(u8),
    /// By this signal.
    Killed(u8),
}

/// Waits for child `pid`, of any exit signal, or only looks if `block` is false (then `None` while it runs).
///
/// `ECHILD`: somebody else has waited for it.
pub(crate) fn wait_child(pid: u32, block: bool) -> Result<Option<End>, Errno> {
    let mut status: i32 = 0;
    let options = libc::__WALL | if block { 0 } else { libc::WNOHANG };
    let args = [pid as usize, &raw mut status as usize, options as usize, 0, 0, 0];
    loop {
        // SAFETY: the kernel writes the status, which lives for the call.
        match unsafe { call(libc::SYS_wait4, args) } {
            Ok(0) => return Ok(None),
            Ok(_) if status & 0x7f == 0 => return Ok(Some(End::Exited((status >> 8) as u8))),
            Ok(_) => return Ok(Some(End::Killed((status & 0x7f) as u8))),
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
        }
    }
}
