//! From return addresses to functions, files and lines, without help from outside the process.
//!
//! A module's file is mapped when the first address in it is asked for; what is read of it stays. For each
//! address, in this order: DWARF of the module or of its separate debug file, its symbol table, its dynamic
//! symbols, the offset in the module. Besides the mapped files, the memory used is that of the line tables
//! and functions of the units that hold an address asked for, 40 bytes for each function of a module
//! touched, 24 bytes for each range that `.debug_aranges` lists, and the decompressed size of compressed debug
//! sections, of `.debug_info` as far as it is read.

use super::dwarf::{Debug, SourceFrame};
use super::elf::Elf;
use super::input::SeenModule;
use super::modules::{Era, Module, Modules, Place};
use super::own::{self, Share};
use super::symbols::Symbols;
use super::{debug_file, demangle::demangle, files};
use alloc::{collections::BTreeMap, rc::Rc, string::String, vec::Vec};
use core::cell::OnceCell;

/// A function in a stack. Several share an address if all but the last are inlined.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Frame {
    /// An address inside the call: one before the return address.
    pub(super) address: usize,
    /// The function as people read it.
    pub(super) function: Option<String>,
    /// The function as the linker knows it, if that differs.
    pub(super) mangled: Option<String>,
    /// The path of the source file.
    pub(super) file: Option<String>,
    /// The line in the source file.
    pub(super) line: Option<u32>,
    /// The path of the executable or library, or a name in brackets.
    pub(super) module: Option<Rc<str>>,
    /// The address as the module's linker gave it: what `addr2line -e MODULE` takes.
    pub(super) offset: usize,
    /// Whether it is besom's own.
    pub(super) is_own: bool,
    /// Whether the module is not loaded any more.
    pub(super) is_unloaded: bool,
}

/// Maps addresses of this process to names.
pub(super) struct Symbolizer {
    modules: Modules,
    images: BTreeMap<usize, Rc<Image>>,
    /// By return address, and what stood there then.
    frames: BTreeMap<(usize, Era), Rc<[Frame]>>,
    brief: BTreeMap<(usize, Era), Rc<[Frame]>>,
    own_module: Option<usize>,
    /// Calls of the program to keep of a stack.
    depth: usize,
}

/// What is known of a module.
struct Image {
    path: Rc<str>,
    share: Share,
    file: Option<ImageFile>,
    is_unloaded: bool,
}

/// A module's file with what was found for it, each part read when it is first asked for.
pub(super) struct ImageFile {
    elf: Elf,
    path: Vec<u8>,
    separate: OnceCell<Option<(Elf, Vec<u8>)>>,
    debug: OnceCell<Option<Debug>>,
    symbols: OnceCell<Symbols>,
}

impl Symbolizer {
    /// Looks at the modules of this process, and at those its stacks lie in.
    pub(super) fn new(seen: &[SeenModule<'_>]) -> Self {
        Self::with(Modules::of_process(seen))
    }

    /// Looks at the modules given.
    pub(super) fn with(modules: Modules) -> Self {
        let own_module = modules.find(Self::with as fn(_) -> _ as usize, Era::NOW).map(|place| place.module);
        let (images, frames, brief) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { modules, images, frames, brief, own_module, depth: usize::MAX }
    }

    /// Keeps at most so many calls of the program of a stack, besom's own not counted.
    pub(super) fn with_depth(self, depth: usize) -> Self {
        Self { depth, ..self }
    }

    /// The calls to keep of stack number `id`: besom's own at the inner end, and of the program's as many as asked for.
    pub(super) fn shown<'s>(&mut self, id: usize, return_addresses: &'s [usize]) -> &'s [usize] {
        if return_addresses.len() <= self.depth {
            return return_addresses;
        }
        let own = return_addresses.iter().take_while(|&&address| self.is_own(id, address)).count();
        let end = own.saturating_add(self.depth).min(return_addresses.len());
        &return_addresses[..end]
    }

    /// Whether a call is besom's own, with all that is inlined there.
    fn is_own(&mut self, id: usize, return_address: usize) -> bool {
        let address = return_address.saturating_sub(1);
        let place = self.modules.find(address, self.modules.era(address, id));
        let Some((number, module)) = place.and_then(|at| Some((at.module, self.modules.get(at.module)?)))
        else {
            return false;
        };
        match Share::of(&module.path, self.own_module == Some(number)) {
            Share::Nothing => false,
            Share::All => true,
            Share::Some => self.frames(id, return_address).iter().all(|frame| frame.is_own),
        }
    }

    /// What tells a call from those of other stacks: its address, and what stood there then.
    pub(super) fn identity(&self, id: usize, return_address: usize) -> (usize, Era) {
        (return_address, self.modules.era(return_address.saturating_sub(1), id))
    }

    /// The stack of these return addresses, innermost first, without besom's own frames at its inner end. `id`
    /// is its number.
    pub(super) fn stack(&mut self, id: usize, return_addresses: &[usize]) -> Stack {
        let shown = self.shown(id, return_addresses);
        Stack::new(shown.iter().map(|address| self.frames(id, *address)).collect())
    }

    /// The functions that hold the call before `return_address` in stack number `id`, innermost first; never
    /// empty.
    pub(super) fn frames(&mut self, id: usize, return_address: usize) -> Rc<[Frame]> {
        let address = return_address.saturating_sub(1);
        let era = self.modules.era(address, id);
        if let Some(known) = self.frames.get(&(return_address, era)) {
            return known.clone();
        }
        let new: Rc<[Frame]> = self.look_up(address, era).into();
        self.frames.insert((return_address, era), new.clone());
        new
    }

    /// As [`Self::stack`], without files, lines and inlined functions where those would take reading debug
    /// information: enough for rules on modules and on functions that are not inlined. Modules with Rust's
    /// functions, which are, are read whole.
    pub(super) fn brief_stack(&mut self, id: usize, return_addresses: &[usize]) -> Stack {
        let shown = self.shown(id, return_addresses);
        Stack::new(shown.iter().map(|address| self.brief_frames(id, *address)).collect())
    }

    fn brief_frames(&mut self, id: usize, return_address: usize) -> Rc<[Frame]> {
        let address = return_address.saturating_sub(1);
        let key = (return_address, self.modules.era(address, id));
        if let Some(known) = self.frames.get(&key).or_else(|| self.brief.get(&key)) {
            return known.clone();
        }
        let Some(place) = self.modules.find(address, key.1) else { return self.frames(id, return_address) };
        let image = self.image(place.module);
        let new = match image.brief_frame(address, &place) {
            Some(frame) => [frame].into(),
            None => self.frames(id, return_address),
        };
        self.brief.insert(key, new.clone());
        new
    }

    /// The paths of the modules that these return addresses of stack number `id` lie in, without besom's shared
    /// library.
    pub(super) fn module_paths(&self, id: usize, return_addresses: &[usize]) -> impl Iterator<Item = &[u8]> {
        let modules = return_addresses.iter().map(move |address| {
            let address = address.saturating_sub(1);
            self.modules.find(address, self.modules.era(address, id))
        });
        modules.filter_map(|place| {
            let number = place?.module;
            let path = &*self.modules.get(number)?.path;
            (Share::of(path, self.own_module == Some(number)) != Share::All).then_some(path)
        })
    }

    fn look_up(&mut self, address: usize, era: Era) -> Vec<Frame> {
        let Some(place) = self.modules.find(address, era) else {
            return alloc::vec![Frame { address, offset: address, ..Frame::default() }];
        };
        let image = self.image(place.module);
        image.frames(address, &place)
    }

    fn image(&mut self, number: usize) -> Rc<Image> {
        if let Some(image) = self.images.get(&number) {
            return image.clone();
        }
        let image = Rc::new(Image::new(self.modules.get(number), self.own_module == Some(number)));
        self.images.insert(number, image.clone());
        image
    }
}

impl Image {
    fn new(module: Option<&Module>, holds_code: bool) -> Self {
        let path = module.map_or(&b""[..], |module| &module.path);
        let share = Share::of(path, holds_code);
        Self {
            path: String::from_utf8_lossy(path).as_ref().into(),
            share,
            // Nobody reads the names of besom's own functions; looking them up would take longest of all.
            file: if share == Share::All { None } else { module.and_then(ImageFile::open) },
            is_unloaded: module.is_some_and(|module| module.is_unloaded),
        }
    }

    fn frames(&self, address: usize, place: &Place) -> Vec<Frame> {
        let linked = self.file.as_ref().and_then(|file| file.address_of(place));
        let sources = match (&self.file, linked) {
            (Some(file), Some(linked)) => file.look_up(linked),
            _ => alloc::vec![SourceFrame::default()],
        };
        let offset = linked.map_or(place.from_base, |linked| linked as usize);
        sources.into_iter().map(|source| self.frame(address, offset, source)).collect()
    }

    /// The function by the symbol table alone; `None` if that is not enough.
    fn brief_frame(&self, address: usize, place: &Place) -> Option<Frame> {
        let linked = self.file.as_ref().and_then(|file| file.address_of(place));
        let mut source = SourceFrame::default();
        if let (Some(file), Some(linked)) = (&self.file, linked) {
            if self.share == Share::Some || file.symbols().has_rust() {
                return None;
            }
            let name = file.symbols().find(linked);
            source.function = name.map(|name| String::from_utf8_lossy(name).into_owned());
        }
        Some(self.frame(address, linked.map_or(place.from_base, |linked| linked as usize), source))
    }

    fn frame(&self, address: usize, offset: usize, source: SourceFrame) -> Frame {
        let readable = source.function.as_deref().and_then(demangle);
        let (function, mangled) = match readable {
            Some(readable) => (Some(readable), source.function),
            None => (source.function, None),
        };
        let is_own = self.share.covers(function.as_deref());
        let (file, line, module) = (source.file, source.line, Some(self.path.clone()));
        let is_unloaded = self.is_unloaded;
        Frame { address, function, mangled, file, line, module, offset, is_own, is_unloaded }
    }
}

impl ImageFile {
    /// Opens a module's file, unless another has taken its place since it was loaded.
    fn open(module: &Module) -> Option<Self> {
        if !module.is_file {
            return None;
        }
        let elf = Elf::parse(files::map(&module.path).ok()?)?;
        let is_same = match (&module.build_id, elf.build_id()) {
            (Some(mapped), Some(stored)) => mapped == stored,
            _ => true,
        };
        is_same.then(|| Self::new(elf, &module.path))
    }

    /// What describes the module `elf` from `path`.
    pub(super) fn new(elf: Elf, path: &[u8]) -> Self {
        let (separate, debug, symbols) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { elf, path: path.to_vec(), separate, debug, symbols }
    }

    /// The file with the debug information that this one lacks.
    fn separate(&self) -> Option<&(Elf, Vec<u8>)> {
        self.separate.get_or_init(|| debug_file::find(&self.elf, &self.path)).as_ref()
    }

    fn debug(&self) -> Option<&Debug> {
        let of = |elf, path| Debug::of(elf, debug_file::find_common(elf, path).as_ref());
        let own_or_separate =
            || of(&self.elf, &self.path).or_else(|| self.separate().and_then(|(elf, path)| of(elf, path)));
        self.debug.get_or_init(own_or_separate).as_ref()
    }

    fn symbols(&self) -> &Symbols {
        self.symbols.get_or_init(|| {
            let separate = if self.elf.has_symbols() { None } else { self.separate() };
            match separate {
                Some((separate, _)) if separate.has_symbols() => Symbols::of(separate),
                _ => Symbols::of(&self.elf),
            }
        })
    }

    /// The address the linker gave to a place in this module.
    fn address_of(&self, place: &Place) -> Option<u64> {
        match place.in_file {
            Some(in_file) => self.elf.address_of(in_file as u64),
            None => self.elf.lowest_address().checked_add(place.from_base as u64),
        }
    }

    /// What is known of an address, in one entry at least.
    pub(super) fn look_up(&self, linked: u64) -> Vec<SourceFrame> {
        let mut found = self.debug().map(|debug| debug.find(linked)).unwrap_or_default();
        if found.is_empty() {
            found.push(SourceFrame::default());
        }
        if let (Some(outermost), Some(symbol)) = (found.last_mut(), self.symbols().find(linked)) {
            let symbol = String::from_utf8_lossy(symbol);
            if outermost.function.as_ref().is_none_or(|name| is_better(&symbol, name)) {
                outermost.function = Some(symbol.into_owned());
            }
        }
        found
    }
}

/// Whether the linker's symbol tells more than the name in the debug information: a mangled name tells more
/// than the source's (a lambda's is `operator()`), and any more than glibc's internal aliases.
fn is_better(symbol: &str, name: &str) -> bool {
    (is_mangled(symbol) && !is_mangled(name)) || name.starts_with("__GI_")
}

fn is_mangled(name: &str) -> bool {
    name.starts_with("_Z") || name.starts_with("_R")
}

/// A stack with names.
#[derive(Clone, Default, Debug)]
pub(super) struct Stack {
    calls: Vec<Rc<[Frame]>>,
    own: usize,
}

impl Stack {
    /// Puts a stack together from its calls, innermost first.
    pub(super) fn new(calls: Vec<Rc<[Frame]>>) -> Self {
        let all = || calls.iter().flat_map(|frames| frames.iter());
        let own = all().take_while(|frame| frame.is_own).count();
        // A stack of nothing else (besom leaked itself) is shown as it is.
        let own = if own == all().count() { 0 } else { own };
        Self { calls, own }
    }

    /// The frames to show, innermost first.
    pub(super) fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.calls.iter().flat_map(|frames| frames.iter()).skip(self.own).filter(|frame| {
            !frame.is_own || !frame.function.as_deref().is_some_and(own::is_around_the_programs)
        })
    }
}
