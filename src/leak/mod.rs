//! The leak finder: a conservative mark-sweep over a snapshot of the stopped process.

mod api;
#[doc(hidden)]
pub mod bench;
pub(crate) mod capture;
pub(crate) mod chunks;
pub(crate) mod depot;
pub(crate) mod faults;
pub(crate) mod glibc;
pub(crate) mod hooks;
pub(crate) mod ignore;
pub(crate) mod lsan_options;
pub(crate) mod own_memory;
pub(crate) mod pattern;
pub(crate) mod peek;
pub(crate) mod roots;
pub(crate) mod scope;
pub(crate) mod snapshot;
pub(crate) mod stop_world;
pub(crate) mod suppress;
mod workers;

pub use api::{Amount, Disabled, RootRegion, Summary, assert_no_leaks, check, ignore, try_check};
