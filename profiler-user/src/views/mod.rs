//! What people and programs see of a recording: tables of functions, lines, callers and groups, and the tree of calls. Pure:
//! from a [`Loaded`](crate::recordings::Loaded) recording to rows of numbers; how they are shown is the verb's affair.

mod calls;
mod comparison;
mod filter;
mod functions;
mod groups;
mod lines;
mod package;
mod selection;
mod tally;
#[cfg(test)]
mod test_loaded;
mod tree;

pub use self::calls::{CallRow, CallsError, callees, callers};
pub use self::comparison::{Compared, ComparedRow, Comparison, SIGNIFICANT, Scale, align};
pub use self::filter::{FilterError, LabelFilter};
pub use self::functions::{Function, FunctionId, FunctionRow, Functions, hot_functions};
pub use self::groups::{GroupRow, Grouping, GroupsError, groups};
pub use self::lines::{LineRow, hot_lines};
pub use self::selection::Selection;
pub use self::tally::Tally;
pub use self::tree::{Node, Tree, TreeOptions, tree};
