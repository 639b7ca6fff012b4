//! Whom a result is given to: under `sudo`, the user who called it.

/// Whom a file is given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: Option<u32>,
}

impl Owner {
    /// Who called `sudo`; `None` when nobody did, or when this process is not root.
    pub(super) fn from_sudo() -> Option<Self> {
        let id = |name| std::env::var(name).ok().and_then(|id| id.parse().ok());
        let uid = rustix::process::geteuid()
            .is_root()
            .then(|| id("SUDO_UID"))
            .flatten()?;
        Some(Self {
            uid,
            gid: id("SUDO_GID"),
        })
    }
}
