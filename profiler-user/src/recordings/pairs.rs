//! Which values of a file are those of a source of samples: how many there are, and what they stand for.

use profiler_common::contract::sources::{Source, Unit};

use super::loaded::ValueType;

/// The two values of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) source: Source,
    /// Which value says how many samples there were.
    pub(super) samples: usize,
    /// Which value says what they stand for, in the unit of the source.
    pub(super) weight: usize,
}

/// How it is known of how many samples a value is the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Which value says how many samples there were.
    pub samples: usize,
    /// Whether each of them stands for about the same.
    pub is_even: bool,
}

impl Counted {
    /// Of the values at `value_type`; `None` if nothing says it.
    #[must_use]
    pub fn of(types: &[ValueType], value_type: usize) -> Option<Self> {
        let pairs = Pairs::of(types);
        let of_value = |pair: &&Pair| [pair.samples, pair.weight].contains(&value_type);
        if let Some(pair) = pairs.0.iter().find(of_value) {
            return Some(Self {
                samples: pair.samples,
                is_even: value_type == pair.samples || pair.source.is_even(),
            });
        }
        let of = types.get(value_type)?;
        (of.name == "samples" && of.unit == "count").then_some(Self {
            samples: value_type,
            is_even: true,
        })
    }
}

/// The sources of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pairs(pub(super) Vec<Pair>);

impl Pairs {
    /// Those that are complete, in the order of the sources' codes. The names are those that `output/pprof` writes; the ones
    /// of CPU time are Go's.
    pub(super) fn of(types: &[ValueType]) -> Self {
        let at = |name: &str, unit: &str| {
            let mut all = types.iter();
            all.position(|of| of.name == name && of.unit == unit)
        };
        let pair = |source: &Source| {
            let samples = if *source == Source::OnCpu {
                at("samples", "count")
            } else {
                at(&format!("{}-samples", source.name()), "count")
            };
            let unit = match source.unit() {
                Unit::Nanoseconds => "nanoseconds",
                Unit::Faults | Unit::Switches => "count",
            };
            Some(Pair {
                source: *source,
                samples: samples?,
                weight: at(source.name(), unit)?,
            })
        };
        Self(Source::ALL.iter().filter_map(pair).collect())
    }

    /// Whether no value of a file is left over.
    pub(super) fn are_all_of(&self, types: &[ValueType]) -> bool {
        2 * self.0.len() == types.len()
    }

    /// The source and the weight of values that are one sample; `None` if they are not.
    pub(super) fn only_sample(&self, values: &[i64]) -> Option<(Source, u64)> {
        let of = |at: usize| values.get(at).copied().unwrap_or(0);
        let mut found = self
            .0
            .iter()
            .filter(|pair| of(pair.samples) != 0 || of(pair.weight) != 0);
        let pair = found.next()?;
        let is_one = found.next().is_none() && of(pair.samples) == 1;
        Some((pair.source, u64::try_from(of(pair.weight)).ok()?)).filter(|_| is_one)
    }
}
