//! The whole-heap check: walks everything and verifies every invariant. For tests.
//!
//! - every page's entry agrees with the record of its span;
//! - a span's count of free objects agrees with its bits;
//! - every object in a cache or a transfer cache is out, of the right class, and there only once;
//! - the page heap's bitmaps, summaries and counters agree (its own check).
//!
//! The caller makes sure that no other thread allocates.

use super::mcache;
use super::page_map::{self, PageId};
use super::size_class::{LARGE_PAGES, TINY_BLOCK, TINY_PAGES, is_object_start, object_index};
use super::span::{self, Span, State};
use super::{central, pages};
use crate::base::Addr;

/// Ends the process if an invariant does not hold.
pub(crate) fn check() {
    pages::for_each_span(check_span);
    mcache::for_each_slab_stopped(check_cached);
    for class in 1..=TINY_BLOCK {
        central::for_each_transferred(class, |object| check_cached(class, object));
    }
    pages::check();
}

fn check_span(span: &'static Span) {
    for place in 0..span.pages() {
        let entry = page_map::entry_of(PageId(span.page().0 + place as u32));
        assert!(
            entry.class() == span.class() && entry.place() == place,
            "page map against span {:?}",
            span.base()
        );
    }
    if span.state() == State::Small {
        // SAFETY: no other thread allocates, by the caller's promise.
        let (out, free) = unsafe { (span.count_out(), span.guarded().free_objects as usize) };
        assert_eq!(out + free, span.objects(), "bits against count in span {:?}", span.base());
    } else {
        assert_eq!(span.class(), LARGE_PAGES);
    }
}

fn check_cached(class: usize, object: Addr) {
    let entry = page_map::entry(object);
    let offset = entry.span_offset(object);
    if class == TINY_BLOCK {
        assert_eq!(entry.class(), TINY_PAGES, "tiny block {object}");
    } else {
        assert!(
            entry.class() == class && is_object_start(class, offset),
            "cached object {object} of class {class}"
        );
    }
    let Some(span) = span::containing(object) else { panic!("cached object {object} in no span") };
    // SAFETY: no other thread allocates, by the caller's promise.
    assert!(unsafe { span.is_out(object_index(entry.class(), offset)) }, "cached object {object} is not out");
}
