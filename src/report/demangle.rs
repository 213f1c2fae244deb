//! Readable names for Rust and C++.

use alloc::{format, string::String};

/// The readable form of a linker name, without Rust's hashes; `None` if it is no mangled name.
///
/// The name itself tells the language, not the debug information: symbol tables hold no language.
pub(super) fn demangle(name: &str) -> Option<String> {
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return Some(format!("{rust:#}"));
    }
    if !name.starts_with("_Z") {
        return None;
    }
    cpp_demangle::Symbol::new(name).ok()?.demangle().ok()
}

#[cfg(test)]
mod tests {
    use super::demangle;

    #[test]
    fn names_of_both_languages() {
        let table = [
            ("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", Some("core::fmt::Write::write_fmt")),
            ("_RNvCs4fqI2P2rA04_5hello4main", Some("hello::main")),
            ("_Znwm", Some("operator new(unsigned long)")),
            ("_ZN3foo3barEv", Some("foo::bar()")),
            ("_Z3maxIiET_S0_S0_", Some("int max<int>(int, int)")),
            ("malloc", None),
            ("_Zxyzzy", None),
            ("", None),
        ];
        for (name, expected) in table {
            assert_eq!(demangle(name).as_deref(), expected, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_name_is_too_strange(tail in "[A-Za-z0-9_$.]{0,60}") {
            for prefix in ["_Z", "_R", "_ZN", ""] {
                let _ = demangle(&std::format!("{prefix}{tail}"));
            }
        }
    }
}
