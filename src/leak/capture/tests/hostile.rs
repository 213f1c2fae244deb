//! Code without call frame information, and registers that make no sense.

use super::*;
use crate::base::Addr;
use crate::leak::capture::{by_tables, walk};
use crate::sys::memory::{Access, map, protect};
use proptest::prelude::*;

/// A page with machine code, as a compiler at run time makes.
fn generate(code: &[u8]) -> Function {
    // SAFETY: maps fresh memory, which stays for the rest of the test program.
    unsafe {
        let prot = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(std::ptr::null_mut(), 4096, prot, flags, -1, 0);
        assert_ne!(page, libc::MAP_FAILED);
        page.cast::<u8>().copy_from_nonoverlapping(code.as_ptr(), code.len());
        std::mem::transmute::<*mut c_void, Function>(page)
    }
}

/// push %rbp; mov %rsp,%rbp; mov %rdx,%rdi; call *%rsi; pop %rbp; ret
const WITH_FRAME_POINTER: &[u8] = &[0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xd7, 0xff, 0xd6, 0x5d, 0xc3];
/// sub $8,%rsp; mov %rdx,%rdi; call *%rsi; add $8,%rsp; ret
const WITHOUT_FRAME_POINTER: &[u8] =
    &[0x48, 0x83, 0xec, 8, 0x48, 0x89, 0xd7, 0xff, 0xd6, 0x48, 0x83, 0xc4, 8, 0xc3];

/// Calls generated code, and says what the stack is just outside of it.
#[inline(never)]
fn capture_around(function: Function) -> (Captured, Vec<usize>) {
    let outside = truth();
    (capture_in(function, 0), outside)
}

#[test]
fn generated_code_with_frame_pointers_is_stepped_over() {
    prepare();
    let function = generate(WITH_FRAME_POINTER);
    for _ in 0..2 {
        let before = statistics().guesses;
        let (captured, outside) = capture_around(function);
        assert!(statistics().guesses > before);
        // Frame 0 is the callback, 1 the generated code, 2 `capture_in`, then the one captured outside.
        assert_eq!(captured.ours[1], function as usize + 9, "{:x?}", captured.ours);
        assert_eq!(captured.ours[4..], outside[1..], "{:x?}", captured.ours);
    }
}

#[test]
fn generated_code_without_frame_pointers_ends_the_walk_or_is_stepped_over() {
    prepare();
    let function = generate(WITHOUT_FRAME_POINTER);
    let (captured, _) = capture_around(function);
    assert_eq!(captured.ours[1], function as usize + 9, "{:x?}", captured.ours);
}

/// A frame pointer that points near memory that can't be read.
#[test]
fn wild_frame_pointers_do_no_harm() {
    prepare();
    // push %rbp; mov %rdi,%rbp... is not possible with a 32-bit argument, so the wild value is a constant:
    // push %rbp; movabs $VALUE,%rbp; mov %rdx,%rdi; call *%rsi; pop %rbp; ret
    let guarded = map(2 * 4096, Access::ReadWrite).unwrap();
    // SAFETY: mapped above, and left so.
    unsafe { protect(guarded.plus(4096), 4096, Access::None).unwrap() };
    let local = 0usize;
    let near = &raw const local as usize;
    for value in
        [0, 1, 8, usize::MAX - 7, usize::MAX, guarded.0 + 4096 - 8, near, near + 3, near + (900 << 10)]
    {
        let mut code = std::vec![0x55, 0x48, 0xbd];
        code.extend(value.to_le_bytes());
        code.extend([0x48, 0x89, 0xd7, 0xff, 0xd6, 0x5d, 0xc3]);
        let function = generate(&code);
        let (captured, _) = capture_around(function);
        assert_eq!(captured.ours[1], function as usize + 16, "{:x?}", captured.ours);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// Whatever the registers, a walk that trusts nothing ends, with addresses that could be code.
    #[test]
    fn wild_registers_do_no_harm(which in 0usize..6, at in any::<u32>(), sp_shift in 0usize..1 << 16, bp: usize, bp_shift in 0usize..1 << 16, near: bool) {
        prepare();
        let local = 0usize;
        let stack = &raw const local as usize;
        let code = [
            libc::qsort as *const () as usize,
            here as *const () as usize,
            c_frames().function("realigned") as usize,
            stack,
            0,
            libc::raise as *const () as usize,
        ][which];
        let pc = code.wrapping_add(at as usize % 400);
        let sp = if near { stack + sp_shift } else { bp.rotate_left(17) };
        let bp = if near { stack + bp_shift } else { bp };
        let pc = pc.clamp(4096, (1 << 47) - 1);
        for is_interrupted in [false, true] {
            let mut buffer = StackBuffer::new();
            let (rules, sink) = (by_tables::table().unwrap(), buffer.sink(0, MAX_FRAMES));
            buffer.len = walk::walk_from([pc, sp, bp], is_interrupted, rules, sink).finish().0;
            assert!(buffer.frames().iter().all(|pc| (4096..1 << 47).contains(pc)));
        }
    }
}

#[test]
fn mappings_are_named() {
    prepare();
    let mut found = Vec::new();
    for_each_mapping(|at, bytes| found.push((at, bytes)));
    assert_eq!(found.len(), 1);
    assert!(found[0].0 != Addr(0) && found[0].1 > 1 << 20);
}
