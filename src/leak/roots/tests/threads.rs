//! Words that belong to threads.

use super::*;

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
    // It ends when it gets a CPU.
    let marker = 0usize;
    let is_there =
        || search(key, Kinds::DEFAULT, false, &raw const marker as usize).kinds() == [Kind::Descriptor];
    (0..200).take_while(|_| !is_there()).for_each(|_| thread::sleep(std::time::Duration::from_millis(50)));
    assert_found(key, Kind::Descriptor);
    // SAFETY: the thread made above.
    unsafe { libc::pthread_join(thread, core::ptr::null_mut()) };
    assert_not_found(key);
}

#[test]
fn the_stack_of_an_ended_thread_is_not_read() {
    let _one = prepared();
    let key = fresh_key();
    // Much larger than other threads' stacks, so that glibc does not hand it to one of another test.
    let roomy = thread::Builder::new().stack_size(32 << 20);
    let thread = roomy.spawn(move || {
        let mut places = [0usize; 4096];
        places.iter_mut().for_each(|place| plant(place, key));
        core::hint::black_box(&mut places);
    });
    thread.unwrap().join().unwrap();
    assert_not_found(key);
}
