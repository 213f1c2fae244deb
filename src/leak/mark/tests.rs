//! Marking on made-up memory, against a model that thinks of nothing but sets.
//!
//! 1. Every object gets the kind that the module's text gives it, for any objects, pointers, roots, flags and
//!    suppressions, with one worker and with several.
//! 2. Of every ring and every knot that nothing else leads to, exactly one object is definitely lost.
//! 3. Long chains, wide fans and objects that are scanned in parts lose nothing, on one worker or several.

use super::frozen::{Frozen, Hit, Note};
use super::grey::GROUP_OBJECTS;
use super::marker::Marker;
use super::objects::{Color, Objects};
use super::{Groups, classify, suppress};
use crate::leak::stop_world::tests::alone;
use crate::report::Kind;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

const WORD: usize = size_of::<usize>();
/// Where the made-up memory begins.
const BASE: usize = 0x10_0000;

/// An object as it is made up. Its place is a multiple of eight bytes.
#[derive(Clone, Debug)]
struct Made {
    place_words: usize,
    live: bool,
    note: Note,
    words: Vec<Pointer>,
}

/// What a word holds.
#[derive(Clone, Copy, Debug)]
enum Pointer {
    Number(usize),
    Start(usize),
    /// So many bytes behind the start, in the object's place.
    Inside(usize, usize),
}

/// A made-up program: roots first, then the objects, each behind the one before.
struct Fake {
    memory: Vec<u8>,
    /// Start, bytes, whether live, note.
    objects: Vec<(usize, usize, bool, Note)>,
    roots_end: usize,
}

impl Fake {
    fn new(roots: &[Pointer], made: &[Made]) -> Self {
        let roots_end = BASE + roots.len() * WORD;
        let mut objects = Vec::new();
        let mut at = roots_end;
        for object in made {
            let bytes = object.place_words.max(1) * WORD;
            let note = Note { requested: object.note.requested.min(bytes), ..object.note };
            objects.push((at, bytes, object.live, note));
            at += bytes;
        }
        let mut fake = Self { memory: vec![0; at - BASE], objects, roots_end };
        roots.iter().enumerate().for_each(|(i, &root)| fake.write(BASE + i * WORD, root));
        for (i, object) in made.iter().enumerate() {
            for (k, &word) in object.words.iter().take(object.place_words.max(1)).enumerate() {
                fake.write(fake.objects[i].0 + k * WORD, word);
            }
        }
        fake
    }

    fn value(&self, pointer: Pointer) -> usize {
        let of = |i: usize| self.objects[i % self.objects.len()];
        match pointer {
            Pointer::Number(n) => n,
            _ if self.objects.is_empty() => 0,
            Pointer::Start(i) => of(i).0,
            Pointer::Inside(i, offset) => of(i).0 + offset % of(i).1,
        }
    }

    fn write(&mut self, at: usize, pointer: Pointer) {
        let value = self.value(pointer).to_ne_bytes();
        self.memory[at - BASE..at - BASE + WORD].copy_from_slice(&value);
    }

    /// The words of an object that may be pointers.
    fn words_of(&self, i: usize) -> Vec<usize> {
        let (start, _, _, note) = self.objects[i];
        let end = start + if note.noscan { 0 } else { note.requested };
        (start..end.saturating_sub(WORD - 1)).step_by(WORD).map(|at| self.word(at)).collect()
    }
}

impl Frozen for &Fake {
    fn count(&self) -> usize {
        self.objects.len()
    }

    fn find(&self, word: usize) -> Option<Hit> {
        let i = self.objects.partition_point(|object| object.0 <= word).checked_sub(1)?;
        let (start, bytes, ..) = self.objects[i];
        (word < start + bytes).then_some(Hit { number: i as u32, start, bytes })
    }

    fn requested(&self, hit: Hit) -> usize {
        self.objects[hit.number as usize].3.requested
    }

    fn note(&self, hit: Hit) -> Note {
        self.objects[hit.number as usize].3
    }

    fn for_each_run(&self, each: &mut dyn FnMut(Hit, usize)) {
        for (i, &(start, bytes, ..)) in self.objects.iter().enumerate() {
            each(Hit { number: i as u32, start, bytes }, 1);
        }
    }

    fn for_each_of_group(&self, group: usize, bits: u64, mut each: impl FnMut(Hit)) {
        for bit in (0..GROUP_OBJECTS).filter(|bit| bits >> bit & 1 == 1) {
            let number = group * GROUP_OBJECTS + bit;
            let (start, bytes, ..) = self.objects[number];
            each(Hit { number: number as u32, start, bytes });
        }
    }

    fn for_each(&self, each: &mut dyn FnMut(Hit, Note)) {
        for (i, &(start, bytes, live, note)) in self.objects.iter().enumerate() {
            if live {
                each(Hit { number: i as u32, start, bytes }, note);
            }
        }
    }

    fn word(&self, at: usize) -> usize {
        let bytes = at.checked_sub(BASE).and_then(|offset| self.memory.get(offset..offset + WORD));
        bytes.map_or(0, |bytes| usize::from_ne_bytes(bytes.try_into().unwrap()))
    }

    fn for_each_word(&self, start: usize, end: usize, step: usize, mut visit: impl FnMut(usize)) {
        (start..end.saturating_sub(WORD - 1)).step_by(step).for_each(|at| visit(self.word(at)));
    }
}

/// The kind of every live object by the real marker: by number, `None` for suppressed ones.
fn marked(fake: &Fake, workers: usize, step: usize, hidden: &[u32]) -> BTreeMap<usize, Option<Kind>> {
    let objects = Objects::new(fake).unwrap();
    let marker = Marker::new(&objects, step == 1, workers).unwrap();
    marker.mark_from_roots(|feeder| feeder.words(BASE, fake.roots_end));
    suppress(&marker, |stack, _| hidden.contains(&stack));
    let (totals, groups) = classify(&marker, true, true, false, |_, _, _| ());
    assert!(!marker.is_incomplete());
    let (short, lost) = classify(&marker, false, false, false, |_, _, _| ());
    assert_eq!(short, totals, "what is reachable is the rest");
    assert!(lost.keys().eq(groups.keys().filter(|key| key.kind != Kind::Reachable)));
    let mut kinds: BTreeMap<_, _> = live(fake).map(|i| (i, None)).collect();
    add_groups(fake, &groups, &mut kinds);
    for kind in [Kind::Definite, Kind::Indirect, Kind::Possible, Kind::Reachable, Kind::Suppressed] {
        let wanted = if kind == Kind::Suppressed { None } else { Some(kind) };
        let of_kind = || kinds.iter().filter(|(_, found)| **found == wanted);
        assert_eq!(totals.get(kind).blocks, of_kind().count(), "{kind:?}");
        assert_eq!(
            totals.get(kind).bytes,
            of_kind().map(|(&i, _)| fake.objects[i].3.requested).sum::<usize>()
        );
    }
    kinds
}

fn add_groups(fake: &Fake, groups: &Groups, kinds: &mut BTreeMap<usize, Option<Kind>>) {
    for (key, lost) in groups {
        assert_eq!(lost.amount.blocks, lost.objects.len());
        for &(start, bytes) in &lost.objects {
            let number = fake.find_exactly(start);
            assert_eq!((key.stack, bytes), (fake.objects[number].3.stack, fake.objects[number].3.requested));
            assert_eq!(kinds.insert(number, Some(key.kind)), Some(None), "listed once");
        }
    }
}

impl Fake {
    fn find_exactly(&self, start: usize) -> usize {
        self.objects.iter().position(|object| object.0 == start).unwrap()
    }

    fn place(&self, word: usize) -> Option<usize> {
        let found =
            self.objects.iter().position(|&(start, bytes, ..)| (start..start + bytes).contains(&word));
        found.filter(|&i| self.objects[i].2)
    }

    /// Whether `word`, in object `i`, counts as a pointer to its start.
    fn is_strong(&self, i: usize, word: usize) -> bool {
        let (start, _, _, note) = self.objects[i];
        let read = |k: usize| (&self).word(start + k * WORD);
        let bytes = note.requested;
        match word - start {
            0 => true,
            8 if bytes > 8 => read(0) != 0 && (bytes - 8) % read(0) == 0,
            16 if bytes > 16 => [read(0), read(1)].iter().all(|&n| 0 < n && n < 1 << 24),
            24 => read(0) <= read(1) && bytes == read(1).wrapping_add(25),
            _ => false,
        }
    }
}

fn live(fake: &Fake) -> impl Iterator<Item = usize> {
    (0..fake.objects.len()).filter(|&i| fake.objects[i].2)
}

/// All that `from` leads to, itself included, by pointers that `counts`, among what is not in `but`.
fn closure(fake: &Fake, from: &[usize], but: &[bool], strong_only: bool) -> Vec<bool> {
    let mut found = vec![false; fake.objects.len()];
    let mut todo = from.to_vec();
    from.iter().for_each(|&i| found[i] = true);
    while let Some(i) = todo.pop() {
        for word in fake.words_of(i) {
            let to = fake.place(word).filter(|&to| !but[to] && !found[to]);
            if let Some(to) = to.filter(|&to| !strong_only || fake.is_strong(to, word)) {
                found[to] = true;
                todo.push(to);
            }
        }
    }
    found
}

/// The kinds as the module's text has them, from sets.
fn model(fake: &Fake, hidden: &[u32]) -> BTreeMap<usize, Option<Kind>> {
    let n = fake.objects.len();
    let nothing = vec![false; n];
    let roots: Vec<usize> = (BASE..fake.roots_end).step_by(WORD).map(|at| fake.word(at)).collect();
    let mut from: Vec<usize> =
        roots.iter().filter_map(|&word| fake.place(word).filter(|&i| fake.is_strong(i, word))).collect();
    from.extend(live(fake).filter(|&i| fake.objects[i].3.ignored));
    let reachable = closure(fake, &from, &nothing, true);
    // Step 2: what reachable memory points into.
    let seen = roots.into_iter().chain((0..n).filter(|&i| reachable[i]).flat_map(|i| fake.words_of(i)));
    let inside: Vec<usize> = seen.filter_map(|word| fake.place(word)).filter(|&i| !reachable[i]).collect();
    let possible = closure(fake, &inside, &reachable, false);
    // Step 3.
    let is_hidden = |i: &usize| !reachable[*i] && hidden.contains(&fake.objects[*i].3.stack);
    let suppressed: Vec<usize> = live(fake).filter(is_hidden).collect();
    let suppressed = closure(fake, &suppressed, &reachable, false);
    // Step 4: of all that reach each other, the first is definitely lost if nothing else reaches them.
    let gone: Vec<bool> =
        (0..n).map(|i| reachable[i] || possible[i] || suppressed[i] || !fake.objects[i].2).collect();
    let left: Vec<usize> = (0..n).filter(|&i| !gone[i]).collect();
    let reach: BTreeMap<usize, Vec<bool>> =
        left.iter().map(|&i| (i, closure(fake, &[i], &gone, false))).collect();
    let kind = |i: usize| match () {
        () if reachable[i] => Some(Kind::Reachable),
        () if suppressed[i] => None,
        () if possible[i] => Some(Kind::Possible),
        () if left.iter().all(|&j| j == i || !reach[&j][i] || (reach[&i][j] && i < j)) => {
            Some(Kind::Definite)
        }
        () => Some(Kind::Indirect),
    };
    live(fake).map(|i| (i, kind(i))).collect()
}

fn pointers() -> impl Strategy<Value = Pointer> {
    prop_oneof![
        2 => (0usize..50).prop_map(Pointer::Number),
        4 => any::<usize>().prop_map(Pointer::Start),
        2 => (any::<usize>(), 0usize..64).prop_map(|(i, offset)| Pointer::Inside(i, offset)),
        1 => (any::<usize>(), prop_oneof![Just(8usize), Just(24)]).prop_map(|(i, at)| Pointer::Inside(i, at)),
    ]
}

fn objects() -> impl Strategy<Value = Vec<Made>> {
    let flag = |percent: u32| (0u32..100).prop_map(move |n| n < percent);
    let made = (1usize..8, 0usize..64, 0u32..6, flag(90), flag(10), flag(4), vec_of(pointers(), 0..4));
    let made = made.prop_map(|(place_words, requested, stack, live, noscan, ignored, words)| Made {
        place_words,
        live,
        note: Note { requested, stack, noscan, ignored, reported: false },
        words,
    });
    vec_of(made, 0..40)
}

fn vec_of<S: Strategy>(item: S, len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<S::Value>> {
    proptest::collection::vec(item, len)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kinds_are_the_models(
        roots in vec_of(pointers(), 0..6),
        made in objects(),
        hidden in vec_of(0u32..6, 0..3),
        workers in 1usize..4,
    ) {
        let _alone = alone();
        let fake = Fake::new(&roots, &made);
        prop_assert_eq!(marked(&fake, workers, WORD, &hidden), model(&fake, &hidden));
    }
}

/// An object of so many words that is live and was requested whole.
fn whole(words: Vec<Pointer>, place_words: usize) -> Made {
    let note = Note { requested: place_words * WORD, ..Note::default() };
    Made { place_words, live: true, note, words }
}

fn kinds_of(fake: &Fake, workers: usize) -> Vec<Option<Kind>> {
    marked(fake, workers, WORD, &[]).into_values().collect()
}

#[test]
fn a_ring_has_one_definitely_lost_object_and_its_tail_is_indirect() {
    let _alone = alone();
    use Pointer::Start;
    let made = [whole(vec![Start(1)], 1), whole(vec![Start(2)], 1), whole(vec![Start(0), Start(3)], 2)];
    let mut made = made.to_vec();
    made.push(whole(vec![], 1));
    let fake = Fake::new(&[], &made);
    let (definite, indirect) = (Some(Kind::Definite), Some(Kind::Indirect));
    assert_eq!(kinds_of(&fake, 1), [definite, indirect, indirect, indirect]);
}

#[test]
fn one_that_leads_to_an_earlier_one_takes_its_place() {
    let _alone = alone();
    let made = [whole(vec![], 1), whole(vec![Pointer::Start(0)], 1)];
    let fake = Fake::new(&[], &made);
    assert_eq!(kinds_of(&fake, 1), [Some(Kind::Indirect), Some(Kind::Definite)]);
}

#[test]
fn three_pointers_to_the_inside_are_as_good_as_to_the_start() {
    let _alone = alone();
    use Pointer::{Inside, Number};
    let made = [
        // Four elements of eight bytes behind their number.
        whole(vec![Number(4)], 5),
        // The length of the rest.
        whole(vec![Number(32)], 5),
        // An old string of one character with room for 15: length, capacity, count, characters, NUL.
        whole(vec![Number(1), Number(15), Number(0)], 5),
        // Three does not divide 32.
        whole(vec![Number(3)], 5),
        // Not where such pointers point.
        whole(vec![Number(4)], 5),
    ];
    let roots = [Inside(0, 8), Inside(1, 8), Inside(2, 24), Inside(3, 8), Inside(4, 16)];
    let fake = Fake::new(&roots, &made);
    let (reachable, possible) = (Some(Kind::Reachable), Some(Kind::Possible));
    assert_eq!(kinds_of(&fake, 1), [reachable, reachable, reachable, possible, possible]);
}

#[test]
fn exceptions_counted_values_and_hash_tables_are_known_by_what_they_hold() {
    let _alone = alone();
    use Pointer::{Inside, Number};
    let mark = usize::from_le_bytes(*b"\0++CCUNG");
    let exception = |mark| {
        let mut words = vec![Number(0); 20];
        (words[0], words[12]) = (Number(1), Number(mark));
        whole(words, 20)
    };
    // Eight entries of eight bytes; their control bytes, as many empty ones, the first eight again.
    let table = |again| {
        let mut words = vec![Number(7); 8];
        words.extend([Number(0x55), Number(usize::MAX), Number(again)]);
        whole(words, 11)
    };
    let made = [
        exception(mark),
        exception(mark + 1),
        exception(mark + 256),
        whole(vec![Number(3), Number(1), Number(0)], 3),
        whole(vec![Number(0), Number(1), Number(0)], 3),
        table(0x55),
        table(0x56),
    ];
    let roots = [
        Inside(0, 16),
        Inside(1, 128),
        Inside(2, 16),
        Inside(3, 16),
        Inside(4, 16),
        Inside(5, 64),
        Inside(6, 64),
    ];
    let fake = Fake::new(&roots, &made);
    let (reachable, possible) = (Some(Kind::Reachable), Some(Kind::Possible));
    let kinds = kinds_of(&fake, 1);
    assert_eq!(kinds[..5], [reachable, reachable, possible, reachable, possible]);
    if cfg!(target_arch = "x86_64") {
        assert_eq!(kinds[5..], [reachable, possible]);
    }
}

#[test]
fn long_chains_and_wide_fans_are_followed_to_the_end_by_any_number_of_workers() {
    let _alone = alone();
    const CHAIN: usize = 20_000;
    const FAN: usize = 60_000;
    let mut made: Vec<Made> = (0..CHAIN).map(|i| whole(vec![Pointer::Start(i + 1)], 2)).collect();
    // The chain ends in a fan of leaves; every leaf points at the next but one, so workers meet.
    made.push(whole((0..FAN).map(|i| Pointer::Start(CHAIN + 1 + i)).collect(), FAN));
    made.extend((0..FAN).map(|i| whole(vec![Pointer::Start(CHAIN + 1 + (i + 2) % FAN)], 1)));
    assert_all_scanned_once(&Fake::new(&[Pointer::Start(0)], &made));
}

#[test]
fn chains_beside_each_other_are_followed_to_the_end_by_any_number_of_workers() {
    let _alone = alone();
    const OBJECTS: usize = 6_000;
    // Each object leads to one further down its chain and, from the middle on, back to its neighbour; every third has a
    // leaf, and some are large.
    for chains in [1, 2, 3, 5, 40] {
        let mut made = Vec::new();
        for i in 0..OBJECTS {
            let mut words = vec![Pointer::Number(0), Pointer::Start(i + chains)];
            if i + chains >= OBJECTS {
                words[1] = Pointer::Number(0);
            }
            if i % 3 == 0 {
                words.push(Pointer::Start(OBJECTS + i / 3));
            }
            if i > OBJECTS / 2 {
                words[0] = Pointer::Start(i - 1);
            }
            made.push(whole(words, if i % 500 == 7 { 1000 } else { 3 }));
        }
        made.extend((0..OBJECTS / 3).map(|_| whole(vec![], 1)));
        let roots: Vec<_> = (0..chains).map(Pointer::Start).collect();
        assert_all_scanned_once(&Fake::new(&roots, &made));
    }
}

/// All of a program's objects are reachable, and no range is lost or scanned twice.
fn assert_all_scanned_once(fake: &Fake) {
    for workers in [1, 2, 4] {
        let objects = Objects::new(fake).unwrap();
        let marker = Marker::new(&objects, false, workers).unwrap();
        marker.mark_from_roots(|feeder| feeder.words(BASE, fake.roots_end));
        assert!((0..fake.count()).all(|i| objects.color(i as u32) == Color::Reachable), "{workers}");
        assert_eq!(marker.scanned_bytes(), fake.memory.len(), "{workers}");
    }
}

#[test]
fn an_object_scanned_in_parts_is_scanned_whole() {
    let _alone = alone();
    const LEAVES: usize = 64;
    // A pointer at the end of every 8 KiB.
    const BIG_WORDS: usize = LEAVES * 1024;
    for (step, shift) in [(WORD, 0), (1, 0), (1, 4)] {
        let mut made = vec![whole(vec![], BIG_WORDS)];
        made.extend((0..LEAVES).map(|_| whole(vec![], 1)));
        let mut fake = Fake::new(&[Pointer::Start(0)], &made);
        for leaf in 1..=LEAVES {
            fake.write(fake.objects[0].0 + leaf * 1024 * WORD - WORD - shift, Pointer::Start(leaf));
        }
        for workers in [1, 3] {
            let kinds = marked(&fake, workers, step, &[]);
            assert!(kinds.values().all(|&kind| kind == Some(Kind::Reachable)), "{step} {shift}: {kinds:?}");
        }
    }
}

#[test]
fn an_unaligned_pointer_across_two_parts_is_found() {
    let _alone = alone();
    for (i, fake) in across_boundaries().iter().enumerate() {
        let kinds = marked(fake, 1, 1, &[]);
        assert!(kinds.values().all(|&kind| kind == Some(Kind::Reachable)), "{i}: {kinds:?}");
    }
}

/// Programs with a pointer across every 128 KiB of a big object.
fn across_boundaries() -> Vec<Fake> {
    const PART: usize = 128 << 10;
    (1..WORD)
        .map(|back| {
            let mut fake = Fake::new(
                &[Pointer::Start(0)],
                &[whole(vec![], 3 * PART / WORD), whole(vec![], 1), whole(vec![], 1)],
            );
            for part in 1..3 {
                fake.write(fake.objects[0].0 + part * PART - back, Pointer::Start(part));
            }
            fake
        })
        .collect()
}

#[test]
fn words_are_only_what_was_requested() {
    let _alone = alone();
    use Pointer::Start;
    for (requested, kind) in [(16, Kind::Reachable), (15, Kind::Definite), (7, Kind::Definite)] {
        let mut holder = whole(vec![Pointer::Number(0), Start(1)], 2);
        holder.note.requested = requested;
        let fake = Fake::new(&[Start(0)], &[holder, whole(vec![], 1)]);
        assert_eq!(kinds_of(&fake, 1)[1], Some(kind), "{requested}");
    }
}
