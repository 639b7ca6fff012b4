//! Which Debian mirror and which keys: this machine's own, so that a company's mirror is used where there is one.
//!
//! Only answers; fetching is `archive`'s job.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::command;
use crate::hint::hinted;

/// Overrides the mirror: a base URI as in `sources.list`.
const MIRROR_VARIABLE: &str = "PYEBPF_DEBIAN_MIRROR";

/// Where Debian's `debian-archive-keyring` puts its keys, newest name first.
const KEYRINGS: &[&str] = &[
    "usr/share/keyrings/debian-archive-keyring.pgp",
    "usr/share/keyrings/debian-archive-keyring.gpg",
];

/// A Debian mirror and the keys that sign what it carries.
pub(crate) struct Mirror {
    pub(crate) uri: String,
    pub(crate) keyring: PathBuf,
}

/// The mirror of the machine's own sources; on another distribution, the one Debian's `debootstrap` has built in.
/// `scratch` keeps what had to be unpacked for the answer.
pub(crate) fn find(scratch: &Path) -> anyhow::Result<Mirror> {
    let uri = match env::var(MIRROR_VARIABLE) {
        Ok(uri) => uri,
        Err(_) => match own_mirror()? {
            Some(uri) => uri,
            None => debootstrap_mirror(scratch)?,
        },
    };
    Ok(Mirror {
        uri,
        keyring: keyring(scratch)?,
    })
}

fn own_mirror() -> anyhow::Result<Option<String>> {
    let format = "$(RELEASE) $(REPO_URI)";
    let targets = command::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        format,
        "Created-By: Packages",
    ]))?;
    Ok(pick_mirror(&targets).map(str::to_owned))
}

/// `targets`: lines of `release uri`. Security and update suites live elsewhere or are partial; other projects'
/// archives do not end in `debian` (nor in the name of a list of Debian mirrors, as cloud images have it).
fn pick_mirror(targets: &str) -> Option<&str> {
    let pairs = targets.lines().filter_map(|line| line.split_once(' '));
    let mut uris = pairs
        .filter(|(release, _)| !release.contains('-'))
        .map(|(_, uri)| uri.trim_end_matches('/'));
    uris.find(|uri| uri.ends_with("/debian") || uri.ends_with("/debian.list"))
}

fn debootstrap_mirror(scratch: &Path) -> anyhow::Result<String> {
    let root = unpacked("debootstrap", scratch)?;
    let mut scripts = vec![
        root.join("usr/share/debootstrap/scripts/sid"),
        root.join("usr/sbin/debootstrap"),
    ];
    scripts.retain(|script| script.is_file());
    let texts = scripts
        .iter()
        .map(fs::read_to_string)
        .collect::<Result<Vec<_>, _>>()?;
    let found = texts
        .iter()
        .find_map(|text| built_in_mirror(text))
        .map(str::to_owned);
    found.ok_or_else(|| {
        hinted(
            "no Debian mirror in this machine's apt sources, and debootstrap has none built in",
            format!("set {MIRROR_VARIABLE} to the URI of a Debian mirror"),
        )
    })
}

/// The value after `DEF_MIRROR=` or `default_mirror ` that is Debian's (Ubuntu's package has both).
fn built_in_mirror(script: &str) -> Option<&str> {
    script.lines().find_map(|line| {
        let line = line.trim();
        let value = line
            .strip_prefix("DEF_MIRROR=")
            .or_else(|| line.strip_prefix("default_mirror "))?;
        Some(value.trim_matches('"').trim_end_matches('/')).filter(|uri| uri.ends_with("/debian"))
    })
}

fn keyring(scratch: &Path) -> anyhow::Result<PathBuf> {
    let under = |root: &Path| {
        KEYRINGS
            .iter()
            .map(|name| root.join(name))
            .find(|path| path.is_file())
    };
    if let Some(path) = under(Path::new("/")) {
        return Ok(path);
    }
    // Not Debian: its keys come as a package of this distribution, signed by this distribution.
    let root = unpacked("debian-archive-keyring", scratch)?;
    under(&root).context("the package debian-archive-keyring holds no key ring")
}

/// Downloads a package of the machine's own release and unpacks it under `scratch`.
fn unpacked(package: &str, scratch: &Path) -> anyhow::Result<PathBuf> {
    let root = scratch.join(package);
    if root.is_dir() {
        return Ok(root);
    }
    let download = tempdir_in(scratch, package)?;
    command::run(
        Command::new("apt-get")
            .args(["--quiet", "download", package])
            .current_dir(&download),
    )?;
    let deb = fs::read_dir(&download)?
        .next()
        .context("apt-get download left no file")??
        .path();
    let unpacking = download.join("root");
    super::unpack(&deb, &unpacking)?;
    fs::rename(&unpacking, &root)?;
    fs::remove_dir_all(&download)?;
    Ok(root)
}

fn tempdir_in(scratch: &Path, package: &str) -> anyhow::Result<PathBuf> {
    let dir = scratch.join(format!("{package}.{}", std::process::id()));
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_suite_of_debian_is_picked_among_other_sources() {
        let targets = "nodistro https://deb.example.com/node_20.x/\n\
                       bookworm-security http://mirror.example/debian-security/\n\
                       bookworm-updates http://updates.example/debian/\n\
                       bookworm http://mirror.example/debian/\n";
        assert_eq!(pick_mirror(targets), Some("http://mirror.example/debian"));
        assert_eq!(
            pick_mirror("trixie mirror+file:/etc/apt/mirrors/debian.list\n"),
            Some("mirror+file:/etc/apt/mirrors/debian.list")
        );
        assert_eq!(pick_mirror("noble http://archive.example/ubuntu/\n"), None);
    }

    #[test]
    fn the_mirror_built_into_debootstrap_is_found_beside_another_distributions() {
        let script =
            "default_mirror http://archive.example/ubuntu\nDEF_MIRROR=\"http://mirror.example/debian\"\n";
        assert_eq!(built_in_mirror(script), Some("http://mirror.example/debian"));
        assert_eq!(built_in_mirror("MIRRORS=\"$DEF_MIRROR\"\n"), None);
    }
}
