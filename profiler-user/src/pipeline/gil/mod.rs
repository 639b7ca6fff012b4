//! Waiting for the GIL: how long each thread did, and, where nothing else is recorded, who held it meanwhile.

mod holders;
mod times;

use super::native_stack::Step;
use crate::proc::root::RootId;
use crate::profile::Process;
use crate::wire::assembly::Sample;

use self::times::GilTimes;

pub(super) use self::holders::{Holder, Holders, Lock, Piece, Span};
pub use self::times::{GilShare, GilShares, GilThread};

/// What is known of GILs, where time off the CPU is recorded.
#[derive(Debug, Default)]
pub(super) struct Gil {
    pub(super) times: GilTimes,
    /// Where only waits for the GIL are recorded: those whose holders are not known yet.
    pub(super) holders: Option<Holders<Waited>>,
}

impl Gil {
    /// With `is_all`, nothing but waits for the GIL is recorded, with who held it.
    pub(super) fn new(is_all: bool) -> Self {
        Self {
            times: GilTimes::default(),
            holders: is_all.then(Holders::default),
        }
    }
}

/// A wait whose holder is not known yet.
#[derive(Debug)]
pub(super) struct Waited {
    pub(super) sample: Box<Sample>,
    pub(super) steps: Vec<Step>,
    pub(super) process: Process,
    pub(super) root: Option<RootId>,
}
