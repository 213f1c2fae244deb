// Proves that counts with a weak link back lose nothing.
// preload: no the program is built with its allocator
// expect-leaks: definitely=0/0 possibly=0/0

use std::cell::RefCell;
use std::rc::{Rc, Weak};

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

struct Node {
    parent: RefCell<Weak<Node>>,
    children: RefCell<Vec<Rc<Node>>>,
}

#[inline(never)]
fn node() -> Rc<Node> {
    Rc::new(Node { parent: RefCell::default(), children: RefCell::default() })
}

fn main() {
    let root = node();
    for _ in 0..10 {
        let child = node();
        *child.parent.borrow_mut() = Rc::downgrade(&root);
        root.children.borrow_mut().push(child);
    }
    assert!(root.children.borrow().iter().all(|child| child.parent.borrow().upgrade().is_some()));
}
