//! Captured `str` data of any sort becomes a text of bounded size, and any file name can be shortened.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use pyebpf::language::python::code::source_path::{SourcePaths, shorten_by_name};
use pyebpf::language::python::text::{Extent, Text};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    kind: u8,
    length: u32,
    cut: u16,
    answers: u64,
    data: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let Input { length, data, .. } = input;
    // The three kinds more often than the others.
    let kind = [1, 2, 4, input.kind][usize::from(input.kind & 3)];
    let text = Text::decode(kind, length, data);
    assert!(text.heap_bytes() <= 3 * data.len() + '…'.len_utf8());
    assert_eq!(text.get().is_none(), text.extent() == Extent::Missing);

    let part = Text::decode(kind, length, &data[..data.len().min(input.cut.into())]);
    assert!(part.is_part_of(&text));

    let Some(path) = text.get() else { return };
    let mut paths = SourcePaths::default();
    let mut turn = 0;
    for _ in 0..2 {
        let short = paths.shorten(path, |directory| {
            assert!(path.starts_with(directory) && !directory.is_empty());
            turn += 1;
            [None, Some(false), Some(true), Some(true)][(input.answers >> (turn % 32 * 2) & 3) as usize]
        });
        assert!(path.ends_with(short) && path.is_empty() == short.is_empty());
    }
    assert!(path.ends_with(shorten_by_name(path)));
});
