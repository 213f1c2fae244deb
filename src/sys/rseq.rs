//! The restartable-sequences area that glibc has registered for every thread.
//!
//! Only `rseq_cs` is ever written, and no area of our own is registered: TCMalloc does both, which
//! Linux 6.19 and glibc 2.35 broke. Facts relied on: glibc ≥ 2.35 registers each thread and publishes
//! the area's place as `__rseq_offset` from the thread pointer; `mm_cid` is valid if the kernel says in
//! the auxiliary vector that it fills in at least 28 bytes (Linux ≥ 6.3).

use super::{auxv, syscall};
use core::arch::asm;

/// Offsets of the area's fields in bytes.
pub(crate) const CPU_ID: usize = 4;
/// The concurrency id.
pub(crate) const MM_CID: usize = 24;

/// Bytes of the area that must be filled in for `mm_cid` to mean something.
const BYTES_WITH_MM_CID: usize = 28;

/// Where the area lies and which of its ids names the CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Area {
    /// Distance of the area from the thread pointer in bytes, the same in every thread; never 0.
    pub(crate) offset: isize,
    /// Whether `mm_cid` is valid; `cpu_id` is the index otherwise.
    pub(crate) has_mm_cid: bool,
}

/// Finds the area, if this thread's is registered and other CPUs' sections can be fenced.
pub(crate) fn find() -> Option<Area> {
    let (offset, size) = glibc_area().filter(|_| kernel_restarts_sections())?;
    // SAFETY: glibc placed an area at this offset from every thread's thread pointer.
    let cpu_id = unsafe { read_field(offset, CPU_ID) };
    let registered = size != 0 && offset != 0 && (cpu_id as i32) >= 0;
    (registered && register_fence())
        .then(|| Area { offset, has_mm_cid: auxv::rseq_feature_bytes() >= BYTES_WITH_MM_CID })
}

/// Whether this kernel restarts every section that it preempts. On arm64, Linux 6.19 lost that for a thread
/// that goes on on the same CPU. 7.1 has it again, and so do later 7.0.y, but not all of them.
fn kernel_restarts_sections() -> bool {
    !cfg!(target_arch = "aarch64") || super::kernel::version().is_some_and(|v| !lacks_restart_on_arm64(v))
}

fn lacks_restart_on_arm64(version: (u32, u32)) -> bool {
    ((6, 19)..(7, 1)).contains(&version)
}

/// `__rseq_offset` and `__rseq_size`, if the C library has them.
fn glibc_area() -> Option<(isize, u32)> {
    let offset: *const isize;
    let size: *const u32;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads two entries of the global offset table; weak symbols that nobody defines leave null there.
    unsafe {
        asm!(".weak __rseq_offset", ".weak __rseq_size",
             "mov {0}, qword ptr [rip + __rseq_offset@GOTPCREL]",
             "mov {1}, qword ptr [rip + __rseq_size@GOTPCREL]",
             out(reg) offset, out(reg) size, options(nostack, pure, readonly));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        asm!(".weak __rseq_offset", ".weak __rseq_size",
             "adrp {0}, :got:__rseq_offset", "ldr {0}, [{0}, :got_lo12:__rseq_offset]",
             "adrp {1}, :got:__rseq_size", "ldr {1}, [{1}, :got_lo12:__rseq_size]",
             out(reg) offset, out(reg) size, options(nostack, pure, readonly));
    }
    if offset.is_null() || size.is_null() {
        return None;
    }
    // SAFETY: both are glibc's constants of these types.
    Some(unsafe { (*offset, *size) })
}

/// The thread pointer.
#[inline(always)]
pub(crate) fn thread_pointer() -> usize {
    let pointer: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the first word of the thread control block is its own address, by the ABI.
    unsafe {
        asm!("mov {}, qword ptr fs:0", out(reg) pointer, options(nostack, pure, readonly, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register.
    unsafe {
        asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, pure, nomem, preserves_flags));
    }
    pointer
}

/// Reads the 32-bit field at `field` of this thread's area.
///
/// # Safety
/// `offset` must be glibc's.
#[inline]
pub(crate) unsafe fn read_field(offset: isize, field: usize) -> u32 {
    let area = thread_pointer().wrapping_add_signed(offset);
    let word: *const u32 = core::ptr::with_exposed_provenance(area + field);
    // SAFETY: every thread of glibc's has an area there; volatile because the kernel writes it.
    unsafe { word.read_volatile() }
}

const MEMBARRIER_PRIVATE_EXPEDITED_RSEQ: usize = 1 << 7;
const MEMBARRIER_REGISTER_PRIVATE_EXPEDITED_RSEQ: usize = 1 << 8;

/// Registers the process for [`fence`]; `false` before Linux 5.10 or under a filter.
pub(crate) fn register_fence() -> bool {
    let args = [MEMBARRIER_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0, 0, 0, 0];
    // SAFETY: the command only sets a flag of this process.
    unsafe { syscall::call(libc::SYS_membarrier, args) }.is_ok()
}

/// Restarts every section that runs on any CPU, and orders memory with all of them. When it returns,
/// every section in this process has seen what the caller wrote before, or runs from its start.
pub(crate) fn fence() -> bool {
    let args = [MEMBARRIER_PRIVATE_EXPEDITED_RSEQ, 0, 0, 0, 0, 0];
    // SAFETY: the command has no effect but the one described.
    unsafe { syscall::call(libc::SYS_membarrier, args) }.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_that_lost_restarting_on_arm64_are_known() {
        assert!([(6, 19), (6, 20), (7, 0)].into_iter().all(lacks_restart_on_arm64));
        assert!(![(5, 10), (6, 18), (7, 1), (8, 0)].into_iter().any(lacks_restart_on_arm64));
        assert!(kernel_restarts_sections() || cfg!(target_arch = "aarch64"));
    }
}
