// Proves that reference counts in a ring lose one block definitely and the other indirectly.
// preload: no the program is built with its allocator
// expect-leaks: definitely=48/1 indirectly=48/1

use std::{cell::RefCell, hint::black_box, rc::Rc};

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

struct Node {
    other: RefCell<Option<Rc<Node>>>,
    payload: [u64; 2],
}

#[inline(never)]
fn build() {
    let a = Rc::new(Node { other: RefCell::new(None), payload: [1; 2] });
    let b = Rc::new(Node { other: RefCell::new(Some(a.clone())), payload: [2; 2] });
    a.other.replace(Some(b.clone()));
    assert_eq!(black_box(&b).payload[0] + a.payload[0], 3);
}

fn main() {
    build();
}
