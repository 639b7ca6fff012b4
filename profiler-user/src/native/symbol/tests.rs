//! Names of the functions of real programs, through a real worker. The programs say themselves where they are.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use super::client::Client;
use super::*;
use crate::process::maps::{Mapping, Maps};

/// Started again by a test, this program is the worker.
const WORKER_TEST: &str = "native::symbol::tests::this_program_is_the_worker_when_a_test_asks_for_it";
const WORKER_VARIABLE: &str = "PYEBPF_TEST_SYMBOL_WORKER";

#[test]
fn this_program_is_the_worker_when_a_test_asks_for_it() {
    if std::env::var_os(WORKER_VARIABLE).is_some() {
        serve().expect("the client keeps to the protocol");
    }
}

fn start_worker() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .args([WORKER_TEST, "--exact", "--nocapture"])
        .env(WORKER_VARIABLE, "1");
    command
}

fn symbolizer() -> NativeSymbolizer {
    NativeSymbolizer::new(start_worker)
}

/// Prints two addresses: behind a call in code that was inlined twice, and of a call of a library.
const INLINES: &str = r#"
#include <stdio.h>
#include <unistd.h>
namespace lib {
__attribute__((noinline)) void *here() { return __builtin_return_address(0); }
template <class T> struct Box {
    __attribute__((always_inline)) inline void *innermost(T) {
        void *address = here();
        asm volatile("" ::: "memory");
        return address;
    }
};
__attribute__((always_inline)) static inline void *middle() {
    void *address = Box<int>().innermost(1);
    asm volatile("" ::: "memory");
    return address;
}
__attribute__((noinline)) void *outer() {
    void *address = middle();
    asm volatile("" ::: "memory");
    return address;
}
}
int main() {
    printf("%p\n", lib::outer());
    fflush(stdout);
    pause();
}
"#;

/// What the names at the first address of [`INLINES`] are, with the lines of the text above.
const WITH_LINES: &str = "lib::Box<int>::innermost (program.cpp:8) in lib::middle (program.cpp:14) in lib::outer (program.cpp:19)";

/// A folder with a program in it.
struct Program {
    folder: tempfile::TempDir,
}

impl Program {
    fn compile(source: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a writable temporary directory");
        std::fs::write(folder.path().join("program.cpp"), source).expect("writable");
        let program = Self { folder };
        let mut arguments = vec!["-O1", "-o", "program", "program.cpp"];
        arguments.extend(options);
        program.run("g++", &arguments);
        program
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("program")
    }

    fn run(&self, tool: &str, arguments: &[&str]) {
        let output = Command::new(tool)
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .expect("gcc and binutils are installed");
        assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn start(&self) -> Running {
        Running::start(&mut Command::new(self.path()))
    }
}

/// A program that runs until it is dropped.
struct Running {
    child: Child,
    /// What it printed first.
    address: u64,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it was just compiled");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("it prints");
        let address = u64::from_str_radix(line.trim().trim_start_matches("0x"), 16).expect("an address");
        Self { child, address }
    }

    fn maps(&self) -> Maps {
        Maps::read(self.child.id()).expect("it runs")
    }

    fn file_at(&self, mapping: &Mapping<'_>) -> CodeFile {
        let pid = self.child.id();
        let root = Root::of_process(pid).expect("it runs");
        CodeFile::of_mapping(pid, Some(Arc::new(root)), mapping).expect("a file")
    }

    /// The file at an address, and the place in it.
    fn place(&self, address: u64) -> (CodeFile, Place) {
        let maps = self.maps();
        let mapping = maps
            .iter()
            .find(|mapping| mapping.contains(address))
            .expect("mapped");
        let place = Place::Offset(address - mapping.start + mapping.offset);
        (self.file_at(&mapping), place)
    }

    /// The names at its address, as text.
    fn names(&self, symbolizer: &mut NativeSymbolizer) -> String {
        let (file, place) = self.place(self.address - 1);
        text(&symbolizer.resolve_user(&[(&file, place)])[0])
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().expect("own child");
        self.child.wait().expect("own child");
    }
}

fn text(result: &NativeResult) -> String {
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
        .map(|name| crate::output::RenderOptions::default().frame_text(&name.frame(crate::profile::FrameKind::Native)))
        .collect();
    texts.join(" in ")
}

fn assert_named(program: &Program, expected: &str) {
    assert_eq!(program.start().names(&mut symbolizer()), expected);
}

#[test]
fn inlined_functions_are_named_innermost_first_with_the_lines_of_their_calls() {
    for options in [
        &["-g"][..],
        &["-g", "-gdwarf-4"],
        &["-g", "-gz=zlib"],
        &["-g", "-gz=zstd"],
        &["-g", "-no-pie"],
        &["-g", "-fuse-ld=gold"],
    ] {
        let program = Program::compile(INLINES, options);
        assert_eq!(program.start().names(&mut symbolizer()), WITH_LINES, "{options:?}");
    }
}
