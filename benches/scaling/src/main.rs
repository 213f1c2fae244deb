//! What many CPUs, many threads and a large heap cost, on a machine that has few CPUs: `make bench-scaling`.
//!
//! In this build (`--cfg besom_measure`) every thread has a CPU id of its own, and so a cache of its own, and locks
//! take down how long they were held. `docs/scaling.md` explains the figures; they go to standard output.

#[cfg(all(besom_measure, target_arch = "x86_64"))]
mod measure;

#[cfg(not(all(besom_measure, target_arch = "x86_64")))]
fn main() {
    println!(
        "scaling: nothing is measured in this build; `make bench-scaling` makes the one it needs (x86-64 only)"
    );
}

#[cfg(all(besom_measure, target_arch = "x86_64"))]
fn main() {
    measure::run();
}
