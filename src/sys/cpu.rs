//! Processors.

use super::syscall::call;

/// Bytes of a cache line, of x86-64's processors and most of aarch64's.
pub(crate) const CACHE_LINE_BYTES: usize = 64;

/// Words of a CPU mask: room for 8192 CPUs, the most a kernel can be built for.
const MASK_WORDS: usize = 8192 / 64;

/// How many CPUs this thread may run on; at least 1.
pub(crate) fn allowed() -> usize {
    let mut mask = [0u64; MASK_WORDS];
    let args = [0, core::mem::size_of_val(&mask), mask.as_mut_ptr() as usize, 0, 0, 0];
    // SAFETY: the kernel writes at most the given number of bytes into the mask.
    match unsafe { call(libc::SYS_sched_getaffinity, args) } {
        Ok(_) => mask.iter().map(|word| word.count_ones() as usize).sum::<usize>().max(1),
        Err(_) => 1,
    }
}

/// Lets other threads have this processor.
pub(crate) fn yield_now() {
    // SAFETY: sched_yield has no arguments and no effect on memory.
    let _ = unsafe { call(libc::SYS_sched_yield, [0; 6]) };
}

/// Asks for the cache line at `at`, which will soon be read. A hint: any address will do.
#[inline(always)]
pub(crate) fn prefetch(at: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint and faults nowhere.
    unsafe {
        core::arch::asm!("prefetcht0 byte ptr [{}]", in(reg) at, options(nostack, readonly, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!("prfm pldl1keep, [{}]", in(reg) at, options(nostack, readonly, preserves_flags));
    }
}
