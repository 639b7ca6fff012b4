//! What native frames cost: nanoseconds of one in the kernel half, by tables and by frame pointers; tables of files of all
//! sizes; stacks that are complete.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use profiler_common::contract::benchmark::Timed;
use pyebpf::inspect::Opener;
use pyebpf::inspect::code_maps::CodeMaps;
use pyebpf::kernel::{Kernel, Native};
use pyebpf::native::unwind::{Capacity, FileTables, Tables};
use pyebpf::processes::filter::Filter;
use pyebpf::processes::tracker::{Target, Tracker};

use super::kernel_half::{Histograms, options};
use super::median;
use super::workload::Spin;
use crate::profiler;
use crate::python::Python;

/// Samples per second.
const RATE_HZ: u32 = 997;
/// C functions on the stack, without those of the interpreter: the difference of times is that of the frames between. All
/// fit into one block, which is what is timed.
const DEPTHS: [u32; 2] = [4, 36];
/// Alternations of the two ways to unwind.
const ROUNDS: usize = 5;
/// Functions beside the one that is measured.
const OTHER_FUNCTIONS: u32 = 700;
/// Room for everything that a small process maps.
pub(super) const CAPACITY: Capacity = Capacity {
    mappings: 4096,
    blocks: 16_384,
    row_pages: 16_384,
};

/// The same functions, with and without frame pointers.
const DEEP: &str = "
#include <time.h>
static volatile unsigned long sink;
__attribute__((noinline)) int deep(int depth, int seconds)
{
    if (depth > 0) {
        int below = deep(depth - 1, seconds);
        sink += below;
        return below + 1;
    }
    for (time_t end = time(0) + seconds; time(0) < end;)
        for (int i = 0; i < 1000; i++)
            sink += i;
    return 0;
}
";

/// All rows.
pub(super) fn run(window: Duration) -> anyhow::Result<()> {
    let python = super::pythons().find(|python| (python.version.0, python.version.1) == (3, 13));
    let python = python.context("no CPython 3.13 in tests/pythons.toml")?;
    frames(python, window)?;
    tables()?;
    complete(python, window)
}

fn frames(python: &Python, window: Duration) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let by_tables = Library::compile(folder.path(), "tables", "-fomit-frame-pointer")?;
    let by_pointers = Library::compile(folder.path(), "pointers", "-fno-omit-frame-pointer")?;
    let mut slopes = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (library, slopes) in [&by_tables, &by_pointers].into_iter().zip(&mut slopes) {
            let [few, many] = DEPTHS.map(|depth| library.block_ns(python, depth, window));
            slopes.push((many? - few?) / f64::from(DEPTHS[1] - DEPTHS[0]));
        }
    }
    let [tables, pointers] = slopes.map(|mut values| median(&mut values));
    println!("C functions under ctypes, {python}, {RATE_HZ} Hz, medians of {ROUNDS} alternating windows\n");
    println!("| a native frame by tables ns | by frame pointers ns | ratio |\n|---:|---:|---:|");
    println!("| {tables:.0} | {pointers:.0} | {:.2} |", tables / pointers);
    Ok(())
}

/// A shared library with `deep`.
struct Library(PathBuf);

impl Library {
    fn compile(folder: &Path, name: &str, option: &str) -> anyhow::Result<Self> {
        let source = folder.join("deep.c");
        // As many rows in the block as libpython has.
        let others = (0..OTHER_FUNCTIONS)
            .map(|n| format!("int other{n}(int x) {{ sink += deep(x & 1, 0); return x + {n}; }}\n"));
        fs::write(&source, DEEP.to_owned() + &others.collect::<String>())?;
        let library = folder.join(format!("lib{name}.so"));
        let mut compiler = Command::new("cc");
        compiler.args([
            "-O2",
            "-fno-optimize-sibling-calls",
            "-shared",
            "-fPIC",
            option,
            "-o",
        ]);
        let status = compiler
            .arg(&library)
            .arg(&source)
            .status()
            .context("starting cc")?;
        ensure!(status.success(), "cc failed");
        Ok(Self(library))
    }

    /// Median nanoseconds of unwinding this many of its functions.
    fn block_ns(&self, python: &Python, depth: u32, window: Duration) -> anyhow::Result<f64> {
        let seconds = window.as_secs() + 3;
        let program = format!(
            "import ctypes; ctypes.CDLL({:?}).deep({depth}, {seconds})",
            self.0.display().to_string()
        );
        let child = python
            .command()
            .args(["-c", &program])
            .stdout(Stdio::null())
            .spawn();
        let mut child = Killed(child.with_context(|| format!("starting {python}"))?);
        // It is importing ctypes.
        std::thread::sleep(Duration::from_millis(700));
        let nanoseconds = measure(child.0.id(), window)?;
        child.0.kill()?;
        Ok(nanoseconds)
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure(pid: u32, window: Duration) -> anyhow::Result<f64> {
    let mut options = options(true);
    options.native = Native::User(CAPACITY);
    let (mut kernel, mut rings) = Kernel::load(&options)?;
    let target = Target::Processes {
        pids: vec![pid],
        follow_children: false,
    };
    let mut tracker = Tracker::new(target, Filter::default());
    tracker.scan(&mut kernel);
    let key = tracker.current(pid).context("the program is not profiled")?;
    let mut tables = Tables::new(CAPACITY, Opener::start()?)?;
    let found = CodeMaps::default().of_process(pid, None)?;
    let found = found.context("its mappings were never looked at")?;
    let space = tables.enter(kernel.unwind_maps(), key, found)?;
    kernel.change_process(key, |entry| {
        entry.space = space.space;
        entry.first_mapping = space.first_mapping;
        entry.mapping_count = space.mapping_count;
    })?;
    let end = Instant::now() + Duration::from_secs(10);
    while tables.is_loading() {
        ensure!(
            Instant::now() < end,
            "the tables of a small process take more than 10 s"
        );
        tables.pump(kernel.unwind_maps(), 64)?;
        std::thread::sleep(Duration::from_millis(1));
    }
    let before = Histograms::read(&kernel);
    let sampler = pyebpf::sources::start_cpu(&mut kernel, RATE_HZ)?;
    for _ in 0..10 {
        std::thread::sleep(window / 10);
        rings.samples.drain(usize::MAX, |_| ());
    }
    drop(sampler);
    Histograms::read(&kernel)
        .median_since(&before, Timed::WalkNative)
        .context("no native stack was walked")
}

/// Files of three sizes; the largest is what this machine has.
fn tables() -> anyhow::Result<()> {
    println!("\nCompiled whole, 8 bytes a row, in pages of 64\n");
    println!(
        "| file | MB | text MB | rows | table KiB | ms | ms per MB of text |\n|---|---:|---:|---:|---:|---:|---:|"
    );
    for file in files() {
        let bytes = fs::metadata(&file)?.len();
        let started = Instant::now();
        let mut tables = FileTables::open(fs::File::open(&file)?)?;
        let text_mb = tables.text().text_bytes() as f64 / 1e6;
        let (mut rows, mut pages) = (0, 0);
        for block in 0..tables.text().block_count() {
            let count = tables.block(block)?.rows.len();
            rows += count;
            pages += count.div_ceil(64);
        }
        let milliseconds = started.elapsed().as_secs_f64() * 1e3;
        println!(
            "| `{}` | {:.1} | {text_mb:.1} | {rows} | {} | {milliseconds:.0} | {:.1} |",
            file.file_name().unwrap_or_default().to_string_lossy(),
            bytes as f64 / 1e6,
            pages / 2,
            milliseconds / text_mb
        );
    }
    Ok(())
}

/// libc, libpython, and the largest shared library of the compiler.
fn files() -> Vec<PathBuf> {
    let own = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let libc = own.lines().filter_map(|line| line.split_whitespace().nth(5));
    let libc = libc.map(PathBuf::from).find(|path| path.ends_with("libc.so.6"));
    let libpython = super::pythons().filter_map(|python| {
        let folder = python.program().parent()?.parent()?.join("lib");
        fs::read_dir(folder)
            .ok()?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| {
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                name.starts_with("libpython3.") && name.ends_with(".so.1.0")
            })
    });
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().ok();
    let libraries =
        sysroot.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).join("lib"));
    let large = libraries.and_then(|folder| {
        let files = fs::read_dir(folder).ok()?.flatten();
        files
            .max_by_key(|entry| entry.metadata().map_or(0, |data| data.len()))
            .map(|entry| entry.path())
    });
    libc.into_iter().chain(libpython.last()).chain(large).collect()
}

/// Samples that were unwound to the start of the thread.
fn complete(python: &Python, window: Duration) -> anyhow::Result<()> {
    let spin = Spin::start(python, 30)?;
    let seconds = (window.as_secs() * 5).to_string();
    let output = Command::new(profiler::binary()?)
        .args([
            "record",
            "--native",
            "-r",
            "997",
            "-d",
            &seconds,
            "-p",
            &spin.pid().to_string(),
        ])
        .args(["-f", "raw", "-o", "/dev/null"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains("native frames: "));
    println!(
        "\n{python}, 30 Python frames, {RATE_HZ} Hz: {}",
        line.context("no native frames")?
    );
    Ok(())
}
