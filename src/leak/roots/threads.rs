//! The roots that belong to threads.

use super::{Finder, Kind, Out, Root, WORD, What, cover::Cover, map_table::Class};
use crate::leak::glibc::{self, Layout, List};
use crate::leak::own_memory::NoMemory;
use crate::leak::stop_world::{How, RED_ZONE_BYTES, Range, ThreadState};

fn holds((start, end): Range, at: usize) -> bool {
    (start..end).contains(&at)
}

impl Finder<'_> {
    /// Leaves stacks, descriptors and thread-local storage out of the scan of mappings.
    pub(super) fn cover_threads(&self, cover: &mut Cover) -> Result<(), NoMemory> {
        if let Some(&layout) = self.search.world.layout() {
            for thread in self.known.items() {
                cover.add(thread.stack)?;
                cover.add(layout.static_tls(thread.descriptor))?;
                cover.add((thread.descriptor, thread.descriptor + layout.descriptor_bytes))?;
            }
        }
        for thread in self.search.world.threads() {
            cover.add(thread.alternate)?;
            let unknown = self.known_thread(&thread).is_none();
            if let Some(dead) = unknown.then(|| self.below_stack_pointer(&thread)).flatten() {
                cover.add(dead)?;
            }
        }
        Ok(())
    }

    /// The unused part of a stack that libc's lists don't tell of: the mapping below the stack pointer,
    /// if it looks like a thread's, with the thread pointer above in the same mapping.
    fn below_stack_pointer(&self, thread: &ThreadState) -> Option<Range> {
        let area = self.table.find(thread.stack_pointer)?;
        let like_a_stack = area.class == Class::Private
            && holds((thread.stack_pointer, area.end), thread.thread_pointer)
            && !self.owned.contains(thread.stack_pointer);
        like_a_stack.then(|| (area.start, thread.stack_pointer.saturating_sub(RED_ZONE_BYTES)))
    }

    /// glibc's record of a thread.
    fn known_thread(&self, thread: &ThreadState) -> Option<glibc::Thread> {
        let known = self.known.items();
        let at = known.binary_search_by_key(&(thread.tid as i32), |known| known.tid).ok()?;
        known.get(at).copied()
    }

    /// Names every thread's roots.
    pub(super) fn threads(&self, out: &mut Out<'_>) {
        let world = self.search.world;
        for thread in world.threads().filter(|thread| !matches!(thread.how, How::NotSeen(_))) {
            self.words(out, Kind::Registers, thread.tid, thread.registers);
            self.stacks(out, &thread);
        }
        if let Some(layout) = world.layout() {
            self.known.items().iter().for_each(|thread| self.local_storage(out, layout, thread));
        }
    }

    /// Names a thread's stack and alternate stack.
    fn stacks(&self, out: &mut Out<'_>, thread: &ThreadState) {
        let stack_pointer = thread.stack_pointer.saturating_sub(RED_ZONE_BYTES) & !(WORD - 1);
        let usual = self.usual_stack(thread);
        if thread.alternate.0 != thread.alternate.1 {
            // The kernel holds the pointer; the program need not.
            self.object(out, Kind::AlternateStack, thread.tid, thread.alternate.0);
        }
        let start = if holds(thread.alternate, thread.stack_pointer) {
            let live = (stack_pointer.max(thread.alternate.0), thread.alternate.1);
            self.words(out, Kind::AlternateStack, thread.tid, live);
            usual.map(|usual| self.interrupted_stack(live, usual))
        } else if usual.is_some_and(|usual| holds(usual, thread.stack_pointer)) {
            usual.map(|usual| stack_pointer.max(usual.0))
        } else {
            self.foreign_stack(out, thread, stack_pointer);
            usual.map(|usual| usual.0)
        };
        if let (Some(start), Some((_, end))) = (start, usual) {
            self.stack(out, thread.tid, (start, end));
        }
    }

    /// The stack that the thread was made with, without the thread-local storage at its end.
    fn usual_stack(&self, thread: &ThreadState) -> Option<Range> {
        if thread.tid == self.search.world.process() {
            let main = self.table.areas().iter().find(|area| area.class == Class::MainStack);
            return main.map(|area| (area.start, area.end));
        }
        if let (Some(known), Some(layout)) = (self.known_thread(thread), self.search.world.layout()) {
            let (start, end) = known.stack;
            let storage = layout.static_tls(known.descriptor).0.min(known.descriptor);
            return (start != end).then_some((start, end.min(storage)));
        }
        let area = self.table.find(thread.stack_pointer)?;
        self.below_stack_pointer(thread).map(|_| (area.start, area.end))
    }

    /// Where the live part of the usual stack begins, as the alternate stack tells: see the module text.
    fn interrupted_stack(&self, live: Range, usual: Range) -> usize {
        let lowest = (live.0..live.1)
            .step_by(WORD)
            .filter_map(|at| self.word(at))
            .filter(|&word| holds(usual, word))
            .min();
        lowest.map_or(usual.0, |word| word.saturating_sub(RED_ZONE_BYTES).max(usual.0))
    }

    /// Names a stack that is neither the thread's usual nor its alternate one.
    fn foreign_stack(&self, out: &mut Out<'_>, thread: &ThreadState, stack_pointer: usize) {
        if self.owned.contains(thread.stack_pointer) {
            self.object(out, Kind::Stack, thread.tid, thread.stack_pointer);
        } else if let Some(area) = self.table.find(thread.stack_pointer) {
            self.stack(out, thread.tid, (stack_pointer.max(area.start), area.end));
        }
    }

    /// Names a stack's words. Most pages of a long one were never used.
    fn stack(&self, out: &mut Out<'_>, tid: u32, range: Range) {
        const LONG_BYTES: usize = 64 << 10;
        if range.1.saturating_sub(range.0) > LONG_BYTES {
            self.written(out, Kind::Stack, tid, range);
        } else {
            self.words(out, Kind::Stack, tid, range);
        }
    }

    /// Names a thread's thread-local storage, specific values and descriptor.
    fn local_storage(&self, out: &mut Out<'_>, layout: &Layout, thread: &glibc::Thread) {
        let tid = thread.tid.max(0) as u32;
        let live = thread.list != List::Cached && thread.tid > 0;
        if live {
            self.words(out, Kind::Tls, tid, layout.static_tls(thread.descriptor));
        }
        self.dynamic_tls(out, layout, thread, live);
        if thread.list != List::Cached {
            self.descriptor(out, layout, thread);
        }
        if self.owned.contains(thread.stack.0) {
            // A stack in a block of the heap: its live part has been named, the block is in use.
            (out.visit)(Root { kind: Kind::Stack, tid, what: What::Keep(thread.stack.0) });
        }
    }

    /// Names the blocks of dynamic TLS and the array that holds them. Those of a thread that has ended
    /// are still glibc's, but nothing uses what they point at.
    fn dynamic_tls(&self, out: &mut Out<'_>, layout: &Layout, thread: &glibc::Thread, live: bool) {
        let tid = thread.tid.max(0) as u32;
        let read = |at| self.word(at);
        let Some(array) = layout.dtv(thread.descriptor, &read) else { return };
        let mut name = |at| match live {
            true => self.object(out, Kind::Tls, tid, at),
            false => (out.visit)(Root { kind: Kind::Tls, tid, what: What::Keep(at) }),
        };
        name(array.0);
        layout.for_each_tls_block(thread.descriptor, &read, &mut name);
    }

    /// Names the specific values, and the descriptor without them and without the pointers to more.
    fn descriptor(&self, out: &mut Out<'_>, layout: &Layout, thread: &glibc::Thread) {
        let tid = thread.tid.max(0) as u32;
        let whole = (thread.descriptor, thread.descriptor + layout.descriptor_bytes);
        let pointers = layout.specific_pointers(thread.descriptor);
        let mut inline = (whole.1, whole.1);
        layout.for_each_specific(thread.descriptor, &|at| self.word(at), &mut |start, end| {
            if holds(whole, start) {
                inline = (start, end.min(whole.1));
                self.words(out, Kind::Specific, tid, inline);
            } else {
                self.object(out, Kind::Specific, tid, start);
            }
        });
        let (first, second) = (pointers.min(inline), pointers.max(inline));
        for part in [(whole.0, first.0), (first.1, second.0), (second.1, whole.1)] {
            self.words(out, Kind::Descriptor, tid, part);
        }
    }
}
