use super::*;
use crate::sys::syscall::{call, raw};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};
use std::{
    sync::{Arc, Mutex, MutexGuard, mpsc},
    thread,
    time::Duration,
    vec::Vec,
};

/// One test at a time may stop the world.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Options with a generous time limit: nothing here depends on it.
#[inline(always)]
pub(crate) fn options() -> Options {
    let marker = 0usize;
    let caller = Caller { stack_pointer: &raw const marker as usize, registers: Some(save_registers()) };
    Options { signal: DEFAULT_SIGNAL, limit_milliseconds: 20_000, caller }
}

/// What the threads of a test do until told to end.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Life {
    Reads,
    WaitsOnFutex,
    Spins,
    BlocksSignals,
    BlocksSignalsInKernel,
    HasOnlyItsTinyStack,
}

static END: AtomicU32 = AtomicU32::new(0);
static SPINS: AtomicU64 = AtomicU64::new(0);

fn live(life: Life, pipe: i32) {
    match life {
        Life::Reads => {
            let mut byte = 0u8;
            // SAFETY: reads one byte into a local.
            let _ = unsafe { call(libc::SYS_read, [pipe as usize, (&raw mut byte).addr(), 1, 0, 0, 0]) };
        }
        Life::Spins => {
            while END.load(Relaxed) == 0 {
                SPINS.fetch_add(1, Relaxed);
            }
        }
        Life::BlocksSignals => {
            // SAFETY: a local set; the thread ends with its mask.
            unsafe {
                let mut all = core::mem::zeroed();
                libc::sigfillset(&raw mut all);
                libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, core::ptr::null_mut());
            }
            wait_for_end();
        }
        Life::BlocksSignalsInKernel => {
            signal::set_blocked(signal::ALL);
            wait_for_end();
            signal::set_blocked(0);
        }
        Life::HasOnlyItsTinyStack => {
            // Rust gives every thread an alternate stack: without it the frame goes onto the 16 KiB.
            let none = libc::stack_t { ss_sp: core::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            let mut old = none;
            // SAFETY: the old one is put back before Rust frees it.
            unsafe { libc::sigaltstack(&raw const none, &raw mut old) };
            wait_for_end();
            // SAFETY: as above.
            unsafe { libc::sigaltstack(&raw const old, core::ptr::null_mut()) };
        }
        Life::WaitsOnFutex => wait_for_end(),
    }
}

fn wait_for_end() {
    while END.load(SeqCst) == 0 {
        futex::wait(&END, 0);
    }
}

fn pipe() -> [i32; 2] {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    ends
}

/// Threads leading all kinds of lives; ended on drop.
struct Crowd {
    threads: Vec<(u32, Life, thread::JoinHandle<()>)>,
    pipe: [i32; 2],
}

impl Crowd {
    fn new(each: usize) -> Self {
        const LIVES: [Life; 6] = [
            Life::Reads,
            Life::WaitsOnFutex,
            Life::Spins,
            Life::BlocksSignals,
            Life::BlocksSignalsInKernel,
            Life::HasOnlyItsTinyStack,
        ];
        END.store(0, SeqCst);
        let pipe = pipe();
        let (sender, receiver) = mpsc::channel();
        let start = |life| {
            let sender = sender.clone();
            // Few may spin: the machine has other work.
            let thread = thread::Builder::new().stack_size(16 << 10).spawn(move || {
                sender.send(thread_id()).unwrap();
                live(life, pipe[0]);
            });
            (receiver.recv().unwrap(), life, thread.unwrap())
        };
        let lives = LIVES
            .into_iter()
            .flat_map(|life| core::iter::repeat_n(life, if life == Life::Spins { 3 } else { each }));
        let threads = lives.map(start).collect();
        thread::sleep(Duration::from_millis(20));
        Self { threads, pipe }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        END.store(1, SeqCst);
        futex::wake(&END, u32::MAX >> 1);
        // SAFETY: closing the writing end ends the reads.
        unsafe { libc::close(self.pipe[1]) };
        for (_, _, thread) in self.threads.drain(..) {
            thread.join().unwrap();
        }
        // SAFETY: nobody reads any more.
        unsafe { libc::close(self.pipe[0]) };
    }
}

/// Stops the world, notes all threads, runs `meanwhile`, and lets the world go on.
fn stopped(meanwhile: impl FnOnce(&StoppedWorld)) -> Vec<ThreadState> {
    // Nothing may allocate while others are stopped: they may hold the lock of this process's malloc.
    let mut states = Vec::with_capacity(20_000);
    let world = stop(&options()).unwrap();
    states.extend(world.threads().take(20_000));
    meanwhile(&world);
    world.resume();
    states
}

fn pause_milliseconds(n: u64) {
    futex::wait_for(&AtomicU32::new(0), 0, n * NANOSECONDS_PER_MILLISECOND);
}

#[test]
fn threads_in_all_states_are_stopped_and_go_on() {
    let _alone = alone();
    let crowd = Crowd::new(40);
    let (mut before, mut after) = (0, 0);
    let states = stopped(|world| {
        assert_eq!(world.source(), Source::Proc);
        before = SPINS.load(SeqCst);
        pause_milliseconds(30);
        after = SPINS.load(SeqCst);
    });
    assert_eq!(before, after, "nobody runs while the world is stopped");
    for (tid, life, _) in &crowd.threads {
        let state = states.iter().find(|state| state.tid == *tid).unwrap_or_else(|| panic!("{life:?}"));
        let how = if *life == Life::BlocksSignalsInKernel { How::Sampled } else { How::Signal };
        assert_eq!(state.how, how, "{life:?}");
        assert!(state.stack_pointer != 0);
        if how == How::Signal {
            assert!(state.thread_pointer != 0);
            assert!(state.registers.1 - state.registers.0 > 512, "{:?}", state.registers);
            assert_eq!(state.alternate.0 < state.alternate.1, *life != Life::HasOnlyItsTinyStack);
        }
    }
    assert_eq!(states.iter().filter(|state| state.how == How::Caller).count(), 1);
    while SPINS.load(SeqCst) == after {
        pause_milliseconds(1);
    }
}

#[test]
fn threads_being_born_and_dying_are_stopped_too() {
    let _alone = alone();
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    let end = Arc::new(AtomicBool::new(false));
    let mothers: Vec<_> = (0..2)
        .map(|_| {
            let end = end.clone();
            thread::spawn(move || {
                while !end.load(Relaxed) {
                    let child = thread::spawn(|| ALIVE.fetch_add(1, Relaxed));
                    child.join().unwrap();
                }
            })
        })
        .collect();
    for _ in 0..50 {
        let (mut before, mut after) = (0, 0);
        let states = stopped(|_| {
            before = ALIVE.load(SeqCst);
            pause_milliseconds(2);
            after = ALIVE.load(SeqCst);
        });
        assert_eq!(before, after);
        assert!(states.iter().all(|state| !matches!(state.how, How::NotSeen(_))), "{states:?}");
        pause_milliseconds(1);
    }
    end.store(true, Relaxed);
    mothers.into_iter().for_each(|mother| mother.join().unwrap());
    assert!(ALIVE.load(Relaxed) > 0);
}

#[test]
fn a_thousand_threads_are_stopped() {
    let _alone = alone();
    let count: usize = std::env::var("BESOM_TEST_THREADS").map_or(1000, |n| n.parse().unwrap());
    END.store(0, SeqCst);
    let threads: Vec<_> = (0..count)
        .map(|_| thread::Builder::new().stack_size(16 << 10).spawn(wait_for_end).unwrap())
        .collect();
    for _ in 0..3 {
        let states = stopped(|_| ());
        assert!(states.iter().filter(|state| state.how == How::Signal).count() >= count);
    }
    END.store(1, SeqCst);
    futex::wake(&END, u32::MAX >> 1);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn one_stop_at_a_time() {
    let _alone = alone();
    let world = stop(&options()).unwrap();
    let second = stop(&options()).err();
    world.resume();
    assert_eq!(second, Some(StopError::Busy));
    stop(&options()).unwrap().resume();
}

#[test]
fn a_running_thread_that_blocks_the_signal_is_named_and_stops_late() {
    let _alone = alone();
    static PHASE: AtomicU32 = AtomicU32::new(0);
    let (sender, receiver) = mpsc::channel();
    let thread = thread::Builder::new().name("deaf".into()).spawn(move || {
        signal::set_blocked(signal::ALL);
        sender.send(thread_id()).unwrap();
        while PHASE.load(SeqCst) == 0 {}
        signal::set_blocked(0);
        PHASE.store(2, SeqCst);
    });
    let tid = receiver.recv().unwrap();
    let world = stop(&Options { limit_milliseconds: 30, ..options() }).unwrap();
    let state = world.threads().find(|state| state.tid == tid);
    let mut name = [0; 16];
    let named = thread_name(world.process(), tid, &mut name) == b"deaf";
    // Now it takes the signal, while the others still sleep, and must not get past it.
    PHASE.store(1, SeqCst);
    pause_milliseconds(50);
    let phase = PHASE.load(SeqCst);
    world.resume();
    thread.unwrap().join().unwrap();
    assert_eq!(state.unwrap().how, How::NotSeen(Reason::Running));
    assert_eq!(state.unwrap().stack_pointer, 0);
    assert!(named);
    assert_eq!(phase, 1);
    assert_eq!(PHASE.load(SeqCst), 2);
}

#[test]
fn a_main_thread_that_has_ended_is_forgotten() {
    // In a process of its own: its main thread must end.
    let _alone = alone();
    // SAFETY: the child makes one thread by the kernel alone and otherwise uses raw system calls only.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        extern "C" fn second(main: usize) -> ! {
            while silent::look(process_id(), main as u32) != Look::Gone {}
            let good = stop(&options()).is_ok_and(|world| world.threads().count() == 1);
            crate::sys::clone::exit_process(if good { 0 } else { 1 })
        }
        let stack = crate::leak::own_memory::map(256 << 10).unwrap();
        let flags =
            libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
        // SAFETY: a fresh stack; the thread uses no thread-local storage while this one exists.
        unsafe {
            crate::sys::clone::clone_onto(
                flags as usize,
                stack.plus(256 << 10),
                second,
                process_id() as usize,
                core::ptr::null(),
            )
        }
        .unwrap();
        crate::sys::clone::exit_thread();
    }
    let end = crate::sys::clone::wait_child(pid as u32, true);
    assert_eq!(end, Ok(Some(crate::sys::clone::End::Exited(0))));
}

#[test]
fn errno_and_an_interrupted_read_survive_a_stop() {
    let _alone = alone();
    let [reader, writer] = pipe();
    let thread = thread::spawn(move || {
        let mut byte = [0u8];
        // SAFETY: errno is this thread's; the read goes into a local.
        unsafe {
            *libc::__errno_location() = 77;
            let got = raw(libc::SYS_read, [reader as usize, (&raw mut byte).addr(), 1, 0, 0, 0]);
            (got, byte[0], *libc::__errno_location())
        }
    });
    thread::sleep(Duration::from_millis(20));
    for _ in 0..20 {
        stopped(|_| ());
    }
    // SAFETY: writes one byte of a constant.
    assert_eq!(unsafe { libc::write(writer, b"x".as_ptr().cast(), 1) }, 1);
    assert_eq!(thread.join().unwrap(), (1, b'x', 77));
    // SAFETY: both ends are ours.
    unsafe { (libc::close(reader), libc::close(writer)) };
}

#[test]
fn the_programs_own_use_of_the_signal_goes_on() {
    let _alone = alone();
    static GOT: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn theirs(_: i32, info: *const signal::Info, _: *mut core::ffi::c_void) {
        // SAFETY: the kernel's information.
        GOT.store(unsafe { (*info).value }, SeqCst);
    }
    let number = libc::SIGRTMAX() - 2;
    let action = signal::Action::handle(theirs, 0);
    // SAFETY: the handler only stores into a static.
    unsafe { signal::set_action(number, &action) }.unwrap();
    stop(&Options { signal: number, ..options() }).unwrap().resume();
    assert_ne!(signal::action(number).unwrap().handler, action.handler);
    // SAFETY: goes to a handler that passes it on to the one above.
    unsafe { signal::queue(process_id(), thread_id(), number, 0x1234) }.unwrap();
    assert_eq!(GOT.load(SeqCst), 0x1234);
}

#[test]
fn a_handler_set_meanwhile_is_replaced_and_the_signal_sent_again() {
    let _alone = alone();
    static PHASE: AtomicU32 = AtomicU32::new(0);
    unsafe extern "C" fn theirs(_: i32, _: *const signal::Info, _: *mut core::ffi::c_void) {}
    let (sender, receiver) = mpsc::channel();
    let number = libc::SIGRTMIN() + 9;
    let thread = thread::spawn(move || {
        // Our signal waits until the program has set its own handler, and then is lost to that.
        signal::set_blocked(signal::only(number));
        sender.send(thread_id()).unwrap();
        while GATE.load(SeqCst) & 1 == 0 || ANSWERS.load(SeqCst) == 0 {}
        // SAFETY: the handler does nothing.
        unsafe { signal::set_action(number, &signal::Action::handle(theirs, 0)) }.unwrap();
        signal::set_blocked(0);
        PHASE.store(1, SeqCst);
        while PHASE.load(SeqCst) == 1 {}
    });
    let tid = receiver.recv().unwrap();
    let world = stop(&Options { signal: number, ..options() }).unwrap();
    let (state, phase) = (world.threads().find(|state| state.tid == tid), PHASE.load(SeqCst));
    world.resume();
    PHASE.store(2, SeqCst);
    thread.join().unwrap();
    assert_eq!((state.unwrap().how, phase), (How::Signal, 1));
}
