//! How values that serde does not know travel between processes: numbers without padding as the bytes that they are, paths
//! as the bytes that the kernel has for them. For `#[serde(with = "...")]`.

/// Values that any bytes of their size are.
pub mod numbers {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use zerocopy::{FromBytes, Immutable, IntoBytes};

    /// Writes it as bytes.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<T: IntoBytes + Immutable, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(value.as_bytes())
    }

    /// Takes it from bytes.
    ///
    /// # Errors
    /// When there are more or fewer than it has.
    pub fn deserialize<'de, T: FromBytes, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        T::read_from_bytes(bytes).map_err(|_| D::Error::custom("not as many bytes as it has"))
    }
}

/// Paths, which need not be UTF-8.
pub mod path {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes it as bytes.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(path.as_os_str().as_bytes())
    }

    /// Takes it from bytes.
    ///
    /// # Errors
    /// The deserializer's.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        Ok(PathBuf::from(OsStr::from_bytes(bytes)))
    }
}
