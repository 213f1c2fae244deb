//! The leak finder: a conservative mark-sweep over a snapshot of the stopped process.

pub mod bench;
pub(crate) mod capture;
pub(crate) mod chunks;
pub(crate) mod depot;
pub(crate) mod faults;
pub(crate) mod glibc;
pub(crate) mod lsan_options;
pub(crate) mod own_memory;
pub(crate) mod pattern;
pub(crate) mod peek;
pub(crate) mod roots;
pub(crate) mod snapshot;
pub(crate) mod stop_world;
pub(crate) mod suppress;
mod workers;
