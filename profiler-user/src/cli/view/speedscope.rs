//! The real speedscope, where npm has installed it: its files are served as they are, beside the recording.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::failure::Failure;
use super::super::launch::Caller;
use super::contents::{Resource, Site};
use crate::output::quoted;

/// Where its files are, in its package.
const RELEASE: &str = "dist/release";
/// The page among them.
const INDEX: &str = "index.html";
/// Files that are served, at most; it has about twenty.
const MOST_FILES: usize = 200;
/// Bytes of one of them; the largest has half a million.
const MOST_BYTES: u64 = 16 << 20;
/// It makes styles while it runs, and asks for nothing but its own files and the recording.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; \
    img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Types of files by their extensions.
const KINDS: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("json", "application/json"),
    ("txt", "text/plain; charset=utf-8"),
    ("png", "image/png"),
    ("ico", "image/x-icon"),
    ("woff2", "font/woff2"),
    ("wasm", "application/wasm"),
];

/// The folder with its page: the one that was given, or that of npm's global packages.
pub(super) fn find(given: Option<&OsStr>, caller: Option<&Caller>) -> Result<PathBuf, Failure> {
    if let Some(given) = given {
        let given = Path::new(given);
        let places = [
            "",
            RELEASE,
            "speedscope/dist/release",
            "node_modules/speedscope/dist/release",
        ];
        let found = places
            .iter()
            .map(|place| given.join(place))
            .find(|place| has_page(place));
        return found.ok_or_else(|| {
            Failure::new(format_args!("there is no speedscope in {}", quoted(given)))
                .hint("npm install speedscope   (then --speedscope=node_modules/speedscope)")
        });
    }
    let packages = npm_root(caller).map_err(|why| {
        Failure::new(format_args!("cannot ask npm where its packages are: {why}"))
            .hint("--speedscope=FOLDER   (or without it: pyebpf's own page)")
    })?;
    let place = packages.join("speedscope").join(RELEASE);
    if has_page(&place) {
        return Ok(place);
    }
    Err(Failure::new(format_args!(
        "speedscope is not among npm's packages in {}",
        quoted(&packages)
    ))
    .hint("npm install -g speedscope   (or --speedscope=FOLDER, where it is)"))
}

fn has_page(folder: &Path) -> bool {
    folder.join(INDEX).is_file()
}

/// Where npm keeps what is installed for all.
fn npm_root(caller: Option<&Caller>) -> Result<PathBuf, String> {
    let mut command = Command::new("npm");
    command
        .args(["root", "-g"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    if let Some(caller) = caller {
        caller.set_environment(&mut command);
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let text = output
        .stdout
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    if !output.status.success() || text.is_empty() {
        return Err(output.status.to_string());
    }
    Ok(PathBuf::from(OsString::from_vec(text.to_vec())))
}

/// Its files and the recording. All are read now: nothing that is asked for later leads to a file.
pub(super) fn site(folder: &Path, (name, recording): (&'static str, Vec<u8>)) -> Result<Site, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(format_args!(
            "cannot read speedscope in {}: {error}",
            quoted(folder)
        ))
    };
    let mut resources = HashMap::new();
    for entry in std::fs::read_dir(folder)
        .map_err(|error| failed(&error))?
        .take(MOST_FILES)
    {
        let entry = entry.map_err(|error| failed(&error))?;
        let (path, Ok(file)) = (entry.path(), entry.file_name().into_string()) else {
            continue;
        };
        let extension = path.extension().unwrap_or_default();
        let kind = KINDS.iter().find(|(known, _)| extension == *known);
        let (Some((_, kind)), true) = (kind, path.is_file()) else {
            continue;
        };
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes))
            .map_err(|error| failed(&error))?;
        resources.insert(file, Resource { kind, bytes });
    }
    let page = resources.get(INDEX).cloned();
    resources.insert(String::new(), page.ok_or_else(|| failed(&"its page is missing"))?);
    let kind = if name.ends_with("json") {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    };
    resources.insert(
        name.to_owned(),
        Resource {
            kind,
            bytes: recording,
        },
    );
    Ok(Site {
        resources,
        policy: POLICY.to_owned(),
        fragment: format!("#profileURL={name}&title=pyebpf"),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{find, site};

    #[test]
    fn its_files_are_served_beside_the_recording_and_nothing_else_of_the_host() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let release = folder.path().join("node_modules/speedscope/dist/release");
        fs::create_dir_all(release.join("deeper")).expect("created");
        for (name, text) in [
            ("index.html", "PAGE"),
            ("speedscope.js", "SCRIPT"),
            ("secret.key", "SECRET"),
            ("deeper/more.js", "MORE"),
        ] {
            fs::write(release.join(name), text).expect("written");
        }
        let found = find(Some(folder.path().as_os_str()), None).expect("it is there");
        assert_eq!(found, release);
        let site = site(&found, ("recording.speedscope.json", b"{}".to_vec())).expect("it can be read");
        let mut names: Vec<&str> = site.resources.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["", "index.html", "recording.speedscope.json", "speedscope.js"]
        );
        assert_eq!(site.resources[""].bytes, b"PAGE");
        assert!(site.fragment.contains("#profileURL=recording.speedscope.json"));
    }

    #[test]
    fn where_it_is_not_a_hint_says_how_it_gets_there() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let failure = find(Some(folder.path().as_os_str()), None).expect_err("nothing is there");
        assert!(
            failure.message.contains("no speedscope in"),
            "{}",
            failure.message
        );
        assert!(
            failure
                .hint
                .is_some_and(|hint| hint.contains("npm install speedscope"))
        );
    }
}
