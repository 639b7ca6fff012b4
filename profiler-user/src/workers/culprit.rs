//! Who is answerable for a process that makes a worker hang.

use std::fmt;

/// Who is answerable for a process: the user it runs as, in the container it is in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Culprit {
    /// Effective user id; `None` when the process was gone.
    pub user: Option<u32>,
    /// The container's id, if it is in one.
    pub container: Option<String>,
    /// Who is behind both.
    pub tenant: Tenant,
}

/// Who can make up users and containers, and shares one allowance whatever is made up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tenant {
    /// A user of this host, with its subordinate ids and with the cgroups that it made.
    User(u32),
    /// Whoever has this container, which root of this host has made: the path of its cgroup. It may contain others.
    Container(String),
    /// Whoever has a user namespace with ids that no user of this host has: the first of these 65,536 ids.
    Namespace(u32),
    /// The process was gone.
    Unknown,
}

/// `user 1000`, `user 0 in container 4c01...`.
impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user {
            Some(user) => write!(f, "user {user}")?,
            None => f.write_str("an unknown user")?,
        }
        match &self.container {
            Some(container) => write!(f, " in container {container}"),
            None => Ok(()),
        }
    }
}

/// `user 1000`, `the container in cgroup /docker/4c01...`.
impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user {user}"),
            Self::Container(path) => write!(f, "the container in cgroup {path}"),
            Self::Namespace(first) => write!(f, "the users from {first} on"),
            Self::Unknown => f.write_str("an unknown user"),
        }
    }
}
