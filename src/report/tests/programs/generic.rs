//! Prints where its functions call `return_address`, and the list of mappings.

use std::arch::naked_asm;

/// The address this returns to.
#[unsafe(naked)]
extern "C" fn return_address() -> usize {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("mov rax, [rsp]", "ret");
    #[cfg(target_arch = "aarch64")]
    naked_asm!("mov x0, x30", "ret");
}

mod shop {
    use super::return_address;

    pub struct Till<T>(pub T);

    pub trait Ring {
        fn ring(&self);
    }

    impl<T: std::fmt::Debug> Ring for Till<T> {
        #[inline(never)]
        fn ring(&self) {
            println!("trait {:#x}", return_address());
            println!("# {:?}", self.0);
        }
    }

    #[inline(always)]
    fn tiny(n: usize) -> usize {
        return_address() + n - n
    }

    #[inline(never)]
    pub fn outer(n: usize) {
        println!("inlined {:#x}", tiny(n));
    }
}

fn main() {
    use shop::Ring;
    shop::outer(3);
    shop::Till(vec!["a"]).ring();
    println!("mappings");
    print!("{}", std::fs::read_to_string("/proc/self/maps").unwrap());
}
