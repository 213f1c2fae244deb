//! Regions that the program itself names as roots.

use crate::leak::chunks::{Chunks, Zeroed};
use crate::leak::own_memory::NoMemory;
use crate::leak::stop_world::Range;
use core::sync::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// A row of the table: a free one has start 0, one that is being filled 1.
struct Row {
    start: AtomicUsize,
    bytes: AtomicUsize,
}

// SAFETY: atomic numbers are zero when their bytes are.
unsafe impl Zeroed for Row {}

const FREE: usize = 0;
const CLAIMED: usize = 1;

static ROWS: Chunks<Row> = Chunks::new();

/// Makes `start .. start + bytes` a root; it may be registered more than once. Takes no lock.
pub(crate) fn register(start: usize, bytes: usize) -> Result<(), NoMemory> {
    for index in 0.. {
        let row = ROWS.get_or_grow(index)?;
        if row.start.compare_exchange(FREE, CLAIMED, Acquire, Relaxed).is_ok() {
            row.bytes.store(bytes, Relaxed);
            row.start.store(start.max(CLAIMED + 1), Release);
            break;
        }
    }
    Ok(())
}

/// Undoes one [`register`] of the same region; `false` if there is none.
pub(crate) fn unregister(start: usize, bytes: usize) -> bool {
    ROWS.iter().any(|row| {
        row.start.load(Acquire) == start.max(CLAIMED + 1)
            && row.bytes.load(Relaxed) == bytes
            && row.start.compare_exchange(start.max(CLAIMED + 1), FREE, AcqRel, Relaxed).is_ok()
    })
}

/// Calls `each` for every region.
pub(super) fn for_each(each: &mut dyn FnMut(Range)) {
    for row in ROWS.iter() {
        let start = row.start.load(Acquire);
        if start > CLAIMED {
            each((start, start.saturating_add(row.bytes.load(Relaxed))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_come_and_go() {
        let count = |at: usize| {
            let mut n = 0;
            for_each(&mut |(start, _)| n += usize::from(start == at));
            n
        };
        for _ in 0..300 {
            register(0xabc0_0000, 16).unwrap();
        }
        assert_eq!(count(0xabc0_0000), 300);
        assert!(!unregister(0xabc0_0000, 8));
        for _ in 0..300 {
            assert!(unregister(0xabc0_0000, 16));
        }
        assert_eq!(count(0xabc0_0000), 0);
        assert!(!unregister(0xabc0_0000, 16));
    }
}
