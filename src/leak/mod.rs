//! The leak finder: a conservative mark-sweep over a snapshot of the stopped process.

pub(crate) mod chunks;
pub(crate) mod glibc;
pub(crate) mod own_memory;
pub(crate) mod peek;
pub(crate) mod roots;
pub(crate) mod snapshot;
pub(crate) mod stop_world;
