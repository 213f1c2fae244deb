//! The objects of a frozen program, with a colour each.

use super::frozen::{Frozen, Hit};
use super::grey::GROUP_OBJECTS;
use crate::leak::own_memory::{NoMemory, Table};
use crate::report::Amount;
use crate::sys::cpu;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// What is known of an object. A pass from the roots on, then from what is possibly lost and from what is
/// suppressed, may raise it to the pass's colour.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum Color {
    /// The program does not have it.
    Free = 0,
    /// Not reached so far.
    White = 1,
    /// A pointer to its inside was found; its own pointers have not been followed.
    InsideOnly = 2,
    /// Possibly lost.
    Possible = 3,
    /// Lost, and a suppression hides it.
    Suppressed = 4,
    /// Still reachable.
    Reachable = 5,
    /// Lost, and so is what points at it.
    Indirect = 6,
    /// Lost.
    Definite = 7,
}

const COLOR_MASK: u8 = 7;
/// The object is not to be scanned.
const NOSCAN: u8 = 8;
/// The program asked not to report it.
const IGNORED: u8 = 16;
/// The upper bits: words at the end of the object's place that were not requested, so that marking need not
/// look at the object's record, which is another cache line; `MANY_SPARE` for that many or more.
const SPARE_SHIFT: u32 = 5;
const MANY_SPARE: usize = 7;
const WORD_BYTES: usize = size_of::<usize>();

impl Color {
    fn of(byte: u8) -> Self {
        match byte & COLOR_MASK {
            1 => Self::White,
            2 => Self::InsideOnly,
            3 => Self::Possible,
            4 => Self::Suppressed,
            5 => Self::Reachable,
            6 => Self::Indirect,
            7 => Self::Definite,
            _ => Self::Free,
        }
    }
}

/// All objects of a frozen program, with a byte each.
pub(crate) struct Objects<F: Frozen> {
    frozen: F,
    marks: Table<AtomicU8>,
    live: Amount,
    /// The program asked not to report some.
    any_ignored: bool,
}

impl<F: Frozen> Objects<F> {
    /// Notes which objects the program has.
    pub(crate) fn new(frozen: F) -> Result<Self, NoMemory> {
        let marks = Table::new(frozen.count())?;
        let mut objects = Self { frozen, marks, live: Amount::default(), any_ignored: false };
        let (mut live, mut any_ignored) = (Amount::default(), false);
        objects.frozen.for_each(&mut |hit, note| {
            let noscan = if note.noscan { NOSCAN } else { 0 };
            let ignored = if note.ignored { IGNORED } else { 0 };
            let spare = (hit.bytes / WORD_BYTES).saturating_sub(note.requested / WORD_BYTES).min(MANY_SPARE);
            let spare = (spare as u8) << SPARE_SHIFT;
            objects.mark(hit.number).store(Color::White as u8 | noscan | ignored | spare, Relaxed);
            live = live.plus(Amount { bytes: note.requested, blocks: 1 });
            any_ignored |= note.ignored;
        });
        (objects.live, objects.any_ignored) = (live, any_ignored);
        Ok(objects)
    }

    /// The program.
    pub(crate) fn frozen(&self) -> &F {
        &self.frozen
    }

    /// The objects that the program has.
    pub(crate) fn live(&self) -> Amount {
        self.live
    }

    fn mark(&self, number: u32) -> &AtomicU8 {
        debug_assert!((number as usize) < self.frozen.count(), "objects are numbered below their count");
        // SAFETY: the program numbers its objects below the count, which is the table's length.
        unsafe { self.marks.get_unchecked(number as usize) }
    }

    /// The colour of an object.
    #[inline]
    pub(super) fn color(&self, number: u32) -> Color {
        Color::of(self.mark(number).load(Relaxed))
    }

    /// Calls `each` for every object of one of the colours, in the order of addresses: a look at the marks only, of
    /// which a cache line holds 64. `each` may repaint objects.
    pub(super) fn for_each_of(&self, colors: &[Color], mut each: impl FnMut(Hit)) {
        let wanted = colors.iter().fold(0u8, |set, &color| set | 1 << color as u8);
        self.frozen.for_each_run(&mut |first, count| {
            for index in 0..count {
                let number = first.number + index as u32;
                if wanted >> (self.mark(number).load(Relaxed) & COLOR_MASK) & 1 == 1 {
                    each(Hit { number, start: first.start + index * first.bytes, ..first });
                }
            }
        });
    }

    /// Paints an object if its colour is below `limit` and it is the program's; whether this call did it.
    #[inline]
    pub(super) fn paint(&self, number: u32, limit: Color, color: Color) -> bool {
        let mark = self.mark(number);
        let mut old = mark.load(Relaxed);
        while Color::of(old) != Color::Free && Color::of(old) < limit {
            let new = old & !COLOR_MASK | color as u8;
            match mark.compare_exchange_weak(old, new, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
        false
    }

    /// Paints an object that was met, if it is the program's; whether it is to be scanned. By one thread only, as an object
    /// is met once in a pass.
    ///
    /// Others may [`Self::paint`] it at the same time to a limit below `color`: either theirs comes first and is painted
    /// over, or it sees this colour and does nothing.
    #[inline]
    pub(super) fn paint_met(&self, number: u32, color: Color) -> bool {
        let mark = self.mark(number);
        let old = mark.load(Relaxed);
        if Color::of(old) == Color::Free {
            return false;
        }
        mark.store(old & !COLOR_MASK | color as u8, Relaxed);
        old & NOSCAN == 0
    }

    /// A group's objects will soon be painted.
    #[inline]
    pub(super) fn prefetch_group(&self, group: usize) {
        self.prefetch_mark((group * GROUP_OBJECTS) as u32);
        self.frozen.prefetch_group(group);
    }

    /// An object will soon be painted.
    #[inline(always)]
    pub(super) fn prefetch_mark(&self, number: u32) {
        cpu::prefetch(self.mark(number).as_ptr().addr());
    }

    /// Paints an object, whatever its colour.
    pub(super) fn repaint(&self, number: u32, color: Color) {
        let mark = self.mark(number);
        mark.store(mark.load(Relaxed) & !COLOR_MASK | color as u8, Relaxed);
    }

    /// Whether an object's words are to be scanned.
    #[inline]
    pub(super) fn is_scanned(&self, number: u32) -> bool {
        self.mark(number).load(Relaxed) & NOSCAN == 0
    }

    /// Whether the program asked not to report some object.
    pub(super) fn any_is_ignored(&self) -> bool {
        self.any_ignored
    }

    /// Whether the program asked not to report an object.
    pub(super) fn is_ignored(&self, number: u32) -> bool {
        self.mark(number).load(Relaxed) & IGNORED != 0
    }

    /// As [`Self::extent`], with whole words only.
    #[inline]
    pub(super) fn word_extent(&self, hit: Hit) -> (usize, usize) {
        match (self.mark(hit.number).load(Relaxed) >> SPARE_SHIFT) as usize {
            MANY_SPARE => self.extent(hit),
            spare => (hit.start, hit.start + hit.bytes / WORD_BYTES * WORD_BYTES - spare * WORD_BYTES),
        }
    }

    /// The bytes of an object that were requested: the rest of its place may hold what an earlier object
    /// left there.
    #[inline]
    pub(super) fn extent(&self, hit: Hit) -> (usize, usize) {
        (hit.start, hit.start + self.frozen.requested(hit))
    }
}
