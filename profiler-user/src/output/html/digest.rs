//! How a page's policy names the scripts and styles that it allows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// `text` as a source of a content security policy: `sha256-` and the digest in base64.
pub(super) fn source(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn sources_are_as_a_policy_has_them() {
        // NIST's example of FIPS 180-4.
        let digest = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
        assert_eq!(super::source("abc"), digest);
    }
}
