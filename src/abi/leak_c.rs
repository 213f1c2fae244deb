//! besom's own C functions around leak checks, declared in `include/besom.h`.

use crate::base::Addr;
use crate::leak::check::{self, Trigger};
use crate::leak::ignore::{self, Ignored};
use crate::leak::{self, roots, scope};
use crate::report::{Amount, Kind, Totals};
use core::ffi::{c_int, c_void};

/// `struct besom_leak_amount`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BesomLeakAmount {
    bytes: usize,
    blocks: usize,
}

/// `struct besom_leak_summary`.
#[repr(C)]
pub struct BesomLeakSummary {
    size: usize,
    definitely_lost: BesomLeakAmount,
    indirectly_lost: BesomLeakAmount,
    possibly_lost: BesomLeakAmount,
    still_reachable: BesomLeakAmount,
    suppressed: BesomLeakAmount,
}

impl BesomLeakSummary {
    fn of(totals: &Totals) -> Self {
        let amount = |kind| {
            let Amount { bytes, blocks } = totals.get(kind);
            BesomLeakAmount { bytes, blocks }
        };
        Self {
            size: size_of::<Self>(),
            definitely_lost: amount(Kind::Definite),
            indirectly_lost: amount(Kind::Indirect),
            possibly_lost: amount(Kind::Possible),
            still_reachable: amount(Kind::Reachable),
            suppressed: amount(Kind::Suppressed),
        }
    }
}

fn fail(errno: c_int) -> c_int {
    // SAFETY: libc returns the address of this thread's errno.
    unsafe { *libc::__errno_location() = errno };
    -1
}

/// A check; what it found, or what to set errno to: leak mode is off, or the check failed.
fn checked() -> Result<Totals, c_int> {
    if !leak::is_on() {
        return Err(libc::ENOTSUP);
    }
    check::run(Trigger::Call).ok_or(libc::EAGAIN)
}

/// `besom_leak_check`.
#[unsafe(no_mangle)]
pub extern "C" fn besom_leak_check() -> c_int {
    match checked() {
        Ok(totals) => (totals.leaked().blocks > 0) as c_int,
        Err(errno) => fail(errno),
    }
}

/// `besom_leak_check_summary`.
///
/// # Safety
/// `summary` is null or points to as much writable memory as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn besom_leak_check_summary(summary: *mut BesomLeakSummary) -> c_int {
    // SAFETY: null, or a structure whose first field the caller has set.
    if summary.is_null() || unsafe { (*summary).size } < size_of::<BesomLeakSummary>() {
        return fail(libc::EINVAL);
    }
    match checked() {
        Ok(totals) => {
            // SAFETY: the caller's structure is at least as long as ours.
            unsafe { summary.write(BesomLeakSummary::of(&totals)) };
            (totals.leaked().blocks > 0) as c_int
        }
        Err(errno) => fail(errno),
    }
}

/// `besom_leak_is_on`.
#[unsafe(no_mangle)]
pub extern "C" fn besom_leak_is_on() -> c_int {
    leak::is_on() as c_int
}

/// `besom_leak_ignore`.
#[unsafe(no_mangle)]
pub extern "C" fn besom_leak_ignore(object: *const c_void) -> c_int {
    if ignore::object(Addr::of(object)) == Ignored::NotAnObject { fail(libc::EINVAL) } else { 0 }
}

/// `besom_leak_disable`.
#[unsafe(no_mangle)]
pub extern "C" fn besom_leak_disable() {
    scope::disable();
}

/// `besom_leak_enable`.
#[unsafe(no_mangle)]
pub extern "C" fn besom_leak_enable() {
    scope::enable();
}

/// `besom_register_root_region`.
#[unsafe(no_mangle)]
pub extern "C" fn besom_register_root_region(start: *const c_void, size: usize) -> c_int {
    if roots::register(start.addr(), size).is_ok() { 0 } else { fail(libc::ENOMEM) }
}

/// `besom_unregister_root_region`.
#[unsafe(no_mangle)]
pub extern "C" fn besom_unregister_root_region(start: *const c_void, size: usize) -> c_int {
    if roots::unregister(start.addr(), size) { 0 } else { fail(libc::EINVAL) }
}
