//! Recorded memory of a real interpreter at a moment when its stack is known, and the real walker run over it: every
//! version on any host, without root, in milliseconds.
//!
//! - [`image`]: the bytes that were read, and nothing else; every other byte is unreadable.
//! - [`recorder`]: notes every byte that a walk reads of a live process.
//! - [`walk`]: the walker of `profiler-common` and the naming of `pyebpf`, over any memory.
//!
//! Files are made by `record-snapshot` (`cargo xtask snapshot`) and read by `tests/tests/snapshot.rs`.

pub mod image;
pub mod recorder;
pub mod walk;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use profiler_common::contract::layout::Layout;
use profiler_common::contract::process::{DynamicThreadVector, ThreadLookup, ThreadSpecific};
use pyebpf::language::python::layout::LAYOUTS;
use serde::{Deserialize, Serialize};

use self::image::Image;
use crate::workload::TrueFrame;

/// The first version whose syntax all of [`WORKLOADS`] have.
pub const SINCE: (u8, u8, u8) = (3, 6, 0);

/// The workloads that are recorded besides those of the matrix (`tests::matrix::CASES`), with their arguments: `name` is that of the snapshot.
pub const WORKLOADS: &[(&str, &str, &[&str])] = &[
    ("known_stack", "known_stack", &["1e9"]),
    ("generators", "generators", &["1e9"]),
    // More frames than one block holds, and than the copy of the data stack holds.
    ("recursion", "recursion", &["1e9", "200"]),
    ("gil_released", "sleeping", &["1e9"]),
];

/// A thread of an interpreter at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// `3.11.7-pyenv`: the interpreter.
    pub python: String,
    /// Which of [`WORKLOADS`], or of the programs of the matrix.
    pub workload: String,
    /// Major and minor version: which layout the walker is to use.
    pub version: (u8, u8),
    /// Built without the GIL.
    #[serde(default)]
    pub free_threaded: bool,
    /// What the kernel half would know about the process.
    #[serde(with = "LookupFields")]
    pub lookup: ThreadLookup,
    /// The thread pointer (`%fs` base).
    pub thread_pointer: u64,
    /// What the program itself says its stack is, newest frame first.
    pub stack: Vec<TrueFrame>,
    /// Everything the walk read.
    pub memory: Image,
}

/// [`ThreadLookup`], for the file.
#[derive(Serialize, Deserialize)]
#[serde(remote = "ThreadLookup")]
struct LookupFields {
    holder: u64,
    last_holder: u64,
    anchor: u64,
    collecting: u64,
    #[serde(default)]
    code_type: u64,
    #[serde(with = "SpecificFields")]
    specific: ThreadSpecific,
    #[serde(with = "VectorFields")]
    vector: DynamicThreadVector,
    module: u32,
    how: u8,
    #[serde(default)]
    initialises_once: u8,
    // Frames do not depend on it.
    #[serde(skip)]
    gil: u64,
    #[serde(skip)]
    gil_how: u8,
    #[serde(skip)]
    gil_bytes: u8,
    #[serde(skip)]
    gil_waiters: u8,
    #[serde(skip)]
    pad: [u8; 7],
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ThreadSpecific")]
struct SpecificFields {
    table_offset: i32,
    second_level_offset: i32,
    self_offset: i32,
    stride: u8,
    value_offset: u8,
    indirect: u8,
    block_keys: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DynamicThreadVector")]
struct VectorFields {
    offset: i32,
    stride: u8,
    #[serde(default)]
    length_offset: i8,
    #[serde(skip)]
    pad: [u8; 2],
}

impl Snapshot {
    /// The folder of the snapshots.
    #[must_use]
    pub fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots")
    }

    /// Every snapshot there is.
    ///
    /// # Errors
    /// When one is unreadable.
    pub fn all() -> anyhow::Result<Vec<Self>> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(Self::folder())?
            .map(|entry| Ok(entry?.path()))
            .collect::<anyhow::Result<_>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "gz"));
        paths.sort();
        paths.iter().map(|path| Self::load(path)).collect()
    }

    /// Reads one file.
    ///
    /// # Errors
    /// When it is unreadable.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
        let mut text = String::new();
        GzDecoder::new(file)
            .read_to_string(&mut text)
            .with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// Writes it to its file, `3.11.7-pyenv-known_stack.json.gz` (`zless` shows it), and returns the path.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn save(&self) -> anyhow::Result<PathBuf> {
        let path = Self::folder().join(format!("{}.json.gz", self.name()));
        let text = serde_json::to_string_pretty(self)? + "\n";
        let file = File::create(&path).with_context(|| format!("writing {}", path.display()))?;
        // No file name and no time in it: the same snapshot is the same file.
        let mut packed = GzEncoder::new(file, Compression::best());
        packed.write_all(text.as_bytes())?;
        packed.finish()?;
        Ok(path)
    }

    /// `3.11.7-pyenv-known_stack`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}", self.python, self.workload)
    }

    /// The layout that pyebpf has for this version.
    ///
    /// # Errors
    /// When it has none.
    pub fn layout(&self) -> anyhow::Result<Layout> {
        layout(self.version, self.free_threaded)
    }
}

/// The layout of a minor version.
///
/// # Errors
/// When there is none.
pub fn layout((major, minor): (u8, u8), free_threaded: bool) -> anyhow::Result<Layout> {
    LAYOUTS
        .iter()
        .find(|entry| (entry.major, entry.minor, entry.free_threaded) == (major, minor, free_threaded))
        .map(|entry| entry.layout)
        .with_context(|| format!("no layout for CPython {major}.{minor}"))
}
