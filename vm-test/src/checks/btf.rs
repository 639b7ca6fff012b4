//! The kernel describes its own types: pyebpf reads the offsets of kernel structures there.

use anyhow::{Context as _, ensure};

use crate::plan::Plan;

const BTF: &str = "/sys/kernel/btf/vmlinux";
/// `BTF_MAGIC`, first field of `struct btf_header` (linux/btf.h).
const MAGIC: [u8; 2] = 0xeb9f_u16.to_ne_bytes();

pub(super) fn run(_plan: &Plan) -> anyhow::Result<()> {
    let bytes = std::fs::read(BTF).with_context(|| format!("cannot read {BTF}"))?;
    ensure!(
        bytes.starts_with(&MAGIC),
        "{BTF} ({} bytes) does not start with BTF's magic number",
        bytes.len()
    );
    Ok(())
}
