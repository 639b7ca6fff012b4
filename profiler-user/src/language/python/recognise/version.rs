//! CPython version numbers: `PY_VERSION_HEX`, and the texts that interpreters older than 3.11 carry instead.
//!
//! Used by ELF analysis and the layout registry. Never looks at file names.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How finished a release is (`PY_RELEASE_LEVEL`, `Include/patchlevel.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// `a`
    Alpha,
    /// `b`
    Beta,
    /// `rc`
    Candidate,
    /// A release.
    Final,
}

/// A CPython version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// 2 or 3.
    pub major: u8,
    /// 13 in 3.13.5.
    pub minor: u8,
    /// 5 in 3.13.5; `None` where the file only says 3.13.
    pub micro: Option<u8>,
    /// Whether it is a release.
    pub level: Level,
    /// 2 in 3.14.0rc2; 0 for releases.
    pub serial: u8,
}

impl Version {
    /// Bytes that a cache tag or a version text has at most, without its NUL.
    pub(crate) const MAX_TEXT_BYTES: usize = 24;

    /// A release of which only the minor version is known.
    #[must_use]
    pub const fn minor_only(major: u8, minor: u8) -> Self {
        Self {
            major,
            minor,
            micro: None,
            level: Level::Final,
            serial: 0,
        }
    }

    /// Decodes `PY_VERSION_HEX` (`Include/patchlevel.h`): major, minor, micro, level nibble, serial nibble.
    /// `None` for a number that no CPython has.
    #[must_use]
    pub const fn from_hex(hex: u32) -> Option<Self> {
        let [tail, micro, minor, major] = hex.to_le_bytes();
        let level = match tail >> 4 {
            0xa => Level::Alpha,
            0xb => Level::Beta,
            0xc => Level::Candidate,
            0xf => Level::Final,
            _ => return None,
        };
        if major < 2 || major > 3 || minor > 99 {
            return None;
        }
        Some(Self {
            major,
            minor,
            micro: Some(micro),
            level,
            serial: tail & 0xf,
        })
    }

    /// Decodes a cache tag, `cpython-39` (`Python/import.c` `TAG`, `SOABI` begins with it): major and minor.
    #[must_use]
    pub fn from_cache_tag(tag: &[u8]) -> Option<Self> {
        let digits = tag.strip_prefix(b"cpython-")?;
        let (&major, minor) = digits.split_first()?;
        let major = decimal(&[major])?;
        (major == 3).then_some(Self::minor_only(major, decimal(minor)?))
    }

    /// Decodes a `DT_SONAME`, `libpython3.9.so.1.0`, with the ABI flags of older versions: major and minor.
    #[must_use]
    pub fn from_soname(soname: &[u8]) -> Option<Self> {
        let rest = soname.strip_prefix(b"libpython")?;
        let stem = rest.get(..rest.windows(3).position(|window| window == b".so")?)?;
        let flags = stem.iter().rposition(u8::is_ascii_digit)? + 1;
        if !stem.get(flags..)?.iter().all(|flag| b"dmut".contains(flag)) {
            return None;
        }
        let (major, minor) = split_once(stem.get(..flags)?, b'.')?;
        Some(Self::minor_only(decimal(major)?, decimal(minor)?))
    }

    /// Decodes `PY_VERSION`: `3.9.18`, `3.10.0rc2`, `3.8.0a1+`.
    #[must_use]
    pub fn from_text(text: &[u8]) -> Option<Self> {
        // A `+` says that it was built from a checkout after that release.
        let text = text.strip_suffix(b"+").unwrap_or(text);
        let (major, rest) = split_once(text, b'.')?;
        let (minor, rest) = split_once(rest, b'.')?;
        let end = rest
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(rest.len());
        let (micro, suffix) = rest.split_at(end);
        let (level, serial) = match suffix {
            [] => (Level::Final, 0),
            [b'a', serial @ ..] => (Level::Alpha, decimal(serial)?),
            [b'b', serial @ ..] => (Level::Beta, decimal(serial)?),
            [b'r', b'c', serial @ ..] => (Level::Candidate, decimal(serial)?),
            _ => return None,
        };
        Some(Self {
            major: decimal(major)?,
            minor: decimal(minor)?,
            micro: Some(decimal(micro)?),
            level,
            serial,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if let Some(micro) = self.micro {
            write!(f, ".{micro}")?;
        }
        match self.level {
            Level::Alpha => write!(f, "a{}", self.serial),
            Level::Beta => write!(f, "b{}", self.serial),
            Level::Candidate => write!(f, "rc{}", self.serial),
            Level::Final => Ok(()),
        }
    }
}

/// One or two decimal digits.
fn decimal(digits: &[u8]) -> Option<u8> {
    if digits.is_empty() || digits.len() > 2 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |value, digit| value * 10 + (digit - b'0')))
}

fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_numbers_are_decoded_and_shown_as_python_does() {
        for (hex, text) in [
            (0x0207_12f0, "2.7.18"),
            (0x030b_07f0, "3.11.7"),
            (0x030d_00f0, "3.13.0"),
            (0x030e_00a6, "3.14.0a6"),
            (0x030e_00b1, "3.14.0b1"),
            (0x030f_00c2, "3.15.0rc2"),
        ] {
            let version = Version::from_hex(hex).expect(text);
            assert_eq!(version.to_string(), text);
            assert_eq!(Version::from_text(text.as_bytes()), Some(version));
        }
        for hex in [0, u32::MAX, 0x030b_0710, 0x7f45_4c46, 0x0464_00f0] {
            assert_eq!(Version::from_hex(hex), None, "{hex:#x}");
        }
    }

    #[test]
    fn cache_tags_and_sonames_give_the_minor_version() {
        assert_eq!(
            Version::from_cache_tag(b"cpython-39"),
            Some(Version::minor_only(3, 9))
        );
        assert_eq!(
            Version::from_cache_tag(b"cpython-310"),
            Some(Version::minor_only(3, 10))
        );
        for tag in [
            &b"cpython-"[..],
            b"cpython-3",
            b"cpython-39m",
            b"cpython-3100",
            b"cpython-27",
            b"pypy39",
            b"",
        ] {
            assert_eq!(Version::from_cache_tag(tag), None);
        }
        for (soname, minor) in [
            (&b"libpython3.9.so.1.0"[..], 9),
            (b"libpython3.6m.so.1.0", 6),
            (b"libpython3.13t.so.1.0", 13),
            (b"libpython3.10.so", 10),
        ] {
            assert_eq!(Version::from_soname(soname), Some(Version::minor_only(3, minor)));
        }
        let names = [
            &b"libpython3.so"[..],
            b"libpython.so",
            b"libpythonqt3.9.so",
            b"libpython3.9x.so",
            b"libc.so.6",
            b"",
        ];
        for soname in names {
            assert_eq!(
                Version::from_soname(soname),
                None,
                "{}",
                String::from_utf8_lossy(soname)
            );
        }
    }

    #[test]
    fn texts_that_only_look_like_versions_are_refused() {
        assert_eq!(
            Version::from_text(b"3.8.0a1+")
                .map(|version| version.to_string())
                .as_deref(),
            Some("3.8.0a1")
        );
        for text in [
            &b""[..],
            b"3",
            b"3.9",
            b"3.9.",
            b"3.9.x",
            b"3.9.1.2",
            b"3.9.1rc",
            b"3.9.100",
            b"3.9.1-dev",
            b"..",
            b"-3.9.1",
        ] {
            assert_eq!(
                Version::from_text(text),
                None,
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }
}
