//! How to step from a frame to its caller, packed into 30 bits.

/// How to find the caller's frame. Offsets are in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rule {
    /// The canonical frame address (CFA) is `base + cfa`, the return address lies just below it, and the
    /// caller's frame pointer `bp_below` bytes below it (0: the register still holds it). Nearly every
    /// frame of every program.
    Frame { base: Base, cfa: u32, bp_below: u32 },
    /// The CFA is stored at frame pointer + `offset`, the caller's frame pointer where the frame pointer
    /// points: how compilers describe a function that realigned its stack.
    Realigned { offset: i32 },
    /// The outermost frame of a thread or coroutine.
    Outermost,
    /// The kernel's signal trampoline: the interrupted registers lie at the stack pointer.
    Signal,
    /// Anything else that call frame information can say; evaluated anew each time.
    Complex,
    /// Code without call frame information.
    Unknown,
}

/// The register that a CFA is counted from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Base {
    /// The stack pointer.
    Sp,
    /// The frame pointer.
    Bp,
}

/// A [`Rule`] in the lowest [`BITS`] bits; 0 is no rule.
///
/// ```text
/// bits 0..2    1 frame on sp, 2 frame on bp, 3 others
/// frames:      bits 2..19 CFA offset / 8, bits 19..30 bp_below / 8
/// others:      bits 2..5 which, bits 5..30 offset, biased
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(super) struct Packed(pub(super) u64);

/// Bits of a packed rule.
pub(super) const BITS: u32 = 30;

const KIND_SP: u64 = 1;
const KIND_BP: u64 = 2;
const KIND_OTHER: u64 = 3;
const KIND_BITS: u32 = 2;
const CFA_BITS: u32 = 17;
const BELOW_SHIFT: u32 = KIND_BITS + CFA_BITS;
const WHICH_SHIFT: u32 = KIND_BITS;
const OFFSET_SHIFT: u32 = 5;
/// Added to a signed offset so that it is stored without a sign.
const OFFSET_BIAS: i32 = 1 << (BITS - OFFSET_SHIFT - 1);
/// Stack slots and frames are multiples of this.
const SLOT_BYTES: u32 = 8;

/// Of a frame of [`Packed::FRAME_POINTER`]: bytes from its frame pointer to the CFA, and, which is the same, from the
/// place of its caller's frame pointer to the CFA.
pub(super) const FRAME_POINTER_CFA: usize = 16;

const _: () = assert!(BELOW_SHIFT < BITS && KIND_SP != 0);

impl Packed {
    /// No rule.
    pub(super) const NONE: Self = Self(0);
    /// The rule of a frame with a frame pointer, behind its prologue: the caller's frame pointer where the frame
    /// pointer points, the return address above.
    pub(super) const FRAME_POINTER: Self = {
        const SLOTS: u64 = FRAME_POINTER_CFA as u64 / SLOT_BYTES as u64;
        Self(KIND_BP | SLOTS << KIND_BITS | SLOTS << BELOW_SHIFT)
    };

    /// Packs a rule; one whose numbers are too large or odd is called [`Rule::Complex`].
    pub(super) fn new(rule: Rule) -> Self {
        let other = |which: u64, rest: u64| Self(KIND_OTHER | which << WHICH_SHIFT | rest << OFFSET_SHIFT);
        match rule {
            Rule::Frame { base, cfa, bp_below } if is_plain(cfa, bp_below) => {
                let kind = if base == Base::Sp { KIND_SP } else { KIND_BP };
                let (cfa, below) = (u64::from(cfa / SLOT_BYTES), u64::from(bp_below / SLOT_BYTES));
                Self(kind | cfa << KIND_BITS | below << BELOW_SHIFT)
            }
            Rule::Realigned { offset } if (-OFFSET_BIAS..OFFSET_BIAS).contains(&offset) => {
                other(1, (offset + OFFSET_BIAS) as u64)
            }
            Rule::Outermost => other(2, 0),
            Rule::Signal => other(3, 0),
            Rule::Unknown => other(4, 0),
            Rule::Complex | Rule::Frame { .. } | Rule::Realigned { .. } => other(5, 0),
        }
    }

    /// The rule, or `None` for [`Self::NONE`].
    pub(super) fn unpack(self) -> Option<Rule> {
        if self.is_frame() {
            let base = if self.is_frame_on(Base::Sp) { Base::Sp } else { Base::Bp };
            return Some(Rule::Frame { base, cfa: self.cfa() as u32, bp_below: self.bp_below() as u32 });
        }
        if self == Self::NONE {
            return None;
        }
        let offset = (self.0 >> OFFSET_SHIFT) as i32 - OFFSET_BIAS;
        Some(match self.0 >> WHICH_SHIFT & 7 {
            1 => Rule::Realigned { offset },
            2 => Rule::Outermost,
            3 => Rule::Signal,
            4 => Rule::Unknown,
            _ => Rule::Complex,
        })
    }

    /// Whether it is a [`Rule::Frame`] and nothing stands above its bits; the last three are only for
    /// those, and look at nothing above.
    #[inline(always)]
    pub(super) fn is_frame(self) -> bool {
        self.is_frame_on(Base::Sp) || self.is_frame_on(Base::Bp)
    }

    /// As [`Self::is_frame`], with the CFA counted from `base`.
    #[inline(always)]
    pub(super) fn is_frame_on(self, base: Base) -> bool {
        const KIND_AND_ABOVE: u64 = 3 | !((1 << BITS) - 1);
        self.0 & KIND_AND_ABOVE == if base == Base::Sp { KIND_SP } else { KIND_BP }
    }

    /// For a frame: whether the CFA is counted from the stack pointer. Looks at one bit.
    #[inline(always)]
    pub(super) fn is_on_sp(self) -> bool {
        const { assert!(KIND_SP & 1 == 1 && KIND_BP & 1 == 0) };
        self.0 & 1 == 1
    }

    /// Bytes from the base to the CFA.
    #[inline(always)]
    pub(super) fn cfa(self) -> usize {
        // One shift and mask give bytes, because a slot's three zero bits stand above the two of the kind.
        (self.0 << 1) as usize & (((1 << CFA_BITS) - 1) << 3)
    }

    /// Bytes from the saved frame pointer up to the CFA, 0 if it was not saved.
    #[inline(always)]
    pub(super) fn bp_below(self) -> usize {
        // As above: a shift to where the slots' zero bits are cut off.
        (self.0 >> (BELOW_SHIFT - 3)) as usize & (((1 << (BITS - BELOW_SHIFT)) - 1) << 3)
    }
}

/// Whether a frame's numbers fit, and a walk can rely on both slots lying between the base and the CFA.
fn is_plain(cfa: u32, bp_below: u32) -> bool {
    fits(cfa, CFA_BITS) && fits(bp_below, BITS - BELOW_SHIFT) && cfa >= SLOT_BYTES && bp_below <= cfa
}

fn fits(bytes: u32, bits: u32) -> bool {
    bytes.is_multiple_of(SLOT_BYTES) && bytes / SLOT_BYTES < 1 << bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_pointers_have_one_rule() {
        let (cfa, bp_below) = (FRAME_POINTER_CFA as u32, FRAME_POINTER_CFA as u32);
        let rule = Rule::Frame { base: Base::Bp, cfa, bp_below };
        assert_eq!(Packed::FRAME_POINTER, Packed::new(rule));
        assert_eq!(Packed::FRAME_POINTER.unpack(), Some(rule));
    }
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_that_fit_come_back(on_sp: bool, cfa in 1u32..1 << CFA_BITS, below in 0u32..1 << (BITS - BELOW_SHIFT)) {
            let below = below.min(cfa);
            let base = if on_sp { Base::Sp } else { Base::Bp };
            let rule = Rule::Frame { base, cfa: cfa * 8, bp_below: below * 8 };
            let packed = Packed::new(rule);
            prop_assert!(packed.0 < 1 << BITS && packed.is_frame());
            prop_assert_eq!(packed.unpack(), Some(rule));
        }

        #[test]
        fn realigned_frames_come_back(offset in -OFFSET_BIAS..OFFSET_BIAS) {
            let packed = Packed::new(Rule::Realigned { offset });
            prop_assert!(packed.0 < 1 << BITS && !packed.is_frame());
            prop_assert_eq!(packed.unpack(), Some(Rule::Realigned { offset }));
        }
    }

    #[test]
    fn the_others_come_back_and_what_does_not_fit_is_complex() {
        for rule in [Rule::Outermost, Rule::Signal, Rule::Complex, Rule::Unknown] {
            let packed = Packed::new(rule);
            assert_eq!((packed.unpack(), packed.is_frame()), (Some(rule), false));
        }
        let complex = |rule| assert_eq!(Packed::new(rule).unpack(), Some(Rule::Complex));
        complex(Rule::Frame { base: Base::Sp, cfa: 12, bp_below: 0 });
        complex(Rule::Frame { base: Base::Sp, cfa: 8 << CFA_BITS, bp_below: 0 });
        complex(Rule::Frame { base: Base::Sp, cfa: 0, bp_below: 0 });
        complex(Rule::Frame { base: Base::Sp, cfa: 16, bp_below: 24 });
        complex(Rule::Frame { base: Base::Bp, cfa: 1 << 16, bp_below: 8 << (BITS - BELOW_SHIFT) });
        complex(Rule::Realigned { offset: OFFSET_BIAS });
        assert_eq!(Packed::NONE.unpack(), None);
        assert!(!Packed::NONE.is_frame());
    }
}
