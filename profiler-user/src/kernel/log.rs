//! Log lines from inside the BPF programs, in builds with the feature `debug-bpf`. See CONTRIBUTING.md.

use std::time::Duration;

use aya::Ebpf;
use aya_log::{EbpfLogger, Error};

/// How often they are read.
const READ_EVERY: Duration = Duration::from_millis(50);

/// Hands the lines to the process's logger, as long as it runs: a thread of its own, as the event loop may be what is being
/// debugged.
pub(super) fn print(ebpf: &mut Ebpf) -> Result<(), Error> {
    let mut logger = EbpfLogger::init(ebpf)?;
    std::thread::spawn(move || {
        loop {
            logger.flush();
            std::thread::sleep(READ_EVERY);
        }
    });
    Ok(())
}
