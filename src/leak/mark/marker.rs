//! Marking as a whole: what its workers share, and the passes that they make.

use super::buffers::{Item, Pool};
use super::frozen::{Frozen, Hit};
use super::grey::Met;
use super::inside;
use super::objects::{Color, Objects};
use super::worker::{WORKER_STACK_BYTES, Worker};
use crate::leak::{snapshot, stale::Stale};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

const WORD_BYTES: usize = size_of::<usize>();

/// What marking needs besides the objects.
pub(crate) struct Marker<'a, F: Frozen> {
    pub(super) objects: &'a Objects<F>,
    /// Objects that were found; they are painted when they are scanned.
    pub(super) met: Met,
    /// Work that goes from worker to worker.
    pub(super) pool: Pool,
    /// Bytes between two candidates for a pointer: 8, or 1 with `use_unaligned`.
    pub(super) step: usize,
    workers: usize,
    /// Workers that have begun in this pass.
    pub(super) active: AtomicUsize,
    /// Of these, workers that have found no work.
    pub(super) idle: AtomicUsize,
    /// Bytes scanned.
    pub(super) scanned: AtomicUsize,
    /// Where to note words that lead to no object, if somebody wants to know.
    stale: Option<&'a Stale>,
    /// A buffer or a worker could not be had: some ranges were not scanned.
    pub(super) out_of_memory: AtomicBool,
}

/// The rule of one pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    /// What objects become.
    pub(super) color: Color,
    /// Whether a pointer to the inside of an object is as good as one to its start.
    inside_counts: bool,
}

impl Pass {
    pub(super) const FROM_ROOTS: Self = Self { color: Color::Reachable, inside_counts: false };
    pub(super) const FROM_POSSIBLE: Self = Self { color: Color::Possible, inside_counts: true };
    pub(super) const FROM_SUPPRESSED: Self = Self { color: Color::Suppressed, inside_counts: true };
}

impl<'a, F: Frozen> Marker<'a, F> {
    /// A marker with `workers` threads. `None`: no memory.
    pub(crate) fn new(objects: &'a Objects<F>, unaligned: bool, workers: usize) -> Option<Self> {
        Some(Self {
            objects,
            met: Met::new(objects.frozen().count(), workers <= 1).ok()?,
            pool: Pool::new()?,
            step: if unaligned { 1 } else { WORD_BYTES },
            workers: workers.max(1),
            active: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            scanned: AtomicUsize::new(0),
            stale: None,
            out_of_memory: AtomicBool::new(false),
        })
    }

    /// Notes words that lead to no object in `stale`.
    pub(crate) fn noting(self, stale: Option<&'a Stale>) -> Self {
        Self { stale, ..self }
    }

    /// Calls `visit` for every word of an object that may be a pointer.
    pub(super) fn for_each_word_of(&self, hit: Hit, visit: impl FnMut(usize)) {
        let (start, end) = self.extent_to_scan(hit);
        self.objects.frozen().for_each_word(start, end, self.step, visit);
    }

    /// What of an object is scanned: if pointers may lie at any address, the last ones may end in the last bytes.
    #[inline]
    pub(super) fn extent_to_scan(&self, hit: Hit) -> (usize, usize) {
        if self.step == WORD_BYTES { self.objects.word_extent(hit) } else { self.objects.extent(hit) }
    }

    /// Takes the object around `at` for reachable, without following it.
    pub(crate) fn keep(&self, at: usize) {
        if let Some(hit) = self.objects.frozen().find(at) {
            self.objects.paint(hit.number, Color::Reachable, Color::Reachable);
            self.met.add(hit.number);
        }
    }

    /// Lets the next pass meet an object again.
    pub(super) fn forget(&self, hit: Hit) {
        self.met.forget(hit.number);
    }

    /// The object that is met if a word is followed.
    #[inline]
    pub(super) fn met_by(&self, word: usize, pass: Pass) -> Option<Hit> {
        let hit = self.objects.frozen().find(word);
        if let Some(stale) = self.stale
            && hit.is_none_or(|hit| self.objects.color(hit.number) == Color::Free)
        {
            stale.note(word);
            return None;
        }
        let hit = hit?;
        if word == hit.start || pass.inside_counts || self.is_as_good_as_start(word, hit) {
            return Some(hit);
        }
        self.objects.paint(hit.number, Color::InsideOnly, Color::InsideOnly);
        None
    }

    #[cold]
    fn is_as_good_as_start(&self, word: usize, hit: Hit) -> bool {
        let (start, end) = self.objects.extent(hit);
        inside::is_as_good_as_start(self.objects.frozen(), start, end - start, word)
    }

    pub(super) fn objects(&self) -> &'a Objects<F> {
        self.objects
    }

    /// Bytes scanned so far.
    pub(crate) fn scanned_bytes(&self) -> usize {
        self.scanned.load(Relaxed)
    }

    /// Whether ranges had to be left out for lack of memory: then nothing may be called lost.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.out_of_memory.load(Relaxed)
    }

    /// Marks from what `feed` puts in: words to scan, and objects in use.
    pub(crate) fn mark_from_roots(&self, feed: impl FnOnce(&mut Feeder<'_, 'a, F>)) {
        self.run(Pass::FROM_ROOTS, feed);
    }

    /// Marks by `pass` from what `feed` puts in.
    pub(super) fn run(&self, pass: Pass, feed: impl FnOnce(&mut Feeder<'_, 'a, F>)) {
        let Some(worker) = Worker::new(self, pass) else {
            return self.out_of_memory.store(true, Relaxed);
        };
        let mut feeder = Feeder { worker };
        feed(&mut feeder);
        self.idle.store(0, Relaxed);
        self.active.store(0, Relaxed);
        if self.workers == 1 {
            feeder.worker.work();
            return;
        }
        feeder.worker.leave_all();
        drop(feeder);
        if self.pool.full.is_empty() {
            return;
        }
        snapshot::run_workers(self.workers, WORKER_STACK_BYTES, &|_| {
            if let Some(mut worker) = Worker::new(self, pass) {
                worker.work();
            }
        });
        if !self.pool.full.is_empty() {
            // No worker could begin.
            self.out_of_memory.store(true, Relaxed);
        }
    }
}

/// Puts the first grey ranges in.
pub(crate) struct Feeder<'m, 'a, F: Frozen> {
    worker: Worker<'m, 'a, F>,
}

impl<F: Frozen> Feeder<'_, '_, F> {
    /// Words to scan.
    pub(crate) fn words(&mut self, start: usize, end: usize) {
        self.worker.push(Item { start, bytes: end.saturating_sub(start) });
    }

    /// An object that is in use, whatever points at it. The address may lie inside it.
    pub(crate) fn object(&mut self, at: usize) {
        if let Some(hit) = self.worker.marker.objects.frozen().find(at) {
            self.hit(hit);
        }
    }

    /// As [`Self::object`], by its place in the heap.
    pub(super) fn hit(&mut self, hit: Hit) {
        self.worker.meet(hit.number);
    }
}
