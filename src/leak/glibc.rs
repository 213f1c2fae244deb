//! What glibc knows of its threads, read from its own memory.
//!
//! glibc describes its private structures to debuggers: symbols `_thread_db_<field>` hold a field's
//! offset (`struct { u32 bits, count, offset; }`), `_thread_db_sizeof_<struct>` a size, and the dynamic
//! linker's `_rtld_global` holds the lists of threads. They exist since glibc 2.34 in libc itself and
//! are the same data that libthread_db, and so every debugger, relies on. From them:
//!
//! - every thread's descriptor (`struct pthread`), also of threads this library never saw being made
//!   and of ended ones that wait to be joined, whose return value only the descriptor holds;
//! - the blocks of thread-local storage of each module (the DTV);
//! - the values of `pthread_setspecific`;
//! - the stacks of ended threads that glibc keeps for reuse, full of stale words: the third list,
//!   which debuggers don't need and no symbol names, lies behind the other two in `_rtld_global`.
//!
//! A descriptor lies at the upper end of its thread's stack, and below it the static TLS. Where the
//! stack begins no symbol says; but the descriptor holds the block's first address and its size in
//! neighbouring words, and such a pair is recognised by their sum, the block's known end.
//!
//! With another libc, or a static one, the symbols are missing: then thread-local storage is found as
//! part of the mapping that it lies in.

use crate::sync::{Mutex, Rank};
use core::ffi::CStr;

/// Where fields lie, in bytes, and where the lists begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    /// Bytes of a thread's descriptor.
    pub(crate) descriptor_bytes: usize,
    /// Bytes of the static TLS, the descriptor included on x86-64.
    pub(crate) static_tls_bytes: usize,
    list_at: usize,
    tid_at: usize,
    dtv_at: usize,
    specific_at: usize,
    specific_blocks: usize,
    specific_block_bytes: usize,
    /// Heads of the lists: threads on glibc's stacks, on the program's stacks, and stacks kept for reuse.
    lists: [usize; 3],
}

/// Which list a thread was found in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum List {
    /// On a stack that glibc mapped.
    Used,
    /// On a stack that the program gave, or the main thread.
    User,
    /// Ended; the stack waits for the next thread.
    Cached,
}

/// A thread's descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Thread {
    /// Address of the descriptor.
    pub(crate) descriptor: usize,
    /// The thread's number; 0 or less once it has ended.
    pub(crate) tid: i32,
    /// Where it was found.
    pub(crate) list: List,
    /// First address and end of its stack's block, without the guard; 0, 0 if not known, as for the main
    /// thread.
    pub(crate) stack: (usize, usize),
}

/// Reads a word that may not be there.
pub(crate) type Read<'a> = &'a dyn Fn(usize) -> Option<usize>;

const WORD: usize = size_of::<usize>();
/// A DTV's entry: the block's address and what to free.
const DTV_ENTRY_BYTES: usize = 2 * WORD;
/// Modules with TLS, at most: bounds a walk through damaged memory.
const MOST_MODULES: usize = 1 << 16;
/// Threads, at most: Linux can't have more.
const MOST_THREADS: usize = 4 << 20;

/// Above all addresses of programs: sums with small offsets do not overflow.
const HIGHEST: usize = usize::MAX / 2;

static LAYOUT: Mutex<Option<Layout>> = Mutex::new(Rank::Leaf, None);

/// Looks the symbols up, once. Not while the world is stopped: the dynamic linker locks.
pub(crate) fn learn() {
    let known = lookup();
    *LAYOUT.lock() = known;
}

/// The layout, if [`learn`] found one.
pub(crate) fn layout() -> Option<Layout> {
    *LAYOUT.lock()
}

fn lookup() -> Option<Layout> {
    let rtld = symbol(c"_rtld_global")?;
    let used = rtld + offset(c"_thread_db_rtld_global__dl_stack_used")?;
    let user = rtld + offset(c"_thread_db_rtld_global__dl_stack_user")?;
    // The cache's head follows the two others; if these don't follow each other, it is elsewhere.
    let cached = if user == used + 2 * WORD { user + 2 * WORD } else { 0 };
    let specific = field(c"_thread_db_pthread_specific")?;
    Some(Layout {
        descriptor_bytes: size(c"_thread_db_sizeof_pthread")?,
        static_tls_bytes: static_tls_bytes()?,
        list_at: offset(c"_thread_db_pthread_list")?,
        tid_at: offset(c"_thread_db_pthread_tid")?,
        dtv_at: offset(c"_thread_db_pthread_dtvp")?,
        specific_at: specific[2] as usize,
        // An array is described as one field of all its bits, or as many of one element's.
        specific_blocks: specific[0] as usize * specific[1] as usize / usize::BITS as usize,
        specific_block_bytes: size(c"_thread_db_sizeof_pthread_key_data_level2")?,
        lists: [used, user, cached],
    })
}

fn symbol(name: &CStr) -> Option<usize> {
    // SAFETY: looks a name up; glibc locks and may allocate, which `learn`'s caller allows.
    let at = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!at.is_null()).then_some(at.addr())
}

fn field(name: &CStr) -> Option<[u32; 3]> {
    let at: *const [u32; 3] = core::ptr::with_exposed_provenance(symbol(name)?);
    // SAFETY: glibc's symbols of this prefix that describe fields are constants of three words.
    Some(unsafe { at.read() })
}

fn offset(name: &CStr) -> Option<usize> {
    field(name).map(|[_, _, offset]| offset as usize)
}

fn size(name: &CStr) -> Option<usize> {
    let at: *const u32 = core::ptr::with_exposed_provenance(symbol(name)?);
    // SAFETY: glibc's symbols of the prefix `_thread_db_sizeof_` are constants of one word.
    Some(unsafe { at.read() } as usize)
}

fn static_tls_bytes() -> Option<usize> {
    let function = symbol(c"_dl_get_tls_static_info")?;
    let (mut bytes, mut align) = (0usize, 0usize);
    // SAFETY: the dynamic linker's function of this name has had this signature since 2.3; it writes two
    // numbers.
    let function: unsafe extern "C" fn(*mut usize, *mut usize) = unsafe { core::mem::transmute(function) };
    // SAFETY: both numbers live for the call.
    unsafe { function(&raw mut bytes, &raw mut align) };
    Some(bytes)
}

impl Layout {
    /// Calls `each` for every thread in the lists; `false` if a list ends in the void.
    ///
    /// A thread that was stopped amid a change of a list leaves it walkable forwards, with the element
    /// at worst missing.
    pub(crate) fn for_each_thread(&self, read: Read<'_>, each: &mut dyn FnMut(Thread)) -> bool {
        [List::Used, List::User, List::Cached]
            .into_iter()
            .zip(self.lists)
            .filter(|&(_, head)| head != 0)
            .fold(true, |complete, (list, head)| self.walk(list, head, read, each) && complete)
    }

    fn walk(&self, list: List, head: usize, read: Read<'_>, each: &mut dyn FnMut(Thread)) -> bool {
        let mut node = head;
        for _ in 0..MOST_THREADS {
            node = match read(node) {
                Some(next) if next == head => return true,
                Some(next) if next % WORD == 0 && next > self.list_at && next < HIGHEST => next,
                _ => return false,
            };
            let descriptor = node - self.list_at;
            let Some(tid) = read(descriptor + self.tid_at) else { return false };
            let stack = self.stack(descriptor, read);
            each(Thread { descriptor, tid: tid as u32 as i32, list, stack });
        }
        false
    }

    /// The stack's block: two neighbouring words of the descriptor, an address below it and a size, that
    /// add up to the block's end, which lies within a page above the descriptor.
    ///
    /// The bounds matter: the thread's number is followed by a pointer into the descriptor, and these two
    /// may add up as well.
    fn stack(&self, descriptor: usize, read: Read<'_>) -> (usize, usize) {
        const PAGE: usize = 4096;
        /// Nothing is mapped below (`vm.mmap_min_addr`), and no thread has a higher number.
        const LOWEST: usize = 4 << 20;
        /// `PTHREAD_STACK_MIN` is 16 KiB, but programs have given less.
        const SIZES: core::ops::Range<usize> = 2048..1 << 40;
        let top = self.thread_area_end(descriptor);
        let mut last = 0;
        for at in (descriptor..descriptor + self.descriptor_bytes).step_by(WORD) {
            let Some(word) = read(at) else { break };
            let possible = (LOWEST..descriptor).contains(&last) && SIZES.contains(&word);
            if possible && (top..top + PAGE).contains(&(last + word)) {
                return (last, last + word);
            }
            last = word;
        }
        (0, 0)
    }

    /// The thread pointer of the thread with this descriptor.
    pub(crate) fn thread_pointer(&self, descriptor: usize) -> usize {
        // x86-64 keeps the descriptor at the thread pointer, aarch64 right below it.
        descriptor + if cfg!(target_arch = "x86_64") { 0 } else { self.descriptor_bytes }
    }

    /// First address and end of a thread's static TLS, without the descriptor.
    pub(crate) fn static_tls(&self, descriptor: usize) -> (usize, usize) {
        if cfg!(target_arch = "x86_64") {
            let below = self.static_tls_bytes.saturating_sub(self.descriptor_bytes);
            (descriptor.saturating_sub(below), descriptor)
        } else {
            let start = descriptor + self.descriptor_bytes;
            (start, start + self.static_tls_bytes)
        }
    }

    /// The end of the descriptor and the static TLS, whichever is above.
    fn thread_area_end(&self, descriptor: usize) -> usize {
        (descriptor + self.descriptor_bytes).max(self.static_tls(descriptor).1)
    }

    /// First address and end of a thread's array of TLS blocks.
    pub(crate) fn dtv(&self, descriptor: usize, read: Read<'_>) -> Option<(usize, usize)> {
        let at = if cfg!(target_arch = "x86_64") {
            descriptor + self.dtv_at
        } else {
            self.thread_pointer(descriptor)
        };
        let dtv = read(at).filter(|dtv| dtv % WORD == 0 && (DTV_ENTRY_BYTES + 1..HIGHEST).contains(dtv))?;
        // The entry before the first holds how many there are.
        let modules = read(dtv - DTV_ENTRY_BYTES).filter(|&n| n < MOST_MODULES)?;
        Some((dtv - DTV_ENTRY_BYTES, dtv + (modules + 1) * DTV_ENTRY_BYTES))
    }

    /// Calls `each` with the address of every block of dynamic TLS, as it was allocated.
    pub(crate) fn for_each_tls_block(&self, descriptor: usize, read: Read<'_>, each: &mut dyn FnMut(usize)) {
        let Some((start, end)) = self.dtv(descriptor, read) else { return };
        for entry in (start + 2 * DTV_ENTRY_BYTES..end).step_by(DTV_ENTRY_BYTES) {
            if let Some(block) = read(entry + WORD).filter(|&block| block != 0) {
                each(block);
            }
        }
    }

    /// First address and end of the pointers to the blocks of `pthread_setspecific` values.
    pub(crate) fn specific_pointers(&self, descriptor: usize) -> (usize, usize) {
        let start = descriptor + self.specific_at;
        (start, start + self.specific_blocks * WORD)
    }

    /// First address and end of the thread's blocks of `pthread_setspecific` values: calls `each` for each.
    ///
    /// The first block is part of the descriptor, the others are allocated when their keys are first set.
    pub(crate) fn for_each_specific(
        &self,
        descriptor: usize,
        read: Read<'_>,
        each: &mut dyn FnMut(usize, usize),
    ) {
        for block in 0..self.specific_blocks {
            if let Some(start) = read(descriptor + self.specific_at + block * WORD).filter(|&at| at != 0) {
                each(start, start + self.specific_block_bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const LAYOUT: Layout = Layout {
        descriptor_bytes: 0x100,
        static_tls_bytes: 0x180,
        list_at: 0x20,
        tid_at: 0x30,
        dtv_at: 8,
        specific_at: 0x40,
        specific_blocks: 2,
        specific_block_bytes: 0x20,
        lists: [0x1000, 0x1010, 0x1020],
    };

    /// The thread's stack.
    const AT: usize = 0x7000_0000_5000;
    const END: usize = AT + 0x4000;
    /// The descriptor, at its end.
    const D: usize = END - 0x100;

    /// One thread, in the first list; the others are empty.
    fn memory() -> BTreeMap<usize, usize> {
        let mut memory: BTreeMap<usize, usize> = (D..END).step_by(8).map(|at| (at, 0)).collect();
        memory.extend([(0x1000, D + 0x20), (D + 0x20, 0x1000), (0x1010, 0x1010), (0x1020, 0x1020)]);
        // The number and the pointer behind it add up to an address right above the descriptor too.
        memory.extend([(D + 0x30, 0x50), (D + 0x38, D + 0xf8), (D + 0x60, AT), (D + 0x68, 0x4000)]);
        memory.extend([(D + 8, 0x700), (D + 0x40, D + 0x80)]);
        memory.extend([(0x6f0, 2), (0x710, 0xaa00), (0x718, 0), (0x720, 0xbb10), (0x728, 0xbb00)]);
        memory
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn made_up_threads_are_read() {
        let memory = memory();
        let read = |at: usize| memory.get(&at).copied();
        let mut threads = std::vec::Vec::new();
        assert!(LAYOUT.for_each_thread(&read, &mut |thread| threads.push(thread)));
        let want = Thread { descriptor: D, tid: 0x50, list: List::Used, stack: (AT, END) };
        assert_eq!(threads, [want]);
        assert_eq!(LAYOUT.static_tls(D), (D - 0x80, D));
        assert_eq!(LAYOUT.dtv(D, &read), Some((0x6f0, 0x730)));
        let mut blocks = std::vec::Vec::new();
        LAYOUT.for_each_tls_block(D, &read, &mut |block| blocks.push(block));
        assert_eq!(blocks, [0xbb00]);
        LAYOUT.for_each_specific(D, &read, &mut |start, end| blocks.push(end - start));
        assert_eq!(blocks, [0xbb00, 0x20]);
    }

    #[test]
    fn a_damaged_list_is_noticed() {
        let mut memory = memory();
        memory.insert(D + 0x20, 0xdead0);
        assert!(!LAYOUT.for_each_thread(&|at| memory.get(&at).copied(), &mut |_| ()));
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn the_own_thread_is_found_with_its_stack_and_tls() {
        std::thread_local!(static LOCAL: u64 = const { 7 });
        std::thread::spawn(|| {
            learn();
            let layout = layout().unwrap();
            let (here, local) = (&raw const layout as usize, LOCAL.with(|l| &raw const *l as usize));
            let tid = crate::sys::message::thread_id() as i32;
            let mut found = None;
            let peek = &crate::leak::peek::through_kernel;
            layout
                .for_each_thread(peek, &mut |thread| found = found.or((thread.tid == tid).then_some(thread)));
            let thread = found.unwrap();
            assert!((thread.stack.0..thread.stack.1).contains(&here));
            let (tls, end) = layout.static_tls(thread.descriptor);
            assert!((tls..end).contains(&local));
            assert!(layout.dtv(thread.descriptor, peek).is_some());
        })
        .join()
        .unwrap();
    }
}
