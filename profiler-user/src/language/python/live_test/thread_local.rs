//! Thread states in thread-local variables (3.15), from the file over the loader's words to each thread: real
//! interpreters, and a library in every TLS model that compilers have.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use profiler_common::contract::process::DynamicThreadVector;
use profiler_common::memory::{Memory as _, RemoteAddr};

use super::target::Target;
use crate::elf::Architecture;
use crate::language::python::lookup::thread_local::{ThreadLocal, resolve};
use crate::language::python::lookup::thread_specific::dynamic_thread_vector;
use crate::language::python::recognise::analysis::{Implementation, Libc, analyze};
use crate::language::python::recognise::anchors::TlsVariable;
use crate::language::python::recognise::loader::load_bias;
use crate::language::python::test_support::{not_tested, unpacked_files};
use crate::proc::maps::Maps;
use crate::proc::memory::ProcMemory;

/// A thread of a program: its thread pointer, and its thread state as the program says.
type Truth = (u64, u64);

/// The variable of the file that `target` has mapped, and where it is in the process.
fn locate(target: &Target, file: &Path) -> (TlsVariable, ThreadLocal) {
    let analysis = analyze(std::fs::File::open(file).expect("it runs")).expect("it runs");
    let Some(Implementation::CPython(python)) = analysis.interpreter else {
        unreachable!("{} is no CPython", file.display());
    };
    let variable = python.anchors.gilstate_tls.expect("a thread-local thread state");
    let maps = Maps::read(target.pid()).expect("it runs");
    let name = file.file_name().expect("a file");
    let mapping = maps
        .iter()
        .find(|mapping| mapping.executable && mapping.path().ends_with(name.as_bytes()))
        .expect("it is mapped");
    let bias = load_bias(&maps, &mapping, &analysis.segments).expect("it is mapped");
    let memory = ProcMemory::open(target.pid()).expect("it runs");
    let found = resolve(variable, bias, &memory).expect("its data is mapped");
    (variable, found.expect("it is loaded"))
}

/// The thread state of a thread; 0 where it has no block.
fn read(target: &Target, place: ThreadLocal, thread_pointer: u64) -> u64 {
    let memory = ProcMemory::open(target.pid()).expect("it runs");
    let word = |address: u64| {
        let mut words = [0];
        memory
            .read_words(RemoteAddr(address), &mut words)
            .expect("mapped");
        words[0]
    };
    match place {
        ThreadLocal::FromThreadPointer(offset) => word(thread_pointer.wrapping_add_signed(offset)),
        ThreadLocal::InModule { module, offset } => {
            let how = vector();
            let vector = word(thread_pointer.wrapping_add_signed(how.offset.into()));
            let module = u64::from(module);
            if module > word(vector.wrapping_add_signed(how.length_offset.into())) {
                return 0;
            }
            match word(vector + module * u64::from(how.stride)) {
                0 | u64::MAX => 0,
                block => word(block + offset),
            }
        }
    }
}

fn vector() -> DynamicThreadVector {
    let architecture = if cfg!(target_arch = "aarch64") {
        Architecture::Aarch64
    } else {
        Architecture::X86_64
    };
    dynamic_thread_vector(architecture, Libc::Glibc).expect("supported")
}

fn truth(line: &str) -> Truth {
    let (thread_pointer, state) = line.split_once(' ').expect("two numbers");
    (
        thread_pointer.parse().expect("a number"),
        state.parse().expect("a number"),
    )
}

fn build(arguments: &[&str], source: &str, to: &Path) -> bool {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/language/python/live_test")
        .join(source);
    let output = Command::new("cc")
        .args(arguments)
        .arg("-o")
        .arg(to)
        .arg(source)
        .args(["-ldl", "-lpthread"])
        .output();
    match output {
        Ok(output) => {
            if !output.status.success() {
                eprintln!("{}", String::from_utf8_lossy(&output.stderr));
            }
            output.status.success()
        }
        Err(_) => false,
    }
}

/// Compares the states of the three threads of `holder.c`.
fn assert_holder(program: &Path, library: Option<&Path>, file: &Path, what: &str) -> TlsVariable {
    let mut target = Target::start(Command::new(program).args(library));
    let threads: Vec<Truth> = target.lines(3).iter().map(|line| truth(line)).collect();
    let (variable, place) = locate(&target, file);
    let mut states: Vec<u64> = threads.iter().map(|thread| thread.1).collect();
    for (thread_pointer, state) in threads {
        assert_eq!(
            read(&target, place, thread_pointer),
            state,
            "{what}: {variable:?}, {place:?}"
        );
    }
    states.sort_unstable();
    assert_eq!(states, [0, 0x1111, 0x2222], "{what}");
    println!("{what}: {variable:x?} is {place:x?}");
    variable
}

#[test]
fn a_library_in_every_tls_model_is_read_when_linked_and_when_loaded_later() {
    let directory = tempfile::tempdir().expect("a writable temporary directory");
    let in_directory = |name: &str| directory.path().join(name);
    if !build(&["-O2"], "holder.c", &in_directory("holder")) {
        return not_tested("TLS models: no C compiler");
    }
    let models: [(&str, &[&str]); 6] = [
        ("general dynamic", &[]),
        (
            "local dynamic, not optimised",
            &["-O0", "-ftls-model=local-dynamic"],
        ),
        ("through the global offset table alone", &["-fno-plt"]),
        ("initial-exec", &["-ftls-model=initial-exec"]),
        ("TLS descriptors", &["-mtls-dialect=gnu2"]),
        (
            "TLS descriptors of a large block",
            &["-mtls-dialect=gnu2", "-DFILLER=65536"],
        ),
    ];
    for (index, (model, flags)) in models.iter().enumerate() {
        let library = in_directory(&format!("libholder{index}.so"));
        let arguments: Vec<&str> = ["-O2", "-fPIC", "-shared", "-fvisibility=hidden"]
            .iter()
            .chain(*flags)
            .copied()
            .collect();
        assert!(build(&arguments, "thread_local.c", &library), "{model}");
        let linked = in_directory(&format!("linked{index}"));
        let path = directory.path().to_str().expect("UTF-8");
        let run_path = format!("-Wl,-rpath,{path}");
        let name = format!("-lholder{index}");
        // The library after the object that needs it.
        let arguments = ["-DLINKED", "-L", path, &run_path, "-Wl,--no-as-needed", &name];
        assert!(build(&arguments, "holder.c", &linked), "{model}");
        for (program, loaded) in [
            (&linked, None),
            (&in_directory("holder"), Some(library.as_path())),
        ] {
            let what = if loaded.is_some() {
                "loaded later"
            } else {
                "linked"
            };
            assert_holder(program, loaded, &library, &format!("{model}, {what}"));
        }
    }
}

#[test]
fn a_program_is_read_at_the_distance_that_its_code_and_its_symbols_give() {
    let directory = tempfile::tempdir().expect("a writable temporary directory");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/language/python/live_test/thread_local.c");
    let source = source.to_str().expect("UTF-8");
    for (index, flags) in [&["-O2"][..], &["-O0"], &["-O2", "-no-pie", "-fno-pie"]]
        .into_iter()
        .enumerate()
    {
        let program = directory.path().join(format!("program{index}"));
        let arguments: Vec<&str> = flags
            .iter()
            .copied()
            .chain(["-DLINKED", "-rdynamic", source])
            .collect();
        if !build(&arguments, "holder.c", &program) {
            return not_tested("TLS models: no C compiler");
        }
        let variable = assert_holder(&program, None, &program, &flags.join(" "));
        assert!(
            matches!(variable, TlsVariable::FromThreadPointer(_)),
            "{variable:?}"
        );
    }
}

/// Two threads that say where they are and which thread state they have.
const REPORT: &str = "import ctypes, sys, threading, time\n\
    get = ctypes.pythonapi.PyGILState_GetThisThreadState\n\
    get.restype = ctypes.c_void_p\n\
    def report():\n    sys.stdout.write('%d %d\\n' % (threading.get_ident(), get())); sys.stdout.flush(); time.sleep(1000)\n\
    threading.Thread(target=report, daemon=True).start()\nreport()\n";

/// The interpreters of 3.15 and later that were unpacked, in their own roots.
#[test]
fn real_interpreters_have_the_thread_state_that_they_report() {
    let mut compared = 0;
    for file in unpacked_files() {
        let Ok(analysis) = analyze(std::fs::File::open(&file).expect("just listed")) else {
            continue;
        };
        let is_new = |python: &Implementation| match python {
            Implementation::CPython(python) => python.anchors.gilstate_tls.is_some(),
            Implementation::PyPy => false,
        };
        let root = file.ancestors().find(|folder| folder.ends_with("root"));
        let (true, Some(root)) = (analysis.interpreter.as_ref().is_some_and(is_new), root) else {
            continue;
        };
        let directory = tempfile::tempdir_in(root.join("tmp")).expect("a root that is ours");
        std::fs::write(directory.path().join("report.py"), REPORT).expect("writable");
        let inside = |path: &Path| Path::new("/").join(path.strip_prefix(root).expect("in it"));
        let script = inside(&directory.path().join("report.py"));
        let mut command = Command::new("chroot");
        command.arg(root);
        if analysis.is_program {
            command.arg(inside(&file)).arg(script);
        } else {
            let embed = directory.path().join("embed");
            if !build(&["-O2"], "embed.c", &embed) {
                not_tested("embedding: no C compiler");
                continue;
            }
            command.arg(inside(&embed)).arg(inside(&file)).arg(script);
        }
        let mut target = Target::start(&mut command);
        if !analysis.is_program {
            target.line();
            target.say("go on");
        }
        let threads: Vec<Truth> = target.lines(2).iter().map(|line| truth(line)).collect();
        let (variable, place) = locate(&target, &file);
        for (thread_pointer, state) in threads {
            assert_eq!(
                read(&target, place, thread_pointer),
                state,
                "{}: {variable:?}, {place:?}",
                file.display()
            );
        }
        println!("{}: {variable:x?} is {place:x?}", file.display());
        compared += 1;
    }
    if compared == 0 {
        not_tested("thread states of 3.15: `cargo xtask pythons` obtains it");
    }
}
