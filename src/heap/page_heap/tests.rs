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
    }))
}

fn heap_on(os: &'static Made, range: usize, limits: Limits) -> PageHeap {
    let zeros = |bytes: usize| Addr(vec![0u64; bytes / 8].leak().as_mut_ptr().expose_provenance());
    let layout = Layout {
        base: Addr(1 << 40),
        chunks: range,
        chunk_array: zeros(range * size_of::<Chunk>()),
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

#[test]
fn nothing_is_given_out_before_the_start() {
    let mut heap = PageHeap::new();
    assert_eq!(heap.alloc(1, 1), None);
    assert_eq!(heap.take_for_release(1), None);
    assert_eq!(heap.excess(), 0);
    assert!(!heap.is_free(PageId(0)));
}

#[test]
fn runs_cross_chunks_and_root_entries() {
    // A root entry covers 4096 chunks: 16 GiB.
    let mut heap = heap(3 * 4096);
    let chunks = |n: usize| n * CHUNK_PAGES;
    assert_eq!(page_of(heap.alloc(chunks(4095) + 500, 1)), 0);
    assert_eq!(page_of(heap.alloc(24, 1)), chunks(4095) + 500);
    let all_of_a_root = chunks(4096) + 100;
    assert_eq!(page_of(heap.alloc(all_of_a_root, 1)), chunks(4096) + 12);
    heap.check().unwrap();
    heap.free(PageId::new(0), chunks(4095) + 500);
    heap.free(PageId::new(chunks(4096) + 12), all_of_a_root);
    heap.free(PageId::new(chunks(4095) + 500), 24);
    heap.check().unwrap();
    assert_eq!(page_of(heap.alloc(chunks(8192) + 5, 1)), 0);
    heap.check().unwrap();
}

#[test]
fn the_end_of_the_range_is_the_end() {
    let mut heap = heap(2);
    assert_eq!(heap.alloc(2 * CHUNK_PAGES + 1, 1), None);
    assert_eq!(page_of(heap.alloc(2 * CHUNK_PAGES, 1)), 0);
    assert_eq!(heap.alloc(1, 1), None);
    assert_eq!(heap.alloc(usize::MAX / 2, 1), None);
    heap.free(PageId(700), 3);
    assert_eq!(page_of(heap.alloc(3, 1)), 700);
    assert_eq!(heap.try_extend(PageId(700), 3, 4), None);
    heap.check().unwrap();
}

#[test]
fn a_system_without_memory_is_survived() {
    let mut heap = heap_on(made(3, &[]), 100, Limits::NONE);
    assert_eq!(heap.alloc(4 * CHUNK_PAGES, 1), None);
    assert_eq!(page_of(heap.alloc(3 * CHUNK_PAGES, 1)), 0);
    assert_eq!(heap.alloc(1, 1), None);
    heap.check().unwrap();
}

#[test]
fn what_others_have_mapped_is_passed_by() {
    let mut heap = heap_on(made(100, &[0, 3]), 10, Limits::NONE);
    assert_eq!(page_of(heap.alloc(1, 1)), CHUNK_PAGES);
    assert_eq!(page_of(heap.alloc(3 * CHUNK_PAGES, 1)), 4 * CHUNK_PAGES);
    assert_eq!(page_of(heap.alloc(2 * CHUNK_PAGES - 1, 1)), CHUNK_PAGES + 1);
    assert!(!heap.is_free(PageId(0)));
    assert_eq!(heap.stats().holes, 2 * CHUNK_PAGES);
    heap.check().unwrap();
}

#[test]
fn alignment_is_of_addresses_not_of_page_numbers() {
    let mut heap = heap(64);
    heap.first_page = 5;
    assert_eq!(page_of(heap.alloc(1, 1024)), 1019);
    assert_eq!(page_of(heap.alloc(2, 8)), 3);
    heap.check().unwrap();
}

#[test]
fn the_hard_limit_refuses() {
    let mut heap = heap_on(made(100, &[]), 100, Limits { hard: 1000, ..Limits::NONE });
    assert_eq!(heap.alloc(1001, 1), None);
    let run = heap.alloc(1000, 1).unwrap();
    assert_eq!(heap.alloc(1, 1), None);
    assert_eq!(heap.try_extend(run.page, 1000, 1001), None);
    assert_eq!(heap.stats().limit_failures, 3);
    heap.free(run.page, 1);
    assert_eq!(heap.alloc(1, 1).unwrap().page, run.page);
}

#[test]
fn huge_pages_come_with_a_grown_heap() {
    let os = made(1000, &[]);
    let mut heap = heap_on(os, 1000, Limits::NONE);
    heap.alloc(4 * CHUNK_PAGES, 1).unwrap();
    heap.alloc(4 * CHUNK_PAGES, 1).unwrap();
    assert_eq!(*os.advice.lock().unwrap(), [(0, 1, HugePages::Avoid)]);
    heap.alloc(CHUNK_PAGES, 1).unwrap();
    assert_eq!(os.advice.lock().unwrap()[1], (8, 1, HugePages::Use));
}

mod releasing {
    use super::*;
    use crate::sync::{Mutex, Rank};

    const MIB: usize = (1 << 20) / PAGE_BYTES;
    const SECOND: u64 = 1_000_000_000;

    fn locked(os: &'static Made, limits: Limits) -> Mutex<PageHeap> {
        Mutex::new(Rank::PageHeap, heap_on(os, 2048, limits))
    }

    fn held(heap: &Mutex<PageHeap>) -> usize {
        let heap = heap.lock();
        heap.check().unwrap();
        heap.stats().in_use + heap.stats().idle
    }

    /// Takes `pages` in runs of `each`.
    fn fill(heap: &Mutex<PageHeap>, pages: usize, each: usize) -> Vec<PageId> {
        (0..pages / each).map(|_| alloc_run(heap, each, 1).unwrap().page).collect()
    }

    #[test]
    fn a_heap_freed_at_random_is_small_at_once() {
        for each in [1, 3, 40] {
            let heap = locked(made(2048, &[]), SCAVENGING);
            let runs = fill(&heap, 1024 * MIB, each);
            let kept = |i: usize| i * 7919 % 10 == 0;
            runs.iter()
                .enumerate()
                .filter(|(i, _)| !kept(*i))
                .for_each(|(_, &page)| free_run(&heap, page, each));
            let live = heap.lock().stats().in_use;
            assert!(held(&heap) <= live * 115 / 100 + 16 * MIB, "{} for {live}", held(&heap));
        }
    }

    #[test]
    fn a_loop_stops_paying_for_its_memory_and_later_gives_it_back() {
        let os = made(2048, &[]);
        let heap = locked(os, SCAVENGING);
        let mut refaults = Vec::new();
        for _ in 0..8 {
            let before = heap.lock().stats().refaulted_total;
            for page in fill(&heap, 1024 * MIB, 128) {
                free_run(&heap, page, 128);
            }
            refaults.push(heap.lock().stats().refaulted_total - before);
            os.now.fetch_add(SECOND / 10, Relaxed);
        }
        assert!(refaults[1] > 900 * MIB, "{refaults:?}");
        assert!(refaults[4..].iter().all(|&pages| pages < 10 * MIB), "{refaults:?}");
        assert!(heap.lock().stats().kept_for_reuse > 900 * MIB);
        os.now.fetch_add(11 * SECOND, Relaxed);
        release_excess(&heap);
        os.now.fetch_add(11 * SECOND, Relaxed);
        release_excess(&heap);
        assert!(held(&heap) <= 8 * MIB);
    }

    #[test]
    fn one_growth_keeps_nothing() {
        let heap = locked(made(2048, &[]), SCAVENGING);
        let mut size = MIB;
        let mut old: Option<(PageId, usize)> = None;
        while size <= 1024 * MIB {
            let page = alloc_run(&heap, size, 1).unwrap().page;
            if let Some((page, pages)) = old.replace((page, size)) {
                free_run(&heap, page, pages);
            }
            size *= 2;
        }
        let (page, pages) = old.unwrap();
        free_run(&heap, page, pages);
        assert!(held(&heap) <= 16 * MIB, "{}", held(&heap));
    }

    #[test]
    fn the_soft_limit_takes_idle_pages_first() {
        let limits = Limits { soft: 100 * MIB, ..SCAVENGING };
        let heap = locked(made(2048, &[]), limits);
        let runs = fill(&heap, 90 * MIB, 128);
        runs[..10].iter().for_each(|&page| free_run(&heap, page, 128));
        assert!(held(&heap) >= 88 * MIB);
        alloc_run(&heap, 18 * MIB, 1).unwrap();
        assert!(held(&heap) <= 100 * MIB);
        // Above the limit with nothing idle the program goes on.
        alloc_run(&heap, 20 * MIB, 1).unwrap();
        assert_eq!(heap.lock().stats().idle, 0);
    }

    #[test]
    fn switched_off_nothing_is_released_unasked() {
        let heap = locked(made(2048, &[]), Limits::NONE);
        for page in fill(&heap, 100 * MIB, 128) {
            free_run(&heap, page, 128);
        }
        assert_eq!(held(&heap), 100 * MIB);
        assert!(scavenge(&heap, 10 * MIB) >= 10 * MIB);
        assert!(held(&heap) <= 90 * MIB);
        let rest = held(&heap);
        assert_eq!((scavenge(&heap, usize::MAX), held(&heap)), (rest, 0));
    }

    #[test]
    fn a_kernel_that_refuses_is_left_alone_for_a_while() {
        let os = made(2048, &[]);
        let heap = locked(os, SCAVENGING);
        os.refuses.store(true, Relaxed);
        for page in fill(&heap, 100 * MIB, 128) {
            free_run(&heap, page, 128);
        }
        assert_eq!(held(&heap), 100 * MIB);
        assert_eq!(heap.lock().stats().release_failures, 1);
        os.refuses.store(false, Relaxed);
        os.now.fetch_add(11 * SECOND, Relaxed);
        release_excess(&heap);
        assert!(held(&heap) <= 8 * MIB);
    }

    #[test]
    fn a_child_takes_back_what_was_on_its_way() {
        let mut heap = heap_on(made(100, &[]), 100, SCAVENGING);
        let run = heap.alloc(2000, 1).unwrap();
        heap.free(run.page, 2000);
        let away = heap.take_for_release(300).unwrap();
        assert!(heap.stats().in_transit >= 300);
        heap.abandon_releases();
        heap.check().unwrap();
        // A block that was partly without memory comes back as idle.
        assert_eq!((heap.stats().in_transit, heap.stats().idle), (0, 4 * CHUNK_PAGES));
        heap.finish_release(away, true);
        heap.check().unwrap();
    }
}
