//! Follows a short function as far as addresses go: which variable it returns, and which key it hands to
//! `pthread_getspecific`.
//!
//! Used by [`super`]. Registers and the function's own stack slots are followed through moves, loads,
//! additions and calls, both ways of a conditional branch; all else is unknown. What a processor's
//! instructions mean is in [`super::x86_64`] and [`super::aarch64`]. Bounded in instructions, paths and call
//! depth whatever the code is.

/// Registers followed: the 31 of aarch64 and its stack pointer; x86-64 uses the first 16.
pub(super) const REGISTERS: usize = 32;

/// Instructions of one function, callees aside; `PyGILState_GetThisThreadState` has 2 to 16.
const FUNCTION_INSTRUCTIONS: usize = 64;
/// Instructions all in all.
const TOTAL_INSTRUCTIONS: usize = 512;
/// Calls inside each other; a way through the PLT is one of them.
const MAX_DEPTH: usize = 4;
/// Ways not yet gone.
const MAX_PENDING: usize = 4;
/// Stack slots of one function.
const MAX_STACK_SLOTS: usize = 16;

/// The file in which the function is.
pub(super) trait Code {
    /// Fills `out` with the machine code at a static address; returns how many bytes of it are code of the
    /// file.
    fn instructions(&self, address: u64, out: &mut [u8]) -> usize;

    /// What the 8 bytes at a static address are while the program runs.
    fn word(&self, address: u64) -> Word;

    /// The function at a static address, if it is one of these.
    fn function(&self, address: u64) -> Option<Function>;
}

/// What 8 bytes of the file are while the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// A static address, and never anything else.
    Address(u64),
    /// The address of a function of another file.
    Function(Function),
    /// The first word of a TLS descriptor, the address of a function that takes its argument and returns its
    /// result in registers of its own.
    Descriptor,
    /// Something else, or nothing known.
    Variable,
}

/// A function that means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    /// `void *pthread_getspecific(pthread_key_t)`
    GetSpecific,
    /// `void *__tls_get_addr(tls_index *)`
    TlsGetAddr,
    /// `abort()` and others that do not return: what follows the call belongs to something else.
    NoReturn,
    /// Any other.
    Other,
}

/// Where an address is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// The file's address 0; also that of plain numbers.
    File,
    /// The stack pointer when the function was entered.
    Stack,
    /// The thread pointer.
    Thread,
    /// What `__tls_get_addr` returns for the pair at this static address.
    Module(u64),
    /// The thread pointer plus what is at this static address.
    ThreadOffsetAt(u64),
    /// The thread pointer plus what the TLS descriptor at this static address gives.
    Descriptor(u64),
}

/// An address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BasedAddress {
    pub(super) base: Base,
    /// Bytes from the base; wraps.
    pub(super) offset: u64,
}

impl BasedAddress {
    pub(super) const fn in_file(address: u64) -> Self {
        Self {
            base: Base::File,
            offset: address,
        }
    }

    const fn plus(self, bytes: u64) -> Self {
        Self {
            offset: self.offset.wrapping_add(bytes),
            ..self
        }
    }
}

/// What is known of a register or of a stack slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing.
    #[default]
    Unknown,
    /// It is this address, or number.
    Address(BasedAddress),
    /// It is what memory holds there.
    Loaded { from: BasedAddress, bytes: u8 },
    /// It is what the TLS descriptor at this static address gives: bytes from the thread pointer.
    DescriptorOffset(u64),
}

impl Value {
    pub(super) const fn number(value: u64) -> Self {
        Self::Address(BasedAddress::in_file(value))
    }

    pub(super) fn plus(self, bytes: u64) -> Self {
        match self {
            Self::Address(place) => Self::Address(place.plus(bytes)),
            _ => Self::Unknown,
        }
    }

    /// The sum, where one of the two is a number or the thread pointer.
    pub(super) fn sum(self, other: Self) -> Self {
        match (self, other) {
            (
                Self::Address(BasedAddress {
                    base: Base::File,
                    offset,
                }),
                value @ Self::Address(_),
            )
            | (
                value @ Self::Address(_),
                Self::Address(BasedAddress {
                    base: Base::File,
                    offset,
                }),
            ) => value.plus(offset),
            (
                Self::Address(BasedAddress {
                    base: Base::Thread,
                    offset,
                }),
                value,
            )
            | (
                value,
                Self::Address(BasedAddress {
                    base: Base::Thread,
                    offset,
                }),
            ) => value.behind_thread_pointer(offset),
            _ => Self::Unknown,
        }
    }

    fn behind_thread_pointer(self, offset: u64) -> Self {
        let base = match self {
            Self::Loaded {
                from:
                    BasedAddress {
                        base: Base::File,
                        offset: slot,
                    },
                bytes: 8,
            } => Base::ThreadOffsetAt(slot),
            Self::DescriptorOffset(slot) => Base::Descriptor(slot),
            _ => return Self::Unknown,
        };
        Self::Address(BasedAddress { base, offset })
    }

    /// A number or an address in the file.
    fn in_file(self) -> Option<u64> {
        match self {
            Self::Address(BasedAddress {
                base: Base::File,
                offset,
            }) => Some(offset),
            _ => None,
        }
    }

    /// Whether `self` says more about what a function returns than `other`: NULL is what all of them return
    /// before the interpreter is initialised.
    fn or_better(self, other: Self) -> Self {
        let rank = |value| match value {
            Self::Unknown => 0,
            Self::Address(BasedAddress {
                base: Base::File,
                offset: 0,
            }) => 1,
            Self::Address(_) | Self::DescriptorOffset(_) => 2,
            Self::Loaded { .. } => 3,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

/// Registers and stack slots at one instruction.
#[derive(Clone, Debug)]
pub(super) struct State {
    registers: [Value; REGISTERS],
    /// 8 bytes each, by their distance from the stack pointer at the function's start.
    stack: Vec<(u64, Value)>,
}

impl State {
    fn new<M: Machine>() -> Self {
        let mut registers = [Value::Unknown; REGISTERS];
        registers[M::STACK_POINTER] = Value::Address(BasedAddress {
            base: Base::Stack,
            offset: 0,
        });
        Self {
            registers,
            stack: Vec::new(),
        }
    }

    pub(super) fn get(&self, register: usize) -> Value {
        self.registers.get(register).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, register: usize, value: Value) {
        if let Some(slot) = self.registers.get_mut(register) {
            *slot = value;
        }
    }

    /// What a load of `bytes` from `address` gives.
    pub(super) fn load(&self, code: &dyn Code, address: Value, bytes: u8) -> Value {
        let Value::Address(from) = address else {
            return Value::Unknown;
        };
        match from.base {
            Base::Stack => self
                .stack
                .iter()
                .find(|slot| slot.0 == from.offset && bytes == 8)
                .map_or(Value::Unknown, |slot| slot.1),
            Base::File if bytes == 8 => match code.word(from.offset) {
                Word::Address(address) => Value::number(address),
                _ => Value::Loaded { from, bytes },
            },
            // What `__tls_get_addr` and its like are given is read by them.
            _ => Value::Loaded { from, bytes },
        }
    }

    /// A store of a register of 8 bytes, or of anything else (`None`).
    pub(super) fn store(&mut self, address: Value, value: Option<Value>) {
        let Value::Address(BasedAddress {
            base: Base::Stack,
            offset,
        }) = address
        else {
            return;
        };
        self.stack
            .retain(|slot| slot.0.wrapping_sub(offset).wrapping_add(7) > 14);
        match value {
            Some(value) if self.stack.len() < MAX_STACK_SLOTS => self.stack.push((offset, value)),
            Some(_) => {}
            // Of unknown size.
            None => self.stack.clear(),
        }
    }
}

/// What follows an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The one after it.
    Next,
    /// That one, or the one after it.
    Branch(u64),
    /// What is there.
    Jump(Value),
    /// What is there, and then the one after it.
    Call(Value),
    /// The caller.
    Return,
}

/// A processor.
pub(super) trait Machine {
    /// Register of a function's first argument.
    const ARGUMENT: usize;
    /// Register of its result.
    const RESULT: usize;
    /// Registers that a function may change.
    const SCRATCH: &'static [usize];
    /// The stack pointer.
    const STACK_POINTER: usize;

    /// Carries out the instruction at the static address `at`; gives its length and what follows, `None` when
    /// there is no instruction.
    fn step(&mut self, code: &dyn Code, at: u64, state: &mut State) -> Option<(u64, Step)>;
}

/// What a function does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Static address of the `int` that it hands to `pthread_getspecific`.
    pub(super) key: Option<u64>,
    /// The variable of 8 bytes that it returns.
    pub(super) returned: Option<BasedAddress>,
}

/// Follows the function at a static address.
pub(super) fn follow<M: Machine>(code: &dyn Code, mut machine: M, function: u64) -> Findings {
    let mut run = Run {
        code,
        machine: &mut machine,
        key: None,
        left: TOTAL_INSTRUCTIONS,
    };
    let returned = match run.function(function, State::new::<M>(), 0) {
        Value::Loaded { from, bytes: 8 } => Some(from),
        _ => None,
    };
    Findings {
        key: run.key,
        returned,
    }
}

struct Run<'a, M> {
    code: &'a dyn Code,
    machine: &'a mut M,
    key: Option<u64>,
    /// Instructions.
    left: usize,
}

/// Where a jump or a call goes.
enum Target {
    Inside(u64),
    Outside(Function),
    Descriptor(u64),
    Unknown,
}

impl<M: Machine> Run<'_, M> {
    /// Goes all ways through a function; what it returns, on the way that says most.
    fn function(&mut self, start: u64, state: State, depth: usize) -> Value {
        let mut best = Value::Unknown;
        let mut pending = vec![(start, state)];
        let mut instructions = 0;
        while let Some((mut at, mut state)) = pending.pop() {
            while self.key.is_none() && instructions < FUNCTION_INSTRUCTIONS && self.left > 0 {
                instructions += 1;
                self.left -= 1;
                let Some((length, step)) = self.machine.step(self.code, at, &mut state) else {
                    break;
                };
                let next = at.wrapping_add(length);
                at = match step {
                    Step::Next => next,
                    Step::Branch(taken) => {
                        if pending.len() < MAX_PENDING {
                            pending.push((taken, state.clone()));
                        }
                        next
                    }
                    Step::Call(target) => {
                        if !self.call(target, &mut state, depth) {
                            break;
                        }
                        next
                    }
                    Step::Return => {
                        best = best.or_better(state.get(M::RESULT));
                        break;
                    }
                    Step::Jump(target) => match self.target(target) {
                        Target::Inside(address) => address,
                        Target::Outside(function) => {
                            best = best.or_better(self.foreign(function, &state));
                            break;
                        }
                        Target::Descriptor(_) | Target::Unknown => break,
                    },
                };
            }
        }
        best
    }

    /// Whether the call returns.
    fn call(&mut self, target: Value, state: &mut State, depth: usize) -> bool {
        let result = match self.target(target) {
            Target::Inside(address) if depth < MAX_DEPTH => {
                let mut callee = State::new::<M>();
                callee.set(M::ARGUMENT, state.get(M::ARGUMENT));
                // A function that leads nowhere leaves something for those after it.
                let kept = self.left / 2;
                self.left -= kept;
                let result = self.function(address, callee, depth + 1);
                self.left += kept;
                result
            }
            Target::Outside(Function::NoReturn) => return false,
            Target::Outside(function) => self.foreign(function, state),
            Target::Descriptor(slot) => {
                // By its calling convention it changes no other register.
                state.set(M::RESULT, Value::DescriptorOffset(slot));
                return true;
            }
            Target::Inside(_) | Target::Unknown => Value::Unknown,
        };
        for &register in M::SCRATCH {
            state.set(register, Value::Unknown);
        }
        state.set(M::RESULT, result);
        true
    }

    fn target(&self, target: Value) -> Target {
        if let Some(address) = target.in_file() {
            return match self.code.function(address) {
                None => Target::Inside(address),
                Some(function) => Target::Outside(function),
            };
        }
        let Value::Loaded {
            from: BasedAddress {
                base: Base::File,
                offset: slot,
            },
            bytes: 8,
        } = target
        else {
            return Target::Unknown;
        };
        match self.code.word(slot) {
            Word::Address(address) => Target::Inside(address),
            Word::Function(function) => Target::Outside(function),
            Word::Descriptor => Target::Descriptor(slot),
            Word::Variable => Target::Unknown,
        }
    }

    /// What a function of the C library returns.
    fn foreign(&mut self, function: Function, state: &State) -> Value {
        match (function, state.get(M::ARGUMENT)) {
            (
                Function::GetSpecific,
                Value::Loaded {
                    from:
                        BasedAddress {
                            base: Base::File,
                            offset: key,
                        },
                    bytes: 4,
                },
            ) => {
                self.key = Some(key);
                Value::Unknown
            }
            (
                Function::TlsGetAddr,
                Value::Address(BasedAddress {
                    base: Base::File,
                    offset: pair,
                }),
            ) => Value::Address(BasedAddress {
                base: Base::Module(pair),
                offset: 0,
            }),
            _ => Value::Unknown,
        }
    }
}
