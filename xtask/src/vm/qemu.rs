//! Boots a kernel in QEMU, reads its console, and ends it: when it is done, dead, or late.
//!
//! Knows nothing of what runs inside.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::protocol::{self, Event};

const PROGRAM: &str = "qemu-system-x86_64";

/// Long enough for a kernel under KVM to start its first process; a hang is what it is about.
const KVM_PATIENCE: Duration = Duration::from_secs(20);

/// How the guest's instructions are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accelerator {
    /// By the CPU.
    Kvm,
    /// By translation: works everywhere, about ten times slower.
    Tcg,
}

/// A machine that is off.
pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Path,
    pub(super) initramfs: &'a Path,
    pub(super) accelerator: Accelerator,
    /// Added to the kernel's command line.
    pub(super) parameters: String,
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The guest gave its verdict.
    Verdict { success: bool },
    /// The kernel died with this line.
    Died(String),
    /// No verdict within the deadline.
    Late(Duration),
    /// QEMU ended without a verdict.
    Closed(String),
}

impl Machine<'_> {
    fn command(&self) -> Command {
        let mut qemu = Command::new(PROGRAM);
        let (machine, cpu) = match self.accelerator {
            Accelerator::Kvm => ("q35,accel=kvm", "host"),
            // Without `cmpxchg16b`: emulated (QEMU 7.2), an interrupt at it now and then finds garbage in the flags register,
            // and the kernel dies of a double fault in its allocator.
            Accelerator::Tcg => ("q35,accel=tcg", "max,-cx16"),
        };
        qemu.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        qemu.args(["-machine", machine, "-cpu", cpu, "-smp", "2", "-m", "1536"]);
        qemu.arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initramfs);
        // panic=-1 with -no-reboot: a panic ends QEMU. The emulated CPU must not count as locked up too early.
        qemu.arg("-append").arg(format!(
            "console=ttyS0 quiet loglevel=4 panic=-1 oops=panic watchdog_thresh=30 random.trust_cpu=on {}",
            self.parameters
        ));
        qemu
    }

    /// Runs until the verdict; the console goes to `log`, every event to `on_event`.
    pub(super) fn run(
        &self,
        log: &Path,
        deadline: Duration,
        mut on_event: impl FnMut(&Event),
    ) -> anyhow::Result<End> {
        let start = Instant::now();
        let log = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut qemu = Running::start(self.command().args(["-serial", "stdio", "-monitor", "none"]), log)?;
        loop {
            let left = deadline.saturating_sub(start.elapsed());
            match qemu.lines.recv_timeout(left) {
                Ok(line) => {
                    let event = protocol::read(&line);
                    on_event(&event);
                    match event {
                        Event::Verdict { success } => return Ok(End::Verdict { success }),
                        Event::Death(line) => return Ok(End::Died(line)),
                        Event::Check { .. } | Event::Remark(_) | Event::Noise => {}
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Ok(End::Late(deadline)),
                Err(RecvTimeoutError::Disconnected) => return Ok(End::Closed(qemu.wait()?)),
            }
        }
    }

    /// Gives the terminal to the guest until it powers off.
    pub(super) fn interact(&self) -> anyhow::Result<()> {
        crate::command::run(self.command().args(["-serial", "mon:stdio"]))
    }
}

/// A QEMU process, killed when dropped.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(command: &mut Command, log: File) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {PROGRAM}"))?;
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || copy_console(stdout, log, &sender));
        }
        Ok(Self { child, lines })
    }

    /// After the console closed: what QEMU said.
    fn wait(&mut self) -> anyhow::Result<String> {
        let status = self.child.wait()?;
        let stderr = match self.child.stderr.take() {
            Some(stderr) => std::io::read_to_string(stderr)?,
            None => String::new(),
        };
        Ok(format!("{status} {}", stderr.trim()).trim().to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Usually it is about to power itself off; either way nothing in it matters any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Until the console closes or nobody listens.
fn copy_console(stdout: ChildStdout, mut log: File, sender: &mpsc::Sender<String>) {
    for line in BufReader::new(stdout).split(b'\n') {
        let Ok(line) = line else { return };
        let text = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
        // A full disk must not lose the verdict.
        let _ = writeln!(log, "{text}");
        if sender.send(text).is_err() {
            return;
        }
    }
}

/// KVM if it boots this kernel to its first process; `/dev/kvm` may be there and still hang every guest.
pub(super) fn choose_accelerator(kernel: &Path, probe: &Path, log: &Path) -> anyhow::Result<Accelerator> {
    let device = PathBuf::from("/dev/kvm");
    if let Err(error) = fs::OpenOptions::new().read(true).write(true).open(&device) {
        eprintln!("test-vm: no KVM ({}: {error}); emulating", device.display());
        return Ok(Accelerator::Tcg);
    }
    let parameters = "vm_test.mode=probe".to_owned();
    let machine = Machine {
        kernel,
        initramfs: probe,
        accelerator: Accelerator::Kvm,
        parameters,
    };
    match machine.run(log, KVM_PATIENCE, |_| {})? {
        End::Verdict { success: true } => Ok(Accelerator::Kvm),
        end => {
            eprintln!("test-vm: KVM does not work here ({}); emulating", end.describe());
            Ok(Accelerator::Tcg)
        }
    }
}

impl End {
    /// For people.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Verdict { success: true } => "success".to_owned(),
            Self::Verdict { success: false } => "the guest reports failure".to_owned(),
            Self::Died(line) => format!("the kernel died: {line}"),
            Self::Late(deadline) => format!("no verdict within {} s", deadline.as_secs()),
            Self::Closed(why) => {
                format!(
                    "QEMU ended without a verdict: {}",
                    why.lines().next().unwrap_or_default()
                )
            }
        }
    }
}
