//! Marking: from the roots to every object the program can still reach, and what is lost.
//!
//! Tri-colour, on a snapshot: white objects have not been reached, grey ones have and wait to be scanned, black ones have
//! been. What the Go runtime needs write barriers for, the frozen
//! copy of the process gives for nothing: what is white when no grey is left is out of reach for good.
//!
//! Kinds are Valgrind's, found in this order:
//! 1. from the roots along pointers to the *start* of objects: still reachable;
//! 2. from what only pointers to the *inside* of an object lead to: possibly lost. Some kinds of pointer to
//!    the inside are as good as one to the start (`inside`);
//! 3. lost objects that a suppression hides, and all that they lead to but what is still reachable, be it possibly
//!    lost otherwise: suppressed;
//! 4. of what is left, an object that nothing else leads to is definitely lost, and all that it leads to
//!    indirectly. Of a ring that nothing else leads to, the first object is definitely lost.
//!
//! Steps 1 to 3 run on several workers. Grey objects wait in a queue of the worker that met them, neighbours together
//! (`grey`). Roots, large objects, and what a worker with much to do leaves to others, are ranges in buffers; full and
//! empty ones go to lists that all share (`buffers`), which is how work moves from one to another, as in the Go
//! runtime's `mgcwork.go`.

mod buffers;
mod classify;
mod frozen;
mod grey;
mod heap_image;
mod inside;
mod list;
mod marker;
mod objects;
mod pointer_filter;
mod worker;

pub(crate) use classify::{GroupKey, Groups, classify, suppress};
pub(crate) use heap_image::{HeapImage, Reader};
pub(crate) use marker::Marker;
pub(crate) use objects::Objects;

#[cfg(test)]
mod tests;
