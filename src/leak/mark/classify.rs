//! What is lost, and in which way: the passes after marking from the roots, and the sums by stack.

use super::objects::{Color, Hit};
use super::worker::{Marker, Pass};
use crate::heap::tracking::{self, Record};
use crate::report::{Amount, Kind, Totals};
use alloc::{collections::BTreeMap, vec::Vec};
use core::sync::atomic::Ordering::Relaxed;

/// Objects of one kind from one stack.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct GroupKey {
    /// The stack's number in the depot.
    pub(crate) stack: u32,
    /// The kind.
    pub(crate) kind: Kind,
}

/// What a group holds.
#[derive(Default)]
pub(crate) struct Lost {
    /// How much.
    pub(crate) amount: Amount,
    /// Address and bytes of each object, if asked for.
    pub(crate) objects: Vec<(usize, usize)>,
}

/// The groups of a check.
pub(crate) type Groups = BTreeMap<GroupKey, Lost>;

/// Marks from what only pointers to the inside lead to: step 2 of the module's text. Objects that the
/// program asked not to report are marked as if reachable, with all they lead to.
fn mark_possible(marker: &Marker<'_>) {
    marker.mark_from_roots(|feeder| {
        marker.objects().for_each(|hit, _| {
            if marker.objects().is_ignored(hit.number)
                && marker.objects().color(hit.number) < Color::Reachable
            {
                feeder.object(hit.start);
            }
        });
    });
    marker.run(Pass::FROM_POSSIBLE, |feeder| {
        marker.objects().for_each(|hit, _| {
            if marker.objects().color(hit.number) == Color::InsideOnly {
                marker.objects().repaint(hit.number, Color::Possible);
                feeder.hit(hit);
            }
        });
    });
}

/// Hides lost objects whose stack `is_hidden`, and what only they lead to: step 3. `is_hidden` gets the
/// stack and how much of it is lost.
pub(crate) fn suppress(marker: &Marker<'_>, mut is_hidden: impl FnMut(u32, Amount) -> bool) {
    mark_possible(marker);
    let mut lost: BTreeMap<u32, (Amount, bool)> = BTreeMap::new();
    let is_lost = |hit: Hit| matches!(marker.objects().color(hit.number), Color::White | Color::Possible);
    marker.objects().for_each(|hit, record| {
        if is_lost(hit) {
            let entry = lost.entry(record.stack.load(Relaxed)).or_default();
            entry.0 = entry.0.plus(amount_of(record));
        }
    });
    let mut any = false;
    for (&stack, (amount, hidden)) in &mut lost {
        *hidden = is_hidden(stack, *amount);
        any |= *hidden;
    }
    if !any {
        return;
    }
    marker.run(Pass::FROM_SUPPRESSED, |feeder| {
        marker.objects().for_each(|hit, record| {
            let hidden = lost.get(&record.stack.load(Relaxed)).is_some_and(|entry| entry.1);
            if hidden && is_lost(hit) {
                marker.objects().repaint(hit.number, Color::Suppressed);
                feeder.hit(hit);
            }
        });
    });
}

fn amount_of(record: &Record) -> Amount {
    Amount { bytes: record.requested(), blocks: 1 }
}

/// Finds out which of the unreached objects are definitely and which indirectly lost (step 4), and sums up
/// everything by stack and kind. `each_lost` gets every object that is lost in any way.
pub(crate) fn classify(
    marker: &Marker<'_>,
    list_objects: bool,
    list_reachable: bool,
    only_new: bool,
    mut each_lost: impl FnMut(usize, Kind),
) -> (Totals, Groups) {
    let objects = marker.objects();
    let mut stack = Vec::new();
    objects.for_each(|hit, _| {
        if objects.color(hit.number) == Color::White {
            objects.repaint(hit.number, Color::Definite);
            paint_clique(marker, hit, &mut stack);
        }
    });
    let (mut totals, mut groups) = (Totals::NONE, Groups::new());
    objects.for_each(|hit, record| {
        let kind = kind_of(objects.color(hit.number));
        if kind.is_lost() {
            each_lost(hit.start, kind);
            if only_new && record.has(tracking::REPORTED) {
                return;
            }
        }
        totals.add(kind, amount_of(record));
        if !kind.is_lost() && !(list_reachable && kind == Kind::Reachable) {
            return;
        }
        let group = groups.entry(GroupKey { stack: record.stack.load(Relaxed), kind }).or_default();
        group.amount = group.amount.plus(amount_of(record));
        if list_objects {
            group.objects.push((hit.start, record.requested()));
        }
    });
    (totals, groups)
}

/// Paints all that a definitely lost object leads to.
fn paint_clique(marker: &Marker<'_>, leader: Hit, stack: &mut Vec<Hit>) {
    let objects = marker.objects();
    stack.push(leader);
    while let Some(hit) = stack.pop() {
        if !objects.is_scanned(hit.number) {
            continue;
        }
        let (start, end) = objects.extent(hit);
        for at in (start..end.saturating_sub(size_of::<usize>() - 1)).step_by(size_of::<usize>()) {
            let word = marker.word(at);
            let Some(found) = objects.find(word).filter(|found| found.number != leader.number) else {
                continue;
            };
            match objects.color(found.number) {
                // Met before, as the leader of its own clique: what it leads to is painted already.
                Color::Definite => objects.repaint(found.number, Color::Indirect),
                Color::White => {
                    objects.repaint(found.number, Color::Indirect);
                    stack.push(found);
                }
                _ => {}
            }
        }
    }
}

fn kind_of(color: Color) -> Kind {
    match color {
        Color::Definite | Color::White => Kind::Definite,
        Color::Indirect => Kind::Indirect,
        Color::Possible | Color::InsideOnly => Kind::Possible,
        Color::Suppressed => Kind::Suppressed,
        Color::Reachable | Color::Free => Kind::Reachable,
    }
}

const _: () = assert!(tracking::RECORD_BYTES == 16);
