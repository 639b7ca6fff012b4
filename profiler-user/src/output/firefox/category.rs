//! Categories of frames: whose code they are.

use serde::Serialize;

use crate::profile::Owner;

#[derive(Serialize)]
pub(super) struct Category {
    name: &'static str,
    color: &'static str,
    subcategories: [&'static str; 1],
}

impl Category {
    /// In the format's colours that are nearest to those of the flame graph. The first grey one is for what has no category.
    pub(super) fn of(owner: Owner) -> Self {
        let color = match owner {
            Owner::Program => "red",
            Owner::Package => "green",
            Owner::StandardLibrary => "yellow",
            Owner::Native => "blue",
            Owner::Interpreter => "magenta",
            Owner::Kernel => "brown",
            Owner::Nobody => "grey",
        };
        Self {
            name: owner.label(),
            color,
            subcategories: ["Other"],
        }
    }
}

/// Index into `meta.categories`.
pub(super) fn category(owner: Owner) -> usize {
    let at = Owner::ALL.iter().position(|other| *other == owner);
    at.unwrap_or_default()
}
