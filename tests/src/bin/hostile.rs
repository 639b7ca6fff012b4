//! `cargo xtask hostile`: every attack of the registry beside an innocent program; the page `docs/hostile.md` on stdout.
//!
//! Runs as root. Arguments are parts of names of attacks; without any, all are run.

use anyhow::ensure;
use tests::hostile::attacks;
use tests::hostile::report::Campaign;
use tests::live::alone;

/// What the page says before its tables.
const ABOUT: &str = include_str!("../hostile/about.md");

fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted.iter().any(|argument| argument == "--list") {
        for attack in attacks::all() {
            println!("{:32} {}", attack.name, attack.what);
        }
        return Ok(());
    }
    let _alone = alone();
    let mut campaign = Campaign::new()?;
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part));
    for attack in attacks::all().filter(|attack| is_wanted(attack.name)) {
        let row = campaign.run(attack)?;
        let numbers = row.measured.as_ref().map(|measured| {
            format!(
                "{} of {:.0} samples, {} MiB, gap {:?}, end {:?}, command {:?}",
                measured.samples,
                measured.due,
                measured.peak_bytes >> 20,
                measured.longest_gap,
                measured.ending,
                measured.command
            )
        });
        eprintln!(
            "hostile: {}: {} {}",
            attack.name,
            numbers.unwrap_or_default(),
            row.breaches.join("; ")
        );
    }
    print!("{ABOUT}\n{}\n\n{}", campaign.summary(), campaign.tables());
    let breaches = campaign.breaches();
    ensure!(
        breaches.is_empty(),
        "{} breaches:\n{}",
        breaches.len(),
        breaches.join("\n")
    );
    Ok(())
}
