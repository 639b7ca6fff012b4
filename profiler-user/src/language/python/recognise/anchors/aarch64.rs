//! What aarch64 instructions do to the addresses that [`super::machine`] follows.
//!
//! Every instruction is one word, and compilers use about twenty for this, so they are matched here (Arm
//! Architecture Reference Manual, C4.1); an instruction without a row makes what it writes unknown.

use super::machine::{Base, BasedAddress, Code, Machine, State, Step, Value};

const STACK: usize = 31;

/// The processor.
#[derive(Debug, Default)]
pub(super) struct Aarch64;

impl Machine for Aarch64 {
    const ARGUMENT: usize = 0;
    const RESULT: usize = 0;
    /// x0 to x18 (AAPCS64).
    const SCRATCH: &'static [usize] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18];
    const STACK_POINTER: usize = STACK;

    fn step(&mut self, code: &dyn Code, at: u64, state: &mut State) -> Option<(u64, Step)> {
        let mut bytes = [0; 4];
        if code.instructions(at, &mut bytes) < bytes.len() {
            return None;
        }
        let word = u32::from_le_bytes(bytes);
        let step = match flow(word, at, state) {
            Some(step) => step?,
            None => {
                carry_out(word, at, code, state);
                Step::Next
            }
        };
        Some((4, step))
    }
}

/// Bits `low..low + count`.
const fn field(word: u32, low: u32, count: u32) -> u32 {
    (word >> low) & ((1 << count) - 1)
}

/// As [`field`], a signed number.
const fn signed(word: u32, low: u32, count: u32) -> u64 {
    let shift = 64 - count;
    (((field(word, low, count) as i64) << shift) >> shift).cast_unsigned()
}

fn register(word: u32, low: u32) -> usize {
    field(word, low, 5) as usize
}

/// Where register 31 is the zero register, not the stack pointer.
fn value(state: &State, register: usize) -> Value {
    if register == STACK {
        Value::number(0)
    } else {
        state.get(register)
    }
}

fn set(state: &mut State, register: usize, value: Value) {
    if register != STACK {
        state.set(register, value);
    }
}

/// Branches; the inner `None` is the end of the way.
#[expect(clippy::option_option, reason = "no branch, and a branch that ends the way")]
fn flow(word: u32, at: u64, state: &State) -> Option<Option<Step>> {
    let to = |low, count| at.wrapping_add(signed(word, low, count) << 2);
    Some(match word {
        // udf, brk
        _ if word >> 16 == 0 || word & 0xffe0_001f == 0xd420_0000 => None,
        // b, bl
        _ if word & 0xfc00_0000 == 0x1400_0000 => Some(Step::Jump(Value::number(to(0, 26)))),
        _ if word & 0xfc00_0000 == 0x9400_0000 => Some(Step::Call(Value::number(to(0, 26)))),
        // b.cond, cbz and cbnz, tbz and tbnz
        _ if word & 0xff00_0000 == 0x5400_0000 => Some(Step::Branch(to(5, 19))),
        _ if word & 0x7e00_0000 == 0x3400_0000 => Some(Step::Branch(to(5, 19))),
        _ if word & 0x7e00_0000 == 0x3600_0000 => Some(Step::Branch(to(5, 14))),
        // br, blr, ret, and those that check the address first
        _ if word & 0xfeff_f800 == 0xd61f_0800 => Some(Step::Jump(state.get(register(word, 5)))),
        _ if word & 0xfeff_f800 == 0xd63f_0800 => Some(Step::Call(state.get(register(word, 5)))),
        _ if word & 0xffff_fc1f == 0xd61f_0000 => Some(Step::Jump(state.get(register(word, 5)))),
        _ if word & 0xffff_fc1f == 0xd63f_0000 => Some(Step::Call(state.get(register(word, 5)))),
        _ if word & 0xffff_fc1f == 0xd65f_0000 || word & 0xffff_fbff == 0xd65f_0bff => Some(Step::Return),
        _ => return None,
    })
}

fn carry_out(word: u32, at: u64, code: &dyn Code, state: &mut State) {
    let (rd, rn, rm) = (register(word, 0), register(word, 5), register(word, 16));
    match word {
        // adr, adrp
        _ if word & 0x1f00_0000 == 0x1000_0000 => {
            let distance = signed(word, 5, 19) << 2 | u64::from(field(word, 29, 2));
            let address = if word >> 31 == 0 {
                at.wrapping_add(distance)
            } else {
                (at & !0xfff).wrapping_add(distance << 12)
            };
            set(state, rd, Value::number(address));
        }
        // add and sub of a number: register 31 is the stack pointer
        _ if word & 0xbf80_0000 == 0x9100_0000 => {
            let number = u64::from(field(word, 10, 12)) << (12 * field(word, 22, 1));
            let number = if field(word, 30, 1) == 0 {
                number
            } else {
                number.wrapping_neg()
            };
            state.set(rd, state.get(rn).plus(number));
        }
        // add of a register
        _ if word & 0xffe0_fc00 == 0x8b00_0000 => {
            let sum = value(state, rn).sum(value(state, rm));
            set(state, rd, sum);
        }
        // mov of a register, 64 bits and 32
        _ if word & 0xffe0_ffe0 == 0xaa00_03e0 => set(state, rd, value(state, rm)),
        _ if word & 0xffe0_ffe0 == 0x2a00_03e0 => {
            let value = match value(state, rm) {
                value @ Value::Loaded { bytes: 4, .. } => value,
                _ if rm == STACK => Value::number(0),
                _ => Value::Unknown,
            };
            set(state, rd, value);
        }
        // movz, movk
        _ if word & 0x7f80_0000 == 0x5280_0000 => set(state, rd, Value::number(part(word))),
        _ if word & 0x7f80_0000 == 0x7280_0000 => {
            let mask = 0xffff << (16 * field(word, 21, 2));
            let merged = match state.get(rd) {
                Value::Address(BasedAddress {
                    base: Base::File,
                    offset,
                }) => Value::number(offset & !mask | part(word)),
                _ => Value::Unknown,
            };
            set(state, rd, merged);
        }
        // mrs Xd, tpidr_el0
        _ if word & 0xffff_ffe0 == 0xd53b_d040 => {
            set(
                state,
                rd,
                Value::Address(BasedAddress {
                    base: Base::Thread,
                    offset: 0,
                }),
            );
        }
        // nop, bti, paciasp and other hints
        _ if word & 0xffff_f01f == 0xd503_201f => {}
        // ldr of a literal
        _ if word & 0xff00_0000 == 0x5800_0000 => {
            let from = Value::number(at.wrapping_add(signed(word, 5, 19) << 2));
            set(state, rd, state.load(code, from, 8));
        }
        _ if word & 0x0a00_0000 == 0x0800_0000 => memory(word, code, state),
        // An unknown instruction. Where it can write the stack pointer (add of an extended register, logical
        // with a number), it does.
        _ => {
            set(state, rd, Value::Unknown);
            if rd == STACK && (word & 0x3fe0_0000 == 0x0b20_0000 || word & 0x7f80_0000 == 0x1200_0000) {
                state.set(STACK, Value::Unknown);
            }
        }
    }
}

/// The number of a movz or movk.
fn part(word: u32) -> u64 {
    u64::from(field(word, 5, 16)) << (16 * field(word, 21, 2))
}

/// Loads and stores.
fn memory(word: u32, code: &dyn Code, state: &mut State) {
    let (rt, rn, rt2) = (register(word, 0), register(word, 5), register(word, 10));
    let base = state.get(rn);
    // Without the width in bits 31 and 30: 64 or 32 bits.
    let (is_wide, shape) = (word >> 30 == 3, word & 0x3fff_ffff);
    let bytes: u8 = if is_wide { 8 } else { 4 };
    if word >> 31 == 1 {
        // ldr and str with an unsigned distance
        if shape & 0x3f80_0000 == 0x3900_0000 {
            let address = base.plus(u64::from(field(word, 10, 12)) * u64::from(bytes));
            return load_or_store(word, code, state, rt, address, bytes);
        }
        // ldur, stur, and ldr and str that move their base
        if shape & 0x3fa0_0000 == 0x3800_0000 && field(word, 10, 2) != 2 {
            let distance = signed(word, 12, 9);
            let (moved, is_after) = (field(word, 10, 2) != 0, field(word, 10, 2) == 1);
            let address = if is_after { base } else { base.plus(distance) };
            if moved {
                state.set(rn, base.plus(distance));
            }
            return load_or_store(word, code, state, rt, address, bytes);
        }
        // ldr Xt, [Xn, Xm]
        if word & 0xffe0_fc00 == 0xf860_6800 {
            let address = base.sum(value(state, register(word, 16)));
            return load_or_store(word, code, state, rt, address, bytes);
        }
    }
    // ldp and stp of 64 bits
    if word & 0xfe00_0000 == 0xa800_0000 && field(word, 23, 2) != 0 {
        let distance = signed(word, 15, 7) << 3;
        let kind = field(word, 23, 2);
        let address = if kind == 1 { base } else { base.plus(distance) };
        if kind != 2 {
            state.set(rn, base.plus(distance));
        }
        load_or_store(word, code, state, rt, address, 8);
        return load_or_store(word, code, state, rt2, address.plus(8), 8);
    }
    set(state, rt, Value::Unknown);
    set(state, rt2, Value::Unknown);
    set(state, rn, Value::Unknown);
    state.store(base, None);
}

/// Bit 22 says which.
fn load_or_store(word: u32, code: &dyn Code, state: &mut State, register: usize, address: Value, bytes: u8) {
    if field(word, 22, 1) == 1 {
        let loaded = state.load(code, address, bytes);
        set(state, register, loaded);
    } else {
        let stored = (bytes == 8).then(|| value(state, register));
        state.store(address, stored);
    }
}
