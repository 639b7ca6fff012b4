//! Answers that travel, and questions to real workers.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use profiler_common::contract::layout::line_table_format;
use proptest::prelude::{any, proptest};

use super::messages::{Failure, FoundStack};
use super::{
    About, Answer, CodeMapping, Found, InspectFailure, Inspectors, Look, MappedContent, Question,
    RefusedInterpreter, Space, is_answer,
};
use crate::elf::Segment;
use crate::language::python::InterpreterName;
use crate::language::python::code::definition::Definition;
use crate::language::python::code::line_table::LineTable;
use crate::language::python::locals::{FrameLocals, Local};
use crate::language::python::text::{Extent, Text};
use crate::proc::root::Root;

fn about() -> About {
    About {
        user: 33,
        comm: "gunicorn".to_owned(),
        arguments: vec!["python3".to_owned(), "caf\u{fffd}.py".to_owned()],
        threads: 3,
        cpu_time: Duration::from_millis(70),
        root: Root::own().ok().map(|root| root.id()),
        parent: 1,
        directory: "/srv/app".into(),
        cgroup: b"0::/system.slice/caf\xe9.service\n".to_vec(),
    }
}

fn definition() -> Definition {
    Definition {
        name: Text::decode(1, 4, b"work"),
        class: None,
        filename: Text::decode(1, 90, b"/srv/app"),
        first_line: 7,
        line_table: LineTable::decode(line_table_format::LNOTAB, 7, &[6, 1, 8, 2]),
        line_table_extent: Extent::Whole,
    }
}

fn space() -> Space {
    let segments = Box::from([Segment {
        address: 0x1000,
        offset: 0x1000,
        file_bytes: 0x2000,
        memory_bytes: 0x2000,
        writable: false,
        executable: true,
    }]);
    let contents = [
        MappedContent::Image {
            bytes: Box::from(*b"\x7fELF"),
            segments,
        },
        MappedContent::Plain(None),
        MappedContent::Memory {
            are_trampolines: true,
        },
    ];
    Space {
        pid: 7,
        root: None,
        lines: 9,
        mappings: contents
            .into_iter()
            .map(|content| CodeMapping {
                line: Box::from(*b"1000-2000 r-xp 0 00:00 0 caf\xe9"),
                content,
            })
            .collect(),
        is_cut: true,
        is_unfinished: false,
    }
}

fn locals() -> FrameLocals {
    let local = |text: Option<&str>| Local {
        name: "größe".to_owned(),
        address: 0x7f00_0000_1000,
        is_argument: text.is_none(),
        text: text.map(str::to_owned),
        is_whole: true,
    };
    FrameLocals {
        locals: vec![local(None), local(Some("[1, 2, ...]"))],
        left_out: 3,
    }
}

fn answers() -> Vec<Answer> {
    let refused = RefusedInterpreter {
        what: InterpreterName::PyPy,
        text: "PyPy is not supported yet".to_owned(),
        file: "/usr/bin/pypy".into(),
    };
    let not_python = Look {
        found: Found::NotPython { may_still_load: true },
        about: None,
    };
    vec![
        Answer::Look(Ok(Look {
            found: Found::Refused(refused),
            about: Some(about()),
        })),
        Answer::Look(Ok(not_python)),
        Answer::Look(Err(Failure::Other("no".to_owned()))),
        Answer::About(Ok(about())),
        Answer::About(Err(Failure::Gone)),
        Answer::Definition(None),
        Answer::Definition(Some(Box::new(definition()))),
        Answer::ShortPath(7),
        Answer::Space(Ok(None)),
        Answer::Space(Ok(Some(Box::new(space())))),
        Answer::Space(Err(Failure::Denied)),
        Answer::Done,
        Answer::Opened(true),
        Answer::Stack(FoundStack {
            records: b"\x02\0\0\0ab".to_vec(),
            is_of_one_moment: true,
            was_blocked: false,
            locals: vec![None, Some(locals())],
            locals_are_of_that_moment: true,
        }),
        Answer::ThreadName(Some("worker \u{1b}[1m".to_owned())),
    ]
}

#[test]
fn every_answer_arrives_as_it_was_and_no_part_of_it_is_one() {
    for answer in answers() {
        let bytes = answer.encode();
        assert_eq!(Answer::decode(&bytes).as_ref(), Some(&answer));
        assert!(is_answer(&bytes));
        for end in 0..bytes.len() {
            assert_eq!(Answer::decode(&bytes[..end]), None, "{answer:?} cut at {end}");
        }
        assert_eq!(
            Answer::decode(&[&bytes[..], &[0]].concat()),
            None,
            "{answer:?} and a byte"
        );
    }
}

#[test]
fn a_definition_that_nothing_can_have_been_read_as_is_no_answer() {
    // An empty name, no class, a file name of one zero, line 15,356, and a table of line 65 with one run from 0 on.
    let with = |file_extent, table_end| {
        let bytes = [
            2,
            1,
            0,
            0,
            0,
            1,
            0,
            file_extent,
            0xfc,
            0x77,
            65,
            1,
            0,
            0,
            table_end,
            1,
        ];
        Answer::decode(&bytes)
    };
    assert!(with(0, 1).is_some());
    assert_eq!(with(0, 0), None, "a line of an instruction after the table's end");
    assert_eq!(with(1, 1), None, "a text that was cut without a mark");
    assert_eq!(with(2, 1), None, "a text of which nothing is known");
}

#[test]
fn lengths_that_lie_cost_nothing() {
    // About, found out, user 0, a name without end.
    let bytes = [1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    assert_eq!(Answer::decode(&bytes), None);
    let long = Answer::ThreadName(Some("x".repeat(5000)));
    assert_eq!(Answer::decode(&long.encode()), None);
    let mut endless = locals();
    endless.locals[1].text = Some("x".repeat(5000));
    let with = |locals: Vec<Option<FrameLocals>>| {
        let found = FoundStack {
            locals,
            ..FoundStack::default()
        };
        Answer::decode(&Answer::Stack(found).encode())
    };
    assert_eq!(with(vec![Some(endless)]), None, "a value without end");
    let mut crowd = locals();
    crowd.locals = vec![crowd.locals[0].clone(); 1000];
    assert_eq!(with(vec![Some(crowd)]), None, "too many variables");
    assert_eq!(with(vec![None; 5000]), None, "too many frames");
    assert!(with(vec![None; 7]).is_some());
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = is_answer(&bytes);
        let _ = Question::decode(&bytes);
    }
}

/// What becomes of a question, however long it takes.
fn settled<T>(inspectors: &Inspectors, take: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        inspectors.wait_for_all(Duration::from_secs(10));
        if let Some(settled) = take() {
            return settled;
        }
        assert!(Instant::now() < end, "no answer");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn look(inspectors: &Inspectors, pid: u32) -> Result<Look, InspectFailure> {
    let ticket = inspectors.ask(&Question::Look { pid });
    settled(inspectors, || inspectors.take_look(ticket))
}

#[test]
fn workers_look_at_processes_that_are_there_and_say_who_is_gone() {
    let inspectors = Inspectors::start();
    let mut child = Command::new("sleep")
        .arg("100")
        .stdout(Stdio::null())
        .spawn()
        .expect("it exists");
    let found = look(&inspectors, child.id()).map(|look| look.found);
    assert!(matches!(found, Ok(Found::NotPython { .. })), "{found:?}");
    let mut about = None;
    while about.is_none() {
        about = inspectors.about(child.id());
    }
    assert_eq!(
        about.map(|about| about.arguments),
        Some(vec!["sleep".to_owned(), "100".to_owned()])
    );
    child.kill().expect("own child");
    child.wait().expect("own child");
    assert_eq!(look(&inspectors, child.id()), Err(InspectFailure::Gone));
}

#[test]
fn a_short_path_is_found_in_the_file_system_of_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let package = folder.path().join("package");
    std::fs::create_dir(&package).expect("writable");
    std::fs::write(package.join("__init__.py"), "").expect("writable");
    let path = package.join("module.py").to_string_lossy().into_owned();
    let inspectors = Inspectors::start();
    let question = Question::ShortPath {
        pid: std::process::id(),
        root: Root::own().expect("it is there").id(),
        path,
    };
    let ticket = inspectors.ask(&question);
    let expected = u32::try_from("package/module.py".len()).expect("short");
    let answer = settled(&inspectors, || inspectors.take(ticket));
    assert_eq!(answer, Ok(Answer::ShortPath(expected)));
}

#[test]
fn an_ordinary_question_is_answered_in_far_less_than_a_millisecond() {
    let inspectors = Inspectors::start();
    let pid = std::process::id();
    let mut times = Vec::new();
    while times.len() < 300 {
        let started = Instant::now();
        if inspectors.about(pid).is_some() {
            times.push(started.elapsed());
        } else {
            // It was late: with no pause, more would be asked of it than it can answer.
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    times.sort();
    println!(
        "fastest {:?}, median {:?}, slowest {:?}",
        times[0], times[150], times[299]
    );
    // Others use this machine, too: their work is not what is measured.
    assert!(times[30] < Duration::from_millis(1), "{:?}", times[30]);
}
