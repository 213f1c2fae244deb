//! besom's own frames, which say nothing about the leak.

/// How much of a module is besom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Share {
    /// None.
    Nothing,
    /// It is linked into the module: the functions' names tell.
    Some,
    /// It is besom's shared library.
    All,
}

impl Share {
    /// The share of the module at `path`, which holds besom's code or does not.
    pub(super) fn of(path: &[u8], holds_code: bool) -> Self {
        let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
        match holds_code {
            false => Self::Nothing,
            true if name.starts_with(b"libbesom.so") => Self::All,
            true => Self::Some,
        }
    }

    /// Whether a frame in such a module is besom's own.
    pub(super) fn covers(self, function: Option<&str>) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Some => function.is_some_and(is_own),
        }
    }
}

/// The names under which programs call an allocator that is linked into them.
const C_NAMES: &[&str] = &[
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "valloc",
    "pvalloc",
    "operator new",
    "operator new[]",
];

/// What rustc puts between `alloc::alloc` and the global allocator, in front of whatever path it has.
const RUST_NAMES: &[&str] = &[
    "__rust_alloc",
    "__rust_alloc_zeroed",
    "__rust_realloc",
    "__rg_alloc",
    "__rg_alloc_zeroed",
    "__rg_realloc",
];

/// Whether a function is one of those that run the program's code in frames of their own, as
/// `besom::leak::assert_no_leaks`: not only at the inner end of a stack are they no part of the program.
pub(super) fn is_around_the_programs(function: &str) -> bool {
    function.starts_with("besom::leak::api::")
}

fn is_own(function: &str) -> bool {
    let base = function.split('(').next().unwrap_or(function);
    let last = function.rsplit("::").next().unwrap_or(function);
    base.starts_with("besom::")
        || base.starts_with("<besom::")
        || (base.starts_with("besom_") && !base.contains("::"))
        || C_NAMES.contains(&base)
        || RUST_NAMES.contains(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_library_is_known_by_its_name_and_its_code() {
        assert_eq!(Share::of(b"/usr/lib/libbesom.so.0", true), Share::All);
        assert_eq!(Share::of(b"/usr/lib/libbesom.so.0", false), Share::Nothing);
        assert_eq!(Share::of(b"/home/libbesom.so/program", true), Share::Some);
        assert!(Share::All.covers(None) && !Share::Some.covers(None));
    }

    #[test]
    fn the_programs_functions_stay() {
        let own = [
            "malloc",
            "operator new(unsigned long)",
            "operator new[](unsigned long, std::align_val_t)",
            "besom_malloc_noscan",
            "besom::heap::alloc",
            "<besom::Besom as core::alloc::global::GlobalAlloc>::alloc",
            "__rustc::__rust_alloc",
            "__rust_realloc",
        ];
        let others =
            ["main", "xmalloc", "besom_demo::main", "alloc::alloc::alloc", "my::malloc", "malloc_init"];
        own.iter().for_each(|name| assert!(is_own(name), "{name}"));
        others.iter().for_each(|name| assert!(!is_own(name), "{name}"));
    }
}
