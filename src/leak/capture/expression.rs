//! The expressions that call frame information uses for odd frames.
//!
//! Compilers and the C library write a handful of forms: `*(bp - 8)` for realigned stacks, one sum for
//! the stubs that call through the procedure linkage table, an address for saved registers. So a stack
//! of eight values and a dozen operations suffice; anything else ends the walk.

use super::cfi::Reader;
use gimli::{Operation, Register, X86_64};

/// Values on the machine's stack.
const DEPTH: usize = 8;

/// What an expression may look at.
pub(super) struct Inputs<'a> {
    /// The instruction pointer.
    pub(super) pc: usize,
    /// The stack pointer.
    pub(super) sp: usize,
    /// The frame pointer.
    pub(super) bp: usize,
    /// Reads a word of memory, or refuses.
    pub(super) read: &'a mut dyn FnMut(usize) -> Option<usize>,
}

impl Inputs<'_> {
    /// A register's value, if it is one of those that a walk follows.
    pub(super) fn register(&self, register: Register) -> Option<usize> {
        match register {
            X86_64::RSP => Some(self.sp),
            X86_64::RBP => Some(self.bp),
            X86_64::RA => Some(self.pc),
            _ => None,
        }
    }
}

/// The value of an expression that starts with `initial` on the stack; `None` if it uses anything that is
/// not known here.
pub(super) fn evaluate(
    operations: impl Iterator<Item = Operation<Reader>>,
    initial: Option<usize>,
    inputs: &mut Inputs<'_>,
) -> Option<usize> {
    let mut stack = Stack { values: [0; DEPTH], len: 0 };
    if let Some(value) = initial {
        stack.push(value)?;
    }
    for operation in operations {
        step(&operation, &mut stack, inputs)?;
    }
    stack.pop()
}

struct Stack {
    values: [usize; DEPTH],
    len: usize,
}

impl Stack {
    fn push(&mut self, value: usize) -> Option<()> {
        *self.values.get_mut(self.len)? = value;
        self.len += 1;
        Some(())
    }

    fn pop(&mut self) -> Option<usize> {
        self.len = self.len.checked_sub(1)?;
        self.values.get(self.len).copied()
    }
}

fn step(operation: &Operation<Reader>, stack: &mut Stack, inputs: &mut Inputs<'_>) -> Option<()> {
    let value = match *operation {
        Operation::RegisterOffset { register, offset, .. } => {
            inputs.register(register)?.wrapping_add_signed(offset as isize)
        }
        Operation::UnsignedConstant { value } => value as usize,
        Operation::SignedConstant { value } => value as usize,
        Operation::PlusConstant { value } => stack.pop()?.wrapping_add(value as usize),
        Operation::Deref { size: 8, space: false, .. } => (inputs.read)(stack.pop()?)?,
        Operation::Nop => return Some(()),
        ref binary => {
            let (right, left) = (stack.pop()?, stack.pop()?);
            match binary {
                Operation::Plus => left.wrapping_add(right),
                Operation::Minus => left.wrapping_sub(right),
                Operation::And => left & right,
                Operation::Or => left | right,
                Operation::Shl => left.checked_shl(right.try_into().ok()?).unwrap_or(0),
                Operation::Ge => usize::from(left as isize >= right as isize),
                _ => return None,
            }
        }
    };
    stack.push(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimli::{Encoding, EndianSlice, Format, NativeEndian};
    use std::vec::Vec;

    fn run(bytes: &'static [u8], pc: usize) -> Option<usize> {
        let mut rest = EndianSlice::new(bytes, NativeEndian);
        let encoding = Encoding { address_size: 8, format: Format::Dwarf32, version: 1 };
        let mut operations = Vec::new();
        while !rest.is_empty() {
            operations.push(Operation::parse(&mut rest, encoding).unwrap());
        }
        let mut read = |address: usize| address.is_multiple_of(8).then_some(address + 1);
        let mut inputs = Inputs { pc, sp: 0x1000, bp: 0x2000, read: &mut read };
        evaluate(operations.into_iter(), None, &mut inputs)
    }

    /// What GNU ld writes for a stub of the linkage table: sp + 8, and 8 more behind the stub's push,
    /// which is eleven bytes into its sixteen.
    #[test]
    fn linkage_stubs() {
        const STUB: &[u8] = &[0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
        assert_eq!(run(STUB, 0x40_0010), Some(0x1008));
        assert_eq!(run(STUB, 0x40_001a), Some(0x1008));
        assert_eq!(run(STUB, 0x40_001b), Some(0x1010));
    }

    #[test]
    fn realigned_stacks() {
        assert_eq!(run(&[0x76, 0x78, 0x06], 0), Some(0x2000 - 8 + 1));
    }

    #[test]
    fn what_is_not_known_ends_it() {
        assert_eq!(run(&[0x73, 0], 0), None, "rbx");
        assert_eq!(run(&[0x76, 1, 0x06], 0), None, "memory that can't be read");
        assert_eq!(run(&[0x22], 0), None, "an empty stack");
        assert_eq!(run(&[0x31, 0x12], 0), None, "dup");
        assert_eq!(run(&[0x31; 9], 0), None, "a full stack");
    }
}
