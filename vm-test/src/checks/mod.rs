//! What must hold on every kernel of the matrix. One file per check, one row of `ALL` each.

mod btf;
mod doctor;
mod native;
mod off_cpu;
mod pyebpf;
mod record_all;
mod record_pid;

use std::time::Instant;

use crate::console;
use crate::plan::{Plan, Python};

/// A check and the name that `matrix.toml` promises it by.
struct Check {
    name: &'static str,
    run: Run,
}

enum Run {
    /// Once.
    Host(fn(&Plan) -> anyhow::Result<()>),
    /// For each Python, as `NAME/VERSION`.
    EachPython(fn(&Python) -> anyhow::Result<()>),
}

const ALL: &[Check] = &[
    Check {
        name: "btf",
        run: Run::Host(btf::run),
    },
    Check {
        name: "doctor",
        run: Run::Host(doctor::run),
    },
    Check {
        name: "record-pid",
        run: Run::EachPython(record_pid::run),
    },
    Check {
        name: "native",
        run: Run::EachPython(native::run),
    },
    Check {
        name: "off-cpu",
        run: Run::EachPython(off_cpu::run),
    },
    Check {
        name: "record-all",
        run: Run::Host(record_all::run),
    },
];

/// Runs everything; returns whether all that is promised passed.
pub(crate) fn run_all(plan: &Plan) -> bool {
    let mut success = true;
    for promise in &plan.promises {
        if !ALL.iter().any(|check| check.name == promise) {
            console::say(format_args!("FAILED: there is no check {promise}"));
            success = false;
        }
    }
    for check in ALL {
        let promised = plan.promises.iter().any(|promise| promise == check.name);
        let passed = match check.run {
            Run::Host(run) => timed(check.name, || run(plan)),
            Run::EachPython(run) => {
                let each = plan
                    .pythons
                    .iter()
                    .map(|python| timed(&format!("{}/{}", check.name, python.version), || run(python)));
                // Counted, not short-circuited: a failure must not hide the others.
                each.filter(|passed| !passed).count() == 0
            }
        };
        success &= passed || !promised;
    }
    success
}

fn timed(name: &str, run: impl FnOnce() -> anyhow::Result<()>) -> bool {
    let start = Instant::now();
    let result = run();
    console::check(name, start.elapsed(), &result);
    result.is_ok()
}
