//! Addresses, pages and bitmaps: pure arithmetic, no operating system, no global state.

pub(crate) mod addr;
pub(crate) mod bitmap;
pub(crate) mod text;

pub(crate) use addr::{Addr, PAGE_BYTES, PAGE_SHIFT, align_up};
