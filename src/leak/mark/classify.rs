//! What is lost, and in which way: the passes after marking from the roots, and the sums by stack.

use super::frozen::{Frozen, Hit, Note};
use super::marker::{Marker, Pass};
use super::objects::Color;
use crate::report::{Amount, Kind, Totals};
use alloc::{collections::BTreeMap, vec::Vec};

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
fn mark_possible<F: Frozen>(marker: &Marker<'_, F>) {
    let objects = marker.objects();
    if objects.any_is_ignored() {
        marker.mark_from_roots(|feeder| {
            objects.for_each_of(&[Color::White, Color::InsideOnly], |hit| {
                if objects.is_ignored(hit.number) {
                    feeder.object(hit.start);
                }
            });
        });
    }
    marker.run(Pass::FROM_POSSIBLE, |feeder| {
        objects.for_each_of(&[Color::InsideOnly], |hit| {
            objects.repaint(hit.number, Color::Possible);
            feeder.hit(hit);
        });
    });
}

/// Hides lost objects whose stack `is_hidden`, and all lost ones that they lead to: step 3. `is_hidden` gets the
/// stack and how much of it is lost.
pub(crate) fn suppress<F: Frozen>(marker: &Marker<'_, F>, mut is_hidden: impl FnMut(u32, Amount) -> bool) {
    const LOST: [Color; 2] = [Color::White, Color::Possible];
    mark_possible(marker);
    let objects = marker.objects();
    let mut lost: BTreeMap<u32, (Amount, bool)> = BTreeMap::new();
    objects.for_each_of(&LOST, |hit| {
        let note = objects.frozen().note(hit);
        let entry = lost.entry(note.stack).or_default();
        entry.0 = entry.0.plus(amount_of(note));
    });
    let mut any = false;
    for (&stack, (amount, hidden)) in &mut lost {
        *hidden = is_hidden(stack, *amount);
        any |= *hidden;
    }
    if !any {
        return;
    }
    objects.for_each_of(&[Color::Possible], |hit| marker.forget(hit));
    marker.run(Pass::FROM_SUPPRESSED, |feeder| {
        objects.for_each_of(&LOST, |hit| {
            if lost.get(&objects.frozen().note(hit).stack).is_some_and(|entry| entry.1) {
                objects.repaint(hit.number, Color::Suppressed);
                feeder.hit(hit);
            }
        });
    });
}

fn amount_of(note: Note) -> Amount {
    Amount { bytes: note.requested, blocks: 1 }
}

/// Finds out which of the unreached objects are definitely and which indirectly lost (step 4), and sums up
/// everything by stack and kind, what was reported before left out if `only_new`. `each_lost` gets every object that is
/// lost in any way.
pub(crate) fn classify<F: Frozen>(
    marker: &Marker<'_, F>,
    list_objects: bool,
    list_reachable: bool,
    only_new: bool,
    mut each_lost: impl FnMut(usize, Kind, Amount),
) -> (Totals, Groups) {
    use Color::{Definite, Indirect, InsideOnly, Possible, Suppressed, White};
    const UNREACHED: [Color; 6] = [White, InsideOnly, Possible, Suppressed, Indirect, Definite];
    find_leaders(marker);
    let objects = marker.objects();
    let (mut totals, mut groups, mut rest) = (Totals::NONE, Groups::new(), objects.live());
    let mut add = |hit: Hit, note| {
        rest = rest.minus(amount_of(note));
        let kind = kind_of(objects.color(hit.number));
        if kind.is_lost() {
            each_lost(hit.start, kind, amount_of(note));
            if only_new && note.reported {
                return;
            }
        }
        totals.add(kind, amount_of(note));
        let is_listed = kind.is_lost() || (list_reachable && kind == Kind::Reachable);
        if !is_listed {
            return;
        }
        let group = groups.entry(GroupKey { stack: note.stack, kind }).or_default();
        group.amount = group.amount.plus(amount_of(note));
        if list_objects {
            group.objects.push((hit.start, note.requested));
        }
    };
    if list_reachable {
        objects.frozen().for_each(&mut add);
    } else {
        objects.for_each_of(&UNREACHED, |hit| add(hit, objects.frozen().note(hit)));
        totals.add(Kind::Reachable, rest);
    }
    (totals, groups)
}

/// No object has this colour any more when leaders are looked for: it stands for "met by an earlier one".
const MET: Color = Color::InsideOnly;

/// Paints what is still white: definitely lost is one object of every ring, or knot of rings, that nothing
/// else leads to, and the rest is indirectly lost.
///
/// First each object in the order of addresses, unless one before has led to it, becomes a leader. None leads
/// to a later one, but a later one may lead to it. So then, backwards, a leader that one behind it leads to
/// is none. Every object is followed twice, however the pointers run.
fn find_leaders<F: Frozen>(marker: &Marker<'_, F>) {
    let objects = marker.objects();
    let (mut leaders, mut stack) = (Vec::new(), Vec::new());
    objects.for_each_of(&[Color::White], |hit| {
        objects.repaint(hit.number, MET);
        leaders.push(hit);
        repaint_all_behind(marker, hit, (Color::White, MET), &mut stack);
    });
    for leader in leaders.into_iter().rev().filter(|leader| objects.color(leader.number) == MET) {
        objects.repaint(leader.number, Color::Definite);
        repaint_all_behind(marker, leader, (MET, Color::Indirect), &mut stack);
    }
}

/// Repaints what an object leads to from one colour to another, as far as objects have the first.
fn repaint_all_behind<F: Frozen>(
    marker: &Marker<'_, F>,
    first: Hit,
    (from, to): (Color, Color),
    stack: &mut Vec<Hit>,
) {
    let objects = marker.objects();
    stack.push(first);
    while let Some(hit) = stack.pop() {
        if !objects.is_scanned(hit.number) {
            continue;
        }
        marker.for_each_word_of(hit, |word| {
            if let Some(found) = objects.frozen().find(word).filter(|hit| objects.color(hit.number) == from) {
                objects.repaint(found.number, to);
                stack.push(found);
            }
        });
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
