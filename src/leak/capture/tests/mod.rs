//! Captured stacks against those of glibc's `backtrace`, which unwinds for C++ exceptions.

mod hostile;
mod library;
mod reload;
mod stacks;
mod traces;

use super::*;
use crate::config;
use library::{Function, Library};
use std::{
    ffi::c_void,
    sync::{Once, OnceLock},
    vec,
    vec::Vec,
};

unsafe extern "C" {
    fn backtrace(buffer: *mut *mut c_void, size: libc::c_int) -> libc::c_int;
}

/// Before the first capture: the deepest stacks, and `backtrace` loads its unwinder on its first call.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        config::set(Key::StackDepth, MAX_FRAMES);
        init();
        truth();
    });
}

/// The stack as the C library sees it, from the caller on.
#[inline(never)]
fn truth() -> Vec<usize> {
    let mut buffer = [std::ptr::null_mut(); MAX_FRAMES + 8];
    // SAFETY: the buffer has room for as many addresses.
    let len = unsafe { backtrace(buffer.as_mut_ptr(), buffer.len() as i32) };
    buffer[1..len as usize].iter().map(|pc| pc.addr()).filter(|&pc| pc != 0).collect()
}

/// As [`here`], but walks again, as [`record`] does, where a library has taken the place of another: tests that run beside
/// this one load and unload some.
#[inline(always)]
fn here_now(buffer: &mut StackBuffer) -> &[usize] {
    for _ in 0..3 {
        let epoch = engine::epoch();
        here(0, buffer);
        if engine::is_unchanged(buffer.frames(), epoch) {
            break;
        }
    }
    buffer.frames()
}

/// What a callback captured.
#[derive(Default)]
struct Captured {
    ours: Vec<usize>,
    truth: Vec<usize>,
}

impl Captured {
    /// The first frames lie in one function but at two places, since it makes both calls.
    fn assert_equal(&self) {
        assert!(self.ours.len() >= 3, "{:x?} but should be {:x?}", self.ours, self.truth);
        let len = self.truth.len().min(MAX_FRAMES);
        assert_eq!(self.ours[1..], self.truth[1..len], "ours {:x?} truth {:x?}", self.ours, self.truth);
        assert!(self.ours[0].abs_diff(self.truth[0]) < 1000);
    }
}

/// Captures both ways.
extern "C" fn capture_into(result: *mut c_void) {
    let mut buffer = StackBuffer::new();
    let ours = here_now(&mut buffer).to_vec();
    assert_eq!(depot::hash(&ours), buffer.hash());
    // SAFETY: every test passes a `Captured` of its own.
    unsafe { *result.cast::<Captured>() = Captured { ours, truth: truth() } };
}

/// The frames when `function` calls back from `depth` calls down.
fn capture_in(function: Function, depth: i32) -> Captured {
    prepare();
    let mut captured = Captured::default();
    // SAFETY: the function calls the callback with the argument, which outlives the call.
    unsafe { function(depth, capture_into, (&raw mut captured).cast()) };
    captured
}

fn c_frames() -> &'static Library {
    struct Shared(Library);
    // SAFETY: the handle is only read.
    unsafe impl Sync for Shared {}
    // SAFETY: as above.
    unsafe impl Send for Shared {}
    static LIBRARY: OnceLock<Shared> = OnceLock::new();
    let build = || {
        let library = Library::build("frames.c", &["-fomit-frame-pointer", "-fno-builtin"]);
        library.remove_file();
        Shared(library)
    };
    &LIBRARY.get_or_init(build).0
}

const SHAPES: [&str; 6] = ["plain", "registers", "variable", "realigned", "large", "without_return"];

#[test]
fn rust_frames() {
    #[inline(never)]
    fn recurse(depth: usize, captured: &mut Captured) -> usize {
        match depth {
            0 => capture_into((&raw mut *captured).cast()),
            _ => return std::hint::black_box(recurse(depth - 1, captured) + 1),
        }
        1
    }
    prepare();
    for depth in [0, 1, 5, 40] {
        let mut captured = Captured::default();
        recurse(depth, &mut captured);
        captured.assert_equal();
        assert!(captured.ours.len() > depth);
    }
}

#[test]
fn c_frames_without_frame_pointers() {
    on_a_large_stack(|| {
        for shape in SHAPES {
            for depth in [0, 1, 4] {
                // Once to fill the table, once from it.
                let function = c_frames().function(shape);
                capture_in(function, depth).assert_equal();
                capture_in(function, depth).assert_equal();
            }
        }
        capture_in(c_frames().function("plain"), 60).assert_equal();
    });
}

#[test]
fn frames_beyond_the_limit_are_left_out() {
    let captured = capture_in(c_frames().function("registers"), 300);
    assert_eq!(captured.ours.len(), MAX_FRAMES);
    captured.assert_equal();
}

#[test]
fn cpp_frames_and_exceptions_in_flight() {
    let library = Library::build("frames.cc", &["-fomit-frame-pointer"]);
    for name in ["virtual_calls", "while_throwing"] {
        capture_in(library.function(name), 5).assert_equal();
    }
}

#[test]
fn frames_with_frame_pointers() {
    let library = Library::build("frames.c", &["-fno-omit-frame-pointer"]);
    let functions = SHAPES.map(|shape| library.function(shape));
    on_a_large_stack(move || functions.into_iter().for_each(|f| capture_in(f, 3).assert_equal()));
}

/// The shape `large` needs more than a test's thread has.
fn on_a_large_stack(body: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(body);
    thread.unwrap().join().unwrap();
}

/// The walk of other architectures, here through code that keeps frame pointers.
#[test]
fn chains_of_frame_pointers() {
    extern "C" fn capture_chain(result: *mut c_void) {
        let mut buffer = StackBuffer::new();
        // SAFETY: the registers are this function's, which is running.
        buffer.len = unsafe { chain::walk(chain::Cursor::here(), buffer.sink(1, MAX_FRAMES)) }.finish().0;
        // SAFETY: as in `capture_into`.
        unsafe { *result.cast::<Captured>() = Captured { ours: buffer.frames().to_vec(), truth: truth() } };
    }
    prepare();
    let library = Library::build("frames.c", &["-fno-omit-frame-pointer"]);
    let mut captured = Captured::default();
    // SAFETY: as in `capture_in`.
    unsafe { library.function("plain")(20, capture_chain, (&raw mut captured).cast()) };
    // This program's own functions may have none, which costs their callers' addresses, so the chain is
    // only known to be right within the library.
    let inside = &captured.truth[2..22];
    assert!(captured.ours.windows(20).any(|frames| frames == inside), "{:x?}", captured.ours);
}

#[test]
fn callbacks_of_libc() {
    extern "C" fn compare(a: *const c_void, b: *const c_void) -> libc::c_int {
        // SAFETY: the elements are pointers to a `Captured`.
        capture_into(unsafe { a.cast::<*mut c_void>().read() });
        a.addr().cmp(&b.addr()) as libc::c_int
    }
    prepare();
    let mut captured = Captured::default();
    let pointer = &raw mut captured;
    let mut elements = [pointer; 40];
    // SAFETY: sorts an array of pointers.
    unsafe { libc::qsort(elements.as_mut_ptr().cast(), elements.len(), size_of::<usize>(), Some(compare)) };
    captured.assert_equal();
}

#[test]
fn skipping_leaves_out_the_innermost() {
    prepare();
    let mut buffer = StackBuffer::new();
    let all = here_now(&mut buffer).to_vec();
    for skip in [1, 2, all.len(), 1000] {
        let rest = here(skip, &mut buffer);
        assert_eq!(rest, all.get(skip..).unwrap_or(&[]));
        assert_eq!(buffer.hash(), depot::hash(all.get(skip..).unwrap_or(&[])));
    }
}

/// Records the stack, and captures the truth.
extern "C" fn record_into(result: *mut c_void) {
    let id = record(0);
    // SAFETY: every test passes a `Captured` of its own.
    unsafe { *result.cast::<Captured>() = Captured { ours: depot::frames(id).to_vec(), truth: truth() } };
}

/// Callers change all the time, so that many predictions are wrong.
#[test]
fn wrong_predictions_do_not_show() {
    prepare();
    for i in 0..400i32 {
        let function =
            c_frames().function(["plain", "registers", "variable", "realigned"][i as usize * 7 % 4]);
        let mut captured = Captured::default();
        // SAFETY: as in `capture_in`.
        unsafe { function(i * 5 % 9, record_into, (&raw mut captured).cast()) };
        captured.assert_equal();
    }
}

/// Walks down at random, recording again and again on the way, so that each stack has frames of the last one
/// at its outer end, others in their places, and some gone. Some frames are realigned ones.
#[test]
fn what_is_left_of_the_last_stack_does_not_mislead() {
    struct Walk {
        random: u64,
        records: usize,
    }
    extern "C" fn go_on(walk: *mut c_void) {
        // SAFETY: the one walk of this thread, which nobody uses while its functions run.
        let next = |bound| unsafe {
            let walk = &mut *walk.cast::<Walk>();
            walk.random = walk.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (walk.random >> 33) as usize % bound
        };
        for _ in 0..1 + next(3) {
            let mut captured = Captured::default();
            record_into((&raw mut captured).cast());
            captured.assert_equal();
            // SAFETY: as above.
            let records = unsafe { &mut (*walk.cast::<Walk>()).records };
            *records += 1;
            if *records < 800 && next(8) != 0 {
                let function = c_frames().function(SHAPES[next(4)]);
                // SAFETY: as in `capture_in`.
                unsafe { function(next(5) as i32, go_on, walk) };
            }
        }
    }
    prepare();
    on_a_large_stack(|| {
        for seed in 0..8 {
            let mut walk = Walk { random: seed, records: 0 };
            go_on((&raw mut walk).cast());
        }
    });
}

#[test]
fn recorded_stacks_start_at_the_caller() {
    prepare();
    let mut ids = vec![];
    for _ in 0..3 {
        let mut captured = Captured::default();
        // SAFETY: as in `capture_in`.
        unsafe { c_frames().function("plain")(7, record_into, (&raw mut captured).cast()) };
        captured.assert_equal();
        ids.push(depot::insert(&captured.ours));
    }
    assert!(ids[0] != StackId::NONE && ids.iter().all(|&id| id == ids[0]));
}
