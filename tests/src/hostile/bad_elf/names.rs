//! Names of other files in a file: where its debug information is, and what its functions are called.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;

use super::image::{CODE_ADDRESS, Image, PROGBITS, Section, symbol};

/// Names that are nothing for a terminal, a table or a page.
const BAD: &[&str] = &[
    "\x1b]0;owned\x07\x1b[2J",
    "a;b;c 5\nforged;line 7",
    "\u{202e}gnp",
    "<script>alert(1)</script>",
    "_ZN",
    "_ZZZZZZZZZZZZZZZZZZN1aIXadL_Z1bEEE",
    "_RNvNvNvNvNvNvNvNvNvNvNvNv",
];

/// A file that says where its debug information is.
fn with_link(name: &str) -> Image {
    let mut link = name.as_bytes().to_vec();
    link.push(0);
    link.resize(link.len().next_multiple_of(4) + 4, 0);
    let mut image = Image::like_python();
    image.push(Section::new(".gnu_debuglink", PROGBITS, link));
    image
}

/// It is a link to `/dev/zero`.
///
/// # Errors
/// When it cannot be made.
pub fn debug_link_to_zeros(folder: &Path) -> anyhow::Result<()> {
    symlink("/dev/zero", folder.join("debug"))?;
    with_link("debug").write(folder)
}

/// It is a pipe.
///
/// # Errors
/// When it cannot be made.
pub fn debug_link_to_pipe(folder: &Path) -> anyhow::Result<()> {
    let made = Command::new("mkfifo")
        .args(["-m", "666"])
        .arg(folder.join("debug"))
        .status()?;
    ensure!(made.success(), "mkfifo failed");
    with_link("debug").write(folder)
}

/// It is the file itself.
///
/// # Errors
/// When it cannot be made.
pub fn debug_link_to_itself(folder: &Path) -> anyhow::Result<()> {
    with_link("bad.elf").write(folder)
}

/// It is a file that only root can read.
///
/// # Errors
/// When it cannot be made.
pub fn debug_link_upwards(folder: &Path) -> anyhow::Result<()> {
    with_link("../../../../../../../../etc/shadow").write(folder)
}

/// Functions with bad names, mangled ones that grow without end among them.
#[must_use]
pub fn functions() -> Image {
    let mut names = vec![0];
    let mut symbols = vec![0; 24];
    let nested = format!("_Z1f{}", "N1aI".repeat(20_000));
    let substituted = format!("_Z1fIS_{}E", "S0_S1_".repeat(20_000));
    let doubled = format!("_Z1f{}", "St4pairI".repeat(2_000) + &"S_S_E".repeat(2_000));
    let all = BAD.iter().copied().chain([&*nested, &*substituted, &*doubled]);
    for (index, name) in all.enumerate() {
        symbols.extend(symbol(names.len() as u32, CODE_ADDRESS + index as u64 % 3, 64));
        names.extend(name.as_bytes());
        names.push(0);
    }
    let mut image = Image::default();
    image.push_symbols(symbols, names);
    image
}
