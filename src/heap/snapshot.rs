//! Filling in the statistics.

use super::size_class::{CLASSES, OBJECT_BYTES, TINY_BLOCK, TINY_BLOCK_BYTES};
use super::{central, large, mcache, pages, tracking};
use crate::base::PAGE_BYTES;
use crate::stats::{ClassStats, Stats};

/// The heap as it is now.
pub(crate) fn snapshot() -> Stats {
    let cached = mcache::cached_objects();
    let class_stats = |class: usize| {
        let counts = central::counts(class);
        let cached_objects = counts.transferred + cached[class];
        ClassStats {
            object_bytes: OBJECT_BYTES[class] as usize,
            objects: counts.objects_out.saturating_sub(cached_objects),
            cached_objects,
            spans: counts.spans,
        }
    };
    let (large_objects, large_bytes) = large::counts();
    let mut by_class: [ClassStats; CLASSES] = core::array::from_fn(class_stats);
    by_class[0] =
        ClassStats { object_bytes: 0, objects: large_objects, cached_objects: 0, spans: large_objects };
    let tiny = class_stats(TINY_BLOCK);
    let bytes = |count: fn(&ClassStats) -> usize| {
        by_class.iter().chain([&tiny]).map(|class| count(class) * class.object_bytes).sum::<usize>()
    };
    let page_stats = pages::stats();
    let in_use = bytes(|class| class.objects) + large_bytes;
    let mapped = page_stats.mapped * PAGE_BYTES;
    let released = page_stats.released * PAGE_BYTES;
    Stats {
        cache_mode: mcache::mode(),
        tracked: mcache::is_tracked(),
        caches: mcache::slab_count(),
        heap_in_use: in_use,
        heap_idle: mapped.saturating_sub(in_use + released),
        heap_released: released,
        heap_mapped: mapped,
        cached: bytes(|class| class.cached_objects),
        cached_runs: large::waiting_bytes(),
        metadata: pages::metadata_bytes() + mcache::metadata_bytes() + tracking::bytes(),
        heap_objects: by_class.iter().map(|class| class.objects).sum::<usize>() + tiny.objects,
        released_total: page_stats.released_total * PAGE_BYTES,
        refaulted_total: page_stats.refaulted_total * PAGE_BYTES,
        limit_failures: page_stats.limit_failures,
        tiny_blocks: tiny.objects,
        by_class,
    }
}

const _: () = assert!(CLASSES == crate::stats::CLASSES && TINY_BLOCK_BYTES == 16);
