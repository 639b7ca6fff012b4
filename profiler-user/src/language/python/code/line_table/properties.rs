//! What holds for any bytes, as a table may be torn, foreign or hostile.

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use proptest::test_runner::Config;

use super::{ALL, LineTable, locate};

proptest! {
    #![proptest_config(Config::with_cases(2000))]

    #[test]
    fn the_decoded_table_agrees_with_a_scan_of_the_bytes(
        format in 0..=u8::try_from(ALL.len()).expect("few"),
        first_line in any::<u32>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        offsets in proptest::collection::vec(0..4000u32, 20),
    ) {
        let table = LineTable::decode(format, first_line, &bytes);
        prop_assert!(table.heap_bytes() <= 8 * (bytes.len() + 1));
        prop_assert!(table.is_sound());
        for offset in offsets.into_iter().chain([u32::MAX - 1, u32::MAX]) {
            prop_assert_eq!(table.line(offset), locate(format, first_line, &bytes, offset).line);
        }
    }

    #[test]
    fn a_beginning_says_what_the_whole_says_or_nothing(
        format in 0..=u8::try_from(ALL.len()).expect("few"),
        first_line in any::<u32>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        cut in 0..200usize,
    ) {
        let whole = LineTable::decode(format, first_line, &bytes);
        let part = LineTable::decode_prefix(format, first_line, &bytes[..cut.min(bytes.len())]);
        prop_assert!(part.is_sound() && part.is_prefix_of(&whole));
        for offset in (0..4000).filter(|offset| part.covers(*offset)) {
            prop_assert_eq!(part.line(offset), whole.line(offset));
        }
    }

    #[test]
    fn no_line_is_negative(
        format in 0..u8::try_from(ALL.len()).expect("few"),
        first_line in any::<u32>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        offset in 0..4000u32,
    ) {
        let location = locate(format, first_line, &bytes, offset);
        for line in [location.line, location.end_line].into_iter().flatten() {
            prop_assert!(i32::try_from(line).is_ok());
        }
    }
}
