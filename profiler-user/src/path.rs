//! Parts of paths: those of other processes are texts, which need not lead anywhere here; those of our own are paths.

use std::ffi::OsStr;
use std::path::Path;

/// What follows the last `/`.
#[must_use]
pub fn base_name(path: &str) -> &str {
    path.rfind('/').map_or(path, |slash| &path[slash + 1..])
}

/// What follows the last `/` of a path that need not be UTF-8.
#[must_use]
pub fn base_name_of_bytes(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|&byte| byte == b'/');
    slash.map_or(path, |slash| &path[slash + 1..])
}

/// The folder that a path of our own names a file in; `.` for a bare name.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// The name of a file of our own in its folder.
#[must_use]
pub fn name_in_folder(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{base_name, base_name_of_bytes};

    #[test]
    fn a_base_name_is_what_follows_the_last_slash() {
        for (path, name) in [
            ("/usr/lib/libc.so.6", "libc.so.6"),
            ("x", "x"),
            ("/x/", ""),
            ("", ""),
        ] {
            assert_eq!(base_name(path), name);
            assert_eq!(base_name_of_bytes(path.as_bytes()), name.as_bytes());
        }
    }
}
