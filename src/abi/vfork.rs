//! `vfork(2)`: its child shares this process's memory, thread-local storage included, but the kernel does
//! not restart restartable sections for it. What it finds in the rseq area is its parent's, and stale, so a
//! child that allocates could share a slab with a thread of the parent. While such a child runs, all
//! requests go to the caches under locks. (The children of `posix_spawn` and `system` allocate nothing.)

use crate::heap::{self, mcache};
use crate::sys::syscall::Errno;
use core::arch::naked_asm;
use core::ffi::c_int;

/// `vfork(2)`.
///
/// # Safety
/// As the manual page says: the child may do little but `_exit` or `exec`.
// The return address leaves the stack for a register while the child runs: the child returns from this
// function, too, and what it then calls overwrites its place on the stack that both share.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn vfork() -> c_int {
    naked_asm!(
        "sub rsp, 8",
        "call {before}",
        "add rsp, 8",
        "pop rdi",
        "mov eax, {number}",
        "syscall",
        "push rdi",
        "test eax, eax",
        "jz 2f",
        "mov rdi, rax",
        "sub rsp, 8",
        "call {after}",
        "add rsp, 8",
        "2:",
        "ret",
        before = sym before,
        after = sym after,
        number = const libc::SYS_vfork,
    )
}

/// `vfork(2)`.
///
/// # Safety
/// As the manual page says: the child may do little but `_exit` or `exec`.
// The return address is in a register all the while; parent and child have one each.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn vfork() -> c_int {
    naked_asm!(
        "stp x29, x30, [sp, -16]!",
        "bl {before}",
        "ldp x29, x30, [sp], 16",
        "mov x0, {flags}",
        "mov x1, 0",
        "mov x2, 0",
        "mov x3, 0",
        "mov x4, 0",
        "mov x8, {number}",
        "svc 0",
        "cbz x0, 2f",
        "stp x29, x30, [sp, -16]!",
        "bl {after}",
        "ldp x29, x30, [sp], 16",
        "2:",
        "ret",
        before = sym before,
        after = sym after,
        flags = const libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
        number = const libc::SYS_clone,
    )
}

extern "C" fn before() {
    // Not first in the child: what it would find out of itself would be taken for the parent's.
    heap::ensure_started();
    mcache::suspend_sections();
}

/// In the parent, when the child has ended or called exec, or when there is none.
extern "C" fn after(result: isize) -> c_int {
    mcache::resume_sections();
    if result >= 0 {
        return result as c_int;
    }
    let Errno(error) = Errno(-result as i32);
    // SAFETY: libc returns the address of this thread's errno.
    unsafe { *libc::__errno_location() = error };
    -1
}
