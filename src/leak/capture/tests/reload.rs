//! Modules found the old way, and modules replaced.

use super::*;
use crate::leak::capture::modules;

#[test]
fn modules_are_found_without_the_finder_too() {
    prepare();
    assert_eq!(statistics().module_source, "_dl_find_object");
    let library = Library::build("frames.c", &["-fomit-frame-pointer", "-DFRESH"]);
    // In a child: in this process other tests would go without the finder for a while, and a list of mappings that
    // change while it is read can lack one.
    assert_succeeds_in_child(|| {
        modules::without_finder(|| {
            assert_eq!(statistics().module_source, "/proc/self/maps");
            let before = statistics().misses;
            for _ in 0..2 {
                capture_in(library.function("registers"), 3).assert_equal();
            }
            assert!(statistics().misses > before);
        });
    });
}

/// Loads a library whose frames have `bytes`, records a stack through it, and says where it lay.
fn record_through(bytes: usize) -> usize {
    let library = Library::build("plugin.c", &[&std::format!("-DFRAME_BYTES={bytes}")]);
    let function = library.function("plugin");
    let mut captured = Captured::default();
    // The first time it is stored, the second time its steps are, the third time it may be followed.
    for _ in 0..3 {
        // SAFETY: as in `capture_in`.
        unsafe { function(4, record_into, (&raw mut captured).cast()) };
        captured.assert_equal();
    }
    function as usize
}

/// A library is unloaded and another one, with other frames, loaded in its place.
#[test]
fn a_replaced_library_does_not_mislead() {
    prepare();
    // Other tests map memory at the same time, so the place would not always be free. A child has one thread.
    assert_succeeds_in_child(|| {
        let mut replaced = 0;
        for bytes in (0..12).map(|i| 1000 + i * 64) {
            let (first, second) = (record_through(bytes), record_through(bytes + 2000));
            replaced += usize::from(first == second);
        }
        assert!(replaced > 0, "no library took the place of another");
        assert!(statistics().rewalks >= replaced, "{replaced} replaced, {:?}", statistics());
    });
}

/// Runs `body` in a forked child, up to twice more if that fails: another thread may have held the lock of the known modules
/// at the fork, and then the child notices no new one.
fn assert_succeeds_in_child(body: impl Fn() + std::panic::RefUnwindSafe) {
    let succeeds = (0..3).any(|_| in_child(&body) == 0);
    assert!(succeeds, "see the children's messages above");
}

/// Runs `body` in a forked child; 0 if it did not panic.
fn in_child(body: impl FnOnce() + std::panic::UnwindSafe) -> i32 {
    // Another thread of the test program may hold a lock of libc now, which the child would wait for
    // without end; `alarm` ends it then.
    // SAFETY: the child runs a test and exits without unwinding into its parent's frames.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: the child's own alarm and end.
        unsafe {
            libc::alarm(60);
            let panicked = std::panic::catch_unwind(body).is_err();
            libc::_exit(panicked.into());
        }
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status
}
