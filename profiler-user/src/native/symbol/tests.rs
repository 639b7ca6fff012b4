//! Names of the functions of real programs, through a real worker. The programs say themselves where they are.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

mod descriptors;
mod program;

use self::program::{Program, Running, perf_map_names, text};
use super::client::Client;
use super::symbolizer::FILES;
use super::*;
use crate::cache::Cache;
use crate::elf::ElfFile;
use crate::ids::ProcessKey;
use crate::inspect::Opener;

fn symbolizer() -> NativeSymbolizer {
    NativeSymbolizer::new(Opener::start().expect("a thread"))
}

/// Prints two addresses: after a call in code that was inlined twice, and of a call of a library.
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
const WITH_LINES: &str =
    "lib::Box<int>::innermost (program.cpp:8) in middle (program.cpp:14) in lib::outer (program.cpp:19)";

/// The names at the address that the program prints.
fn names(program: &Program) -> String {
    program.start().names(&mut symbolizer())
}

#[test]
fn inlined_functions_are_named_innermost_first_with_the_lines_of_their_calls() {
    for options in [
        &["-g"][..],
        &["-g", "-gdwarf-4"],
        &["-g", "-gz=zlib"],
        &["-g", "-no-pie"],
        &["-g", "-fuse-ld=gold"],
    ] {
        let program = Program::compile(INLINES, options);
        assert_eq!(names(&program), WITH_LINES, "{options:?}");
    }
}

/// What is left when the symbol table is all there is.
const WITHOUT_LINES: &str = "lib::outer (program)";

/// Moves the debug information of `program` into `program.debug`.
fn split(program: &Program) {
    program.run("objcopy", &["--only-keep-debug", "program", "program.debug"]);
    program.run("strip", &["program"]);
}

#[test]
fn code_without_a_symbol_is_not_given_its_neighbours_name() {
    let exported = "#include <stdio.h>\n#include <unistd.h>\n\
        extern \"C\" __attribute__((noinline)) void *exported() { asm volatile(\"\"); return 0; }\n\
        __attribute__((noinline)) static void *hidden() { return __builtin_return_address(0); }\n\
        __attribute__((noinline)) static void *after() { void *p = hidden(); asm volatile(\"\"); return p; }\n\
        int main(int n, char **) { if (n > 9) exported(); printf(\"%p\\n\", after()); fflush(stdout); pause(); }\n";
    let program = Program::compile(exported, &["-rdynamic", "-fno-toplevel-reorder"]);
    assert_eq!(names(&program), "after (program)");
    program.run("strip", &["program"]);
    let running = program.start();
    let (file, place) = running.place(running.address - 1);
    let result = &symbolizer().resolve_all(&[(&file, place)])[0];
    assert_eq!(result, &Err(NativeUnresolved::NoSymbol));
    let frame = NativeUnresolved::NoSymbol.frame(Some(file.module()), crate::profile::FrameKind::Native);
    assert_eq!(frame.name, "[program]");
}

#[test]
fn a_function_is_called_what_its_callers_call_it() {
    let source = "#include <stdio.h>\n#include <unistd.h>\n\
        extern \"C\" __attribute__((noinline)) void *__lib_work() { return __builtin_return_address(0); }\n\
        extern \"C\" void *work() __attribute__((weak, alias(\"__lib_work\")));\n\
        int main() { printf(\"%p\\n\", (char *)work + 1); work(); fflush(stdout); pause(); }\n";
    for options in [&["-rdynamic"][..], &["-rdynamic", "-g"], &["-rdynamic", "-s"]] {
        let program = Program::compile(source, options);
        let name = names(&program);
        assert!(
            name == "work (program)" || name == "work (program.cpp:3)",
            "{options:?}: {name}"
        );
    }
}

#[test]
fn a_place_outside_of_the_file_is_not_code() {
    let program = Program::compile(INLINES, &[]);
    let running = program.start();
    let (file, _) = running.place(running.address);
    for place in [CodePosition::Offset(u64::MAX), CodePosition::Offset(1 << 40)] {
        let result = symbolizer().resolve_all(&[(&file, place)]);
        assert_eq!(result, [Err(NativeUnresolved::NotCode)]);
    }
    for place in [CodePosition::Address(u64::MAX), CodePosition::Address(0)] {
        let result = symbolizer().resolve_all(&[(&file, place)]);
        assert_eq!(result, [Err(NativeUnresolved::NoSymbol)]);
    }
}

#[test]
fn a_debug_link_leads_to_the_file_with_the_same_build_id_however_it_is_compressed() {
    for compression in ["none", "zlib", "zstd"] {
        let program = Program::compile(INLINES, &["-g"]);
        let compress = format!("--compress-debug-sections={compression}");
        program.run("objcopy", &[&compress, "program"]);
        assert_eq!(names(&program), WITH_LINES, "{compression}");
        split(&program);
        assert_eq!(names(&program), "NoSymbol", "nothing names the debug file yet");
        program.run("objcopy", &["--add-gnu-debuglink=program.debug", "program"]);
        assert_eq!(names(&program), WITH_LINES, "{compression}");
    }
    let program = Program::compile(INLINES, &["-g"]);
    split(&program);
    program.run("objcopy", &["--add-gnu-debuglink=program.debug", "program"]);
    let script = "mv program.debug its.debug && ln -s its.debug program.debug";
    program.run("sh", &["-c", script]);
    assert_eq!(names(&program), "NoSymbol", "a link leads to a file of anybody's");
    program.run("rm", &["program.debug"]);
    let other = Program::compile(&INLINES.replace("outer", "other"), &["-g"]);
    std::fs::copy(other.path(), program.folder.path().join("program.debug")).expect("writable");
    assert_eq!(names(&program), "NoSymbol", "of another build");
}

#[test]
fn a_compressed_section_that_becomes_more_or_less_than_it_says_costs_the_lines_alone() {
    for (compression, claim) in [
        ("zlib", 16u64),
        ("zlib", 1 << 27),
        ("zstd", 16),
        ("zstd", 1 << 27),
    ] {
        let program = Program::compile(INLINES, &["-g"]);
        let compress = format!("--compress-debug-sections={compression}");
        program.run("objcopy", &[&compress, "program"]);
        let mut bytes = std::fs::read(program.path()).expect("own file");
        let file = ElfFile::open(bytes.clone().into(), 1 << 30).expect("a program");
        let sections = file.section_table().expect("it has sections");
        let info = sections.find(b".debug_info").expect("compiled with -g");
        assert!(info.is_compressed(), "{compression}");
        // `ch_size`, behind the kind and a reserved word.
        let at = info.offset as usize + 8;
        bytes[at..at + 8].copy_from_slice(&claim.to_le_bytes());
        std::fs::write(program.path(), bytes).expect("own file");
        assert_eq!(names(&program), WITHOUT_LINES, "{compression}, {claim}");
    }
}

#[test]
fn without_a_build_id_the_debug_file_must_have_the_checksum_of_the_link() {
    let program = Program::compile(INLINES, &["-g", "-Wl,--build-id=none"]);
    split(&program);
    program.run("objcopy", &["--add-gnu-debuglink=program.debug", "program"]);
    std::fs::create_dir(program.folder.path().join(".debug")).expect("writable");
    program.run("mv", &["program.debug", ".debug/program.debug"]);
    assert_eq!(names(&program), WITH_LINES);
    program.run("sh", &["-c", "echo >> .debug/program.debug"]);
    assert_eq!(names(&program), "NoSymbol");
}

#[test]
fn symbols_that_were_compressed_into_the_stripped_file_are_found() {
    let program = Program::compile(INLINES, &[]);
    program.run("objcopy", &["--only-keep-debug", "program", "mini"]);
    program.run("xz", &["mini"]);
    program.run("strip", &["program"]);
    program.run("objcopy", &["--add-section", ".gnu_debugdata=mini.xz", "program"]);
    assert_eq!(names(&program), WITHOUT_LINES);
}

#[test]
fn a_deleted_file_keeps_its_names() {
    let program = Program::compile(INLINES, &["-g"]);
    let running = program.start();
    std::fs::remove_file(program.path()).expect("own file");
    assert_eq!(running.names(&mut symbolizer()), WITH_LINES);
}

#[test]
fn a_debug_file_is_found_beneath_the_root_of_a_process_in_another_mount_namespace() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: needs root");
        return;
    }
    let program = Program::compile(INLINES, &["-g", "-static"]);
    split(&program);
    let folder = program.folder.path();
    // The debug file's place is spelled by its build-id.
    let script = "id=$(readelf -n program | sed -n 's/.*Build ID: //p') && mkdir root && mount -t tmpfs none root && \
        mkdir -p root/usr/lib/debug/.build-id/${id%${id#??}} && cp program root/hidden && \
        mv program.debug root/usr/lib/debug/.build-id/${id%${id#??}}/${id#??}.debug && exec chroot root /hidden";
    let mut command = Command::new("unshare");
    let running = Running::start(command.args(["--mount", "sh", "-c", script]).current_dir(folder));
    assert!(
        !folder.join("root/hidden").exists(),
        "it is only in that namespace"
    );
    assert_eq!(running.names(&mut symbolizer()), WITH_LINES);
}

#[test]
fn stubs_of_the_linkage_table_are_named_by_what_they_call() {
    // The address of a function of another file, taken by a program at a fixed address, is that of its stub.
    let source = "#include <stdio.h>\n#include <unistd.h>\n\
        int main() { printf(\"%p\\n\", (void *)&getppid); fflush(stdout); pause(); }\n";
    for options in [
        &["-no-pie", "-fno-pie"][..],
        &["-no-pie", "-fno-pie", "-fcf-protection", "-Wl,-z,ibtplt"],
    ] {
        let program = Program::compile(source, options);
        program.run("strip", &["program"]);
        let running = program.start();
        let (file, place) = running.place(running.address);
        let result = &symbolizer().resolve_all(&[(&file, place)])[0];
        assert_eq!(text(result), "getppid@plt (program)", "{options:?}");
    }
}

#[test]
fn the_image_that_the_kernel_maps_has_names() {
    let program = Program::compile(INLINES, &[]);
    let running = program.start();
    let maps = running.maps();
    let vdso = maps
        .iter()
        .find(|mapping| &*mapping.path() == b"[vdso]")
        .expect("every process has it");
    let file = running.file_at(&vdso);
    // Every function of it, one by one: their addresses are their offsets.
    let places: Vec<_> = (0..vdso.end - vdso.start)
        .step_by(16)
        .map(|at| (&file, CodePosition::Offset(at)))
        .collect();
    let results = symbolizer().resolve_all(&places);
    let found: HashSet<String> = results.iter().filter(|result| result.is_ok()).map(text).collect();
    assert!(
        found.contains("__vdso_clock_gettime ([vdso])") || found.contains("clock_gettime ([vdso])"),
        "{found:?}"
    );
}

/// Debug information whose inlined functions are nested a million deep: to read it takes a stack as deep.
const NESTED: &str = r#"
    .section .debug_abbrev,"",@progbits
    .uleb128 1, 0x11
    .byte 1
    .uleb128 0x11, 1, 0x12, 7, 0x10, 0x17, 0, 0
    .uleb128 2, 0x2e
    .byte 1
    .uleb128 0x3, 8, 0x11, 1, 0x12, 7, 0, 0
    .uleb128 3, 0x1d
    .byte 1
    .uleb128 0, 0
    .byte 0
    .section .debug_info,"",@progbits
    .long 2f - 1f
1:  .short 4
    .long 0
    .byte 8
    .uleb128 1
    .quad main
    .quad 4096
    .long 0
    .uleb128 2
    .asciz "forged"
    .quad main
    .quad 4096
    .fill 1000000, 1, 3
    .fill 1000002, 1, 0
2:
    .text
    .file 1 "forged.c"
    .loc 1 1
"#;

#[test]
fn debug_information_that_kills_its_reader_costs_only_the_lines() {
    let source = INLINES.replace("int main()", &format!("asm(R\"({NESTED})\");\nint main()"));
    let program = Program::compile(&source, &["-no-pie", "-fno-toplevel-reorder"]);
    let running = program.start();
    let mut symbolizer = symbolizer();
    // The program prints an address of `outer`, which the forged function does not cover.
    let main = running.address - 1;
    let (file, place) = running.place(main);
    let step = |by: u64| match place {
        CodePosition::Offset(offset) => CodePosition::Offset(offset + by),
        CodePosition::Address(address) => CodePosition::Address(address + by),
    };
    let places: Vec<_> = (0..64).map(|by| (&file, step(by))).collect();
    let results = symbolizer.resolve_all(&places);
    assert!(
        symbolizer.client.generation() > 1,
        "the worker survived: {results:?}"
    );
    assert_eq!(text(&results[0]), WITHOUT_LINES);
    assert!(
        results.iter().any(|result| text(result) == "main (program)"),
        "{results:?}"
    );
    // Other files are not held responsible.
    assert_eq!(
        Program::compile(INLINES, &["-g"]).start().names(&mut symbolizer),
        WITH_LINES
    );
}

#[test]
fn without_a_worker_there_are_reasons_instead_of_names() {
    let program = Program::compile(INLINES, &[]);
    let running = program.start();
    let mut symbolizer = NativeSymbolizer::with_role("no such role", Opener::start().expect("a thread"));
    assert_eq!(running.names(&mut symbolizer), "SymbolizerFailed");
    for _ in 0..10 {
        symbolizer.files = Cache::new(FILES);
        running.names(&mut symbolizer);
    }
    symbolizer.files = Cache::new(FILES);
    let workers = symbolizer.client.generation();
    assert_eq!(running.names(&mut symbolizer), "SymbolizerResting");
    assert_eq!(symbolizer.client.generation(), workers, "none was started");
}

#[test]
fn a_worker_that_does_not_answer_is_ended() {
    let program = Program::compile(INLINES, &[]);
    let running = program.start();
    let mut symbolizer = symbolizer();
    let deaf = Client::new(crate::workers::DEAF.name);
    symbolizer.client = deaf.with_deadline(std::time::Duration::from_millis(50));
    assert_eq!(running.names(&mut symbolizer), "SymbolizerFailed");
    assert_eq!(
        symbolizer.client.generation(),
        2,
        "a second one, for less of the file"
    );
}

#[test]
fn a_worker_that_was_asked_to_end_is_replaced_and_no_file_blamed() {
    let program = Program::compile(INLINES, &["-g"]);
    let mut symbolizer = symbolizer();
    let other = Program::compile(&INLINES.replace("outer", "other"), &["-g"]);
    assert_eq!(
        other.start().names(&mut symbolizer),
        WITH_LINES.replace("outer", "other")
    );
    let worker = symbolizer.client.worker_pid().expect("it answered");
    // As systemd does to all processes of a service.
    let worker = rustix::process::Pid::from_raw(i32::try_from(worker).expect("a process id")).expect("not 0");
    rustix::process::kill_process(worker, rustix::process::Signal::TERM).expect("own child");
    assert_eq!(program.start().names(&mut symbolizer), WITH_LINES);
    assert_eq!(symbolizer.client.generation(), 2);
}

#[test]
fn debug_information_that_claims_to_be_larger_than_memory_costs_only_the_lines() {
    let program = Program::compile(INLINES, &["-g", "-gz=zlib"]);
    assert_eq!(names(&program), WITH_LINES);
    let mut bytes = std::fs::read(program.path()).expect("own file");
    // `Elf64_Chdr`: type 1, the size, the alignment; then a zlib stream.
    let is_header = |window: &[u8]| window[..8] == [1, 0, 0, 0, 0, 0, 0, 0] && window[24..26] == [0x78, 0x9c];
    let headers: Vec<usize> = (0..bytes.len() - 26)
        .filter(|at| is_header(&bytes[*at..*at + 26]))
        .collect();
    assert!(headers.len() > 2, "{headers:?}");
    for at in headers {
        bytes[at + 8..at + 16].copy_from_slice(&(1u64 << 45).to_le_bytes());
    }
    std::fs::write(program.path(), bytes).expect("own file");
    assert_eq!(names(&program), WITHOUT_LINES);
}

#[test]
fn damaged_files_have_names_or_reasons() {
    let program = Program::compile(INLINES, &["-g"]);
    let intact = std::fs::read(program.path()).expect("own file");
    let mut symbolizer = symbolizer();
    // The same every time; any bytes at all are for the fuzz target.
    let mut random = 1u64;
    let mut next = |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    for _ in 0..100 {
        let mut bytes = intact.clone();
        for _ in 0..20 {
            let at = next(bytes.len());
            bytes[at] = u8::try_from(next(256)).expect("below 256");
        }
        let file = CodeFile::of_bytes("test", &bytes);
        let places: Vec<_> = (0..64)
            .map(|_| (&file, CodePosition::Offset(next(bytes.len()) as u64)))
            .collect();
        assert_eq!(symbolizer.resolve_all(&places).len(), places.len());
    }
    assert_eq!(
        program.start().names(&mut symbolizer),
        WITH_LINES,
        "and the others keep theirs"
    );
}

#[test]
fn a_second_process_with_the_same_file_asks_nobody() {
    let program = Program::compile(INLINES, &["-g", "-no-pie"]);
    let mut symbolizer = symbolizer();
    assert_eq!(program.start().names(&mut symbolizer), WITH_LINES);
    symbolizer.client = Client::new("no such role");
    assert_eq!(program.start().names(&mut symbolizer), WITH_LINES);
    assert_eq!(symbolizer.client.generation(), 0);
}

#[test]
fn equal_copies_of_a_file_share_their_names() {
    let program = Program::compile(INLINES, &["-g"]);
    let mut symbolizer = symbolizer();
    program.start().names(&mut symbolizer);
    let copy = program.folder.path().join("copy");
    std::fs::create_dir(&copy).expect("writable");
    std::fs::copy(program.path(), copy.join("program")).expect("writable");
    let running = Running::start(&mut Command::new(copy.join("program")));
    assert_eq!(running.names(&mut symbolizer), WITH_LINES);
    assert_eq!((symbolizer.contents.len(), symbolizer.loaded.len()), (1, 2));
}

#[test]
fn a_file_that_is_no_elf_file_is_refused_once_and_for_all() {
    let program = Program::compile(INLINES, &[]);
    let running = program.start();
    let maps = running.maps();
    let mut symbolizer = symbolizer();
    // Any file can be mapped executable; this one claims to be a program.
    for (content, reason) in [
        (&b"no ELF file"[..], NativeUnresolved::NotElf),
        (b"", NativeUnresolved::NotElf),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", NativeUnresolved::NotElf),
    ] {
        let file = CodeFile::of_bytes("test", content);
        let result = symbolizer.resolve_all(&[
            (&file, CodePosition::Address(1)),
            (&file, CodePosition::Offset(1)),
        ]);
        assert_eq!(result, [Err(reason), Err(reason)]);
    }
    drop(maps);
}

#[test]
fn functions_of_cpythons_perf_map_are_named_while_it_runs() {
    let script = "import os, time\ndef traced(): return open(f'/tmp/perf-{os.getpid()}.map').read()\n\
        line = [l for l in traced().splitlines() if 'py::traced:' in l][0]\n\
        print(line.split()[0], flush=True)\ntime.sleep(1000)\n";
    for python in crate::language::python::code::pythons::installed([12, 13]) {
        assert_perf_map_named(&python.program, script);
    }
}

fn assert_perf_map_named(python: &Path, script: &str) {
    let running = Running::start(Command::new(python).args(["-X", "perf", "-c", script]));
    let pid = running.child.id();
    let mut symbolizer = symbolizer();
    let results = perf_map_names(&mut symbolizer, running.key(), &[running.address, 1]);
    std::fs::remove_file(format!("/tmp/perf-{pid}.map")).expect("own child's file");
    assert_eq!(text(&results[0]), "py::traced (<string>)");
    assert_eq!(results[1], Err(NativeUnresolved::NotInPerfMap));
    let other = ProcessKey {
        tgid: std::process::id(),
        incarnation: 1,
    };
    let results = perf_map_names(&mut symbolizer, other, &[running.address]);
    assert_eq!(results, [Err(NativeUnresolved::JitWithoutMap)]);
}

#[test]
fn a_link_in_place_of_a_perf_map_is_not_followed() {
    let folder = tempfile::tempdir().expect("a writable temporary directory");
    let target = folder.path().join("secret");
    std::fs::write(&target, "1000 10 secret\n").expect("writable");
    let program = Program::compile(INLINES, &[]);
    let running = program.start();
    let path = format!("/tmp/perf-{}.map", running.child.id());
    std::os::unix::fs::symlink(&target, &path).expect("writable");
    let named = perf_map_names(&mut symbolizer(), running.key(), &[0x1008]);
    std::fs::remove_file(&path).expect("own link");
    assert_eq!(named, [Err(NativeUnresolved::JitWithoutMap)]);
}
