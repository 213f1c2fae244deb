//! The programs of `c-tests`, each run under the library in three modes.
//!
//! Every program is a module here with one test per mode. What a program expects stands in its own
//! header; [`directives`] lists what can stand there.

#[path = "../common/mod.rs"]
mod common;
mod compile;
mod directives;
mod launch;
mod mode;
mod programs;
mod reports;
mod rust;

pub(crate) use mode::{Mode, run};
