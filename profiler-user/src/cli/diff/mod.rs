//! `pyebpf diff`: two recordings side by side, with a test for each difference; as a table, or as a file of both. Pure user
//! space: needs no rights.

mod args;
mod files;
mod growth;
mod pair;
mod table;
#[cfg(test)]
mod tests;
mod verdict;

pub(super) use self::args::Args;

use self::args::Asked;
use self::pair::Pair;
use super::failure::Failure;
use super::{data, sheet};

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let asked = args.asked()?;
    let pair = Pair::load(args)?;
    let shown = table::of(args, &pair, &pair.comparison(args)?)?;
    match asked {
        Asked::Table(form) => data::print(&table::written(&shown, form, sheet::stdout_takes_colours())?)?,
        Asked::Files(formats) => files::write(args, &formats, pair)?,
    }
    verdict::of(args, &shown)
}
