//! Process ids on the command line.

/// A process id, decimal or 0x hexadecimal.
pub(super) fn parse(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    match parsed {
        Ok(pid) if pid > 0 => Ok(pid),
        _ => Err("not a process id".to_owned()),
    }
}
