//! Perf maps (`/tmp/perf-PID.map`) of every bad kind, for code in memory that is busy.

use super::Kind;
use crate::hostile::attack::{Allowed, Attack, Whom};

/// Whoever reads maps has a low priority, and these are busy on every CPU.
const SLOW: Allowed = Allowed::USUAL.ending(30, "the map grows as fast as it is read, at a low priority");

macro_rules! map {
    ($name:literal, $kind:literal, $count:literal, $what:literal) => {
        Attack::new(
            $name,
            Whom::Nobody,
            $what,
            &["python", "perf_maps.py", $kind, $count],
        )
    };
}

pub(super) const KIND: Kind = Kind {
    heading: "Perf maps",
    attacks: &[
        map!("map-pipe", "fifo", "4", "a pipe that nobody writes to").representative(),
        map!("map-socket", "socket", "2", "a socket"),
        map!("map-folder", "directory", "2", "a folder"),
        map!(
            "map-link-to-secret",
            "/etc/shadow",
            "2",
            "a link to a file that only root can read"
        )
        .representative(),
        map!("map-link-to-zeros", "/dev/zero", "2", "a link to `/dev/zero`"),
        map!("map-large", "large", "8", "64 MB of lines, eight times"),
        map!("map-one-line", "one-line", "4", "one line of 64 MB, four times"),
        map!("map-sparse", "sparse", "4", "a hole of 4 TiB, four times").representative(),
        map!("map-nonsense", "nonsense", "4", "8 MB of random bytes"),
        map!(
            "map-extremes",
            "extremes",
            "2",
            "addresses and sizes at their extremes"
        ),
        map!(
            "map-overlapping",
            "overlapping",
            "4",
            "200,000 functions around each other"
        ),
        map!(
            "map-names",
            "names",
            "2",
            "orders to a terminal and broken text as names"
        ),
        map!(
            "map-growing",
            "growing",
            "4",
            "lines that come and go while they are read"
        )
        .allowed(SLOW),
        map!(
            "map-replaced",
            "replaced",
            "4",
            "a link, a device, a file from one moment to the next"
        )
        .allowed(SLOW)
        .representative(),
    ],
};
