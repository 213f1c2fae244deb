//! Rules by return address: a hash table of single words.
//!
//! An entry is one atomic word, `tag | rule`, so it can't be read half written, and the tag and the
//! entry's place together are the whole address: the hash is a multiplication by an odd number modulo
//! 2^47, which loses nothing. A hit is therefore always the rule stored for this very address.
//!
//! ```text
//! hash (47 bits)   cache line (13) | slot in the line (3) | rest (31)
//! entry (64 bits)  slot (3) | rest (31) | rule (30)
//! ```
//!
//! An address prefers one slot of its line, so that the common case is one load and one comparison, but
//! may stand in any of the eight.

use super::rule::{BITS as RULE_BITS, Packed};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bits of a program's addresses on x86-64 (kernels give higher ones only to who asks for them).
pub(super) const ADDRESS_BITS: u32 = 47;
/// Log2 of the slots: 512 KiB, of which a program touches what its call sites need.
const SLOT_BITS: u32 = 16;
const SLOTS: usize = 1 << SLOT_BITS;
/// Slots in a cache line.
const LINE_SLOTS: usize = 8;
const LINE_BITS: u32 = SLOT_BITS - LINE_SLOTS.trailing_zeros();
/// Odd, without pattern: the golden ratio's fraction.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

const _: () = assert!(ADDRESS_BITS - LINE_BITS + RULE_BITS == u64::BITS);

/// The table. All zeros is an empty one.
#[repr(C, align(64))]
pub(super) struct Table([AtomicU64; SLOTS]);

/// An address hashed: the upper 47 bits are the hash.
#[derive(Clone, Copy)]
struct Key(u64);

impl Key {
    #[inline(always)]
    fn new(address: usize) -> Self {
        Self((address as u64).wrapping_mul(MULTIPLIER) << (u64::BITS - ADDRESS_BITS))
    }

    #[inline(always)]
    fn slot(self) -> usize {
        (self.0 >> (u64::BITS - SLOT_BITS)) as usize
    }

    /// The entry without its rule.
    #[inline(always)]
    fn tag(self) -> u64 {
        self.0 << LINE_BITS
    }

    /// The rule in `entry` if the entry is this key's.
    #[inline(always)]
    fn rule_in(self, entry: u64) -> Packed {
        let rule = entry ^ self.tag();
        if rule >> RULE_BITS == 0 { Packed(rule) } else { Packed::NONE }
    }
}

impl Table {
    /// The rule for `address` if it stands in its preferred slot; else a word that is no frame's rule, by
    /// what is left of another's tag above the rule's bits.
    #[inline(always)]
    pub(super) fn hit(&self, address: usize) -> Packed {
        let key = Key::new(address);
        // SLOT_BITS bits can't be out of range, which the compiler sees.
        Packed(self.0[key.slot()].load(Relaxed) ^ key.tag())
    }

    /// The rule for `address`, wherever it stands.
    pub(super) fn find(&self, address: usize) -> Packed {
        let key = Key::new(address);
        let rules = self.line(key).iter().map(|slot| key.rule_in(slot.load(Relaxed)));
        rules.into_iter().find(|&rule| rule != Packed::NONE).unwrap_or(Packed::NONE)
    }

    /// Stores a rule: in the preferred slot if it is free, else in a free one of the line, else instead
    /// of the preferred slot's. Two threads may store the same address twice; both entries are right.
    pub(super) fn insert(&self, address: usize, rule: Packed) {
        let key = Key::new(address);
        let preferred = &self.0[key.slot()];
        let free = |slot: &&AtomicU64| slot.load(Relaxed) == 0;
        let slot = Some(preferred).filter(free).or_else(|| self.line(key).iter().find(free));
        slot.unwrap_or(preferred).store(key.tag() | rule.0, Relaxed);
    }

    /// Forgets every rule.
    pub(super) fn clear(&self) {
        self.0.iter().filter(|slot| slot.load(Relaxed) != 0).for_each(|slot| slot.store(0, Relaxed));
    }

    fn line(&self, key: Key) -> &[AtomicU64] {
        let start = key.slot() / LINE_SLOTS * LINE_SLOTS;
        &self.0[start..start + LINE_SLOTS]
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
        let line = |address| Key::new(address).slot() / LINE_SLOTS;
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
                let hit = table.hit(address);
                prop_assert!(!hit.is_frame() || hit == found);
            }
        }
    }
}
