// Proves that leak::assert_no_leaks does not pass where leaks can't be checked for.
// preload: no the program is built with its allocator
// expect-exit: 0
// expect-stderr-has: besom: leak check: leak mode is off; start the program with BESOM_OPTIONS=leak=1
// expect-stderr-has: leak mode is off: start the program with BESOM_OPTIONS=leak=1

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

fn main() {
    assert!(!besom::leak::is_on());
    assert_eq!(besom::leak::try_check(), None);
    assert!(std::panic::catch_unwind(|| besom::leak::assert_no_leaks(|| ())).is_err());
}
