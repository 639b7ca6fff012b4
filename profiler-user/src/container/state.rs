//! The files in which container runtimes keep their state, read with bounds. Names in them were chosen by whoever
//! started the container.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::host;

/// Longest file read, bytes: podman keeps all containers in one.
const MAX_BYTES: u64 = 16 << 20;
/// Longest name kept, bytes; Kubernetes allows 253.
const MAX_NAME: usize = 256;
/// Entries of a directory looked at.
const MAX_ENTRIES: usize = 256;

/// A host's file system.
#[derive(Clone, Debug)]
pub(super) struct StateFiles {
    root: PathBuf,
}

/// `annotations` of an OCI `config.json`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct OciConfig {
    #[serde(default)]
    annotations: std::collections::HashMap<String, String>,
}

impl StateFiles {
    /// The host's, also from within a container that shares its pids.
    pub(super) fn of_host() -> Self {
        Self::below(host::root::root())
    }

    /// Those beneath a directory.
    pub(super) fn below(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Whether there is such a file or directory; `path` is relative.
    pub(super) fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// Names in a directory; none when there is no such directory.
    pub(super) fn entries(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.join(path)).into_iter().flatten();
        entries
            .take(MAX_ENTRIES)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect()
    }

    /// A JSON file; `None` when there is none or it is something else.
    pub(super) fn json<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let mut bytes = Vec::new();
        let file = File::open(self.root.join(path)).ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
        let parsed = serde_json::from_slice(&bytes);
        parsed
            .inspect_err(|error| log::debug!("{path} of a container runtime: {error}"))
            .ok()
    }
}

impl OciConfig {
    /// The annotation with this key.
    pub(super) fn annotation(&self, key: &str) -> Option<String> {
        name(self.annotations.get(key)?)
    }
}

/// A name as it is kept: bounded, never empty.
pub(super) fn name(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= MAX_NAME).then(|| text.to_owned())
}
