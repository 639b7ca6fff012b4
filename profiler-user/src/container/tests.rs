//! Cgroup paths as the runtimes make them, and the files beside them.

use std::fs;
use std::path::Path;

use super::state::StateFiles;
use super::{Container, Containers};

const ID: &str = "4c01db0b339c0f5d3ac7d1e9f7a1b6dd3e0b6d9f1c3a5e7d9b0f2a4c6e8d0f1a";
const INNER: &str = "ffffdb0b339c0f5d3ac7d1e9f7a1b6dd3e0b6d9f1c3a5e7d9b0f2a4c6e8d0f1a";
const OTHER: &str = "00aadb0b339c0f5d3ac7d1e9f7a1b6dd3e0b6d9f1c3a5e7d9b0f2a4c6e8d0f1a";
const POD: &str = "2c48913c-b29f-11e7-9350-020968147796";

fn in_state(root: &Path, text: &str) -> Option<Container> {
    let containers = Containers {
        state: StateFiles::below(root),
        ..Containers::default()
    };
    containers.look_up(text.as_bytes()).container
}

fn found(text: &str) -> Option<(String, &'static str)> {
    let nothing = tempfile::tempdir().expect("a temporary folder");
    in_state(nothing.path(), text).map(|container| (container.id, container.runtime))
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a temporary folder");
    fs::write(path, text).expect("a temporary folder");
}

#[test]
fn every_runtime_is_known_by_its_cgroup_path() {
    let pod_slice = POD.replace('-', "_");
    for (path, runtime) in [
        (format!("0::/system.slice/docker-{ID}.scope"), "docker"),
        (
            format!("12:memory:/docker/{ID}\n0::/system.slice/containerd.service"),
            "docker",
        ),
        (format!("0::/machine.slice/libpod-{ID}.scope/container"), "podman"),
        (format!("5:pids:/libpod_parent/libpod-{ID}"), "podman"),
        (
            format!("0::/system.slice/web.service/libpod-payload-{ID}"),
            "podman",
        ),
        (
            format!("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope"),
            "podman",
        ),
        (
            format!(
                "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{pod_slice}.slice/crio-{ID}.scope"
            ),
            "cri-o",
        ),
        (
            format!("0::/kubepods.slice/kubepods-pod{pod_slice}.slice/cri-containerd-{ID}.scope"),
            "containerd",
        ),
        (
            format!("1:name=systemd:/kubepods/burstable/pod{POD}/{ID}"),
            "containerd",
        ),
        (format!("0::/system.slice/nerdctl-{ID}.scope"), "containerd"),
    ] {
        assert_eq!(found(&path), Some((ID.to_owned(), runtime)), "{path}");
    }
    assert_eq!(
        found("0::/system.slice/runc-web-1.scope"),
        Some(("web-1".to_owned(), "runc"))
    );
}

#[test]
fn the_innermost_container_counts_and_a_service_inside_is_part_of_it() {
    let nested = format!("0::/docker/{ID}/docker/{INNER}");
    assert_eq!(found(&nested), Some((INNER.to_owned(), "docker")));
    let in_one_hierarchy = format!("3:memory:/docker/{ID}/docker/{INNER}\n0::/docker/{ID}");
    assert_eq!(found(&in_one_hierarchy), Some((INNER.to_owned(), "docker")));
    let inside = format!("0::/system.slice/docker-{ID}.scope/system.slice/nginx.service");
    assert_eq!(found(&inside), Some((ID.to_owned(), "docker")));
}

#[test]
fn a_process_in_no_container_belongs_to_its_unit_if_it_has_one() {
    let unit = found;
    assert_eq!(
        unit("0::/system.slice/nginx.service/worker"),
        Some(("nginx.service".to_owned(), "systemd"))
    );
    assert_eq!(
        unit("0::/user.slice/user-1000.slice/user@1000.service/app.slice/editor.scope"),
        Some(("editor.scope".to_owned(), "systemd"))
    );
    for none in ["0::/", "0::/user.slice", "", "3:memory:/some/job"] {
        assert_eq!(unit(none), None, "{none}");
    }
}

#[test]
fn the_monitors_of_containers_are_not_in_them() {
    for path in [
        format!("0::/machine.slice/libpod-conmon-{ID}.scope"),
        format!("0::/x/crio-conmon-{ID}.scope"),
    ] {
        assert_eq!(
            found(&path).map(|(_, runtime)| runtime),
            Some("systemd"),
            "{path}"
        );
    }
}

#[test]
fn names_come_from_the_files_of_the_runtime() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let root = root.path();
    write(
        root,
        &format!("var/lib/docker/containers/{ID}/config.v2.json"),
        r#"{"ID":"x","Name":"/web","Config":{"Hostname":"h","Labels":{"a":"b"}}}"#,
    );
    write(
        root,
        "var/lib/containers/storage/overlay-containers/containers.json",
        &format!(r#"[{{"id":"{INNER}","names":["other"]}},{{"id":"{ID}","names":["db","x"],"layer":"l"}}]"#),
    );
    write(
        root,
        &format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json"),
        r#"{"ociVersion":"1.0","annotations":{"io.kubernetes.cri.container-name":"app",
            "io.kubernetes.cri.sandbox-name":"app-7d9-x2x","io.kubernetes.cri.sandbox-namespace":"prod"}}"#,
    );
    let docker = in_state(root, &format!("0::/docker/{ID}")).expect("a container");
    assert_eq!(docker.short_name(), "web");
    let podman = in_state(root, &format!("0::/machine.slice/libpod-{ID}.scope")).expect("a container");
    assert_eq!(podman.short_name(), "db");
    write(
        root,
        "var/lib/containers/storage/overlay-containers/volatile-containers.json",
        &format!(r#"[{{"id":"{OTHER}","names":["job"]}}]"#),
    );
    let removed = in_state(root, &format!("0::/libpod_parent/libpod-{OTHER}")).expect("a container");
    assert_eq!(removed.short_name(), "job");
    let unknown = in_state(root, &format!("0::/docker/{INNER}")).expect("a container");
    assert_eq!(unknown.short_name(), &INNER[..12]);

    let slice = POD.replace('-', "_");
    let text = format!("0::/kubepods.slice/kubepods-pod{slice}.slice/cri-containerd-{ID}.scope");
    let containerd = in_state(root, &text).expect("a container");
    assert_eq!(containerd.short_name(), "app");
    let pod = containerd.pod.expect("in a pod");
    assert_eq!(
        (pod.uid.as_str(), pod.name.as_deref(), pod.namespace.as_deref()),
        (POD, Some("app-7d9-x2x"), Some("prod"))
    );
}

#[test]
fn containers_with_names_of_their_own_are_known_by_the_state_of_their_runtime() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let root = root.path();
    write(root, "run/runc/web/state.json", "{}");
    write(
        root,
        "run/containerd/io.containerd.runtime.v2.task/default/job/config.json",
        "{}",
    );
    let id = |text| in_state(root, text).map(|container| (container.id, container.runtime));
    assert_eq!(id("4:memory:/jobs/web\n0::/"), Some(("web".to_owned(), "runc")));
    assert_eq!(id("0::/default/job"), Some(("job".to_owned(), "containerd")));
    assert_eq!(id("0::/other/job"), None);
}

#[test]
fn state_files_that_are_something_else_give_no_names() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let path = format!("var/lib/docker/containers/{ID}/config.v2.json");
    for text in ["", "[]", "{\"Name\":7}", "{\"Name\":\"/\"}", "\u{0}"] {
        write(root.path(), &path, text);
        let container = in_state(root.path(), &format!("0::/docker/{ID}")).expect("by its path");
        assert_eq!(container.name, None, "{text:?}");
    }
}
