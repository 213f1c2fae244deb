//! The interfaces: C, C++, Rust, besom's own functions, and what happens at start-up, fork and exit.

mod api;
#[cfg(feature = "override")]
mod c;
#[cfg(feature = "override")]
mod cxx;
#[cfg(feature = "override")]
mod extensions;
mod global_alloc;
mod lifecycle;

pub use api::{release_free_memory, stats};
pub use global_alloc::Besom;
