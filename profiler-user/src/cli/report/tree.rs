//! `--tree`: the tree of calls, as pyinstrument draws it.

use super::super::sheet::{Column, Drawn, Sheet, Value, amount, percent};
use super::args::Args;
use super::functions::{Shown, sheet, tally_values};
use crate::views::{Functions, Node, Selection, TreeOptions, tree};

const TREE: &[Column] = &[
    Column::data("depth"),
    Column::data("own_percent"),
    Column::data("own"),
    Column::data("total_percent"),
    Column::data("total"),
    Column::data("function"),
    Column::people("file:line"),
    Column::data("file"),
    Column::data("line"),
    Column::data("module"),
    Column::data("owner"),
    Column::data("folded"),
    Column::data("folded_packages"),
];
/// Levels that are drawn.
const DEEPEST: usize = 100;

/// The tree.
pub(super) fn of(args: &Args, selection: &Selection<'_>) -> Sheet {
    let functions = Functions::of(&selection.loaded().frames);
    let shown = Shown::new(args, selection, &functions);
    let options = TreeOptions {
        fold: !args.no_fold,
        least_share: args.min / 100.0,
    };
    let tree = tree(selection, &functions, options);
    let mut sheet = sheet("tree", TREE, selection, selection.total());
    sheet.left_out = tree.left_out;
    if tree.is_cut {
        sheet.notes.push(
            "there are too many different calls: the inner parts of some stacks count as their callers' own"
                .to_owned(),
        );
    }
    let mut drawn = Vec::new();
    // Whether a line leads on to a later sibling, at each level.
    let mut lines: Vec<bool> = Vec::new();
    for node in &tree.nodes {
        let line = functions.get(node.function).first_line;
        let mut values = vec![Value::Number(i64::try_from(node.depth).unwrap_or(i64::MAX))];
        values.extend(tally_values(node.tally, sheet.total));
        values.extend(shown.values(node.function, line));
        values.push(Value::Number(i64::try_from(node.folded).unwrap_or(i64::MAX)));
        values.push(Value::Texts(node.packages.clone()));
        sheet.table.rows.push(values);
        lines.truncate(node.depth);
        lines.push(!node.is_last);
        if node.depth < DEEPEST {
            drawn.push(draw(node, &lines, &sheet, &shown));
        }
    }
    if drawn.len() < tree.nodes.len() {
        sheet.notes.push(format!(
            "{} calls deeper than {DEEPEST} levels are not drawn; --format json has them",
            tree.nodes.len() - drawn.len()
        ));
    }
    sheet.drawn = Some(drawn);
    sheet
}

fn draw(node: &Node, lines: &[bool], sheet: &Sheet, shown: &Shown<'_, '_>) -> Drawn {
    let mut before = String::new();
    // The outermost functions stand at the margin.
    if let Some((leads_on, above)) = lines.split_last()
        && node.depth > 0
    {
        for leads_on in above.iter().skip(1) {
            before.push_str(if *leads_on { "│  " } else { "   " });
        }
        before.push_str(if *leads_on { "├─ " } else { "└─ " });
    }
    let share = percent(node.tally.total, sheet.total);
    let function = shown.functions.get(node.function);
    let unit = &sheet.value.1;
    let place = shown.place(node.function, function.first_line);
    let mut end = if place.is_empty() {
        String::new()
    } else {
        format!("  {place}")
    };
    match node.folded {
        0 => {}
        1 => end.push_str(&format!("  [1 function folded: {}]", node.packages.join(", "))),
        count => end.push_str(&format!(
            "  [{count} functions folded: {}]",
            node.packages.join(", ")
        )),
    }
    Drawn {
        lines: before,
        text: format!(
            "{} {share:.1} % {}",
            amount(node.tally.total, unit),
            function.name
        ),
        percent: share,
        end,
    }
}
