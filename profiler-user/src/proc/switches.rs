//! How often a thread has changed between running and not running. Two looks tell whether it ran in between, without
//! stopping it.

use super::{ProcessError, read_bounded};

/// Bytes of the files that are read, at most.
const MAX_BYTES: u64 = 16 * 1024;

/// How often a thread has changed between running and not running, so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// Times it was put on a CPU.
    pub on: u64,
    /// Times it was taken off.
    pub off: u64,
}

impl Switches {
    /// Of this thread now. `on` is read first.
    ///
    /// # Errors
    /// When it is gone, or the kernel's text is not understood.
    pub fn read(pid: u32, tid: u32) -> Result<Self, ProcessError> {
        let on = times_on(pid, tid)?;
        let entry = format!("task/{tid}/status");
        let text = read_bounded(pid, &entry, MAX_BYTES)?;
        let off = parse_off(&text).ok_or(ProcessError::Malformed { pid, entry: "status" })?;
        Ok(Self { on, off })
    }

    /// Whether it was off its CPU. Where the kernel does not count (`CONFIG_SCHED_INFO`), nothing is known, and it was not.
    ///
    /// A thread whose state is "sleeping" may still be on its CPU, and go on without ever leaving it. One that was taken off
    /// as often as it was put on is not on any.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.on > 0 && self.on == self.off
    }
}

/// Times a thread was put on a CPU: while this stays the same, a thread that was off its CPU has not run.
///
/// # Errors
/// When it is gone, or the kernel's text is not understood.
pub fn times_on(pid: u32, tid: u32) -> Result<u64, ProcessError> {
    let text = read_bounded(pid, &format!("task/{tid}/schedstat"), MAX_BYTES)?;
    parse_on(&text).ok_or(ProcessError::Malformed {
        pid,
        entry: "schedstat",
    })
}

/// `TIME_RUN TIME_WAITED TIMES_ON` (`proc_pid_schedstat`, `fs/proc/base.c`).
fn parse_on(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text)
        .ok()?
        .split_ascii_whitespace()
        .nth(2)?
        .parse()
        .ok()
}

/// The sum of `voluntary_ctxt_switches` and `nonvoluntary_ctxt_switches`, the last lines of `status`.
fn parse_off(text: &[u8]) -> Option<u64> {
    let mut lines = text.split(|&byte| byte == b'\n');
    let mut value = |name: &[u8]| {
        let line = lines.find_map(|line| line.strip_prefix(name))?;
        std::str::from_utf8(line).ok()?.trim().parse::<u64>().ok()
    };
    let voluntary = value(b"voluntary_ctxt_switches:")?;
    voluntary.checked_add(value(b"nonvoluntary_ctxt_switches:")?)
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::thread::JoinHandle;
    use std::time::{Duration, Instant};

    use super::{Switches, parse_off, parse_on, times_on};

    #[test]
    fn both_numbers_are_where_the_kernel_writes_them() {
        assert_eq!(parse_on(b"102938 3847 41\n"), Some(41));
        assert_eq!(parse_on(b"102938 3847"), None);
        let status = |voluntary: &str| {
            let text = format!(
                "Threads:\t1\nvoluntary_ctxt_switches:\t{voluntary}\nnonvoluntary_ctxt_switches:\t7\n"
            );
            parse_off(text.as_bytes())
        };
        assert_eq!(status("150"), Some(157));
        assert_eq!(status("18446744073709551615"), None);
        assert_eq!(parse_off(b"Name:\tvoluntary_ctxt_switches:\t1\n"), None);
    }

    #[test]
    fn a_thread_that_waits_is_off_its_cpu_and_this_one_is_on_it() {
        let (send, receive) = channel::<()>();
        let (tid, waiting) = started(move || {
            let _ = receive.recv();
        });
        let pid = std::process::id();
        let end = Instant::now() + Duration::from_secs(20);
        let waits = loop {
            let switches = Switches::read(pid, tid).expect("it is there");
            if switches.is_off() || Instant::now() > end {
                break switches;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        assert!(waits.is_off(), "{waits:?}");
        assert_eq!(times_on(pid, tid).expect("it is there"), waits.on);
        let runs = Switches::read(pid, own_id()).expect("it is this one");
        assert!(!runs.is_off(), "{runs:?}");
        drop(send);
        waiting.join().expect("it ends");
        assert!(Switches::read(pid, u32::MAX).is_err());
    }

    #[test]
    fn what_is_accepted_did_not_change_and_less_would_not_do() {
        look_at_all(2_000);
    }

    #[test]
    #[ignore = "takes a minute; cargo test -p profiler-user -- --ignored a_hundred_thousand"]
    fn a_hundred_thousand_accepted_looks_are_all_right() {
        look_at_all(30_000);
    }

    /// What a thread does between two steps of its counter.
    type Step = Box<dyn FnMut() + Send>;

    /// Threads of five kinds are looked at this often each.
    fn look_at_all(looks: u32) {
        let kinds: [(&str, [Option<Step>; 2]); 5] = [
            ("spins", [Some(Box::new(|| {})), None]),
            ("works and sleeps", [Some(Box::new(|| pause(50, 100))), None]),
            (
                "sleeps shortly",
                [
                    Some(Box::new(|| std::thread::sleep(Duration::from_micros(20)))),
                    None,
                ],
            ),
            ("fights for a lock", fighters().map(Some)),
            ("plays ping-pong", players().map(Some)),
        ];
        let (mut accepted, mut wrong, mut wrong_with_less) = (0, 0, 0);
        for (kind, steps) in kinds {
            let is_over = Arc::new(AtomicBool::new(false));
            let threads: Vec<_> = steps
                .into_iter()
                .flatten()
                .map(|step| counting(step, Arc::clone(&is_over)))
                .collect();
            // Of two the first one is looked at.
            let looked = look(threads[0].0, &threads[0].1, looks);
            is_over.store(true, Ordering::Relaxed);
            eprintln!("  {kind}: {looked:?}");
            for (_, _, thread) in threads {
                thread.join().expect("it ends");
            }
            accepted += looked.accepted;
            wrong += looked.wrong;
            wrong_with_less += looked.wrong_with_less;
        }
        assert_eq!(wrong, 0, "of {accepted}");
        assert!(accepted > u64::from(looks), "only {accepted} were accepted");
        // Otherwise this test could not tell.
        assert!(wrong_with_less > 0);
    }

    #[derive(Debug, Default)]
    struct Looked {
        accepted: u64,
        wrong: u64,
        /// Where the thread was only put on no CPU meanwhile.
        wrong_with_less: u64,
    }

    fn look(tid: u32, counter: &AtomicU64, looks: u32) -> Looked {
        let pid = std::process::id();
        let mut looked = Looked::default();
        for _ in 0..looks {
            let before = Switches::read(pid, tid).expect("it is there");
            let first = counter.load(Ordering::SeqCst);
            pause(0, 2);
            let second = counter.load(Ordering::SeqCst);
            let after = times_on(pid, tid).expect("it is there");
            let is_changed = u64::from(first != second);
            if before.on == after {
                looked.wrong_with_less += is_changed;
                if before.is_off() {
                    looked.accepted += 1;
                    looked.wrong += is_changed;
                }
            }
        }
        looked
    }

    /// Works for some microseconds, after so many of sleep.
    fn pause(sleep: u64, work: u64) {
        if sleep > 0 {
            std::thread::sleep(Duration::from_micros(sleep));
        }
        let end = Instant::now() + Duration::from_micros(work);
        while Instant::now() < end {}
    }

    fn counting(mut step: Step, is_over: Arc<AtomicBool>) -> (u32, Arc<AtomicU64>, JoinHandle<()>) {
        let counter = Arc::new(AtomicU64::new(0));
        let own = Arc::clone(&counter);
        let (tid, thread) = started(move || {
            while !is_over.load(Ordering::Relaxed) {
                own.fetch_add(1, Ordering::SeqCst);
                step();
                own.fetch_add(1, Ordering::SeqCst);
            }
        });
        (tid, counter, thread)
    }

    fn fighters() -> [Step; 2] {
        let lock = Arc::new(Mutex::new(0_u64));
        let fighter = |lock: Arc<Mutex<u64>>| -> Step {
            Box::new(move || {
                let mut held = lock.lock().unwrap_or_else(PoisonError::into_inner);
                *held += 1;
                pause(0, 5);
            })
        };
        [fighter(Arc::clone(&lock)), fighter(lock)]
    }

    /// Each waits until the other has written. Who has nobody left goes on alone.
    fn players() -> [Step; 2] {
        let (to_second, from_first) = std::io::pipe().expect("a pipe");
        let (to_first, from_second) = std::io::pipe().expect("a pipe");
        let player = |mut from: PipeReader, mut to: PipeWriter| -> Step {
            Box::new(move || {
                let _ = to.write_all(b"x");
                let _ = from.read(&mut [0]);
            })
        };
        [player(to_first, from_first), player(to_second, from_second)]
    }

    fn started(work: impl FnOnce() + Send + 'static) -> (u32, JoinHandle<()>) {
        let (say, id) = channel();
        let thread = std::thread::spawn(move || {
            say.send(own_id()).expect("it is awaited");
            work();
        });
        (id.recv().expect("sent"), thread)
    }

    fn own_id() -> u32 {
        u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).expect("an id is positive")
    }
}
