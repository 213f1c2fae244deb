//! Roots: the words from which the program can reach its objects.
//!
//! | kind | what | where it comes from |
//! |---|---|---|
//! | registers | every register of a stopped thread | the signal frame that the kernel built; for the calling thread those that survive calls |
//! | stack | from the stack pointer, less the red zone, to the end of the stack | the stopped threads; the end from glibc's descriptor or the mapping |
//! | alternate stack | the same, for a thread that runs on one; and the block that the kernel was given | the signal frame |
//! | TLS | static and dynamic thread-local variables | glibc's descriptors: `super::glibc` |
//! | thread-specific values | `pthread_setspecific` | likewise |
//! | thread descriptor | start routine's argument, return value not yet joined | likewise |
//! | globals | data of loaded objects, dlopened ones too, with what is relocated and then read-only | `/proc/self/maps`, ELF headers in memory |
//! | mapping | every other private mapping that is not besom's own | `/proc/self/maps` |
//! | shared memory | shared mappings without a file: `MAP_SHARED \| MAP_ANONYMOUS`, memfd, `/dev/shm`, System V | likewise |
//! | shared file | shared mappings of files; off unless asked for, since files outlive addresses | likewise |
//! | region | what the program registered | `regions` |
//!
//! LeakSanitizer reads no mapping but stacks, data and registered regions; Valgrind reads all of them,
//! shared ones too. Here a mapping counts: what the program can reach must not be called lost. What
//! can't hold a pointer that the program stored is left out, page by page (`pages`): pages never
//! written, and pages of a file that the program has not changed.
//!
//! **Thread-local storage.** A pthread's descriptor and static TLS lie at the upper end of its stack.
//! The main thread's were made by the dynamic linker before any malloc, in a mapping of its own. Blocks
//! of dynamic TLS, and the array (DTV) that names them, are allocated with the program's malloc, so they
//! are objects of our heap: the DTV is reached by a pointer into its middle, which would make it only
//! "possibly lost". Therefore both are named as objects in use.
//!
//! **Ended threads.** glibc keeps the stacks of ended threads for reuse. Their words are stale and are
//! not read, nor are those of threads that have ended and wait to be joined, but for the descriptor,
//! which holds the return value. Their DTVs and blocks, which glibc will free later, are kept. Not
//! covered: cached stacks of another libc, or when glibc's lists are not as known ([`Notes`] says so);
//! they are then read as mappings, which can hide a leak but not invent one.
//!
//! **Other stacks** (coroutines, `makecontext`, `sigaltstack` left by a jump): a thread's stack pointer
//! outside all that is known is followed to the end of its mapping, or, inside our heap, names the
//! object around it. Its usual stack then counts as a whole: the frames that wait there begin nobody
//! knows where. For a thread on its alternate stack they begin at the lowest pointer into the usual
//! stack that the alternate one holds, for the kernel has put the interrupted stack pointer there.
//!
//! **In the child of a fork** regions with `MADV_DONTFORK` are missing and ones with `MADV_WIPEONFORK`
//! are empty: what only they point at is reported as lost, unless registered otherwise.
//!
//! **Without `/proc`** the data of loaded objects and the stacks are still found; other mappings are
//! not, and [`Notes`] says so.

mod cover;
mod image;
mod map_table;
mod pages;
mod regions;
#[cfg(test)]
mod tests;
mod threads;

pub(crate) use regions::{register, unregister};

use crate::leak::{
    capture, depot, frame, glibc,
    own_memory::{self, Buffer, NoMemory},
    peek,
    stop_world::{Range, StoppedWorld},
};
use cover::Cover;
use map_table::{Area, Class, MapTable};
use pages::PageTable;

/// Bytes of the words that are scanned.
const WORD: usize = size_of::<usize>();

/// What holds a root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A stopped thread's registers.
    Registers,
    /// A thread's stack.
    Stack,
    /// A thread's alternate signal stack.
    AlternateStack,
    /// Thread-local variables.
    Tls,
    /// Values of `pthread_setspecific`.
    Specific,
    /// A thread's descriptor.
    Descriptor,
    /// Data of a loaded object.
    Globals,
    /// Another private mapping.
    Mapping,
    /// Shared memory without a file.
    SharedMemory,
    /// A shared mapping of a file.
    SharedFile,
    /// A registered region.
    Region,
}

impl Kind {
    /// Every kind.
    pub(crate) const ALL: [Self; 11] = [
        Self::Registers,
        Self::Stack,
        Self::AlternateStack,
        Self::Tls,
        Self::Specific,
        Self::Descriptor,
        Self::Globals,
        Self::Mapping,
        Self::SharedMemory,
        Self::SharedFile,
        Self::Region,
    ];
}

/// A set of kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kinds(u16);

impl Kinds {
    /// All but shared files.
    pub(crate) const DEFAULT: Self = Self((1 << Kind::ALL.len()) - 1).without(Kind::SharedFile);

    /// The set without `kind`.
    pub(crate) const fn without(self, kind: Kind) -> Self {
        Self(self.0 & !(1 << kind as u8))
    }

    /// The set with `kind`.
    #[cfg(test)]
    pub(crate) const fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    /// Whether the set holds `kind`.
    pub(crate) const fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }
}

/// What a root is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// Words to scan: both ends are multiples of the word size, unless pointers at any address count. May lie
    /// in the heap (a stack there).
    Words(Range),
    /// The object around this address is in use as a whole, as if a pointer to its start had been
    /// found, and its words are to be scanned. Of no meaning if the address is not in the heap.
    Object(usize),
    /// As `Object`, but what only this object points at is not in use: its kind of root is turned off.
    /// To be marked after all else, so that an object with another way to it is still scanned.
    Keep(usize),
}

/// A root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Root {
    /// What holds it.
    pub(crate) kind: Kind,
    /// The thread it belongs to, or 0.
    pub(crate) tid: u32,
    /// Where it is.
    pub(crate) what: What,
}

/// Calls back with ranges of addresses.
pub(crate) type Owned<'a> = &'a dyn Fn(&mut dyn FnMut(Range));

/// How to look for roots.
#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    /// The stopped threads.
    pub(crate) world: &'a StoppedWorld,
    /// What counts.
    pub(crate) kinds: Kinds,
    /// Calls back with every range of besom's own memory: the heap, which is marked, not scanned, and
    /// its metadata and data segment. What `own_memory` made is known here already.
    pub(crate) owned: Owned<'a>,
    /// Whether this is the program itself and not a child: then each page is tried before it is named,
    /// because a fault could not be caught.
    pub(crate) in_place: bool,
    /// Whether pointers at any address count.
    pub(crate) unaligned: bool,
}

/// What could not be looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Notes {
    /// `/proc/self/maps` is hidden: mappings other than stacks and loaded objects are not roots.
    pub(crate) no_maps: bool,
    /// glibc's description of its threads is missing or not as known: thread-local storage and stacks
    /// kept for reuse were read as mappings.
    pub(crate) no_threads: bool,
    /// A list of threads led nowhere.
    pub(crate) broken_list: bool,
    /// The page table is hidden: pages never written were read too.
    pub(crate) no_page_table: bool,
    /// Memory of a loaded object's variables is protected from reading.
    pub(crate) hidden_data: bool,
    /// Pages could not be tried before they were named.
    pub(crate) untried: bool,
    /// Pages that can't be read were left out. (In a child their faults are counted instead.)
    pub(crate) unread: bool,
}

/// Looks up what only the dynamic linker can tell. Once, when leak mode starts; it may allocate.
pub(crate) fn learn() {
    glibc::learn();
    image::learn();
    frame::learn();
}

/// Calls `visit` for every root. Parts may be named more than once.
///
/// Allocates only through `own_memory`, takes no lock of libc and needs about 32 KiB of stack.
pub(crate) fn find(search: &Search<'_>, visit: &mut dyn FnMut(Root)) -> Result<Notes, NoMemory> {
    let mut notes = Notes::default();
    let mut finder = Finder::new(search, &mut notes)?;
    finder.read_threads(&mut notes)?;
    finder.cover_all()?;
    let out = &mut Out { visit, notes, end: 0 };
    finder.threads(out);
    for &area in finder.table.areas() {
        finder.area(out, area);
    }
    regions::for_each(&mut |region| finder.region(out, region));
    Ok(out.notes)
}

/// Where the roots go.
struct Out<'a> {
    visit: &'a mut dyn FnMut(Root),
    notes: Notes,
    /// The end of the words named last.
    end: usize,
}

/// What a search knows.
struct Finder<'a> {
    search: &'a Search<'a>,
    /// Reads words that may not be there.
    read: glibc::Read<'static>,
    table: MapTable,
    /// Whether the table holds only loaded objects and the main stack, because `/proc` is hidden.
    no_maps: bool,
    page_table: PageTable,
    /// glibc's threads, by number.
    known: Buffer<glibc::Thread>,
    /// besom's own memory.
    owned: Cover,
    /// What the scan of mappings leaves out: besom's own memory, stacks, thread-local storage.
    cover: Cover,
}

impl<'a> Finder<'a> {
    fn new(search: &'a Search<'a>, notes: &mut Notes) -> Result<Self, NoMemory> {
        let read = peek::reader(!search.in_place);
        let table = MapTable::read(read)?;
        let no_maps = table.is_none();
        let page_table = PageTable::open();
        notes.no_maps = no_maps;
        notes.no_page_table = !page_table.is_shown();
        notes.no_threads = search.world.layout().is_none();
        notes.hidden_data = table.as_ref().is_some_and(MapTable::has_hidden_data);
        let table = table.map_or_else(|| objects_as_table(search.world, read), Ok)?;
        let (known, owned, cover) = (Buffer::new(), Cover::new(), Cover::new());
        Ok(Self { search, read, table, no_maps, page_table, known, owned, cover })
    }

    /// Collects glibc's threads.
    fn read_threads(&mut self, notes: &mut Notes) -> Result<(), NoMemory> {
        let Some(layout) = self.search.world.layout() else { return Ok(()) };
        let (mut known, mut result) = (Buffer::new(), Ok(()));
        let complete = layout.for_each_thread(&|at| self.word(at), &mut |thread| {
            result = result.and(known.push(thread));
        });
        result?;
        notes.broken_list = !complete;
        known.items_mut().sort_unstable_by_key(|thread| thread.tid);
        self.known = known;
        Ok(())
    }

    /// Reads a word of the program. Without a table of all mappings only the kernel knows what is there.
    fn word(&self, at: usize) -> Option<usize> {
        if self.no_maps { (self.read)(at) } else { self.table.word(at) }
    }

    /// Fills the sets of what is not scanned as a mapping.
    fn cover_all(&mut self) -> Result<(), NoMemory> {
        let (mut owned, mut cover, mut result) = (Cover::new(), Cover::new(), Ok(()));
        let mut add = |range| result = result.and_then(|()| owned.add(range)).and_then(|()| cover.add(range));
        (self.search.owned)(&mut add);
        own_memory::for_each(&mut |start, end| add((start, end)));
        capture::for_each_mapping(|at, bytes| add((at.0, at.0 + bytes)));
        depot::for_each_mapping(|at, bytes| add((at.0, at.0 + bytes)));
        result?;
        owned.seal();
        self.owned = owned;
        self.cover_threads(&mut cover)?;
        cover.seal();
        self.cover = cover;
        Ok(())
    }

    /// Names a part of the program's memory as words of `kind`, if that kind counts.
    fn words(&self, out: &mut Out<'_>, kind: Kind, tid: u32, (start, end): Range) {
        let unaligned = self.search.unaligned;
        let aligned = (start.saturating_add(WORD - 1) & !(WORD - 1), end & !(WORD - 1));
        let range = if unaligned { (start, end) } else { aligned };
        if !self.search.kinds.has(kind) || range.0 >= range.1 {
            return;
        }
        let Out { visit, notes, end: last_end } = out;
        let mut name = |(start, end)| {
            // A pointer may begin in the range named before this one.
            let across = if unaligned && start == *last_end { WORD - 1 } else { 0 };
            *last_end = end;
            visit(Root { kind, tid, what: What::Words((start - across, end)) });
        };
        if self.search.in_place {
            let tried = pages::readable(range, &mut name);
            notes.untried |= !tried.allowed;
            notes.unread |= !tried.whole;
        } else {
            name(range);
        }
    }

    /// As [`Self::words`], for private memory: only the pages that were written.
    fn written(&self, out: &mut Out<'_>, kind: Kind, tid: u32, range: Range) {
        self.page_table.written(range, &mut |run| self.words(out, kind, tid, run));
    }

    /// Names the object around `at` as in use, with what it points at if `kind` counts.
    fn object(&self, out: &mut Out<'_>, kind: Kind, tid: u32, at: usize) {
        let what = if self.search.kinds.has(kind) { What::Object(at) } else { What::Keep(at) };
        (out.visit)(Root { kind, tid, what });
    }

    /// Names what a mapping holds.
    fn area(&self, out: &mut Out<'_>, area: Area) {
        let kind = match area.class {
            Class::Globals => Kind::Globals,
            Class::Private => Kind::Mapping,
            Class::SharedMemory if area.writable => Kind::SharedMemory,
            Class::SharedFile if area.writable => Kind::SharedFile,
            _ => return,
        };
        // Read-only memory may have been written before; the pages tell. Code is not data.
        let told = area.writable || (!area.executable && self.page_table.is_shown());
        if !told || !self.search.kinds.has(kind) {
            return;
        }
        self.cover.gaps((area.start, area.end), &mut |part| match kind {
            Kind::SharedMemory | Kind::SharedFile => {
                pages::resident(part, &mut |run| self.words(out, kind, 0, run));
            }
            _ => self.written(out, kind, 0, part),
        });
    }

    /// Names a registered region, as far as it is mapped.
    fn region(&self, out: &mut Out<'_>, (start, end): Range) {
        if self.no_maps {
            return self.words(out, Kind::Region, 0, (start, end));
        }
        let areas = self.table.areas();
        let first = areas.partition_point(|area| area.end <= start);
        for area in areas.iter().skip(first).take_while(|area| area.start < end) {
            self.words(out, Kind::Region, 0, (start.max(area.start), end.min(area.end)));
        }
    }
}

/// Without `/proc`: the data of loaded objects and the main thread's stack.
fn objects_as_table(world: &StoppedWorld, read: glibc::Read<'_>) -> Result<MapTable, NoMemory> {
    let mut table = MapTable::empty();
    let mut result = Ok(());
    let mut add = |(start, end), class| {
        let area = Area { start, end, class, writable: true, executable: false };
        result = result.and(table.push(area));
    };
    image::for_each_data(read, &mut |range| add(range, Class::Globals));
    if let Some(main) = world.threads().find(|thread| thread.tid == world.process()) {
        // SAFETY: getauxval reads an array the kernel made. The program's name lies above its stack.
        let top = unsafe { libc::getauxval(libc::AT_EXECFN) } as usize;
        add((main.stack_pointer.saturating_sub(super::stop_world::RED_ZONE_BYTES), top), Class::MainStack);
    }
    result?;
    table.sort();
    Ok(table)
}
