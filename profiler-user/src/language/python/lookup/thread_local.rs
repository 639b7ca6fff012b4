//! From a thread-local variable of a file to where it is in the threads of a process.
//!
//! Used by `recognise::judgement` for interpreters from 3.15 on, whose thread state is in such a variable
//! (`Anchors::gilstate_tls`). Reads the few words that the dynamic loader wrote when it loaded
//! the file.

use profiler_common::memory::{Fault, Memory, RemoteAddr};

use crate::language::python::recognise::anchors::TlsVariable;

/// Modules with thread-local variables in one process, at most; beyond it the words are misread.
const MAX_MODULE: u32 = 1 << 20;
/// Bytes of one module's variables, at most.
const MAX_BYTES: u64 = 1 << 30;
/// Bytes from the thread pointer to variables at a fixed distance, at most. No program is loaded below, so in
/// a TLS descriptor it tells a distance from an address.
const MAX_DISTANCE: u64 = 4 << 20;

/// Where a variable is, for every thread of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadLocal {
    /// So many bytes from the thread pointer.
    FromThreadPointer(i64),
    /// In the thread's block for a module, which its dynamic thread vector leads to
    /// ([`super::thread_specific::dynamic_thread_vector`]). A thread that never used one of the module's
    /// variables may have no block.
    InModule {
        /// The module's number, from 1.
        module: u32,
        /// Bytes from the start of the block.
        offset: u64,
    },
}

/// Where `variable` is, of the file that was loaded `bias` bytes from its static addresses. `None` when the
/// loader has not come to it yet: ask again.
///
/// # Errors
/// [`Fault`] when the file's data cannot be read.
pub fn resolve(variable: TlsVariable, bias: u64, memory: &impl Memory) -> Result<Option<ThreadLocal>, Fault> {
    let read = |slot: u64| -> Result<[u64; 2], Fault> {
        let mut pair = [0; 2];
        memory.read_words(RemoteAddr(slot), &mut pair)?;
        Ok(pair)
    };
    Ok(match variable {
        TlsVariable::FromThreadPointer(offset) => Some(ThreadLocal::FromThreadPointer(offset)),
        TlsVariable::InModule { slot, displacement } => {
            in_module(read(bias.wrapping_add(slot))?, displacement)
        }
        TlsVariable::OffsetAt { slot, displacement } => {
            let mut word = [0];
            memory.read_words(RemoteAddr(bias.wrapping_add(slot)), &mut word)?;
            from_thread_pointer(word[0], displacement)
        }
        TlsVariable::Descriptor { slot, displacement } => {
            let [function, argument] = read(bias.wrapping_add(slot))?;
            if function == 0 {
                return Ok(None);
            }
            // The argument is the distance itself for variables that came with the program
            // (`_dl_tlsdesc_return` of glibc, `__tlsdesc_static` of musl), else the address of {module,
            // offset} (`struct tlsdesc_dynamic_arg`; `__tlsdesc_dynamic`).
            match from_thread_pointer(argument, displacement) {
                Some(found) => Some(found),
                None if argument == 0 => None,
                None => in_module(read(argument)?, displacement),
            }
        }
    })
}

fn from_thread_pointer(offset: u64, displacement: i64) -> Option<ThreadLocal> {
    let offset = offset.cast_signed();
    let is_plausible = offset != 0 && offset.unsigned_abs() < MAX_DISTANCE;
    let sum = offset.checked_add(displacement)?;
    is_plausible.then_some(ThreadLocal::FromThreadPointer(sum))
}

fn in_module([module, offset]: [u64; 2], displacement: i64) -> Option<ThreadLocal> {
    let offset = offset.checked_add_signed(displacement)?;
    let module = u32::try_from(module).ok()?;
    let is_plausible = (1..MAX_MODULE).contains(&module) && offset < MAX_BYTES;
    is_plausible.then_some(ThreadLocal::InModule { module, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 0x7f00_0000_0000;

    /// The 8-byte words from `START` on.
    struct Words(Vec<u64>);

    impl Memory for Words {
        fn read_words<const N: usize>(&self, addr: RemoteAddr, out: &mut [u64; N]) -> Result<(), Fault> {
            let start = addr.0.checked_sub(START).ok_or(Fault)? as usize / 8;
            let end = start.checked_add(N).ok_or(Fault)?;
            out.copy_from_slice(self.0.get(start..end).ok_or(Fault)?);
            Ok(())
        }

        fn read_words_prefix<const N: usize>(
            &self,
            _addr: RemoteAddr,
            _out: &mut [u64; N],
            _bytes: u32,
        ) -> Result<(), Fault> {
            Err(Fault)
        }

        fn read_bytes<const N: usize>(
            &self,
            _addr: RemoteAddr,
            _out: &mut [u8; N],
            _len: u32,
        ) -> Result<(), Fault> {
            Err(Fault)
        }
    }

    const SLOT: u64 = 0x40;
    const BIAS: u64 = START - SLOT;

    fn in_module(displacement: i64) -> TlsVariable {
        let slot = SLOT;
        TlsVariable::InModule { slot, displacement }
    }

    fn descriptor(displacement: i64) -> TlsVariable {
        let slot = SLOT;
        TlsVariable::Descriptor { slot, displacement }
    }

    fn offset_at(displacement: i64) -> TlsVariable {
        let slot = SLOT;
        TlsVariable::OffsetAt { slot, displacement }
    }

    #[test]
    fn a_fixed_distance_needs_no_memory() {
        let found = resolve(TlsVariable::FromThreadPointer(-40), BIAS, &Words(Vec::new()));
        assert_eq!(found, Ok(Some(ThreadLocal::FromThreadPointer(-40))));
    }

    #[test]
    fn the_displacement_of_the_code_is_added_to_what_the_loader_wrote() {
        let module = |module, offset| Ok(Some(ThreadLocal::InModule { module, offset }));
        assert_eq!(
            resolve(in_module(0x28), BIAS, &Words(vec![3, 0])),
            module(3, 0x28)
        );
        assert_eq!(
            resolve(in_module(0), BIAS, &Words(vec![3, 0x28])),
            module(3, 0x28)
        );
        let distance = Ok(Some(ThreadLocal::FromThreadPointer(-0x30)));
        let back = 0x38u64.wrapping_neg();
        assert_eq!(resolve(offset_at(8), BIAS, &Words(vec![back])), distance);
        assert_eq!(
            resolve(descriptor(8), BIAS, &Words(vec![0x5500_0000_0000, back])),
            distance
        );
        let pointing = Words(vec![0x5500_0000_0000, START + 16, 5, 0x20]);
        assert_eq!(resolve(descriptor(8), BIAS, &pointing), module(5, 0x28));
    }

    #[test]
    fn what_the_loader_has_not_written_yet_is_no_answer() {
        for variable in [in_module(0x28), offset_at(0), descriptor(0)] {
            assert_eq!(
                resolve(variable, BIAS, &Words(vec![0, 0])),
                Ok(None),
                "{variable:?}"
            );
        }
    }

    #[test]
    fn numbers_that_no_loader_writes_and_memory_that_is_not_there_are_told_apart() {
        assert_eq!(resolve(in_module(0), BIAS, &Words(vec![u64::MAX, 8])), Ok(None));
        assert_eq!(resolve(in_module(-8), BIAS, &Words(vec![1, 0])), Ok(None));
        assert_eq!(resolve(in_module(0), 0, &Words(vec![1, 0])), Err(Fault));
        assert_eq!(
            resolve(offset_at(i64::MIN), BIAS, &Words(vec![u64::MAX])),
            Ok(None)
        );
    }
}
