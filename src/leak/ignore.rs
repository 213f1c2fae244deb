//! Single objects that are not to be reported.

use crate::base::Addr;
use crate::heap::{
    page_map, size_class, span,
    tracking::{self, Record},
};

/// What became of a request to ignore an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ignored {
    /// It is ignored from now on.
    Now,
    /// It was before.
    Already,
    /// There is no object, or objects are not tracked.
    NotAnObject,
}

/// Takes the object around `addr`, its beginning or any byte inside, out of all leak reports, and with it
/// what only it holds. Freeing it ends that.
pub(crate) fn object(addr: Addr) -> Ignored {
    match record_around(addr) {
        Some(record) if record.is_live() => {
            if record.has(tracking::IGNORED) {
                return Ignored::Already;
            }
            record.add(tracking::IGNORED);
            Ignored::Now
        }
        _ => Ignored::NotAnObject,
    }
}

/// The record of the slot that `addr` lies in, if it lies in a span with records.
fn record_around(addr: Addr) -> Option<&'static Record> {
    let span = span::containing(addr)?;
    let offset = addr.0.checked_sub(span.base().0)?;
    let class = page_map::entry(addr).class();
    let index = if span.objects() == 1 { 0 } else { size_class::object_index(class, offset) };
    tracking::record(span, index)
}
