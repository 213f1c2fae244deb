//! The walk along saved frame pointers, for architectures whose libraries are built with them (aarch64:
//! the procedure call standard asks for a chain of `{frame pointer, return address}` pairs).

use super::{Sink, stack::Range};

/// The registers of one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    fp: usize,
    range: Range,
}

impl Cursor {
    /// The registers of the function that this is inlined into, which must not return while they are used.
    #[inline(always)]
    pub(super) fn here() -> Self {
        let (sp, fp): (usize, usize);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: copies two registers.
        unsafe {
            core::arch::asm!("mov {sp}, rsp", "mov {fp}, rbp", sp = out(reg) sp, fp = out(reg) fp,
                options(nostack, nomem, preserves_flags));
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: copies two registers.
        unsafe {
            core::arch::asm!("mov {sp}, sp", "mov {fp}, x29", sp = out(reg) sp, fp = out(reg) fp,
                options(nostack, nomem, preserves_flags));
        }
        Self { fp, range: Range::above(sp) }
    }
}

/// A return address without the signature that pointer authentication puts into its upper bits.
fn without_signature(address: usize) -> usize {
    address & ((1 << 48) - 1)
}

/// Puts the return address of every frame from that of `cursor` outwards into `sink`, until it has enough
/// or the chain ends or leaves what can be read.
///
/// # Safety
/// `cursor` must hold the registers of a running function of this thread.
pub(super) unsafe fn walk<'a>(cursor: Cursor, mut sink: Sink<'a>) -> Sink<'a> {
    let Cursor { mut fp, mut range } = cursor;
    let known = range.end();
    // The registers' own frame is the first of a walk. Nobody wants its address, so any will do.
    sink.push(0);
    while fp.is_multiple_of(size_of::<usize>()) {
        let (Some(next), Some(pc)) = (range.read(fp), range.read(fp.wrapping_add(8))) else { break };
        let pc = without_signature(pc);
        if pc == 0 || !sink.push(pc) || next <= fp {
            break;
        }
        fp = next;
    }
    if range.end() > known {
        range.remember();
    }
    sink
}

/// Walks until a frame lies in `code` and returns the frame pointer of its caller, below which nothing of
/// that caller's is saved but its own pair.
///
/// # Safety
/// As for [`walk`].
#[cfg(not(target_arch = "x86_64"))]
pub(super) unsafe fn caller_of_function(cursor: Cursor, code: core::ops::Range<usize>) -> Option<usize> {
    let Cursor { mut fp, mut range } = cursor;
    loop {
        let next = range.read(fp)?;
        let pc = without_signature(range.read(fp.wrapping_add(8))?);
        if code.contains(&pc) {
            return range.read(next);
        }
        if next <= fp {
            return None;
        }
        fp = next;
    }
}
