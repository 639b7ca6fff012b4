//! What is said of workers that cannot be ended: they wait for a file system that does not answer.

use std::time::{Duration, Instant};

use super::terminal;
use crate::workers::start_forker;

/// How long the end of workers is waited for. In the ordinary case it takes a millisecond.
const END_AT_MOST: Duration = Duration::from_millis(100);

/// Says how many there are, if any. To be called when nothing is asked any more.
pub(super) fn mention() {
    let forker = start_forker();
    let end = Instant::now() + END_AT_MOST;
    let mut left = forker.left_behind();
    while left > 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
        left = forker.left_behind();
    }
    if let Some(text) = text(left) {
        terminal::status(&text);
    }
}

fn text(left: usize) -> Option<String> {
    match left {
        0 => None,
        1 => Some(
            "one process of pyebpf has been killed, but waits for a file system that does not answer: it ends when \
             that answers or is unmounted"
                .to_owned(),
        ),
        left => Some(format!(
            "{left} processes of pyebpf have been killed, but wait for file systems that do not answer: they end when \
             those answer or are unmounted"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn what_stays_is_said_and_why() {
        assert_eq!(text(0), None);
        assert!(text(1).is_some_and(|text| text.starts_with("one process of pyebpf has been killed")));
        assert!(text(12).is_some_and(|text| text.starts_with("12 processes of pyebpf have been killed")));
    }
}
