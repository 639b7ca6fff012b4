//! `cargo xtask bench`: what pyebpf costs, as ratios measured in one run. Prints markdown to stdout; asserts nothing.
//!
//! Runs as root. Everything that is compared alternates within one run on one live target: this kind of machine is
//! shared and noisy, so single numbers of different runs say little.

use tests::bench;

fn main() -> anyhow::Result<()> {
    let seconds = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(2);
    bench::run(seconds)
}
