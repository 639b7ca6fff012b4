//! What a frame is part of: the installed package, the module of the standard library, the program's file, the library.

use std::borrow::Cow;

use crate::path::base_name;
use crate::profile::{Frame, FrameKind, Owner};

/// `numpy`, `asyncio`, `app`, `libz.so.1`, `[kernel]`.
#[must_use]
pub(super) fn package_of(frame: &Frame) -> Cow<'_, str> {
    let file = frame.file.as_deref().unwrap_or_default();
    match (frame.kind, &frame.module) {
        (FrameKind::Marker, _) => Cow::Borrowed(&frame.name),
        (FrameKind::Python, _) => match Owner::of(frame) {
            Owner::Package | Owner::StandardLibrary => first_part(file),
            _ => Cow::Borrowed(stem(base_name(file))),
        },
        (_, Some(module)) => Cow::Borrowed(module),
        (FrameKind::Kernel, None) => Cow::Borrowed("[kernel]"),
        // Code without a name is called by its library: `[libz.so.1]`.
        _ if file.is_empty() => Cow::Borrowed(in_brackets(&frame.name).unwrap_or("(unknown)")),
        _ => Cow::Borrowed(base_name(file)),
    }
}

/// The first part of the path below the folder that holds packages.
fn first_part(file: &str) -> Cow<'_, str> {
    if let Some(name) = file.strip_prefix("<frozen ") {
        let name = name.trim_end_matches('>');
        return Cow::Borrowed(name.split('.').next().unwrap_or(name));
    }
    let mut parts = file.split('/').peekable();
    let mut package = stem(base_name(file));
    while let Some(part) = parts.next() {
        let holds_packages = matches!(part, "site-packages" | "dist-packages")
            || part
                .strip_prefix("python")
                .is_some_and(|version| version.starts_with(['2', '3']));
        if holds_packages && let Some(next) = parts.peek() {
            package = stem(next);
        }
    }
    Cow::Borrowed(package)
}

fn in_brackets(name: &str) -> Option<&str> {
    name.strip_prefix('[')?.strip_suffix(']')
}

fn stem(file: &str) -> &str {
    match file.strip_suffix(".py") {
        Some("") | None => file,
        Some(stem) => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::package_of;
    use crate::profile::{Frame, FrameKind};

    #[test]
    fn a_package_is_what_one_installs_or_imports() {
        let of = |kind: FrameKind, file: &str, module: Option<&str>| {
            let frame = Frame {
                kind,
                file: Some(file.to_owned()).filter(|file| !file.is_empty()),
                module: module.map(str::to_owned),
                ..Frame::marker("<gc>")
            };
            package_of(&frame).into_owned()
        };
        for (file, package) in [
            ("/usr/lib/python3.11/asyncio/base_events.py", "asyncio"),
            ("/usr/lib/python3.11/random.py", "random"),
            ("/v/lib/python3.11/site-packages/numpy/core/x.py", "numpy"),
            ("/usr/lib/python3/dist-packages/six.py", "six"),
            ("<frozen importlib._bootstrap>", "importlib"),
            ("/srv/shop/app.py", "app"),
            ("<string>", "<string>"),
        ] {
            assert_eq!(of(FrameKind::Python, file, None), package);
        }
        assert_eq!(of(FrameKind::Native, "", Some("libz.so.1")), "libz.so.1");
        assert_eq!(of(FrameKind::Kernel, "", None), "[kernel]");
        assert_eq!(of(FrameKind::Marker, "", None), "<gc>");
    }
}
