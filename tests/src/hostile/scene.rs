//! One attack that runs: its processes in a cgroup of their own, its files in a folder of its own.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::attack::{Attack, Whom};
use super::memory::family;
use super::workshop::Workshop;
use crate::cgroup::Cgroup;
use crate::container::{self, Options, Prepared};

/// How long an attack may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(30);
/// Who the attacks are that need no rights.
const NOBODY: &str = "65534";
/// Moves itself into the cgroup of the first argument, then becomes the rest.
const ENTER: &str = "echo $$ > \"$1/cgroup.procs\" && shift && exec \"$@\"";
/// Goes into the folder of the first argument, then becomes the rest.
const GO_INTO: &str = "cd \"$1\" && shift && exec \"$@\"";

/// A running attack. Everything of it is ended when dropped.
#[derive(Debug)]
pub struct Scene {
    child: Child,
    stdin: Option<ChildStdin>,
    cgroup: Cgroup,
    container: Option<Contained>,
    folder: TempDir,
}

/// A container of an attack.
#[derive(Debug)]
struct Contained {
    prepared: Prepared,
    id: String,
}

impl Contained {
    fn new(workshop: &Workshop, folder: &Path, command: &[OsString]) -> anyhow::Result<Self> {
        let options = Options {
            writable_root: true,
            binds: vec![workshop.path().into(), folder.into()],
            ..Options::default()
        };
        let mut library_path = OsString::from("LD_LIBRARY_PATH=");
        library_path.push(workshop.library_path());
        let mut words = vec!["env".into(), library_path];
        words.extend(shell(GO_INTO, folder));
        words.extend(command.iter().cloned());
        Ok(Self {
            prepared: Prepared::of_command(&words, &options)?,
            id: container::unique("hostile-container"),
        })
    }
}

impl Scene {
    /// Starts an attack and waits until it is ready.
    ///
    /// # Errors
    /// With what it said, when it does not come to that.
    pub fn start(workshop: &Workshop, attack: &Attack) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("pyebpf-attack-").tempdir()?;
        // Anybody's, like the folder for temporary files.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777))?;
        (attack.prepare)(folder.path()).context("making its files")?;
        let cgroup = Cgroup::new("hostile")?;
        let mut words = shell(ENTER, cgroup.directory());
        words.extend(become_user(attack.whom).iter().map(OsString::from));
        let command = workshop.resolve(attack.command);
        let container = match attack.whom {
            Whom::Container => {
                let container = Contained::new(workshop, folder.path(), &command)?;
                words.extend(container.prepared.words(&container.id));
                Some(container)
            }
            Whom::Nobody | Whom::Mounted | Whom::Namespaces | Whom::Root => {
                words.extend(command);
                None
            }
        };
        let log = folder.path().join("stderr");
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .current_dir(folder.path())
            .env("LD_LIBRARY_PATH", workshop.library_path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .context("starting the attack")?;
        let lines = lines_of(&mut child)?;
        let stdin = child.stdin.take();
        let mut scene = Self {
            child,
            stdin,
            cgroup,
            container,
            folder,
        };
        scene
            .wait_until_ready(&lines)
            .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(scene)
    }

    fn wait_until_ready(&mut self, lines: &Receiver<String>) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) if line == "ready" => return Ok(()),
                Ok(_) => {}
                Err(_) => bail!("the attack is not ready ({:?})", self.child.try_wait()),
            }
        }
    }

    /// Tells it to begin. One that has nothing to wait for may have no reader of this.
    pub fn go(&mut self) {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(b"\n");
        }
    }

    /// The folder in which it runs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether its first process is there: an attack that ended early attacked nothing.
    ///
    /// # Errors
    /// With what it said.
    pub fn is_still_there(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let said = fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default();
                bail!("the attack ended by itself with {status}: {said}")
            }
        }
    }

    /// Its processes, those of cgroups that it has made included.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        let mut pids = Vec::new();
        each_cgroup(self.cgroup.directory(), &mut |directory| {
            let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        });
        let of_container = self
            .container
            .as_ref()
            .and_then(|container| container::pid_of(&container.id).ok());
        pids.extend(of_container.into_iter().flat_map(family));
        pids
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let perf_maps: Vec<String> = self
            .pids()
            .iter()
            .map(|pid| format!("/tmp/perf-{pid}.map"))
            .collect();
        if let Some(container) = &self.container {
            container::end(&container.id);
        }
        // From Linux 5.14 on everything at once, but for processes whose first thread has ended; before, until nothing is left
        // that can fork.
        let directory = self.cgroup.directory();
        for _ in 0..100 {
            let _ = fs::write(directory.join("cgroup.kill"), "1");
            let _ = self.child.kill();
            let _ = self.child.try_wait();
            let left = self.pids();
            if left.is_empty() {
                break;
            }
            for pid in left
                .iter()
                .filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?))
            {
                let _ = kill_process(pid, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.wait();
        each_cgroup(directory, &mut |inner| {
            if inner != directory {
                let _ = fs::remove_dir(inner);
            }
        });
        for path in perf_maps {
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        }
    }
}

/// A shell that does `what` with the first argument before it becomes the rest, which is to follow.
fn shell(what: &str, first: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["sh", "-c", what, "sh"].map(OsString::from).into();
    words.push(first.into());
    words
}

/// Innermost first.
fn each_cgroup(directory: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            each_cgroup(&entry.path(), visit);
        }
    }
    visit(directory);
}

fn become_user(whom: Whom) -> Vec<&'static str> {
    let nobody = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
    match whom {
        // `fuse` becomes nobody once it has mounted.
        Whom::Root | Whom::Container | Whom::Mounted => Vec::new(),
        Whom::Nobody => nobody.into(),
        Whom::Namespaces => {
            let own = [
                "unshare",
                "--user",
                "--map-root-user",
                "--mount",
                "--pid",
                "--fork",
                "--mount-proc",
            ];
            nobody.into_iter().chain(own).collect()
        }
    }
}

fn lines_of(child: &mut Child) -> anyhow::Result<Receiver<String>> {
    let stdout = child.stdout.take().context("stdout is a pipe")?;
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        // Read on: nothing of an attack waits for room in this pipe.
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
    Ok(lines)
}
