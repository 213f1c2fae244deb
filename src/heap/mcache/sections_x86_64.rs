//! The restartable sections, for x86-64.
//!
//! All have one shape (pseudo-code):
//!
//! ```text
//! again: rseq_cs = &descriptor                  // the kernel now knows the section
//!        if cpu_id < 0: fail                    // thread not registered: mm_cid would look valid
//!        slab = table + table.slabs[id]         // id read inside the section
//!        … loads, stores behind `current` …     // nobody goes by them until the commit
//!        one store to the header                // commit: the last instruction
//! ```
//!
//! If the thread is preempted, migrated or signalled before the commit, or [`crate::sys::rseq::fence`]
//! runs, the kernel sends it to the abort handler, which starts again. So no other thread on this CPU
//! can come in between, and no locked instruction is needed. `rseq_cs` is left pointing at the
//! descriptor; the kernel clears it when it next looks. The signature in front of the abort handler is
//! coded as an undefined instruction so that the code stays readable to disassemblers.

use super::Place;
use super::slab::{Header, LAST_CLASS_WORD, LAST_OBJECT_WORD, SlotIndex};
use super::table::{CpuTable, SLABS_OFFSET};
use crate::base::Addr;
use core::arch::asm;

/// Opens a section: announces the descriptor at 8, and leaves the slab's address in `{slab}`.
/// `{fail}` is where an unregistered thread goes.
macro_rules! enter {
    ($fail:literal) => {
        concat!(
            "2:\n",
            "lea {slab}, [rip + 8f]\n",
            "mov qword ptr fs:[{area} + 8], {slab}\n",
            "3:\n",
            "cmp dword ptr fs:[{area} + 4], 0\n",
            "js ",
            $fail,
            "\n",
            "mov {slab:e}, dword ptr fs:[{id}]\n",
            "mov {slab}, qword ptr [{table} + {slab}*8 + {slabs}]\n",
            "add {slab}, {table}\n",
        )
    };
}

/// Closes a section behind its commit at 4: the abort handler and the descriptor, out of line.
macro_rules! leave {
    () => {
        concat!(
            "4:\n",
            ".pushsection .text.unlikely.besom_rseq, \"ax\", @progbits\n",
            ".byte 0x0f, 0xb9, 0x3d\n",
            ".long 0x53053053\n",
            "7: jmp 2b\n",
            ".popsection\n",
            // Relocated at load time, hence not in .rodata. Version and flags, start, length, abort.
            ".pushsection .data.rel.ro.besom_rseq, \"aw\", @progbits\n",
            ".balign 32\n",
            "8: .long 0, 0\n",
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
    // SAFETY: the section reads the header and the word below `current`, which for every slab and the
    // dummy is inside it, and commits by one store to the header. The object below the popped one is
    // prefetched, a hint that can't fault: it is what the next request will get.
    unsafe {
        asm!(
            enter!("5f"),
            "movzx {slot:e}, word ptr [{slab} + {class}*4]",
            "mov {object}, qword ptr [{slab} + {slot}*8 - 8]",
            "test {object:l}, 1",
            "jnz 6f",
            "mov {next}, qword ptr [{slab} + {slot}*8 - 16]",
            "prefetcht0 byte ptr [{next}]",
            "dec {slot:e}",
            "mov word ptr [{slab} + {class}*4], {slot:x}",
            leave!(),
            ".pushsection .text.unlikely.besom_rseq, \"ax\", @progbits",
            "5: mov {object:e}, 1",
            "jmp 6f",
            ".popsection",
            "6:",
            area = in(reg) place.area,
            id = in(reg) place.id,
            table = in(reg) table,
            class = in(reg) class,
            slabs = const SLABS_OFFSET,
            slab = out(reg) _,
            slot = out(reg) _,
            next = out(reg) _,
            object = out(reg) object,
            options(nostack),
        );
    }
    Addr(object)
}

/// The section of [`push`], with `$guess` before the class is used and `$note` once there is room; the function returns
/// `false` if there is none.
macro_rules! push_section {
    ($place:ident, $table:ident, $object:ident, [$($guess:literal),*], [$($note:literal),*], [$($operand:tt)*]) => {
        // SAFETY: the slot at `current` is below `end`, so inside the slab; nobody reads it before the
        // commit to the header. Notes go to words that every slab has for them; none is written on the dummy, which is
        // full.
        unsafe {
            asm!(
                enter!("{full}"),
                $($guess,)*
                "movzx {slot:e}, word ptr [{slab} + {class}*4]",
                "cmp {slot:x}, word ptr [{slab} + {class}*4 + 2]",
                "jae {full}",
                $($note,)*
                "mov qword ptr [{slab} + {slot}*8], {object}",
                "inc {slot:e}",
                "mov word ptr [{slab} + {class}*4], {slot:x}",
                leave!(),
                area = in(reg) $place.area,
                id = in(reg) $place.id,
                table = in(reg) $table,
                object = in(reg) $object.0,
                slabs = const SLABS_OFFSET,
                slab = out(reg) _,
                slot = out(reg) _,
                full = label { return false },
                $($operand)*
                options(nostack),
            );
        }
    };
}

/// Pushes an object onto this CPU's stack of `class`; `false` if it is full.
///
/// # Safety
/// As for [`pop`]; the object belongs to `class` and to the caller.
#[inline(always)]
pub(super) unsafe fn push(place: Place, table: &CpuTable, class: usize, object: Addr) -> bool {
    push_section!(place, table, object, [], [], [class = in(reg) class,]);
    true
}

/// [`push`], for a class that has been looked up by the object's address.
///
/// A program that frees what it has just allocated, and goes on so, gets the same object each time. It makes one chain
/// of loads: header, object, the object's entry in the page map, the header that this names, which the next request must
/// read. On processors that let a load wait until the addresses of earlier stores are known, each link adds its whole
/// latency. So each push notes object and class, and if this object was pushed last, with this class, the noted number
/// is used: the same one, but known long before. What follows does not wait for the comparison, which the processor
/// predicts. (Noted here rather than where the object is popped: it covers the same loops, and `malloc` stays as it is.)
///
/// # Safety
/// As for [`push`].
#[inline(always)]
pub(super) unsafe fn push_looked_up(place: Place, table: &CpuTable, class: usize, object: Addr) -> bool {
    push_section!(
        place,
        table,
        object,
        [
            "cmp {object}, qword ptr [{slab} + 8*{last_object}]",
            "jne 20f",
            "mov {slot:e}, dword ptr [{slab} + 8*{last_class}]",
            "cmp {slot:e}, {class:e}",
            "jne 20f",
            "mov {class:e}, {slot:e}",
            "20:"
        ],
        [
            "mov qword ptr [{slab} + 8*{last_object}], {object}",
            "mov dword ptr [{slab} + 8*{last_class}], {class:e}"
        ],
        [class = inout(reg) class => _, last_object = const LAST_OBJECT_WORD, last_class = const LAST_CLASS_WORD,]
    );
    true
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
            "xor {count:e}, {count:e}",
            enter!("6f"),
            "movzx {slot:e}, word ptr [{slab} + {class}*4]",
            "xor {count:e}, {count:e}",
            "9:",
            "cmp {count}, {wanted}",
            "jae 20f",
            "mov {object}, qword ptr [{slab} + {slot}*8 - 8]",
            "test {object:l}, 1",
            "jnz 20f",
            "mov qword ptr [{into} + {count}*8], {object}",
            "dec {slot:e}",
            "inc {count}",
            "jmp 9b",
            "20:",
            "test {count}, {count}",
            "jz 6f",
            "mov word ptr [{slab} + {class}*4], {slot:x}",
            leave!(),
            "6:",
            area = in(reg) place.area,
            id = in(reg) place.id,
            table = in(reg) table,
            class = in(reg) class,
            into = in(reg) into.as_mut_ptr(),
            wanted = in(reg) into.len(),
            slabs = const SLABS_OFFSET,
            slab = out(reg) _,
            slot = out(reg) _,
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
            "xor {count:e}, {count:e}",
            enter!("6f"),
            "movzx {slot:e}, word ptr [{slab} + {class}*4]",
            "xor {count:e}, {count:e}",
            "9:",
            "cmp {slot:x}, word ptr [{slab} + {class}*4 + 2]",
            "jae 20f",
            "cmp {count}, {given}",
            "jae 20f",
            "mov {object}, qword ptr [{objects} + {count}*8]",
            "mov qword ptr [{slab} + {slot}*8], {object}",
            "inc {slot:e}",
            "inc {count}",
            "jmp 9b",
            "20:",
            "test {count}, {count}",
            "jz 6f",
            "mov word ptr [{slab} + {class}*4], {slot:x}",
            leave!(),
            "6:",
            area = in(reg) place.area,
            id = in(reg) place.id,
            table = in(reg) table,
            class = in(reg) class,
            objects = in(reg) objects.as_ptr(),
            given = in(reg) objects.len(),
            slabs = const SLABS_OFFSET,
            slab = out(reg) _,
            slot = out(reg) _,
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
            "mov {cpu}, -1",
            enter!("6f"),
            "mov {cpu}, -1",
            "cmp dword ptr [{slab} + {class}*4], {old:e}",
            "jne 6f",
            "mov qword ptr [{slab} + {mark}*8], 1",
            "mov {cpu:e}, dword ptr fs:[{id}]",
            "mov dword ptr [{slab} + {class}*4], {new:e}",
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
            slab = out(reg) _,
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
            enter!("{changed}"),
            "cmp qword ptr [{slab} + {index}*8], {old}",
            "jne {changed}",
            "mov qword ptr [{slab} + {index}*8], {new}",
            leave!(),
            area = in(reg) place.area,
            id = in(reg) place.id,
            table = in(reg) table,
            index = in(reg) index,
            old = in(reg) old,
            new = in(reg) new,
            slabs = const SLABS_OFFSET,
            slab = out(reg) _,
            changed = label { return false },
            options(nostack),
        );
    }
    true
}

const _: () = assert!(core::mem::size_of::<SlotIndex>() == 2, "sections move 16 bits");
