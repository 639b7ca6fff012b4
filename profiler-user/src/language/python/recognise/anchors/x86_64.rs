//! What x86-64 instructions do to the addresses that [`super::machine`] follows.
//!
//! `iced-x86` decodes; an instruction without a row here makes what it writes unknown.

use iced_x86::{
    Code as Encoding, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic,
    OpAccess, OpKind, Register,
};

use super::machine::{Base, BasedAddress, Code, Machine, State, Step, Value};

const RAX: usize = 0;
const RSP: usize = 4;
const RBP: usize = 5;
const RDI: usize = 7;

/// The processor.
#[derive(Debug)]
pub(super) struct X86_64 {
    info: InstructionInfoFactory,
}

/// Instructions looked at for a variable.
const MAX_INSTRUCTIONS: usize = 8;

/// The static address of the first variable of the file that a function of it uses.
pub(super) fn first_variable(code: &dyn Code, function: u64) -> Option<u64> {
    let mut bytes = [0; 64];
    let count = code.instructions(function, &mut bytes);
    let decoder = Decoder::with_ip(64, bytes.get(..count)?, function, DecoderOptions::NONE);
    let mut instructions = decoder.into_iter().take(MAX_INSTRUCTIONS);
    let uses_variable =
        instructions.find(|one| one.is_ip_rel_memory_operand() && one.flow_control() == FlowControl::Next)?;
    Some(uses_variable.ip_rel_memory_address())
}

impl X86_64 {
    pub(super) fn new() -> Self {
        Self {
            info: InstructionInfoFactory::new(),
        }
    }
}

impl Machine for X86_64 {
    const ARGUMENT: usize = RDI;
    const RESULT: usize = RAX;
    /// rax, rcx, rdx, rsi, rdi, r8 to r11 (System V ABI).
    const SCRATCH: &'static [usize] = &[RAX, 1, 2, 6, RDI, 8, 9, 10, 11];
    const STACK_POINTER: usize = RSP;

    fn step(&mut self, code: &dyn Code, at: u64, state: &mut State) -> Option<(u64, Step)> {
        let mut bytes = [0; 15];
        let count = code.instructions(at, &mut bytes);
        let instruction = Decoder::with_ip(64, bytes.get(..count)?, at, DecoderOptions::NONE).decode();
        if instruction.is_invalid() {
            return None;
        }
        let follow = match instruction.flow_control() {
            FlowControl::Next => {
                self.carry_out(code, &instruction, state);
                Step::Next
            }
            FlowControl::ConditionalBranch => Step::Branch(instruction.near_branch_target()),
            FlowControl::UnconditionalBranch => Step::Jump(Value::number(instruction.near_branch_target())),
            FlowControl::Call => Step::Call(Value::number(instruction.near_branch_target())),
            FlowControl::IndirectBranch => Step::Jump(operand(code, &instruction, state, 0)),
            FlowControl::IndirectCall => Step::Call(operand(code, &instruction, state, 0)),
            FlowControl::Return => Step::Return,
            FlowControl::Interrupt | FlowControl::XbeginXabortXend | FlowControl::Exception => return None,
        };
        Some((instruction.len() as u64, follow))
    }
}

impl X86_64 {
    fn carry_out(&mut self, code: &dyn Code, instruction: &Instruction, state: &mut State) {
        let result = match instruction.mnemonic() {
            Mnemonic::Mov => operand(code, instruction, state, 1),
            Mnemonic::Lea => address(instruction, state),
            Mnemonic::Add => operand(code, instruction, state, 0).sum(operand(code, instruction, state, 1)),
            Mnemonic::Sub => match immediate(instruction, 1) {
                Some(bytes) => operand(code, instruction, state, 0).plus(bytes.wrapping_neg()),
                None => Value::Unknown,
            },
            Mnemonic::Xor if is_same_register(instruction) => Value::number(0),
            Mnemonic::Push => {
                let value = operand(code, instruction, state, 0);
                let top = state.get(RSP).plus(8u64.wrapping_neg());
                state.set(RSP, top);
                state.store(top, Some(value));
                return;
            }
            Mnemonic::Pop => {
                let top = state.get(RSP);
                let value = state.load(code, top, 8);
                state.set(RSP, top.plus(8));
                value
            }
            Mnemonic::Leave => {
                let frame = state.get(RBP);
                state.set(RBP, state.load(code, frame, 8));
                state.set(RSP, frame.plus(8));
                return;
            }
            _ => Value::Unknown,
        };
        // Before the write, so that an operand that is both does not lose its address.
        let destination = match instruction.op0_kind() {
            OpKind::Memory => Some(address(instruction, state)),
            _ => None,
        };
        self.forget(instruction, state);
        write(instruction, state, destination, result);
    }

    /// Makes everything that the instruction writes unknown, save the stack pointer, which is kept where its
    /// change is known.
    fn forget(&mut self, instruction: &Instruction, state: &mut State) {
        let keeps_stack_pointer = matches!(instruction.mnemonic(), Mnemonic::Pop);
        let info = self.info.info(instruction);
        for used in info.used_registers() {
            if writes(used.access())
                && let Some(index) = general(used.register())
                && !(index == RSP && keeps_stack_pointer)
            {
                state.set(index, Value::Unknown);
            }
        }
    }
}

fn write(instruction: &Instruction, state: &mut State, destination: Option<Value>, result: Value) {
    match instruction.op0_kind() {
        OpKind::Register => {
            let register = instruction.op0_register();
            // Writing 32 bits clears the others; writing fewer leaves a mixture.
            let is_whole = register.is_gpr64() || register.is_gpr32();
            if let (Some(index), true, true) =
                (general(register), is_whole, is_understood(instruction.mnemonic()))
            {
                state.set(index, result);
            }
        }
        OpKind::Memory if instruction.mnemonic() == Mnemonic::Mov => {
            let is_word = instruction.op1_kind() == OpKind::Register && instruction.op1_register().is_gpr64();
            state.store(destination.unwrap_or_default(), is_word.then_some(result));
        }
        OpKind::Memory
            if !matches!(
                instruction.mnemonic(),
                Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Nop
            ) =>
        {
            state.store(destination.unwrap_or_default(), None);
        }
        _ => {}
    }
}

/// Whether [`X86_64::carry_out`] has a row for it that gives the value of operand 0.
fn is_understood(mnemonic: Mnemonic) -> bool {
    matches!(
        mnemonic,
        Mnemonic::Mov | Mnemonic::Lea | Mnemonic::Add | Mnemonic::Sub | Mnemonic::Xor | Mnemonic::Pop
    )
}

fn writes(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}

/// The value of an operand that is read.
fn operand(code: &dyn Code, instruction: &Instruction, state: &State, index: u32) -> Value {
    match instruction.op_kind(index) {
        OpKind::Register => {
            let register = instruction.op_register(index);
            let Some(general) = general(register) else {
                return Value::Unknown;
            };
            match state.get(general) {
                value if register.is_gpr64() => value,
                // Its lower half: the same where the upper half is 0.
                value @ Value::Loaded { bytes: 4, .. } if register.is_gpr32() => value,
                value @ Value::Address(BasedAddress {
                    base: Base::File,
                    offset,
                }) if register.is_gpr32() && offset <= u32::MAX.into() => value,
                _ => Value::Unknown,
            }
        }
        OpKind::Memory => match bytes(instruction) {
            Some(bytes) => load(code, instruction, state, bytes),
            None => Value::Unknown,
        },
        _ => immediate(instruction, index).map_or(Value::Unknown, Value::number),
    }
}

fn load(code: &dyn Code, instruction: &Instruction, state: &State, bytes: u8) -> Value {
    let from = address(instruction, state);
    // `mov %fs:0, %rax`: the first word of the thread's control block is its own address.
    if bytes == 8
        && from
            == Value::Address(BasedAddress {
                base: Base::Thread,
                offset: 0,
            })
    {
        return from;
    }
    state.load(code, from, bytes)
}

/// The address that the memory operand denotes.
fn address(instruction: &Instruction, state: &State) -> Value {
    if instruction.is_ip_rel_memory_operand() {
        return Value::number(instruction.ip_rel_memory_address());
    }
    let part = |register: Register| match register {
        Register::None => Value::number(0),
        register if register.is_gpr64() => general(register).map_or(Value::Unknown, |index| state.get(index)),
        _ => Value::Unknown,
    };
    let index = match (instruction.memory_index(), instruction.memory_index_scale()) {
        (Register::None, _) => Value::number(0),
        (register, 1) => part(register),
        _ => Value::Unknown,
    };
    let base = part(instruction.memory_base());
    let base = match instruction.memory_segment() {
        // `lea` computes, whatever the segment is.
        _ if instruction.mnemonic() == Mnemonic::Lea => base,
        Register::FS => Value::Address(BasedAddress {
            base: Base::Thread,
            offset: 0,
        })
        .sum(base),
        Register::GS => Value::Unknown,
        _ => base,
    };
    base.sum(index).plus(instruction.memory_displacement64())
}

fn immediate(instruction: &Instruction, index: u32) -> Option<u64> {
    match instruction.op_kind(index) {
        OpKind::Immediate8
        | OpKind::Immediate16
        | OpKind::Immediate32
        | OpKind::Immediate64
        | OpKind::Immediate8to32
        | OpKind::Immediate8to64
        | OpKind::Immediate32to64 => instruction.try_immediate(index).ok(),
        _ => None,
    }
}

/// Bytes of the memory operand, where they make an `int` or a pointer.
fn bytes(instruction: &Instruction) -> Option<u8> {
    match instruction.code() {
        // Not what their operand says: the address that they jump to is always 8 bytes.
        Encoding::Jmp_rm64 | Encoding::Call_rm64 => Some(8),
        _ => match instruction.memory_size().size() {
            4 => Some(4),
            8 => Some(8),
            _ => None,
        },
    }
}

fn is_same_register(instruction: &Instruction) -> bool {
    instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Register
        && instruction.op0_register() == instruction.op1_register()
}

/// Number of the general register of which this is all or a part.
fn general(register: Register) -> Option<usize> {
    if !register.is_gpr() {
        return None;
    }
    (register.full_register() as usize).checked_sub(Register::RAX as usize)
}
