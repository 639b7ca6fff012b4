//! What maps hold, and how they are taken out of the loaded object.
#![expect(unsafe_code, reason = "`aya::Pod` is vouched for by `zerocopy`")]

use aya::Ebpf;
use aya::maps::MapError;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::error::LoadError;

/// A value of the contract, as what a map holds.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Plain<T>(pub(super) T);

// SAFETY: the compiler has proved that `T` is nothing but bytes, without padding, and that any bytes are a `T`.
unsafe impl<T: Copy + FromBytes + IntoBytes + Immutable + 'static> aya::Pod for Plain<T> {}

/// Takes a map out of the object.
pub(super) fn take<M: TryFrom<aya::maps::Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<M, LoadError> {
    let map = ebpf.take_map(name).ok_or(LoadError::Map {
        name,
        source: MapError::KeyNotFound,
    })?;
    M::try_from(map).map_err(|source| LoadError::Map { name, source })
}
