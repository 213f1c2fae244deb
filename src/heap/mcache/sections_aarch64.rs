//! The restartable sections, for aarch64. Their shape is told in `sections_x86_64.rs`; what differs here:
//!
//! - The thread pointer is a register of its own (`tpidr_el0`), and the word in front of the abort handler
//!   is 0xd428bc00, which disassembles as a `brk`.
//! - Memory is weakly ordered, and no section has a barrier. None is needed between threads of one CPU: a
//!   thread sees the stores of another only after the kernel has switched between them, which orders all
//!   memory. Nor towards who stops the CPU: [`crate::sys::rseq::fence`] does the same on every CPU. Only
//!   the way of a slab into a section has no kernel in it. There `CpuTable::publish` stores the slab's
//!   place with Release, and the section loads everything through the place that it has loaded: an address
//!   dependency, which the architecture keeps in order.
//! - Slots are written before the header says so, but may become visible after it. Who reads headers of
//!   running CPUs (statistics) does not follow them into the slots.
//! - Branches out of a section are conditional ones with a reach of 1 MiB; `tbnz`, with 32 KiB, goes to
//!   labels inside the same block only.

use super::Place;
use super::slab::{Header, SlotIndex};
use super::table::{CpuTable, SLABS_OFFSET};
use crate::base::Addr;
use core::arch::asm;

/// Opens a section: announces the descriptor at 8, and leaves the slab's address in `{slab}`. `$first` is
/// done at every start: it sets the result for when the section is left early. `$fail` is where an
/// unregistered thread goes.
macro_rules! enter {
    ($first:literal, $fail:literal) => {
        concat!(
            "2:\n",
            $first,
            "\n",
            "mrs {thread}, tpidr_el0\n",
            "add {at}, {thread}, {area}\n",
            "adrp {slab}, 8f\n",
            "add {slab}, {slab}, :lo12:8f\n",
            "str {slab}, [{at}, #8]\n",
            "3:\n",
            "ldr {slab:w}, [{at}, #4]\n",
            "cmp {slab:w}, #0\n",
            "b.lt ",
            $fail,
            "\n",
            "ldr {slab:w}, [{thread}, {id}]\n",
            "add {slab}, {table}, {slab}, lsl #3\n",
            "ldr {slab}, [{slab}, #{slabs}]\n",
            "add {slab}, {slab}, {table}\n",
        )
    };
}

/// Closes a section behind its commit at 4: the abort handler and the descriptor, out of line.
macro_rules! leave {
    () => {
        concat!(
            "4:\n",
            ".pushsection .text.unlikely.besom_rseq, \"ax\", %progbits\n",
            ".balign 4\n",
            ".inst 0xd428bc00\n",
            "7: b 2b\n",
            ".popsection\n",
            // Relocated at load time, hence not in .rodata. Version and flags, start, length, abort.
            ".pushsection .data.rel.ro.besom_rseq, \"aw\", %progbits\n",
            ".balign 32\n",
            "8: .word 0, 0\n",
            ".quad 3b, 4b - 3b, 7b\n",
            ".popsection\n",
        )
    };
}

/// Pops an object of `class` from this CPU's slab; an odd address if there is none.
///
/// # Safety
/// `place` is where glibc's area is, `class` is below `STACKS`.
#[inline(always)]
pub(super) unsafe fn pop(place: Place, table: &CpuTable, class: usize) -> Addr {
    let object: usize;
    // SAFETY: the section reads the header and the words below `current`, which for every slab and the
    // dummy are inside it, and commits by one store to the header. The object below the popped one is
    // prefetched, a hint that can't fault: it is what the next request will get.
    unsafe {
        asm!(
            enter!("mov {object}, #1", "6f"),
            "add {at}, {slab}, {class}, lsl #2",
            "ldrh {slot:w}, [{at}]",
            "add {slab}, {slab}, {slot}, lsl #3",
            "ldur {object}, [{slab}, #-8]",
            "tbnz {object}, #0, 6f",
            "ldur {slab}, [{slab}, #-16]",
            "prfm pldl1keep, [{slab}]",
            "sub {slot:w}, {slot:w}, #1",
            "strh {slot:w}, [{at}]",
            leave!(),
            "6:",
            area = in(reg) place.area,
            id = in(reg) place.id,
            table = in(reg) table,
            class = in(reg) class,
            slabs = const SLABS_OFFSET,
            thread = out(reg) _,
            at = out(reg) _,
            slab = out(reg) _,
            slot = out(reg) _,
            object = out(reg) object,
            options(nostack),
        );
    }
    Addr(object)
}

/// Pushes an object onto this CPU's stack of `class`; `false` if it is full.
///
/// # Safety
/// As for [`pop`]; the object belongs to `class` and to the caller.
#[inline(always)]
pub(super) unsafe fn push(place: Place, table: &CpuTable, class: usize, object: Addr) -> bool {
    // SAFETY: the slot at `current` is below `end`, so inside the slab; nobody reads it before the
    // commit to the header.
    unsafe {
        asm!(
            enter!("", "{full}"),
            "add {at}, {slab}, {class}, lsl #2",
            "ldrh {slot:w}, [{at}]",
            "ldrh {end:w}, [{at}, #2]",
            "cmp {slot:w}, {end:w}",
            "b.hs {full}",
            "str {object}, [{slab}, {slot}, lsl #3]",
            "add {slot:w}, {slot:w}, #1",
            "strh {slot:w}, [{at}]",
            leave!(),
            area = in(reg) place.area,
            id = in(reg) place.id,
            table = in(reg) table,
            class = in(reg) class,
            object = in(reg) object.0,
            slabs = const SLABS_OFFSET,
            thread = out(reg) _,
            at = out(reg) _,
            slab = out(reg) _,
            slot = out(reg) _,
            end = out(reg) _,
            full = label { return false },
            options(nostack),
        );
    }
    true
}

/// [`push`]. What it notes on x86-64 would have to be measured here first.
///
/// # Safety
/// As for [`push`].
#[inline(always)]
pub(super) unsafe fn push_looked_up(place: Place, table: &CpuTable, class: usize, object: Addr) -> bool {
    // SAFETY: the caller's promise.
    unsafe { push(place, table, class, object) }
}

/// Pops up to `into.len()` objects of `class`, returns how many.
///
/// # Safety
/// As for [`pop`].
pub(super) unsafe fn pop_batch(place: Place, table: &CpuTable, class: usize, into: &mut [Addr]) -> usize {
    let count: usize;
    // SAFETY: as in `pop`, once per object; the copies in `into` mean nothing until the commit.
    unsafe {
        asm!(
            enter!("mov {count}, #0", "6f"),
            "add {at}, {slab}, {class}, lsl #2",
            "ldrh {slot:w}, [{at}]",
            "9:",
            "cmp {count}, {wanted}",
            "b.hs 20f",
            "sub {next:w}, {slot:w}, #1",
            "ldr {object}, [{slab}, {next}, lsl #3]",
            "tbnz {object}, #0, 20f",
            "str {object}, [{into}, {count}, lsl #3]",
            "mov {slot:w}, {next:w}",
            "add {count}, {count}, #1",
            "b 9b",
            "20:",
            "cbz {count}, 6f",
            "strh {slot:w}, [{at}]",
            leave!(),
            "6:",
            area = in(reg) place.area,
            id = in(reg) place.id,
            table = in(reg) table,
            class = in(reg) class,
            into = in(reg) into.as_mut_ptr(),
            wanted = in(reg) into.len(),
            slabs = const SLABS_OFFSET,
            thread = out(reg) _,
            at = out(reg) _,
            slab = out(reg) _,
            slot = out(reg) _,
            next = out(reg) _,
            object = out(reg) _,
            count = out(reg) count,
            options(nostack),
        );
    }
    count
}

/// Pushes objects of `class` until the stack is full, returns how many.
///
/// # Safety
/// As for [`push`].
pub(super) unsafe fn push_batch(place: Place, table: &CpuTable, class: usize, objects: &[Addr]) -> usize {
    let count: usize;
    // SAFETY: as in `push`, once per object.
    unsafe {
        asm!(
            enter!("mov {count}, #0", "6f"),
            "add {at}, {slab}, {class}, lsl #2",
            "ldrh {slot:w}, [{at}]",
            "ldrh {end:w}, [{at}, #2]",
            "9:",
            "cmp {slot:w}, {end:w}",
            "b.hs 20f",
            "cmp {count}, {given}",
            "b.hs 20f",
            "ldr {object}, [{objects}, {count}, lsl #3]",
            "str {object}, [{slab}, {slot}, lsl #3]",
            "add {slot:w}, {slot:w}, #1",
            "add {count}, {count}, #1",
            "b 9b",
            "20:",
            "cbz {count}, 6f",
            "strh {slot:w}, [{at}]",
            leave!(),
            "6:",
            area = in(reg) place.area,
            id = in(reg) place.id,
            table = in(reg) table,
            class = in(reg) class,
            objects = in(reg) objects.as_ptr(),
            given = in(reg) objects.len(),
            slabs = const SLABS_OFFSET,
            thread = out(reg) _,
            at = out(reg) _,
            slab = out(reg) _,
            slot = out(reg) _,
            end = out(reg) _,
            object = out(reg) _,
            count = out(reg) count,
            options(nostack),
        );
    }
    count
}

/// Replaces the header of `class` on this CPU if it still is `old`; returns the CPU's index if it was.
///
/// The mark below the stack is written on the way, always with the same value: a class that has had no
/// capacity has none, and this thread may not be on the CPU any more that it looked at.
///
/// # Safety
/// As for [`pop`]; `class` has a stack, and `new` is valid for any slab whose header is `old`.
pub(super) unsafe fn replace_header(
    place: Place,
    table: &CpuTable,
    class: usize,
    old: Header,
    new: Header,
) -> Option<usize> {
    let cpu: u64;
    // SAFETY: loads the header and, if it is `old`, which no header of the dummy is, stores a mark and the header.
    unsafe {
        asm!(
            enter!("mov {cpu}, #-1", "6f"),
            "add {at}, {slab}, {class}, lsl #2",
            "ldr {scratch:w}, [{at}]",
            "cmp {scratch:w}, {old:w}",
            "b.ne 6f",
            "mov {scratch}, #1",
            "str {scratch}, [{slab}, {mark}, lsl #3]",
            "ldr {cpu:w}, [{thread}, {id}]",
            "str {new:w}, [{at}]",
            leave!(),
            "6:",
            area = in(reg) place.area,
            id = in(reg) place.id,
            table = in(reg) table,
            class = in(reg) class,
            old = in(reg) old.0,
            new = in(reg) new.0,
            mark = in(reg) new.mark_word(class),
            slabs = const SLABS_OFFSET,
            thread = out(reg) _,
            at = out(reg) _,
            slab = out(reg) _,
            scratch = out(reg) _,
            cpu = out(reg) cpu,
            options(nostack),
        );
    }
    (cpu != u64::MAX).then_some(cpu as usize)
}

/// Replaces the word at `index` of this CPU's slab if it still is `old`; whether it was.
///
/// # Safety
/// As for [`pop`]; `index` lies in the slab, and `new` is valid wherever the word is `old`.
#[inline(always)]
pub(super) unsafe fn replace_word(place: Place, table: &CpuTable, index: usize, old: u64, new: u64) -> bool {
    // SAFETY: one load and one store of the word, which the caller vouches for.
    unsafe {
        asm!(
            enter!("", "{changed}"),
            "ldr {at}, [{slab}, {index}, lsl #3]",
            "cmp {at}, {old}",
            "b.ne {changed}",
            "str {new}, [{slab}, {index}, lsl #3]",
            leave!(),
            area = in(reg) place.area,
            id = in(reg) place.id,
            table = in(reg) table,
            index = in(reg) index,
            old = in(reg) old,
            new = in(reg) new,
            slabs = const SLABS_OFFSET,
            thread = out(reg) _,
            at = out(reg) _,
            slab = out(reg) _,
            changed = label { return false },
            options(nostack),
        );
    }
    true
}

const _: () = assert!(core::mem::size_of::<SlotIndex>() == 2, "sections move 16 bits");
const _: () = assert!(SLABS_OFFSET % 8 == 0 && SLABS_OFFSET < 8 * 4096, "a load's immediate offset");
