//! A worker of a marker: scans ranges for pointers, notes what they lead to, and scans that in turn.

use super::buffers::{Item, Owned};
use super::frozen::{Frozen, Hit};
use super::grey::{GROUP_OBJECTS, Grey};
use super::marker::{Marker, Pass};
use super::pointer_filter::Gathered;
use crate::sys::cpu;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// Longer ranges are cut, so that several workers can share them (Go's "oblets").
const MAX_SCAN_BYTES: usize = 128 << 10;
/// Items, at least, between the prefetch of a range and its scan: more than a core can have misses open, since most
/// lines are there sooner than the slowest.
const PREFETCH_DISTANCE: usize = 32;
/// Ranges that are prefetched one right after the other: with the instructions of a scan between them, the waits for
/// the translation of their addresses overlap less.
const PREFETCH_BATCH: usize = 16;
/// Groups between the prefetch of what is known of a group's objects and its use, each of which scans some objects.
const GROUPS_AHEAD: usize = 2;
/// Words, at most, that are followed without the queues when there is nothing else to do. Their misses overlap as they
/// are, and a round of the queues, which is made for many, costs as much as to follow some ten. Few in tests, whose
/// made-up programs are small, so that these go both ways.
const FEW_WORDS: usize = if cfg!(test) { 4 } else { 32 };
/// Rounds without the queues before objects are made grey if other workers wait, who can be given some then.
const ROUNDS_UNSHARED: usize = 64;
/// Larger objects of a group can be scanned by other workers than the one that took the group.
const MOST_UNSHARED_BYTES: usize = 4096;
/// Stack of a worker thread: what it has gathered, taken and asked for, 4 KiB, and a few frames, one of them a signal's.
pub(super) const WORKER_STACK_BYTES: usize = 64 << 10;
const WORD_BYTES: usize = size_of::<usize>();

/// One worker's state.
pub(super) struct Worker<'m, 'a, F: Frozen> {
    pub(super) marker: &'m Marker<'a, F>,
    pass: Pass,
    grey: Grey,
    buffer: Option<Owned>,
    /// What was last taken from the queue of grey objects, from `next_taken` on.
    taken: [Item; GROUP_OBJECTS],
    next_taken: usize,
    taken_end: usize,
    /// Words of ranges that were scanned.
    gathered: Gathered,
    /// Room for the objects that a few words lead to: here, since to clear it in every round would cost as much as to
    /// follow a word.
    met_now: [Hit; FEW_WORDS],
    /// Ranges whose first line is on its way from memory, oldest at `next`.
    ahead: [Item; PREFETCH_DISTANCE],
    next: usize,
    /// Whether there may be any.
    has_ahead: bool,
    scanned: usize,
}

impl<'m, 'a, F: Frozen> Worker<'m, 'a, F> {
    /// `None`: no memory.
    pub(super) fn new(marker: &'m Marker<'a, F>, pass: Pass) -> Option<Self> {
        Some(Self {
            marker,
            pass,
            grey: Grey::new(marker.objects.frozen().count()).ok()?,
            buffer: None,
            taken: [Item::default(); GROUP_OBJECTS],
            next_taken: 0,
            taken_end: 0,
            gathered: Gathered::new(),
            met_now: [Hit::default(); FEW_WORDS],
            ahead: [Item::default(); PREFETCH_DISTANCE],
            next: 0,
            has_ahead: false,
            scanned: 0,
        })
    }

    /// Scans until no worker that has begun has anything left. One that begins later finds the lists as
    /// they are then; nothing is lost if it finds them empty, or if it never begins.
    pub(super) fn work(&mut self) {
        self.marker.active.fetch_add(1, AcqRel);
        loop {
            loop {
                self.share();
                let mut due = [Item::default(); PREFETCH_BATCH];
                let mut popped = 0;
                while popped < PREFETCH_BATCH
                    && let Some(item) = self.pop()
                {
                    self.marker.objects.frozen().prefetch(item.start);
                    // What comes out now was prefetched a few items ago.
                    due[popped] = core::mem::replace(&mut self.ahead[self.next], item);
                    self.next = (self.next + 1) % PREFETCH_DISTANCE;
                    popped += 1;
                }
                if popped == 0 {
                    break;
                }
                self.has_ahead = true;
                for &item in &due[..popped] {
                    self.share();
                    self.scan(item);
                }
            }
            if self.look_at_rest() || self.scan_ahead() {
                continue;
            }
            if !self.wait_for_work() {
                break;
            }
        }
        self.marker.scanned.fetch_add(self.scanned, Relaxed);
        if let Some(buffer) = self.buffer.take() {
            self.marker.pool.put_empty(buffer);
        }
    }

    /// Gives half of the buffer away, or some groups, if others wait for work.
    #[inline]
    fn share(&mut self) {
        if self.others_wait() {
            self.share_now();
        }
    }

    /// Whether others wait for work, and there is none that all can take.
    #[inline]
    fn others_wait(&self) -> bool {
        self.marker.idle.load(Relaxed) != 0 && self.marker.pool.full.is_empty()
    }

    #[cold]
    fn share_now(&mut self) {
        /// Fewer items are scanned faster than they are handed over.
        const MIN_ITEMS: u32 = 8;
        /// Groups given away at once: many, since what neighbours lead to often lies together, too.
        const MOST_GROUPS: usize = 64;
        let marker = self.marker;
        if self.buffer.as_ref().is_none_or(|buffer| buffer.len < MIN_ITEMS) {
            let groups = (self.grey.len() / 2).min(MOST_GROUPS);
            (0..groups).for_each(|_| self.leave_group());
            if groups > 0 {
                self.hand_over();
            }
            return;
        }
        let Some(buffer) = &mut self.buffer else { return };
        let Some(mut half) = marker.pool.get() else { return };
        let count = buffer.len as usize / 2;
        (half.len, buffer.len) = (count as u32, buffer.len - count as u32);
        let from = buffer.len as usize;
        half.items[..count].copy_from_slice(&buffer.items[from..from + count]);
        marker.pool.put_full(half);
    }

    /// Puts the objects of a group into the buffer, and what is left of the one before.
    fn leave_group(&mut self) {
        self.leave_taken();
        self.take_group();
        self.leave_taken();
    }

    fn leave_taken(&mut self) {
        let items = self.next_taken..self.taken_end;
        (self.next_taken, self.taken_end) = (0, 0);
        items.for_each(|place| self.push(self.taken[place]));
    }

    /// Leaves all that this worker has to others.
    pub(super) fn leave_all(&mut self) {
        while self.grey.len() > 0 {
            self.leave_group();
        }
        self.hand_over();
    }

    /// Looks at what was gathered; `false` if there was nothing.
    ///
    /// Of a list one object is known at a time. While that is so, or a few are, they are scanned without having been
    /// queued: no neighbours would join them.
    fn look_at_rest(&mut self) -> bool {
        if self.gathered.len() == 0 {
            return false;
        }
        let mut rounds = 0;
        while self.has_few() && (rounds < ROUNDS_UNSHARED || !self.others_wait()) {
            self.follow();
            rounds += 1;
        }
        Self::look(self.marker, self.pass, &mut self.grey, &mut self.gathered);
        true
    }

    /// Whether a few gathered words are all that this worker has.
    #[inline]
    fn has_few(&self) -> bool {
        let is_few = (1..=FEW_WORDS).contains(&self.gathered.len());
        let none_waits = !self.has_ahead && self.grey.len() == 0;
        is_few && none_waits && self.buffer.as_ref().is_none_or(|buffer| buffer.len == 0)
    }

    /// Scans the objects that the gathered words lead to; there must be few.
    fn follow(&mut self) {
        let (marker, pass) = (self.marker, self.pass);
        let mut count = 0;
        for &word in self.gathered.take() {
            // Most often where the object begins, but that it does takes some other reads to know.
            marker.objects.frozen().prefetch(word);
            if let Some(hit) = marker.met_by(word, pass)
                && marker.met.add(hit.number)
            {
                marker.objects.prefetch_mark(hit.number);
                self.met_now[count] = hit;
                count += 1;
            }
        }
        for place in 0..count {
            if let Some(item) = self.paint(self.met_now[place]) {
                self.scan(item);
            }
        }
    }

    /// Scans what was prefetched; `false` if there was nothing.
    fn scan_ahead(&mut self) -> bool {
        let some = core::mem::take(&mut self.has_ahead);
        if some {
            core::mem::take(&mut self.ahead).into_iter().for_each(|item| self.scan(item));
        }
        some
    }

    /// Waits for a full buffer to appear; `false` when every worker that runs waits.
    fn wait_for_work(&mut self) -> bool {
        /// Looks before the processor is left to others: with fewer processors than workers, the one that
        /// has work may be waiting for it.
        const SPINS: u32 = 256;
        let marker = self.marker;
        marker.idle.fetch_add(1, AcqRel);
        let mut spins = 0u32;
        loop {
            if !marker.pool.full.is_empty() {
                marker.idle.fetch_sub(1, AcqRel);
                return true;
            }
            if marker.idle.load(Acquire) >= marker.active.load(Acquire) {
                return false;
            }
            spins = spins.wrapping_add(1);
            if spins.is_multiple_of(SPINS) { cpu::yield_now() } else { core::hint::spin_loop() }
        }
    }

    fn scan(&mut self, item: Item) {
        let Item { start, bytes } = item;
        if bytes > MAX_SCAN_BYTES {
            self.push(Item { start: start + MAX_SCAN_BYTES, bytes: bytes - MAX_SCAN_BYTES });
        }
        // Words that begin in this part may end in the next if they lie at any address.
        let end = start + bytes.min(MAX_SCAN_BYTES + WORD_BYTES - self.marker.step);
        self.scanned += end - start;
        let marker = self.marker;
        let (gathered, grey, pass) = (&mut self.gathered, &mut self.grey, self.pass);
        let look = |gathered: &mut Gathered| Self::look(marker, pass, grey, gathered);
        marker.objects.frozen().gather(start, end, marker.step, gathered, look);
    }

    /// Follows the gathered words that are pointers to objects. The misses of each step overlap; only the next step waits
    /// for them.
    fn look(marker: &Marker<'a, F>, pass: Pass, grey: &mut Grey, gathered: &mut Gathered) {
        let (words, frozen) = (gathered.take(), marker.objects.frozen());
        words.iter().for_each(|&word| frozen.prefetch_finding(word));
        let (mut numbers, mut count) = ([0; Gathered::MOST], 0);
        for &word in words {
            if let Some(Hit { number, .. }) = marker.met_by(word, pass) {
                cpu::prefetch(marker.met.address(number));
                cpu::prefetch(grey.address(number));
                numbers[count] = number;
                count += 1;
            }
        }
        for &number in &numbers[..count] {
            if marker.met.add(number) {
                grey.add(number);
            }
        }
    }

    /// Makes an object grey, unless it has been met before.
    pub(super) fn meet(&mut self, number: u32) {
        if self.marker.met.add(number) {
            self.grey.add(number);
        }
    }

    pub(super) fn push(&mut self, item: Item) {
        if item.bytes < WORD_BYTES {
            return;
        }
        let pool = &self.marker.pool;
        loop {
            if let Some(buffer) = &mut self.buffer {
                let len = buffer.len as usize;
                if let Some(place) = buffer.items.get_mut(len) {
                    *place = item;
                    buffer.len += 1;
                    return;
                }
                self.hand_over();
            }
            let Some(empty) = pool.get() else {
                self.marker.out_of_memory.store(true, Relaxed);
                return;
            };
            self.buffer = Some(empty);
        }
    }

    /// Gives this worker's buffer to all.
    fn hand_over(&mut self) {
        let Some(buffer) = self.buffer.take() else { return };
        if buffer.len == 0 {
            self.marker.pool.put_empty(buffer);
        } else {
            self.marker.pool.put_full(buffer);
        }
    }

    /// What to scan next: roots and parts of large objects before grey objects, of which more lie together later.
    #[inline]
    fn pop(&mut self) -> Option<Item> {
        let pool = &self.marker.pool;
        loop {
            if self.next_taken < self.taken_end {
                self.next_taken += 1;
                return Some(self.taken[self.next_taken - 1]);
            }
            if let Some(buffer) = &mut self.buffer
                && buffer.len > 0
            {
                buffer.len -= 1;
                return Some(buffer.items[buffer.len as usize]);
            }
            if let Some(full) = pool.take_full() {
                if let Some(empty) = self.buffer.replace(full) {
                    pool.put_empty(empty);
                }
                continue;
            }
            if self.grey.len() == 0 {
                return None;
            }
            self.take_group();
        }
    }

    /// Takes what is grey of the group that has waited longest: large objects go to the buffer, where others find them,
    /// the rest to `taken`, which must be empty.
    fn take_group(&mut self) {
        debug_assert_eq!(self.next_taken, self.taken_end, "nothing is left");
        let marker = self.marker;
        let Some((group, bits)) = self.grey.take() else { return };
        if let Some(next) = self.grey.upcoming(GROUPS_AHEAD) {
            marker.objects.prefetch_group(next);
        }
        (self.next_taken, self.taken_end) = (0, 0);
        marker.objects.frozen().for_each_of_group(group, bits, |hit| {
            if let Some(item) = self.paint(hit) {
                self.taken[self.taken_end] = item;
                self.taken_end += 1;
            }
        });
    }

    /// Paints an object that was met. What of it this worker is to scan: a large one goes to the buffer instead.
    #[inline(always)]
    fn paint(&mut self, hit: Hit) -> Option<Item> {
        let marker = self.marker;
        if !marker.objects.paint_met(hit.number, self.pass.color) {
            return None;
        }
        let (start, end) = marker.extent_to_scan(hit);
        let item = Item { start, bytes: end - start };
        if item.bytes > MOST_UNSHARED_BYTES {
            self.push(item);
            return None;
        }
        (item.bytes >= WORD_BYTES).then_some(item)
    }
}
