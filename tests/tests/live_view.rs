//! Live: `pyebpf view` serves a page to whoever has its address, on this host and under its own name, and to nobody else.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tests::chromium::Browser;
use tests::page::STACKS;
use tests::profiler::binary;
use tests::reader;

/// A user, and another one.
const NOBODY: u32 = 65534;
const SOMEBODY: u32 = 12345;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server. Killed when dropped.
struct Serving {
    child: Child,
    /// Host and port, and the path of the page.
    host: String,
    path: String,
    folder: TempDir,
}

impl Serving {
    fn start(options: &[&str], prepare: impl FnOnce(&mut Command, &Path)) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
        let file = folder.path().join("a.txt");
        fs::write(&file, STACKS)?;
        let mut command = Command::new(binary()?);
        command
            .arg("view")
            .arg(&file)
            .args(options)
            .env_remove("SUDO_UID")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        prepare(&mut command, folder.path());
        let mut child = command.spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let Some(address) = line.trim_end().strip_prefix("http://") else {
            let mut said = String::new();
            child.stderr.take().context("a pipe")?.read_to_string(&mut said)?;
            anyhow::bail!("no address: {line}{said}");
        };
        let (host, path) = address.split_once('/').context("a path")?;
        Ok(Self {
            host: host.to_owned(),
            path: format!("/{path}"),
            child,
            folder,
        })
    }

    fn url(&self) -> String {
        format!("http://{}{}", self.host, self.path)
    }

    /// Head and body of an answer.
    fn ask(&self, request: &str) -> anyhow::Result<(String, String)> {
        let mut stream = TcpStream::connect(&self.host)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8(answer)?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .with_context(|| format!("no head: {answer}"))?;
        Ok((head.to_owned(), body.to_owned()))
    }

    fn get(&self, path: &str, host: &str) -> anyhow::Result<(String, String)> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    }

    /// Ends it as the terminal does; the exit status.
    fn interrupt(&mut self) -> anyhow::Result<Option<i32>> {
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        anyhow::bail!("it goes on after Control-C")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program in a folder of its own that is found first.
fn put_program(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn path_with(folder: &Path) -> String {
    format!(
        "{}:{}",
        folder.display(),
        std::env::var("PATH").unwrap_or_default()
    )
}

#[test]
fn whoever_has_the_address_gets_the_page_and_nobody_else_anything() -> anyhow::Result<()> {
    let mut serving = Serving::start(&["--no-browser"], |_, _| ())?;
    let (host, path) = (serving.host.clone(), serving.path.clone());
    ensure!(host.starts_with("127.0.0.1:"), "{host}");
    ensure!(path.len() == 34 && path.ends_with('/'), "{path}");
    let (head, body) = serving.get(&path, &host)?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    ensure!(
        body.contains("id=\"recording\"") && body.contains("web.py"),
        "{body}"
    );
    let policy = "Content-Security-Policy: default-src 'none'; script-src 'sha256-";
    ensure!(
        head.contains(policy) && head.contains("frame-ancestors 'none'"),
        "{head}"
    );
    let port = host.rsplit(':').next().unwrap_or_default();
    let (head, _) = serving.get(&path, &format!("localhost:{port}"))?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let wrong = format!("/{}/", "0".repeat(32));
    for path in [
        "/",
        "/favicon.ico",
        &wrong,
        path.trim_end_matches('/'),
        &format!("{path}a.txt"),
        "/etc/passwd",
    ] {
        let (head, body) = serving.get(path, &host)?;
        ensure!(head.starts_with("HTTP/1.1 404 "), "{path}: {head}");
        ensure!(body.len() < 100, "{body}");
    }
    for host in ["evil.example", &format!("evil.example:{port}"), "127.0.0.1", ""] {
        let (head, body) = serving.get(&path, host)?;
        ensure!(
            head.starts_with("HTTP/1.1 421 ") && body.len() < 100,
            "{host}: {head}"
        );
    }
    let (head, _) = serving.ask(&format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))?;
    ensure!(head.starts_with("HTTP/1.1 405 "), "{head}");
    let (head, _) = serving.ask("\u{16}\u{3}\u{1}\r\n\r\n")?;
    ensure!(head.starts_with("HTTP/1.1 400 "), "{head}");
    // Connections that say nothing do not keep others from being answered.
    let idle: Vec<TcpStream> = (0..20)
        .map(|_| TcpStream::connect(&host))
        .collect::<Result<_, _>>()?;
    let (head, _) = serving.get(&path, &host)?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    drop(idle);
    ensure!(serving.interrupt()? == Some(0), "Control-C is how it ends");
    ensure!(TcpStream::connect(&host).is_err(), "it still listens");
    Ok(())
}

#[test]
fn under_sudo_the_server_and_the_browser_are_those_of_the_user_who_called_it() -> anyhow::Result<()> {
    let serving = Serving::start(&[], |command, folder| {
        put_program(
            folder,
            "xdg-open",
            &format!(
                "echo \"$(id -u) $HOME $1\" > {0}/new && mv {0}/new {0}/opened",
                folder.display()
            ),
        )
        .expect("a folder for it");
        command
            .env("SUDO_UID", NOBODY.to_string())
            .env("SUDO_GID", NOBODY.to_string())
            .env("DISPLAY", ":0")
            .env("PATH", path_with(folder))
            .current_dir("/");
    })?;
    let status = fs::read_to_string(format!("/proc/{}/status", serving.child.id()))?;
    let ids = format!("Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}");
    ensure!(
        status.contains(&ids) && status.contains("CapEff:\t0000000000000000"),
        "{status}"
    );
    let opened = serving.folder.path().join("opened");
    let deadline = Instant::now() + PATIENCE;
    while !opened.exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let opened = fs::read_to_string(opened).context("no browser was opened")?;
    let words: Vec<&str> = opened.split_whitespace().collect();
    ensure!(words.first() == Some(&&*NOBODY.to_string()), "{opened}");
    ensure!(words.last() == Some(&&*serving.url()), "{opened}");
    ensure!(!opened.contains(" /root "), "{opened}");
    // Another user who has seen the address learns nothing; root and that user do.
    let ask = format!(
        "exec 3<>/dev/tcp/{}; printf 'GET {} HTTP/1.1\\r\\nHost: {}\\r\\n\\r\\n' >&3; cat <&3",
        serving.host.replace(':', "/"),
        serving.path,
        serving.host
    );
    for (user, is_answered) in [(SOMEBODY, false), (NOBODY, true), (0, true)] {
        let output = Command::new("bash")
            .args(["-c", &ask])
            .uid(user)
            .current_dir("/")
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(text.contains("200 OK") == is_answered, "{user}: {text}");
        ensure!(text.is_empty() != is_answered, "{user}: {text}");
    }
    Ok(())
}

#[test]
fn the_page_works_in_a_browser_and_asks_for_nothing_else() -> anyhow::Result<()> {
    if !reader::is_here("chromium") {
        return Ok(());
    }
    let serving = Serving::start(&["--no-browser"], |_, _| ())?;
    let mut browser = Browser::start(1200, 800)?;
    browser.open_address(&serving.url())?;
    ensure!(
        browser.text("#shown")? == "100 samples",
        "{}",
        browser.text("#shown")?
    );
    browser.press(&["2"])?;
    ensure!(browser.texts("#functions tbody th")?[0] == "handle (web.py)");
    ensure!(browser.requests()?.len() == 1, "{:?}", browser.requests()?);
    ensure!(browser.complaints()?.is_empty(), "{:?}", browser.complaints()?);
    Ok(())
}

#[test]
fn speedscope_is_served_where_npm_has_it_and_a_hint_says_how_it_gets_there() -> anyhow::Result<()> {
    let packages = tempfile::tempdir()?;
    let release = packages.path().join("speedscope/dist/release");
    fs::create_dir_all(&release)?;
    for (name, text) in [
        ("index.html", "<p>PAGE"),
        ("speedscope-A1.js", "SCRIPT"),
        ("LICENSE", "TEXT"),
    ] {
        fs::write(release.join(name), text)?;
    }
    let with_npm = |root: &Path| {
        let answer = format!("[ \"$*\" = 'root -g' ] && echo {}", root.display());
        move |command: &mut Command, folder: &Path| {
            put_program(folder, "npm", &answer).expect("a folder for it");
            command.env("PATH", path_with(folder));
        }
    };
    let serving = Serving::start(&["--no-browser", "--speedscope"], with_npm(packages.path()))?;
    let (path, fragment) = serving.path.split_once('#').context("what it loads")?;
    ensure!(
        fragment.starts_with("profileURL=recording.collapsedstack.txt"),
        "{fragment}"
    );
    let get = |name: &str| serving.get(&format!("{path}{name}"), &serving.host);
    let (head, body) = get("")?;
    ensure!(head.starts_with("HTTP/1.1 200 ") && body == "<p>PAGE", "{head}");
    ensure!(head.contains("connect-src 'self'"), "{head}");
    ensure!(get("speedscope-A1.js")?.1 == "SCRIPT");
    let (_, stacks) = get("recording.collapsedstack.txt")?;
    ensure!(
        stacks.lines().count() == 4 && stacks.contains("handle (web.py:31) 50"),
        "{stacks}"
    );
    ensure!(get("LICENSE")?.0.starts_with("HTTP/1.1 404 "));
    ensure!(get("../../package.json")?.0.starts_with("HTTP/1.1 404 "));
    // Where there is none.
    let empty = tempfile::tempdir()?;
    let Err(error) = Serving::start(&["--speedscope"], with_npm(empty.path())) else {
        anyhow::bail!("there is no speedscope");
    };
    let said = error.to_string();
    ensure!(
        said.contains("error: speedscope is not among npm's packages"),
        "{said}"
    );
    ensure!(said.contains("hint: npm install -g speedscope"), "{said}");
    Ok(())
}
