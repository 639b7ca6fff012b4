//! Names of users, from this host's `/etc/passwd` (`passwd(5)`). Directory services are not asked: users without a line
//! there are shown and given as numbers.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;

use super::root::root;

/// Bytes read of the file, at most.
const MAX_BYTES: u64 = 16 << 20;

/// The users of this host.
#[derive(Clone, Debug, Default)]
pub struct Users {
    names: HashMap<u32, String>,
}

impl Users {
    /// Reads the file; no names when it cannot be read.
    #[must_use]
    pub fn of_host() -> Self {
        let mut text = Vec::new();
        let path = root().join("etc/passwd");
        match File::open(&path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text)) {
            Ok(_) => Self::parse(&text),
            Err(error) => {
                log::debug!("{}: {error}", path.display());
                Self::default()
            }
        }
    }

    fn parse(text: &[u8]) -> Self {
        let mut names = HashMap::new();
        for line in String::from_utf8_lossy(text).lines() {
            let mut fields = line.split(':');
            if let (Some(name), Some(id)) = (fields.next(), fields.nth(1))
                && let Ok(id) = id.parse()
                && !name.is_empty()
            {
                names.entry(id).or_insert_with(|| name.to_owned());
            }
        }
        Self { names }
    }

    /// What people call the user: the name, else the number.
    #[must_use]
    pub fn name(&self, id: u32) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// The user with this name or number.
    #[must_use]
    pub fn id(&self, name_or_number: &str) -> Option<u32> {
        let by_name = self.names.iter().find(|(_, name)| *name == name_or_number);
        by_name.map(|(id, _)| *id).or_else(|| name_or_number.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::Users;

    #[test]
    fn users_are_found_by_name_and_number_and_the_first_name_of_a_number_counts() {
        let users = Users::parse(
            b"root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n+nis\n:x:5:\n\xff:x:9:9\nwww:x:33:33",
        );
        assert_eq!(
            (users.name(0), users.name(33), users.name(7)),
            ("root".into(), "www".into(), "7".into())
        );
        assert_eq!(
            (users.id("www"), users.id("44"), users.id("nobody?")),
            (Some(33), Some(44), None)
        );
        assert_eq!(users.id(""), None);
    }
}
