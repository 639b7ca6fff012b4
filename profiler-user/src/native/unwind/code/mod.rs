//! Unwinding rules from machine code alone, where there is no call frame information: musl is built without.
//!
//! Used by [`super::gaps`] for long stretches of undescribed x86-64 code. Follows the stack pointer from the first
//! instruction of each function along all branches, as a compiler does when it writes call frame information. Functions
//! begin where something is called, where a symbol says so, and after the end of another one. Held against the call frame
//! information of every library here (`tests/code.rs`).

mod state;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, Register,
};

use self::state::State;
use super::piece::Piece;

/// Bytes of code that are followed, at most; musl has 400,000.
pub(super) const MAX_CODE_BYTES: u64 = 4 << 20;

/// The rules of `code`, which begins at `start` with a function; `symbols` are functions that are known to begin there.
pub(super) fn rules(start: u64, code: &[u8], symbols: impl IntoIterator<Item = u64>) -> Vec<Piece> {
    let mut follower = Follower {
        start,
        code,
        begins: BTreeSet::from([start]),
        states: vec![0; code.len()],
        known: Vec::new(),
        numbers: BTreeMap::new(),
        switches: BTreeMap::new(),
        jumped_to: HashSet::new(),
        work: Vec::new(),
        information: InstructionInfoFactory::new(),
    };
    let code = start..start.saturating_add(code.len() as u64);
    let symbols = symbols.into_iter().filter(|at| code.contains(at));
    follower.begins.extend(symbols);
    follower.find_targets();
    for begin in follower.begins.clone() {
        follower.work.push((begin, State::ENTRY));
        follower.follow();
    }
    follower.follow_rest(false);
    follower.follow_rest(true);
    follower.pieces()
}

struct Follower<'a> {
    start: u64,
    code: &'a [u8],
    /// First instructions of functions.
    begins: BTreeSet<u64>,
    /// For each byte, 1 + the number of the state before the instruction that begins there; 0 where none does.
    states: Vec<u32>,
    known: Vec<State>,
    numbers: BTreeMap<State, u32>,
    /// Jumps through tables: where, and the state then.
    switches: BTreeMap<u64, State>,
    /// Targets of jumps, of whatever function.
    jumped_to: HashSet<u64>,
    work: Vec<(u64, State)>,
    information: InstructionInfoFactory,
}

impl Follower<'_> {
    fn holds(&self, address: u64) -> bool {
        self.offset(address).is_some()
    }

    fn offset(&self, address: u64) -> Option<usize> {
        let offset = usize::try_from(address.checked_sub(self.start)?).ok()?;
        (offset < self.code.len()).then_some(offset)
    }

    /// Whatever is called begins a function; whatever is jumped to is likely to go on with one.
    fn find_targets(&mut self) {
        let mut decoder = Decoder::with_ip(64, self.code, self.start, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            let target = instruction.near_branch_target();
            match instruction.flow_control() {
                FlowControl::Call if instruction.is_call_near() && self.holds(target) => {
                    self.begins.insert(target);
                }
                FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
                    self.jumped_to.insert(target);
                }
                _ => {}
            }
        }
    }

    /// Follows all that is to be followed.
    fn follow(&mut self) {
        while let Some((at, state)) = self.work.pop() {
            self.follow_from(at, state);
        }
    }

    fn follow_from(&mut self, at: u64, mut state: State) {
        let Some(offset) = self.offset(at) else { return };
        let mut decoder = Decoder::with_ip(64, &self.code[offset..], at, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        while decoder.can_decode() {
            let at = decoder.ip();
            let Some(offset) = self.offset(at) else { return };
            // Where another function begins, this one did not go on: what it called does not return.
            if self.states[offset] != 0 || (self.begins.contains(&at) && state != State::ENTRY) {
                return;
            }
            decoder.decode_out(&mut instruction);
            if instruction.is_invalid() {
                return;
            }
            self.states[offset] = self.number(state);
            state.step(&instruction, &mut self.information);
            match instruction.flow_control() {
                // musl's way to crash.
                FlowControl::Next if instruction.mnemonic() == Mnemonic::Hlt => return,
                FlowControl::Next | FlowControl::IndirectCall | FlowControl::XbeginXabortXend => {}
                FlowControl::Call => {
                    if self.ends_with_call(decoder.ip()) {
                        return;
                    }
                }
                FlowControl::ConditionalBranch => self.branch(instruction.near_branch_target(), state),
                FlowControl::UnconditionalBranch => {
                    self.branch(instruction.near_branch_target(), state);
                    return;
                }
                FlowControl::IndirectBranch => {
                    self.switches.insert(at, state);
                    return;
                }
                FlowControl::Return | FlowControl::Interrupt | FlowControl::Exception => return,
            }
        }
    }

    fn branch(&mut self, target: u64, state: State) {
        if self.holds(target) && !self.begins.contains(&target) {
            self.work.push((target, state));
        }
    }

    /// What no branch leads to: cases of a `switch`, else functions that are called through pointers only. What is
    /// jumped to by code that has not been followed yet waits for the last round.
    fn follow_rest(&mut self, is_last: bool) {
        let mut at = self.start;
        let mut is_boundary = true;
        while let Some(offset) = self.offset(at) {
            let mut decoder = Decoder::with_ip(64, &self.code[offset..], at, DecoderOptions::NONE);
            let instruction = decoder.decode();
            let next = at.saturating_add(instruction.len().max(1) as u64);
            if is_padding(&instruction) {
                at = next;
                continue;
            }
            if self.states[offset] == 0
                && is_boundary
                && !instruction.is_invalid()
                && (is_last || !self.jumped_to.contains(&at))
            {
                self.follow_unknown(at, &instruction);
            }
            is_boundary = self.states[offset] != 0 || ends_flow(&instruction);
            at = next;
        }
    }

    fn follow_unknown(&mut self, at: u64, instruction: &Instruction) {
        let begin = self
            .begins
            .range(..=at)
            .next_back()
            .copied()
            .unwrap_or(self.start);
        let switch = self.switches.range(begin..at).next_back();
        // A jump with nothing on the stack is a call in place of a return, not a `switch`.
        let state = match switch {
            Some((_, &state)) if state != State::ENTRY && !begins_function(instruction) => state,
            _ => {
                self.begins.insert(at);
                State::ENTRY
            }
        };
        self.work.push((at, state));
        self.follow();
    }

    /// Whether what follows is padding, and after it another function: the call did not return.
    fn ends_with_call(&self, at: u64) -> bool {
        let Some(offset) = self.offset(at) else {
            return true;
        };
        let mut decoder = Decoder::with_ip(64, &self.code[offset..], at, DecoderOptions::NONE);
        let mut behind = at;
        while decoder.can_decode() {
            let instruction = decoder.decode();
            if !is_padding(&instruction) {
                break;
            }
            behind = decoder.ip();
        }
        behind > at && behind.is_multiple_of(16) && !self.jumped_to.contains(&behind)
    }

    fn number(&mut self, state: State) -> u32 {
        if let Some(&number) = self.numbers.get(&state) {
            return number;
        }
        self.known.push(state);
        let number = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.numbers.insert(state, number);
        number
    }

    fn pieces(&self) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        for (at, &state) in (self.start..).zip(&self.states) {
            let Some(state) = state
                .checked_sub(1)
                .and_then(|state| self.known.get(state as usize))
            else {
                continue;
            };
            let row = state.row();
            match pieces.last_mut() {
                Some(last) if last.row == row => {}
                last => {
                    if let Some(last) = last {
                        last.end = at;
                    }
                    pieces.push(Piece {
                        start: at,
                        end: at,
                        row,
                    });
                }
            }
        }
        if let Some(last) = pieces.last_mut() {
            last.end = self.start.saturating_add(self.code.len() as u64);
        }
        pieces
    }
}

/// What is put between functions and before loops.
pub(super) fn is_padding(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3)
        || instruction.code() == Code::Xchg_r16_AX
}

fn ends_flow(instruction: &Instruction) -> bool {
    matches!(
        instruction.flow_control(),
        FlowControl::UnconditionalBranch
            | FlowControl::IndirectBranch
            | FlowControl::Return
            | FlowControl::Interrupt
            | FlowControl::Exception
    ) || instruction.mnemonic() == Mnemonic::Hlt
}

/// What functions begin with, and cases of a `switch` do not.
fn begins_function(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Endbr64 | Mnemonic::Push)
        || (instruction.mnemonic() == Mnemonic::Sub && instruction.op0_register() == Register::RSP)
}
