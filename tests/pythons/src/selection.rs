//! Which rows of the matrix a run of the tests has: one for each tier of `cargo xtask test`.

use anyhow::bail;

use crate::matrix::Row;

/// Of pyenv's interpreters, those that the quick tests run on: there may be a dozen, and each costs a quarter of a minute.
const MAX_OWN: usize = 3;

/// As many rows as a tier of the tests wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Some of those of this machine: nothing is obtained, and what is not here is not missed.
    Own,
    /// The representative ones: `ci = true`.
    Ci,
    /// Every row.
    Every,
}

impl Selection {
    /// Environment variable with the name of a selection; [`Self::Ci`] when it is not set.
    pub const VARIABLE: &str = "PYEBPF_TEST_PYTHONS";

    const ALL: [Self; 3] = [Self::Own, Self::Ci, Self::Every];

    /// In [`Self::VARIABLE`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Ci => "ci",
            Self::Every => "every",
        }
    }

    /// What the environment says.
    ///
    /// # Errors
    /// When it names no selection.
    pub fn from_env() -> anyhow::Result<Self> {
        match std::env::var_os(Self::VARIABLE) {
            None => Ok(Self::Ci),
            Some(name) => Self::named(&name.to_string_lossy()),
        }
    }

    fn named(name: &str) -> anyhow::Result<Self> {
        match Self::ALL.into_iter().find(|one| one.name() == name) {
            Some(selection) => Ok(selection),
            None => bail!(
                "{} is {name:?}, not one of {:?}",
                Self::VARIABLE,
                Self::ALL.map(Self::name)
            ),
        }
    }

    /// Whether a run has this row, where it is here.
    #[must_use]
    pub fn has(self, row: &Row) -> bool {
        match self {
            Self::Own => row.is_of_this_machine(),
            Self::Ci => row.ci,
            Self::Every => true,
        }
    }

    /// Of these interpreters as many as a run has time for: of [`Self::Own`] at most [`MAX_OWN`], from the first to the
    /// last in equal steps.
    #[must_use]
    pub fn few_of<T>(self, pythons: Vec<T>) -> Vec<T> {
        let len = pythons.len();
        if self != Self::Own || len <= MAX_OWN {
            return pythons;
        }
        let chosen: Vec<usize> = (0..MAX_OWN)
            .map(|step| step * (len - 1) / (MAX_OWN - 1))
            .collect();
        let all = pythons.into_iter().enumerate();
        all.filter_map(|(index, python)| chosen.contains(&index).then_some(python))
            .collect()
    }

    /// Whether a run lacks something when this row is not here.
    #[must_use]
    pub fn promises(self, row: &Row) -> bool {
        self != Self::Own && self.has(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selection_is_known_by_its_name_and_nothing_else_is() {
        for selection in Selection::ALL {
            assert_eq!(
                Selection::named(selection.name()).expect("its own name"),
                selection
            );
        }
        assert!(Selection::named("1").is_err());
    }

    #[test]
    fn a_run_on_this_machine_has_few_interpreters_from_the_oldest_to_the_newest() {
        let few = |count: usize| Selection::Own.few_of((1..=count).collect());
        assert_eq!(few(0), []);
        assert_eq!(few(3), [1, 2, 3]);
        assert_eq!(few(4), [1, 2, 4]);
        assert_eq!(few(9), [1, 5, 9]);
        assert_eq!(Selection::Ci.few_of((1..=10).collect()).len(), 10);
    }

    #[test]
    fn the_representative_rows_have_each_kind_of_build_that_the_readme_promises() {
        use crate::Trait;

        let matrix = crate::matrix().expect("tests/pythons.toml");
        for kind in [Trait::Static, Trait::FreeThreaded, Trait::Musl] {
            let mut rows = matrix.rows.iter().filter(|row| Selection::Ci.has(row));
            assert!(
                rows.any(|row| row.traits.contains(&kind)),
                "none is {}",
                kind.name()
            );
        }
    }
}
