//! Nanoseconds to capture the innermost twenty frames of a stack, in one run:
//!
//! * `here`: the walk alone; `record`: the walk and the depot, as an allocation does it. Both walk as
//!   many frames as the option `stack_depth` says, here 20;
//! * `frame_pointers`: a loop in C along frame pointers, which is what LeakSanitizer's fast unwinder does
//!   (it then hashes and stores the stack, as `record` does);
//! * `backtrace`: glibc's, by libgcc's unwinder.
//!
//! The functions below are C without frame pointers, except for `frame_pointers`.

use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use std::{
    ffi::{CStr, CString, c_void},
    hint::black_box,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// Frames between the measuring loop and this program; a few more than are captured.
const DEPTH: i32 = 24;
/// Frames captured.
const FRAMES: usize = 20;

type Callback = unsafe extern "C" fn(*mut c_void);
type Function = unsafe extern "C" fn(i32, Callback, *mut c_void) -> i32;

/// What is measured, and the result. The loop runs at the bottom of the deep stack, so that the calls
/// down to it are not measured. `frame_pointers.c` has the same structure.
#[repr(C)]
struct Measurement {
    operation: extern "C" fn() -> usize,
    iterations: u64,
    nanoseconds: u64,
    frames: usize,
}

unsafe extern "C" fn measure(argument: *mut c_void) {
    // SAFETY: the caller passes a `Measurement` of its own.
    let measurement = unsafe { &mut *argument.cast::<Measurement>() };
    let start = Instant::now();
    for _ in 0..measurement.iterations {
        measurement.frames = black_box((measurement.operation)());
    }
    measurement.nanoseconds = start.elapsed().as_nanos() as u64;
}

/// The C functions, built with `flag` and loaded.
fn library(flag: &str) -> *mut c_void {
    let output = std::env::temp_dir().join(format!("besom-bench-{}{flag}.so", std::process::id()));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-fno-optimize-sibling-calls", flag, "-o"])
        .arg(&output)
        .arg(root.join("src/leak/capture/tests/frames.c"))
        .arg(root.join("benches/frame_pointers.c"))
        .status();
    assert!(status.expect("cc runs").success());
    let name = CString::new(output.to_str().expect("a path in UTF-8")).expect("without NUL");
    // SAFETY: the library has no constructors.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
    assert!(!handle.is_null());
    std::fs::remove_file(output).expect("the library is there");
    handle
}

fn symbol(library: *mut c_void, name: &CStr) -> *mut c_void {
    // SAFETY: the handle is open.
    let symbol = unsafe { libc::dlsym(library, name.as_ptr()) };
    assert!(!symbol.is_null());
    symbol
}

fn function(library: *mut c_void, name: &CStr) -> Function {
    // SAFETY: all functions that are asked for have this type.
    unsafe { std::mem::transmute::<*mut c_void, Function>(symbol(library, name)) }
}

fn bench(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    shape: Function,
    callback: Callback,
    operation: extern "C" fn() -> usize,
) {
    group.bench_function(name, |b| {
        b.iter_custom(|iterations| {
            let mut measurement = Measurement { operation, iterations, nanoseconds: 0, frames: 0 };
            // SAFETY: the function calls back with the argument.
            unsafe { shape(DEPTH, callback, (&raw mut measurement).cast()) };
            assert_eq!(measurement.frames, FRAMES);
            Duration::from_nanos(measurement.nanoseconds)
        });
    });
}

extern "C" fn nothing() -> usize {
    0
}

extern "C" fn here() -> usize {
    besom::__bench_leak::capture()
}

extern "C" fn record() -> usize {
    let id = besom::__bench_leak::record();
    black_box(besom::__bench_leak::frames(id)).len()
}

extern "C" fn glibc() -> usize {
    unsafe extern "C" {
        fn backtrace(buffer: *mut *mut c_void, size: libc::c_int) -> libc::c_int;
    }
    let mut frames = [std::ptr::null_mut(); FRAMES];
    // SAFETY: the array has room for all of them.
    let len = unsafe { backtrace(frames.as_mut_ptr(), FRAMES as i32) };
    black_box(&frames);
    len as usize
}

fn unwind(c: &mut Criterion) {
    besom::__bench_leak::init(FRAMES);
    let (without, with) = (library("-fomit-frame-pointer"), library("-fno-omit-frame-pointer"));
    // SAFETY: this is the function's type.
    let measure_in_c =
        unsafe { std::mem::transmute::<*mut c_void, Callback>(symbol(with, c"measure_frame_pointers")) };
    let mut group = c.benchmark_group("unwind");
    for name in [c"plain", c"registers", c"variable"] {
        let shape = name.to_str().expect("ASCII");
        let deep = function(without, name);
        bench(&mut group, &format!("here/{shape}"), deep, measure, here);
        bench(&mut group, &format!("record/{shape}"), deep, measure, record);
        bench(&mut group, &format!("frame_pointers/{shape}"), function(with, name), measure_in_c, nothing);
        bench(&mut group, &format!("backtrace/{shape}"), deep, measure, glibc);
    }
    group.finish();
}

criterion_group!(benches, unwind);
criterion_main!(benches);
