//! The options of `diff`.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, ValueEnum as _};

use super::super::failure::Failure;
use super::super::sheet::ViewForm;
use crate::output::{Difference, Format, LineStyle};
use crate::views::{LabelFilter, Scale};

/// Compare two recordings: which functions take more or less than before
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("view").multiple(false),
    after_help = "Examples:\n  \
        pyebpf diff before.pb.gz after.pb.gz                 functions, those that changed most first\n  \
        pyebpf diff before.pb.gz after.pb.gz --lines         the same, line by line\n  \
        pyebpf diff before.pb.gz after.pb.gz --by module     packages; or owner, process, any label\n  \
        pyebpf diff before.pb.gz after.pb.gz --absolute --sample-type cpu   seconds instead of shares\n  \
        pyebpf diff before.pb.gz after.pb.gz -o diff.svg     a flame graph, red where it took more\n  \
        pyebpf diff before.pb.gz after.pb.gz -o diff.html    a page for any browser\n  \
        pyebpf diff before.pb.gz after.pb.gz --fail-above 5% in CI: status 3 if a function grew by more\n\n\
        Reads what `pyebpf report` reads: pprof files (plain, gzip, zstd) and folded stacks, of pyebpf or of any other tool.\n\
        `sudo pyebpf record -o before.pb.gz` makes them; the longer they are, the smaller are the differences that they prove.\n\
        A change is marked (*) if so large a one comes by chance less than once in a hundred comparisons.\n\
        Needs no rights: under sudo, files are opened as the user who called it."
)]
pub(in crate::cli) struct Args {
    /// The recording before the change; `-` is stdin
    #[arg(value_name = "BEFORE", value_hint = clap::ValueHint::FilePath)]
    pub(super) before: PathBuf,
    /// The recording after it
    #[arg(value_name = "AFTER", value_hint = clap::ValueHint::FilePath)]
    pub(super) after: PathBuf,
    /// Compare functions (default)
    #[arg(long, group = "view")]
    functions: bool,
    /// Compare lines; those of a function that was moved as a whole are the same lines
    #[arg(long, group = "view")]
    lines: bool,
    /// Compare sums by process (its command line), thread (its name), container, module, owner, or any label of the files
    #[arg(long, group = "view", value_name = "WHAT")]
    by: Option<String>,
    /// Compare numbers as they are, instead of shares of each recording: for two runs of the same work
    #[arg(long)]
    absolute: bool,
    /// Exit with status 3 if something grew significantly by more than this: percentage points of the whole, itself or with all
    /// it calls; with --absolute, per cent of the first recording
    #[arg(long, value_name = "PERCENT", value_parser = super::super::input::parse_percent)]
    pub(super) fail_above: Option<f64>,
    /// Only samples with this label, as for `report`
    #[arg(long, value_name = "LABEL=VALUE")]
    pub(super) label: Vec<LabelFilter>,
    /// Rows of the table
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(super) top: usize,
    /// Which value of the files is compared, such as cpu, samples, page-faults; by default what the first file says
    #[arg(long, value_name = "NAME")]
    pub(super) sample_type: Option<String>,
    /// Show whole paths instead of only the part from the package on
    #[arg(long)]
    pub(super) full_filenames: bool,
    /// How the table is written: text, json or csv; or the format of the file to write: flamegraph, html, folded
    #[arg(short, long, value_name = "FORMAT", value_parser = form(), ignore_case = true)]
    format: Vec<Form>,
    /// Write the comparison to this file, as its extension says: .svg, .html, .folded (a stack, before, after); `-` is stdout;
    /// may be given several times
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(super) output: Vec<PathBuf>,
    /// With --output: count by function instead of by line
    #[arg(short = 'F', long, conflicts_with = "nolineno")]
    function: bool,
    /// With --output: leave line numbers out
    #[arg(long)]
    nolineno: bool,
}

/// A value of `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The table.
    Table(ViewForm),
    /// A file.
    File(Format),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Print a table.
    Table(ViewForm),
    /// Write files, of these formats if any were named.
    Files(Vec<Format>),
}

/// What the rows of the table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View<'a> {
    Functions,
    Lines,
    By(&'a str),
}

/// Values of `--format`.
fn form() -> impl TypedValueParser<Value = Form> {
    let of_files = Format::value_variants()
        .iter()
        .filter(|format| Difference::has_format(**format))
        .filter_map(clap::ValueEnum::to_possible_value);
    let own = [
        PossibleValue::new("text").help("A table, for people (default)"),
        PossibleValue::new("json").help("The same, for programs"),
        PossibleValue::new("csv").help("The same, for spreadsheets"),
    ];
    PossibleValuesParser::new(own.into_iter().chain(of_files)).map(|name| {
        match name.to_ascii_lowercase().as_str() {
            "text" => Form::Table(ViewForm::Text),
            "json" => Form::Table(ViewForm::Json),
            "csv" => Form::Table(ViewForm::Csv),
            name => Form::File(Format::from_str(name, true).unwrap_or_default()),
        }
    })
}

impl Args {
    /// What is to be done.
    pub(super) fn asked(&self) -> Result<Asked, Failure> {
        let of_files = self.format.iter().filter_map(|form| match form {
            Form::File(format) => Some(*format),
            Form::Table(_) => None,
        });
        let of_files: Vec<Format> = of_files.collect();
        let asked = match (self.format.as_slice(), self.output.is_empty()) {
            ([], true) => Asked::Table(ViewForm::Text),
            ([Form::Table(form)], true) => Asked::Table(*form),
            (formats, _) if of_files.len() == formats.len() => Asked::Files(of_files),
            _ => {
                return Err(Failure::usage(
                    "text, json and csv are formats of the table, which goes to standard output",
                )
                .hint("pyebpf diff BEFORE AFTER --format json > FILE.json"));
            }
        };
        let is_view = self.functions || self.lines || self.by.is_some();
        if is_view && matches!(asked, Asked::Files(_)) && self.fail_above.is_none() {
            return Err(
                Failure::usage("a table is printed, and a file is written: which of them?")
                    .hint("leave --functions, --lines and --by out to write a file, or --output out to see the table"),
            );
        }
        Ok(asked)
    }

    /// What the rows of the table are.
    pub(super) fn view(&self) -> View<'_> {
        match self {
            Self { by: Some(what), .. } => View::By(what),
            Self { lines: true, .. } => View::Lines,
            _ => View::Functions,
        }
    }

    /// What is compared.
    pub(super) fn scale(&self) -> Scale {
        if self.absolute {
            Scale::Absolute
        } else {
            Scale::Shares
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
    pub(super) fn file_names(&self) -> [String; 2] {
        [&self.before, &self.after].map(|path| path.to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Args, Asked};
    use crate::cli::sheet::ViewForm;
    use crate::output::Format;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn asked(words: &[&str]) -> Result<Asked, String> {
        let words = ["diff", "a.pb.gz", "b.pb.gz"].iter().chain(words);
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.args.asked().map_err(|failure| failure.message)
    }

    #[test]
    fn a_table_is_printed_unless_a_file_is_named() {
        assert_eq!(asked(&[]), Ok(Asked::Table(ViewForm::Text)));
        assert_eq!(asked(&["-f", "JSON"]), Ok(Asked::Table(ViewForm::Json)));
        assert_eq!(asked(&["-o", "a.svg"]), Ok(Asked::Files(vec![])));
        assert_eq!(asked(&["-f", "folded"]), Ok(Asked::Files(vec![Format::Raw])));
        assert_eq!(
            asked(&["-o", "a.svg", "--lines", "--fail-above", "5%"]),
            Ok(Asked::Files(vec![]))
        );
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for words in [
            &["-f", "csv", "-o", "a.csv"][..],
            &["-f", "speedscope"],
            &["--lines", "-o", "a.svg"],
            &["--lines", "--by", "process"],
            &["--fail-above", "101"],
            &["--fail-above", "much"],
        ] {
            assert!(asked(words).is_err(), "{words:?}");
        }
    }
}
