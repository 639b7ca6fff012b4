//! Rules from machine code against the call frame information of the same code.

use std::collections::BTreeMap;
use std::path::Path;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use profiler_common::contract::unwind::{BLOCK_SHIFT, Row, cfa_rule, fp_rule};

use super::files::libraries;
use crate::native::unwind::FileTables;
use crate::native::unwind::code::rules;

/// Bytes of text for which both have the same rule, and all that both have one for.
fn agreement(bytes: &[u8]) -> (u64, u64, u64) {
    let file = object::File::parse(bytes).expect("valid");
    let text = file.section_by_name(".text").expect("it has one");
    let code = text.data().expect("it is in the file");
    let mut tables = FileTables::open(bytes).expect("supported");
    let functions = file
        .dynamic_symbols()
        .filter(|symbol| symbol.kind() == object::SymbolKind::Text && symbol.is_definition())
        .map(|symbol| symbol.address());
    let pieces = rules(text.address(), code, functions);
    let mut blocks: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
    let (mut same, mut unknown, mut all) = (0, 0, 0);
    let mut wrong = Vec::new();
    for piece in &pieces {
        let mut differs = false;
        for address in piece.start..piece.end {
            let block = u32::try_from(address >> BLOCK_SHIFT).expect("small") - tables.text().text_block();
            let rows = blocks
                .entry(block)
                .or_insert_with(|| tables.block(block).expect("readable").rows);
            let behind = rows.partition_point(|row| u64::from(row.start()) <= address & 0xffff);
            let truth = rows[behind - 1].with_start(0);
            if matches!(truth.cfa(), cfa_rule::NONE | cfa_rule::END | cfa_rule::SIGNAL) {
                continue;
            }
            all += 1;
            match judge(piece.row, truth) {
                Judgement::Same => same += 1,
                Judgement::Unknown => unknown += 1,
                Judgement::Wrong if !differs => {
                    differs = true;
                    wrong.push((address, piece.row, truth));
                }
                Judgement::Wrong => {}
            }
        }
    }
    for (address, is, should) in wrong.iter().take(6) {
        println!("  {address:x}: {} instead of {}", show(*is), show(*should));
    }
    (same, unknown, all)
}

#[derive(Debug, PartialEq, Eq)]
enum Judgement {
    Same,
    Unknown,
    Wrong,
}

/// A frame pointer that was restored is in its register and where it was saved, and compilers say either; in between
/// its value may also be counted from, or not.
fn judge(row: Row, truth: Row) -> Judgement {
    if row.cfa() == cfa_rule::NONE {
        return Judgement::Unknown;
    }
    let is_same_base = row.cfa() == truth.cfa();
    let is_same_cfa = !is_same_base || row.cfa_offset() == truth.cfa_offset();
    let is_same_fp = match (row.fp(), truth.fp()) {
        (fp_rule::AT_CFA, fp_rule::AT_CFA) => row.fp_offset() == truth.fp_offset(),
        _ => true,
    };
    if is_same_cfa && is_same_fp {
        Judgement::Same
    } else {
        Judgement::Wrong
    }
}

fn show(row: Row) -> String {
    format!(
        "cfa {} {:+} fp {} {:+}",
        row.cfa(),
        row.cfa_offset().cast_signed(),
        row.fp(),
        row.fp_offset().cast_signed()
    )
}

#[test]
fn rules_from_code_are_those_of_the_compiler() {
    // The libraries of this process, and one interpreter: following code is slow without optimisation.
    let is_python = |path: &Path| path.to_string_lossy().contains("libpython");
    let (pythons, others): (Vec<_>, Vec<_>) = libraries().into_iter().partition(|path| is_python(path));
    let libraries = others.into_iter().skip(1).chain(pythons.into_iter().max());
    for path in libraries {
        let bytes = std::fs::read(&path).expect("readable");
        let (same, unknown, all) = agreement(&bytes);
        let wrong = all - same - unknown;
        println!(
            "{}: {all} bytes of code, {unknown} without a rule, {:.3} % wrong",
            path.display(),
            wrong as f64 * 100.0 / all as f64
        );
        // Parts of functions that were moved away, before the function that jumps there, and cases of a `switch`
        // taken for functions or the other way round. (The dynamic loader restores registers by hand.)
        assert!(wrong * 50 < all, "{}: {wrong} of {all}", path.display());
        assert!(unknown * 20 < all, "{}: {unknown} of {all}", path.display());
    }
}
