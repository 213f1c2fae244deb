//! What marking needs to know of the frozen program: where its objects lie, what is noted of them, and what
//! the memory holds. The heap and real memory in a check (`heap_image`), made-up ones in tests.

use super::pointer_filter::Gathered;

/// An object that a word points at.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Hit {
    /// The object's number.
    pub(crate) number: u32,
    /// Where it begins.
    pub(crate) start: usize,
    /// Bytes that it takes up.
    pub(crate) bytes: usize,
}

/// What is noted of an object that the program has.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Note {
    /// Bytes requested.
    pub(crate) requested: usize,
    /// The number of the stack that allocated it.
    pub(crate) stack: u32,
    /// It holds no pointers.
    pub(crate) noscan: bool,
    /// The program asked not to report it.
    pub(crate) ignored: bool,
    /// A check has reported it.
    pub(crate) reported: bool,
}

/// A program that does not change.
pub(crate) trait Frozen: Sync {
    /// Objects are numbered below this, in the order of addresses.
    fn count(&self) -> usize;

    /// The object whose place `word` points into, whether the program has it or not.
    fn find(&self, word: usize) -> Option<Hit>;

    /// Bytes requested of an object that the program has, at most as many as it takes up.
    fn requested(&self, hit: Hit) -> usize;

    /// What is noted of an object that the program has.
    fn note(&self, hit: Hit) -> Note;

    /// Calls `each` for the first of every run of equal places that follow each other, and their number, in the order
    /// of addresses, whether the program has objects there or not.
    fn for_each_run(&self, each: &mut dyn FnMut(Hit, usize));

    /// Calls `each` for objects of the group of that number (`super::grey`): those whose bits are set.
    fn for_each_of_group(&self, group: usize, bits: u64, each: impl FnMut(Hit));

    /// [`Self::for_each_of_group`] will soon be called.
    fn prefetch_group(&self, _group: usize) {}

    /// Calls `each` for every object that the program has, in the order of addresses.
    fn for_each(&self, each: &mut dyn FnMut(Hit, Note));

    /// The word at `at`; 0 if it can't be read.
    fn word(&self, at: usize) -> usize;

    /// Calls `visit` for the words in `start..end` that begin `step` bytes apart; what can't be read is 0.
    fn for_each_word(&self, start: usize, end: usize, step: usize, visit: impl FnMut(usize));

    /// Puts the words in `start..end` that may be pointers into `gathered`, and calls `look` whenever that is full.
    fn gather(
        &self,
        start: usize,
        end: usize,
        step: usize,
        gathered: &mut Gathered,
        mut look: impl FnMut(&mut Gathered),
    ) {
        self.for_each_word(start, end, step, |word| {
            gathered.push(word);
            if gathered.is_full() {
                look(gathered);
            }
        });
    }

    /// [`Self::find`] will soon be asked for this word.
    fn prefetch_finding(&self, _word: usize) {}

    /// The word at `at` will soon be read. The address need not be readable.
    fn prefetch(&self, _at: usize) {}
}
