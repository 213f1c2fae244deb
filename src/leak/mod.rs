//! The leak finder.

pub(crate) mod lsan_options;
pub(crate) mod pattern;
pub(crate) mod suppress;
