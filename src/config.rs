//! The options: one table with name, default, unit and meaning, read from `BESOM_OPTIONS` at start-up.
//!
//! `BESOM_OPTIONS=key=value:key=value`. An unknown key or a bad value is said on standard error in one
//! line and ignored. Nothing is read in a process with more privileges than its user.
//!
//! A value ends at the next `:`, so the name of a file given here can't hold one (in `LSAN_OPTIONS` it can,
//! in quotes).

pub(crate) mod environment;
mod values;

use crate::sys::{auxv, message::say};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed};
use values::SIGNALS;
pub(crate) use values::Values;

/// How an option's value is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unit {
    /// `0` or `1`.
    Flag,
    /// A plain number.
    Count,
    /// A number of bytes, with an optional suffix `KiB`, `MiB`, `GiB`, `TiB` (or `K`, `M`, `G`, `T`).
    Bytes,
    /// As `Bytes`, or `auto`, which is kept as [`AUTO`].
    BytesOrAuto,
    /// A number of seconds.
    Seconds,
    /// A number of milliseconds.
    Milliseconds,
    /// A share of a hundred; may be more.
    Percent,
    /// A signal's number, or its name with or without `SIG`.
    Signal,
    /// One of these words, kept as its index.
    Word(Words),
    /// Text, kept in a copy.
    Text,
}

/// The words of an option that is one of some.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Words {
    /// Numbers of bytes.
    Alignments,
    /// When to ask for huge pages.
    HugePages,
    /// How a report is written.
    Formats,
}

impl Words {
    /// The words, with a space between.
    const fn list(self) -> &'static str {
        match self {
            Self::Alignments => "1 2 4 8 16",
            Self::HugePages => "never auto always",
            Self::Formats => "text json",
        }
    }
}

/// The number that stands for the word `auto`.
pub(crate) const AUTO: usize = usize::MAX;

/// An option as the table describes it.
#[derive(Clone, Copy)]
pub(crate) struct OptionInfo {
    /// The key in `BESOM_OPTIONS`.
    pub(crate) name: &'static str,
    /// The value without the variable, as one would write it.
    pub(crate) default: &'static str,
    /// How a value is written.
    pub(crate) unit: Unit,
    /// Which of the numbers written so it takes.
    pub(crate) values: Values,
    /// What it does, for `help=1` and the README.
    pub(crate) meaning: &'static str,
}

/// The longest time of an option, some 31 years: in nanoseconds and added to a clock it is still a 64-bit number.
const MOST_SECONDS: usize = 1_000_000_000;

macro_rules! any_or {
    () => {
        Values::Any
    };
    ($values:expr) => {
        $values
    };
}

macro_rules! options {
    ($($id:ident $name:literal = $default:literal, $unit:expr $(, in $values:expr)?, $meaning:literal;)*) => {
        /// Every option, in the table's order.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[allow(missing_docs)]
        pub(crate) enum Key { $($id),* }

        // Texts of all options, a line each, and no addresses of texts: those take relocations, and every process a
        // page of its own for them.
        const NAMES: &str = concat!($($name, "\n"),*);
        const DEFAULTS: &str = concat!($($default, "\n"),*);
        const MEANINGS: &str = concat!($($meaning, "\n"),*);
        static UNITS: &[(Unit, Values)] = &[$(($unit, any_or!($($values)?))),*];

        static VALUES: [AtomicUsize; UNITS.len()] = [
            $(AtomicUsize::new({ let _ = $name; number_of($default, $unit) })),*
        ];

        /// Which options the user has set, whatever the value.
        static GIVEN: [AtomicBool; UNITS.len()] = [const { AtomicBool::new(false) }; UNITS.len()];
    };
}

options! {
    Help "help" = "0", Unit::Flag, "print this table at start-up";
    Stats "stats" = "0", Unit::Flag, "print statistics at exit";
    Rseq "rseq" = "1", Unit::Flag, "per-CPU caches by restartable sequences; 0 uses locked caches";
    Check "check" = "0", Unit::Flag, "find double frees at once, at the cost of a slow path for every call";
    MinAlign "min_align" = "8", Unit::Word(Words::Alignments), "alignment of C's smallest objects; below 8 packs them (tiny allocator)";
    CpuCache "cpu_cache" = "3MiB", Unit::Bytes, "most memory that the cache of one CPU may hold; if not given, also a share of the heap";
    Limit "limit" = "0", Unit::BytesOrAuto, "soft limit of memory held: free pages go back at once above it; auto takes 90 % of the cgroup's";
    HardLimit "hard_limit" = "0", Unit::Bytes, "memory held beyond which requests fail; 0 is none";
    Thp "thp" = "auto", Unit::Word(Words::HugePages), "huge pages: never, for grown heaps and large blocks, or always";
    Scavenge "scavenge" = "1", Unit::Flag, "give free pages back to the kernel";
    ScavengeThread "scavenge_thread" = "0", Unit::Flag, "a thread that gives free pages back also while the program idles";
    Leak "leak" = "0", Unit::Flag, "track every object and report leaks at exit";
    DetectLeaks "detect_leaks" = "1", Unit::Flag, "0 turns leak=1 off again (LSAN_OPTIONS of a program may)";
    ExitCode "exitcode" = "23", Unit::Count, in Values::Between(0, 255), "exit status if blocks are definitely or indirectly lost; 0 keeps the program's own";
    Report "report" = "text", Unit::Word(Words::Formats), "format of leak reports";
    LogPath "log_path" = "", Unit::Text, "write leak reports to this file, with '.' and the process number appended (or %p in the name); stderr and stdout are words";
    Suppressions "suppressions" = "", Unit::Text, "file of suppressions, a leak:PATTERN a line";
    PrintSuppressions "print_suppressions" = "1", Unit::Flag, "list the suppressions that matched";
    MaxLeaks "max_leaks" = "0", Unit::Count, "how many leaks to list, largest first; 0 lists all";
    ReportObjects "report_objects" = "0", Unit::Flag, "list the address and size of every lost block";
    ShowReachable "show_reachable" = "0", Unit::Flag, "list the blocks that are still reachable too";
    UseGlobals "use_globals" = "1", Unit::Flag, "pointers in the data of executable and libraries keep blocks reachable";
    UseStacks "use_stacks" = "1", Unit::Flag, "pointers on the threads' stacks do";
    UseRegisters "use_registers" = "1", Unit::Flag, "pointers in the threads' registers do";
    UseTls "use_tls" = "1", Unit::Flag, "pointers in thread-local and thread-specific storage do";
    UseRootRegions "use_root_regions" = "1", Unit::Flag, "pointers in regions registered by the program do";
    UseMappings "use_mappings" = "1", Unit::Flag, "pointers in other private writable mappings do";
    UseUnaligned "use_unaligned" = "0", Unit::Flag, "pointers at addresses that are no multiple of 8 count too";
    LeakAtExit "leak_at_exit" = "1", Unit::Flag, "check when the program ends";
    CheckOnQuickExit "check_on__exit" = "0", Unit::Flag, "check also when the program ends by _exit";
    LeakSignal "leak_signal" = "0", Unit::Signal, in Values::Signal, "a signal that starts a check; 0 is none";
    LeakInterval "leak_interval" = "0", Unit::Seconds, in Values::Between(0, MOST_SECONDS), "check this often; 0 is never";
    LeakGrowth "leak_growth" = "0", Unit::Percent, "check when the live heap has grown by this much since the last check; 0 is never";
    OnlyNew "leak_new" = "0", Unit::Flag, "checks report only what none before them has";
    Reclaim "reclaim" = "0", Unit::Flag, "free what two checks running found lost: unsafe for programs that hide pointers";
    Trace "trace" = "0", Unit::Flag, "a line on standard error for every check, with the times of its phases";
    StackDepth "stack_depth" = "30", Unit::Count, in Values::Between(1, 128), "frames kept of the stack that allocates an object";
    LeakWorkers "leak_workers" = "0", Unit::Count, in Values::Between(0, 64), "threads that mark; 0 takes one for each CPU, up to 8";
    StopTimeout "stop_timeout" = "1000", Unit::Milliseconds, in Values::Between(0, 1000 * MOST_SECONDS), "how long to wait for all threads to stop";
    Verbosity "verbosity" = "0", Unit::Count, "1 says more: a report also if nothing is lost, unknown keys in LSAN_OPTIONS";
}

impl Key {
    /// The option's row in the table.
    pub(crate) fn info(self) -> OptionInfo {
        info(self as usize)
    }
}

/// The table of options, in its order.
fn table() -> impl Iterator<Item = OptionInfo> {
    (0..UNITS.len()).map(info)
}

fn info(i: usize) -> OptionInfo {
    let line = |texts: &'static str| texts.split('\n').nth(i).unwrap_or_default();
    let (unit, values) = UNITS[i];
    OptionInfo { name: line(NAMES), default: line(DEFAULTS), unit, values, meaning: line(MEANINGS) }
}

/// The value of an option that is a number, a flag or a word (its index).
#[inline]
pub(crate) fn get(key: Key) -> usize {
    VALUES[key as usize].load(Relaxed)
}

/// Whether a flag is set.
#[inline]
pub(crate) fn is_on(key: Key) -> bool {
    get(key) != 0
}

/// Whether the user has set an option, be it to its default.
pub(crate) fn is_given(key: Key) -> bool {
    GIVEN[key as usize].load(Relaxed)
}

/// The text of an option that is text. Empty if unset.
pub(crate) fn text(key: Key) -> &'static [u8] {
    let packed = get(key);
    let (start, len) = (packed & (usize::MAX >> TEXT_LEN_BITS), packed >> TEXT_ADDRESS_BITS);
    if start == 0 {
        return &[];
    }
    // SAFETY: `pack` made this number of a text that lives as long as the process, and took its address
    // and length from it; nothing else stores into an option of unit `Text`.
    unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(start), len) }
}

/// Sets an option from inside: one option's value implies another's.
pub(crate) fn set(key: Key, value: usize) {
    debug_assert!(!matches!(key.info().unit, Unit::Text), "set_text is for text");
    VALUES[key as usize].store(value, Relaxed);
}

/// Sets an option that is text, from inside. A text too long to keep, beyond 64 KiB, is said and ignored.
pub(crate) fn set_text(key: Key, value: &'static [u8]) {
    debug_assert!(matches!(key.info().unit, Unit::Text), "set is for numbers");
    match pack(copy(value)) {
        Some(packed) => VALUES[key as usize].store(packed, Relaxed),
        None => say!("the value of {} is too long", key.info().name),
    }
}

/// Notes that the user has set an option in a place other than `BESOM_OPTIONS`.
pub(crate) fn mark_given(key: Key) {
    GIVEN[key as usize].store(true, Relaxed);
}

/// Copies of texts: programs that show a title in place of their command line (redis, nginx, PostgreSQL) write it
/// over the environment.
static COPIES: [AtomicU8; 8 << 10] = [const { AtomicU8::new(0) }; 8 << 10];
/// Bytes of [`COPIES`] that are taken.
static COPIED: AtomicUsize = AtomicUsize::new(0);

/// A copy of `text` that lasts; the text itself if it is empty or there is no room left.
fn copy(text: &'static [u8]) -> &'static [u8] {
    let place = COPIED.load(Relaxed)..COPIED.load(Relaxed) + text.len();
    let Some(copy) = COPIES.get(place.clone()).filter(|copy| !copy.is_empty()) else { return text };
    COPIED.store(place.end, Relaxed);
    copy.iter().zip(text).for_each(|(to, &byte)| to.store(byte, Relaxed));
    // SAFETY: an atomic byte has the layout of a byte; these were just taken, by the one thread that reads
    // options before the program starts, and nobody writes them again.
    unsafe { core::slice::from_raw_parts(copy.as_ptr().cast(), copy.len()) }
}

/// A text is kept in one word: its address, which on all 64-bit Linux systems has at most 48 bits unless a
/// mapping asks for more, below its length.
const TEXT_ADDRESS_BITS: u32 = 48;
const TEXT_LEN_BITS: u32 = usize::BITS - TEXT_ADDRESS_BITS;

fn pack(text: &'static [u8]) -> Option<usize> {
    let address = text.as_ptr().expose_provenance();
    (address >> TEXT_ADDRESS_BITS == 0 && text.len() >> TEXT_LEN_BITS == 0)
        .then_some(text.len() << TEXT_ADDRESS_BITS | address)
}

/// A default from the table as its number. Only called by the compiler, on the table.
const fn number_of(text: &str, unit: Unit) -> usize {
    match unit {
        Unit::Text => 0,
        _ => match parse(text.as_bytes(), unit) {
            Some(n) => n,
            None => panic!("bad default in the table of options"),
        },
    }
}

const fn parse(text: &[u8], unit: Unit) -> Option<usize> {
    match unit {
        Unit::Word(words) => index_of(text, words.list().as_bytes()),
        Unit::Signal if !text.is_empty() && text[0].is_ascii_uppercase() => signal_named(text),
        Unit::BytesOrAuto if equal(text, b"auto") => Some(AUTO),
        _ => {
            let Some((number, digits)) = parse_digits(text) else { return None };
            let suffix = text.split_at(digits).1;
            match unit {
                Unit::Bytes | Unit::BytesOrAuto => match scale(suffix) {
                    Some(factor) => number.checked_mul(factor),
                    None => None,
                },
                Unit::Flag if number > 1 => None,
                _ if suffix.is_empty() => Some(number),
                _ => None,
            }
        }
    }
}

/// The number of the signal of this name.
const fn signal_named(name: &[u8]) -> Option<usize> {
    let name = match name {
        [b'S', b'I', b'G', rest @ ..] => rest,
        name => name,
    };
    match index_of(name, SIGNALS.as_bytes()) {
        Some(index) => Some(index + 1),
        None => None,
    }
}

/// The number that `text` begins with and how many digits it has; `None` without a digit or too large.
const fn parse_digits(text: &[u8]) -> Option<(usize, usize)> {
    let (mut n, mut i) = (0usize, 0);
    while i < text.len() && text[i].is_ascii_digit() {
        n = match n.checked_mul(10) {
            Some(tens) => match tens.checked_add((text[i] - b'0') as usize) {
                Some(sum) => sum,
                None => return None,
            },
            None => return None,
        };
        i += 1;
    }
    if i == 0 { None } else { Some((n, i)) }
}

const fn scale(suffix: &[u8]) -> Option<usize> {
    let (letter, rest) = match suffix {
        [] => return Some(1),
        [letter, rest @ ..] => (*letter, rest),
    };
    if !rest.is_empty() && !equal(rest, b"iB") {
        return None;
    }
    match letter {
        b'K' => Some(1 << 10),
        b'M' => Some(1 << 20),
        b'G' => Some(1 << 30),
        b'T' => Some(1 << 40),
        _ => None,
    }
}

/// Which of the words in `list` is `text`.
const fn index_of(text: &[u8], mut list: &[u8]) -> Option<usize> {
    let mut i = 0;
    loop {
        let mut end = 0;
        while end < list.len() && list[end] != b' ' {
            end += 1;
        }
        if equal(text, list.split_at(end).0) {
            return Some(i);
        }
        if end == list.len() {
            return None;
        }
        list = list.split_at(end + 1).1;
        i += 1;
    }
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// A static of this module, so that the linker lays it beside what else the start reads.
static VARIABLE: [u8; 13] = *b"BESOM_OPTIONS";

/// Reads `BESOM_OPTIONS`, once, before the heap starts.
pub(crate) fn init() {
    if auxv::is_secure() {
        return;
    }
    if let Some(text) = environment::variable(&VARIABLE) {
        read(text);
        say_what_needs_leak();
    }
    if is_on(Key::Help) {
        print_help();
    }
}

/// Takes `key=value:key=value` into the table. The text must stay where it is: values of unit [`Unit::Text`]
/// that are too long to copy are kept as addresses into it.
pub(crate) fn read(text: &'static [u8]) {
    for item in text.split(|&b| b == b':').filter(|item| !item.is_empty()) {
        let equals = item.iter().position(|&b| b == b'=').unwrap_or(item.len());
        let (name, value) = (&item[..equals], item.get(equals + 1..).unwrap_or(&[]));
        match NAMES.lines().position(|known| known.as_bytes() == name) {
            Some(i) => assign(i, value),
            None => say!("BESOM_OPTIONS: unknown option '{}' (help=1 lists them)", Ascii(name)),
        }
    }
}

/// Says that an option of the leak finder does nothing, if it is off and nobody has turned it off.
fn say_what_needs_leak() {
    let first = Key::DetectLeaks as usize + 1;
    let given = GIVEN[first..].iter().position(|given| given.load(Relaxed));
    if let Some(at) = given.filter(|_| !is_given(Key::Leak)) {
        say!("BESOM_OPTIONS: {} does nothing without leak=1", info(first + at).name);
    }
}

fn assign(i: usize, value: &'static [u8]) {
    let option = info(i);
    let number = match option.unit {
        Unit::Text => pack(copy(value)),
        unit => parse(value, unit).filter(|&number| option.values.has(number)),
    };
    match number {
        Some(number) => {
            VALUES[i].store(number, Relaxed);
            GIVEN[i].store(true, Relaxed);
        }
        None => say!(
            "BESOM_OPTIONS: bad value '{}' for {}: {}{}",
            Ascii(value),
            option.name,
            option.unit,
            option.values
        ),
    }
}

fn print_help() {
    say!("options in BESOM_OPTIONS=key=value:key=value");
    for option in table() {
        let OptionInfo { name, default, unit, values, meaning } = option;
        say!("  {name}={default}  {unit}{values}: {meaning}");
    }
}

impl core::fmt::Display for Unit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Flag => f.write_str("0 or 1"),
            Self::Count => f.write_str("a number"),
            Self::Bytes => f.write_str("bytes, with K, M, G, T or KiB, MiB, GiB, TiB"),
            Self::BytesOrAuto => f.write_str("bytes, with K, M, G, T or KiB, MiB, GiB, TiB, or auto"),
            Self::Seconds => f.write_str("seconds"),
            Self::Milliseconds => f.write_str("milliseconds"),
            Self::Percent => f.write_str("percent"),
            Self::Signal => f.write_str("a signal's name or number"),
            Self::Text => f.write_str("text"),
            Self::Word(words) => {
                let count = words.list().split(' ').count();
                for (i, word) in words.list().split(' ').enumerate() {
                    f.write_str(if i == 0 {
                        ""
                    } else if i + 1 == count {
                        " or "
                    } else {
                        ", "
                    })?;
                    f.write_str(word)?;
                }
                Ok(())
            }
        }
    }
}

/// Bytes shown as text, with what is not printable ASCII as `?`.
pub(crate) struct Ascii<'a>(pub(crate) &'a [u8]);

impl core::fmt::Display for Ascii<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        use core::fmt::Write;
        self.0
            .iter()
            .try_for_each(|&b| f.write_char(if (b' '..=b'~').contains(&b) { b as char } else { '?' }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_parse_by_unit() {
        assert_eq!(parse(b"1", Unit::Flag), Some(1));
        assert_eq!(parse(b"2", Unit::Flag), None);
        assert_eq!(parse(b"512MiB", Unit::Bytes), Some(512 << 20));
        assert_eq!(parse(b"2G", Unit::Bytes), Some(2 << 30));
        assert_eq!(parse(b"2X", Unit::Bytes), None);
        assert_eq!(parse(b"99999999999999999999", Unit::Count), None);
        assert_eq!(parse(b"auto", Unit::BytesOrAuto), Some(AUTO));
        assert_eq!(parse(b"auto", Unit::Bytes), None);
        assert_eq!(parse(b"always", Key::Thp.info().unit), Some(2));
        assert_eq!(parse(b"", Unit::Count), None);
        let signals = [&b"USR2"[..], b"SIGUSR2", b"12", b"HUP", b"SYS"].map(|text| parse(text, Unit::Signal));
        assert_eq!(signals, [12, 12, 12, 1, 31].map(Some));
        assert!(
            [&b""[..], b"SIG", b"USR", b"usr2", b"12x"]
                .iter()
                .all(|text| parse(text, Unit::Signal).is_none())
        );
    }

    #[test]
    fn numbers_out_of_range_are_ignored() {
        read(b"max_leaks=x:leak_interval=1000000001:stop_timeout=18446744073709551615");
        assert_eq!([get(Key::MaxLeaks), get(Key::LeakInterval), get(Key::StopTimeout)], [0, 0, 1000]);
        assert!(!is_given(Key::LeakInterval) && !is_given(Key::StopTimeout));
        let has = |key: Key, number| key.info().values.has(number);
        assert!(has(Key::ExitCode, 0) && has(Key::ExitCode, 255) && !has(Key::ExitCode, 256));
        assert!(has(Key::StackDepth, 128) && !has(Key::StackDepth, 0) && !has(Key::StackDepth, 129));
    }

    #[test]
    fn defaults_are_in_range() {
        for option in table().filter(|option| option.unit != Unit::Text) {
            let default = parse(option.default.as_bytes(), option.unit).unwrap();
            assert!(option.values.has(default), "{}", option.name);
        }
    }

    #[test]
    fn names_are_unique() {
        for (i, option) in table().enumerate() {
            assert!(table().take(i).all(|other| other.name != option.name), "{}", option.name);
        }
    }

    #[test]
    fn texts_are_kept_with_their_ends() {
        assert_eq!(text(Key::LogPath), b"");
        assert!(!is_given(Key::LogPath));
        read(b"log_path=/tmp/a b,c:leak_at_exit=1");
        assert_eq!(text(Key::LogPath), b"/tmp/a b,c");
        assert!(is_given(Key::LogPath) && is_given(Key::LeakAtExit) && !is_given(Key::Trace));
        set_text(Key::LogPath, b"/tmp/x:y");
        assert_eq!(text(Key::LogPath), b"/tmp/x:y");
        set_text(Key::LogPath, b"");
        assert_eq!(text(Key::LogPath), b"");
    }

    #[test]
    fn the_environment_is_found_with_and_without_libc() {
        let path = std::env::var("PATH").unwrap();
        assert_eq!(environment::variable(b"PATH"), Some(path.as_bytes()));
        assert_eq!(environment::variable(b"NO_SUCH_VARIABLE"), None);
    }
}
