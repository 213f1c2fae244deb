//! Call frame information: the table that compilers write for C++ exceptions, in every module of every
//! distribution, read with gimli's parsers.
//!
//! Only three things of a frame matter here: its CFA, its return address and the caller's frame pointer.
//! So the small program that describes a function is run on a state of three rules, with a few hundred
//! bytes of stack, where a full unwinder's table of rows takes kilobytes that a thread may not have.
//! (DWARF 5, section 6.4, and the System V ABI's supplement for x86-64.)

use super::{
    modules::Module,
    rule::{Base, Rule},
};
use gimli::{
    BaseAddresses, CallFrameInstruction, CallFrameInstructionIter, EhFrame, EhFrameHdr, EhFrameOffset,
    Encoding, EndianSlice, FrameDescriptionEntry, NativeEndian, Register, UnwindExpression, UnwindSection,
};

pub(super) type Reader = EndianSlice<'static, NativeEndian>;
type Frames = EhFrame<Reader>;
type Instruction = CallFrameInstruction<usize>;

const RBP: Register = gimli::X86_64::RBP;
const RSP: Register = gimli::X86_64::RSP;
const RETURN_ADDRESS: Register = gimli::X86_64::RA;

const ADDRESS_BYTES: u8 = 8;

/// How a register of the caller was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Saved {
    /// In the register itself.
    Same,
    /// Not at all. For the return address: there is no caller.
    Undefined,
    /// In memory, this many bytes from the CFA.
    At(i64),
    /// It is the CFA plus this.
    Value(i64),
    /// In memory, where an expression says.
    AtExpression(UnwindExpression<usize>),
    /// In a register that is not followed, or otherwise out of reach.
    Lost,
}

/// How the CFA is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cfa {
    /// A register plus bytes.
    Register(Register, i64),
    /// By an expression.
    Expression(UnwindExpression<usize>),
    /// The table does not say.
    Unset,
}

/// What is known about one frame at one instruction.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) cfa: Cfa,
    pub(super) return_address: Saved,
    pub(super) bp: Saved,
    /// The function is the kernel's signal trampoline.
    pub(super) is_signal: bool,
    encoding: Encoding,
    frames: Frames,
}

/// The row for the instruction at `address`, which lies in `module`; `None` if nothing is said about it.
pub(super) fn row_at(address: usize, module: &Module) -> Option<Row> {
    let (bases, frames, fde) = find_entry(address, module)?;
    let cie = fde.cie();
    let mut state = State::new(cie.code_alignment_factor(), cie.data_alignment_factor());
    let address = address as u64;
    state.run(cie.instructions(&frames, &bases), u64::MAX)?;
    state.start(fde.initial_address());
    state.run(fde.instructions(&frames, &bases), address)?;
    let Rules { cfa, return_address, bp } = state.rules;
    Some(Row {
        cfa,
        return_address,
        bp,
        is_signal: fde.is_signal_trampoline(),
        encoding: cie.encoding(),
        frames,
    })
}

/// Finds the entry for `address` by the sorted table in `.eh_frame_hdr`.
fn find_entry(
    address: usize,
    module: &Module,
) -> Option<(BaseAddresses, Frames, FrameDescriptionEntry<Reader>)> {
    let image = module.image()?;
    let bytes = |start: usize| {
        let range = image.rest_of_segment(start)?;
        let start = core::ptr::with_exposed_provenance(start);
        // SAFETY: the range is part of a readable segment of a loaded module, which stays loaded while
        // its code runs. The segment holds tables that nobody writes to.
        Some(unsafe { core::slice::from_raw_parts::<u8>(start, range.len()) })
    };
    let bases = BaseAddresses::default().set_eh_frame_hdr(module.eh_frame_hdr as u64);
    let header =
        EhFrameHdr::new(bytes(module.eh_frame_hdr)?, NativeEndian).parse(&bases, ADDRESS_BYTES).ok()?;
    let start = header.eh_frame_ptr().direct().ok()?;
    let entry = header.table()?.lookup(address as u64, &bases).ok()?.direct().ok()?;
    let offset = EhFrameOffset(entry.checked_sub(start)? as usize);
    let frames = EhFrame::new(bytes(start as usize)?, NativeEndian);
    let bases = bases.set_eh_frame(start);
    let fde = frames.fde_from_offset(&bases, offset, EhFrame::cie_from_offset).ok()?;
    fde.contains(address as u64).then_some((bases, frames, fde))
}

impl Row {
    /// The row as a rule.
    pub(super) fn rule(&self) -> Rule {
        if self.is_signal {
            return Rule::Signal;
        }
        if self.return_address == Saved::Undefined {
            return Rule::Outermost;
        }
        self.simple().or_else(|| self.realigned()).unwrap_or(Rule::Complex)
    }

    /// CFA = sp or bp + n, return address at CFA - 8.
    fn simple(&self) -> Option<Rule> {
        let Cfa::Register(register, cfa) = self.cfa else { return None };
        let base = match register {
            RSP => Base::Sp,
            RBP => Base::Bp,
            _ => return None,
        };
        let bp_below = match self.bp {
            Saved::Same | Saved::Undefined => 0,
            Saved::At(offset) if offset < 0 => offset.checked_neg()?,
            _ => return None,
        };
        let fields = (cfa.try_into().ok()?, bp_below.try_into().ok()?);
        (self.return_address == Saved::At(-8)).then_some(Rule::Frame {
            base,
            cfa: fields.0,
            bp_below: fields.1,
        })
    }

    /// CFA = *(bp + n), return address at CFA - 8, bp at *bp.
    fn realigned(&self) -> Option<Rule> {
        use gimli::Operation::{Deref, RegisterOffset};
        let (Cfa::Expression(cfa), Saved::AtExpression(bp)) = (&self.cfa, &self.bp) else { return None };
        let mut cfa = self.operations(cfa)?;
        let RegisterOffset { register: RBP, offset, .. } = cfa.next()? else { return None };
        let Deref { size: ADDRESS_BYTES, .. } = cfa.next()? else { return None };
        let mut bp = self.operations(bp)?;
        let RegisterOffset { register: RBP, offset: 0, .. } = bp.next()? else { return None };
        let plain = cfa.next().is_none() && bp.next().is_none() && self.return_address == Saved::At(-8);
        plain.then_some(Rule::Realigned { offset: i32::try_from(offset).ok()? })
    }

    /// The operations of an expression; ends early at one that can't be read.
    pub(super) fn operations(
        &self,
        expression: &UnwindExpression<usize>,
    ) -> Option<impl Iterator<Item = gimli::Operation<Reader>> + use<>> {
        let mut rest = expression.get(&self.frames).ok()?.0;
        let encoding = self.encoding;
        Some(core::iter::from_fn(move || {
            if rest.is_empty() { None } else { gimli::Operation::parse(&mut rest, encoding).ok() }
        }))
    }
}

#[derive(Clone)]
struct Rules {
    cfa: Cfa,
    return_address: Saved,
    bp: Saved,
}

impl Rules {
    const UNSET: Self = Self { cfa: Cfa::Unset, return_address: Saved::Same, bp: Saved::Same };
}

/// Rules that `DW_CFA_remember_state` can put aside. Compilers nest no deeper than one.
const REMEMBERED: usize = 4;

/// The machine that runs the instructions.
struct State {
    rules: Rules,
    /// What the entry shared by many functions says, for `DW_CFA_restore`.
    initial: Rules,
    remembered: [Rules; REMEMBERED],
    depth: usize,
    location: u64,
    code_factor: u64,
    data_factor: i64,
}

impl State {
    fn new(code_factor: u64, data_factor: i64) -> Self {
        let (rules, initial, remembered) = (Rules::UNSET, Rules::UNSET, [const { Rules::UNSET }; REMEMBERED]);
        Self { rules, initial, remembered, depth: 0, location: 0, code_factor, data_factor }
    }

    /// From the shared entry to a function's own.
    fn start(&mut self, location: u64) {
        self.initial = self.rules.clone();
        self.location = location;
    }

    /// Runs up to the row that covers `address`. `None` if the program is broken.
    fn run(&mut self, mut program: CallFrameInstructionIter<'_, Reader>, address: u64) -> Option<()> {
        while let Some(instruction) = program.next().ok()? {
            match instruction {
                Instruction::AdvanceLoc { delta } => {
                    self.location =
                        self.location.wrapping_add(u64::from(delta).wrapping_mul(self.code_factor));
                }
                Instruction::SetLoc { address } => self.location = address,
                other => self.define(other)?,
            }
            if self.location > address {
                break;
            }
        }
        Some(())
    }

    /// One instruction that changes rules.
    fn define(&mut self, instruction: Instruction) -> Option<()> {
        use CallFrameInstruction as I;
        let factored = |n: i64, factor: i64| n.wrapping_mul(factor);
        match instruction {
            I::DefCfa { register, offset } => self.rules.cfa = Cfa::Register(register, offset as i64),
            I::DefCfaSf { register, factored_offset } => {
                self.rules.cfa = Cfa::Register(register, factored(factored_offset, self.data_factor));
            }
            I::DefCfaRegister { register } => match &mut self.rules.cfa {
                Cfa::Register(old, _) => *old = register,
                _ => return None,
            },
            I::DefCfaOffset { offset } => self.set_cfa_offset(offset as i64)?,
            I::DefCfaOffsetSf { factored_offset } => {
                self.set_cfa_offset(factored(factored_offset, self.data_factor))?;
            }
            I::DefCfaExpression { expression } => self.rules.cfa = Cfa::Expression(expression),
            I::Undefined { register } => self.save(register, Saved::Undefined),
            I::SameValue { register } => self.save(register, Saved::Same),
            I::Offset { register, factored_offset } => {
                self.save(register, Saved::At(factored(factored_offset as i64, self.data_factor)));
            }
            I::OffsetExtendedSf { register, factored_offset } => {
                self.save(register, Saved::At(factored(factored_offset, self.data_factor)));
            }
            I::ValOffset { register, factored_offset } => {
                self.save(register, Saved::Value(factored(factored_offset as i64, self.data_factor)));
            }
            I::ValOffsetSf { register, factored_offset } => {
                self.save(register, Saved::Value(factored(factored_offset, self.data_factor)));
            }
            I::Expression { register, expression } => self.save(register, Saved::AtExpression(expression)),
            I::Register { dest_register, .. } => self.save(dest_register, Saved::Lost),
            I::ValExpression { register, .. } => self.save(register, Saved::Lost),
            I::Restore { register: RBP } => self.rules.bp = self.initial.bp.clone(),
            I::Restore { register: RETURN_ADDRESS } => {
                self.rules.return_address = self.initial.return_address.clone();
            }
            I::RememberState => {
                *self.remembered.get_mut(self.depth)? = self.rules.clone();
                self.depth += 1;
            }
            I::RestoreState => {
                self.depth = self.depth.checked_sub(1)?;
                self.rules = self.remembered.get(self.depth)?.clone();
            }
            _ => {}
        }
        Some(())
    }

    fn set_cfa_offset(&mut self, bytes: i64) -> Option<()> {
        let Cfa::Register(_, offset) = &mut self.rules.cfa else { return None };
        *offset = bytes;
        Some(())
    }

    fn save(&mut self, register: Register, saved: Saved) {
        match register {
            RBP => self.rules.bp = saved,
            RETURN_ADDRESS => self.rules.return_address = saved,
            _ => {}
        }
    }
}
