//! `cargo xtask run`: the profiler at work, from a fresh checkout.
//!
//! Builds as the user, runs as root. With arguments, they are the profiler's own and passed on untouched; without, it
//! records this host while a small program is busy ([`shop`]), so that there is something to see on any machine.

mod shop;

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGINT};

use self::shop::Shop;
use crate::build::{Target, pyebpf};
use crate::hint::WithHint as _;
use crate::setup::python;
use crate::{command, plan, setup, workspace};

/// Builds `pyebpf` in release mode and runs it, as root (through sudo when needed)
///
/// Without arguments it shows what pyebpf does: it starts a small web shop written in Python (xtask/demo/shop.py) on a
/// Python of this machine, records the whole host for 10 s, and says where the flame graph is. The shop is closed
/// afterwards, also after Ctrl-C. With arguments it is `pyebpf` itself; its exit status is this command's.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask run                                   show something: a flame graph of this host
  cargo xtask run -- record --all -d 10             every Python on this host, for 10 s
  cargo xtask run -- record -o out.svg -- python3 script.py
  cargo xtask run -- doctor                         what this host lacks, which Pythons were found")]
pub(crate) struct Args {
    /// What to pass to `pyebpf`
    #[arg(last = true, value_name = "PYEBPF ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// What to record: everything, down to the kernel, with one frame for each function.
const RECORD: &[&str] = &["record", "--all", "--native", "--function", "-d", "10", "-o"];

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.arguments.is_empty() {
        return show();
    }
    setup::ensure(&[setup::RUST, setup::BPF])?;
    let binary = pyebpf(true)?;
    // Replaced, not waited for: signals and the exit status are then the profiler's own.
    let error = command::as_root(binary.as_os_str())?.args(&args.arguments).exec();
    Err(anyhow::Error::new(error).context(format!("cannot start {}", binary.display())))
}

fn show() -> anyhow::Result<()> {
    let missing = setup::missing(&[setup::RUST, setup::BPF, setup::PYTHON])?;
    let mut steps = setup::steps(&missing)?;
    steps.extend(Target::Pyebpf { release: true }.step()?);
    plan::announce("run", "before there is something to see:", &steps)?;
    setup::install(&missing)?;
    let python = python::find()?.context("there is no Python any more")?;
    let binary = pyebpf(true)?;
    let picture = workspace::target_dir()?.join("flamegraph.svg");
    let mut record = command::as_root(binary.as_os_str())?;
    record.args(RECORD).arg(&picture);

    // From here on Ctrl-C ends the recording, which then writes what it has; this program goes on to its end.
    for signal in [SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))
            .context("cannot take care of signals")?;
    }
    eprintln!("run: opening a small web shop, xtask/demo/shop.py, on {python}");
    let shop = Shop::open(&python)?;
    eprintln!("run: {}", command::line(&record));
    let recorded = command::run(&mut record);
    shop.close();
    eprintln!("run: the shop is closed");
    recorded.or_hint(|| "cargo xtask run -- doctor   (it says what this host lacks)")?;
    say_where(&picture);
    Ok(())
}

fn say_where(picture: &Path) {
    let text = picture.display();
    eprintln!();
    eprintln!("run: the flame graph is {text}");
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"]
        .map(std::env::var_os)
        .iter()
        .any(Option::is_some);
    if has_display && command::find_on_path("xdg-open").is_some() {
        eprintln!(
            "run: look at it in a browser: {}",
            command::line(Command::new("xdg-open").arg(picture))
        );
    } else {
        eprintln!("run: look at it in a browser: file://{text}");
        eprintln!(
            "run: there is no display here; if your browser is elsewhere, copy the file there first (scp)"
        );
    }
    eprintln!("run: the wider a frame, the more CPU time; click on one to zoom, Ctrl-F searches");
    eprintln!("run: next, a program of your own: cargo xtask run -- record -o app.svg -- python3 app.py");
}
