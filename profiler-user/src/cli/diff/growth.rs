//! What took more than before.

use crate::views::{Compared, ComparedRow, Comparison};

/// Something that took more than before, by more than chance explains.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Growth {
    /// What it is called.
    pub(super) name: String,
    /// By how much: per cent of the whole.
    pub(super) percent: f64,
}

/// All that grew, whether itself or with all it calls.
pub(super) fn growths<W>(
    rows: &[ComparedRow<W>],
    comparison: &Comparison<'_>,
    name: impl Fn(&W) -> String,
) -> Vec<Growth> {
    let growths = rows.iter().filter_map(|row| {
        let significant = [row.own, row.total].into_iter().filter(Compared::is_significant);
        let percent = significant.map(|of| comparison.change(&of)).reduce(f64::max)?;
        (percent > 0.0).then(|| Growth {
            name: name(&row.what),
            percent,
        })
    });
    let mut growths: Vec<Growth> = growths.collect();
    growths.sort_by(|a, b| b.percent.total_cmp(&a.percent));
    growths
}
