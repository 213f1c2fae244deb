//! Programs of real crates, to be run with one allocator each: `rust-programs json|regex|store|echo|syn AMOUNT`.
//!
//! AMOUNT scales the work. Prints `operations <number>`; whoever runs it takes the time.

mod allocator;
mod echo;
mod json;
mod regexes;
mod source;
mod store;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let amount = arguments.get(2).and_then(|text| text.parse().ok()).unwrap_or(1);
    let program: fn(usize) -> usize = match arguments.get(1).map(String::as_str) {
        Some("json") => json::run,
        Some("regex") => regexes::run,
        Some("store") => store::run,
        Some("echo") => echo::run,
        Some("syn") => source::run,
        _ => {
            eprintln!(
                "usage: rust-programs json|regex|store|echo|syn AMOUNT   (allocator: {})",
                allocator::NAME
            );
            return ExitCode::from(2);
        }
    };
    println!("operations {}", program(amount));
    ExitCode::SUCCESS
}

/// xorshift64*: every allocator sees the same sequence.
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Uniform below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}
