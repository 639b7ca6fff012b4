//! Live: `pyebpf top` in a real terminal (tmux), against programs that say what they did.

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tests::live::{alone, cpu_by_function};
use tests::profiler::{Pyebpf, binary};
use tests::python;
use tests::reader::is_here;
use tests::statistics::Deviations;
use tests::tmux::Terminal;
use tests::workload::{Workload, script};

/// Samples a second, so that few seconds say much.
const RATE_HZ: f64 = 499.0;

/// `top` of what `arguments` say, in a terminal of 80 by 24.
fn top(arguments: &str) -> Terminal {
    let binary = binary().expect("built");
    Terminal::run((80, 24), &format!("{} top {arguments}", binary.display())).expect("tmux starts")
}

/// A program that is going to use so many seconds of CPU.
fn split(seconds: &str) -> Workload {
    Workload::start(python::newest(), &script("split"), &[seconds]).expect("it starts")
}

/// The OwnTime of a function, in seconds.
fn own_seconds(screen: &str, function: &str) -> Option<f64> {
    let row = screen
        .lines()
        .find(|line| line.contains(&format!(" {function} (split.py:")))?;
    row.split_whitespace().nth(2)?.strip_suffix('s')?.parse().ok()
}

/// The functions in the rows, from the top.
fn functions(screen: &str) -> Vec<&str> {
    let rows = screen.lines().filter(|line| line.contains(".py:"));
    rows.filter_map(|row| row.rsplit_once(" (")?.0.rsplit(' ').next())
        .collect()
}

#[test]
fn the_times_are_those_that_the_program_measured() {
    if !is_here("tmux") {
        return;
    }
    let _alone = alone();
    let mut workload = split("4");
    let terminal = top(&format!("-p {} -r {RATE_HZ}", workload.pid()));
    terminal.wait_for("Total Samples 0").expect("it begins");
    workload.release().expect("it goes on");
    let truth = cpu_by_function(workload.finish().expect("it ends")).expect("it says its times");
    let cpu: f64 = truth.values().sum();
    // The last of it is there when all of it is there.
    let sum = |screen: &str| {
        truth
            .keys()
            .filter_map(|name| own_seconds(screen, name))
            .sum::<f64>()
    };
    let screen = terminal
        .wait("all of the program's time", |screen| sum(screen) > cpu * 0.97)
        .expect("it is shown");
    let mut deviations = Deviations::default();
    let hits = |seconds: f64| (seconds * RATE_HZ).round() as u64;
    for (name, seconds) in &truth {
        let shown = own_seconds(&screen, name).expect("a row");
        deviations.share(name.clone(), hits(shown), hits(sum(&screen)), seconds / cpu);
    }
    eprintln!("  {}", deviations.verdict().expect(&screen));
    assert!(sum(&screen) < cpu * 1.05, "{cpu} s were used:\n{screen}");
    terminal.press(&["q"]).expect("it takes keys");
    assert_eq!(terminal.end().expect("it ends").0, 0);
}

#[test]
fn keys_sort_filter_pause_and_show_the_source_in_any_size() {
    if !is_here("tmux") {
        return;
    }
    let _alone = alone();
    let mut workload = split("100");
    workload.release().expect("it goes on");
    let pid = workload.pid();
    let terminal = top(&format!("-p {pid}"));
    let press = |keys: &[&str]| terminal.press(keys).expect("it takes keys");
    let wait_for = |text: &str| terminal.wait_for(text).expect("it is shown");
    let screen = terminal
        .wait("three functions", |screen| functions(screen).len() >= 4)
        .expect("they are shown");
    assert!(screen.contains("%Own  %Total  OwnTime TotalTime"), "{screen}");
    press(&["2"]);
    terminal
        .wait("sorted by total", |screen| {
            functions(screen).first() == Some(&"<module>")
        })
        .expect("it is sorted");
    press(&["L"]);
    wait_for("Line: function");
    press(&["L", "/", "gre"]);
    let screen = terminal
        .wait("only what fits", |screen| functions(screen) == ["green"])
        .expect("it is filtered");
    assert!(screen.contains("Filter: gre"), "{screen}");
    press(&["Enter", "Enter"]);
    let screen = wait_for("def green(end):");
    assert!(
        screen.contains("Called by") && screen.contains("<module>"),
        "{screen}"
    );
    let hot = screen
        .lines()
        .find(|line| line.contains("while clock() < end: pass"));
    assert!(hot.is_some_and(|line| line.contains('█')), "{screen}");
    press(&["Escape", "Escape", "Escape"]);
    terminal
        .wait("all functions again", |screen| functions(screen).len() >= 4)
        .expect("the filter is gone");
    press(&["Tab"]);
    wait_for(&format!("  {pid} "));
    press(&["Down", "Down", "Enter"]);
    wait_for(&format!("Process {pid}"));
    press(&["Escape", "?"]);
    wait_for("what the function itself took so far");
    press(&["Escape", "Space"]);
    let paused = wait_for("PAUSED");
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(terminal.text().expect("it is there"), paused);
    press(&["Space"]);
    terminal
        .wait("the end of the pause", |screen| !screen.contains("PAUSED"))
        .expect("it goes on");
    for (width, height) in [(40, 10), (200, 50), (20, 3), (80, 24)] {
        terminal.resize(width, height).expect("it takes any size");
        if width >= 40 {
            terminal
                .wait("a table", |screen| {
                    let fits = screen.lines().count() == usize::from(height);
                    fits && screen.contains("%Own")
                        && screen
                            .lines()
                            .last()
                            .is_some_and(|last| last.starts_with("q Quit"))
                })
                .expect("it is drawn again");
        }
    }
    press(&["s", "C-u", "x.txt", "Enter"]);
    wait_for("Wrote raw flamegraph data to");
    let saved = std::fs::read_to_string(terminal.folder().join("x.txt")).expect("it is there");
    assert!(saved.contains("green (split.py:"), "{saved}");
    press(&["R"]);
    terminal
        .wait("a new beginning", |screen| {
            screen.contains("0:00:00") || screen.contains("0:00:01")
        })
        .expect("it is forgotten");
    press(&["q"]);
    assert_eq!(terminal.end().expect("it ends").0, 0);
}

#[test]
fn the_terminal_is_given_back_at_every_end() {
    if !is_here("tmux") {
        return;
    }
    let _alone = alone();
    let mut workload = split("1000");
    workload.release().expect("it goes on");
    for end in ["q", "C-c", "TERM", "INT", "its process"] {
        let terminal = top(&format!("-p {}", workload.pid()));
        terminal.wait_for("split.py").expect("it is shown");
        match end {
            "q" | "C-c" => terminal.press(&[end]).expect("it takes keys"),
            "its process" => workload.signal(Signal::TERM).expect("it is there"),
            name => {
                let signal = if name == "INT" { Signal::INT } else { Signal::TERM };
                let pid = terminal.child("pyebpf").expect("it runs").cast_signed();
                kill_process(Pid::from_raw(pid).expect("a process"), signal).expect("it is there");
            }
        }
        let (status, text) = terminal.end().with_context(|| end.to_owned()).expect("it ends");
        assert_eq!(status, 0, "{end}:\n{text}");
        // What was shown last stays where it has come to its end by itself.
        assert_eq!(text.contains("split.py"), end == "its process", "{end}:\n{text}");
        assert_eq!(
            text.contains(" has ended"),
            end == "its process",
            "{end}:\n{text}"
        );
    }
}

#[test]
fn a_command_is_shown_until_it_ends_and_what_it_wrote_afterwards() {
    if !is_here("tmux") {
        return;
    }
    let _alone = alone();
    let python = python::newest().program().display();
    let code = "import sys, time\nprint(\"said\", sys.stdin.read() == \"\")\ndef spin():\n    end = time.time() + 3\n    while time.time() < end: pass\nspin()\nsys.exit(7)";
    let terminal = top(&format!("-- {python} -c '{code}'"));
    let screen = terminal.wait_for("spin (<string>:3)").expect("it is shown");
    assert!(!screen.contains("said"), "{screen}");
    let (status, text) = terminal.end().expect("it ends");
    assert_eq!(status, 7, "{text}");
    assert!(
        text.contains("said True") && text.contains("spin (<string>:3)"),
        "{text}"
    );
    let terminal = top("-- no-such-program");
    let (status, text) = terminal.end().expect("it ends");
    assert_eq!(status, 127, "{text}");
    assert!(text.contains("error: cannot run 'no-such-program'"), "{text}");
    let terminal = top(&format!("-- {python} -c 'while True: pass'"));
    terminal.wait_for("<module> (<string>").expect("it is shown");
    terminal.press(&["q"]).expect("it takes keys");
    let (status, text) = terminal.end().expect("it ends");
    assert_eq!(status, 143, "{text}");
}

#[test]
fn colours_are_left_out_where_nobody_wants_them() {
    if !is_here("tmux") {
        return;
    }
    let _alone = alone();
    let mut workload = split("1000");
    workload.release().expect("it goes on");
    let binary = binary().expect("built");
    let coloured = |text: &str| {
        let colours = (30..=37).chain(90..=97).map(|code| format!("\u{1b}[{code}m"));
        colours
            .chain(["\u{1b}[38;".to_owned()])
            .any(|colour| text.contains(&colour))
    };
    for (before, expected) in [("", true), ("NO_COLOR=1 ", false)] {
        let command = format!("{before}{} top -p {}", binary.display(), workload.pid());
        let terminal = Terminal::run((80, 24), &command).expect("tmux starts");
        terminal.wait_for("split.py").expect("it is shown");
        let text = terminal.coloured_text().expect("it is there");
        assert_eq!(coloured(&text), expected, "{command}:\n{text}");
    }
}

#[test]
fn without_a_terminal_it_says_what_to_do_instead() {
    let _alone = alone();
    let workload = split("1000");
    let pid = workload.pid().to_string();
    let finished = Pyebpf::new(["top", "-p", &pid])
        .expect("built")
        .run()
        .expect("it ends");
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("error: top draws on a terminal"),
        "{}",
        finished.stderr
    );
    assert!(
        finished.stderr.contains(&format!("record -d 10 -p {pid}")),
        "{}",
        finished.stderr
    );
}
