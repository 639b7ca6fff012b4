//! Reads the report that `pyebpf record` prints on stderr when it ends.

use anyhow::Context as _;

/// What it says about itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Interrupts taken, or times that a thread left its CPU.
    pub interrupts: u64,
    /// Samples delivered.
    pub samples: u64,
    /// Samples left out because only those of threads with the GIL were wanted.
    pub without_gil: u64,
    /// Interrupts that met a process that is not profiled.
    pub others: u64,
    /// Interrupts of idle CPUs.
    pub idle: u64,
    /// Times off the CPU that others stand for.
    pub left_out: u64,
    /// Samples lost.
    pub dropped: u64,
    /// Interrupts per second and CPU; not a number where something else than the CPU clock was sampled.
    pub rate_hz: f64,
    /// Sampled CPUs.
    pub cpus: u32,
    /// Length of the recording, seconds.
    pub seconds: f64,
    /// CPU time of pyebpf, seconds.
    pub own_cpu: f64,
}

impl Report {
    /// Finds it in what `pyebpf` printed.
    ///
    /// # Errors
    /// When it is missing or incomplete.
    pub fn parse(stderr: &str) -> anyhow::Result<Self> {
        let accounting = line(stderr, " interrupts = ").or_else(|_| line(stderr, " times off the CPU = "))?;
        let cost = line(stderr, " s; own CPU time ")?;
        let number =
            |text, after| number_before(text, after).with_context(|| format!("no {after:?} in {text:?}"));
        Ok(Self {
            interrupts: number(accounting, " interrupts")
                .or_else(|_| number(accounting, " times off the CPU"))? as u64,
            samples: number(accounting, " samples")? as u64,
            without_gil: number_before(accounting, " without the GIL").unwrap_or(0.0) as u64,
            others: number(accounting, " other processes")? as u64,
            // Off the CPU there are no idle CPUs, and on it nothing is left out.
            idle: number_before(accounting, " idle").unwrap_or(0.0) as u64,
            left_out: number_before(accounting, " left out").unwrap_or(0.0) as u64,
            dropped: number(accounting, " dropped")? as u64,
            rate_hz: number_before(cost, " samples/s").unwrap_or(f64::NAN),
            cpus: number(cost, " CPUs")? as u32,
            seconds: number(cost, " s; own CPU time")?,
            own_cpu: number(cost, " s (")?,
        })
    }

    /// Whether every interrupt is accounted for.
    ///
    /// # Errors
    /// The sum that does not add up.
    pub fn check(&self) -> anyhow::Result<()> {
        let sum = self.samples + self.without_gil + self.others + self.idle + self.left_out + self.dropped;
        anyhow::ensure!(
            sum == self.interrupts,
            "{sum} outcomes of {} interrupts: {self:?}",
            self.interrupts
        );
        Ok(())
    }
}

fn line<'a>(text: &'a str, holds: &str) -> anyhow::Result<&'a str> {
    text.lines()
        .find(|line| line.contains(holds))
        .with_context(|| format!("no line with {holds:?} in:\n{text}"))
}

/// The number that ends where `after` begins.
fn number_before(text: &str, after: &str) -> Option<f64> {
    let before = text.split_once(after)?.0;
    let start = before
        .rfind(|c: char| !c.is_ascii_digit() && c != '.')
        .map_or(0, |index| index + 1);
    before[start..].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn the_report_is_read_whole() {
        let text = "pyebpf> 1980 interrupts = 990 samples + 20 other processes + 969 idle + 1 dropped\n\
                    pyebpf> 98.7 samples/s on each of 2 CPUs for 10.0 s; own CPU time 0.021 s (0.21 % of one core)\n";
        let report = Report::parse(text).expect("complete");
        assert_eq!(
            (report.interrupts, report.samples, report.others),
            (1980, 990, 20)
        );
        assert_eq!((report.idle, report.dropped, report.cpus), (969, 1, 2));
        assert_eq!(
            (report.rate_hz, report.seconds, report.own_cpu),
            (98.7, 10.0, 0.021)
        );
        report.check().expect("adds up");
        assert!(Report { idle: 0, ..report }.check().is_err());
    }

    #[test]
    fn the_report_of_time_off_the_cpu_is_read_too() {
        let text = "pyebpf> off-cpu: 40 times off the CPU = 30 samples + 7 left out (others stand for them) + \
                    2 other processes + 1 dropped; 12.345 s blocked, 0.123 s waiting for a CPU\n\
                    pyebpf> 2 CPUs for 10.0 s; own CPU time 0.021 s (0.21 % of one core)\n";
        let report = Report::parse(text).expect("complete");
        assert_eq!(
            (report.interrupts, report.samples, report.left_out, report.idle),
            (40, 30, 7, 0)
        );
        report.check().expect("adds up");
    }
}
