//! The leak finder: what allocated an object, and which objects nothing reaches any more.

pub mod bench;
pub(crate) mod capture;
pub(crate) mod depot;
pub(crate) mod lsan_options;
pub(crate) mod pattern;
pub(crate) mod suppress;
