//! Tests of what is drawn.

use profiler_common::contract::sources::Source::{OffCpu, OnCpu};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::super::amounts::Measured;
use super::super::app::{App, Over, Typing, Wish};
use super::super::keys::Key;
use super::super::model::Model;
use super::super::source::SourceText;
use super::super::test_part::{Did, part};
use super::{Look, draw, lines};

const LOOK: Look = Look {
    colours: true,
    unicode: true,
};
const DID: &[Did<'_>] = &[
    (OnCpu, 7, 2, 520, "<module>:20 main:9 fib:3"),
    (OnCpu, 7, 2, 130, "<module>:20 main:10 load:2"),
    (OnCpu, 9, 3, 300, "<module>:20 serve:4"),
    (OffCpu, 9, 3, 600, "<module>:20 serve:5 <sleeping>"),
];

fn app() -> App {
    let mut model = Model::new(Measured::new(&[OnCpu, OffCpu]));
    model.add(&part(1_000, DID));
    let mut app = App::new(model, "all Python processes".to_owned(), 99);
    app.health.processes = 2;
    app
}

fn screen(app: &mut App, look: Look, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("it is in memory");
    terminal
        .draw(|frame| {
            let area = frame.area();
            draw(app, frame.buffer_mut(), area, look);
        })
        .expect("it is in memory");
    lines(terminal.backend().buffer())
}

/// The rows below the titles: their numbers and names.
fn rows(screen: &str) -> Vec<String> {
    let table = screen.lines().skip_while(|line| !line.contains("%Own")).skip(1);
    let row = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    table.map(row).take_while(|row| !row.is_empty()).collect()
}

fn press(app: &mut App, keys: &str) -> Vec<Wish> {
    keys.chars()
        .map(|c| match c {
            '\n' => Key::Enter,
            '\t' => Key::Tab,
            '\x1b' => Key::Escape,
            'v' => Key::Down,
            '^' => Key::Up,
            c => Key::Char(c),
        })
        .filter_map(|key| app.press(key))
        .collect()
}

#[test]
fn a_terminal_of_80_by_24_has_what_py_spy_shows() {
    let text = screen(&mut app(), LOOK, (80, 24));
    let all: Vec<&str> = text.lines().collect();
    assert!(all[0].starts_with("pyebpf top  all Python processes"), "{text}");
    assert!(all[0].ends_with("99 Hz  0:00:01"), "{text}");
    assert_eq!(all[1], "Total Samples 4  Errors 0");
    assert!(
        all[2].starts_with("GIL: 65.00%, Active: 95.00%, Waiting: 60.00%, Threads: 2, Processes: 2"),
        "{text}"
    );
    assert_eq!(
        all[4].split_whitespace().collect::<Vec<_>>().join(" "),
        "%Own %Total OwnTime TotalTime %GIL %Wait Function (file:line)"
    );
    assert_eq!(
        rows(&text)[..5],
        [
            "90.00% 90.00% 0.90s 0.90s 0.00% 60.00% serve (app.py:1)",
            "52.00% 52.00% 0.52s 0.52s 52.00% 0.00% fib (app.py:1)",
            "13.00% 13.00% 0.13s 0.13s 13.00% 0.00% load (app.py:1)",
            "0.00% 155.00% 0.00s 1.55s 65.00% 60.00% <module> (app.py:1)",
            "0.00% 65.00% 0.00s 0.65s 65.00% 0.00% main (app.py:1)",
        ],
        "{text}"
    );
    assert!(all[23].starts_with("q Quit  ? Help  Tab Tree"), "{text}");
    assert_eq!(all.len(), 24);
}

#[test]
fn small_and_large_terminals_have_the_table_too() {
    let small = screen(&mut app(), LOOK, (40, 10));
    assert!(small.contains("serve (app.py:1)"), "{small}");
    assert!(small.lines().all(|line| line.chars().count() <= 40), "{small}");
    let large = screen(&mut app(), LOOK, (200, 60));
    assert!(
        large.contains("%GIL") && large.contains("serve (app.py:1)"),
        "{large}"
    );
    assert_eq!(large.lines().count(), 60);
}

#[test]
fn keys_sort_and_turn_round_and_switch_to_lines() {
    let mut app = app();
    let first = |app: &mut App| {
        rows(&screen(app, LOOK, (120, 24)))[0]
            .rsplit_once(' ')
            .map_or(String::new(), |(row, file)| {
                format!("{} {file}", row.rsplit(' ').next().unwrap_or_default())
            })
    };
    assert_eq!(first(&mut app), "serve (app.py:1)");
    press(&mut app, "2");
    assert_eq!(first(&mut app), "<module> (app.py:1)");
    press(&mut app, "5");
    assert_eq!(first(&mut app), "<module> (app.py:1)");
    press(&mut app, "11");
    assert_eq!(first(&mut app), "main (app.py:1)");
    press(&mut app, "1L");
    assert_eq!(first(&mut app), "serve (app.py:5)");
}

#[test]
fn a_filter_shows_what_contains_it_and_escape_all() {
    let mut app = app();
    press(&mut app, "/FIB");
    assert_eq!(app.typing, Typing::Filter);
    let text = screen(&mut app, LOOK, (80, 24));
    assert_eq!(rows(&text).len(), 1, "{text}");
    assert!(text.contains("Filter: FIB"), "{text}");
    press(&mut app, "\n");
    // Not the end of everything.
    assert_eq!(press(&mut app, "q"), [Wish::Quit]);
    press(&mut app, "\x1b");
    assert_eq!(rows(&screen(&mut app, LOOK, (80, 24))).len(), 5);
    press(&mut app, "/q");
    assert!(screen(&mut app, LOOK, (80, 24)).contains("Nothing fits the filter"));
}

#[test]
fn a_paused_screen_stays_and_goes_on_with_what_came_meanwhile() {
    let mut app = app();
    press(&mut app, " ");
    let before = screen(&mut app, LOOK, (80, 24));
    assert!(before.contains("PAUSED"), "{before}");
    app.model.add(&part(1_000, DID));
    assert_eq!(screen(&mut app, LOOK, (80, 24)), before);
    press(&mut app, " ");
    assert!(screen(&mut app, LOOK, (80, 24)).contains("Total Samples 8"));
}

#[test]
fn the_tree_has_containers_processes_and_threads_and_enter_restricts_to_one() {
    let mut app = app();
    press(&mut app, "\t");
    let text = screen(&mut app, LOOK, (80, 24));
    let names: Vec<&str> = text
        .lines()
        .skip(5)
        .take(6)
        .map(|line| line.get(34..).unwrap_or("").trim_end())
        .collect();
    let expected = [
        "web-1",
        "  9 python3 app9.py",
        "    3 worker",
        "host",
        "  7 python3 app7.py",
        "    2 worker",
    ];
    assert_eq!(names, expected, "{text}");
    let wishes = press(&mut app, "vv\n");
    assert!(
        matches!(&wishes[..], [Wish::Scope(scope)] if scope.depth() == 1),
        "{wishes:?}"
    );
}

#[test]
fn details_show_calls_and_the_source_with_what_each_line_took() {
    let mut app = app();
    press(&mut app, "2vv\n");
    let Over::Details(function) = app.over else {
        unreachable!("enter opens it")
    };
    app.source = SourceText::Lines {
        first: 1,
        lines: (1..=20).map(|n| format!("line {n}")).collect(),
    };
    let name = app.model.function(function).expect("known").0.name.clone();
    assert_eq!(name, "serve");
    let text = screen(&mut app, LOOK, (80, 24));
    for expected in [
        "Called by",
        "0.30s     0.30s ██     line 4",
        "0.60s     0.60s ████   line 5",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(text.contains("0.90s <module> (app.py:1)"), "{text}");
    app.source = SourceText::Missing("no such file".to_owned());
    let text = screen(&mut app, LOOK, (80, 24));
    assert!(text.contains("no source: no such file"), "{text}");
    press(&mut app, "\x1b");
    assert_eq!(app.over, Over::Nothing);
}

#[test]
fn a_selected_row_is_followed_and_kept_in_sight() {
    let mut app = app();
    screen(&mut app, LOOK, (80, 9));
    press(&mut app, "vvvvv");
    let text = screen(&mut app, LOOK, (80, 9));
    assert!(text.contains("main (app.py:1)"), "{text}");
    let selected = app.selected.clone();
    press(&mut app, "2");
    assert_eq!(app.selected, None);
    app.selected = selected;
    screen(&mut app, LOOK, (80, 9));
    assert!(
        app.position()
            .is_some_and(|at| (app.offset..app.offset + app.room).contains(&at))
    );
}

#[test]
fn names_cannot_give_orders_to_the_terminal() {
    let mut model = Model::new(Measured::new(&[OnCpu]));
    model.add(&part(1_000, &[(OnCpu, 7, 2, 520, "a\u{1b}[2J\u{202e}b")]));
    let mut app = App::new(model, "x\u{1b}[2Jy".to_owned(), 99);
    let text = screen(&mut app, LOOK, (120, 24));
    assert!(text.contains("a\\x1b[2J\\u202eb (app.py:1)"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
}

#[test]
fn without_colours_there_is_no_colour_and_without_unicode_only_ascii() {
    let mut app = app();
    press(&mut app, "v");
    let mut terminal = Terminal::new(TestBackend::new(120, 24)).expect("it is in memory");
    let look = Look {
        colours: false,
        unicode: false,
    };
    for keys in ["", "\n", "\x1b\t", "?"] {
        press(&mut app, keys);
        let drawn = terminal.draw(|frame| {
            let area = frame.area();
            draw(&mut app, frame.buffer_mut(), area, look);
        });
        drawn.expect("it is in memory");
        for cell in terminal.backend().buffer().content() {
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
            assert!(cell.symbol().is_ascii(), "{}", cell.symbol());
        }
    }
}

#[test]
fn a_host_without_python_is_said_to_be_waited_for() {
    let model = Model::new(Measured::new(&[OnCpu]));
    let mut app = App::new(model, "all Python processes".to_owned(), 99);
    let text = screen(&mut app, LOOK, (80, 24));
    assert!(
        text.contains("No Python interpreter found yet: waiting for one."),
        "{text}"
    );
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        any::<char>().prop_map(Key::Char),
        "[1-9a-zA-Z/<>? ]".prop_map(|text: String| Key::Char(text.chars().next().unwrap_or(' '))),
        proptest::sample::select(vec![
            Key::Enter,
            Key::Escape,
            Key::Tab,
            Key::BackTab,
            Key::Backspace,
            Key::Up,
            Key::Down,
            Key::PageUp,
            Key::PageDown,
            Key::Home,
            Key::End,
        ]),
        Just(Key::Control('u')),
    ]
}

proptest! {
    #[test]
    fn no_key_and_no_size_breaks_it(
        keys in vec(key(), 0..40),
        width in 0u16..210,
        height in 0u16..70,
        unicode: bool,
    ) {
        let mut app = app();
        let look = Look { colours: true, unicode };
        screen(&mut app, look, (width, height));
        for key in keys {
            if let Some(Wish::Source(_)) = app.press(key) {
                app.source = SourceText::Lines { first: 3, lines: vec!["x".to_owned(); 30] };
            }
            screen(&mut app, look, (width, height));
        }
    }
}
