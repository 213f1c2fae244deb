//! The programs of `c-tests/leaks`: what leak mode reports, block by block and byte by byte.
//!
//! Each program is a module here with one test per mode. The harness is that of the other C tests; what the
//! directives mean stands in `tests/c_tests/directives.rs` and `reports.rs`. The Rust programs are in
//! `tests/rust-leaks`, each with besom as its allocator.

#[path = "../common/mod.rs"]
mod common;
#[path = "../c_tests/compile.rs"]
mod compile;
#[path = "../c_tests/directives.rs"]
mod directives;
#[path = "../c_tests/launch.rs"]
mod launch;
mod log_files;
#[path = "../c_tests/mode.rs"]
mod mode;
#[path = "../c_tests/reports.rs"]
mod reports;
#[path = "../c_tests/rust.rs"]
mod rust;

use std::collections::BTreeSet;

pub(crate) use mode::{Mode, run};

macro_rules! programs {
    ($($folder:literal $extension:literal: $($name:ident)*;)*) => {
        /// Folders, from `c-tests`, and file names of all programs in the list.
        const FILES: &[(&str, &str)] = &[$($(($folder, concat!(stringify!($name), $extension))),*),*];

        $($(mod $name {
            const FILE: &str = concat!($folder, "/", stringify!($name), $extension);

            #[test]
            fn native() {
                crate::run(FILE, crate::Mode::Native);
            }

            #[test]
            fn locked() {
                crate::run(FILE, crate::Mode::Locked);
            }
        })*)*
    };
}

programs! {
    "leaks" ".c":
        alloc_aligned
        alloc_aligned_wide
        alloc_calloc
        alloc_classes
        alloc_empty
        alloc_freed
        alloc_large
        alloc_libc
        alloc_malloc
        alloc_many
        alloc_realloc
        alloc_realloc_keeps
        alloc_realloc_shrink
        check_call
        check_call_new
        check_new_many
        check_growth
        check_growth_churn
        check_growth_failed
        check_interval
        check_interval_failed
        check_lsan_final
        check_lsan_final_once
        check_lsan_recoverable
        check_off
        check_own_malloc
        check_reclaim
        check_reclaim_finish
        check_reclaim_limit
        check_reclaim_partial
        check_reclaim_thread
        check_signal
        check_signal_blocked
        check_summary
        check_thread_blocked
        check_trace
        check_trace_reclaim
        exit_abort
        exit_code
        exit_code_zero
        exit_handlers
        exit_immediately
        exit_immediately_checked
        exit_immediately_interrupted
        exit_last_thread
        exit_library
        exit_library_static
        exit_own_status
        exit_possibly
        exit_signal
        exit_static_library
        exit_stdio
        exit_thread
        exit_unchecked
        exit_under_load
        kind_cycle
        kind_cycle_self
        kind_cycle_tail
        kind_deep
        kind_disabled
        kind_disabled_realloc
        kind_end
        kind_ignored
        kind_inside
        kind_large_inside
        kind_list
        kind_list_double
        kind_list_early
        kind_list_early_kept
        kind_list_kept
        kind_noscan
        kind_rings
        kind_roots_of_two
        kind_tree
        option_default_options
        option_default_options_environment
        option_default_suppressions
        option_detect_leaks
        option_exitcode_both
        option_lsan
        option_hooks_hidden
        option_max_leaks
        option_out_of_range
        option_stack_depth
        option_stack_depth_lsan
        option_suppressions
        option_suppressions_all
        option_suppressions_kinds
        option_text
        option_text_clean
        option_turned_off
        option_turned_off_check
        process_daemon
        process_exec
        process_exec_failed
        process_fork
        process_fork_checking
        process_fork_children
        process_fork_threads
        process_replaced
        process_spawn
        root_alternate_stack
        root_alternate_stack_heap
        root_alternate_stack_idle
        root_argument
        root_blocked_signals
        root_chain
        root_coroutine
        root_environment
        root_freed_large
        root_freed_memory
        root_globals
        root_globals_off
        root_hidden
        root_key
        root_key_ended
        root_library
        root_library_closed
        root_library_closed_allocator
        root_library_replaced
        root_mapping
        root_mapping_claimed
        root_mapping_file
        root_mapping_gone
        root_mapping_memfd
        root_mapping_off
        root_mapping_shared
        root_region
        root_registers
        root_registers_off
        root_registers_blocked
        root_registers_running
        root_registers_vector
        root_result
        root_result_joined
        root_signal_frame
        root_signal_registers
        root_stack_main
        root_stack_returned
        root_stack_stale
        root_stack_stale_many
        root_stack_thread
        root_stack_tiny
        root_stack_tiny_used
        root_stacks_off
        root_stream
        root_threads
        root_tls_dynamic
        root_tls_dynamic_early
        root_tls_ended
        root_tls_off
        root_tls_static
        root_unaligned
        root_unaligned_edges
        root_unaligned_on
        stack_segments_apart
        stack_segments_apart_pie
        survive_closed_files
        survive_descriptors
        survive_dontfork
        survive_emulator
        survive_gdb
        survive_handlers
        survive_huge_mapping
        survive_locks
        survive_no_access_bss
        survive_no_access_data
        survive_file_limit
        survive_no_access_heap
        survive_no_access_lost
        survive_no_fork
        survive_no_memory
        survive_no_proc
        survive_no_reader
        survive_no_reading
        survive_no_reading_in_place
        survive_not_dumpable
        survive_reopened_files
        survive_reused_descriptor
        survive_running_thread
        survive_signals
        survive_strace
        survive_title
        survive_truncated_file
        ;
    "leaks" ".cpp":
        cxx_array_cookie
        cxx_bases
        cxx_containers
        cxx_exception
        cxx_exception_lost
        cxx_exception_thread
        cxx_new
        cxx_released
        cxx_shared_cycle
        cxx_shared_kept
        cxx_static_constructors
        cxx_static_constructors_archive
        cxx_static_destructors
        cxx_string
        cxx_thread_local
        ;
    "../tests/rust-leaks" ".rs":
        rust_arc_into_raw
        rust_assert_no_leaks
        rust_assert_without_mode
        rust_box_leak
        rust_check
        rust_disabled
        rust_growth
        rust_hash_map
        rust_ignore
        rust_mem_forget
        rust_nested
        rust_noscan
        rust_panic_in_flight
        rust_rc_cycle
        rust_rc_weak
        rust_root_region
        rust_statics
        rust_threads
        ;
}

#[test]
fn every_program_is_in_the_list() {
    for (folder, extensions) in [("leaks", &["c", "cpp"][..]), ("../tests/rust-leaks", &["rs"])] {
        let entries = std::fs::read_dir(compile::sources().join(folder)).unwrap().map(|entry| entry.unwrap());
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let is_program = |name: &String| extensions.contains(&name.rsplit('.').next().unwrap());
        let found: BTreeSet<String> = names.filter(is_program).collect();
        let listed = FILES.iter().filter(|(f, _)| *f == folder).map(|(_, name)| name.to_string()).collect();
        assert_eq!(found, listed, "c-tests/{folder} and the list in tests/leaks/main.rs differ");
    }
}
