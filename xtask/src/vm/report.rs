//! What a run over the kernel matrix found, as a table: on the terminal, and in `vm-test/RESULTS.md`.

use std::time::Duration;

use anyhow::Context as _;

use crate::{command, workspace};

/// One kernel.
#[derive(Clone, Debug, Default)]
pub(super) struct RowReport {
    /// `6.12`.
    pub(super) kernel: String,
    /// The package that was booted, which has the whole version in its name.
    pub(super) package: String,
    pub(super) passed: u32,
    pub(super) failed: u32,
    /// Instructions that the verifier looked at, of the largest program.
    pub(super) verified: Option<u32>,
    /// What `pyebpf doctor` misses there.
    pub(super) missing: Vec<String>,
    pub(super) took: Duration,
}

impl RowReport {
    /// Takes what it can use of a line that the guest printed: those of `pyebpf doctor` among them.
    pub(super) fn note(&mut self, remark: &str) {
        let line = remark.trim();
        if let Some(missing) = line.strip_prefix("MISS ") {
            self.missing.push(missing.trim().to_owned());
        }
        // `verifier: walk_python: processed 16962 insns (limit 1000000) ...`
        let count = line
            .split_once("verifier: ")
            .and_then(|(_, rest)| rest.split_once(": processed "))
            .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        self.verified = self.verified.max(count);
    }
}

/// The table.
pub(super) fn markdown(rows: &[RowReport]) -> String {
    let mut text = String::from(
        "| kernel | package | checks | largest program: instructions verified | missing there | s |\n\
         |---|---|---|---:|---|---:|\n",
    );
    for row in rows {
        let RowReport {
            kernel,
            package,
            passed,
            failed,
            ..
        } = row;
        let checks = if *failed == 0 {
            format!("{passed} passed")
        } else {
            format!("{passed} passed, {failed} FAILED")
        };
        let verified = row
            .verified
            .map_or("not told".to_owned(), |count| count.to_string());
        let missing = if row.missing.is_empty() {
            "nothing".to_owned()
        } else {
            row.missing.join("; ")
        };
        text += &format!(
            "| {kernel} | `{package}` | {checks} | {verified} | {missing} | {} |\n",
            row.took.as_secs()
        );
    }
    text
}

/// Writes `vm-test/RESULTS.md`.
pub(super) fn write(rows: &[RowReport], accelerator: &str) -> anyhow::Result<()> {
    let date = command::output(std::process::Command::new("date").args(["--utc", "+%Y-%m-%d"]))?;
    let text = format!(
        "# Kernel matrix\n\n\
         Written by `cargo xtask test-vm --write-results` on {}, in QEMU ({accelerator}). Rows and what each promises:\n\
         `matrix.toml`; checks: `src/checks`. The seconds are of the emulator.\n\n{}",
        date.trim(),
        markdown(rows)
    );
    let path = workspace::root().join("vm-test/RESULTS.md");
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{RowReport, markdown};

    #[test]
    fn what_doctor_says_on_a_kernel_is_in_its_row() {
        let mut row = RowReport {
            kernel: "6.1".to_owned(),
            package: "linux-image-6.1".to_owned(),
            passed: 6,
            ..RowReport::default()
        };
        for line in [
            "kernel 6.1.0",
            "  pyebpf> verifier: walk_python: processed 12345 insns (limit 1000000) max_states_per_insn 3",
            "  pyebpf> verifier: define_code: processed 345 insns (limit 1000000) max_states_per_insn 3",
            "  MISS CAP_CHECKPOINT_RESTORE: open deleted executables",
        ] {
            row.note(line);
        }
        let table = markdown(&[row]);
        assert!(
            table.contains(
                "| 6.1 | `linux-image-6.1` | 6 passed | 12345 | CAP_CHECKPOINT_RESTORE: open deleted executables | 0 |"
            ),
            "{table}"
        );
    }

    #[test]
    fn a_failure_and_a_missing_count_are_said() {
        let row = RowReport {
            failed: 1,
            ..RowReport::default()
        };
        assert!(markdown(&[row]).contains("0 passed, 1 FAILED | not told | nothing"));
    }
}
