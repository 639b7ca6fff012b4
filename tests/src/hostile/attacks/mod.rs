//! The registry of attacks: one file for each kind, one row for each attack.

mod elf;
mod files;
mod forged;
mod interpreters;
mod memory;
mod names;
mod namespaces;
mod outputs;
mod perf_maps;
mod storms;

use super::attack::Attack;

/// A kind of attacks.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its heading in the report.
    pub heading: &'static str,
    /// Its rows.
    pub attacks: &'static [Attack],
}

/// Every kind there is.
pub const KINDS: &[Kind] = &[
    memory::KIND,
    files::KIND,
    elf::KIND,
    perf_maps::KIND,
    interpreters::KIND,
    storms::KIND,
    names::KIND,
    forged::KIND,
    namespaces::KIND,
    outputs::KIND,
];

/// Every attack there is.
pub fn all() -> impl Iterator<Item = &'static Attack> {
    KINDS.iter().flat_map(|kind| kind.attacks)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::all;
    use crate::hostile::attack::Allowed;

    #[test]
    fn every_attack_has_a_name_of_its_own_and_says_what_it_does() {
        let names: BTreeSet<&str> = all().map(|attack| attack.name).collect();
        assert_eq!(names.len(), all().count());
        assert!(all().all(|attack| !attack.what.is_empty() && !attack.command.is_empty()));
    }

    #[test]
    fn a_budget_beyond_the_usual_has_its_reason() {
        for attack in all() {
            let allowed = attack.allowed;
            assert_eq!(
                allowed.extra_mib == 0,
                allowed.because.is_empty(),
                "{}",
                attack.name
            );
            let is_usual = allowed.ending == Allowed::USUAL.ending;
            assert_eq!(is_usual, allowed.late_because.is_empty(), "{}", attack.name);
        }
    }
}
