//! Which module an address belongs to, without locks, and whether it still is the one it was.
//!
//! There are two ways to find a module, chosen once:
//!
//! * `_dl_find_object` (glibc 2.35 and newer), which takes no lock and may be called in signal handlers;
//! * reading `/proc/self/maps` otherwise, once per module: `dl_iterate_phdr` takes the loader's lock, for
//!   which a thread must not wait inside `malloc`.
//!
//! glibc knows a program whose segments lie apart, as those of large ones linked for huge pages do, as one module for
//! each segment. Their headers are those of the program. (Of a library the holes are mapped, too.)
//!
//! Rules are remembered by address, and `dlclose` can give an address a new meaning. So the modules for
//! which rules were remembered are remembered too, by an identity: where the module lies, and its first
//! kilobyte, which has the sizes of all segments and, as common linkers write it, the build id. Every
//! stack that was never seen before is checked: if one of its frames lies in a module with another
//! identity, all rules are forgotten and the stack is walked again. A wrong rule can't go unnoticed for
//! long, because the stack that comes of it is a new one. (Two modules without build ids and with
//! segments of equal sizes, one loaded in the other's place, are not told apart.)

use super::{
    elf::{self, Image},
    history, maps,
    table::Table,
};
use crate::base::Addr;
use crate::sync::{Mutex, Rank};
use crate::sys::probe;
use core::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// A loaded module, or a segment of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Module {
    /// Its first address.
    pub(super) start: usize,
    /// One past its last.
    pub(super) end: usize,
    /// Where its headers lie: the first address, but for segments of a program with gaps.
    pub(super) header: usize,
    /// Address of `.eh_frame_hdr`, 0 if it has none.
    pub(super) eh_frame_hdr: usize,
    /// Tells it from every other module that lies or lay there.
    identity: u64,
}

/// The lock-free finder's address, 0 where the C library has none.
static FINDER: AtomicUsize = AtomicUsize::new(0);
/// Where the program's headers lie, 0 if they are not found.
static PROGRAM: AtomicUsize = AtomicUsize::new(0);
/// The dynamic linker's record of the program, 0 if it is not found.
static PROGRAM_MAP: AtomicUsize = AtomicUsize::new(0);

/// The dynamic linker's records of the modules that were loaded at the start, the program first: these stay.
static INITIAL: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];

/// Finds out which way modules are found, and which of them stay. Before it is called, `/proc/self/maps` is read.
pub(super) fn init() {
    FINDER.store(dl_find_object_address(), Relaxed);
    // SAFETY: both read the auxiliary vector, which needs neither locks nor memory.
    let (headers, entry) = unsafe { (libc::getauxval(libc::AT_PHDR), libc::getauxval(libc::AT_ENTRY)) };
    let program = headers as usize & !(elf::PAGE_BYTES - 1);
    // SAFETY: the program stays mapped.
    if program != 0 && unsafe { Image::at(program) }.is_some() {
        PROGRAM_MAP.store(link_map_at(entry as usize).unwrap_or(0), Relaxed);
        PROGRAM.store(program, Relaxed);
        note_initial();
    }
}

/// Notes the modules of the dynamic linker's chain, which has only those of the start as long as nobody has called
/// `dlopen`. The first captures are made before the program's own code runs.
fn note_initial() {
    /// Where `struct link_map` of <link.h> has the next one.
    const NEXT_AT: usize = 24;
    let mut link_map = PROGRAM_MAP.load(Relaxed);
    for place in &INITIAL {
        if link_map == 0 {
            return;
        }
        place.store(link_map, Relaxed);
        // SAFETY: a record of the chain, whose public part this is; those of loaded modules stay.
        link_map = unsafe { Addr(link_map + NEXT_AT).ptr::<usize>().read() };
    }
}

/// Whether the module of this record can't be unloaded.
fn stays(link_map: usize) -> bool {
    let mut initial = INITIAL.iter().map(|place| place.load(Relaxed)).take_while(|&initial| initial != 0);
    initial.any(|initial| initial == link_map)
}

/// How modules are found, in words.
#[cfg(test)]
pub(super) fn source() -> &'static str {
    if FINDER.load(Relaxed) != 0 { "_dl_find_object" } else { "/proc/self/maps" }
}

/// The module that `address` lies in. `address` must be that of code that is running or waiting for a
/// call to return, or else the module may be unloaded meanwhile.
pub(super) fn find(address: usize) -> Option<Module> {
    match FINDER.load(Relaxed) {
        0 => find_known(address).or_else(|| {
            let (start, end, eh_frame_hdr) = maps::find(address)?;
            Module::new(start, end, start, eh_frame_hdr)
        }),
        finder => find_by(finder, address),
    }
}

/// glibc's `struct dl_find_object`: flags, start, end, link map, `.eh_frame_hdr`, and room to grow.
#[repr(C)]
#[derive(Default)]
struct Found([usize; 16]);

fn find_by(finder: usize, address: usize) -> Option<Module> {
    let Found([_, start, end, link_map, eh_frame_hdr, ..]) = look_up(finder, address)?;
    let words = first_words(start, is_noted(start, end, eh_frame_hdr) && stays(link_map))?;
    if words[0] as u32 != ELF_MAGIC && link_map != 0 && link_map == PROGRAM_MAP.load(Relaxed) {
        let header = PROGRAM.load(Relaxed);
        let words = first_words(header, header != 0)?;
        return Some(Module::with_words(start, end, header, eh_frame_hdr, words));
    }
    Some(Module::with_words(start, end, start, eh_frame_hdr, words))
}

/// The first four bytes of a file's header.
const ELF_MAGIC: u32 = u32::from_le_bytes(*b"\x7fELF");

fn look_up(finder: usize, address: usize) -> Option<Found> {
    type Finder = unsafe extern "C" fn(usize, *mut Found) -> libc::c_int;
    // SAFETY: a non-zero finder is the address of `_dl_find_object`, which has this signature.
    let finder: Finder = unsafe { core::mem::transmute::<usize, Finder>(finder) };
    let mut found = Found::default();
    // SAFETY: the function takes any address, writes no more than its structure, twelve words, and
    // needs neither locks nor memory.
    (unsafe { finder(address, &raw mut found) } == 0).then_some(found)
}

/// The dynamic linker's record of the module that `address` lies in, if its finder is used.
pub(super) fn link_map_at(address: usize) -> Option<usize> {
    match FINDER.load(Relaxed) {
        0 => None,
        finder => look_up(finder, address).map(|Found(words)| words[3]),
    }
}

/// The address of `_dl_find_object`, 0 if no loaded library has it.
fn dl_find_object_address() -> usize {
    let address;
    // SAFETY: loads one word, the symbol's entry in the global offset table, which the dynamic linker
    // filled with the address or, the symbol being weak, with zero.
    unsafe {
        core::arch::asm!(
            ".weak _dl_find_object",
            "mov {}, qword ptr [rip + _dl_find_object@GOTPCREL]",
            out(reg) address, options(nostack, preserves_flags, pure, readonly));
    }
    address
}

impl Module {
    /// A module with its identity; `None` if it can't be read, as one that is being unloaded.
    pub(super) fn new(start: usize, end: usize, header: usize, eh_frame_hdr: usize) -> Option<Self> {
        Some(Self::with_words(start, end, header, eh_frame_hdr, first_words(header, false)?))
    }

    /// As [`Self::new`], with the first words that were found at `header`.
    fn with_words(
        start: usize,
        end: usize,
        header: usize,
        eh_frame_hdr: usize,
        words: &[u64; IDENTITY_WORDS],
    ) -> Self {
        let place = [start as u64, end as u64, eh_frame_hdr as u64];
        // Zero marks a free slot.
        Self { start, end, header, eh_frame_hdr, identity: hash(hash(0, &place), words) | 1 }
    }

    /// What tells it from every other module that lies or lay there.
    pub(super) fn identity(&self) -> u64 {
        self.identity
    }

    /// The module's headers.
    pub(super) fn image(&self) -> Option<Image> {
        // SAFETY: the module is loaded, since an address of running code was found in it, and stays so for as long as
        // that code runs. Its first words were read, so that the page can be.
        unsafe { Image::at_readable(self.header) }
    }

    fn contains(&self, address: usize) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// Words of a module that make its identity: headers and build id lie in the first kilobyte.
const IDENTITY_WORDS: usize = 1024 / size_of::<u64>();

/// The first kilobyte of the page that a module begins in. The kernel is asked whether it can be read, unless that is
/// known of a module that stays: every new stack asks for all of its modules.
fn first_words(start: usize, is_readable: bool) -> Option<&'static [u64; IDENTITY_WORDS]> {
    let page = start & !(elf::PAGE_BYTES - 1);
    if !is_readable && !probe::is_readable(page) {
        return None;
    }
    // SAFETY: modules are mapped by pages, so the kilobyte can be read if its first word can. The module
    // is in use, hence stays mapped, or at least was a moment ago; nobody writes to its headers. Of one that stays the
    // page was found readable when it was noted.
    Some(unsafe { &*core::ptr::with_exposed_provenance(page) })
}

/// A hash of the words: in four lanes, none of which waits for another.
fn hash(seed: u64, words: &[u64]) -> u64 {
    let step = |hash: u64, word: u64| (word ^ hash).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let mut lanes = [seed; 4];
    let (fours, rest) = words.as_chunks::<4>();
    for four in fours {
        lanes = core::array::from_fn(|i| step(lanes[i], four[i]));
    }
    lanes.iter().chain(rest).fold(seed, |hash, &word| step(hash, word))
}

/// Modules for which rules are remembered; a program with more forgets and starts anew.
const KNOWN_SLOTS: usize = 512;

struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    header: AtomicUsize,
    eh_frame_hdr: AtomicUsize,
    /// Written last, 0 while the slot is free.
    identity: AtomicU64,
}

static KNOWN: [Slot; KNOWN_SLOTS] = [const { Slot::new() }; KNOWN_SLOTS];
/// Held by who changes [`KNOWN`]; only ever tried, never waited for. With it goes room for a path, which the stacks of
/// some threads do not have.
pub(super) static CHANGES: Mutex<[u8; history::MAX_PATH_BYTES]> =
    Mutex::new(Rank::Leaf, [0; history::MAX_PATH_BYTES]);
/// How often all rules were forgotten.
static EPOCH: AtomicUsize = AtomicUsize::new(0);
/// Rules were remembered for addresses outside of any module (generated code).
static FOREIGN: AtomicBool = AtomicBool::new(false);

impl Slot {
    const fn new() -> Self {
        Self {
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            header: AtomicUsize::new(0),
            eh_frame_hdr: AtomicUsize::new(0),
            identity: AtomicU64::new(0),
        }
    }

    /// The module noted here. It may be half of one and half of another that replaces it just now.
    fn module(&self) -> Option<Module> {
        let identity = self.identity.load(Acquire);
        (identity != 0).then(|| Module {
            start: self.start.load(Relaxed),
            end: self.end.load(Relaxed),
            header: self.header.load(Relaxed),
            eh_frame_hdr: self.eh_frame_hdr.load(Relaxed),
            identity,
        })
    }

    fn set(&self, module: &Module) {
        self.identity.store(0, Relaxed);
        self.start.store(module.start, Relaxed);
        self.end.store(module.end, Relaxed);
        self.header.store(module.header, Relaxed);
        self.eh_frame_hdr.store(module.eh_frame_hdr, Relaxed);
        self.identity.store(module.identity, Release);
    }

    fn free(&self) {
        self.identity.store(0, Release);
    }
}

/// The known module that `address` lies in, if it is still the same.
fn find_known(address: usize) -> Option<Module> {
    let noted = KNOWN.iter().filter_map(Slot::module).find(|module| module.contains(address))?;
    // The identity, computed anew, also sorts out a slot that changed while it was read.
    Module::new(noted.start, noted.end, noted.header, noted.eh_frame_hdr).filter(|module| *module == noted)
}

/// Whether a module that lies there is known, be it this one or one before it.
fn is_noted(start: usize, end: usize, eh_frame_hdr: usize) -> bool {
    let lies_there =
        |module: Module| (module.start, module.end, module.eh_frame_hdr) == (start, end, eh_frame_hdr);
    KNOWN.iter().any(|slot| slot.module().is_some_and(lies_there))
}

fn is_known(module: &Module) -> bool {
    KNOWN.iter().any(|slot| slot.identity.load(Acquire) == module.identity)
}

/// What came of noting a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Noted {
    /// Rules for it may be remembered.
    Yes,
    /// It took the place of another, or of generated code: all rules were forgotten. They may be
    /// remembered from now on.
    Replaced,
    /// Another thread, or the code that a signal handler interrupted, is noting one: remember nothing.
    Busy,
}

/// Notes that rules for `module` are going to be remembered.
pub(super) fn note(module: &Module, rules: &Table) -> Noted {
    if is_known(module) {
        return Noted::Yes;
    }
    let Some(mut path) = CHANGES.try_lock() else { return Noted::Busy };
    let others = KNOWN.iter().filter(|slot| slot.module().is_some_and(|m| overlap(&m, module)));
    let mut replaced = others.fold(false, |_, slot| {
        slot.free();
        true
    });
    replaced |= FOREIGN.swap(false, Relaxed);
    let slot = KNOWN.iter().find(|slot| slot.identity.load(Relaxed) == 0).unwrap_or_else(|| {
        KNOWN.iter().for_each(Slot::free);
        replaced = true;
        &KNOWN[0]
    });
    if replaced {
        forget_rules(rules);
    }
    slot.set(module);
    history::add(module, &mut path);
    if replaced { Noted::Replaced } else { Noted::Yes }
}

fn forget_rules(rules: &Table) {
    rules.clear();
    EPOCH.fetch_add(1, Release);
}

/// How often all rules were forgotten. A walk during which the number changed may have used old rules.
pub(super) fn epoch() -> usize {
    EPOCH.load(Acquire)
}

/// Notes that a rule for an address outside of all modules is going to be remembered.
pub(super) fn note_foreign() {
    FOREIGN.store(true, Relaxed);
}

fn overlap(a: &Module, b: &Module) -> bool {
    a.start < b.end && b.start < a.end
}

/// Whether each of the `frames` lies in the module that it lay in when its rule was remembered. If not,
/// all rules are forgotten.
pub(super) fn unchanged(frames: &[usize], rules: &Table) -> bool {
    let mut last: Option<Module> = None;
    for address in frames.iter().map(|frame| frame - 1) {
        if last.is_some_and(|module| module.contains(address)) {
            continue;
        }
        last = find(address);
        let same = match &last {
            Some(module) => note(module, rules) != Noted::Replaced,
            None => !forget_module_at(address, rules),
        };
        if !same {
            return false;
        }
    }
    true
}

/// Forgets the known module at an address where none is loaded; `false` if none was known.
fn forget_module_at(address: usize, rules: &Table) -> bool {
    let at = |slot: &&Slot| slot.module().is_some_and(|module| module.contains(address));
    if KNOWN.iter().find(at).is_none() {
        return false;
    }
    let Some(_changes) = CHANGES.try_lock() else { return false };
    KNOWN.iter().filter(at).for_each(Slot::free);
    forget_rules(rules);
    true
}

/// Makes this process find modules as one with an older C library does, for tests.
#[cfg(test)]
pub(super) fn without_finder<R>(body: impl FnOnce() -> R) -> R {
    let finder = FINDER.swap(0, Relaxed);
    let result = body();
    FINDER.store(finder, Relaxed);
    result
}
