//! Functions by address, from the symbol table.

use super::elf::Elf;
use alloc::vec::Vec;
use object::elf::{STB_GLOBAL, STB_WEAK, SymbolBind};

/// The functions of a module in the order of their addresses, one for each address.
#[derive(Default)]
pub(super) struct Symbols(Vec<Symbol>);

struct Symbol {
    address: u64,
    bytes: u64,
    rank: (u8, usize),
    name: &'static [u8],
}

impl Symbols {
    /// Reads the symbol table of `file`, or its dynamic one if it has no other.
    pub(super) fn of(file: &Elf) -> Self {
        let mut symbols = Vec::new();
        file.each_function(|name, address, bytes, bind| {
            symbols.push(Symbol { address, bytes, rank: rank(name, bind), name });
        });
        symbols.sort_unstable_by(|a, b| (a.address, a.rank, a.name).cmp(&(b.address, b.rank, b.name)));
        symbols.dedup_by_key(|symbol| symbol.address);
        Self(symbols)
    }

    /// The function that holds `address`.
    ///
    /// A symbol without a size (hand-written assembly) reaches to the next symbol.
    pub(super) fn find(&self, address: u64) -> Option<&'static [u8]> {
        let after = self.0.partition_point(|symbol| symbol.address <= address);
        let symbol = self.0.get(after.checked_sub(1)?)?;
        (symbol.bytes == 0 || address - symbol.address < symbol.bytes).then_some(symbol.name)
    }
}

/// Of several names for one address the smallest is shown: the public one (`malloc`), not the library's own
/// (`__libc_malloc`).
fn rank(name: &[u8], bind: SymbolBind) -> (u8, usize) {
    let scope = match bind {
        STB_GLOBAL => 0,
        STB_WEAK => 1,
        _ => 2,
    };
    let underscores = name.iter().take_while(|&&b| b == b'_').count();
    // Mangled names begin with one underscore and mean more than a C name that has two.
    (if underscores > 1 { scope + 3 } else { scope }, underscores)
}
