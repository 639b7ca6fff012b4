//! Colours of the flame graph: whose code a frame is. Used by `flamegraph` only.
//!
//! inferno's Python palette tells site-packages and the standard library from one's own code by the whole path, which
//! the short file names of the picture no longer have; so the same hues are chosen here, from the frame itself.

use inferno::flamegraph::color::Color;

use crate::profile::{Frame, FrameKind};

/// The fill of a root frame.
pub(super) const ROOT: Color = grey(225);

/// The fill of a frame. Same text, same colour, in every picture.
pub(super) fn color(frame: &Frame, text: &str) -> Color {
    let shade = shade(text);
    let scaled = |base: u8, span: u8| base + u8::try_from(u32::from(span) * shade / 256).unwrap_or(span);
    match owner(frame) {
        Owner::Program => Color {
            r: scaled(200, 55),
            g: scaled(50, 80),
            b: scaled(50, 80),
        },
        Owner::Package => Color {
            r: scaled(50, 60),
            g: scaled(165, 55),
            b: scaled(165, 55),
        },
        Owner::StandardLibrary => Color {
            r: scaled(175, 55),
            g: scaled(175, 55),
            b: scaled(50, 20),
        },
        Owner::Native => Color {
            r: scaled(80, 60),
            g: scaled(80, 60),
            b: scaled(205, 50),
        },
        Owner::Interpreter => Color {
            r: scaled(190, 65),
            g: scaled(80, 60),
            b: scaled(190, 65),
        },
        Owner::Kernel => Color {
            r: scaled(190, 65),
            g: scaled(90, 65),
            b: 0,
        },
        Owner::Nobody => grey(200),
    }
}

/// Whose code it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Program,
    Package,
    StandardLibrary,
    Native,
    Interpreter,
    Kernel,
    Nobody,
}

fn owner(frame: &Frame) -> Owner {
    match frame.kind {
        FrameKind::Native => Owner::Native,
        FrameKind::Interpreter => Owner::Interpreter,
        FrameKind::Kernel => Owner::Kernel,
        FrameKind::Marker => Owner::Nobody,
        FrameKind::Python => owner_of_file(frame.file.as_deref().unwrap_or("")),
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

/// 0..256, from the text alone (FNV-1a, folded to its best-mixed byte).
fn shade(text: &str) -> u32 {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (hash >> 24) ^ (hash & 0xff)
}

const fn grey(level: u8) -> Color {
    Color {
        r: level,
        g: level,
        b: level,
    }
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
