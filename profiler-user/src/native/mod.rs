//! Machine code beneath and between Python frames: what it is called.

pub mod symbol;
