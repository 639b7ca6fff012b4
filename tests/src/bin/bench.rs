//! `cargo xtask bench`: what pyebpf costs, as ratios measured in one run. Prints markdown to stdout; asserts nothing.
//!
//! Runs as root. Everything that is compared alternates within one run on one live target: this kind of machine is
//! shared and noisy, so single numbers of different runs say little.

use tests::bench;

fn main() -> anyhow::Result<()> {
    if let Some(code) = pyebpf::roles::serve_if_asked() {
        std::process::exit(i32::from(code != std::process::ExitCode::SUCCESS));
    }
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.peek().is_some_and(|argument| argument == bench::ECHO) {
        return bench::echo();
    }
    if arguments.peek().is_some_and(|argument| argument == "--help") {
        println!(
            "[SECONDS OF A WINDOW] [PART ...], such as `1 filtered-out`; everything in windows of 2 s by default"
        );
        return Ok(());
    }
    let seconds = arguments.peek().and_then(|text| text.parse().ok());
    if seconds.is_some() {
        arguments.next();
    }
    bench::run(seconds.unwrap_or(2), &arguments.collect::<Vec<_>>())
}
