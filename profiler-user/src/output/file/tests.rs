//! Real files, links, pipes and devices, in a folder of each test's own.

use std::fs::{self, File, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::{FileError, OutputFile, Owner, Place, umask};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("readable");
    entries
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

fn write(path: &Path, text: &str) {
    let mut output = OutputFile::prepare_for(path, None).expect("prepared");
    output.write_all(text.as_bytes()).expect("written");
    commit(output).expect("committed");
}

fn commit(output: OutputFile) -> Result<PathBuf, FileError> {
    let path = output.path().to_owned();
    output.commit(|number| path.with_extension(format!("{number}.svg")))
}

fn failure(path: &Path) -> FileError {
    OutputFile::prepare_for(path, None).expect_err("must not be prepared")
}

#[test]
fn a_result_appears_whole_and_with_the_usual_permissions() {
    let folder = folder();
    let path = folder.path().join("a.svg");
    let mut output = OutputFile::prepare_for(&path, None).expect("prepared");
    output.write_all(b"half").expect("written");
    assert!(!path.exists());
    let Place::Temporary { file, .. } = &mut output.place else {
        unreachable!("a file of its own")
    };
    let private = file.file().expect("open").metadata().expect("there").mode() & 0o777;
    assert_eq!(private, 0o600);
    output.write_all(b" and half").expect("written");
    commit(output).expect("committed");
    assert_eq!(fs::read_to_string(&path).expect("there"), "half and half");
    assert_eq!(names(folder.path()), ["a.svg"]);

    // What a file created by any other program would have.
    File::create(folder.path().join("b")).expect("created");
    let other = fs::metadata(folder.path().join("b")).expect("there").mode();
    assert_eq!(fs::metadata(&path).expect("there").mode(), other);
    assert_eq!(other & 0o777, 0o666 & !umask());
}

#[test]
fn a_name_that_nobody_chose_replaces_nothing() {
    let folder = folder();
    let path = folder.path().join("a.svg");
    let paths = ["first", "second", "third"].map(|text| {
        let output = OutputFile::prepare_for(&path, None).expect("prepared");
        let mut output = output.sparing_existing();
        output.write_all(text.as_bytes()).expect("written");
        commit(output).expect("committed")
    });
    let expected = ["a.svg", "a.1.svg", "a.2.svg"].map(|name| folder.path().join(name));
    assert_eq!(paths, expected);
    let texts = paths.map(|path| fs::read_to_string(path).expect("there"));
    assert_eq!(texts, ["first", "second", "third"]);
}

#[test]
fn an_abandoned_result_leaves_the_old_one() {
    let folder = folder();
    let path = folder.path().join("a.svg");
    fs::write(&path, "old").expect("written");
    let mut output = OutputFile::prepare_for(&path, None).expect("prepared");
    output.write_all(b"new").expect("written");
    drop(output);
    assert_eq!(fs::read_to_string(&path).expect("there"), "old");
    assert_eq!(names(folder.path()), ["a.svg"]);
    write(&path, "new");
    assert_eq!(fs::read_to_string(&path).expect("there"), "new");
}

#[test]
fn a_link_is_replaced_and_what_it_points_to_is_not_touched() {
    let folder = folder();
    let precious = folder.path().join("precious");
    fs::write(&precious, "precious").expect("written");
    for target in [
        precious.clone(),
        PathBuf::from("/dev/null"),
        folder.path().join("dangling"),
    ] {
        let path = folder.path().join("a.svg");
        symlink(&target, &path).expect("linked");
        write(&path, "new");
        assert!(fs::symlink_metadata(&path).expect("there").is_file());
        assert_eq!(fs::read_to_string(&precious).expect("there"), "precious");
        fs::remove_file(&path).expect("removed");
    }
    assert!(!folder.path().join("dangling").exists());
}

#[test]
fn a_named_pipe_is_written_to() {
    let folder = folder();
    let path = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo")
        .arg(&path)
        .status()
        .expect("mkfifo runs");
    assert!(made.success());
    let reader = std::thread::spawn({
        let path = path.clone();
        move || {
            let mut text = String::new();
            File::open(path)
                .expect("opened")
                .read_to_string(&mut text)
                .expect("read");
            text
        }
    });
    write(&path, "through");
    assert_eq!(reader.join().expect("the reader ends"), "through");
    assert_eq!(names(folder.path()), ["pipe"]);
}

#[test]
fn devices_and_open_files_are_written_through_and_stay_what_they_are() {
    write(Path::new("/dev/null"), "nothing");
    assert!(!fs::metadata("/dev/null").expect("there").is_file());
    let open = tempfile::tempfile().expect("a temporary file");
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&open);
    write(Path::new(&format!("/dev/fd/{descriptor}")), "through");
    assert_eq!(open.metadata().expect("open").len(), 7);
    assert!(matches!(
        failure(Path::new("/dev/no-such-device")),
        FileError::Io { .. }
    ));
    for stdout in ["-", "/dev/stdout"] {
        let output = OutputFile::prepare_for(Path::new(stdout), None).expect("prepared");
        assert!(output.is_stdout());
    }
}

#[test]
fn what_is_no_place_for_a_file_is_refused_before_anything_is_recorded() {
    let folder = folder();
    let missing = failure(&folder.path().join("it's/a.svg"));
    assert!(matches!(&missing, FileError::NoDirectory { .. }), "{missing}");
    let words = shlex::split(&missing.hint()).expect("as a shell takes it");
    let [command, option, path] = &words[..] else {
        unreachable!("{words:?}")
    };
    assert!(
        (&**command, &**option) == ("mkdir", "-p") && path.ends_with("/it's"),
        "{words:?}"
    );

    let directory = failure(folder.path());
    assert!(matches!(&directory, FileError::IsDirectory { .. }), "{directory}");
    assert!(matches!(failure(Path::new("/")), FileError::IsDirectory { .. }));
    assert!(matches!(failure(Path::new("")), FileError::IsDirectory { .. }));

    fs::write(folder.path().join("file"), "").expect("written");
    assert!(matches!(
        failure(&folder.path().join("file/a.svg")),
        FileError::NoDirectory { .. }
    ));

    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).expect("bound");
    assert!(matches!(
        failure(&socket),
        FileError::NotAFile { kind: "socket", .. }
    ));

    // Not even root creates files in there.
    assert!(matches!(
        failure(Path::new("/sys/kernel/a.svg")),
        FileError::NotWritable { .. }
    ));
    let long = "n".repeat(300);
    OutputFile::prepare_for(&folder.path().join(long), None)
        .and_then(commit)
        .expect_err("no filesystem has such names");
}

#[test]
fn a_result_that_cannot_be_renamed_is_kept() {
    let folder = folder();
    let path = folder.path().join("a.svg");
    let mut output = OutputFile::prepare_for(&path, None).expect("prepared");
    output.write_all(b"ten minutes").expect("written");
    fs::create_dir(&path).expect("someone is in the way");
    let error = commit(output).expect_err("a directory cannot be replaced");
    assert!(matches!(error, FileError::NotRenamed { .. }), "{error}");
    let mut names = names(folder.path());
    names.retain(|name| name != "a.svg");
    let kept = folder
        .path()
        .join(names.pop().expect("the result under another name"));
    assert_eq!(fs::read_to_string(&kept).expect("kept"), "ten minutes");
    assert!(error.hint().contains(&kept.display().to_string()));
}

#[test]
fn the_file_belongs_to_who_called_sudo() {
    let folder = folder();
    let path = folder.path().join("a.svg");
    let owner = Owner {
        uid: 12_345,
        gid: Some(54_321),
    };
    let output = OutputFile::prepare_for(&path, Some(owner)).expect("prepared");
    assert!(matches!(output.place, Place::Temporary { .. }));
    commit(output).expect("committed");
    let metadata = fs::metadata(&path).expect("there");
    if rustix::process::geteuid().is_root() {
        assert_eq!((metadata.uid(), metadata.gid()), (12_345, 54_321));
    } else {
        // Only root gives files away; for others the result must appear all the same.
        assert_eq!(metadata.uid(), rustix::process::geteuid().as_raw());
    }
}

/// A folder where everybody may create files and nobody remove those of others, as `/tmp`.
fn shared_folder() -> tempfile::TempDir {
    let folder = folder();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).expect("its owner");
    folder
}

fn make_pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.expect("mkfifo runs").success());
}

/// Gives `path` itself, not what it leads to, to a stranger; `false` when only root could.
fn give_away(path: &Path) -> bool {
    std::os::unix::fs::lchown(path, Some(54_321), None).is_ok()
}

#[test]
fn what_a_stranger_put_into_a_shared_folder_is_refused_and_stays() {
    let folder = shared_folder();
    let precious = folder.path().join("precious");
    fs::write(&precious, "precious").expect("written");
    type Make = fn(&Path);
    let kinds: [(&str, Make); 3] = [
        ("file", |path| fs::write(path, "theirs").expect("written")),
        ("link", |path| symlink("precious", path).expect("linked")),
        ("named pipe", make_pipe),
    ];
    for (kind, make) in kinds {
        let path = folder.path().join("a.svg");
        make(&path);
        if !give_away(&path) {
            eprintln!("not tested: only root gives files away");
            return;
        }
        let began = std::time::Instant::now();
        let error = failure(&path);
        assert!(began.elapsed().as_secs() < 5, "{kind}: it waited");
        assert!(
            matches!(&error, FileError::Foreign { kind: of, uid: 54_321, .. } if *of == kind),
            "{error}"
        );
        assert!(error.hint().contains("rm "), "{}", error.hint());
        // Whoever called sudo may use what is theirs.
        if kind != "named pipe" {
            let owner = Owner {
                uid: 54_321,
                gid: None,
            };
            OutputFile::prepare_for(&path, Some(owner)).expect("theirs");
        }
        fs::remove_file(&path).expect("still there");
    }
    assert_eq!(fs::read_to_string(&precious).expect("there"), "precious");
    assert_eq!(names(folder.path()), ["precious"]);
}

#[test]
fn what_a_stranger_puts_there_during_the_recording_is_not_replaced_and_the_result_is_kept() {
    let folder = shared_folder();
    let path = folder.path().join("a.svg");
    let mut output = OutputFile::prepare_for(&path, None).expect("prepared");
    output.write_all(b"ten minutes").expect("written");
    fs::write(&path, "theirs").expect("written");
    if !give_away(&path) {
        eprintln!("not tested: only root gives files away");
        return;
    }
    let error = commit(output).expect_err("it is a stranger's");
    let FileError::NotRenamed { kept, .. } = &error else {
        unreachable!("{error}")
    };
    assert_eq!(fs::read_to_string(kept).expect("kept"), "ten minutes");
    assert_eq!(fs::read_to_string(&path).expect("there"), "theirs");
}

#[test]
fn a_pipe_of_a_stranger_is_refused_in_any_folder_without_waiting_for_a_reader() {
    let folder = folder();
    let path = folder.path().join("pipe");
    make_pipe(&path);
    if give_away(&path) {
        assert!(matches!(
            failure(&path),
            FileError::Foreign {
                kind: "named pipe",
                ..
            }
        ));
    }
}

#[test]
fn a_folder_that_is_exchanged_during_the_recording_changes_nothing() {
    let folder = folder();
    let (real, other) = (folder.path().join("real"), folder.path().join("other"));
    fs::create_dir(&real).expect("created");
    fs::create_dir(&other).expect("created");
    let path = real.join("a.svg");
    let mut output = OutputFile::prepare_for(&path, None).expect("prepared");
    output.write_all(b"mine").expect("written");
    fs::rename(&real, folder.path().join("moved")).expect("renamed");
    symlink(&other, &real).expect("linked");
    commit(output).expect("committed");
    assert_eq!(names(&other), Vec::<String>::new());
    assert_eq!(
        fs::read_to_string(folder.path().join("moved/a.svg")).expect("there"),
        "mine"
    );
}
