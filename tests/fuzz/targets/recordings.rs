//! Files of any sort in place of recordings give recordings or errors; whatever is read can be looked at and written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyebpf::output::{Format, RenderOptions};
use pyebpf::recordings::{Reader, Values, convert};
use pyebpf::views::{
    Functions, Grouping, Selection, TreeOptions, callees, callers, groups, hot_functions, hot_lines, tree,
};

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new();
    if reader.add(bytes).is_err() {
        return;
    }
    let Some(loaded) = reader.finish() else { return };
    for value_type in 0..loaded.types.len() {
        let selection = Selection::new(&loaded, value_type, &[]);
        let functions = Functions::of(&loaded.frames);
        let rows = hot_functions(&selection, &functions);
        let own = rows
            .iter()
            .fold(0i128, |sum, row| sum + i128::from(row.tally.own));
        let with_frames = selection.samples().filter(|(stack, ..)| !stack.is_empty());
        let values: Vec<i64> = with_frames.map(|(.., value)| value).collect();
        let sum = values.iter().fold(0i128, |sum, value| sum + i128::from(*value));
        // Sums that do not fit stop at the largest number.
        if values
            .iter()
            .fold(0u128, |sum, value| sum + u128::from(value.unsigned_abs()))
            < 1 << 62
        {
            assert_eq!(own, sum);
        }
        let _ = hot_lines(&selection, &functions);
        for fold in [false, true] {
            let _ = tree(
                &selection,
                &functions,
                TreeOptions {
                    fold,
                    least_share: 0.0,
                },
            );
        }
        if let Some(row) = rows.first() {
            let name = functions.get(row.function).name;
            callers(&selection, &functions, name).expect("it is one of them");
            callees(&selection, &functions, name).expect("it is one of them");
        }
        for by in ["process", "thread", "container", "module", "owner", "tenant"] {
            let _ = groups(&selection, &Grouping::named(by));
        }
    }
    let wanted = vec![true; loaded.labels.len()];
    let shown = loaded.default_type;
    if let Ok(mut converted) = convert(loaded, &wanted, shown, "fuzz") {
        let formats: &[Format] = match converted.values {
            Values::Both => &[
                Format::Raw,
                Format::Pprof,
                Format::Callgrind,
                Format::Pstats,
                Format::Json,
            ],
            _ => &[Format::Raw],
        };
        for format in formats {
            // Of several sources with different units there is no single sum.
            let _ = format.write(
                &mut converted.recording,
                &RenderOptions::default(),
                &mut std::io::sink(),
            );
        }
    }
});
