//! The interfaces: C, C++, Rust, besom's own functions, and what happens at start-up, fork and exit.

mod api;
#[cfg(all(feature = "dlopen", target_env = "gnu"))]
mod atfork;
#[cfg(feature = "override")]
mod c;
#[cfg(feature = "override")]
mod cxx;
#[cfg(feature = "dlopen")]
mod dlopen;
#[cfg(all(feature = "leak", feature = "override"))]
mod exit;
#[cfg(feature = "override")]
mod extensions;
mod global_alloc;
#[cfg(all(feature = "leak", feature = "override"))]
mod leak_c;
mod lifecycle;
#[cfg(all(feature = "leak", feature = "override"))]
mod lsan;
#[cfg(feature = "dlopen")]
mod own_pages;
mod thread;
#[cfg(feature = "override")]
mod vfork;

pub use api::{release_free_memory, stats};
pub use global_alloc::Besom;
#[cfg(all(feature = "shared", not(test)))]
pub(crate) use global_alloc::OutOfLine;
