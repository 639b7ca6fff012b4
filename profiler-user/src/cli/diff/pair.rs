//! The two recordings: read, and known to have values that can be compared.

use super::super::failure::Failure;
use super::super::input;
use super::args::Args;
use crate::output::quoted;
use crate::recordings::{Counted, Loaded, ValueType};
use crate::views::{Comparison, Scale, Selection, align};

/// Two recordings whose equal functions have equal frames.
#[derive(Debug)]
pub(super) struct Pair {
    /// Before and after.
    pub(super) loaded: [Loaded; 2],
    /// Which value of each is compared.
    pub(super) types: [usize; 2],
}

impl Pair {
    /// Reads both files.
    pub(super) fn load(args: &Args) -> Result<Self, Failure> {
        let [first, second] = [&args.before, &args.after].map(std::slice::from_ref);
        if args.before == args.after && args.before.as_os_str() == "-" {
            return Err(Failure::usage("standard input is one recording, and not two")
                .hint("pyebpf diff BEFORE.pb.gz -   # one of them in a file"));
        }
        let loaded = [input::load(first, false)?, input::load(second, false)?];
        Self::of(loaded, args)
    }

    /// Of what was read.
    pub(super) fn of(mut loaded: [Loaded; 2], args: &Args) -> Result<Self, Failure> {
        let names = args.file_names();
        let types = common_type(&loaded, args.sample_type.as_deref(), &names)?;
        for side in 0..2 {
            let types_of = loaded[side].types.len();
            let mut values = loaded[side].values.iter().skip(types[side]).step_by(types_of);
            if values.any(|value| *value < 0) {
                return Err(Failure::new(format_args!(
                    "some values of {} are negative: it is a difference of two recordings already",
                    named(&names[side])
                ))
                .hint("pyebpf report FILE   (shows it)"));
            }
        }
        let counted = [0, 1].map(|side| Counted::of(&loaded[side].types, types[side]));
        let is_number = (0..2).all(|side| counted[side].is_some_and(|of| of.samples == types[side]));
        if args.scale() == Scale::Absolute && is_number && have_other_rates(&loaded) {
            return Err(Failure::new(
                "the recordings were made at different rates, so their numbers of samples say nothing about each other",
            )
            .hint("--absolute --sample-type cpu   (time; or shares, without --absolute)"));
        }
        let [before, after] = &mut loaded;
        align(before, after);
        Ok(Self { loaded, types })
    }

    /// Both side by side, as far as labels are wanted.
    pub(super) fn comparison(&self, args: &Args) -> Result<Comparison<'_>, Failure> {
        for filter in &args.label {
            let checks = self
                .loaded
                .each_ref()
                .map(|of| input::check_labels(of, std::slice::from_ref(filter)));
            // It is enough if one of them has it: the other one may have no sample of that kind.
            if let [Err(failure), Err(_)] = checks {
                return Err(failure);
            }
        }
        let selection = |side: usize| Selection::new(&self.loaded[side], self.types[side], &args.label);
        let comparison = Comparison::new([selection(0), selection(1)], self.types, args.scale());
        if comparison.totals() == [0, 0] {
            let failure = Failure::new(format_args!("no samples of {} in either recording", self.value()));
            return Err(match args.label.is_empty() {
                true => failure.hint("pyebpf report FILE   (says what is in it)"),
                false => {
                    failure.hint("pyebpf report FILE --by process   (or another label: lists what there is)")
                }
            });
        }
        Ok(comparison)
    }

    /// What is compared.
    pub(super) fn value(&self) -> &ValueType {
        &self.loaded[1].types[self.types[1]]
    }
}

/// How messages call a file.
pub(super) fn named(name: &str) -> String {
    quoted(name.as_ref())
}

/// A value that both have, by its position in each.
fn common_type(loaded: &[Loaded; 2], name: Option<&str>, names: &[String; 2]) -> Result<[usize; 2], Failure> {
    let [before, after] = loaded;
    let same = |of: &ValueType| {
        let at = |types: &[ValueType]| types.iter().position(|other| other == of);
        Some([at(&before.types)?, at(&after.types)?])
    };
    let common: Vec<&ValueType> = before.types.iter().filter(|of| same(of).is_some()).collect();
    let hint = || match common.as_slice() {
        [] => "compare recordings of one kind, such as two of pyebpf record -o FILE.pb.gz".to_owned(),
        common => {
            let names: Vec<String> = common
                .iter()
                .map(|of| format!("--sample-type {}", of.name))
                .collect();
            names.join(", or ")
        }
    };
    let [first, second] = names.each_ref().map(|name| named(name));
    if let Some(name) = name {
        let unit = |of: &Loaded| {
            of.types
                .iter()
                .find(|of| of.name == name)
                .map(|of| of.unit.clone())
        };
        return match (unit(before), unit(after)) {
            (None, _) => {
                Err(Failure::usage(format_args!("{first} has no values called {name}")).hint(hint()))
            }
            (_, None) => {
                Err(Failure::usage(format_args!("{second} has no values called {name}")).hint(hint()))
            }
            (Some(unit), Some(other)) if unit != other => {
                Err(other_units(name, [(&first, &unit), (&second, &other)]).hint(hint()))
            }
            (Some(unit), Some(_)) => same(&ValueType {
                name: name.to_owned(),
                unit,
            })
            .ok_or_else(|| Failure::new("no common value")),
        };
    }
    let default = |of: &Loaded| of.types.get(of.default_type).cloned();
    let wanted = [default(before), default(after)];
    let found = wanted
        .iter()
        .flatten()
        .chain(common.iter().copied())
        .find_map(same);
    found.ok_or_else(|| {
        let unit_after = |of: &ValueType| after.types.iter().find(|other| other.name == of.name);
        let alike = before.types.iter().find_map(|of| Some((of, unit_after(of)?)));
        match alike {
            Some((of, other)) => other_units(&of.name, [(&first, &of.unit), (&second, &other.unit)]),
            None => {
                let list = |of: &Loaded| {
                    let types: Vec<String> = of.types.iter().map(ToString::to_string).collect();
                    types.join(", ")
                };
                Failure::new(format_args!(
                    "the recordings have no value in common: {first} has {}, {second} has {}",
                    list(before),
                    list(after)
                ))
            }
        }
        .hint(hint())
    })
}

fn other_units(name: &str, [(first, unit), (second, other)]: [(&str, &str); 2]) -> Failure {
    Failure::new(format_args!(
        "{name} is in {unit} in {first}, and in {other} in {second}: they cannot be compared"
    ))
}

/// Whether a sample stands for something else in the second one.
fn have_other_rates([before, after]: &[Loaded; 2]) -> bool {
    let (first, second) = (&before.about, &after.about);
    let are_known = first.period > 0 && second.period > 0 && first.period_type == second.period_type;
    are_known && first.period != second.period
}
