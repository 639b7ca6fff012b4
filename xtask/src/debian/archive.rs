//! Packages of a Debian suite that is not this machine's own, through apt with a configuration of its own.
//!
//! apt verifies signatures and checksums; the machine's package state is neither read nor changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::mirror;
use crate::hint::{WithHint as _, hinted};
use crate::{command, workspace};

const ANOTHER_MIRROR: &str = "another mirror may have it: set PYEBPF_DEBIAN_MIRROR to its URI";

/// One suite, with its lists fetched.
pub(crate) struct Archive {
    suite: String,
    dir: PathBuf,
}

impl Archive {
    /// Fetches the suite's package lists (some seconds). `suite` as in `sources.list`: `bullseye`, `trixie-backports`.
    pub(crate) fn open(suite: &str) -> anyhow::Result<Self> {
        Self::open_lists(suite, suite, "deb")
    }

    /// The same for the lists of source packages, of which [`Self::download_source`] reads.
    pub(crate) fn open_sources(suite: &str) -> anyhow::Result<Self> {
        Self::open_lists(suite, &format!("{suite}-sources"), "deb-src")
    }

    fn open_lists(suite: &str, name: &str, kind: &str) -> anyhow::Result<Self> {
        if !super::has_apt() {
            return Err(hinted(
                format!("packages of Debian {suite} are fetched with apt, and there is no apt-get here"),
                "run the same command on Debian or Ubuntu, or in a container of one",
            ));
        }
        let apt = workspace::cache_dir()?.join("apt");
        let dir = apt.join(name);
        fs::create_dir_all(dir.join("state/lists/partial"))?;
        fs::create_dir_all(dir.join("cache/archives/partial"))?;
        let mirror = mirror::find(&apt)?;
        fs::write(
            dir.join("sources.list"),
            format!(
                "{kind} [signed-by={}] {} {suite} main\n",
                mirror.keyring.display(),
                mirror.uri
            ),
        )?;
        fs::write(dir.join("status"), "")?;
        fs::write(dir.join("apt.conf"), configuration(&dir))?;
        let archive = Self {
            suite: suite.to_owned(),
            dir,
        };
        command::output(archive.apt("apt-get").arg("update"))
            .with_context(|| {
                format!(
                    "cannot read the package lists of Debian {suite} from {}",
                    mirror.uri
                )
            })
            .or_hint(|| ANOTHER_MIRROR)?;
        Ok(archive)
    }

    /// The package's version whose upstream part is `upstream` (`1.95.0` finds `1.95.0+dfsg1-2~bpo13+1`).
    pub(crate) fn version_of(&self, package: &str, upstream: &str) -> anyhow::Result<String> {
        let table = command::output(self.apt("apt-cache").args(["madison", package]))?;
        let mut versions = table
            .lines()
            .filter_map(|line| line.split('|').nth(1))
            .map(str::trim);
        let found = versions.find(|version| upstream_part(version) == upstream);
        found.map(str::to_owned).with_context(|| {
            format!(
                "Debian {} has no {package} {upstream}, only: {}",
                self.suite,
                one_line(&table)
            )
        })
    }

    /// The first dependency of `package` whose name starts with `prefix`: what a metapackage stands for today.
    pub(crate) fn dependency(&self, package: &str, prefix: &str) -> anyhow::Result<String> {
        let table = command::output(self.apt("apt-cache").args(["depends", package]))?;
        let mut names = table
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "));
        let found = names.find(|name| name.starts_with(prefix));
        found
            .map(str::to_owned)
            .with_context(|| format!("{package} of Debian {} needs no {prefix}*", self.suite))
    }

    /// Downloads one package file, checked by apt, into a directory of its own under `into`.
    /// `package` is `name` or `name=version`.
    pub(crate) fn download(&self, package: &str, into: &Path) -> anyhow::Result<PathBuf> {
        fs::create_dir_all(into)?;
        command::output(self.apt("apt-get").args(["download", package]).current_dir(into))
            .or_hint(|| ANOTHER_MIRROR)?;
        for entry in fs::read_dir(into)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                return Ok(path);
            }
        }
        bail!(
            "apt-get download {package} left no package file in {}",
            into.display()
        );
    }

    /// Downloads packages and all that they need on a machine that has nothing, checked by apt. The files of `packages`
    /// come last, in that order.
    pub(crate) fn download_with_needs(
        &self,
        packages: &[String],
        into: &Path,
    ) -> anyhow::Result<Vec<PathBuf>> {
        fs::create_dir_all(into.join("partial"))?;
        let mut install = self.apt("apt-get");
        install
            .arg("--option")
            .arg(format!("Dir::Cache::archives={}", into.display()))
            .args(["--yes", "--no-install-recommends", "--download-only", "install"]);
        command::output(install.args(packages))
            .with_context(|| format!("cannot download {} of Debian {}", packages.join(" "), self.suite))
            .or_hint(|| ANOTHER_MIRROR)?;
        let mut debs = files(into)?;
        debs.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
        debs.sort_by_key(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let package = name.split('_').next().unwrap_or_default();
            packages
                .iter()
                .position(|wanted| wanted == package)
                .map(|position| position + 1)
        });
        Ok(debs)
    }

    /// Downloads upstream's tarball of a source package, checked by apt.
    pub(crate) fn download_source(&self, package: &str, into: &Path) -> anyhow::Result<PathBuf> {
        fs::create_dir_all(into)?;
        let mut source = self.apt("apt-get");
        source.args(["source", "--download-only", "--tar-only", package]);
        command::output(source.current_dir(into))
            .with_context(|| format!("cannot download the source of {package} of Debian {}", self.suite))
            .or_hint(|| ANOTHER_MIRROR)?;
        let mut found = files(into)?.into_iter();
        let found = found.find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.contains(".orig.tar.") && !name.ends_with(".asc")
        });
        found.with_context(|| format!("the source of {package} has no tarball"))
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // Read after the machine's own configuration, whose proxies and certificates stay in force.
        command.arg("--config-file").arg(self.dir.join("apt.conf"));
        command
    }
}

/// Sorted by name.
fn files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(dir)?.map(|entry| Ok(entry?.path()));
    let mut paths = paths.collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "// The machine's hooks are for its own lists.\n\
         #clear APT::Update::Pre-Invoke;\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n\
         Dir::Etc::SourceList \"{dir}/sources.list\";\n\
         Dir::Etc::SourceParts \"-\";\n\
         Dir::State \"{dir}/state\";\n\
         Dir::State::status \"{dir}/status\";\n\
         Dir::Cache \"{dir}/cache\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
         // The sandbox user cannot enter a private home directory; the checks do not depend on it.\n\
         APT::Sandbox::User \"root\";\n"
    )
}

/// `1.95.0` of `1:1.95.0+dfsg1-2~bpo13+1` (Debian Policy 5.6.12: epoch, upstream, revision; `+` marks repacks).
fn upstream_part(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.split(['+', '-', '~']).next().unwrap_or(version)
}

fn one_line(table: &str) -> String {
    table.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstream_part_leaves_out_epoch_repack_and_revision() {
        assert_eq!(upstream_part("1.95.0+dfsg1-2~bpo13+1"), "1.95.0");
        assert_eq!(upstream_part("1:5.10.223-1"), "5.10.223");
        assert_eq!(upstream_part("1.95.0"), "1.95.0");
    }
}
