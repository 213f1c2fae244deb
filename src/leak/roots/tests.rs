//! A word is planted in one place of the process, and must be found there and nowhere else.
//!
//! The word is the complement of a key, made by one instruction and never left in a register or on a
//! stack of the test, so that the plant is its only copy.

use super::*;
use crate::leak::snapshot::{self, Outcome, Place, Plain, Plan};
use crate::leak::stop_world::{self, tests::alone};
use crate::sys::futex;
use core::arch::asm;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::{process::Command, string::String, sync::mpsc, thread, vec::Vec};

/// Keys differ from test to test, so that one test's remains are not found by another.
fn fresh_key() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0x4141_5e5e_1234_0000);
    NEXT.fetch_add(0x10, SeqCst)
}

/// Stores the word of `key` at `place`.
#[inline(always)]
fn plant(place: *mut usize, key: usize) {
    // SAFETY: the caller's place is a word of its own; the register is cleared after the store.
    unsafe {
        asm!("not {key}", "mov [{place}], {key}", "xor {key:e}, {key:e}", place = in(reg) place,
             key = inout(reg) key => _);
    }
}

const MOST: usize = 16;

/// Where the word was found.
#[derive(Clone, Copy)]
struct Found {
    count: usize,
    at: [(u8, u32); MOST],
    objects: usize,
    object: [(u8, u32, usize, bool); 4096],
    notes: Option<Notes>,
}

// SAFETY: numbers, and an option of flags whose zero bytes are a value of it.
unsafe impl Plain for Found {}

impl Found {
    fn root(&mut self, root: Root, key: usize) {
        match root.what {
            What::Words((start, end)) => {
                for at in (start..end).step_by(WORD) {
                    // SAFETY: the search names only memory that can be read.
                    if !unsafe { crate::leak::peek::directly(at) } == key && self.count < MOST {
                        self.at[self.count] = (root.kind as u8, root.tid);
                        self.count += 1;
                    }
                }
            }
            What::Object(at) | What::Keep(at) => {
                if let Some(row) = self.object.get_mut(self.objects) {
                    *row = (root.kind as u8, root.tid, at, matches!(root.what, What::Keep(_)));
                    self.objects += 1;
                }
            }
        }
    }

    fn kinds(&self) -> Vec<Kind> {
        let kind = |&(kind, _): &(u8, u32)| Kind::ALL[kind as usize];
        let mut kinds: Vec<_> = self.at[..self.count].iter().map(kind).collect();
        kinds.sort();
        kinds
    }

    /// Whether the object around or before `at`, at most `reach` below, was named, and as what.
    fn object_at(&self, at: usize, reach: usize) -> Option<(Kind, bool)> {
        let row = self.object[..self.objects].iter().find(|row| row.2 <= at && at - row.2 <= reach);
        row.map(|row| (Kind::ALL[row.0 as usize], row.3))
    }
}

/// Looks for the word of `key` in a child, or in the process itself.
#[inline(never)]
fn search(key: usize, kinds: Kinds, in_place: bool, own_stack: usize) -> Found {
    let found = search_noting(key, kinds, in_place, own_stack);
    assert_eq!(found.notes, Some(Notes::default()), "nothing is hidden here");
    found
}

#[inline(never)]
fn search_noting(key: usize, kinds: Kinds, in_place: bool, own_stack: usize) -> Found {
    // A page of the result is shared with the child: no copy of the word may come from there.
    let caller = stop_world::Caller { stack_pointer: own_stack, registers: None };
    let options = stop_world::Options { caller, ..stop_world::tests::options() };
    let plan = Plan { wait: true, limit_seconds: 60, keep_file: -1, stack_bytes: 1 << 20, in_place };
    let world = stop_world::stop(&options).unwrap();
    let outcome = snapshot::run(
        world,
        &plan,
        || (),
        |world, place, found: &mut Found| {
            let search = Search { world, kinds, owned: &|_| (), in_place: place != Place::Child };
            found.notes = find(&search, &mut |root| found.root(root, key)).ok();
        },
    );
    match outcome {
        Outcome::Done(found, place) => {
            assert_eq!(place != Place::Child, in_place);
            found
        }
        Outcome::Failed(failure) => panic!("{failure:?}"),
        Outcome::Running(_) => unreachable!("waited for"),
    }
}

/// Asserts that the word of `key` is found once, as `kind`, in a child and in place, and not at all if
/// that kind is turned off.
#[track_caller]
fn assert_found(key: usize, kind: Kind) -> Found {
    let marker = 0usize;
    let own_stack = &raw const marker as usize;
    let found = search(key, Kinds::DEFAULT, false, own_stack);
    assert_eq!(found.kinds(), [kind]);
    assert_eq!(search(key, Kinds::DEFAULT, true, own_stack).kinds(), [kind], "in place");
    assert_eq!(search(key, Kinds::DEFAULT.without(kind), false, own_stack).kinds(), [], "turned off");
    found
}

#[track_caller]
fn assert_not_found(key: usize) {
    let marker = 0usize;
    for in_place in [false, true] {
        assert_eq!(search(key, Kinds::DEFAULT, in_place, &raw const marker as usize).kinds(), []);
    }
}

fn prepared() -> std::sync::MutexGuard<'static, ()> {
    let guard = alone();
    learn();
    guard
}

/// A thread that has done `first` and sleeps until dropped.
struct Parked {
    tid: u32,
    end: &'static AtomicU32,
    thread: Option<thread::JoinHandle<()>>,
}

impl Parked {
    fn new(body: impl FnOnce(&dyn Fn()) + Send + 'static) -> Self {
        let end: &'static AtomicU32 = std::boxed::Box::leak(std::boxed::Box::new(AtomicU32::new(0)));
        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || {
            body(&move || {
                sender.send(crate::sys::message::thread_id()).unwrap();
                while end.load(SeqCst) == 0 {
                    futex::wait(end, 0);
                }
            });
        });
        Self { tid: receiver.recv().unwrap(), end, thread: Some(thread) }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.end.store(1, SeqCst);
        futex::wake(self.end, 1);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn a_word_in_static_data() {
    static mut PLACE: usize = 0;
    let _one = prepared();
    let key = fresh_key();
    plant(&raw mut PLACE, key);
    assert_found(key, Kind::Globals);
}

#[test]
fn a_word_in_relocated_read_only_data() {
    let _one = prepared();
    let (key, page) = (fresh_key(), crate::sys::auxv::kernel_page_bytes());
    let at = crate::sys::memory::map(page, crate::sys::memory::Access::ReadWrite).unwrap();
    plant(at.ptr(), key);
    // SAFETY: the test's own page.
    unsafe { crate::sys::memory::protect(at, page, crate::sys::memory::Access::Read) }.unwrap();
    assert_found(key, Kind::Mapping);
    // SAFETY: as above.
    unsafe { crate::sys::memory::protect(at, page, crate::sys::memory::Access::None) }.unwrap();
    assert_not_found(key);
    // SAFETY: as above.
    unsafe { crate::sys::memory::unmap(at, page) };
}

#[test]
fn a_word_in_a_thread_local_variable() {
    std::thread_local!(static PLACE: core::cell::Cell<usize> = const { core::cell::Cell::new(0) });
    let _one = prepared();
    let key = fresh_key();
    let parked = Parked::new(move |park| {
        PLACE.with(|place| plant(place.as_ptr(), key));
        park();
    });
    let found = assert_found(key, Kind::Tls);
    assert_eq!(found.at[0].1, parked.tid);
}

#[test]
fn a_word_on_another_threads_stack_and_below_it() {
    let _one = prepared();
    let (key, stale) = (fresh_key(), fresh_key());
    let parked = Parked::new(move |park| {
        #[inline(never)]
        fn deep(stale: usize) {
            let mut places = [0usize; 512];
            plant(&raw mut places[200], stale);
            core::hint::black_box(&mut places);
        }
        let mut place = 0usize;
        plant(&raw mut place, key);
        deep(stale);
        park();
        core::hint::black_box(&mut place);
    });
    let found = assert_found(key, Kind::Stack);
    assert_eq!(found.at[0].1, parked.tid);
    assert_not_found(stale);
}

#[test]
fn a_word_in_the_stack_of_a_thread_that_blocks_all_signals() {
    let _one = prepared();
    let key = fresh_key();
    let parked = Parked::new(move |park| {
        let mut place = 0usize;
        plant(&raw mut place, key);
        let old = crate::sys::signal::set_blocked(crate::sys::signal::ALL);
        park();
        crate::sys::signal::set_blocked(old);
        core::hint::black_box(&mut place);
    });
    let found = assert_found(key, Kind::Stack);
    assert_eq!(found.at[0].1, parked.tid);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn words_in_registers_only() {
    let _one = prepared();
    static SPIN: AtomicU32 = AtomicU32::new(1);
    let keys = [fresh_key(), fresh_key()];
    SPIN.store(1, SeqCst);
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        sender.send(()).unwrap();
        // SAFETY: holds the two words in registers while the flag is set, then clears them.
        unsafe {
            asm!("not {a}", "not {b}", "movq xmm11, {b}", "xor {b:e}, {b:e}",
                 "2:", "pause", "cmp dword ptr [{flag}], 0", "jne 2b",
                 "xor {a:e}, {a:e}", "pxor xmm11, xmm11",
                 flag = in(reg) SPIN.as_ptr(), a = inout(reg) keys[0] => _, b = inout(reg) keys[1] => _,
                 out("xmm11") _);
        }
    });
    receiver.recv().unwrap();
    thread::sleep(std::time::Duration::from_millis(20));
    let kinds = keys.map(|key| {
        let marker = 0usize;
        search(key, Kinds::DEFAULT, false, &raw const marker as usize).kinds()
    });
    SPIN.store(0, SeqCst);
    thread.join().unwrap();
    assert_eq!(kinds, [[Kind::Registers], [Kind::Registers]]);
}

#[test]
fn words_on_the_callers_stack_only_above_the_frame_it_names() {
    let _one = prepared();
    let key = fresh_key();
    let mut place = [0usize; 2];
    plant(&raw mut place[0], key);
    let at = place.as_ptr() as usize;
    assert_eq!(search(key, Kinds::DEFAULT, false, at).kinds(), [Kind::Stack]);
    // The red zone is scanned too.
    assert_eq!(search(key, Kinds::DEFAULT, false, at + 64).kinds(), [Kind::Stack]);
    assert_eq!(search(key, Kinds::DEFAULT, false, at + 256).kinds(), []);
    core::hint::black_box(&mut place);
}

#[test]
fn words_on_an_alternate_stack_and_on_the_one_interrupted() {
    let _one = prepared();
    static KEYS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
    static END: AtomicU32 = AtomicU32::new(0);
    static READY: AtomicU32 = AtomicU32::new(0);
    unsafe extern "C" fn handler(_: i32, _: *const crate::sys::signal::Info, _: *mut core::ffi::c_void) {
        let mut place = 0usize;
        plant(&raw mut place, KEYS[0].load(SeqCst));
        crate::sys::signal::set_blocked(0);
        READY.store(1, SeqCst);
        while END.load(SeqCst) == 0 {
            futex::wait(&END, 0);
        }
        core::hint::black_box(&mut place);
    }
    let keys = [fresh_key(), fresh_key()];
    KEYS[0].store(keys[0], SeqCst);
    let number = libc::SIGRTMIN() + 7;
    let action = crate::sys::signal::Action::handle(handler, libc::SA_ONSTACK);
    // SAFETY: the handler above runs only in the thread below.
    let old = unsafe { crate::sys::signal::set_action(number, &action) }.unwrap();
    let (sender, receiver) = mpsc::channel();
    // Rust gives the thread its alternate stack.
    let thread = thread::spawn(move || {
        let tid = crate::sys::message::thread_id();
        let mut place = 0usize;
        plant(&raw mut place, keys[1]);
        sender.send(tid).unwrap();
        // SAFETY: the handler set above.
        unsafe { crate::sys::signal::queue(crate::sys::message::process_id(), tid, number, 0) }.unwrap();
        core::hint::black_box(&mut place);
    });
    let tid = receiver.recv().unwrap();
    while READY.load(SeqCst) == 0 {
        thread::yield_now();
    }
    let found = assert_found(keys[0], Kind::AlternateStack);
    assert_eq!(found.at[0].1, tid);
    let named = found.object[..found.objects].iter();
    assert!(named.clone().any(|row| row.0 == Kind::AlternateStack as u8 && row.1 == tid && !row.3));
    assert_eq!(assert_found(keys[1], Kind::Stack).at[0].1, tid);
    END.store(1, SeqCst);
    futex::wake(&END, 1);
    thread.join().unwrap();
    // SAFETY: puts back what was there.
    unsafe { crate::sys::signal::set_action(number, &old) }.unwrap();
}

#[test]
fn thread_specific_values_inline_and_behind() {
    let _one = prepared();
    let (key, mut keys) = (fresh_key(), Vec::new());
    for _ in 0..40 {
        let mut new = 0;
        // SAFETY: glibc writes the key.
        assert_eq!(unsafe { libc::pthread_key_create(&raw mut new, None) }, 0);
        keys.push(new);
    }
    let (first, last) = (keys[0], keys[39]);
    assert!(first < 32 && last >= 32, "one in the descriptor, one in a block of its own");
    let behind = Parked::new(move |park| {
        // SAFETY: a key made above; the value is only a number.
        unsafe { libc::pthread_setspecific(last, core::ptr::without_provenance(1)) };
        park();
    });
    /// Sets the value far below the frames that stay, so that no stale copy lies between them.
    #[inline(never)]
    fn set_deeply(depth: usize, first: libc::pthread_key_t, key: usize) {
        core::hint::black_box(&mut [0usize; 256]);
        if depth > 0 {
            set_deeply(depth - 1, first, key);
        } else {
            // SAFETY: a key that the test made; the value is only a number.
            unsafe { libc::pthread_setspecific(first, core::ptr::without_provenance(!key)) };
        }
    }
    let parked = Parked::new(move |park| {
        set_deeply(3, first, key);
        park();
    });
    let found = assert_found(key, Kind::Specific);
    assert_eq!(found.at[0].1, parked.tid);
    let objects = found.object[..found.objects].iter();
    assert!(objects.clone().any(|row| row.0 == Kind::Specific as u8 && row.1 == behind.tid && !row.3));
    drop((parked, behind));
    // SAFETY: nobody uses them any more.
    keys.into_iter().for_each(|key| assert_eq!(unsafe { libc::pthread_key_delete(key) }, 0));
}

#[test]
fn the_return_value_of_a_thread_not_yet_joined() {
    let _one = prepared();
    extern "C" fn body(key: *mut core::ffi::c_void) -> *mut core::ffi::c_void {
        core::ptr::without_provenance_mut(!key.addr())
    }
    let (key, mut thread) = (fresh_key(), 0);
    let argument = core::ptr::without_provenance_mut(key);
    // SAFETY: the thread computes a number.
    assert_eq!(unsafe { libc::pthread_create(&raw mut thread, core::ptr::null(), body, argument) }, 0);
    thread::sleep(std::time::Duration::from_millis(50));
    assert_found(key, Kind::Descriptor);
    // SAFETY: the thread made above.
    unsafe { libc::pthread_join(thread, core::ptr::null_mut()) };
    assert_not_found(key);
}

#[test]
fn the_stack_of_an_ended_thread_is_not_read() {
    let _one = prepared();
    let key = fresh_key();
    thread::spawn(move || {
        let mut places = [0usize; 4096];
        places.iter_mut().for_each(|place| plant(place, key));
        core::hint::black_box(&mut places);
    })
    .join()
    .unwrap();
    assert_not_found(key);
}

#[test]
fn private_and_shared_mappings() {
    let _one = prepared();
    let (keys, page) = ([fresh_key(), fresh_key(), fresh_key()], crate::sys::auxv::kernel_page_bytes());
    let private = crate::sys::memory::map(1 << 30, crate::sys::memory::Access::ReadWrite).unwrap();
    let shared = crate::sys::memory::map_shared(16 * page).unwrap();
    plant(private.plus((1 << 30) - 64).ptr(), keys[0]);
    plant(shared.plus(9 * page).ptr(), keys[1]);
    assert_found(keys[0], Kind::Mapping);
    assert_found(keys[1], Kind::SharedMemory);
    let file = shared_file(page);
    plant(file as *mut usize, keys[2]);
    assert_not_found(keys[2]);
    let marker = 0usize;
    let with_files = Kinds::DEFAULT.with(Kind::SharedFile);
    assert_eq!(search(keys[2], with_files, false, &raw const marker as usize).kinds(), [Kind::SharedFile]);
    register(file, page).unwrap();
    assert_found(keys[2], Kind::Region);
    assert!(unregister(file, page));
    // SAFETY: the test's own mappings.
    unsafe {
        crate::sys::memory::unmap(private, 1 << 30);
        crate::sys::memory::unmap(shared, 16 * page);
        crate::sys::memory::unmap(crate::base::Addr(file), page);
    }
}

/// A page of a shared file mapping.
fn shared_file(bytes: usize) -> usize {
    let path = std::env::current_exe().unwrap().with_extension(std::format!("{}.map", std::process::id()));
    std::fs::write(&path, std::vec![0; bytes]).unwrap();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    // SAFETY: a fresh mapping of a file of the test's own.
    let at = unsafe { libc::mmap(core::ptr::null_mut(), bytes, access, libc::MAP_SHARED, fd, 0) };
    assert_ne!(at, libc::MAP_FAILED);
    at.addr()
}

/// Compiles and loads a library with a variable, a zeroed one and a thread-local one.
fn library() -> *mut core::ffi::c_void {
    let directory = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    let source = directory.join(std::format!("roots-{}.c", std::process::id()));
    let object = source.with_extension("so");
    let text = "long data[64] = {1}; long zeroed[4096]; __thread long local[64];\n\
                long *address_of_local(void) { return local + 7; }\n";
    std::fs::write(&source, text).unwrap();
    let mut compiler = Command::new("cc");
    let status = compiler.args(["-shared", "-fPIC", "-o"]).arg(&object).arg(&source).status();
    assert!(status.unwrap().success());
    let name = std::ffi::CString::new(object.to_str().unwrap()).unwrap();
    // SAFETY: a library without constructors.
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
    assert!(!library.is_null());
    std::fs::remove_file(source).unwrap();
    std::fs::remove_file(object).unwrap();
    library
}

#[test]
fn data_of_a_library_loaded_at_run_time() {
    let _one = prepared();
    let library = library();
    // SAFETY: names of the library above.
    let symbol = |name: &core::ffi::CStr| unsafe { libc::dlsym(library, name.as_ptr()) };
    for name in [c"data", c"zeroed"] {
        let (key, place) = (fresh_key(), symbol(name).cast::<usize>());
        plant(place.wrapping_add(63), key);
        assert_found(key, Kind::Globals);
        plant(place.wrapping_add(63), 0);
    }
    let address = symbol(c"address_of_local") as usize;
    let key = fresh_key();
    static LOCAL: AtomicUsize = AtomicUsize::new(0);
    let parked = Parked::new(move |park| {
        // SAFETY: the library's function.
        let address: extern "C" fn() -> *mut usize = unsafe { core::mem::transmute(address) };
        plant(address(), key);
        LOCAL.store(address().addr(), SeqCst);
        park();
    });
    let marker = 0usize;
    let own_stack = &raw const marker as usize;
    // The block is this process's malloc's, whose memory is a mapping like any other here; under besom
    // it is an object of the heap. Either way it is named.
    let found = search(key, Kinds::DEFAULT, false, own_stack);
    assert_eq!(found.kinds(), [Kind::Mapping]);
    assert_eq!(found.object_at(LOCAL.load(SeqCst), 1024), Some((Kind::Tls, false)));
    let found = search(key, Kinds::DEFAULT.without(Kind::Tls), false, own_stack);
    assert_eq!(found.object_at(LOCAL.load(SeqCst), 1024), Some((Kind::Tls, true)));
    drop(parked);
    // SAFETY: loaded above.
    unsafe { libc::dlclose(library) };
}

#[test]
fn besoms_own_memory_is_left_out() {
    let _one = prepared();
    let (key, marker) = (fresh_key(), 0usize);
    let own = own_memory::map(4096).unwrap();
    plant(own.ptr(), key);
    assert_not_found(key);
    let bytes = 1 << 20;
    let heap = crate::sys::memory::map(bytes, crate::sys::memory::Access::ReadWrite).unwrap();
    plant(heap.plus(4096).ptr(), key);
    assert_found(key, Kind::Mapping);
    let options = stop_world::tests::options();
    let caller = stop_world::Caller { stack_pointer: &raw const marker as usize, registers: None };
    let world = stop_world::stop(&stop_world::Options { caller, ..options }).unwrap();
    let plan = Plan { wait: true, limit_seconds: 60, keep_file: -1, stack_bytes: 1 << 20, in_place: false };
    let outcome = snapshot::run(
        world,
        &plan,
        || (),
        |world, _, found: &mut Found| {
            let owned = |each: &mut dyn FnMut(Range)| each((heap.0, heap.0 + bytes));
            let search = Search { world, kinds: Kinds::DEFAULT, owned: &owned, in_place: false };
            found.notes = find(&search, &mut |root| found.root(root, key)).ok();
        },
    );
    let Outcome::Done(found, _) = outcome else { panic!("failed") };
    assert_eq!(found.kinds(), []);
    // SAFETY: the test's own mappings.
    unsafe {
        own_memory::unmap(own);
        crate::sys::memory::unmap(heap, bytes);
    }
}

#[test]
fn without_proc_data_and_stacks_are_still_found() {
    use std::os::unix::process::CommandExt;
    let mut inner = Command::new(std::env::current_exe().unwrap());
    inner.args(["--exact", "leak::roots::tests::without_proc_inner", "--ignored", "--test-threads=1"]);
    // SAFETY: only system calls, in the child.
    unsafe {
        inner.pre_exec(|| {
            let none = c"none".as_ptr();
            let private = libc::MS_REC | libc::MS_PRIVATE;
            if libc::unshare(libc::CLONE_NEWNS) != 0
                && libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWUSER) != 0
                || libc::mount(none, c"/".as_ptr(), core::ptr::null(), private, core::ptr::null()) != 0
                || libc::mount(none, c"/proc".as_ptr(), c"tmpfs".as_ptr(), 0, core::ptr::null()) != 0
            {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        })
    };
    let output = inner.output().expect("hiding /proc needs root or user namespaces");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[test]
#[ignore = "run by the test above, where /proc is hidden"]
fn without_proc_inner() {
    static mut PLACE: usize = 0;
    let _one = prepared();
    let keys = [fresh_key(), fresh_key()];
    plant(&raw mut PLACE, keys[0]);
    let [_, key] = keys;
    let _parked = Parked::new(move |park| {
        let mut place = 0usize;
        plant(&raw mut place, key);
        park();
        core::hint::black_box(&mut place);
    });
    let marker = 0usize;
    for in_place in [false, true] {
        for (key, kind) in keys.into_iter().zip([Kind::Globals, Kind::Stack]) {
            let found = search_noting(key, Kinds::DEFAULT, in_place, &raw const marker as usize);
            let notes = found.notes.unwrap();
            assert_eq!(notes, Notes { no_maps: true, no_page_table: true, ..Notes::default() });
            assert_eq!(found.kinds(), [kind]);
        }
    }
    let world = stop_world::stop(&stop_world::tests::options()).unwrap();
    let source = world.source();
    world.resume();
    assert_eq!(source, stop_world::Source::Libc);
}

#[test]
fn names_of_kinds_are_distinct() {
    let mut names: Vec<String> = Kind::ALL.iter().map(|kind| kind.text().into()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), Kind::ALL.len());
    for (i, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, i);
        assert_eq!(Kinds::DEFAULT.has(kind), kind != Kind::SharedFile);
    }
}
