//! Captures on other stacks than the main thread's, and from signal handlers.

use super::*;
use crate::sys::memory::{Access, map, protect, unmap};
use core::sync::atomic::{Ordering::SeqCst, compiler_fence};
use std::{
    cell::Cell,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

#[test]
fn threads() {
    prepare();
    let threads: Vec<_> = (0..8)
        .map(|i| {
            thread::spawn(move || {
                for shape in ["plain", "registers", "variable", "realigned", "without_return"] {
                    capture_in(c_frames().function(shape), i).assert_equal();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// It is one module all the same, unlike a program (`c-tests/leaks/stack_segments_apart.c`).
#[test]
fn a_library_whose_segments_lie_apart() {
    let library = Library::build("frames.c", &["-fomit-frame-pointer", "-Wl,-z,max-page-size=0x200000"]);
    for shape in ["plain", "registers", "variable", "realigned", "without_return"] {
        capture_in(library.function(shape), 5).assert_equal();
    }
    let module = modules::find(library.function("plain") as usize).unwrap();
    assert!(module.image().is_some() && module.header == module.start, "{module:x?}");
}

/// What a signal handler captured, which may have interrupted malloc.
struct InHandler {
    ours: [usize; MAX_FRAMES],
    truth: [*mut c_void; MAX_FRAMES + 8],
    /// How many there are; none if the handler has not run.
    lens: (usize, usize),
}

impl InHandler {
    const NONE: Self =
        Self { ours: [0; MAX_FRAMES], truth: [std::ptr::null_mut(); MAX_FRAMES + 8], lens: (0, 0) };

    fn captured(&self) -> Captured {
        let truth = self.truth[..self.lens.1].iter().map(|pc| pc.addr()).filter(|&pc| pc != 0);
        Captured { ours: self.ours[..self.lens.0].to_vec(), truth: truth.collect() }
    }
}

thread_local! {
    /// Where this thread's signal handler leaves what it captured.
    static RESULT: Cell<*mut InHandler> = const { Cell::new(std::ptr::null_mut()) };
}

extern "C" fn handler(_signal: libc::c_int) {
    // SAFETY: a test of this thread keeps the place while it is set.
    let Some(result) = (unsafe { RESULT.get().as_mut() }) else { return };
    let mut buffer = StackBuffer::new();
    let ours = here_now(&mut buffer);
    result.ours[..ours.len()].copy_from_slice(ours);
    // SAFETY: the buffer has room for as many addresses.
    let len = unsafe { backtrace(result.truth.as_mut_ptr(), result.truth.len() as i32) };
    result.lens = (ours.len(), len as usize);
}

/// As [`handler`], but keeps only what is wrong, the first of it, and counts.
extern "C" fn stepping_handler(signal: libc::c_int) {
    // SAFETY: as there.
    let Some(result) = (unsafe { RESULT.get().as_mut() }) else { return };
    STEPS.set(STEPS.get() + 1);
    if result.lens.0 > 0 {
        return;
    }
    handler(signal);
    let (ours, truth) = result.lens;
    let same = |(ours, truth): (&usize, &*mut c_void)| *ours == truth.addr();
    let len = truth.min(MAX_FRAMES).min(ours.max(3));
    // Glibc's ends with a zero where ours ends.
    let is_right =
        ours.abs_diff(truth) <= 1 && result.ours[1..len].iter().zip(&result.truth[1..len]).all(same);
    // Between its own pushes and pops, that one's frame is not as the compiler thinks.
    const INTERRUPTED: usize = 3;
    let stepped = c_frames().function("stepped") as usize;
    if is_right || result.truth[INTERRUPTED].addr().wrapping_sub(stepped) < 64 {
        result.lens = (0, 0);
    }
}

thread_local! {
    /// Instructions that this thread has been stepped through.
    static STEPS: Cell<usize> = const { Cell::new(0) };
}

/// Handlers are the process's; tests that set one take turns.
fn install(signal: libc::c_int, flags: libc::c_int) -> MutexGuard<'static, ()> {
    install_handler(signal, flags, handler)
}

fn install_handler(
    signal: libc::c_int,
    flags: libc::c_int,
    handler: extern "C" fn(libc::c_int),
) -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = flags | libc::SA_RESTART;
    // SAFETY: the handler does nothing in threads that are not part of a test.
    assert_eq!(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) }, 0);
    turn
}

extern "C" fn raise_signal(_argument: *mut c_void) {
    // SAFETY: a handler is installed.
    unsafe { libc::raise(libc::SIGUSR1) };
}

/// The stack of a signal handler: down to the handler's frames, through the trampoline, to the frames
/// that were interrupted.
fn capture_in_handler() -> Captured {
    prepare();
    let mut found = InHandler::NONE;
    RESULT.set(&raw mut found);
    // SAFETY: the callback ignores its argument.
    unsafe { c_frames().function("registers")(3, raise_signal, std::ptr::null_mut()) };
    RESULT.set(std::ptr::null_mut());
    found.captured()
}

#[test]
fn signal_handlers() {
    let _turn = install(libc::SIGUSR1, 0);
    let captured = capture_in_handler();
    captured.assert_equal();
    assert!(captured.ours.len() > 10, "{:x?}", captured.ours);
}

#[test]
fn alternate_signal_stacks() {
    let _turn = install(libc::SIGUSR1, libc::SA_ONSTACK);
    const BYTES: usize = 1 << 18;
    let memory = map(BYTES, Access::ReadWrite).unwrap();
    let stack = libc::stack_t { ss_sp: memory.ptr(), ss_flags: 0, ss_size: BYTES };
    let mut old = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    // SAFETY: the memory is this test's and is taken back below.
    assert_eq!(unsafe { libc::sigaltstack(&raw const stack, &raw mut old) }, 0);
    let captured = capture_in_handler();
    // SAFETY: gives the thread its former stack.
    assert_eq!(unsafe { libc::sigaltstack(&raw const old, std::ptr::null_mut()) }, 0);
    captured.assert_equal();
    assert!(captured.ours.len() > 10, "{:x?}", captured.ours);
    // SAFETY: nothing runs on it any more.
    unsafe { unmap(memory, BYTES) };
}

/// Interrupted at any instruction, in prologues, in libc and its linkage stubs: the walk gets as far as the
/// C library's, and agrees with it.
#[test]
fn interrupted_anywhere() {
    const SIGNALS: usize = 300;
    let _turn = install(libc::SIGUSR2, 0);
    prepare();
    let busy = c_frames().function("busy");
    // SAFETY: pthread_self has no conditions.
    let thread = unsafe { libc::pthread_self() };
    let mut found = InHandler::NONE;
    RESULT.set(&raw mut found);
    let sender = thread::spawn(move || {
        for i in 0..SIGNALS {
            thread::sleep(std::time::Duration::from_micros(300 + i as u64 % 7 * 13));
            // SAFETY: the thread waits for this one.
            unsafe { libc::pthread_kill(thread, libc::SIGUSR2) };
        }
    });
    let mut checked = 0;
    while !sender.is_finished() {
        // SAFETY: the function does not call back.
        unsafe { busy(3, capture_into, std::ptr::null_mut()) };
        // No signal may come while what it left is read.
        RESULT.set(std::ptr::null_mut());
        compiler_fence(SeqCst);
        if found.lens.0 > 0 {
            found.captured().assert_equal();
            found.lens = (0, 0);
            checked += 1;
        }
        compiler_fence(SeqCst);
        RESULT.set(&raw mut found);
    }
    RESULT.set(std::ptr::null_mut());
    sender.join().unwrap();
    assert!(checked > SIGNALS / 10, "only {checked} interrupted");
}

/// Interrupted at each instruction, of prologues and epilogues, too: the processor's trap flag does that.
#[test]
fn interrupted_at_each_instruction() {
    extern "C" fn nothing(_argument: *mut c_void) {}
    let _turn = install_handler(libc::SIGTRAP, 0, stepping_handler);
    prepare();
    on_a_large_stack(|| {
        // Not a realigned frame, which at its ends finds its caller by a register that walks do not follow, nor one that
        // a jump is just leaving.
        for shape in ["plain", "registers", "variable", "large"] {
            let function = c_frames().function(shape);
            let mut found = InHandler::NONE;
            RESULT.set(&raw mut found);
            STEPS.set(0);
            // SAFETY: what it calls is a function of this kind; the handler returns to where it was.
            unsafe { c_frames().function("stepped")(2, nothing, function as *mut c_void) };
            RESULT.set(std::ptr::null_mut());
            assert_eq!(found.lens, (0, 0), "{shape}: {:x?}", (found.captured().ours, found.captured().truth));
            assert!(STEPS.get() > 30, "{shape}: {} steps", STEPS.get());
        }
    });
}

/// A coroutine's stack, with memory that can't be read right above it.
#[test]
fn coroutines() {
    const PAGE: usize = 4096;
    const PAGES: usize = 64;
    static SLOT: Mutex<usize> = Mutex::new(0);
    extern "C" fn body() {
        let captured = *SLOT.lock().unwrap() as *mut Captured;
        // SAFETY: the test's `Captured` outlives the coroutine.
        unsafe { *captured = capture_in(c_frames().function("variable"), 3) };
    }
    prepare();
    let memory = map((PAGES + 1) * PAGE, Access::ReadWrite).unwrap();
    // SAFETY: mapped above.
    unsafe { protect(memory.plus(PAGES * PAGE), PAGE, Access::None).unwrap() };
    let mut captured = Captured::default();
    *SLOT.lock().unwrap() = &raw mut captured as usize;
    for _ in 0..2 {
        // SAFETY: all zeros is room for a context, and getcontext fills it in.
        let (mut main, mut other): (libc::ucontext_t, libc::ucontext_t) = unsafe { std::mem::zeroed() };
        // SAFETY: the contexts live until swapcontext returns, which the coroutine's end makes it do.
        unsafe {
            assert_eq!(libc::getcontext(&raw mut other), 0);
            other.uc_stack.ss_sp = memory.ptr();
            other.uc_stack.ss_size = PAGES * PAGE;
            other.uc_link = &raw mut main;
            libc::makecontext(&raw mut other, body, 0);
            assert_eq!(libc::swapcontext(&raw mut main, &raw const other), 0);
        }
        captured.assert_equal();
        assert!(captured.ours.len() > 5);
    }
    // SAFETY: the coroutine is over.
    unsafe { unmap(memory, (PAGES + 1) * PAGE) };
}
