//! Programs that are compiled and run, and the names at the addresses that they print.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ids::ProcessKey;
use crate::inspect::code_maps::CodeMaps;
use crate::inspect::{CodeMapping, MappedContent, Reach, Space};
use crate::native::symbol::{CodeFile, CodePosition, NativeResult, NativeSymbolizer};
use crate::proc::file::{FileKey, FileName};
use crate::proc::maps::{Mapping, Maps};

/// A folder with a program in it.
pub(super) struct Program {
    pub(super) folder: tempfile::TempDir,
}

impl Program {
    pub(super) fn compile(source: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a writable temporary directory");
        std::fs::write(folder.path().join("program.cpp"), source).expect("writable");
        let program = Self { folder };
        let mut arguments = vec!["-O1", "-o", "program", "program.cpp"];
        arguments.extend(options);
        program.run("g++", &arguments);
        program
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("program")
    }

    pub(super) fn run(&self, tool: &str, arguments: &[&str]) {
        let output = Command::new(tool)
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .expect("gcc and binutils are installed");
        assert!(
            output.status.success(),
            "{tool}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    pub(super) fn start(&self) -> Running {
        Running::start(&mut Command::new(self.path()))
    }
}

/// A program that runs until it is dropped.
pub(super) struct Running {
    pub(super) child: Child,
    /// What it printed first.
    pub(super) address: u64,
}

impl Running {
    pub(super) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("it was just compiled");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("it prints");
        let address = u64::from_str_radix(line.trim().trim_start_matches("0x"), 16).expect("an address");
        Self { child, address }
    }

    pub(super) fn key(&self) -> ProcessKey {
        ProcessKey {
            tgid: self.child.id(),
            incarnation: 1,
        }
    }

    pub(super) fn maps(&self) -> Maps {
        Maps::read(self.child.id()).expect("it runs")
    }

    pub(super) fn file_at(&self, mapping: &Mapping<'_>) -> CodeFile {
        let mut maps = CodeMaps::default();
        let space = maps
            .of_process(self.child.id(), None)
            .expect("it runs")
            .expect("new");
        code_file(&space, mapping).expect("a file")
    }

    /// The file at an address, and the place in it.
    pub(super) fn place(&self, address: u64) -> (CodeFile, CodePosition) {
        let maps = self.maps();
        let mapping = maps
            .iter()
            .find(|mapping| mapping.contains(address))
            .expect("mapped");
        let place = CodePosition::Offset(address - mapping.start + mapping.offset);
        (self.file_at(&mapping), place)
    }

    /// The names at its address, as text.
    pub(super) fn names(&self, symbolizer: &mut NativeSymbolizer) -> String {
        let (file, place) = self.place(self.address - 1);
        text(&symbolizer.resolve_all(&[(&file, place)])[0])
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().expect("own child");
        self.child.wait().expect("own child");
    }
}

pub(super) fn text(result: &NativeResult) -> String {
    let names = match result {
        Ok(names) => names,
        Err(reason) => return format!("{reason:?}"),
    };
    let last = names.len() - 1;
    for (index, name) in names.iter().enumerate() {
        assert_eq!(name.inlined, index != last, "{names:?}");
    }
    let texts: Vec<String> = names
        .iter()
        .map(|name| {
            crate::output::RenderOptions::default().frame_text(
                &name.frame(crate::profile::FrameKind::Native),
                &crate::output::ShortNames::default(),
            )
        })
        .collect();
    texts.join(" in ")
}

/// The file behind a mapping of a process.
pub(super) fn code_file(space: &Space, mapping: &Mapping<'_>) -> Option<CodeFile> {
    let line = mapping.line();
    let parsed = |found: &&CodeMapping| {
        Maps::from_text(found.line.to_vec())
            .iter()
            .any(|one| one.line() == line)
    };
    let found = space.mappings.iter().find(parsed)?;
    let file = match &found.content {
        MappedContent::Image { bytes, .. } => return Some(CodeFile::of_bytes("[vdso]", bytes)),
        MappedContent::Code { file, .. } => *file,
        MappedContent::Plain(file) | MappedContent::Refused(file) => (*file)?,
        MappedContent::Memory { .. } => return None,
    };
    let key = FileKey {
        name: FileName::of_mapping(mapping),
        stamp: file.stamp,
    };
    let reach = Reach {
        pid: space.pid,
        line: found.line.clone(),
        file,
        root: space.root,
    };
    Some(CodeFile::mapped(key, &mapping.path(), Arc::new(reach)))
}

/// Asks until nothing is late any more.
fn asked_again<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "it is late");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl NativeSymbolizer {
    /// As [`Self::resolve_user`], waiting for what is late.
    pub(super) fn resolve_all(&mut self, requests: &[(&CodeFile, CodePosition)]) -> Vec<NativeResult> {
        asked_again(|| self.resolve_user(requests).into_iter().collect())
    }
}

/// As [`NativeSymbolizer::resolve_perf_map`], waiting for what is late.
pub(super) fn perf_map_names(
    symbolizer: &mut NativeSymbolizer,
    process: ProcessKey,
    addresses: &[u64],
) -> Vec<NativeResult> {
    asked_again(|| symbolizer.resolve_perf_map(process, addresses))
}
