//! Words in data, mappings and shared memory.

use super::*;

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
            let search =
                Search { world, kinds: Kinds::DEFAULT, owned: &owned, in_place: false, unaligned: false };
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
    inner.args([
        "--exact",
        "leak::roots::tests::mappings::without_proc_inner",
        "--ignored",
        "--test-threads=1",
    ]);
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
fn kinds_are_numbered_in_order_and_only_shared_files_are_left_out() {
    for (i, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, i);
        assert_eq!(Kinds::DEFAULT.has(kind), kind != Kind::SharedFile);
    }
}
