//! besom: Go's memory allocator rebuilt as a drop-in malloc, with a mark-sweep leak finder beside it.
#![allow(dead_code, unused_imports, unused_macros, reason = "skeleton")]
#![cfg_attr(not(test), no_std)]

#[cfg(all(feature = "leak", not(test)))]
extern crate alloc;
#[cfg(test)]
extern crate std;
#[cfg(all(feature = "leak", test))]
extern crate std as alloc;

mod base;
mod config;
#[cfg(feature = "leak")]
mod leak;
mod sync;
mod sys;
