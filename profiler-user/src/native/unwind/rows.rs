//! One row of call frame information to one [`Row`].
//!
//! Used by [`super::file`]. Knows the two processors' registers and the few expressions that linkers and compilers write
//! (the procedure linkage table, functions that re-align their stack, signal frames); whatever else becomes a row that
//! says so ([`cfa_rule::NONE`]), never a guess.

use gimli::{
    CfaRule, Encoding, Operation, Reader, Register, RegisterRule, UnwindExpression, UnwindSection,
    UnwindTableRow,
};
use profiler_common::contract::unwind::{Row, cfa_rule, fp_rule, ra_rule};

use super::piece::Processor;

/// Operations of an expression looked at; the longest known has ten.
const MAX_OPERATIONS: usize = 12;
/// From `ucontext_t` to the saved stack pointer on x86-64, bytes (`struct ucontext`, `struct sigcontext`:
/// `uc_flags`, `uc_link`, `uc_stack`, then `r8` to `r15`, `di`, `si`, `bp`, `bx`, `dx`, `ax`, `cx`, `sp`).
const X86_64_CONTEXT_SP: i64 = 160;
/// From the stack pointer of a signal frame to `ucontext_t` on aarch64, bytes: `siginfo_t` comes first
/// (`struct rt_sigframe` in `arch/arm64/kernel/signal.c`).
const AARCH64_CONTEXT: i64 = 128;

/// Code without a rule.
pub(super) const NO_RULE: Row = Row::new(0, cfa_rule::NONE, 0, fp_rule::SAME, 0, ra_rule::BELOW_CFA);
/// Code without a caller.
pub(super) const END: Row = Row::new(0, cfa_rule::END, 0, fp_rule::SAME, 0, ra_rule::BELOW_CFA);

/// The row of code that a signal handler returns to.
pub(super) fn signal(processor: Processor) -> Row {
    let context = match processor {
        Processor::X86_64 => 0,
        Processor::Aarch64 => AARCH64_CONTEXT,
    };
    signal_at(context).unwrap_or(NO_RULE)
}

fn signal_at(context: i64) -> Option<Row> {
    let units = words(context).filter(|&units| Row::fits(units, 0))?;
    let units = i32::try_from(units).ok()?;
    Some(Row::new(
        0,
        cfa_rule::SIGNAL,
        units,
        fp_rule::SAME,
        0,
        ra_rule::BELOW_CFA,
    ))
}

fn stack_pointer(processor: Processor) -> Register {
    match processor {
        Processor::X86_64 => gimli::X86_64::RSP,
        Processor::Aarch64 => gimli::AArch64::SP,
    }
}

fn frame_pointer(processor: Processor) -> Register {
    match processor {
        Processor::X86_64 => gimli::X86_64::RBP,
        Processor::Aarch64 => gimli::AArch64::X29,
    }
}

fn return_address(processor: Processor) -> Register {
    match processor {
        Processor::X86_64 => gimli::X86_64::RA,
        Processor::Aarch64 => gimli::AArch64::X30,
    }
}

/// What a row's expressions are read from.
pub(super) struct Rules<'a, S> {
    pub(super) processor: Processor,
    pub(super) section: &'a S,
    pub(super) encoding: Encoding,
    /// The column of the return address.
    pub(super) return_column: Register,
    /// The entry describes a signal frame.
    pub(super) is_signal: bool,
}

/// The canonical frame address, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cfa {
    Sp(i64),
    Fp(i64),
    AtSp(i64),
    AtFp(i64),
    /// Entries of the procedure linkage table are 16 bytes; from this one on a word has been pushed.
    Plt(i64),
}

impl<S> Rules<'_, S> {
    /// The row, starting at 0.
    pub(super) fn encode<R: Reader<Offset = usize>>(&self, row: &UnwindTableRow<usize>) -> Row
    where
        S: UnwindSection<R>,
    {
        if self.return_column != return_address(self.processor) {
            return NO_RULE;
        }
        let cfa = self.cfa::<R>(row.cfa());
        if self.is_signal {
            return self.signal(cfa);
        }
        if row.register(self.return_column) == Some(RegisterRule::Undefined) {
            return END;
        }
        cfa.and_then(|cfa| self.frame::<R>(cfa, row)).unwrap_or(NO_RULE)
    }

    fn signal(&self, cfa: Option<Cfa>) -> Row {
        match (self.processor, cfa) {
            (Processor::X86_64, Some(Cfa::AtSp(at))) => at
                .checked_sub(X86_64_CONTEXT_SP)
                .and_then(signal_at)
                .unwrap_or(NO_RULE),
            (Processor::X86_64, _) => NO_RULE,
            (Processor::Aarch64, _) => signal(self.processor),
        }
    }

    fn frame<R: Reader<Offset = usize>>(&self, cfa: Cfa, row: &UnwindTableRow<usize>) -> Option<Row>
    where
        S: UnwindSection<R>,
    {
        let (fp, fp_offset) = self.fp::<R>(cfa, row.register(frame_pointer(self.processor)).as_ref())?;
        let (ra, fp_offset) = self.ra(row, fp, fp_offset)?;
        let (rule, offset) = match cfa {
            Cfa::Sp(offset) => (cfa_rule::SP, offset),
            Cfa::Fp(offset) => (cfa_rule::FP, offset),
            Cfa::AtSp(offset) => (cfa_rule::AT_SP, offset),
            Cfa::AtFp(offset) => (cfa_rule::AT_FP, offset),
            Cfa::Plt(entry) => (cfa_rule::PLT, entry.checked_mul(8)?),
        };
        let (cfa_words, fp_words) = (words(offset)?, words(fp_offset)?);
        if !Row::fits(cfa_words, fp_words) {
            return None;
        }
        Some(Row::new(
            0,
            rule,
            i32::try_from(cfa_words).ok()?,
            fp,
            i16::try_from(fp_words).ok()?,
            ra,
        ))
    }

    /// The rule and its offset, bytes.
    fn fp<R: Reader<Offset = usize>>(&self, cfa: Cfa, rule: Option<&RegisterRule<usize>>) -> Option<(u8, i64)>
    where
        S: UnwindSection<R>,
    {
        match rule {
            None | Some(RegisterRule::SameValue | RegisterRule::Undefined) => Some((fp_rule::SAME, 0)),
            Some(RegisterRule::Offset(offset)) => Some((fp_rule::AT_CFA, *offset)),
            Some(RegisterRule::Expression(expression)) => {
                match (self.operations::<R>(expression)?.as_slice(), cfa) {
                    (&[Step::Register(register, offset)], _) if register == frame_pointer(self.processor) => {
                        Some((fp_rule::AT_FP, offset))
                    }
                    (&[Step::Register(register, offset)], Cfa::Sp(cfa))
                        if register == stack_pointer(self.processor) =>
                    {
                        Some((fp_rule::AT_CFA, offset.checked_sub(cfa)?))
                    }
                    _ => None,
                }
            }
            Some(_) => None,
        }
    }

    /// The rule, and the new `fp_offset`: where the frame pointer has none, the return address may use it.
    fn ra(&self, row: &UnwindTableRow<usize>, fp: u8, fp_offset: i64) -> Option<(u8, i64)> {
        match (self.processor, row.register(self.return_column)) {
            (Processor::X86_64, Some(RegisterRule::Offset(-8))) => Some((ra_rule::BELOW_CFA, fp_offset)),
            (Processor::X86_64, _) => None,
            (Processor::Aarch64, None | Some(RegisterRule::SameValue)) => {
                Some((ra_rule::LINK_REGISTER, fp_offset))
            }
            (Processor::Aarch64, Some(RegisterRule::Offset(offset))) => match fp {
                fp_rule::AT_CFA if offset == fp_offset.checked_add(8)? => {
                    Some((ra_rule::ABOVE_FP, fp_offset))
                }
                fp_rule::SAME => Some((ra_rule::AT_CFA, offset)),
                _ => None,
            },
            (Processor::Aarch64, _) => None,
        }
    }

    fn cfa<R: Reader<Offset = usize>>(&self, rule: &CfaRule<usize>) -> Option<Cfa>
    where
        S: UnwindSection<R>,
    {
        let (sp, fp) = (stack_pointer(self.processor), frame_pointer(self.processor));
        match rule {
            CfaRule::RegisterAndOffset { register, offset } if *register == sp => Some(Cfa::Sp(*offset)),
            CfaRule::RegisterAndOffset { register, offset } if *register == fp => Some(Cfa::Fp(*offset)),
            CfaRule::RegisterAndOffset { .. } => None,
            CfaRule::Expression(expression) => match *self.operations::<R>(expression)?.as_slice() {
                [Step::Register(register, offset)] if register == sp => Some(Cfa::Sp(offset)),
                [Step::Register(register, offset)] if register == fp => Some(Cfa::Fp(offset)),
                [Step::Register(register, offset), Step::Deref] if register == sp => Some(Cfa::AtSp(offset)),
                [Step::Register(register, offset), Step::Deref] if register == fp => Some(Cfa::AtFp(offset)),
                // What GNU ld and lld write for `.plt` and its kin.
                [
                    Step::Register(register, 8),
                    Step::Register(pc, 0),
                    Step::Constant(15),
                    Step::And,
                    Step::Constant(pushed_from),
                    Step::Ge,
                    Step::Constant(3),
                    Step::Shl,
                    Step::Plus,
                ] if register == sp && pc == return_address(self.processor) => {
                    i64::try_from(pushed_from).ok().map(Cfa::Plt)
                }
                _ => None,
            },
        }
    }

    /// The expression, if it has no other operations than known ones do.
    fn operations<R: Reader<Offset = usize>>(&self, expression: &UnwindExpression<usize>) -> Option<Vec<Step>>
    where
        S: UnwindSection<R>,
    {
        let mut operations = expression.get(self.section).ok()?.operations(self.encoding);
        let mut steps = Vec::new();
        while let Some(operation) = operations.next().ok()? {
            if steps.len() == MAX_OPERATIONS {
                return None;
            }
            steps.push(match operation {
                Operation::RegisterOffset {
                    register,
                    offset,
                    base_type,
                } if base_type.0 == 0 => Step::Register(register, offset),
                Operation::Deref {
                    base_type,
                    size: 8,
                    space: false,
                } if base_type.0 == 0 => Step::Deref,
                Operation::UnsignedConstant { value } => Step::Constant(value),
                Operation::And => Step::And,
                Operation::Ge => Step::Ge,
                Operation::Shl => Step::Shl,
                Operation::Plus => Step::Plus,
                _ => return None,
            });
        }
        Some(steps)
    }
}

/// An operation of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Register(Register, i64),
    Constant(u64),
    Deref,
    And,
    Ge,
    Shl,
    Plus,
}

/// Bytes in words of 8; `None` for what is not a multiple.
fn words(bytes: i64) -> Option<i64> {
    (bytes % 8 == 0).then_some(bytes / 8)
}
