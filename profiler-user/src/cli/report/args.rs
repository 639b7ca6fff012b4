//! The options of `report`.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, ValueEnum as _};

use super::super::failure::Failure;
use super::super::sheet::ViewForm;
use crate::output::{Format, Group, LineStyle, Measure};
use crate::views::LabelFilter;

/// Show what is in a recording, or write it in another format
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("view").multiple(false),
    after_help = "Examples:\n  \
        pyebpf report cpu.pb.gz                          functions, the hottest first\n  \
        pyebpf report cpu.pb.gz --tree                   who calls what; libraries folded\n  \
        pyebpf report cpu.pb.gz --lines --top 10         the ten hottest lines, with their source\n  \
        pyebpf report cpu.pb.gz --callers Loop.run       who calls it, and what share each caller has\n  \
        pyebpf report cpu.pb.gz --by container           which container; also process, thread, module, owner, any label\n  \
        pyebpf report cpu.pb.gz --label process=web      only the processes with this word in their command line\n  \
        pyebpf report web-*.pb.gz --format json | jq     several files as one, for programs\n  \
        pyebpf report cpu.pb.gz -o cpu.svg -o cpu.callgrind   a flame graph, and a file for KCachegrind\n  \
        pyebpf report cpu.pb.gz -o cpu.html --source     a page for any browser, with the source of what is hot\n  \
        curl -s localhost:6060/debug/pprof/profile | pyebpf report - --tree   a Go program\n\n\
        Reads pprof files (plain, gzip, zstd) and folded stacks, of pyebpf or of any other tool. `pyebpf record -o cpu.pb.gz`\n\
        makes files that hold everything; of folded stacks there is neither time nor whole paths.\n\
        Formats that show time need a file of `record --timestamps`.\n\
        Needs no rights: under sudo, files are opened as the user who called it."
)]
pub(in crate::cli) struct Args {
    /// Recordings: pprof or folded stacks; several become one; `-` is stdin
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(super) files: Vec<PathBuf>,
    /// What each function took itself, and with all it called (default)
    #[arg(long, group = "view")]
    functions: bool,
    /// The tree of calls
    #[arg(long, group = "view")]
    tree: bool,
    /// What each line took, with its source where that can be read
    #[arg(long, group = "view")]
    lines: bool,
    /// Who calls this function (its whole name, or what follows the last dot)
    #[arg(long, group = "view", value_name = "NAME")]
    callers: Option<String>,
    /// What this function calls
    #[arg(long, group = "view", value_name = "NAME")]
    callees: Option<String>,
    /// Sums by container, process, thread, task, module (package or library), owner (whose code), or any label of the file
    #[arg(long, group = "view", value_name = "WHAT")]
    by: Option<String>,
    /// Only samples with this label: a word in it, or a shell pattern for all of it; `process`, `thread` and `container`
    /// stand for all labels that say which one. Of several for one label one is enough
    #[arg(long, value_name = "LABEL=VALUE")]
    pub(super) label: Vec<LabelFilter>,
    /// Rows of a table
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(super) top: usize,
    /// Which value of the file is shown, such as cpu, samples, page-faults; by default what the file says
    #[arg(long, value_name = "NAME")]
    pub(super) sample_type: Option<String>,
    /// With --tree: show the code of libraries too (packages, standard library, import machinery)
    #[arg(long)]
    pub(super) no_fold: bool,
    /// With --tree: leave out what has a smaller share of all, per cent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = super::super::input::parse_percent)]
    pub(super) min: f64,
    /// Show whole paths instead of only the part from the package on
    #[arg(long)]
    pub(super) full_filenames: bool,
    /// How a view is written: text, json or csv; or the format of the file to write, as for `record`. With --output, json is
    /// that one's
    #[arg(short, long, value_name = "FORMAT", value_parser = form(), ignore_case = true)]
    format: Vec<Form>,
    /// Write the recording to this file, in the format of its extension; `-` is stdout; may be given several times
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(super) output: Vec<PathBuf>,
    /// With --output: what the numbers are, for CPU time
    #[arg(long, value_enum, default_value_t = Measure::Samples)]
    pub(super) unit: Measure,
    /// With --output: root frames, outermost first, separated by commas; by default `process` if there are several
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub(super) group_by: Vec<Group>,
    /// With --output: add a root frame for each thread
    #[arg(short, long)]
    pub(super) threads: bool,
    /// With --output: count by function instead of by line
    #[arg(short = 'F', long, conflicts_with = "nolineno")]
    function: bool,
    /// With --output: leave line numbers out
    #[arg(long)]
    nolineno: bool,
    /// With a page (-o FILE.html): put the source of its hottest Python functions into it, as far as it can be read here
    #[arg(long)]
    pub(super) source: bool,
    /// With --output: keep the time of each sample in pprof files too
    #[arg(long)]
    pub(super) timestamps: bool,
}

/// A value of `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A view, for people.
    Text,
    /// A view, for spreadsheets.
    Csv,
    /// The recording.
    File(Format),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Print a view.
    View(ViewForm),
    /// Write files, of these formats if any were named.
    Files(Vec<Format>),
}

/// What is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View<'a> {
    Functions,
    Tree,
    Lines,
    Callers(&'a str),
    Callees(&'a str),
    By(&'a str),
}

/// Values of `--format`.
fn form() -> impl TypedValueParser<Value = Form> {
    let of_files = Format::value_variants()
        .iter()
        .filter_map(clap::ValueEnum::to_possible_value);
    let own = [
        PossibleValue::new("text").help("A table or tree, for people (default)"),
        PossibleValue::new("csv").help("The same, for spreadsheets"),
    ];
    PossibleValuesParser::new(own.into_iter().chain(of_files)).map(|name| {
        match name.to_ascii_lowercase().as_str() {
            "text" => Form::Text,
            "csv" => Form::Csv,
            name => Form::File(Format::from_str(name, true).unwrap_or_default()),
        }
    })
}

impl Args {
    /// What is to be done with the files.
    pub(super) fn asked(&self) -> Result<Asked, Failure> {
        let of_files: Vec<Format> = self
            .format
            .iter()
            .filter_map(|form| match form {
                Form::File(format) => Some(*format),
                Form::Text | Form::Csv => None,
            })
            .collect();
        let asked = match (self.format.as_slice(), self.output.is_empty()) {
            ([] | [Form::Text], true) => Asked::View(ViewForm::Text),
            ([Form::Csv], true) => Asked::View(ViewForm::Csv),
            ([Form::File(Format::Json)], true) => Asked::View(ViewForm::Json),
            (_, _) if of_files.len() == self.format.len() => Asked::Files(of_files),
            _ => {
                return Err(
                    Failure::usage("text and csv are formats of views, which go to standard output")
                        .hint("pyebpf report FILE --format csv > FILE.csv"),
                );
            }
        };
        let is_view = self.tree || self.lines || self.functions;
        let is_view = is_view || self.callers.is_some() || self.callees.is_some() || self.by.is_some();
        if self.source && !matches!(asked, Asked::Files(_)) {
            return Err(
                Failure::usage("--source puts source into a page, and none is written")
                    .hint("pyebpf report FILE -o FILE.html --source   (or --lines, to see it here)"),
            );
        }
        if matches!(asked, Asked::Files(_)) && is_view {
            return Err(
                Failure::usage("a view is printed, and a recording is written: which of them?")
                    .hint("leave the view out to write a file, or --output and --format out to see it"),
            );
        }
        Ok(asked)
    }

    /// What is to be shown.
    pub(super) fn view(&self) -> View<'_> {
        match self {
            Self {
                callers: Some(name), ..
            } => View::Callers(name),
            Self {
                callees: Some(name), ..
            } => View::Callees(name),
            Self { by: Some(what), .. } => View::By(what),
            Self { tree: true, .. } => View::Tree,
            Self { lines: true, .. } => View::Lines,
            _ => View::Functions,
        }
    }

    /// Which lines a written file has.
    pub(super) fn line_style(&self) -> LineStyle {
        match (self.function, self.nolineno) {
            (true, _) => LineStyle::Function,
            (_, true) => LineStyle::None,
            _ => LineStyle::Current,
        }
    }

    /// The files, as people named them.
    pub(super) fn file_names(&self) -> Vec<String> {
        let names = self.files.iter().map(|path| path.to_string_lossy().into_owned());
        names.collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Args, Asked, View};
    use crate::cli::sheet::ViewForm;
    use crate::output::Format;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn asked(words: &[&str]) -> Result<Asked, String> {
        let words = ["report", "a.pb.gz"].iter().chain(words);
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.args.asked().map_err(|failure| failure.message)
    }

    #[test]
    fn json_is_a_view_unless_a_file_is_named() {
        assert_eq!(asked(&[]), Ok(Asked::View(ViewForm::Text)));
        assert_eq!(asked(&["--tree"]), Ok(Asked::View(ViewForm::Text)));
        assert_eq!(asked(&["--format", "json"]), Ok(Asked::View(ViewForm::Json)));
        assert_eq!(asked(&["-f", "CSV"]), Ok(Asked::View(ViewForm::Csv)));
        assert_eq!(
            asked(&["-f", "json", "-o", "a.json"]),
            Ok(Asked::Files(vec![Format::Json]))
        );
        assert_eq!(asked(&["-o", "a.svg"]), Ok(Asked::Files(vec![])));
        assert_eq!(asked(&["-f", "folded"]), Ok(Asked::Files(vec![Format::Raw])));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for words in [
            &["-f", "csv", "-o", "a.csv"][..],
            &["-f", "text", "-f", "raw"],
            &["--tree", "-o", "a.svg"],
            &["--tree", "--lines"],
            &["--callers", "f", "--by", "process"],
            &["--min", "101"],
            &["--label", "web"],
            &["-f", "pdf"],
            &["--source"],
        ] {
            assert!(asked(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn the_view_is_that_of_its_option() {
        let view = |words: &[&str]| {
            let words = ["report", "a.pb.gz"].iter().chain(words);
            let line = Line::try_parse_from(words).expect("a command line");
            format!("{:?}", line.args.view())
        };
        assert_eq!(view(&[]), format!("{:?}", View::Functions));
        assert_eq!(view(&["--callers", "f"]), format!("{:?}", View::Callers("f")));
        assert_eq!(view(&["--by", "task"]), format!("{:?}", View::By("task")));
    }
}
