//! The kernel structure fields that the kernel half reads: one table, name in the object, structure, path.

use super::btf::{Btf, BtfError};

/// A global of the kernel half and the field whose offset it holds.
pub struct KernelField {
    /// Symbol in the BPF object (`profiler-ebpf/src/globals.rs`).
    pub global: &'static str,
    /// Structure.
    pub structure: &'static str,
    /// Path of the field; the first that this kernel has counts.
    pub paths: &'static [&'static str],
}

/// The user thread pointer as the kernel saves it.
#[cfg(target_arch = "x86_64")]
const THREAD_POINTER: &[&str] = &["thread.fsbase"];
#[cfg(target_arch = "aarch64")]
const THREAD_POINTER: &[&str] = &["thread.uw.tp_value", "thread.tp_value"];

/// All of them.
pub const ALL: &[KernelField] = &[
    KernelField {
        global: "TASK_THREAD_POINTER",
        structure: "task_struct",
        paths: THREAD_POINTER,
    },
    KernelField {
        global: "TASK_PID",
        structure: "task_struct",
        paths: &["pid"],
    },
    KernelField {
        global: "TASK_TGID",
        structure: "task_struct",
        paths: &["tgid"],
    },
    KernelField {
        global: "TASK_COMM",
        structure: "task_struct",
        paths: &["comm"],
    },
    KernelField {
        global: "TASK_MM",
        structure: "task_struct",
        paths: &["mm"],
    },
    KernelField {
        global: "TASK_STACK",
        structure: "task_struct",
        paths: &["stack"],
    },
    KernelField {
        global: "TASK_STATE",
        structure: "task_struct",
        paths: &["__state", "state"],
    },
    KernelField {
        global: "TASK_SIGNAL",
        structure: "task_struct",
        paths: &["signal"],
    },
    KernelField {
        global: "SIGNAL_LIVE",
        structure: "signal_struct",
        paths: &["live"],
    },
    KernelField {
        global: "MM_ARG_START",
        structure: "mm_struct",
        paths: &["arg_start"],
    },
    KernelField {
        global: "MM_ARG_END",
        structure: "mm_struct",
        paths: &["arg_end"],
    },
];

/// Offsets on the running kernel, in the order of [`ALL`].
///
/// # Errors
/// The first field that cannot be found.
pub fn resolve(btf: &Btf) -> Result<Vec<(&'static str, u32)>, BtfError> {
    ALL.iter()
        .map(|field| {
            let found = field
                .paths
                .iter()
                .find_map(|path| btf.offset_of(field.structure, path).ok());
            let missing = || BtfError::Missing(format!("{}.{}", field.structure, field.paths[0]));
            Ok((field.global, found.ok_or_else(missing)?))
        })
        .collect()
}
