//! Pointers to the inside of an object that programs use as the only ones, and that are therefore as good
//! as one to its start. Each is known by where it points and by what the object holds there; in doubt the
//! object is only possibly lost.
//!
//! | pointer to | known by | origin |
//! |---|---|---|
//! | the first element of a C++ array whose elements have destructors | their number in the word before | Valgrind's `newarray` |
//! | 8 bytes behind a word with the length of the rest | that word | Valgrind's `length64`, SQLite |
//! | the characters of an old-style `std::string` | length and capacity in front of them | Valgrind's `stdstring` |
//! | the header of a C++ exception in flight, or what was thrown | the mark of GNU's C++ in its header | the C++ ABI for exceptions, gcc's `unwind-cxx.h` |
//! | the value behind the counters of Rust's `Rc` and `Arc` (`into_raw`) | two small counters before it | Rust's `RcInner`, `ArcInner`: `repr(C)` |
//! | the control bytes of Rust's hash maps, behind the entries | their number, a power of two, and their first bytes repeated at the end | hashbrown's `RawTable` |

use super::frozen::Frozen;

const WORD_BYTES: usize = size_of::<usize>();

/// Length, capacity, reference count.
const OLD_STRING_HEADER_BYTES: usize = 3 * WORD_BYTES;
/// `__cxa_refcounted_exception` begins with a counter; then comes `__cxa_exception`, aligned.
const EXCEPTION_HEADER: usize = 16;
/// The unwinder's header, which ends `__cxa_exception`; its first word is the mark.
const EXCEPTION_MARK: usize = 96;
/// Where what was thrown begins.
const EXCEPTION_OBJECT: usize = 128;
/// `GNUCC++` and a byte that is 1 in a dependent exception (`std::rethrow_exception`).
const GNU_CPP_MARK: usize = u64::from_be_bytes(*b"GNUCC++\0") as usize;
/// Bytes of the two counters of `Rc` and `Arc`.
const COUNTERS_BYTES: usize = 2 * WORD_BYTES;
/// More owners than a value has; addresses and most other data are larger, zero is never a counter.
const MAX_OWNERS: usize = 1 << 24;
/// How many control bytes hashbrown looks at in one step.
const GROUP_BYTES: usize = if cfg!(target_arch = "x86_64") { 16 } else { 8 };
/// Eight control bytes without entries.
const UNUSED_CONTROL: usize = usize::MAX;

/// Whether a pointer to `at`, inside of the object of `bytes` bytes from `start` on, is as good as one to its
/// start.
pub(super) fn is_as_good_as_start(frozen: &impl Frozen, start: usize, bytes: usize, at: usize) -> bool {
    let offset = at - start;
    let word = |place: usize| frozen.word(start + place);
    let known = match offset {
        _ if offset >= bytes => false,
        WORD_BYTES => is_counted_array(word(0), bytes - WORD_BYTES),
        OLD_STRING_HEADER_BYTES => {
            let capacity = word(WORD_BYTES);
            word(0) <= capacity && Some(bytes) == capacity.checked_add(OLD_STRING_HEADER_BYTES + 1)
        }
        COUNTERS_BYTES if is_counter(word(0)) && is_counter(word(WORD_BYTES)) => true,
        EXCEPTION_HEADER | EXCEPTION_MARK | EXCEPTION_OBJECT if bytes > EXCEPTION_OBJECT => {
            word(EXCEPTION_MARK) & !0xff == GNU_CPP_MARK
        }
        _ => false,
    };
    known || (offset < bytes && is_hash_table(offset, bytes, word))
}

/// The first word holds the length of the rest in bytes, or the number of elements in it.
fn is_counted_array(first: usize, rest: usize) -> bool {
    first != 0 && (first == rest || rest.is_multiple_of(first))
}

fn is_counter(word: usize) -> bool {
    (1..=MAX_OWNERS).contains(&word)
}

/// Whether control bytes of a hash table begin at `offset`: one for each entry before them, and a group more,
/// which repeats the first ones. In a table of less than a group, unused bytes fill up the first.
fn is_hash_table(offset: usize, bytes: usize, word: impl Fn(usize) -> usize) -> bool {
    let Some(entries) = (bytes - offset).checked_sub(GROUP_BYTES) else { return false };
    if !entries.is_power_of_two() || entries < 4 || offset < entries || !offset.is_multiple_of(GROUP_BYTES) {
        return false;
    }
    let first = word(offset);
    match entries {
        4 => first >> 32 == UNUSED_CONTROL >> 32 && first as u32 == word(offset + GROUP_BYTES) as u32,
        8 if GROUP_BYTES > 8 => {
            word(offset + WORD_BYTES) == UNUSED_CONTROL && first == word(offset + GROUP_BYTES)
        }
        // Zeros, of which there is much in memory, would be entries whose hashes all begin alike.
        _ => first != 0 && first == word(offset + entries),
    }
}
