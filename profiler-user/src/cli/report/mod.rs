//! `pyebpf report`: a recording as tables and trees on a terminal, or in another format. Pure user space: needs no rights.

mod args;
mod convert;
mod functions;
mod lines;
mod look;
mod page_source;
mod source;
#[cfg(test)]
mod tests;
mod tree;

pub(super) use self::args::Args;
pub(super) use self::page_source::of as source_for_page;

use self::args::Asked;
use super::data;
use super::failure::Failure;
use super::{input, sheet};

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let form = match args.asked()? {
        Asked::Files(formats) => return convert::write(args, &formats),
        Asked::View(form) => form,
    };
    let sheet = look::at(args, &input::load(&args.files, false)?)?;
    data::print(&sheet::written(&sheet, form, sheet::stdout_takes_colours())?)?;
    Ok(0)
}
