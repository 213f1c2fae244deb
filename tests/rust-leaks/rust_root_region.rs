// Proves that a leak::RootRegion keeps blocks while it lives.
// preload: no the program is built with its allocator
// options: use_mappings=0
// expect-leaks: definitely=0/0
// expect-leaks: definitely=24/1
// expect-exit: 23

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

unsafe extern "C" {
    fn mmap(at: *mut u8, bytes: usize, access: i32, flags: i32, fd: i32, offset: i64) -> *mut usize;
}

#[inline(never)]
fn fill(words: *mut usize) {
    let block = Box::leak(Box::new([1u64; 3]));
    // SAFETY: a fresh mapping of 4096 bytes.
    unsafe { words.add(100).write(block.as_ptr().addr()) };
}

#[inline(never)]
fn wipe() {
    std::hint::black_box([0u64; 4096]);
}

fn main() {
    // SAFETY: asks for new memory: readable, writable, private, anonymous.
    let words = unsafe { mmap(std::ptr::null_mut(), 4096, 3, 0x22, -1, 0) };
    fill(words);
    wipe();
    let region = besom::leak::RootRegion::new(words.cast(), 4096).unwrap();
    assert_eq!(besom::leak::check().leaked().blocks, 0);
    drop(region);
}
