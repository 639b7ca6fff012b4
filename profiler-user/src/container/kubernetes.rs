//! Kubernetes pods: `pod<UID>` below `kubepods` (cgroupfs), `kubepods[-QOS]-pod<UID>.slice` (systemd's cgroup driver, with
//! `_` in place of `-` within the UID).

/// Label of the container's name, set by the kubelet.
pub(super) const CONTAINER_NAME: &str = "io.kubernetes.container.name";
/// Label of the pod's name.
pub(super) const POD_NAME: &str = "io.kubernetes.pod.name";
/// Label of the pod's namespace.
pub(super) const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";

/// The UID of the pod whose cgroup has this name.
pub(super) fn pod_uid(component: &str) -> Option<String> {
    let uid = match component.strip_suffix(".slice") {
        Some(slice) if slice.starts_with("kubepods") => slice.rsplit_once("-pod")?.1.replace('_', "-"),
        Some(_) => return None,
        None => component.strip_prefix("pod")?.to_owned(),
    };
    // A UUID, or 32 hexadecimal digits for pods from a file.
    let digits = |c: char| c.is_ascii_hexdigit() || c == '-';
    (matches!(uid.len(), 32 | 36) && uid.chars().all(digits)).then_some(uid)
}
