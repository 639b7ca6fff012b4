//! Paths as texts: those of other processes, which need not lead anywhere here.

/// What follows the last `/`.
#[must_use]
pub fn base_name(path: &str) -> &str {
    path.rfind('/').map_or(path, |slash| &path[slash + 1..])
}

/// What follows the last `/` of a path that need not be UTF-8.
#[must_use]
pub fn base_name_of_bytes(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|&byte| byte == b'/');
    slash.map_or(path, |slash| &path[slash + 1..])
}

#[cfg(test)]
mod tests {
    use super::{base_name, base_name_of_bytes};

    #[test]
    fn a_base_name_is_what_follows_the_last_slash() {
        for (path, name) in [
            ("/usr/lib/libc.so.6", "libc.so.6"),
            ("x", "x"),
            ("/x/", ""),
            ("", ""),
        ] {
            assert_eq!(base_name(path), name);
            assert_eq!(base_name_of_bytes(path.as_bytes()), name.as_bytes());
        }
    }
}
