//! Which processes there are, who they are, and which of them are profiled.

mod command_line;
pub mod filter;
pub mod halt;
pub mod identity;
pub mod survey;
pub mod tracker;
