//! Files at rest cost no descriptor.

use std::path::Path;
use std::process::Command;

use super::program::{Program, Running, code_file, text};
use super::symbolizer;
use crate::inspect::code_maps::CodeMaps;
use crate::native::symbol::{CodeFile, CodePosition};
use crate::proc::maps::Maps;

const LIBRARIES: usize = 500;

/// Opens every library of a folder, then tells the address of its own first function.
const OPENER: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
int main(int n, char **arguments) {
    for (int i = 0; i < 500; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/lib%d.so", arguments[1], i);
        if (!dlopen(path, RTLD_NOW | RTLD_LOCAL)) { puts(dlerror()); return 1; }
    }
    printf("%p\n", (void *)main);
    fflush(stdout);
    pause();
}
"#;

/// Descriptors of this process that lead into a folder.
fn descriptors_into(folder: &Path) -> usize {
    let all = std::fs::read_dir("/proc/self/fd").expect("this process");
    let leads_there = |target: std::path::PathBuf| target.starts_with(folder);
    all.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| leads_there(target.clone()))
        .count()
}

/// The file of each library of `folder`, and where its function is.
fn libraries(running: &Running, folder: &Path, offset: u64) -> Vec<(CodeFile, CodePosition)> {
    let maps: Maps = running.maps();
    let found = CodeMaps::default().of_process(running.child.id(), None);
    let space = found.expect("it runs").expect("new");
    let code = maps.iter().filter(|mapping| mapping.executable);
    code.filter(|mapping| mapping.file_path().starts_with(folder) && mapping.file_name().starts_with(b"lib"))
        .map(|mapping| {
            let file = code_file(&space, &mapping).expect("a file");
            (file, CodePosition::Offset(offset))
        })
        .collect()
}

#[test]
fn five_hundred_libraries_do_not_take_five_hundred_descriptors() {
    let program = Program::compile(OPENER, &["-ldl"]);
    let folder = program.folder.path().canonicalize().expect("it is there");
    std::fs::write(
        folder.join("function.cpp"),
        "extern \"C\" int named(int x) { return x + 1; }",
    )
    .expect("writable");
    program.run(
        "g++",
        &["-shared", "-fPIC", "-O1", "-o", "lib0.so", "function.cpp"],
    );
    let library = std::fs::read(folder.join("lib0.so")).expect("just built");
    for number in 1..LIBRARIES {
        std::fs::write(folder.join(format!("lib{number}.so")), &library).expect("writable");
    }
    let offset = {
        use object::{Object as _, ObjectSymbol as _};
        let file = object::File::parse(&*library).expect("valid");
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok("named"));
        // Small libraries are loaded as they are.
        symbol.expect("just compiled").address()
    };
    let running = Running::start(Command::new(program.path()).arg(&folder));
    let files = libraries(&running, &folder, offset);
    assert_eq!(files.len(), LIBRARIES);
    let requests: Vec<_> = files.iter().map(|(file, position)| (file, *position)).collect();
    let mut asked = symbolizer();
    for (result, (file, _)) in asked.resolve_all(&requests).iter().zip(&files) {
        assert_eq!(text(result), format!("named ({})", file.module()));
    }
    assert_eq!(descriptors_into(&folder), 0);
    // The process is gone; the paths are not.
    drop(running);
    let mut again = symbolizer();
    let named = again.resolve_all(&requests);
    assert_eq!(named.iter().filter(|result| result.is_ok()).count(), LIBRARIES);
}
