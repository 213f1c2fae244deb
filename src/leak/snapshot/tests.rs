use super::*;
use crate::leak::stop_world::{self, tests::alone, tests::options};
use crate::sys::syscall::call;
use crate::sys::{futex, memory, memory::Access, message::process_id};
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};

#[derive(Clone, Copy, PartialEq, Debug)]
struct Report {
    process: u32,
    value: usize,
}

// SAFETY: two numbers.
unsafe impl Plain for Report {}

const PLAN: Plan =
    Plan { wait: true, limit_seconds: 60, keep_file: -1, stack_bytes: 256 << 10, in_place: false };

fn check(plan: Plan, work: impl FnOnce(&StoppedWorld, Place, &mut Report)) -> Outcome<Report> {
    run(stop_world::stop(&options()).unwrap(), &plan, || (), work)
}

fn done(outcome: Outcome<Report>) -> (Report, Place) {
    match outcome {
        Outcome::Done(report, place) => (report, place),
        Outcome::Failed(failure) => panic!("{failure:?}"),
        Outcome::Running(_) => panic!("still running"),
    }
}

#[test]
fn the_childs_result_arrives_and_its_memory_is_its_own() {
    let _alone = alone();
    static PLACE: AtomicUsize = AtomicUsize::new(5);
    let (report, place) = done(check(PLAN, |world, place, report| {
        assert!(world.threads().count() > 0 && place == Place::Child);
        PLACE.fetch_add(1, SeqCst);
        *report = Report { process: process_id(), value: PLACE.load(SeqCst) };
    }));
    assert_eq!((report.value, place), (6, Place::Child));
    assert_ne!(report.process, process_id());
    assert_eq!(PLACE.load(SeqCst), 5);
}

#[test]
fn the_program_goes_on_and_does_not_see_the_child() {
    let _alone = alone();
    // Shared, so that the child sees what the parent does.
    let gate = memory::map_shared(4096).unwrap();
    // SAFETY: zeroed, and mapped until the end of the test.
    let gate: &AtomicU32 = unsafe { &*gate.ptr() };
    let outcome = check(Plan { wait: false, ..PLAN }, |_, _, report| {
        while gate.load(SeqCst) == 0 {
            // Not a private wait: the word is another process's too.
            futex::wait_for_kernel(gate, 0);
        }
        report.value = 9;
    });
    let Outcome::Running(running) = outcome else { panic!("not running") };
    let Outcome::Running(running) = running.poll() else { panic!("over already") };
    let child = running.process() as i32;
    // SAFETY: only asks.
    let waited = unsafe { libc::waitpid(child, core::ptr::null_mut(), libc::WNOHANG) };
    assert_eq!((waited, std::io::Error::last_os_error().raw_os_error()), (-1, Some(libc::ECHILD)));
    gate.store(1, SeqCst);
    // SAFETY: wakes sleepers on the word.
    let _ = unsafe { call(libc::SYS_futex, [gate.as_ptr() as usize, libc::FUTEX_WAKE as usize, 1, 0, 0, 0]) };
    assert_eq!(done(running.wait()).0.value, 9);
}

#[test]
fn a_child_that_dies_is_a_failed_check() {
    let _alone = alone();
    let failure = |outcome| match outcome {
        Outcome::Failed(failure) => failure,
        _ => panic!("did not fail"),
    };
    let killed = failure(check(PLAN, |_, _, _| {
        // SAFETY: kills the child.
        let _ = unsafe { call(libc::SYS_kill, [process_id() as usize, libc::SIGKILL as usize, 0, 0, 0, 0]) };
    }));
    assert_eq!(killed, Failure::Killed(libc::SIGKILL as u8));
    assert_eq!(failure(check(PLAN, |_, _, _| clone::exit_process(3))), Failure::Ended(3));
    let wild = failure(check(PLAN, |_, _, report| {
        // SAFETY: none: the child must die of it.
        report.value = unsafe { core::ptr::read_volatile(Addr(16).ptr()) };
    }));
    assert_eq!(wild, Failure::Killed(libc::SIGSEGV as u8));
    let slow = failure(check(Plan { limit_seconds: 1, ..PLAN }, |_, _, _| {
        loop {
            futex::wait(&AtomicU32::new(0), 0);
        }
    }));
    assert_eq!(slow, Failure::Killed(libc::SIGALRM as u8));
    assert_eq!(slow.text(), "it took too long");
}

#[test]
fn unreadable_pages_are_zero_in_the_child() {
    let _alone = alone();
    let hole = memory::map(3 * 4096, Access::None).unwrap();
    let (report, _) = done(check(PLAN, |_, _, report| {
        for page in 0..3 {
            // SAFETY: caught by the handler.
            report.value += unsafe { crate::leak::peek::directly(hole.0 + page * 4096) };
        }
        report.value += faults::pages() * 10;
    }));
    assert_eq!(report.value, 30);
    assert_eq!(crate::leak::peek::through_kernel(hole.0), None, "still unreadable here");
}

#[test]
fn the_child_gives_the_programs_files_back() {
    let _alone = alone();
    let [mut ends, mut kept] = [[0; 2]; 2];
    // SAFETY: the kernel writes two descriptors each.
    unsafe { (libc::pipe(ends.as_mut_ptr()), libc::pipe(kept.as_mut_ptr())) };
    let plan = Plan { keep_file: kept[1], ..PLAN };
    let is_open = |fd: i32| {
        // SAFETY: only asks.
        unsafe { call(libc::SYS_fcntl, [fd as usize, libc::F_GETFD as usize, 0, 0, 0, 0]) }.is_ok()
    };
    let (report, _) = done(check(plan, |_, _, report| {
        let open = [ends[0], ends[1], kept[0], kept[1], libc::STDERR_FILENO].map(is_open);
        report.value = open.iter().fold(0, |bits, &open| bits * 2 + usize::from(open));
    }));
    assert_eq!(report.value, 0b00011);
    assert!(is_open(ends[0]));
    // SAFETY: the test's own.
    ends.into_iter().chain(kept).for_each(|fd| assert_eq!(unsafe { libc::close(fd) }, 0));
}

#[test]
fn workers_run_side_by_side_in_the_child() {
    let _alone = alone();
    static MET: AtomicU32 = AtomicU32::new(0);
    static SUM: AtomicUsize = AtomicUsize::new(0);
    let (report, _) = done(check(PLAN, |_, _, report| {
        let workers = run_workers(4, 64 << 10, &|index| {
            // None goes on before all are there: they must run at the same time.
            MET.fetch_add(1, SeqCst);
            while MET.load(SeqCst) < 4 {
                core::hint::spin_loop();
            }
            SUM.fetch_add(1 << index, SeqCst);
        });
        *report = Report { process: workers as u32, value: SUM.load(SeqCst) };
    }));
    assert_eq!(report, Report { process: 4, value: 0b1111 });
}

#[test]
fn where_no_process_can_be_made_the_check_runs_in_place() {
    let _alone = alone();
    let (report, place) = done(check(Plan { in_place: true, ..PLAN }, |_, _, report| {
        *report = Report { process: process_id(), value: 1 };
    }));
    assert_eq!((report.process, place), (process_id(), Place::InPlace(Errno(0))));
    // In a process of its own, whose user may not have another one.
    // SAFETY: the child makes raw system calls and runs the check, which needs nothing of libc.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let none = [0u64; 2];
        // SAFETY: gives up privileges and processes in this child.
        let made = unsafe {
            let _ = call(libc::SYS_setresuid, [65534, 65534, 65534, 0, 0, 0]);
            call(libc::SYS_setrlimit, [libc::RLIMIT_NPROC as usize, none.as_ptr() as usize, 0, 0, 0, 0])
        };
        let outcome = check(PLAN, |_, place, report| {
            report.value = usize::from(place == Place::InPlace(Errno(libc::EAGAIN)));
        });
        let good = matches!(outcome, Outcome::Done(Report { value: 1, .. }, _)) && made.is_ok();
        clone::exit_process(if good { 0 } else { 1 });
    }
    assert_eq!(clone::wait_child(child as u32, true), Ok(Some(End::Exited(0))));
}
