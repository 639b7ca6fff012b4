//! The columns of a table: what they are called, what is in them, which of them there are. Pure.

use profiler_common::contract::sources::Unit;

use super::amounts::{Amounts, Measured, Part};
use super::model::Model;

/// A column of numbers, or the text at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    OwnPercent,
    TotalPercent,
    Own,
    Total,
    Gil,
    Waiting,
    Native,
    Faults,
    Name,
}

impl Column {
    /// What there is to sort by, in the order of the keys: the first four are py-spy's.
    pub(super) fn all(measured: &Measured, with_native: bool) -> Vec<Self> {
        let mut columns = vec![Self::OwnPercent, Self::TotalPercent, Self::Own, Self::Total];
        if measured.is_time() {
            columns.push(Self::Gil);
        }
        if measured.has(Part::Waiting) {
            columns.push(Self::Waiting);
        }
        if with_native {
            columns.push(Self::Native);
        }
        if measured.has(Part::Faults) {
            columns.push(Self::Faults);
        }
        columns.push(Self::Name);
        columns
    }

    /// Its title.
    pub(super) fn title(self, unit: Unit) -> &'static str {
        match (self, unit) {
            (Self::OwnPercent, _) => "%Own",
            (Self::TotalPercent, _) => "%Total",
            (Self::Own, Unit::Nanoseconds) => "OwnTime",
            (Self::Total, Unit::Nanoseconds) => "TotalTime",
            (Self::Own, _) => "Own",
            (Self::Total, _) => "Total",
            (Self::Gil, _) => "%GIL",
            (Self::Waiting, _) => "%Wait",
            (Self::Native, _) => "%Native",
            (Self::Faults, _) => "Faults/s",
            (Self::Name, _) => "Function",
        }
    }

    /// Cells of a terminal that it takes, without the space after it.
    pub(super) fn width(self) -> usize {
        match self {
            Self::OwnPercent | Self::TotalPercent | Self::Gil | Self::Waiting | Self::Native => 7,
            Self::Own | Self::Faults => 8,
            Self::Total => 9,
            Self::Name => 0,
        }
    }

    /// What is sorted by.
    pub(super) fn value(self, last: &Amounts, all: &Amounts) -> u64 {
        match self {
            Self::OwnPercent => last.own,
            Self::TotalPercent => last.total,
            Self::Own => all.own,
            Self::Total => all.total,
            Self::Gil => last.gil,
            Self::Waiting => last.waiting,
            Self::Native => last.native,
            Self::Faults => last.faults,
            Self::Name => 0,
        }
    }

    /// What is in it.
    pub(super) fn text(self, model: &Model, last: &Amounts, all: &Amounts) -> String {
        let value = self.value(last, all);
        match self {
            Self::OwnPercent | Self::TotalPercent | Self::Gil | Self::Waiting | Self::Native => {
                format!("{:.2}%", model.percent(value))
            }
            Self::Own | Self::Total => amount(value, model.measured.unit()),
            Self::Faults => format!("{:.0}", model.per_second(value)),
            Self::Name => String::new(),
        }
    }
}

/// `1.23s`, `12m05s`; `1234567` of events.
pub(super) fn amount(value: u64, unit: Unit) -> String {
    if unit != Unit::Nanoseconds {
        return value.to_string();
    }
    let seconds = value as f64 / 1e9;
    match seconds {
        ..1_000.0 => format!("{seconds:.2}s"),
        ..100_000.0 => format!("{seconds:.0}s"),
        _ => format!("{:.1}h", seconds / 3_600.0),
    }
}
