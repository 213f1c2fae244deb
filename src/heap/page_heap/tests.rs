//! The page heap on made-up memory, against a naive model, with a check of the whole heap after each step.

use super::*;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use proptest::prelude::*;
use std::{boxed::Box, sync::Mutex as StdMutex, vec, vec::Vec};

/// An operating system that only keeps books.
struct Made {
    /// Chunks that somebody else has.
    taken: Vec<usize>,
    /// Chunks it gives before it has no more.
    most: usize,
    committed: AtomicUsize,
    now: AtomicU64,
    refuses: AtomicBool,
    advice: StdMutex<Vec<(usize, usize, HugePages)>>,
    reused: StdMutex<Vec<usize>>,
}

impl Backing for Made {
    fn commit(&self, first: usize, count: usize) -> Result<(), CommitError> {
        if self.taken.iter().any(|c| (first..first + count).contains(c)) {
            return Err(CommitError::Taken);
        }
        if self.committed.load(Relaxed) + count > self.most {
            return Err(CommitError::NoMemory);
        }
        self.committed.fetch_add(count, Relaxed);
        Ok(())
    }
    fn release(&self, _: PageId, _: usize) -> bool {
        !self.refuses.load(Relaxed)
    }
    fn reuse(&self, chunks: Range<usize>) {
        self.reused.lock().unwrap().extend(chunks);
    }
    fn advise(&self, first: usize, count: usize, huge: HugePages) {
        self.advice.lock().unwrap().push((first, count, huge));
    }
    fn metadata_bytes(&self) -> usize {
        0
    }
    fn now(&self) -> u64 {
        self.now.load(Relaxed)
    }
}

const SCAVENGING: Limits = Limits { scavenge: true, ..Limits::NONE };

fn made(most: usize, taken: &[usize]) -> &'static Made {
    Box::leak(Box::new(Made {
        taken: taken.to_vec(),
        most,
        committed: AtomicUsize::new(0),
        now: AtomicU64::new(1 << 40),
        refuses: AtomicBool::new(false),
        advice: StdMutex::new(Vec::new()),
        reused: StdMutex::new(Vec::new()),
    }))
}

fn heap_on(os: &'static Made, range: usize, limits: Limits) -> PageHeap {
    let zeros = |bytes: usize| Addr(vec![0u64; bytes / 8].leak().as_mut_ptr().expose_provenance());
    let layout = Layout {
        base: Addr(1 << 40),
        chunks: range,
        chunks_end: zeros(range * size_of::<Chunk>()).plus(range * size_of::<Chunk>()),
        levels: core::array::from_fn(|level| zeros(entries(level, range) * 8)),
        least_release: 1,
    };
    let mut heap = PageHeap::new();
    // SAFETY: the arrays are zeroed, leaked, large enough and this heap's own.
    unsafe { heap.init_on(os, layout, limits) };
    heap
}

fn heap(range: usize) -> PageHeap {
    heap_on(made(range, &[]), range, Limits::NONE)
}

fn page_of(run: Option<Run>) -> usize {
    run.unwrap().page.index()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Page {
    Hole,
    Taken,
    Idle,
    Empty,
}

/// The heap as one vector of pages.
struct Model(Vec<Page>);

impl Model {
    fn free(&self, page: usize, pages: usize) -> bool {
        self.0
            .get(page..page + pages)
            .is_some_and(|run| run.iter().all(|p| matches!(p, Page::Idle | Page::Empty)))
    }
    fn first_fit(&self, pages: usize, align: usize) -> Option<usize> {
        (0..self.0.len()).step_by(align).find(|&page| self.free(page, pages))
    }
    fn grow_to(&mut self, chunks: usize, taken: &[usize]) {
        for page in self.0.len()..chunks * CHUNK_PAGES {
            self.0.push(if taken.contains(&(page / CHUNK_PAGES)) { Page::Hole } else { Page::Empty });
        }
    }
    fn take(&mut self, page: usize, pages: usize) -> bool {
        assert!(self.free(page, pages));
        let run = &mut self.0[page..page + pages];
        let zeroed = run.iter().all(|&p| p == Page::Empty);
        run.fill(Page::Taken);
        zeroed
    }
    fn give(&mut self, page: usize, pages: usize, to: Page) {
        assert!(self.0[page..page + pages].iter().all(|&p| p == Page::Taken));
        self.0[page..page + pages].fill(to);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Alloc { pages: usize, align_shift: usize },
    Free { which: usize, unbacked: bool },
    FreeTail { which: usize, keep: usize },
    Extend { which: usize, more: usize },
    Release { most: usize, refused: bool },
}

fn pages() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 1usize..4, 3 => 1usize..80, 2 => 200usize..900, 1 => 1000usize..5000]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (pages(), prop_oneof![4 => Just(0usize), 1 => 1usize..10])
            .prop_map(|(pages, align_shift)| Step::Alloc { pages, align_shift }),
        4 => (any::<usize>(), prop::bool::weighted(0.1)).prop_map(|(which, unbacked)| Step::Free { which, unbacked }),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(which, keep)| Step::FreeTail { which, keep }),
        1 => (any::<usize>(), pages()).prop_map(|(which, more)| Step::Extend { which, more }),
        2 => (pages(), prop::bool::weighted(0.1)).prop_map(|(most, refused)| Step::Release { most, refused }),
    ]
}

/// What a sequence of steps runs on.
struct Trial {
    heap: PageHeap,
    model: Model,
    taken: Vec<usize>,
    runs: Vec<(usize, usize)>,
}

impl Trial {
    fn alloc(&mut self, pages: usize, align: usize) {
        let expected = self.model.first_fit(pages, align);
        let run = self.heap.alloc(pages, align);
        self.model.grow_to(self.heap.top_chunks(), &self.taken);
        match run {
            Some(run) => {
                let fit = self.model.first_fit(pages, align);
                assert_eq!(Some(run.page.index()), expected.or(fit), "not the lowest fit");
                assert_eq!(run.zeroed, self.model.take(run.page.index(), pages));
                self.runs.push((run.page.index(), pages));
            }
            None => assert_eq!(self.model.first_fit(pages, align), None, "refused though it fits"),
        }
    }

    fn extend(&mut self, which: usize, more: usize) {
        let (page, pages) = self.runs[which];
        let extended = self.heap.try_extend(PageId::new(page), pages, pages + more);
        self.model.grow_to(self.heap.top_chunks(), &self.taken);
        match extended {
            Some(zeroed) => {
                assert_eq!(zeroed, self.model.take(page + pages, more));
                self.runs[which].1 += more;
            }
            None => assert!(!self.model.free(page + pages, more), "not extended though it fits"),
        }
    }

    fn release(&mut self, most: usize, refused: bool) {
        let Some(run) = self.heap.take_for_release(most) else {
            assert!(!self.model.0.contains(&Page::Idle), "idle pages were not found");
            return;
        };
        let pages = run.page.index()..run.page.index() + run.pages;
        assert!(self.model.0[pages.clone()].contains(&Page::Idle));
        assert!(run.pages < most.next_multiple_of(256) + 256);
        self.model.take(run.page.index(), run.pages);
        self.heap.check().unwrap();
        self.heap.finish_release(run, !refused);
        self.model.give(run.page.index(), run.pages, if refused { Page::Idle } else { Page::Empty });
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Alloc { pages, align_shift } => self.alloc(pages, 1 << align_shift),
            Step::Release { most, refused } => self.release(most, refused),
            _ if self.runs.is_empty() => {}
            Step::Extend { which, more } => self.extend(which % self.runs.len(), more),
            Step::Free { which, unbacked } => {
                let (page, pages) = self.runs.swap_remove(which % self.runs.len());
                if unbacked {
                    self.heap.free_unbacked(PageId::new(page), pages);
                } else {
                    self.heap.free(PageId::new(page), pages);
                }
                self.model.give(page, pages, if unbacked { Page::Empty } else { Page::Idle });
            }
            Step::FreeTail { which, keep } => {
                let i = which % self.runs.len();
                let (page, pages) = self.runs[i];
                let keep = keep % pages + 1;
                if keep < pages {
                    self.heap.free(PageId::new(page + keep), pages - keep);
                    self.model.give(page + keep, pages - keep, Page::Idle);
                    self.runs[i].1 = keep;
                }
            }
        }
    }

    fn compare(&self) {
        self.heap.check().unwrap();
        let count = |what| self.model.0.iter().filter(|&&p| p == what).count();
        let stats = self.heap.stats();
        assert_eq!(
            (stats.in_use, stats.idle, stats.released, stats.holes),
            (count(Page::Taken), count(Page::Idle), count(Page::Empty), count(Page::Hole))
        );
        for (i, &page) in self.model.0.iter().enumerate() {
            assert_eq!(self.heap.is_free(PageId::new(i)), matches!(page, Page::Idle | Page::Empty));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn agrees_with_a_naive_model(
        steps in prop::collection::vec(step(), 1..80),
        range in 1usize..40,
        taken in prop::collection::vec(0usize..40, 0..3),
    ) {
        let heap = heap_on(made(usize::MAX, &taken), range, Limits::NONE);
        let mut trial = Trial { heap, model: Model(Vec::new()), taken, runs: Vec::new() };
        for step in &steps {
            trial.step(step);
            trial.compare();
        }
    }
}

mod edges;
mod releasing;
