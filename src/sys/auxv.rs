//! The auxiliary vector.

/// The kernel's page size in bytes: 4096 on x86-64, up to 65536 on aarch64.
pub(crate) fn kernel_page_bytes() -> usize {
    match value(libc::AT_PAGESZ) {
        0 => 4096,
        bytes => bytes,
    }
}

/// Whether the process runs with privileges its user lacks (setuid, file capabilities).
pub(crate) fn is_secure() -> bool {
    value(libc::AT_SECURE) != 0
}

/// Bytes of the rseq area that this kernel fills in (`AT_RSEQ_FEATURE_SIZE`), 0 before Linux 6.3.
pub(crate) fn rseq_feature_bytes() -> usize {
    const AT_RSEQ_FEATURE_SIZE: libc::c_ulong = 27;
    value(AT_RSEQ_FEATURE_SIZE)
}

/// Whether the kernel maps code of its own into the process. All do today; emulators may not: valgrind, qemu-user
/// before 8.2.
pub(crate) fn has_kernel_code() -> bool {
    value(libc::AT_SYSINFO_EHDR) != 0
}

fn value(key: libc::c_ulong) -> usize {
    // SAFETY: getauxval reads an array the kernel made; it takes any key and returns 0 for an unknown one.
    unsafe { libc::getauxval(key) as usize }
}
