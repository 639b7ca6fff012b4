//! One page of HTML (`html`): flame graph, tables, filters and time line of a recording, in one file that asks the network for
//! nothing.
//!
//! The page is written by hand (`page/`): small scripts, no framework. It holds the recording as JSON in a block that no browser
//! executes (`script_text`), and its scripts put text of the recording into the page as text only. Its policy allows no other
//! script and style than its own, by their digests, and no request at all. So nothing that a recorded program chose becomes
//! markup or is executed.
//!
//! What a recording does not have is not in the page: no time line without the times of samples, no menu of one value.

mod columns;
mod counts;
mod digest;
mod facets;
mod script_text;
mod stacks;
mod text;
mod units;

use std::io::Write;
use std::time::SystemTime;

use serde::Serialize;

use self::counts::{Counts, Slices};
use self::facets::Facet;
use self::script_text::ScriptText;
use self::stacks::{Functions, Lines, Nodes, Stacks};
use self::text::shown;
use self::units::Unit;
use crate::output::amounts::AmountUnit;
use crate::output::error::OutputError;
use crate::output::format::Output;
use crate::output::palette::color_of;
use crate::output::style::{LineStyle, RenderOptions, SourceFile};
use crate::output::subtitle::subtitle;
use crate::profile::{Owner, Recording};

/// The page, with a name in braces where something is put in.
const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
/// In the order in which they are executed.
const SCRIPTS: &[&str] = &[
    "\"use strict\";\n",
    include_str!("page/recording.js"),
    include_str!("page/tree.js"),
    include_str!("page/graph.js"),
    include_str!("page/table.js"),
    include_str!("page/filters.js"),
    include_str!("page/time.js"),
    include_str!("page/difference.js"),
    include_str!("page/source.js"),
    include_str!("page/page.js"),
];

/// The format.
pub(super) struct Html;

impl Output for Html {
    fn about(&self) -> &'static str {
        "A page for any browser: flame graph, tables, filters, time line"
    }

    fn noun(&self) -> Option<&'static str> {
        Some("HTML page")
    }

    fn wants_timeline(&self) -> bool {
        true
    }

    fn needs_timeline(&self) -> bool {
        false
    }

    fn names_threads(&self) -> bool {
        true
    }

    fn write(
        &self,
        recording: &mut Recording,
        options: &RenderOptions,
        out: &mut dyn Write,
    ) -> Result<(), OutputError> {
        write_page(recording, options, None, out)
    }
}

/// The two recordings of a page.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sides {
    /// What people call them.
    pub(super) names: [String; 2],
    /// Threads from here on are those of the second.
    pub(super) second: u32,
    /// Whether shares are compared, and not numbers as they are.
    pub(super) scaled: bool,
}

/// What the page's browser is allowed to do (Content-Security-Policy): the page's own script and style, nothing else.
#[must_use]
pub fn policy() -> String {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
        digest::source(&SCRIPTS.concat()),
        digest::source(STYLE)
    )
}

/// Writes a page of one recording, or of two.
pub(super) fn write_page(
    recording: &mut Recording,
    options: &RenderOptions,
    sides: Option<Sides>,
    out: &mut dyn Write,
) -> Result<(), OutputError> {
    if recording.is_empty() {
        return Err(OutputError::NoSamples);
    }
    let stacks = Stacks::of(recording, options);
    let (counts, time) = counts::of(recording, &stacks)?;
    let mut document = Document::of(recording, options, stacks, (counts, time));
    if let Some(sides) = sides {
        document.about = String::new();
        document.difference = Some(Sides {
            names: sides.names.each_ref().map(|name| shown(name)),
            ..sides
        });
    }
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once('{') {
        out.write_all(before.as_bytes())?;
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        match name {
            "STYLE" => out.write_all(STYLE.as_bytes())?,
            "SCRIPT" => out.write_all(SCRIPTS.concat().as_bytes())?,
            "POLICY" => out.write_all(policy().as_bytes())?,
            _ => serde_json::to_writer(ScriptText(&mut *out), &document)
                .map_err(|error| OutputError::Write(error.into()))?,
        }
        rest = after;
    }
    Ok(out.write_all(rest.as_bytes())?)
}

/// The recording as the page's scripts read it (`page/recording.js`).
#[derive(Serialize)]
struct Document {
    title: String,
    about: String,
    accounts: Vec<String>,
    owners: Vec<OwnerLook>,
    functions: Functions,
    lines: Lines,
    /// Whether lines are those that ran, and not only where functions begin.
    has_lines: bool,
    nodes: Nodes,
    facets: Vec<Facet>,
    /// Keys of the facets whose values stand above the stacks at first, outermost first.
    roots: Vec<&'static str>,
    units: Vec<Unit>,
    /// Which of them is shown at first.
    unit: usize,
    counts: Counts,
    sources: Vec<SourceText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<Sides>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Slices>,
}

/// Lines of a file.
#[derive(Serialize)]
struct SourceText {
    /// As functions have it.
    path: String,
    changed: bool,
    lines: Vec<(u32, String)>,
}

impl SourceText {
    fn of(file: &SourceFile) -> Self {
        // Tabs are what they are in source; nothing else there turns or breaks the text around it.
        let line = |text: &String| shown(&text.replace('\t', "    "));
        Self {
            path: shown(&file.path),
            changed: file.is_changed,
            lines: file
                .lines
                .iter()
                .map(|(number, text)| (*number, line(text)))
                .collect(),
        }
    }
}

/// A line of the legend.
#[derive(Serialize)]
struct OwnerLook {
    label: &'static str,
    colour: String,
}

impl Document {
    fn of(
        recording: &Recording,
        options: &RenderOptions,
        stacks: Stacks,
        (counts, time): (Counts, Option<Slices>),
    ) -> Self {
        let (units, unit) = units::of(recording, options.measure);
        let (total, of) = units
            .get(unit)
            .map_or((0, units::NONE), |unit| (unit.total(recording), unit.amount));
        Self {
            title: shown(&recording.title),
            about: about(recording, total, of),
            accounts: recording.accounts.iter().map(|line| shown(line)).collect(),
            owners: Owner::ALL.iter().map(|owner| look(*owner)).collect(),
            has_lines: options.lines == LineStyle::Current && stacks.lines.are_several(),
            functions: stacks.functions,
            lines: stacks.lines,
            nodes: stacks.nodes,
            facets: facets::of(recording, &options.roots),
            roots: options
                .roots
                .iter()
                .filter_map(|group| facets::key(*group))
                .collect(),
            units,
            unit,
            counts,
            sources: options.sources.iter().map(SourceText::of).collect(),
            difference: None,
            time,
        }
    }
}

/// How much of what was recorded, and where and when, if that is known: folded stacks do not say it.
fn about(recording: &Recording, total: u64, unit: AmountUnit) -> String {
    if recording.duration.is_zero() && recording.started == SystemTime::UNIX_EPOCH {
        String::new()
    } else {
        subtitle(recording, total, unit)
    }
}

fn look(owner: Owner) -> OwnerLook {
    let color = color_of(owner);
    OwnerLook {
        label: owner.label(),
        colour: format!("#{:02x}{:02x}{:02x}", color.r, color.g, color.b),
    }
}

#[cfg(test)]
mod tests;
