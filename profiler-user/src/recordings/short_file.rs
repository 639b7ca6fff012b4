//! The short form of a path, which files do not have: from the package on, as far as the path itself says where that is.

use crate::profile::FrameKind;

/// Folders in which packages are installed, or the standard library is.
fn holds_packages(folder: &str) -> bool {
    matches!(folder, "site-packages" | "dist-packages")
        || folder.strip_prefix("python").is_some_and(|version| {
            let version = version.strip_suffix(".zip").unwrap_or(version);
            let version = version.strip_suffix('t').unwrap_or(version);
            version.starts_with(['2', '3']) && version.chars().all(|c| c.is_ascii_digit() || c == '.')
        })
}

/// The part after the last folder that holds packages, else the base name.
pub(super) fn short_file(kind: FrameKind, file: &str) -> Option<String> {
    if file.starts_with('<') {
        return Some(file.to_owned());
    }
    let mut start = 0;
    let mut from = file.rsplit_once('/').map_or(0, |(folder, _)| folder.len() + 1);
    if kind == FrameKind::Python {
        for folder in file.split_inclusive('/') {
            start += folder.len();
            if holds_packages(folder.trim_end_matches('/')) && start < file.len() {
                from = start;
            }
        }
    }
    file.get(from..)
        .filter(|short| !short.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::short_file;
    use crate::profile::FrameKind;

    #[test]
    fn installed_code_is_called_from_its_package_on_and_other_code_by_its_base_name() {
        for (file, short) in [
            ("/srv/shop/app.py", "app.py"),
            (
                "/usr/lib/python3.11/asyncio/base_events.py",
                "asyncio/base_events.py",
            ),
            (
                "/venv/lib/python3.11/site-packages/numpy/core/x.py",
                "numpy/core/x.py",
            ),
            ("/usr/lib/python3/dist-packages/yaml/reader.py", "yaml/reader.py"),
            ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>"),
            ("app.py", "app.py"),
        ] {
            assert_eq!(short_file(FrameKind::Python, file).as_deref(), Some(short));
        }
        assert_eq!(
            short_file(FrameKind::Native, "/usr/src/python3.11/Objects/dict.c").as_deref(),
            Some("dict.c")
        );
        for odd in ["", "/", "/srv/", "/usr/lib/python3.11/"] {
            assert_eq!(short_file(FrameKind::Python, odd), None, "{odd}");
        }
    }
}
