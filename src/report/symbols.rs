//! Functions by address, from the symbol table.

use super::elf::Elf;
use alloc::vec::Vec;
use object::elf::{STB_GLOBAL, STB_WEAK, SymbolBind};

/// The functions of a module in the order of their addresses, one for each address.
#[derive(Default)]
pub(super) struct Symbols {
    sorted: Vec<Symbol>,
    has_rust: bool,
}

struct Symbol {
    address: u64,
    bytes: u64,
    rank: (u8, u8),
    name: &'static [u8],
}

impl Symbols {
    /// Reads the symbol table of `file`, or its dynamic one if it has no other.
    pub(super) fn of(file: &Elf) -> Self {
        let (mut symbols, mut has_rust) = (Vec::new(), false);
        // At once: to grow is to copy, into memory that is touched for the first time. Without that much, it grows.
        let _ = crate::heap::arena::may_fail(|| symbols.try_reserve_exact(file.symbols()));
        file.each_function(|name, address, bytes, bind| {
            has_rust |= is_rust(name);
            symbols.push(Symbol { address, bytes, rank: rank(name, bind), name });
        });
        symbols.sort_unstable_by(|a, b| (a.address, a.rank, a.name).cmp(&(b.address, b.rank, b.name)));
        symbols.dedup_by_key(|symbol| symbol.address);
        Self { sorted: symbols, has_rust }
    }

    /// Whether there are functions of Rust's.
    pub(super) fn has_rust(&self) -> bool {
        self.has_rust
    }

    /// The function that holds `address`.
    ///
    /// A symbol without a size (hand-written assembly) reaches to the next symbol.
    pub(super) fn find(&self, address: u64) -> Option<&'static [u8]> {
        let after = self.sorted.partition_point(|symbol| symbol.address <= address);
        let symbol = self.sorted.get(after.checked_sub(1)?)?;
        (symbol.bytes == 0 || address - symbol.address < symbol.bytes).then_some(symbol.name)
    }
}

/// Every program with Rust's std in it has one of these, if its symbols are there at all.
fn is_rust(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 3] = [b"rust_eh_personality", b"_ZN3std2rt", b"_ZN3std9panicking"];
    // Version 0 of the mangling, which no other language uses.
    NAMES.iter().any(|rust| name.starts_with(rust)) || name.starts_with(b"_RN")
}

/// Of several names for one address the smallest is shown: the public one (`malloc`), not the library's own
/// (`__libc_malloc`).
fn rank(name: &[u8], bind: SymbolBind) -> (u8, u8) {
    let scope = match bind {
        STB_GLOBAL => 0,
        STB_WEAK => 1,
        _ => 2,
    };
    let underscores = name.iter().take_while(|&&b| b == b'_').count().min(usize::from(u8::MAX)) as u8;
    // Mangled names begin with one underscore and mean more than a C name that has two.
    (if underscores > 1 { scope + 3 } else { scope }, underscores)
}
