//! The options that say which processes are wanted: the same for `record` and `ps`.

use glob::Pattern;

use super::failure::Failure;
use super::invocation;
use crate::container::hierarchy;
use crate::host::users::Users;
use crate::processes::filter::{Condition, Filter, Rule};
use crate::shell;

/// Which processes are wanted. Whoever takes them in says in a heading how they work together.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct FilterArgs {
    /// Only processes in this cgroup or below it: a path, or the number of a cgroup v2
    #[arg(long, value_name = "PATH|ID")]
    cgroup: Vec<String>,
    /// Only containers (and systemd units) whose id or name starts with this
    #[arg(long, value_name = "ID|NAME")]
    container: Vec<String>,
    /// Only Kubernetes pods whose name or UID starts with this
    #[arg(long, value_name = "NAME|UID")]
    pod: Vec<String>,
    /// Only pods of this Kubernetes namespace
    #[arg(long, value_name = "NAME")]
    namespace: Vec<String>,
    /// Only processes with this kernel name (15 characters at most); `*`, `?` and `[...]` as in a shell
    #[arg(long, value_name = "GLOB")]
    comm: Vec<String>,
    /// Only processes of this user: a name from /etc/passwd, or a number
    #[arg(long, value_name = "USER")]
    user: Vec<String>,
    /// Not this process
    #[arg(long, value_name = "PID", value_parser = super::pid::parse)]
    exclude_pid: Vec<u32>,
    /// Not this cgroup, and nothing below it
    #[arg(long, value_name = "PATH|ID")]
    exclude_cgroup: Vec<String>,
    /// Not these containers
    #[arg(long, value_name = "ID|NAME")]
    exclude_container: Vec<String>,
    /// Not these pods
    #[arg(long, value_name = "NAME|UID")]
    exclude_pod: Vec<String>,
    /// Not this Kubernetes namespace
    #[arg(long, value_name = "NAME")]
    exclude_namespace: Vec<String>,
    /// Not processes with this kernel name
    #[arg(long, value_name = "GLOB")]
    exclude_comm: Vec<String>,
    /// Not this user's processes
    #[arg(long, value_name = "USER")]
    exclude_user: Vec<String>,
}

/// Makes the condition of one option from its value.
type Parse = fn(&str) -> Result<Condition, Failure>;

/// An option and its counterpart: names, values, how they are read.
type Options<'a> = (&'static str, &'static str, &'a [String], &'a [String], Parse);

impl FilterArgs {
    /// What a file is named after: the one value that is wanted.
    pub(super) fn subject(&self) -> Option<&str> {
        let mut wanted = [
            &self.container,
            &self.pod,
            &self.namespace,
            &self.user,
            &self.comm,
            &self.cgroup,
        ]
        .into_iter()
        .flatten();
        let first = wanted.next()?;
        let is_name = !first.contains(['*', '?', '[']) && !first.is_empty();
        (is_name && wanted.next().is_none()).then_some(first)
    }

    /// Paths of cgroups that are wanted and do not exist.
    pub(super) fn cgroups_not_there(&self) -> impl Iterator<Item = String> {
        let paths = self.cgroup.iter().filter(|value| value.parse::<u64>().is_err());
        paths
            .map(|value| hierarchy::below_mount(value))
            .filter(|path| !hierarchy::exists(path))
    }

    /// Checked, with users and cgroups looked up.
    pub(super) fn filter(&self) -> Result<Filter, Failure> {
        let rows: [Options<'_>; 6] = [
            (
                "cgroup",
                "exclude-cgroup",
                &self.cgroup,
                &self.exclude_cgroup,
                cgroup,
            ),
            (
                "container",
                "exclude-container",
                &self.container,
                &self.exclude_container,
                container,
            ),
            ("pod", "exclude-pod", &self.pod, &self.exclude_pod, pod),
            (
                "namespace",
                "exclude-namespace",
                &self.namespace,
                &self.exclude_namespace,
                namespace,
            ),
            ("comm", "exclude-comm", &self.comm, &self.exclude_comm, comm),
            ("user", "exclude-user", &self.user, &self.exclude_user, user),
        ];
        let mut filter = Filter::default();
        for (include, exclude, wanted, unwanted, parse) in rows {
            filter.include.extend(rules(include, wanted, parse)?);
            filter.exclude.extend(rules(exclude, unwanted, parse)?);
        }
        filter.exclude.extend(self.exclude_pid.iter().map(|pid| Rule {
            option: "exclude-pid",
            value: pid.to_string(),
            condition: Condition::Pid(*pid),
        }));
        Ok(filter)
    }
}

fn rules(option: &'static str, values: &[String], parse: Parse) -> Result<Vec<Rule>, Failure> {
    let rule = |value: &String| {
        if value.is_empty() {
            return Err(
                Failure::usage(format_args!("--{option} is empty")).hint(invocation::with_rights("ps"))
            );
        }
        Ok(Rule {
            option,
            value: shell::word(value),
            condition: parse(value)?,
        })
    };
    values.iter().map(rule).collect()
}

fn cgroup(value: &str) -> Result<Condition, Failure> {
    let path = match value.parse::<u64>() {
        Ok(id) => hierarchy::path_of(id).ok_or_else(|| {
            Failure::new(format_args!("there is no cgroup v2 with the number {id}"))
                .hint("cat /proc/PID/cgroup   # a path works with --cgroup too")
        })?,
        Err(_) => hierarchy::below_mount(value),
    };
    Ok(Condition::Cgroup(path))
}

fn container(value: &str) -> Result<Condition, Failure> {
    Ok(Condition::Container(value.to_owned()))
}

fn pod(value: &str) -> Result<Condition, Failure> {
    Ok(Condition::Pod(value.to_owned()))
}

fn namespace(value: &str) -> Result<Condition, Failure> {
    Ok(Condition::Namespace(value.to_owned()))
}

fn comm(value: &str) -> Result<Condition, Failure> {
    Pattern::new(value).map(Condition::Comm).map_err(|error| {
        Failure::usage(format_args!("'{value}' is not a valid pattern: {error}")).hint("--comm 'python3*'")
    })
}

fn user(value: &str) -> Result<Condition, Failure> {
    Users::of_host().id(value).map(Condition::User).ok_or_else(|| {
        Failure::new(format_args!("there is no user '{value}' in /etc/passwd"))
            .hint("give the number that `id -u` prints for the user")
    })
}

#[cfg(test)]
mod tests {
    use super::FilterArgs;

    #[test]
    fn a_filter_reads_as_it_was_typed() {
        let args = FilterArgs {
            container: vec!["web".to_owned()],
            comm: vec!["py*".to_owned()],
            exclude_user: vec!["0".to_owned()],
            exclude_pid: vec![7],
            ..FilterArgs::default()
        };
        let filter = args.filter().expect("valid");
        assert_eq!(
            filter.to_string(),
            "--container web --comm 'py*' --exclude-user 0 --exclude-pid 7"
        );
    }

    #[test]
    fn a_file_is_named_after_the_one_thing_that_is_wanted() {
        let subject = |containers: &[&str], comm: &[&str]| {
            let strings = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
            let args = FilterArgs {
                container: strings(containers),
                comm: strings(comm),
                exclude_user: vec!["0".to_owned()],
                ..FilterArgs::default()
            };
            args.subject().map(str::to_owned)
        };
        assert_eq!(subject(&["web"], &[]).as_deref(), Some("web"));
        assert_eq!(subject(&[], &["celery"]).as_deref(), Some("celery"));
        assert_eq!(subject(&[], &["cel*"]), None);
        assert_eq!(subject(&["web", "db"], &[]), None);
        assert_eq!(subject(&[], &[]), None);
    }

    #[test]
    fn values_that_can_never_fit_are_refused() {
        let refused = |args: FilterArgs| args.filter().expect_err("refused").message;
        let comm = FilterArgs {
            comm: vec!["a[".to_owned()],
            ..FilterArgs::default()
        };
        assert!(refused(comm).contains("is not a valid pattern"));
        let user = FilterArgs {
            user: vec!["no such user".to_owned()],
            ..FilterArgs::default()
        };
        assert!(refused(user).contains("no such user"));
        let empty = FilterArgs {
            container: vec![String::new()],
            ..FilterArgs::default()
        };
        assert!(refused(empty).contains("empty"));
    }
}
