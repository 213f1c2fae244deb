// Proves that a panic's payload is not lost while it is in flight: the program exits in a destructor.
// preload: no the program is built with its allocator
// expect-leaks: definitely=0/0
// expect-stderr-has: with a text{*}

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

struct Leaves;

impl Drop for Leaves {
    fn drop(&mut self) {
        std::process::exit(0);
    }
}

fn main() {
    let _leaves = Leaves;
    std::panic::panic_any("with a text".repeat(10));
}
