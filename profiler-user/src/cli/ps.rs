//! `pyebpf ps`: every interpreter on this host, as a table or as JSON. On stdout.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;

use super::failure::Failure;
use super::filters::FilterArgs;
use super::permission::denied_text;
use super::unanswered::UnansweredLooks;
use super::{data, invocation, left_behind, preflight, terminal};
use crate::container::Container;
use crate::escape;
use crate::host::users::Users;
use crate::inspect::{Found, InspectFailure, Inspectors};
use crate::language::python;
use crate::proc::script;
use crate::processes::filter::Filter;
use crate::processes::identity::{Identities, Identity};
use crate::processes::survey;

/// Characters of a column that is not the last, at most.
const WIDEST: usize = 40;

/// List every Python interpreter on this host
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sudo pyebpf ps                       every Python process\n  \
    sudo pyebpf ps --container web       what `record --container web` would record now\n  \
    sudo pyebpf ps --format json | jq '.[] | select(.supported | not)'\n\n\
    Each filter may be given several times. A process is listed if it fits one value of each option that is given,\n\
    and none that excludes.")]
pub(super) struct Args {
    /// Only this process; several are separated by commas, or given one by one
    #[arg(short, long, value_name = "PID", value_delimiter = ',', value_parser = super::pid::parse)]
    pid: Vec<u32>,
    /// How to write the list
    #[arg(short, long, value_enum, ignore_case = true, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten, next_help_heading = "Filters")]
    filters: FilterArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// An array with one object for each process
    Json,
}

/// One process.
#[derive(Debug, Serialize)]
struct Row {
    pid: u32,
    /// Name, or number where there is none.
    user: String,
    uid: u32,
    container: Option<Container>,
    version: Option<String>,
    libc: Option<&'static str>,
    linkage: Option<&'static str>,
    /// As the process sees it.
    file: String,
    /// `app.py`, `-m http.server`, `-c`.
    script: Option<String>,
    comm: String,
    command: Vec<String>,
    threads: u32,
    cpu_seconds: f64,
    supported: bool,
    /// Why it is not supported.
    reason: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    preflight::check_processes(&args.pid)?;
    let filter = args.filters.filter()?;
    let Rows {
        rows,
        denied,
        unanswered,
    } = rows(&args.pid, &filter);
    for (pid, reason) in unanswered.named() {
        terminal::status(&format!("process {pid}: {reason}"));
    }
    if let Some(others) = unanswered.others() {
        terminal::status(&others);
    }
    left_behind::mention();
    if let Some(text) = denied_text(&denied) {
        terminal::status(&text);
    }
    if rows.is_empty() && !filter.is_empty() {
        return Err(
            Failure::new(format_args!("no Python interpreter fits {filter}")).hint(format_args!(
                "{}   # lists all, with users and containers",
                invocation::with_rights("ps")
            )),
        );
    }
    if rows.is_empty() && !denied.is_empty() && !rustix::process::geteuid().is_root() {
        return Err(Failure::new("only root may look at the processes of others").hint(invocation::again()));
    }
    if rows.is_empty() {
        return Err(none_found(&args.pid));
    }
    let text = match args.format {
        Format::Table => table(&rows),
        Format::Json => {
            let text = serde_json::to_string_pretty(&rows).context("writing JSON")?;
            escape::printable_json(&text) + "\n"
        }
    };
    data::print(&text)?;
    Ok(0)
}

fn none_found(pids: &[u32]) -> Failure {
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    let pids = pids.join(",");
    if pids.is_empty() {
        return Failure::new("no Python interpreter found, so none runs that this process can see").hint(
            format_args!(
                "{}   # says what this host has and lacks",
                invocation::with_rights("doctor")
            ),
        );
    }
    let doctor = invocation::with_rights(&format!("doctor -p {pids}"));
    Failure::new(format_args!("no Python interpreter found in process {pids}"))
        .hint(format_args!("{doctor}   # says what it finds there"))
}

/// What was found.
#[derive(Debug, Default)]
struct Rows {
    /// The interpreters.
    rows: Vec<Row>,
    /// Processes that pyebpf may not look at.
    denied: Vec<u32>,
    /// Processes that may or may not be interpreters.
    unanswered: UnansweredLooks,
}

fn rows(pids: &[u32], filter: &Filter) -> Rows {
    let mut identities = Identities::default();
    let mut seen = Vec::new();
    let users = Users::of_host();
    let mut found = Rows::default();
    for (pid, look) in survey::looks(&Inspectors::start(), pids) {
        let look = match look {
            Ok(look) => look,
            Err(InspectFailure::Denied) => {
                found.denied.push(pid);
                continue;
            }
            Err(InspectFailure::Unanswered(reason)) => {
                found.unanswered.add(pid, &reason);
                continue;
            }
            Err(failure) => {
                log::debug!("process {pid}: {failure}");
                continue;
            }
        };
        // It may have ended meanwhile.
        let Some(about) = look.about else { continue };
        seen.push((pid, identities.of(about), look.found));
    }
    name_scripts(&mut seen);
    for (pid, identity, what) in seen {
        if filter.admits(pid, &identity) {
            found.rows.push(row(pid, identity, &what, &users));
        }
    }
    found
}

/// Calls workers after those that they work for, and different scripts by different names.
fn name_scripts(seen: &mut [(u32, Identity, Found)]) {
    // Parents first: in the order in which processes were started, as far as their numbers tell.
    let places: HashMap<u32, usize> = seen
        .iter()
        .enumerate()
        .map(|(index, seen)| (seen.0, index))
        .collect();
    for index in 0..seen.len() {
        if let Some(parent) = places.get(&seen[index].1.parent)
            && let Ok([child, parent]) = seen.get_disjoint_mut([index, *parent])
        {
            child.1.adopt(&parent.1);
        }
    }
    let scripts = seen
        .iter_mut()
        .filter_map(|(_, identity, _)| identity.script.as_mut());
    script::tell_apart(&mut scripts.collect::<Vec<_>>());
}

fn row(pid: u32, identity: Identity, found: &Found, users: &Users) -> Row {
    let mut row = Row {
        pid,
        user: users.name(identity.user),
        uid: identity.user,
        container: identity.placement.container.clone(),
        version: None,
        libc: None,
        linkage: None,
        file: String::new(),
        script: identity.script.map(|script| script.to_string()),
        comm: identity.comm,
        command: identity.arguments,
        threads: identity.threads,
        cpu_seconds: identity.cpu_time.as_secs_f64(),
        supported: false,
        reason: None,
    };
    match found {
        Found::Python(interpreter) => {
            row.supported = true;
            row.version = Some(interpreter.version_text());
            row.libc = Some(interpreter.libc.name());
            row.linkage = Some(interpreter.linkage.name());
            row.file = interpreter.file.to_string_lossy().into_owned();
        }
        Found::Refused(refused) => {
            if let python::InterpreterName::CPython(version) = refused.what {
                row.version = version.map(|version| version.to_string());
            }
            row.file = refused.file.to_string_lossy().into_owned();
            row.reason = Some(refused.text.clone());
        }
        Found::NotPython { .. } => {}
    }
    row
}

fn table(rows: &[Row]) -> String {
    let title = [
        "PID",
        "USER",
        "CONTAINER",
        "PYTHON",
        "LIBC",
        "THREADS",
        "CPU",
        "SCRIPT",
        "SUPPORTED",
    ];
    let mut lines = vec![title.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let widths: Vec<usize> = (0..title.len())
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(title)
            .zip(&widths)
            .map(|((cell, title), width)| match title {
                "PID" | "THREADS" | "CPU" => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn cells(row: &Row) -> [String; 9] {
    let dash = || "-".to_owned();
    let container = row.container.as_ref().map(place);
    [
        row.pid.to_string(),
        cell(&row.user),
        container.as_deref().map_or_else(dash, cell),
        row.version.clone().unwrap_or_else(dash),
        row.libc.map_or_else(dash, str::to_owned),
        row.threads.to_string(),
        minutes(Duration::from_secs_f64(row.cpu_seconds)),
        cell(row.script.as_ref().unwrap_or(&row.comm)),
        row.reason.as_deref().map_or_else(
            || "yes".to_owned(),
            |reason| format!("no: {}", escape::printable(reason)),
        ),
    ]
}

/// A container, with its pod before it.
fn place(container: &Container) -> String {
    match &container.pod {
        // The first part of a UID tells the pods of a host apart.
        Some(pod) => {
            let uid = pod.uid.split('-').next().unwrap_or(&pod.uid);
            format!(
                "{}/{}",
                pod.name.as_deref().unwrap_or(uid),
                container.short_name()
            )
        }
        None => container.short_name().to_owned(),
    }
}

/// A text that somebody else chose, in one line of limited length. It keeps its end: that of a path says more than its
/// start. Of a program's text the start says more.
fn cell(text: &str) -> String {
    let text = escape::printable(text);
    let length = text.chars().count();
    if length <= WIDEST {
        return text;
    }
    if text.starts_with("-c ") {
        let start: String = text.chars().take(WIDEST - 1).collect();
        return format!("{start}\u{2026}");
    }
    let rest: String = text.chars().skip(length - (WIDEST - 1)).collect();
    format!("\u{2026}{rest}")
}

/// `MINUTES:SS.hh`, as `ps` and `top` write CPU time.
fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    format!(
        "{}:{:02}.{:02}",
        seconds / 60,
        seconds % 60,
        time.subsec_millis() / 10
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{WIDEST, cell, minutes};

    #[test]
    fn cpu_time_reads_as_in_ps() {
        assert_eq!(minutes(Duration::from_millis(3_723_459)), "62:03.45");
    }

    #[test]
    fn a_cell_is_one_line_of_bounded_width_that_keeps_the_end() {
        assert_eq!(cell("a\n\u{1b}[2Jb"), "a\\n\\x1b[2Jb");
        let long = cell(&format!("{}/app.py", "x".repeat(500)));
        assert!(long.chars().count() == WIDEST && long.ends_with("/app.py"));
        let program = cell(&format!("-c import shop; {}", "x".repeat(500)));
        assert!(program.chars().count() == WIDEST && program.starts_with("-c import shop"));
    }
}
