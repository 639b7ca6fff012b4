//! Who is answerable for a process that made a worker hang.
//!
//! A user can make up user ids (subordinate ones) and cgroups that look like those of containers; root of a container can
//! make up the users of that container. So each process also has a tenant: who is behind what can be made up.

use crate::container::Containers;
use crate::container::hierarchy;
use crate::host::subordinates::Subordinates;
use crate::host::users::Users;
use crate::proc::{self, status};
use crate::workers::{Culprit, Tenant};

/// Ids that a user namespace usually gets, and so those that share an allowance where nobody of this host has them.
const NAMESPACE_IDS: u32 = 1 << 16;

/// Says who that is.
pub(super) fn culprits() -> Box<dyn FnMut(u32) -> Culprit> {
    let mut containers = Containers::default();
    let mut tenants = None;
    Box::new(move |pid| {
        let user = proc::user(pid).ok();
        let cgroup = proc::cgroup(pid).ok();
        let placement = cgroup.map(|text| (containers.outermost(&text), containers.locate(&text)));
        let (outermost, placement) = placement.unzip();
        let tenants = tenants.get_or_insert_with(Tenants::of_host);
        Culprit {
            user,
            container: placement.and_then(|placement| Some(placement.container.as_ref()?.id.clone())),
            tenant: tenants.of(user, outermost.flatten(), &hierarchy::owner, || {
                status::has_initial_ids(pid)
            }),
        }
    })
}

/// What tells tenants apart.
#[derive(Debug, Default)]
struct Tenants {
    users: Users,
    subordinates: Subordinates,
}

impl Tenants {
    fn of_host() -> Self {
        let users = Users::of_host();
        Self {
            subordinates: Subordinates::of_host(&users),
            users,
        }
    }

    /// The tenant of a process: its user, the cgroup path of the outermost container around it, who owns the cgroup with a
    /// path, and whether the process counts user ids as this host does.
    fn of(
        &self,
        user: Option<u32>,
        container: Option<String>,
        owner: &dyn Fn(&str) -> Option<u32>,
        is_of_host: impl FnOnce() -> bool,
    ) -> Tenant {
        // Somebody else than root has made it: it may be no container at all.
        let maker = container.as_deref().and_then(owner).filter(|maker| *maker != 0);
        match (maker.or(user), container) {
            (_, Some(path)) if maker.is_none() => Tenant::Container(path),
            (Some(user), _) => self.of_user(user, maker.is_some() || is_of_host()),
            (None, _) => Tenant::Unknown,
        }
    }

    fn of_user(&self, user: u32, is_of_host: bool) -> Tenant {
        match self.subordinates.owner(user) {
            Some(owner) => Tenant::User(owner),
            None if is_of_host || self.users.get(user).is_some() => Tenant::User(user),
            None => Tenant::Namespace(user - user % NAMESPACE_IDS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `/docker/real` is root's; user 1000 has made all others.
    fn tenant(user: u32, container: Option<&str>, is_of_host: bool) -> Tenant {
        let owner = |path: &str| Some(if path == "/docker/real" { 0 } else { 1_000 });
        let users = Users::default();
        let tenants = Tenants {
            subordinates: Subordinates::parse("1000:100000:65536\n", &users),
            users,
        };
        tenants.of(Some(user), container.map(str::to_owned), &owner, || is_of_host)
    }

    #[test]
    fn a_user_its_subordinate_ids_and_its_cgroups_are_one_tenant() {
        let alice = Tenant::User(1_000);
        assert_eq!(tenant(1_000, None, true), alice);
        assert_eq!(tenant(100_000, None, false), alice);
        assert_eq!(tenant(123_456, None, false), alice);
        assert_eq!(tenant(1_000, Some("/user.slice/docker-made-up"), true), alice);
        assert_eq!(tenant(123_456, Some("/user.slice/docker-made-up"), false), alice);
    }

    #[test]
    fn all_users_of_a_container_of_root_are_one_tenant() {
        let container = Tenant::Container("/docker/real".to_owned());
        for user in [0, 7, 1_000, 300_000] {
            assert_eq!(tenant(user, Some("/docker/real"), false), container);
        }
        assert_eq!(tenant(0, None, true), Tenant::User(0));
    }

    #[test]
    fn ids_that_nobody_of_this_host_has_are_one_tenant_for_each_namespace() {
        assert_eq!(tenant(700_000, None, false), Tenant::Namespace(655_360));
        assert_eq!(tenant(720_895, None, false), Tenant::Namespace(655_360));
        assert_eq!(tenant(720_896, None, false), Tenant::Namespace(720_896));
        // Of a directory service.
        assert_eq!(tenant(700_000, None, true), Tenant::User(700_000));
    }

    #[test]
    fn this_process_has_a_tenant() {
        let user = rustix::process::geteuid().as_raw();
        let culprit = culprits()(std::process::id());
        assert_eq!(culprit.user, Some(user));
        assert_ne!(culprit.tenant, Tenant::Unknown);
    }
}
