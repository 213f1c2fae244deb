//! Rules by return address: a hash table, and in it the chain of callers.
//!
//! The first word of an entry is `tag | rule`: one atomic word, so it can't be read half written. The tag
//! and the entry's place together are the whole address: the hash is a multiplication by an odd number
//! modulo 2^47, which loses nothing. What is found by hash is therefore the rule for this very address.
//!
//! ```text
//! hash (47 bits)   cache line (14) | slot in the line (2) | rest (31)
//! entry            0 | slot (2) | rest (31) | rule (30)      where the caller was last seen
//! ```
//!
//! An address prefers one slot of its line, so that the common case is one load and one comparison, but
//! may stand in any of the four.
//!
//! Going from a return address to its hash to its entry to the next return address takes some twenty
//! cycles, because each step waits for the one before. So the second word predicts the place of the
//! caller's entry, and a walk that is rarely wrong about it follows these words at a load each, while the
//! comparison with the address on the stack runs beside. A prediction is confirmed by the tag alone,
//! which addresses 8 GiB apart share; whoever needs certainty looks up by hash.

use super::rule::{BITS as RULE_BITS, Packed};
use crate::leak::depot::Hasher;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bits of a program's addresses on x86-64 (kernels give higher ones only to who asks for them).
pub(super) const ADDRESS_BITS: u32 = 47;
/// Log2 of the slots: 1 MiB, of which a program touches what its call sites need.
const SLOT_BITS: u32 = 16;
const SLOTS: usize = 1 << SLOT_BITS;
/// Words of an entry.
const ENTRY_WORDS: usize = 2;
/// Slots in a cache line.
const LINE_SLOTS: usize = 64 / (ENTRY_WORDS * size_of::<u64>());
const LINE_BITS: u32 = SLOT_BITS - LINE_SLOTS.trailing_zeros();
const _: () = assert!(ADDRESS_BITS - LINE_BITS + RULE_BITS <= u64::BITS);

/// The table. All zeros is an empty one. Even words are `tag | rule`, odd ones predictions.
#[repr(C, align(64))]
pub(super) struct Table([AtomicU64; SLOTS * ENTRY_WORDS]);

/// Where an entry stands: the index of its first word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place(usize);

impl Place {
    /// The mask keeps the index within the table, which spares the compiler a check.
    #[inline(always)]
    fn index(self) -> usize {
        self.0 & ((SLOTS - 1) * ENTRY_WORDS)
    }
}

/// An address hashed. The hash is the lowest 47 bits of a product.
#[derive(Clone, Copy)]
pub(super) struct Key(u64);

impl Key {
    /// Hashes an address.
    #[inline(always)]
    pub(super) fn new(address: usize) -> Self {
        Self((address as u64).wrapping_mul(Hasher::MULTIPLIER))
    }

    /// The slot that the address prefers.
    #[inline(always)]
    pub(super) fn place(self) -> Place {
        Place((self.0 >> (ADDRESS_BITS - SLOT_BITS)) as usize % SLOTS * ENTRY_WORDS)
    }

    /// The entry without its rule.
    #[inline(always)]
    fn tag(self) -> u64 {
        self.0 << (u64::BITS - ADDRESS_BITS + LINE_BITS)
    }

    /// The rule in `word` if the entry is this key's.
    fn rule_in(self, word: u64) -> Packed {
        let rule = word ^ self.tag();
        if rule >> RULE_BITS == 0 { Packed(rule) } else { Packed::NONE }
    }

    /// The four slots where the entry may stand, the preferred one first.
    fn line(self) -> impl Iterator<Item = Place> {
        const LINE_WORDS: usize = LINE_SLOTS * ENTRY_WORDS;
        let Place(preferred) = self.place();
        let (start, first) = (preferred / LINE_WORDS * LINE_WORDS, preferred % LINE_WORDS);
        (0..LINE_SLOTS).map(move |i| Place(start + (first + i * ENTRY_WORDS) % LINE_WORDS))
    }
}

/// An entry's first word.
#[derive(Clone, Copy)]
pub(super) struct Entry(u64);

impl Entry {
    /// The entry's rule, if the entry is that of `key`; else a word that is no frame's rule, by what is
    /// left of another's tag above the rule's bits.
    #[inline(always)]
    pub(super) fn rule_for(self, key: Key) -> Packed {
        Packed(self.0 ^ key.tag())
    }

    /// The entry's rule, whoever's it is, with the tag above. Known earlier than [`Self::rule_for`].
    #[inline(always)]
    pub(super) fn rule(self) -> Packed {
        Packed(self.0)
    }
}

impl Table {
    /// The entry at `place`.
    #[inline(always)]
    pub(super) fn entry(&self, place: Place) -> Entry {
        Entry(self.word(place).load(Relaxed))
    }

    /// Where the entry for `address` stands, if it has one.
    pub(super) fn locate(&self, address: usize) -> Option<Place> {
        let key = Key::new(address);
        key.line().find(|&place| key.rule_in(self.word(place).load(Relaxed)) != Packed::NONE)
    }

    /// The rule for `address`.
    pub(super) fn find(&self, address: usize) -> Packed {
        let key = Key::new(address);
        self.locate(address).map_or(Packed::NONE, |place| key.rule_in(self.word(place).load(Relaxed)))
    }

    /// Stores a rule: in a free slot, the preferred one if it is free, else instead of the preferred
    /// slot's. Two threads may store the same address twice; both entries are right.
    pub(super) fn insert(&self, address: usize, rule: Packed) {
        let key = Key::new(address);
        let free = key.line().find(|&place| self.word(place).load(Relaxed) == 0);
        self.word(free.unwrap_or(key.place())).store(key.tag() | rule.0, Relaxed);
    }

    /// Where the caller's entry is predicted to stand.
    #[inline(always)]
    pub(super) fn predicted(&self, place: Place) -> Place {
        Place(self.0[place.index() + 1].load(Relaxed) as usize)
    }

    /// Whether a caller was ever predicted at `place`.
    pub(super) fn has_prediction(&self, place: Place) -> bool {
        self.predicted(place) != Place(0)
    }

    /// Predicts `caller` for the next walk that comes by `place`.
    pub(super) fn predict(&self, place: Place, caller: Place) {
        self.0[place.index() + 1].store(caller.0 as u64, Relaxed);
    }

    /// Forgets every rule. Predictions stay: a wrong one only costs time.
    pub(super) fn clear(&self) {
        let words = self.0.iter().step_by(ENTRY_WORDS);
        words.filter(|word| word.load(Relaxed) != 0).for_each(|word| word.store(0, Relaxed));
    }

    #[inline(always)]
    fn word(&self, place: Place) -> &AtomicU64 {
        &self.0[place.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::{Base, Rule};
    use super::*;
    use proptest::prelude::*;
    use std::{boxed::Box, collections::HashMap, vec::Vec};

    fn empty() -> Box<Table> {
        // SAFETY: all zeros is an empty table.
        unsafe { Box::new_zeroed().assume_init() }
    }

    fn rule(cfa: u32) -> Packed {
        Packed::new(Rule::Frame { base: Base::Sp, cfa: cfa * 8, bp_below: 0 })
    }

    /// Addresses that share the cache line of `address`, `address` first.
    fn neighbours(address: usize, count: usize) -> Vec<usize> {
        let line = |address| Key::new(address).place().0 / (LINE_SLOTS * ENTRY_WORDS);
        (address..).filter(|&other| line(other) == line(address)).take(count).collect()
    }

    #[test]
    fn a_full_line_still_takes_the_newest() {
        let table = empty();
        let addresses = neighbours(0x7f12_3456_7890, LINE_SLOTS + 1);
        for (i, &address) in addresses.iter().enumerate() {
            table.insert(address, rule(i as u32));
            assert_eq!(table.find(address), rule(i as u32));
        }
        let kept = addresses.iter().filter(|&&a| table.find(a) != Packed::NONE).count();
        assert_eq!(kept, LINE_SLOTS);
        table.clear();
        assert!(addresses.iter().all(|&a| table.find(a) == Packed::NONE));
    }

    proptest! {
        /// Whatever the table says was stored for that address, last.
        #[test]
        fn never_answers_for_another_address(inserts in prop::collection::vec((0usize..1 << ADDRESS_BITS, 0u32..1000), 1..300), others in prop::collection::vec(0usize..1 << ADDRESS_BITS, 1..100)) {
            let table = empty();
            let mut model = HashMap::new();
            for &(address, cfa) in &inserts {
                if model.contains_key(&address) { continue }
                table.insert(address, rule(cfa));
                model.insert(address, rule(cfa));
                prop_assert_eq!(table.find(address), rule(cfa));
            }
            for address in others.into_iter().chain(inserts.iter().map(|i| i.0 ^ 1)) {
                let found = table.find(address);
                prop_assert!(found == Packed::NONE || Some(&found) == model.get(&address));
                let key = Key::new(address);
                let hit = table.entry(key.place()).rule_for(key);
                prop_assert!(!hit.is_frame() || hit == found);
            }
        }
    }
}
