//! The list of programs. A new file in `c-tests` gets a line here; a test sees to it.

use crate::Mode;
use crate::compile::sources;
use std::collections::BTreeSet;

macro_rules! programs {
    ($($extension:ident: $($name:ident)*;)*) => {
        /// The file names of all programs in the list.
        const FILES: &[&str] = &[$($(concat!(stringify!($name), ".", stringify!($extension))),*),*];

        $($(mod $name {
            use super::Mode;
            const FILE: &str = concat!(stringify!($name), ".", stringify!($extension));

            #[test]
            fn native() {
                crate::run(FILE, Mode::Native);
            }

            #[test]
            fn locked() {
                crate::run(FILE, Mode::Locked);
            }

            #[test]
            fn unregistered() {
                crate::run(FILE, Mode::Unregistered);
            }
        })*)*
    };
}

programs! {
    c:
        abi_aligned
        abi_aligned_zero
        abi_alignment
        abi_alignment_16
        abi_besom_h
        abi_calloc_zero
        abi_calloc_zero_mixed
        abi_cfree
        abi_free_null
        abi_mallinfo
        abi_malloc_info
        abi_malloc_stats
        abi_malloc_zero
        abi_mallopt
        abi_no_overlap
        abi_realloc_contents
        abi_realloc_large
        abi_realloc_split
        abi_realloc_steps
        abi_reallocarray
        abi_size_classes
        abi_sized_free
        abi_static_library
        abi_symbols
        abi_tiny
        abi_usable_size
        abi_valloc
        cxx_bad_alloc_dlopen
        cxx_symbols
        err_alignment
        err_calloc_overflow
        err_errno
        err_hard_limit
        err_realloc_zero
        err_too_large
        err_ulimit
        err_ulimit_small
        err_ulimit_threads
        life_atfork_early
        life_atfork_early_static
        life_atfork_handlers
        life_atfork_locks
        life_atfork_nested
        life_cancel
        life_clone
        life_constructor
        life_constructor_first
        life_constructor_preloaded
        life_constructor_preloaded_after
        life_deepbind
        life_dlopen
        life_dlopen_threads
        life_exit_under_load
        life_fork_keeps_contents
        life_fork_storm
        life_ifunc
        life_mlockall
        life_large_batches
        life_producer_consumer
        life_signal_handler
        life_small_stacks
        life_spawn
        life_threads_pass_along
        memory_10000_threads
        memory_calloc_untouched
        memory_fragments
        memory_scavenge_thread
        memory_soft_limit
        memory_soft_limit_fragmented
        memory_trim
        memory_true
        misuse_after_free_check
        misuse_double_free_check
        misuse_double_free_churn
        misuse_double_free_large
        misuse_double_free_small
        misuse_double_free_span_gone
        misuse_interior_large
        misuse_interior_pages
        misuse_interior_small
        misuse_mapped
        misuse_noncanonical
        misuse_span_tail
        misuse_stack
        misuse_static
        misuse_static_zero
        misuse_thread_stack
        misuse_unknown
        misuse_write_after_free
        misuse_wrong_size
        option_bad_value
        option_check
        option_help
        option_unknown
        rseq_filter
        rseq_migration
        rseq_statistics
        rseq_unregistered_thread
        rseq_valgrind
        ;
    cpp:
        cxx_besom_h
        cxx_bad_alloc
        cxx_containers
        cxx_new_handler
        cxx_operators
        cxx_own_operators
        life_exit
        life_thread_exit
        misuse_wrong_size_delete
        ;
}

#[test]
fn every_program_is_in_the_list() {
    let entries = std::fs::read_dir(sources()).unwrap().map(|entry| entry.unwrap().path());
    let programs = entries.filter(|path| path.extension().is_some_and(|e| e == "c" || e == "cpp"));
    let found: BTreeSet<String> =
        programs.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    let listed: BTreeSet<String> = FILES.iter().map(|&file| file.to_owned()).collect();
    assert_eq!(found, listed, "c-tests and the list in tests/c_tests/programs.rs differ");
}
