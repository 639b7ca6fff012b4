//! Which processes are wanted: by id, cgroup, container, pod, namespace, name and user. A process is judged once, when it
//! becomes known, and again when something changes that a rule looks at; the kernel half only sees the verdict.

use std::fmt;

use glob::Pattern;

use crate::container::Container;
use crate::processes::identity::Identity;

/// One condition, with the text it was given as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which option, without dashes.
    pub option: &'static str,
    /// Its value, as one would type it in a shell.
    pub value: String,
    /// What it asks.
    pub condition: Condition,
}

/// What a rule asks of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// This process id.
    Pid(u32),
    /// This cgroup or one below it, as a path from the hierarchy's root.
    Cgroup(String),
    /// A container whose id or name starts with this.
    Container(String),
    /// A pod whose name or UID starts with this.
    Pod(String),
    /// A pod in this Kubernetes namespace.
    Namespace(String),
    /// The kernel's name of its first thread.
    Comm(Pattern),
    /// Effective user id.
    User(u32),
}

/// Rules that are combined: values of one option are alternatives, different options must all agree, and what any
/// exclusion matches is out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Conditions to be wanted.
    pub include: Vec<Rule>,
    /// Conditions not to be wanted.
    pub exclude: Vec<Rule>,
}

impl Filter {
    /// Whether it lets everything pass.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Whether a process is wanted.
    #[must_use]
    pub fn admits(&self, pid: u32, identity: &Identity) -> bool {
        let fits = |rule: &Rule| rule.condition.fits(pid, identity);
        let agreed = |rule: &Rule| {
            let mut alternatives = self.include.iter().filter(|other| other.option == rule.option);
            alternatives.any(fits)
        };
        self.include.iter().all(agreed) && !self.exclude.iter().any(fits)
    }

    /// Whether the verdict can change when a process moves to another cgroup.
    #[must_use]
    pub fn looks_at_cgroups(&self) -> bool {
        self.looks_at(|condition| {
            matches!(
                condition,
                Condition::Cgroup(_) | Condition::Container(_) | Condition::Pod(_) | Condition::Namespace(_)
            )
        })
    }

    /// Whether the verdict can change when a process changes its name.
    #[must_use]
    pub fn looks_at_names(&self) -> bool {
        self.looks_at(|condition| matches!(condition, Condition::Comm(_)))
    }

    /// Whether the verdict can change when a process changes its user.
    #[must_use]
    pub fn looks_at_users(&self) -> bool {
        self.looks_at(|condition| matches!(condition, Condition::User(_)))
    }

    fn looks_at(&self, what: impl Fn(&Condition) -> bool) -> bool {
        self.include
            .iter()
            .chain(&self.exclude)
            .any(|rule| what(&rule.condition))
    }
}

/// As it was asked for: `--container web --exclude-user root`.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.include.iter().chain(&self.exclude);
        let texts: Vec<String> = rules
            .map(|rule| format!("--{} {}", rule.option, rule.value))
            .collect();
        f.write_str(&texts.join(" "))
    }
}

impl Condition {
    fn fits(&self, pid: u32, identity: &Identity) -> bool {
        let container = identity.placement.container.as_ref();
        let pod = container.and_then(|container| container.pod.as_ref());
        let starts =
            |name: &Option<String>, start: &str| name.as_ref().is_some_and(|name| name.starts_with(start));
        match self {
            Self::Pid(wanted) => pid == *wanted,
            Self::Cgroup(path) => identity.placement.cgroups.is_below(path),
            Self::Container(start) => container
                .is_some_and(|Container { id, name, .. }| id.starts_with(start) || starts(name, start)),
            Self::Pod(start) => pod.is_some_and(|pod| pod.uid.starts_with(start) || starts(&pod.name, start)),
            Self::Namespace(wanted) => pod.is_some_and(|pod| pod.namespace.as_ref() == Some(wanted)),
            Self::Comm(pattern) => pattern.matches(&identity.comm),
            Self::User(wanted) => identity.user == *wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use glob::Pattern;

    use super::{Condition, Filter, Rule};
    use crate::container::cgroup::Cgroups;
    use crate::container::{Container, Placement, Pod};
    use crate::processes::identity::Identity;

    fn rule(option: &'static str, condition: Condition) -> Rule {
        Rule {
            option,
            value: "x".to_owned(),
            condition,
        }
    }

    fn worker() -> Identity {
        Identity {
            user: 33,
            comm: "gunicorn".to_owned(),
            arguments: Vec::new(),
            script: None,
            parent: 0,
            placement: Arc::new(Placement {
                cgroups: Cgroups::parse(b"0::/kubepods/podx/4c01\n"),
                container: Some(Container {
                    id: "4c01db".to_owned(),
                    runtime: "containerd",
                    name: Some("web".to_owned()),
                    pod: Some(Pod {
                        uid: "2c48".to_owned(),
                        name: Some("shop-7d9".to_owned()),
                        namespace: Some("prod".to_owned()),
                    }),
                }),
            }),
            threads: 1,
            cpu_time: Duration::ZERO,
        }
    }

    fn filter(include: &[Rule], exclude: &[Rule]) -> Filter {
        Filter {
            include: include.to_vec(),
            exclude: exclude.to_vec(),
        }
    }

    #[test]
    fn each_condition_fits_what_it_names_and_nothing_else() {
        let text = str::to_owned;
        let comm = |glob| Condition::Comm(Pattern::new(glob).expect("a pattern"));
        for (condition, fits) in [
            (Condition::Pid(7), true),
            (Condition::Pid(8), false),
            (Condition::Cgroup(text("/kubepods")), true),
            (Condition::Cgroup(text("/kube")), false),
            (Condition::Container(text("4c0")), true),
            (Condition::Container(text("web")), true),
            (Condition::Container(text("eb")), false),
            (Condition::Pod(text("shop")), true),
            (Condition::Pod(text("2c48")), true),
            (Condition::Pod(text("7d9")), false),
            (Condition::Namespace(text("prod")), true),
            (Condition::Namespace(text("pro")), false),
            (comm("guni*"), true),
            (comm("guni"), false),
            (Condition::User(33), true),
            (Condition::User(0), false),
        ] {
            let found = filter(&[rule("a", condition.clone())], &[]).admits(7, &worker());
            assert_eq!(found, fits, "{condition:?}");
            let excluded = filter(&[], &[rule("a", condition.clone())]).admits(7, &worker());
            assert_eq!(excluded, !fits, "{condition:?}");
        }
    }

    #[test]
    fn values_of_an_option_are_alternatives_and_options_must_agree() {
        let user = |id| rule("user", Condition::User(id));
        let container = |start: &str| rule("container", Condition::Container(start.to_owned()));
        let admits = |include: &[Rule], exclude: &[Rule]| filter(include, exclude).admits(7, &worker());
        assert!(admits(&[], &[]));
        assert!(admits(&[user(0), user(33)], &[]));
        assert!(admits(&[user(0), user(33), container("web")], &[]));
        assert!(!admits(&[user(0), container("web")], &[]));
        assert!(!admits(&[container("web")], &[user(33)]));
        assert!(admits(&[container("web")], &[user(0)]));
    }

    #[test]
    fn a_process_outside_of_containers_fits_no_rule_about_them() {
        let mut outside = worker();
        outside.placement = Arc::default();
        for condition in [
            Condition::Container(String::new()),
            Condition::Pod(String::new()),
            Condition::Namespace(String::new()),
            Condition::Cgroup("/".to_owned()),
        ] {
            assert!(!filter(&[rule("a", condition)], &[]).admits(7, &outside));
        }
    }
}
