//! Tables of live processes: stacks of programs whose call chain is known, and what is loaded, shared and evicted.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use object::{Object as _, ObjectSymbol as _};
use profiler_common::contract::reasons::NativeStatus;
use profiler_common::contract::unwind::{BLOCK_LOADED, Row, mapping_kind};

use super::maps::{FakeMaps, Registers, enter, find, load, tables_of, unwind};
use crate::ids::ProcessKey;
use crate::native::unwind::{Capacity, FileTables, Needed, Tables};
use crate::proc::memory::ProcMemory;

pub(super) const CAPACITY: Capacity = Capacity {
    mappings: 4096,
    blocks: 16_384,
    row_pages: 8192,
};

/// `main` -> `with_alloca` -> `realigned` -> `leaf` -> `pause`, and the same from a signal handler and in a thread.
const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <alloca.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>

#define FUNCTION __attribute__((noinline, noclone))
volatile long sink;

FUNCTION int leaf(long x) {
    char text[64];
    /* The frame pointer is a register like any other here, and has to be restored. */
    __asm__ volatile("xor %%ebp, %%ebp" ::: "rbp", "rbx", "r12");
    sprintf(text, "ready %ld\n", (long)syscall(SYS_gettid));
    write(1, text, strlen(text));
    pause();
    return sink;
}

FUNCTION int realigned(long x) {
    long wide[8] __attribute__((aligned(64)));
    __asm__ volatile("" :: "r"(wide) : "memory");
    int result = leaf(x) + 1;
    sink = wide[x & 7];
    return result;
}

FUNCTION int with_alloca(long x) {
    char *bytes = alloca(x);
    memset(bytes, 1, x);
    int result = realigned(x) + 2;
    sink = bytes[x - 1];
    return result;
}

FUNCTION int with_frame(long x);
FUNCTION __attribute__((optimize("no-omit-frame-pointer"))) int with_frame(long x) {
    sink = x;
    return with_alloca(x) + 3;
}

void handler(int signal) { sink = with_frame(40); }
void *thread(void *argument) { sink = with_frame(100); return 0; }

int main(int argc, char **argv) {
    if (!strcmp(argv[1], "signal")) {
        signal(SIGUSR1, handler);
        raise(SIGUSR1);
    } else if (!strcmp(argv[1], "thread")) {
        pthread_t other;
        pthread_create(&other, 0, thread, 0);
        pthread_join(other, 0);
    } else if (!strcmp(argv[1], "dlopen")) {
        printf("ready 0\n");
        fflush(stdout);
        getchar();
#ifndef STATIC
        void *library = dlopen("libm.so.6", RTLD_NOW);
        printf("%p\n", dlsym(library, "cbrt"));
#endif
        fflush(stdout);
        pause();
    } else {
        sink = with_frame(argc * 24);
    }
    return 0;
}
"#;

pub(super) struct Program {
    pub(super) child: Child,
    output: BufReader<ChildStdout>,
    pub(super) path: PathBuf,
    thread: u32,
    _directory: tempfile::TempDir,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().expect("the child is ours");
        self.child.wait().expect("the child is ours");
    }
}

impl Program {
    pub(super) fn start(compiler: &str, options: &[&str], argument: &str) -> Self {
        let directory = tempfile::tempdir().expect("temporary files");
        let source = directory.path().join("program.c");
        let path = directory.path().join("program");
        std::fs::write(&source, PROGRAM).expect("writable");
        let status = Command::new(compiler)
            .args(["-O2", "-w", "-pthread", "-fomit-frame-pointer"])
            .args(options)
            .arg("-o")
            .args([&path, &source])
            .status()
            .expect("there is a C compiler");
        assert!(status.success());
        Self::run(directory, path, argument)
    }

    /// Runs a program that is there already.
    pub(super) fn run(directory: tempfile::TempDir, path: PathBuf, argument: &str) -> Self {
        let mut child = Command::new(&path)
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it was just built");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        output.read_line(&mut line).expect("it writes");
        let thread = line
            .trim()
            .strip_prefix("ready ")
            .and_then(|id| id.parse().ok())
            .expect("its thread id");
        Self {
            child,
            output,
            path,
            thread,
            _directory: directory,
        }
    }

    /// The registers of a thread that is in a system call. Its frame pointer is not told; `leaf` has cleared it, and
    /// `pause` does not touch it.
    pub(super) fn registers(&self) -> Registers {
        let path = format!("/proc/{}/task/{}/syscall", self.child.id(), self.thread);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let text = std::fs::read_to_string(&path).expect("it lives");
            let numbers: Vec<u64> = text
                .split_whitespace()
                .filter_map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok())
                .collect();
            // `pause` is system call 34.
            if text.starts_with("34 ") {
                let at = numbers.len() - 2;
                let (sp, pc) = (numbers[at], numbers[at + 1]);
                return Registers { pc, sp, fp: 0 };
            }
            assert!(Instant::now() < deadline, "{text}");
            std::thread::yield_now();
        }
    }

    /// Lets the program open a library; the address of a function in it.
    fn map_more(&mut self) -> u64 {
        let mut input = self.child.stdin.take().expect("piped");
        input.write_all(b"\n").expect("it reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it writes");
        let digits = line.trim().strip_prefix("0x").expect("a pointer");
        u64::from_str_radix(digits, 16).expect("a pointer")
    }

    /// The program's own functions among these addresses.
    pub(super) fn names(&self, tables: &Tables, key: ProcessKey, pcs: &[u64]) -> Vec<String> {
        let bytes = std::fs::read(&self.path).expect("readable");
        let file = object::File::parse(&*bytes).expect("valid");
        let name = |pc: &u64| {
            let located = tables.locate(key, pc - 1)?;
            if &*located.mapping.path != self.path.as_os_str().as_encoded_bytes() {
                return None;
            }
            let address = located.static_address?;
            let symbol = file
                .symbols()
                .find(|symbol| (symbol.address()..symbol.address() + symbol.size()).contains(&address))?;
            Some(symbol.name().expect("UTF-8").to_owned())
        };
        pcs.iter().filter_map(name).collect()
    }
}

fn unwound(program: &Program) -> (Vec<String>, bool) {
    let mut maps = FakeMaps::new(CAPACITY);
    let mut tables = tables_of(CAPACITY);
    let tgid = program.child.id();
    let key = ProcessKey { tgid, incarnation: 1 };
    enter(&mut maps, &mut tables, key);
    let memory = ProcMemory::open(tgid).expect("the child is ours");
    let (pcs, is_complete) = unwind(&mut maps, &mut tables, key, &memory, program.registers());
    (program.names(&tables, key, &pcs), is_complete)
}

pub(super) const CHAIN: [&str; 4] = ["leaf", "realigned", "with_alloca", "with_frame"];

/// Checks that what these names have of the program's own functions is its call chain, from `main` on.
pub(super) fn assert_call_chain(names: &[String], what: &str) {
    let expected: Vec<_> = CHAIN.into_iter().chain(["main"]).collect();
    let names: Vec<_> = names
        .iter()
        .map(String::as_str)
        .filter(|name| expected.contains(name))
        .collect();
    assert_eq!(names, expected, "{what}");
}

#[test]
fn the_stack_of_a_program_without_frame_pointers_is_its_call_chain() {
    for options in [
        &["-no-pie"][..],
        &["-pie", "-fPIE"],
        &["-static", "-DSTATIC"],
        &["-O0"],
    ] {
        let (names, is_complete) = unwound(&Program::start("cc", options, "plain"));
        assert_call_chain(&names, &format!("{options:?}"));
        assert!(is_complete, "{options:?}");
    }
}

#[test]
fn the_stack_of_a_signal_handler_goes_on_below_the_signal() {
    let (names, is_complete) = unwound(&Program::start("cc", &[], "signal"));
    let expected: Vec<_> = CHAIN.into_iter().chain(["handler", "main"]).collect();
    let names: Vec<_> = names.iter().filter(|name| *name != "_start").collect();
    assert_eq!(names, expected);
    assert!(is_complete);
}

#[test]
fn the_stack_of_a_thread_ends_where_the_thread_begins() {
    let (names, is_complete) = unwound(&Program::start("cc", &[], "thread"));
    let expected: Vec<_> = CHAIN.into_iter().chain(["thread"]).collect();
    assert_eq!(names, expected);
    assert!(is_complete);
}

/// musl has no call frame information: its rules come from its code.
#[test]
fn stacks_of_programs_with_musl_are_their_call_chains_too() {
    if Command::new("musl-gcc").arg("-v").output().is_err() {
        let is_required = std::env::var_os("PYEBPF_REQUIRE_PYTHONS").is_some_and(|value| value == "1");
        assert!(!is_required, "musl-gcc is missing");
        println!("not tested: musl-gcc is missing");
        return;
    }
    for options in [&["-static", "-DSTATIC"][..], &["-pie", "-fPIE", "-DSTATIC"]] {
        for (argument, outer) in [
            ("plain", &["main"][..]),
            ("thread", &["thread"]),
            ("signal", &["handler", "main"]),
        ] {
            let (names, is_complete) = unwound(&Program::start("musl-gcc", options, argument));
            let expected: Vec<_> = CHAIN.iter().chain(outer).copied().collect();
            let own = |name: &&String| expected.contains(&name.as_str());
            let found: Vec<_> = names.iter().filter(own).collect();
            assert_eq!(found, expected, "{options:?} {argument}");
            assert!(is_complete, "{options:?} {argument}: {names:?}");
        }
    }
}

/// This process, and its libraries.
fn own() -> ProcessKey {
    ProcessKey {
        tgid: std::process::id(),
        incarnation: 7,
    }
}

/// Waits until nothing is left to be done.
pub(super) fn settle(maps: &mut FakeMaps, tables: &mut Tables) {
    let mut idle = 0;
    while idle < 100 {
        let before = tables.statistics().compiled;
        tables.pump(maps, 64).expect("cannot fail");
        idle = if tables.statistics().compiled == before {
            idle + 1
        } else {
            0
        };
        std::thread::sleep(Duration::from_millis(3));
    }
}

#[test]
fn small_files_of_a_process_are_loaded_before_a_sample_needs_them() {
    let mut maps = FakeMaps::new(CAPACITY);
    let mut tables = tables_of(CAPACITY);
    let space = enter(&mut maps, &mut tables, own());
    settle(&mut maps, &mut tables);
    let list = &maps.mappings[space.first_mapping as usize..][..space.mapping_count as usize];
    let libc = list
        .iter()
        .find(|mapping| {
            let located = tables.locate(own(), mapping.start).expect("in the list");
            located.mapping.path.ends_with(b"/libc.so.6")
        })
        .expect("this program uses glibc");
    assert_eq!(libc.kind, mapping_kind::TABLE);
    let first = libc.first_block as usize;
    let blocks = &maps.blocks[first..first + libc.block_count as usize];
    assert!(blocks.iter().all(|block| block.flags & BLOCK_LOADED != 0));
    let statistics = tables.statistics();
    assert_eq!(
        (statistics.needed, statistics.evicted, statistics.hopeless),
        (0, 0, 0)
    );
    assert!(
        statistics.rows > 20_000 && statistics.files >= 4,
        "{statistics:?}"
    );
}

#[test]
fn a_list_that_has_not_changed_costs_no_new_one_and_children_share_it() {
    let mut maps = FakeMaps::new(CAPACITY);
    let mut tables = tables_of(CAPACITY);
    let program = Program::start("cc", &[], "plain");
    let tgid = program.child.id();
    let key = ProcessKey { tgid, incarnation: 1 };
    let child = ProcessKey { tgid, incarnation: 2 };
    let space = enter(&mut maps, &mut tables, key);
    assert!(space.space != 0 && space.mapping_count >= 3);
    assert_eq!(enter(&mut maps, &mut tables, key), space);
    assert_eq!(tables.fork(key, child), Some(space));
    assert_eq!(tables.statistics().spaces, 1);
    tables.leave(key);
    assert_eq!(tables.space_of(child), Some(space));
    assert_eq!(enter(&mut maps, &mut tables, key), space, "same lines, same list");
    tables.leave(child);
    tables.leave(key);
    assert_eq!(tables.statistics().spaces, 0);
    let again = enter(&mut maps, &mut tables, key);
    assert_ne!(again.space, space.space, "a number is never given twice");
    assert_ne!(
        again.first_mapping, space.first_mapping,
        "the old list still rests"
    );
}

#[test]
fn code_that_was_mapped_later_is_found_when_a_sample_is_there() {
    let mut maps = FakeMaps::new(CAPACITY);
    let mut tables = tables_of(CAPACITY);
    let mut program = Program::start("cc", &[], "dlopen");
    let tgid = program.child.id();
    let key = ProcessKey { tgid, incarnation: 1 };
    let need = |tables: &mut Tables, pc: u64| tables.need(key, pc, NativeStatus::NoMapping);
    assert_eq!(
        need(&mut tables, 1),
        Needed::Nothing,
        "a process that nobody entered"
    );
    let mut unused = FakeMaps::new(CAPACITY);
    let space = enter(&mut unused, &mut tables, key);
    assert_eq!(need(&mut tables, 1), Needed::Look);
    tables.looked(key, 1);
    assert_eq!(need(&mut tables, 1), Needed::Nothing, "no code");
    let code = tables
        .locate(key, unused.mappings[0].start)
        .expect("in the list")
        .mapping
        .start;
    assert_eq!(
        need(&mut tables, code),
        Needed::List(space),
        "the kernel half has another list"
    );
    let pc = program.map_more();
    assert_eq!(
        need(&mut tables, pc),
        Needed::Nothing,
        "it was looked a moment ago"
    );
    std::thread::sleep(Duration::from_millis(1_050));
    assert_eq!(need(&mut tables, pc), Needed::Look);
    let new = enter(&mut maps, &mut tables, key);
    tables.looked(key, pc);
    assert!(new.space != space.space && new.mapping_count > space.mapping_count);
    let row = load(&mut maps, &mut tables, key, pc, false);
    assert_eq!(row.cfa_offset(), 8, "the first instruction of a function");
}

#[test]
fn with_few_pages_blocks_make_room_for_each_other_and_none_is_read_while_overwritten() {
    let capacity = Capacity {
        row_pages: 96,
        ..CAPACITY
    };
    let mut maps = FakeMaps::new(capacity);
    let mut tables = tables_of(capacity);
    let key = own();
    let space = enter(&mut maps, &mut tables, key);
    let libc = maps.mappings[space.first_mapping as usize..][..space.mapping_count as usize]
        .iter()
        .find(|mapping| {
            let located = tables.locate(key, mapping.start).expect("in the list");
            located.mapping.path.ends_with(b"/libc.so.6")
        })
        .copied()
        .expect("this program uses glibc");
    let path = {
        let located = tables.locate(key, libc.start).expect("in the list");
        String::from_utf8(located.mapping.path.to_vec()).expect("UTF-8")
    };
    let bytes = std::fs::read(path).expect("readable");
    let mut truth = FileTables::open(bytes).expect("supported");
    // `FakeMaps` panics when rows are written that can still be read.
    for pc in (libc.start..libc.end).step_by(0x8000) {
        let row = load(&mut maps, &mut tables, key, pc, false);
        let address = pc - libc.bias;
        let block = (address >> 16) as u32 - libc.text_block;
        let rows = truth.block(block).expect("readable").rows;
        let behind = rows.partition_point(|row| u64::from(row.start()) <= address & 0xffff);
        assert_eq!(row, rows[behind - 1].with_start(0), "{pc:#x}");
        let space = tables.space_of(key).expect("known");
        assert!(find(&maps, space, pc, false) == super::maps::Found::Row(row));
    }
    let statistics = tables.statistics();
    assert!(statistics.evicted > 5, "{statistics:?}");
    assert!(statistics.row_bytes <= 96 * 512);
}

#[test]
fn a_library_with_frame_pointers_is_known_by_its_code() {
    let directory = tempfile::tempdir().expect("temporary files");
    let source = directory.path().join("library.c");
    let function = |number: usize| {
        format!(
            "int f{number}(int x) {{ g(); for (int i = 0; i < x; i++) {{ g(); h(i); }} g(); return x + {number}; }}\n"
        )
    };
    let text: String = std::iter::once("void g(void); void h(int);\n".to_owned())
        .chain((0..400).map(function))
        .collect();
    std::fs::write(&source, text).expect("writable");
    for (option, expected) in [("-fno-omit-frame-pointer", true), ("-fomit-frame-pointer", false)] {
        let path = directory.path().join("library.so");
        let status = Command::new("cc")
            .args([
                "-O2",
                "-shared",
                "-fPIC",
                "-nostartfiles",
                "-Wl,-z,separate-code",
                option,
                "-o",
            ])
            .args([&path, &source])
            .status()
            .expect("there is a C compiler");
        assert!(status.success());
        let bytes = std::fs::read(&path).expect("readable");
        let mut tables = FileTables::open(bytes).expect("supported");
        let block = tables.block(0).expect("readable");
        assert_eq!(block.frame_pointers, expected, "{option}");
        assert!(block.rows.len() > 400);
        let with_frame = block
            .rows
            .iter()
            .filter(|row| row.with_start(0) == Row::FRAME_POINTER)
            .count();
        assert_eq!(with_frame >= 400, expected, "{option}: {with_frame}");
    }
}
