//! Text of any sort in place of `/proc/PID/cgroup` gives bounded paths, and no component of them leads anywhere else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyebpf::container::Containers;
use pyebpf::container::cgroup::{Cgroups, components, is_hexadecimal_id};

fuzz_target!(|text: &[u8]| {
    let cgroups = Cgroups::parse(text);
    for path in cgroups.paths() {
        // A byte that is not UTF-8 becomes three.
        assert!(path.starts_with('/') && path.len() <= 3 * text.len());
        assert!(cgroups.is_below(path) && cgroups.is_below("/"));
        for component in components(path) {
            assert!(!component.name.contains('/') && !["", ".", ".."].contains(&component.name));
        }
    }
    let placement = Containers::default().locate(text);
    assert_eq!(placement.cgroups, cgroups);
    if let Some(container) = &placement.container {
        assert!(!container.id.is_empty() && !container.short_name().is_empty());
        assert!(
            container.runtime == "systemd"
                || container.runtime == "runc"
                || is_hexadecimal_id(&container.id)
                || container.runtime == "containerd"
        );
    }
});
