//! The options of `view`.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::output::Group;
use crate::views::LabelFilter;

/// Look at a recording in the browser
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    pyebpf view cpu.pb.gz                    a page: flame graph, tables, callers, filters, time line\n  \
    pyebpf view cpu.pb.gz --source           with the source of what is hot\n  \
    pyebpf view web-*.pb.gz --label process=web   several files as one, only some of their samples\n  \
    pyebpf view cpu.pb.gz --no-browser       only print the address, to be opened elsewhere (ssh -L)\n  \
    pyebpf view cpu.pb.gz --speedscope       in speedscope (npm install -g speedscope)\n\n\
    Reads what `pyebpf report` reads. The page is served to this host only (127.0.0.1), at an address that nobody can guess,\n\
    until Ctrl-C. To keep it or to send it to somebody, write it to a file: pyebpf report FILE -o FILE.html\n\
    Needs no rights: under sudo, files are opened, and the browser is started, as the user who called it.")]
pub(in crate::cli) struct Args {
    /// Recordings: pprof or folded stacks; several become one; `-` is stdin
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(super) files: Vec<PathBuf>,
    /// Only print the address
    #[arg(long)]
    pub(super) no_browser: bool,
    /// Show it in speedscope, which npm has installed, or which is in this folder
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, require_equals = true, conflicts_with_all = ["source", "group_by"])]
    pub(super) speedscope: Option<Option<OsString>>,
    /// Put the source of the hottest Python functions into the page, as far as it can be read here
    #[arg(long)]
    pub(super) source: bool,
    /// Only samples with this label, as for `report`
    #[arg(long, value_name = "LABEL=VALUE")]
    pub(super) label: Vec<LabelFilter>,
    /// Which value of the file is shown at first, such as cpu, samples, page-faults; by default what the file says
    #[arg(long, value_name = "NAME")]
    pub(super) sample_type: Option<String>,
    /// Root frames, outermost first, separated by commas; by default `process` if there are several
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub(super) group_by: Vec<Group>,
    /// Show whole paths instead of only the part from the package on
    #[arg(long)]
    pub(super) full_filenames: bool,
}
