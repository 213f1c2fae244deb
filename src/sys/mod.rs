//! What the kernel and libc give: mappings, restartable sequences, threads, time, files of /proc.
//!
//! System calls are made directly, not through libc: they leave errno alone, they need no relocated
//! symbol (the dynamic linker may call malloc before this library is relocated), and the leak
//! checker's child may make them while other threads held any lock of libc.

pub(crate) mod auxv;
#[cfg(feature = "leak")]
pub(crate) mod clone;
pub(crate) mod cpu;
#[cfg(feature = "leak")]
pub(crate) mod directory;
pub(crate) mod file;
pub(crate) mod futex;
pub(crate) mod kernel;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod message;
pub(crate) mod probe;
#[cfg(feature = "leak")]
pub(crate) mod proc_maps;
pub(crate) mod rseq;
#[cfg(feature = "leak")]
pub(crate) mod signal;
pub(crate) mod syscall;
pub(crate) mod thread;
pub(crate) mod time;
pub(crate) mod write_guard;
