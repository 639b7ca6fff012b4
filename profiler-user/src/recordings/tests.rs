//! What is read is what was written, by us or by others; what is damaged is an error.

use std::collections::BTreeMap;
use std::io::Read as _;

use profiler_common::contract::sources::Source;
use proptest::collection::vec;
use proptest::prelude::{any, proptest};
use prost::Message;

use super::{Loaded, ReadError, Reader, Values, convert};
use crate::output::test_recording::hand_made;
use crate::output::{Compression, Encoding, Format, RenderOptions};
use crate::pprof_messages::{Function, Label, Line, Location, Mapping, Sample, ValueType};
use crate::profile::{FrameKind, Recording};

/// A whole message, for files of others.
#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

/// As Go writes profiles of the heap: two values, inlined functions, a location without a name, a label.
fn of_go() -> Profile {
    let texts = [
        "",
        "alloc_objects",
        "count",
        "alloc_space",
        "bytes",
        "main.main",
        "/src/main.go",
        "main.grow",
        "/bin/server",
        "bytes",
        "tenant",
        "acme",
    ];
    let function = |id, name, file| Function {
        id,
        name,
        system_name: name,
        filename: file,
        start_line: 0,
    };
    let line = |function_id, line| Line { function_id, line };
    Profile {
        sample_type: vec![ValueType { r#type: 1, unit: 2 }, ValueType { r#type: 3, unit: 4 }],
        sample: vec![Sample {
            location_id: vec![2, 900],
            value: vec![3, 4096],
            label: vec![
                Label {
                    key: 9,
                    num: 1024,
                    num_unit: 4,
                    ..Label::default()
                },
                Label {
                    key: 10,
                    str: 11,
                    ..Label::default()
                },
            ],
        }],
        mapping: vec![Mapping {
            id: 1,
            filename: 8,
            ..Mapping::default()
        }],
        location: vec![
            // `grow` was inlined into `main`.
            Location {
                id: 900,
                mapping_id: 1,
                address: 0x10,
                line: vec![line(8, 22), line(7, 11)],
            },
            Location {
                id: 2,
                mapping_id: 1,
                address: 0x20,
                line: vec![],
            },
        ],
        function: vec![function(7, 5, 6), function(8, 7, 6)],
        string_table: texts.map(str::to_owned).into(),
        time_nanos: 1_000_000_000,
        duration_nanos: 5,
        period_type: Some(ValueType { r#type: 3, unit: 4 }),
        period: 524_288,
        default_sample_type: 3,
    }
}

fn read(bytes: &[u8]) -> Result<Loaded, ReadError> {
    let mut reader = Reader::new();
    reader.add(bytes)?;
    Ok(reader.finish().expect("one file"))
}

fn written(recording: &mut Recording, encoding: Encoding, options: &RenderOptions) -> Vec<u8> {
    let mut bytes = Vec::new();
    encoding
        .write(recording, options, &mut bytes)
        .expect("a vector takes everything");
    bytes
}

fn encoding(format: Format, compression: Compression) -> Encoding {
    Encoding { format, compression }
}

/// All of it again, as a recording.
fn recorded(loaded: Loaded) -> Recording {
    let wanted = vec![true; loaded.labels.len()];
    let converted = convert(loaded, &wanted, 0, "pyebpf report").expect("no negative values");
    assert_eq!(converted.values, Values::Both);
    converted.recording
}

/// What a table of samples says, whatever its ids are.
fn sums(recording: &Recording) -> BTreeMap<(Source, String), (u64, u64)> {
    let mut sums = BTreeMap::new();
    for profile in &recording.profiles {
        for count in &profile.counts {
            let thread = recording.thread(count.thread);
            let process = recording.process(thread.process);
            let stack: Vec<_> = recording
                .stack(count.stack)
                .iter()
                .map(|id| {
                    let frame = recording.frame(*id);
                    (
                        &frame.name,
                        &frame.file,
                        frame.line,
                        frame.kind,
                        &frame.module,
                        frame.first_line,
                    )
                })
                .collect();
            let key = format!("{process:?} {} {} {stack:?}", thread.tid, thread.name);
            let sum: &mut (u64, u64) = sums.entry((profile.source, key)).or_default();
            sum.0 += count.samples;
            sum.1 += count.weight;
        }
    }
    sums
}

fn two_sources() -> Recording {
    let mut recording = hand_made();
    let mut faults = recording.profiles[0].clone();
    faults.source = Source::PageFaults;
    faults.counts.truncate(3);
    faults.counts[0].weight = 7;
    recording.profiles.push(faults);
    recording.timeline = None;
    recording
}

#[test]
fn our_own_pprof_files_are_read_back_whole_in_every_compression() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let mut recording = two_sources();
        recording.accounts = vec!["15 interrupts = 15 samples".to_owned()];
        let options = RenderOptions::default();
        let bytes = written(&mut recording, encoding(Format::Pprof, compression), &options);
        let again = recorded(read(&bytes).expect("our own file"));
        assert_eq!(sums(&again), sums(&recording));
        assert_eq!(
            (
                &again.title,
                &again.host,
                again.cpus,
                again.rate_hz,
                again.duration,
                &again.accounts
            ),
            (
                &recording.title,
                &recording.host,
                recording.cpus,
                recording.rate_hz,
                recording.duration,
                &recording.accounts
            )
        );
    }
}

#[test]
fn every_format_that_adds_up_is_the_same_from_the_file_as_from_the_recording() {
    let options = RenderOptions {
        // Short forms of paths are not in the file.
        full_filenames: true,
        ..RenderOptions::default()
    };
    let mut recording = hand_made();
    let pprof = written(
        &mut recording,
        encoding(Format::Pprof, Compression::Gzip),
        &options,
    );
    for format in [Format::Raw, Format::Flamegraph, Format::Callgrind, Format::Pstats] {
        let of =
            |recording: &mut Recording| written(recording, encoding(format, Compression::None), &options);
        let again = &mut recorded(read(&pprof).expect("our own file"));
        assert!(of(again) == of(&mut recording), "{format} differs");
    }
}

#[test]
fn with_times_the_order_of_samples_is_read_back() {
    let options = RenderOptions {
        timestamps: true,
        ..RenderOptions::default()
    };
    let mut recording = hand_made();
    recording.started += std::time::Duration::from_secs(7);
    let bytes = written(
        &mut recording,
        encoding(Format::Pprof, Compression::Gzip),
        &options,
    );
    let mut reader = Reader::with_times().expect("a temporary folder");
    reader.add(&*bytes).expect("our own file");
    let mut again = recorded(reader.finish().expect("one file"));
    assert_eq!(sums(&again), sums(&recording));
    let times = |recording: &mut Recording| -> Vec<(u64, u64)> {
        let timeline = recording.timeline.as_mut().expect("it has one");
        let ticks = timeline.read().expect("readable");
        let tick = |tick: std::io::Result<crate::profile::timeline::Tick>| {
            let tick = tick.expect("readable");
            (tick.time_ns, tick.weight)
        };
        ticks.map(tick).collect()
    };
    assert_eq!(times(&mut again), times(&mut recording));
    let without = written(
        &mut recording,
        encoding(Format::Pprof, Compression::Gzip),
        &RenderOptions::default(),
    );
    let mut reader = Reader::with_times().expect("a temporary folder");
    reader.add(&*without).expect("our own file");
    assert!(reader.finish().expect("one file").times.is_none());
}

#[test]
fn folded_stacks_are_read_back_with_their_processes_and_threads() {
    let options = RenderOptions {
        roots: vec![crate::output::Group::Process, crate::output::Group::Thread],
        full_filenames: true,
        ..RenderOptions::default()
    };
    let raw = encoding(Format::Raw, Compression::None);
    let mut recording = hand_made();
    let bytes = written(&mut recording, raw, &options);
    let loaded = read(&bytes).expect("our own file");
    assert_eq!(loaded.label_keys(), ["command", "pid", "thread", "tid"]);
    let wanted = vec![true; loaded.labels.len()];
    let mut converted = convert(loaded, &wanted, 0, "pyebpf report").expect("no negative values");
    assert_eq!(converted.values, Values::Samples);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    assert_eq!(
        text(written(&mut converted.recording, raw, &options)),
        text(bytes)
    );
}

#[test]
fn several_files_become_one_and_those_of_another_kind_are_refused() {
    let mut recording = two_sources();
    let pprof = encoding(Format::Pprof, Compression::Gzip);
    let bytes = written(&mut recording, pprof, &RenderOptions::default());
    let mut reader = Reader::new();
    for _ in 0..3 {
        reader.add(&*bytes).expect("our own file");
    }
    let error = reader.add(&b"main 3\n"[..]).expect_err("other values");
    assert_eq!(
        error.to_string(),
        "its values are samples/count, and those of the other files are samples/count, cpu/nanoseconds, \
         page-faults-samples/count, page-faults/count"
    );
    let loaded = reader.finish().expect("files");
    assert_eq!(loaded.about.files, 3);
    assert_eq!(
        loaded.rows.len(),
        recording
            .profiles
            .iter()
            .map(|of| of.counts.len())
            .max()
            .expect("two")
    );
    let again = recorded(loaded);
    let tripled: BTreeMap<_, _> = sums(&recording)
        .into_iter()
        .map(|(key, (samples, weight))| (key, (3 * samples, 3 * weight)))
        .collect();
    assert_eq!(sums(&again), tripled);
}

#[test]
fn files_of_other_tools_are_read_with_inlined_functions_and_their_own_labels() {
    let loaded = read(&of_go().encode_to_vec()).expect("a sound file");
    let types: Vec<String> = loaded.types.iter().map(ToString::to_string).collect();
    assert_eq!(types, ["alloc_objects/count", "alloc_space/bytes"]);
    assert_eq!(loaded.default_type, 1);
    let stack: Vec<_> = loaded
        .stack(loaded.rows[0].stack)
        .iter()
        .map(|id| &loaded.frames[id.0 as usize])
        .map(|frame| (frame.name.as_str(), frame.line, frame.kind))
        .collect();
    assert_eq!(
        stack,
        [
            ("main.main", Some(11), FrameKind::Native),
            ("main.grow", Some(22), FrameKind::Native),
            ("[server]", None, FrameKind::Native)
        ]
    );
    assert_eq!(loaded.values(0), [3, 4096]);
    assert_eq!(loaded.label_keys(), ["bytes", "tenant"]);
    assert_eq!(loaded.labels[0].text("bytes").as_deref(), Some("1024 bytes"));
    let converted = convert(loaded, &[true], 1, "x").expect("nothing negative");
    assert_eq!(converted.values, Values::Other);
}

#[test]
fn samples_with_a_period_of_cpu_time_are_cpu_time() {
    let mut profile = of_go();
    for (index, text) in [(1, "samples"), (3, "cpu"), (4, "nanoseconds")] {
        profile.string_table[index] = text.to_owned();
    }
    profile.sample_type.truncate(1);
    profile.sample[0].value.truncate(1);
    profile.default_sample_type = 0;
    let loaded = read(&profile.encode_to_vec()).expect("a sound file");
    let recording = recorded(loaded);
    assert_eq!(recording.profiles[0].samples(), 3);
    assert_eq!(recording.profiles[0].weight(), 3 * 524_288);
    profile.period_type = None;
    let loaded = read(&profile.encode_to_vec()).expect("a sound file");
    let converted = convert(loaded, &[true], 0, "x").expect("nothing negative");
    assert_eq!(converted.values, Values::Samples);
    profile.sample[0].value[0] = -3;
    let loaded = read(&profile.encode_to_vec()).expect("a difference");
    assert!(convert(loaded, &[true], 0, "x").is_err());
}

#[test]
fn references_to_what_is_not_there_are_typed_errors() {
    let broken = |change: fn(&mut Profile)| {
        let mut profile = of_go();
        change(&mut profile);
        read(&profile.encode_to_vec()).expect_err("broken").to_string()
    };
    for (error, expected) in [
        (
            broken(|profile| profile.sample[0].location_id[0] = 3),
            "there is no location 3",
        ),
        (
            broken(|profile| profile.location[0].line[0].function_id = 1),
            "there is no function 1",
        ),
        (
            broken(|profile| profile.location[0].mapping_id = 5),
            "there is no mapping 5",
        ),
        (
            broken(|profile| profile.location[1].id = 900),
            "there are two of location 900",
        ),
        (
            broken(|profile| profile.function[1].id = 7),
            "there are two of function 7",
        ),
        (
            broken(|profile| profile.function[0].name = 12),
            "is string 12, and there are 12",
        ),
        (
            broken(|profile| profile.function[0].name = -1),
            "is string -1, and there are 12",
        ),
        (
            broken(|profile| profile.sample[0].label[0].key = 99),
            "the key of a label is string 99",
        ),
        (
            broken(|profile| profile.sample[0].value.truncate(1)),
            "1 values, and the file says it has 2",
        ),
        (broken(|profile| profile.sample_type.clear()), "0 kinds of values"),
        (
            broken(|profile| profile.sample[0].location_id = vec![900; 40_000]),
            "more than 65536 frames",
        ),
        (broken(|profile| profile.string_table.clear()), "and there are 0"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_bomb_of_zeros_is_given_up_without_the_memory_for_it() {
    // 64 MiB of a field that nobody knows, then a text that claims to be longer than the rest.
    let mut bytes = Vec::new();
    prost::encoding::encode_key(100, prost::encoding::WireType::LengthDelimited, &mut bytes);
    prost::encoding::encode_varint(64 << 20, &mut bytes);
    bytes.resize(bytes.len() + (64 << 20), 0);
    bytes.extend_from_slice(b"\x32\xff\xff\xff\xff\x0f");
    let mut bomb = Vec::new();
    flate2::read::GzEncoder::new(&*bytes, flate2::Compression::fast())
        .read_to_end(&mut bomb)
        .expect("compressed");
    let error = read(&bomb).expect_err("a bomb");
    assert!(
        matches!(
            error,
            ReadError::Damaged {
                what: "a field is too long"
            }
        ),
        "{error}"
    );
}

#[test]
fn folded_stacks_of_others_may_have_comments_but_every_other_line_is_a_stack() {
    let loaded = read(b"# austin\n\nmain;f 3\r\nmain;f 4\n").expect("stacks");
    assert_eq!((loaded.rows.len(), loaded.values(0)), (1, &[7][..]));
    for (text, line) in [("main;f\n", 1), ("main 3\nmain 1.5\n", 2), ("3\n", 1)] {
        let error = read(text.as_bytes()).expect_err("no stack");
        assert!(
            matches!(error, ReadError::NotAStack { line: at } if at == line),
            "{error}"
        );
    }
}

proptest! {
    #[test]
    fn damaged_files_are_errors_or_recordings_but_never_a_panic(at in any::<u16>(), byte in any::<u8>(), cut in any::<u16>()) {
        let mut bytes = written(
            &mut two_sources(),
            encoding(Format::Pprof, Compression::None),
            &RenderOptions::default(),
        );
        let length = bytes.len();
        bytes[usize::from(at) % length] = byte;
        bytes.truncate(usize::from(cut) % (2 * length));
        if let Ok(loaded) = read(&bytes) {
            let wanted = vec![true; loaded.labels.len()];
            // A damaged value may be negative.
            let _ = convert(loaded, &wanted, 0, "x");
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }
}
