//! `pyebpf report`: a recording as tables and trees on a terminal, or in another format. Pure user space: needs no rights, and
//! gives up those that sudo gave it.

mod amounts;
mod args;
mod colours;
mod convert;
mod csv;
mod functions;
mod input;
mod json;
mod lines;
mod look;
mod page_source;
mod sheet;
mod source;
#[cfg(test)]
mod tests;
mod text;
mod tree;

pub(super) use self::args::Args;

use self::args::Asked;
use super::data;
use super::failure::Failure;

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    input::give_up_rights()?;
    let form = match args.asked()? {
        Asked::Files(formats) => return convert::write(args, &formats),
        Asked::View(form) => form,
    };
    let sheet = look::at(args, &input::load(&args.files, false)?)?;
    data::print(&look::written(&sheet, form, colours::on_stdout())?)?;
    Ok(0)
}
