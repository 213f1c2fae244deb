//! LeakSanitizer's options: `LSAN_OPTIONS` and `__lsan_default_options()`.
//!
//! `key=value` items separated by colons, commas or white space; a value in single or double quotes may
//! hold separators. The keys with a meaning here set besom's options of the same meaning; LeakSanitizer's
//! other keys, and those common to all sanitizers, are known and ignored. Where LeakSanitizer ends the
//! process on a bad value, a line is said and the value ignored.

use crate::config::{self, Ascii, Key, Unit, Values};
use crate::sys::message::say;

/// The options that LeakSanitizer's keys with a meaning here set. Defaults are the same on both sides.
const KEYS: &[Key] = &[
    Key::Suppressions,
    Key::PrintSuppressions,
    Key::ExitCode,
    Key::MaxLeaks,
    Key::ReportObjects,
    Key::DetectLeaks,
    Key::LeakAtExit,
    Key::UseGlobals,
    Key::UseStacks,
    Key::UseRegisters,
    Key::UseTls,
    Key::UseRootRegions,
    Key::UseUnaligned,
    Key::LogPath,
    Key::Verbosity,
    Key::StackDepth,
];

/// LeakSanitizer's name of an option.
fn name_of(key: Key) -> &'static str {
    match key {
        Key::LeakAtExit => "leak_check_at_exit",
        Key::StackDepth => "malloc_context_size",
        _ => key.info().name,
    }
}

/// Keys of LeakSanitizer and of all sanitizers that mean nothing here.
const IGNORED: &str = "resolution use_ld_allocations use_poisoned log_pointers log_threads tries \
    thread_suspend_fail symbolize external_symbolizer_path allow_addr2line strip_path_prefix \
    fast_unwind_on_check fast_unwind_on_fatal fast_unwind_on_malloc handle_ioctl log_exe_name log_suffix \
    log_to_syslog log_fallback_to_stderr strip_env verify_interceptors allocator_may_return_null \
    print_summary print_module_map check_printf handle_segv handle_sigbus handle_abort handle_sigill \
    handle_sigtrap handle_sigfpe allow_user_segv_handler cloak_sanitizer_signal_handlers use_sigaltstack \
    detect_deadlocks clear_shadow_mmap_threshold color legacy_pthread_cond intercept_tls_get_addr help \
    mmap_limit_mb hard_rss_limit_mb soft_rss_limit_mb max_allocation_size_mb heap_profile \
    allocator_release_to_os_interval_ms can_use_proc_maps_statm coverage coverage_dir \
    print_coverage_summary cov_8bit_counters_out cov_pcs_out full_address_space disable_coredump \
    use_madv_dontdump symbolize_inline_frames demangle symbolize_vs_style dedup_token_length \
    stack_trace_format compress_stack_depot no_huge_pages_for_shadow strict_string_checks \
    intercept_strstr intercept_strspn intercept_strtok intercept_strpbrk intercept_strcmp \
    intercept_strlen intercept_strndup intercept_strchr intercept_memcmp strict_memcmp intercept_memmem \
    intercept_intrin intercept_stat intercept_send decorate_proc_maps abort_on_error suppress_equal_pcs \
    print_cmdline html_cov_report sancov_path dump_instruction_bytes dump_registers detect_write_exec \
    enable_symbolizer_markup detect_invalid_join enable_unmalloced_free_check include include_if_exists";

/// Takes the options in `text`, from the environment or from the program itself (`source`, for messages),
/// into besom's table. What was given before stays: call this after `config::init`, first for the
/// environment, then for the program's defaults.
pub(crate) fn apply(text: &'static [u8], source: &str) {
    for &key in KEYS {
        let name = name_of(key);
        // The last of several settings counts.
        if let Some(item) = Items(text).filter(|item| item.name == name.as_bytes()).last()
            && !config::is_given(key)
        {
            assign(key, item, source);
        }
    }
    if config::get(Key::Verbosity) > 0 {
        Items(text).filter(|item| !is_known(item.name)).for_each(|item| {
            say!("{source}: unknown option '{}'", Ascii(item.name));
        });
    }
}

fn is_known(name: &[u8]) -> bool {
    KEYS.iter().any(|&known| name_of(known).as_bytes() == name)
        || IGNORED.split(' ').any(|known| known.as_bytes() == name)
}

fn assign(key: Key, item: Item, source: &str) {
    let option = key.info();
    let number = match option.unit {
        Unit::Text => return set_text(key, item.value),
        Unit::Flag => flag(item.value),
        _ => number(item.value),
    };
    // LeakSanitizer keeps longer stacks: as much of them as there is here.
    let number = match option.values {
        Values::Between(_, most) if key == Key::StackDepth => number.map(|number| number.min(most)),
        _ => number,
    };
    let (value, name) = (Ascii(item.value), Ascii(item.name));
    match number {
        Some(number) if option.values.has(number) => {
            config::set(key, number);
            config::mark_given(key);
        }
        Some(_) => say!("{source}: bad value '{value}' for {name}: {}{}", option.unit, option.values),
        None => say!("{source}: bad value '{value}' for {name}"),
    }
}

fn set_text(key: Key, value: &'static [u8]) {
    config::set_text(key, value);
    config::mark_given(key);
}

fn flag(value: &[u8]) -> Option<usize> {
    match value {
        b"0" | b"no" | b"false" => Some(0),
        b"1" | b"yes" | b"true" => Some(1),
        _ => None,
    }
}

fn number(value: &[u8]) -> Option<usize> {
    core::str::from_utf8(value).ok()?.parse().ok()
}

/// A setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Item {
    name: &'static [u8],
    value: &'static [u8],
}

/// The settings in a text. A word without `=` has an empty value; a quote that is not closed ends with the
/// text.
struct Items(&'static [u8]);

fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b',' | b':' | b'\n' | b'\t' | b'\r')
}

/// Cuts `text` at the first byte for which `ends` holds; that byte begins the second part.
fn cut(text: &'static [u8], ends: impl Fn(u8) -> bool) -> (&'static [u8], &'static [u8]) {
    text.split_at(text.iter().position(|&b| ends(b)).unwrap_or(text.len()))
}

impl Iterator for Items {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        let (_, text) = cut(self.0, |b| !is_separator(b));
        let (name, rest) = cut(text, |b| b == b'=' || is_separator(b));
        let Some(rest) = rest.strip_prefix(b"=") else {
            self.0 = rest;
            return (!name.is_empty()).then_some(Item { name, value: b"" });
        };
        let (value, rest) = match rest.split_first() {
            Some((&quote @ (b'\'' | b'"'), quoted)) => cut(quoted, |b| b == quote),
            _ => cut(rest, is_separator),
        };
        self.0 = rest.strip_prefix(b"'").or(rest.strip_prefix(b"\"")).unwrap_or(rest);
        Some(Item { name, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn items(text: &'static str) -> Vec<(&'static str, &'static str)> {
        let text_of = |bytes| core::str::from_utf8(bytes).unwrap();
        Items(text.as_bytes()).map(|item| (text_of(item.name), text_of(item.value))).collect()
    }

    #[test]
    fn every_separator_and_both_quotes() {
        let expected = [("a", "1"), ("b", "x:y,z"), ("c", "it's"), ("d", ""), ("e", "/p=q")];
        assert_eq!(items(" a=1, b='x:y,z'\nc=\"it's\":d=\te=/p=q:"), expected);
        assert_eq!(items("word:a='open"), [("word", ""), ("a", "open")]);
        assert_eq!(items("a=x'y'"), [("a", "x'y'")]);
        assert_eq!(items(""), []);
    }

    #[test]
    fn numbers_out_of_range_are_ignored() {
        apply(b"exitcode=256:malloc_context_size=0", "test");
        assert!(!config::is_given(Key::ExitCode) && !config::is_given(Key::StackDepth));
        assert_eq!(config::get(Key::ExitCode), 23);
    }

    #[test]
    fn values_are_read_as_leak_sanitizer_reads_them() {
        assert_eq!([flag(b"true"), flag(b"yes"), flag(b"1")], [Some(1); 3]);
        assert_eq!([flag(b"false"), flag(b"no"), flag(b"0")], [Some(0); 3]);
        assert_eq!([flag(b"on"), flag(b""), flag(b"2")], [None; 3]);
        assert_eq!([number(b"17"), number(b"x"), number(b"-1")], [Some(17), None, None]);
    }

    #[test]
    fn keys_are_known_once_and_have_leak_sanitizers_defaults() {
        assert!(is_known(b"max_leaks") && is_known(b"symbolize") && !is_known(b"bogus"));
        assert!(KEYS.iter().all(|&key| !IGNORED.split(' ').any(|ignored| ignored == name_of(key))));
        let defaults =
            [("exitcode", "23"), ("max_leaks", "0"), ("print_suppressions", "1"), ("use_tls", "1")];
        for (name, default) in defaults {
            let key = KEYS.iter().find(|&&key| name_of(key) == name).unwrap();
            assert_eq!(key.info().default, default);
        }
    }

    #[test]
    fn the_last_setting_counts_and_earlier_sources_win() {
        apply(b"use_tls=no,use_root_regions=maybe:use_tls=0 suppressions='/tmp/a:b'", "test");
        apply(b"use_tls=1:use_registers=false:use_registers=true", "test");
        assert_eq!(config::get(Key::UseTls), 0);
        assert_eq!(config::get(Key::UseRegisters), 1);
        assert_eq!(config::get(Key::UseRootRegions), 1);
        assert!(!config::is_given(Key::UseRootRegions));
        assert_eq!(config::text(Key::Suppressions), b"/tmp/a:b");
    }
}
