//! Offsets of kernel structure fields from BTF (`/sys/kernel/btf/vmlinux`).
//!
//! Reads just what is asked for: no type graph is built. Format: Linux `Documentation/bpf/btf.rst`. Own code because
//! the crates found either hide struct members (aya-obj), expand every type at start (btf) or are LGPL (btf-rs).

use std::collections::HashMap;

/// Why an offset is not known.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The kernel was built without `CONFIG_DEBUG_INFO_BTF`, or `/sys` is not mounted.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The data does not follow the format.
    #[error("malformed BTF: {0}")]
    Malformed(&'static str),
    /// This kernel has no such structure or field.
    #[error("this kernel's BTF has no `{0}`")]
    Missing(String),
}

const MAGIC: u16 = 0xeb9f;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
/// Anonymous structs nest a few levels; more is corrupt data.
const MAX_DEPTH: usize = 8;

/// A parsed BTF section: names of structures, and where each type starts.
pub struct Btf {
    data: Vec<u8>,
    strings: usize,
    /// Type id -> position in `data`; id 0 is `void`.
    types: Vec<u32>,
    structs: HashMap<Vec<u8>, u32>,
}

impl Btf {
    /// Where the running kernel describes itself.
    pub const VMLINUX: &'static str = crate::host::KERNEL_BTF;

    /// The running kernel's BTF.
    ///
    /// # Errors
    /// [`BtfError::Unreadable`] or [`BtfError::Malformed`].
    pub fn of_running_kernel() -> Result<Self, BtfError> {
        let data = std::fs::read(Self::VMLINUX).map_err(|source| BtfError::Unreadable {
            path: Self::VMLINUX,
            source,
        })?;
        Self::parse(data)
    }

    /// Parses a BTF section in this machine's byte order.
    ///
    /// # Errors
    /// [`BtfError::Malformed`].
    pub fn parse(data: Vec<u8>) -> Result<Self, BtfError> {
        let word = |at: usize| u32_at(&data, at).ok_or(BtfError::Malformed("short header"));
        if word(0)? & 0xffff != u32::from(MAGIC) {
            return Err(BtfError::Malformed("wrong magic number"));
        }
        let header = word(4)? as usize;
        let types_start = header.saturating_add(word(8)? as usize);
        let types_end = types_start.saturating_add(word(12)? as usize);
        let strings = header.saturating_add(word(16)? as usize);
        if types_end > data.len() || strings > data.len() {
            return Err(BtfError::Malformed("sections beyond the end"));
        }
        let mut btf = Self {
            data,
            strings,
            types: vec![0],
            structs: HashMap::new(),
        };
        btf.index(types_start, types_end)?;
        Ok(btf)
    }

    /// Byte offset of `path` (`a.b.c`, through embedded and anonymous structures) in `structure`.
    ///
    /// # Errors
    /// [`BtfError::Missing`].
    pub fn offset_of(&self, structure: &str, path: &str) -> Result<u32, BtfError> {
        let missing = || BtfError::Missing(format!("{structure}.{path}"));
        let mut type_id = *self.structs.get(structure.as_bytes()).ok_or_else(missing)?;
        let mut bits = 0u32;
        for name in path.split('.') {
            let (offset, member_type) = self.member(type_id, name.as_bytes(), 0).ok_or_else(missing)?;
            bits = bits.checked_add(offset).ok_or_else(missing)?;
            type_id = member_type;
        }
        Ok(bits / 8)
    }

    fn index(&mut self, start: usize, end: usize) -> Result<(), BtfError> {
        let mut at = start;
        while at < end {
            let info = u32_at(&self.data, at + 4).ok_or(BtfError::Malformed("short type"))?;
            let (kind, vlen) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
            let id = u32::try_from(self.types.len()).map_err(|_| BtfError::Malformed("too many types"))?;
            self.types
                .push(u32::try_from(at).map_err(|_| BtfError::Malformed("too large"))?);
            if kind == KIND_STRUCT
                && let Some(name) = self.name_at(at)
                && !name.is_empty()
            {
                let name = name.to_vec();
                self.structs.entry(name).or_insert(id);
            }
            at += 12 + trailing_bytes(kind, vlen).ok_or(BtfError::Malformed("unknown kind of type"))?;
        }
        Ok(())
    }

    /// Bit offset and type of a member, looking through anonymous structs and unions.
    fn member(&self, type_id: u32, name: &[u8], depth: usize) -> Option<(u32, u32)> {
        let at = self.aggregate(type_id)?;
        let info = u32_at(&self.data, at + 4)?;
        let bitfields = info >> 31 == 1;
        for index in 0..(info & 0xffff) as usize {
            let entry = at + 12 + index * 12;
            let member_type = u32_at(&self.data, entry + 4)?;
            let raw = u32_at(&self.data, entry + 8)?;
            let offset = if bitfields { raw & 0x00ff_ffff } else { raw };
            let member_name = self.name_at(entry)?;
            if member_name == name {
                return Some((offset, member_type));
            }
            if member_name.is_empty()
                && depth < MAX_DEPTH
                && let Some((inner, found)) = self.member(member_type, name, depth + 1)
            {
                return Some((offset.checked_add(inner)?, found));
            }
        }
        None
    }

    /// Position of the struct or union that `type_id` is, through typedefs and qualifiers.
    fn aggregate(&self, mut type_id: u32) -> Option<usize> {
        for _ in 0..MAX_DEPTH {
            let at = *self.types.get(type_id as usize)? as usize;
            let kind = (u32_at(&self.data, at + 4)? >> 24) & 0x1f;
            match kind {
                KIND_STRUCT | KIND_UNION => return Some(at),
                KIND_ARRAY => return None,
                _ => type_id = u32_at(&self.data, at + 8)?,
            }
        }
        None
    }

    /// The name whose offset is stored at `at`.
    fn name_at(&self, at: usize) -> Option<&[u8]> {
        let start = self.strings.checked_add(u32_at(&self.data, at)? as usize)?;
        let rest = self.data.get(start..)?;
        Some(&rest[..rest.iter().position(|byte| *byte == 0)?])
    }
}

/// Bytes that follow a type's 12-byte head.
fn trailing_bytes(kind: u32, vlen: usize) -> Option<usize> {
    Some(match kind {
        // INT, VAR, DECL_TAG
        1 | 14 | 17 => 4,
        KIND_ARRAY => 12,
        // STRUCT, UNION, DATASEC, ENUM64
        KIND_STRUCT | KIND_UNION | 15 | 19 => vlen * 12,
        // ENUM, FUNC_PROTO
        6 | 13 => vlen * 8,
        // PTR, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FLOAT, TYPE_TAG
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::Btf;

    #[test]
    fn fields_of_the_running_kernel_are_found_through_anonymous_and_embedded_structs() {
        let btf = Btf::of_running_kernel().expect("this kernel has BTF");
        let tgid = btf.offset_of("task_struct", "tgid").expect("tgid");
        let pid = btf.offset_of("task_struct", "pid").expect("pid");
        assert_eq!(
            tgid,
            pid + 4,
            "`pid` and `tgid` are neighbours in every kernel since 2.6"
        );
        assert!(
            btf.offset_of("mm_struct", "arg_start").is_ok(),
            "in an anonymous struct"
        );
        assert!(btf.offset_of("task_struct", "thread.no_such_field").is_err());
    }

    #[test]
    fn truncated_data_is_an_error_and_never_a_panic() {
        let whole = std::fs::read(Btf::VMLINUX).expect("this kernel has BTF");
        for len in (0..4096).chain([whole.len() / 2, whole.len() - 1]) {
            if let Ok(btf) = Btf::parse(whole[..len].to_vec()) {
                let _ = btf.offset_of("task_struct", "thread.fsbase");
            }
        }
    }
}
