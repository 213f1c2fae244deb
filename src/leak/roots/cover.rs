//! Ranges of addresses that are not to be scanned, or are scanned another way.

use crate::leak::own_memory::{Buffer, NoMemory};
use crate::leak::stop_world::Range;

/// A set of addresses, as ranges.
pub(super) struct Cover(Buffer<Range>);

impl Cover {
    /// The empty set.
    pub(super) const fn new() -> Self {
        Self(Buffer::new())
    }

    /// Adds a range; [`Self::seal`] must follow before the set is used.
    pub(super) fn add(&mut self, (start, end): Range) -> Result<(), NoMemory> {
        if start < end { self.0.push((start, end)) } else { Ok(()) }
    }

    /// Sorts the ranges and joins those that touch.
    pub(super) fn seal(&mut self) {
        let ranges = self.0.items_mut();
        ranges.sort_unstable();
        let mut kept = 0;
        for i in 1..ranges.len() {
            let (start, end) = ranges[i];
            if start <= ranges[kept].1 {
                ranges[kept].1 = ranges[kept].1.max(end);
            } else {
                kept += 1;
                ranges[kept] = (start, end);
            }
        }
        self.0.truncate(kept + 1);
    }

    /// Whether `at` is in the set.
    pub(super) fn contains(&self, at: usize) -> bool {
        let ranges = self.0.items();
        let after = ranges.partition_point(|&(start, _)| start <= at);
        after.checked_sub(1).and_then(|i| ranges.get(i)).is_some_and(|&(_, end)| at < end)
    }

    /// Calls `each` for the parts of a range that are not in the set, in order.
    pub(super) fn gaps(&self, (mut start, end): Range, each: &mut dyn FnMut(Range)) {
        let ranges = self.0.items();
        let first = ranges.partition_point(|&(_, covered)| covered <= start);
        for &(from, to) in ranges.get(first..).unwrap_or(&[]) {
            if from >= end {
                break;
            }
            if start < from {
                each((start, from));
            }
            start = start.max(to);
        }
        if start < end {
            each((start, end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn gaps_agree_with_single_addresses(
            ranges in prop::collection::vec((0usize..60, 0usize..60), 0..8), start in 0usize..60, end in 0usize..60
        ) {
            let mut cover = Cover::new();
            for &range in &ranges {
                cover.add(range).unwrap();
            }
            cover.seal();
            let covered = |at: usize| ranges.iter().any(|&(s, e)| (s..e).contains(&at));
            for at in 0..70 {
                prop_assert_eq!(cover.contains(at), covered(at));
            }
            let mut open = std::vec![false; 70];
            let mut last = 0;
            cover.gaps((start, end), &mut |(s, e)| {
                assert!(s < e && s >= last, "in order and not empty");
                last = e;
                open[s..e].fill(true);
            });
            for (at, &open) in open.iter().enumerate() {
                prop_assert_eq!(open, (start..end).contains(&at) && !covered(at));
            }
        }
    }
}
