//! `cargo xtask test-vm`: the release binary on other kernels, with real Pythons, in QEMU.
//!
//! Matrix, kernels, initramfs, QEMU and the console's protocol are a file each; the guest is the member `vm-test`.

mod cpio;
mod initramfs;
mod kernel;
mod matrix;
mod protocol;
mod python;
mod qemu;
mod report;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::{build, command, setup, toolchain, workspace};
use initramfs::Initramfs;
use kernel::Kernel;
use matrix::KernelRow;
use protocol::{Event, Results};
use python::Python;
use qemu::{Accelerator, End, Machine};
use report::RowReport;

/// Programs of a guest shell, besides the profiler.
const SHELL_PROGRAMS: &[&str] = &[
    "bash", "cat", "dmesg", "grep", "ls", "mount", "poweroff", "ps", "sleep", "tail", "uname",
];

/// Runs pyebpf on other kernels, in virtual machines
///
/// Every kernel of `vm-test/matrix.toml` is downloaded from Debian, booted in QEMU (KVM where it works, else emulated),
/// and runs every check of `vm-test/src/checks` on the matrix's Pythons.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask test-vm                        every kernel of the matrix
  cargo xtask test-vm --ci                   those that CI runs
  cargo xtask test-vm --write-results        every kernel; vm-test/RESULTS.md then says what was found
  cargo xtask test-vm --kernel 5.10          one of them
  cargo xtask test-vm --kernel 6.1 --shell   a shell in that guest; leave with `poweroff -f` or Ctrl-a x")]
pub(crate) struct Args {
    /// Only this kernel; may be given several times
    #[arg(long, value_name = "NAME")]
    kernel: Vec<String>,
    /// Only the kernels that CI runs
    #[arg(long, conflicts_with = "kernel")]
    ci: bool,
    /// Write what was found on every kernel into vm-test/RESULTS.md
    #[arg(long, conflicts_with_all = ["kernel", "ci", "shell"])]
    write_results: bool,
    /// Give the terminal to a shell in the guest instead of running checks
    #[arg(long, requires = "kernel")]
    shell: bool,
    /// Ask Debian for the newest kernels instead of using the cached ones
    #[arg(long)]
    refresh: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let matrix = matrix::read()?;
    let mut rows = select(matrix.kernels, &args.kernel)?;
    rows.retain(|row| row.ci || !args.ci);
    setup::ensure(&[setup::RUST, setup::BPF, setup::VM])?;
    let guest = Guest::build(python::find_all(&matrix.pythons)?, args.shell)?;
    let kernels = rows
        .iter()
        .map(|row| kernel::fetch(row, args.refresh))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let first = kernels.first().context("the matrix has no kernel")?;
    let accelerator = qemu::choose_accelerator(&first.image, &guest.probe, &guest.dir.join("kvm-probe.log"))?;
    if args.shell {
        return guest
            .machine(first, accelerator, "vm_test.mode=shell".to_owned())
            .interact();
    }
    let mut tally = Tally::default();
    for (row, kernel) in rows.iter().zip(&kernels) {
        guest.check(row, kernel, accelerator, &mut tally)?;
    }
    println!("\n{}", report::markdown(&tally.rows));
    if args.write_results {
        report::write(&tally.rows, &format!("{accelerator:?}"))?;
    }
    tally.report()
}

fn select(rows: Vec<KernelRow>, names: &[String]) -> anyhow::Result<Vec<KernelRow>> {
    let known = rows
        .iter()
        .map(|row| row.name.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(unknown) = names
        .iter()
        .find(|name| !rows.iter().any(|row| row.name == **name))
    {
        bail!("the matrix has no kernel {unknown}, only: {known}");
    }
    Ok(rows
        .into_iter()
        .filter(|row| names.is_empty() || names.contains(&row.name))
        .collect())
}

/// Everything a guest is started with, except its kernel.
struct Guest {
    /// Archives and console logs.
    dir: PathBuf,
    initramfs: PathBuf,
    /// Only the first process, for the question whether KVM works.
    probe: PathBuf,
    pythons: Vec<Python>,
}

impl Guest {
    fn build(pythons: Vec<Python>, shell: bool) -> anyhow::Result<Self> {
        let pyebpf = build::pyebpf(true)?;
        command::run(toolchain::cargo()?.args(["build", "--release", "--package", "vm-test"]))?;
        let init = workspace::target_dir()?.join("release/vm-test");
        let dir = workspace::target_dir()?.join("vm-test");
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let guest = Self {
            initramfs: dir.join("initramfs.cpio"),
            probe: dir.join("probe.cpio"),
            dir,
            pythons,
        };

        let mut files = Initramfs::default();
        files.add_program(&init, Path::new("/init"))?;
        files.add_dir(Path::new("/proc"));
        files.write(&guest.probe)?;
        files.add_program(&pyebpf, Path::new("/usr/bin/pyebpf"))?;
        let statistics = guest.dir.join("verifier_stats.so");
        let source = workspace::root().join("vm-test/verifier_stats.c");
        let mut compiler = std::process::Command::new("cc");
        compiler
            .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
            .arg(&statistics)
            .arg(&source);
        command::run(&mut compiler)?;
        files.add_program(&statistics, Path::new("/usr/lib/verifier_stats.so"))?;
        guest.add_pythons(&mut files)?;
        if shell {
            add_shell(&mut files)?;
        }
        files.write(&guest.initramfs)?;
        Ok(guest)
    }

    fn add_pythons(&self, files: &mut Initramfs) -> anyhow::Result<()> {
        let mut list = String::new();
        for python in &self.pythons {
            python.add_to(files)?;
            list.push_str(&format!("{} {}\n", python.version, python.path.display()));
        }
        files.add_bytes(Path::new("/vm-test/pythons"), list.into_bytes());
        let workloads = workspace::root().join("vm-test/workloads");
        for entry in std::fs::read_dir(&workloads)? {
            let path = entry?.path();
            let name = path.file_name().context("a directory entry without a name")?;
            files.add_file(&path, &Path::new("/vm-test/workloads").join(name));
        }
        Ok(())
    }

    fn machine<'a>(
        &'a self,
        kernel: &'a Kernel,
        accelerator: Accelerator,
        parameters: String,
    ) -> Machine<'a> {
        Machine {
            kernel: &kernel.image,
            initramfs: &self.initramfs,
            accelerator,
            parameters,
        }
    }

    /// Checks one row of the matrix. A guest that comes to no verdict is booted once more, and that is said: an emulated
    /// kernel 5.10 has stood still once, in the middle of its checks, and nobody knows why.
    fn check(
        &self,
        row: &KernelRow,
        kernel: &Kernel,
        accelerator: Accelerator,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let before = tally.clone();
        let end = self.check_once(row, kernel, accelerator, tally)?;
        if matches!(end, End::Late(_)) {
            eprintln!("test-vm: {}: {}; once more", row.name, end.describe());
            *tally = before;
            self.check_once(row, kernel, accelerator, tally)?;
        }
        Ok(())
    }

    /// Boots one row of the matrix and prints its results in the form of Rust's test runner.
    fn check_once(
        &self,
        row: &KernelRow,
        kernel: &Kernel,
        accelerator: Accelerator,
        tally: &mut Tally,
    ) -> anyhow::Result<End> {
        let log = self.dir.join(format!("{}.log", row.name));
        eprintln!(
            "test-vm: {} ({}, {accelerator:?}), console in {}",
            row.name,
            kernel.package,
            log.display()
        );
        let parameters = format!("vm_test.mode=checks vm_test.promises={}", row.promises.join(","));
        let machine = self.machine(kernel, accelerator, parameters);
        let mut results = Results::new();
        let start = Instant::now();
        let mut report = RowReport {
            kernel: row.name.clone(),
            package: kernel.package.clone(),
            ..RowReport::default()
        };
        let end = machine.run(&log, Duration::from_secs(row.deadline_s), |event| match event {
            Event::Check { name, failure } => {
                tally.add(&mut report, name, failure.as_deref());
                results.insert(name.clone(), failure.clone());
            }
            Event::Remark(text) => {
                eprintln!("test-vm: {}: {text}", row.name);
                report.note(text);
            }
            Event::Verdict { .. } | Event::Death(_) | Event::Noise => {}
        })?;
        let versions: Vec<_> = self
            .pythons
            .iter()
            .map(|python| python.version.as_str())
            .collect();
        for name in protocol::missing(&results, &row.promises, &versions) {
            tally.add(&mut report, &name, Some("never reported a result"));
        }
        report.took = start.elapsed();
        if end != (End::Verdict { success: true }) {
            report.failed = report.failed.max(1);
            tally
                .failures
                .push(format!("{}: {}; see {}", row.name, end.describe(), log.display()));
        }
        tally.rows.push(report);
        Ok(end)
    }
}

fn add_shell(files: &mut Initramfs) -> anyhow::Result<()> {
    for name in SHELL_PROGRAMS {
        if let Some(path) = command::find_on_path(name) {
            let dir = if *name == "bash" { "/bin" } else { "/usr/bin" };
            files.add_program(&path, &Path::new(dir).join(name))?;
        }
    }
    Ok(())
}

/// The results of all rows.
#[derive(Clone)]
struct Tally {
    start: Instant,
    /// One for each kernel.
    rows: Vec<RowReport>,
    /// For the end of the report.
    failures: Vec<String>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            rows: Vec::new(),
            failures: Vec::new(),
        }
    }
}

impl Tally {
    fn add(&mut self, row: &mut RowReport, name: &str, failure: Option<&str>) {
        let kernel = &row.kernel;
        println!(
            "test vm::{kernel}::{name} ... {}",
            if failure.is_none() { "ok" } else { "FAILED" }
        );
        match failure {
            None => row.passed += 1,
            Some(reason) => {
                self.failures.push(format!("{kernel}::{name}: {reason}"));
                row.failed += 1;
            }
        }
    }

    fn report(&self) -> anyhow::Result<()> {
        for failure in &self.failures {
            eprintln!("test-vm: FAILED {failure}");
        }
        let passed: u32 = self.rows.iter().map(|row| row.passed).sum();
        let failed: u32 = self.rows.iter().map(|row| row.failed).sum();
        println!(
            "\ntest result: {}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in {:.2}s",
            if self.failures.is_empty() { "ok" } else { "FAILED" },
            self.start.elapsed().as_secs_f64()
        );
        if !self.failures.is_empty() {
            bail!("the kernel matrix failed");
        }
        Ok(())
    }
}
