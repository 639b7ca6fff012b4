//! Users and their groups, from this host's `/etc/passwd` and `/etc/group` (`passwd(5)`, `group(5)`). Directory services are
//! not asked: users without a line there are shown and given as numbers.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::root::root;

/// Beneath a root.
const PASSWD: &str = "etc/passwd";

/// Bytes read of the file, at most.
const MAX_BYTES: u64 = 16 << 20;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// What people call them.
    pub name: String,
    /// Their folder.
    pub home: String,
    /// What they log in to.
    pub shell: String,
}

/// The users of this host.
#[derive(Clone, Debug, Default)]
pub struct Users {
    users: HashMap<u32, User>,
}

impl Users {
    /// Reads the file; no names when it cannot be read.
    #[must_use]
    pub fn of_host() -> Self {
        Self::parse(&read(&root().join(PASSWD)))
    }

    /// The users of the root that this process has, which may be a container's: those that can call `sudo` here.
    #[must_use]
    pub fn of_this_root() -> Self {
        Self::parse(&read(&Path::new("/").join(PASSWD)))
    }

    fn parse(text: &[u8]) -> Self {
        let mut users = HashMap::new();
        for line in String::from_utf8_lossy(text).lines() {
            let mut fields = line.split(':');
            if let (Some(name), Some(id)) = (fields.next(), fields.nth(1))
                && let Ok(id) = id.parse()
                && !name.is_empty()
            {
                let mut rest = fields.skip(2).map(str::to_owned);
                users.entry(id).or_insert_with(|| User {
                    name: name.to_owned(),
                    home: rest
                        .next()
                        .filter(|home| !home.is_empty())
                        .unwrap_or("/".to_owned()),
                    // As passwd(5) has it.
                    shell: rest
                        .next()
                        .filter(|shell| !shell.is_empty())
                        .unwrap_or("/bin/sh".to_owned()),
                });
            }
        }
        Self { users }
    }

    /// The user with this number.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&User> {
        self.users.get(&id)
    }

    /// What people call the user: the name, else the number.
    #[must_use]
    pub fn name(&self, id: u32) -> String {
        self.get(id)
            .map_or_else(|| id.to_string(), |user| user.name.clone())
    }

    /// The user with this name or number.
    #[must_use]
    pub fn id(&self, name_or_number: &str) -> Option<u32> {
        let by_name = self.users.iter().find(|(_, user)| user.name == name_or_number);
        by_name.map(|(id, _)| *id).or_else(|| name_or_number.parse().ok())
    }
}

/// Groups.
#[derive(Clone, Copy, Debug)]
pub struct Groups;

impl Groups {
    /// The numbers of the groups that the user with this name is listed in, in the root that this process has.
    #[must_use]
    pub fn of_this_root(user: &str) -> Vec<u32> {
        Self::parse(&read(Path::new("/etc/group")), user)
    }

    /// `name:password:number:user,user`.
    fn parse(text: &[u8], user: &str) -> Vec<u32> {
        let mut groups = Vec::new();
        for line in String::from_utf8_lossy(text).lines() {
            let mut fields = line.split(':').skip(2);
            if let (Some(id), Some(members)) = (fields.next(), fields.next())
                && let Ok(id) = id.parse()
                && members.split(',').any(|member| member == user)
                && !user.is_empty()
                && !groups.contains(&id)
            {
                groups.push(id);
            }
        }
        groups
    }
}

/// A file; empty when it cannot be read.
fn read(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    if let Err(error) = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text)) {
        log::debug!("{}: {error}", path.display());
        return Vec::new();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Groups, User, Users};

    #[test]
    fn groups_are_those_that_list_the_user() {
        let text = b"root:x:0:\nadm:x:4:ann,bob\nvideo:x:44:bob\nx:x:4:bob\nbad:x:?:bob\nshort:x:9\n:x:5:,\n\xff:x:7:bob,";
        assert_eq!(Groups::parse(text, "bob"), [4, 44, 7]);
        assert_eq!(Groups::parse(text, "ann"), [4]);
        assert!(Groups::parse(text, "").is_empty() && Groups::parse(text, "bo").is_empty());
    }

    #[test]
    fn a_user_has_a_home_and_a_shell() {
        let users = Users::parse(b"ann:x:1000:100:Ann,,,:/home/ann:/bin/bash\nbob:x:1001:100\n");
        let user = |name: &str, home: &str, shell: &str| User {
            name: name.to_owned(),
            home: home.to_owned(),
            shell: shell.to_owned(),
        };
        assert_eq!(users.get(1000), Some(&user("ann", "/home/ann", "/bin/bash")));
        assert_eq!(users.get(1001), Some(&user("bob", "/", "/bin/sh")));
        assert_eq!(users.get(7), None);
    }

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
