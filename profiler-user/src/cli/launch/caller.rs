//! Who the command after `--` runs as: under sudo the user who called it, as if there were no sudo.

use std::process::Command;

use rustix::io::Errno;
use rustix::thread::{Gid, Uid};

use crate::host::users::{Groups, User, Users};

/// User and groups of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Ids {
    /// Those that pyebpf has.
    Own,
    /// Others.
    Of {
        /// Real, effective and saved.
        uid: u32,
        /// The same.
        gid: u32,
        /// Supplementary ones.
        groups: Vec<u32>,
    },
}

impl Ids {
    /// As one argument.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Own => "own".to_owned(),
            Self::Of { uid, gid, groups } => {
                let numbers = [*uid, *gid].into_iter().chain(groups.iter().copied());
                numbers.map(|id| id.to_string()).collect::<Vec<_>>().join(":")
            }
        }
    }

    /// Reads [`Ids::text`].
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "own" {
            return Some(Self::Own);
        }
        let numbers: Option<Vec<u32>> = text.split(':').map(|id| id.parse().ok()).collect();
        match numbers?.as_slice() {
            [uid, gid, groups @ ..] => Some(Self::Of {
                uid: *uid,
                gid: *gid,
                groups: groups.to_vec(),
            }),
            _ => None,
        }
    }

    /// Takes them on. Correct only while this process has one thread: to the kernel they belong to a thread.
    pub(in crate::cli) fn apply(&self) -> Result<(), Errno> {
        let Self::Of { uid, gid, groups } = self else {
            return Ok(());
        };
        let groups: Vec<Gid> = groups.iter().map(|id| Gid::from_raw(*id)).collect();
        let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
        rustix::thread::set_thread_groups(&groups)?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)
    }
}

/// Who called sudo, as far as it says so and `/etc/passwd` knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Caller {
    uid: u32,
    gid: u32,
    name: Option<String>,
    known: Option<User>,
}

impl Caller {
    /// `None` when nobody called sudo, or this process is not root.
    pub(in crate::cli) fn of_sudo() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let variable = |name| std::env::var(name).ok();
        let uid = variable("SUDO_UID")?.parse().ok()?;
        let gid = variable("SUDO_GID")?.parse().ok()?;
        Some(Self {
            uid,
            gid,
            name: variable("SUDO_USER"),
            known: Users::of_this_root().get(uid).cloned(),
        })
    }

    /// Its user and all its groups.
    pub(in crate::cli) fn ids(&self) -> Ids {
        let name = self.known.as_ref().map(|user| &user.name).or(self.name.as_ref());
        let mut groups = match name {
            Some(name) => Groups::of_this_root(name),
            None => Vec::new(),
        };
        if !groups.contains(&self.gid) {
            groups.insert(0, self.gid);
        }
        Ids::Of {
            uid: self.uid,
            gid: self.gid,
            groups,
        }
    }

    /// Gives the command an environment that says who it runs as, in place of the one that sudo made.
    pub(in crate::cli) fn set_environment(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("SUDO_")) {
                command.env_remove(name);
            }
        }
        let name = self.known.as_ref().map(|user| &user.name).or(self.name.as_ref());
        if let Some(name) = name {
            command.env("USER", name).env("LOGNAME", name);
        }
        match &self.known {
            Some(user) => command.env("HOME", &user.home).env("SHELL", &user.shell),
            // Root's is not theirs.
            None => command.env("HOME", "/").env_remove("SHELL"),
        };
        command.env_remove("MAIL");
    }
}

#[cfg(test)]
mod tests {
    use super::Ids;

    #[test]
    fn ids_are_read_as_they_were_written() {
        let ids = [
            Ids::Own,
            Ids::Of {
                uid: 1000,
                gid: 100,
                groups: vec![],
            },
            Ids::Of {
                uid: 0,
                gid: 0,
                groups: vec![4, u32::MAX],
            },
        ];
        for ids in ids {
            assert_eq!(Ids::parse(&ids.text()), Some(ids));
        }
        for text in ["", "1000", "1000:", "a:b", "1:2:3:", "-1:2"] {
            assert_eq!(Ids::parse(text), None, "{text}");
        }
    }
}
