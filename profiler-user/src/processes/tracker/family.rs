//! Who descends from whom.

use crate::proc;

/// Processes that run below these: children, and theirs.
pub(super) fn descendants(pids: &[u32]) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = proc::pids()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|pid| Some((pid, proc::stat(pid).ok()?.parent)))
        .collect();
    let mut family = pids.to_vec();
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        next += 1;
        let children = parents
            .iter()
            .filter(|(_, of)| *of == parent)
            .map(|(pid, _)| *pid);
        let children: Vec<u32> = children.filter(|pid| !family.contains(pid)).collect();
        family.extend(children);
    }
    family.split_off(pids.len())
}
