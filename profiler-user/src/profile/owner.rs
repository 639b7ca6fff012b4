//! Whose code a frame is. Outputs colour by it, and views fold what is not the program's own.

use crate::profile::frames::{Frame, FrameKind};

/// Whose code it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// Python code of the program itself.
    Program,
    /// Python code that was installed.
    Package,
    /// Python code that comes with the interpreter.
    StandardLibrary,
    /// Machine code outside the interpreter.
    Native,
    /// Machine code of the interpreter itself.
    Interpreter,
    /// The kernel.
    Kernel,
    /// Not code.
    Nobody,
}

impl Owner {
    /// In the order of the legend.
    pub const ALL: &[Self] = &[
        Self::Program,
        Self::Package,
        Self::StandardLibrary,
        Self::Native,
        Self::Interpreter,
        Self::Kernel,
        Self::Nobody,
    ];

    /// Whose code `frame` is.
    #[must_use]
    pub fn of(frame: &Frame) -> Self {
        match frame.kind {
            FrameKind::Native => Self::Native,
            FrameKind::Interpreter => Self::Interpreter,
            FrameKind::Kernel => Self::Kernel,
            FrameKind::Marker => Self::Nobody,
            FrameKind::Python => owner_of_file(frame.file.as_deref().unwrap_or("")),
        }
    }

    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Program => "Python: program",
            Self::Package => "Python: packages",
            Self::StandardLibrary => "Python: standard library",
            Self::Native => "native",
            Self::Interpreter => "interpreter",
            Self::Kernel => "kernel",
            Self::Nobody => "no code",
        }
    }
}

/// By the folders CPython's `sysconfig` installs to, Debian's `dist-packages` included.
fn owner_of_file(file: &str) -> Owner {
    let mut folders = file.split('/');
    if folders
        .clone()
        .any(|folder| matches!(folder, "site-packages" | "dist-packages"))
    {
        Owner::Package
    } else if file.starts_with("<frozen ") || folders.any(is_standard_library) {
        Owner::StandardLibrary
    } else {
        Owner::Program
    }
}

/// `python3.11`, `python3.13t`, `python311.zip`.
fn is_standard_library(folder: &str) -> bool {
    folder.strip_prefix("python").is_some_and(|version| {
        let version = version.strip_suffix(".zip").unwrap_or(version);
        let version = version.strip_suffix('t').unwrap_or(version);
        version.starts_with(['2', '3']) && version.chars().all(|c| c.is_ascii_digit() || c == '.')
    })
}

#[cfg(test)]
mod tests {
    use super::{Owner, owner_of_file};

    #[test]
    fn the_folder_tells_whose_code_it_is() {
        for (file, expected) in [
            ("/home/me/app.py", Owner::Program),
            ("/home/me/python/app.py", Owner::Program),
            ("app.py", Owner::Program),
            ("<string>", Owner::Program),
            ("", Owner::Program),
            (
                "/usr/lib/python3.11/asyncio/base_events.py",
                Owner::StandardLibrary,
            ),
            ("/opt/lib/python3.13t/json/decoder.py", Owner::StandardLibrary),
            ("/usr/lib/python311.zip/json/decoder.py", Owner::StandardLibrary),
            ("<frozen importlib._bootstrap>", Owner::StandardLibrary),
            (
                "/usr/lib/python3.11/site-packages/numpy/core/x.py",
                Owner::Package,
            ),
            ("/usr/lib/python3/dist-packages/yaml/reader.py", Owner::Package),
        ] {
            assert_eq!(owner_of_file(file), expected, "{file}");
        }
    }
}
