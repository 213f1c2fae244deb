//! The heap: Go's layers from the size class down to the operating system.

pub(crate) mod address_space;
pub(crate) mod page_heap;
