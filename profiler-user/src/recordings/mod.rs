//! Recording files, read back: pprof and folded stacks, ours or another tool's, one or several that become one.
//!
//! All of it is foreign bytes: every size has a limit (`room`), every reference is checked, and what does not fit is a
//! [`ReadError`]. Used by the verbs that look at recordings.

mod builder;
mod content;
mod convert;
mod error;
mod fields;
mod folded;
mod frame_of;
mod frame_text;
mod identity;
mod loaded;
mod pairs;
mod pprof;
mod reader;
mod room;
mod short_file;
#[cfg(test)]
mod tests;

pub use self::convert::{ConvertError, Converted, Values, convert};
pub use self::error::ReadError;
pub use self::loaded::{About, LabelSet, LabelSetId, LabelValue, Loaded, Row, ValueType};
pub use self::pairs::Counted;
pub use self::reader::Reader;
