//! With the feature `override`, C's malloc, that of libc's own functions, and Rust's memory all come from besom.

use std::ffi::{CStr, c_char, c_void};

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

unsafe extern "C" {
    fn malloc(bytes: usize) -> *mut c_void;
    fn free(object: *mut c_void);
    fn strdup(text: *const c_char) -> *mut c_char;
    fn malloc_usable_size(object: *mut c_void) -> usize;
}

const COUNT: usize = 1000;

/// How many objects of 112 bytes the heap has given out.
fn objects() -> usize {
    let stats = besom::stats();
    stats.by_class.iter().find(|class| class.object_bytes == 112).unwrap().objects
}

/// Checks that `allocate` takes an object of besom's each time, and `release` gives it back.
fn check<T>(name: &str, mut allocate: impl FnMut() -> T, release: impl Fn(T)) {
    let mut kept = Vec::with_capacity(COUNT);
    let before = objects();
    kept.extend((0..COUNT).map(|_| allocate()));
    assert_eq!(objects(), before + COUNT, "{name}: allocated");
    kept.into_iter().for_each(release);
    assert_eq!(objects(), before, "{name}: freed");
}

fn main() {
    let text: &CStr = c"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";
    // SAFETY: each object is freed once, by the check.
    unsafe {
        check("malloc", || malloc(100), |object| free(object));
        check("strdup", || strdup(text.as_ptr()), |copy| free(copy.cast()));
        let object = malloc(100);
        assert_eq!(malloc_usable_size(object), 112);
        free(object);
    }
    check("Box", || Box::new([7u8; 100]), drop);
}
