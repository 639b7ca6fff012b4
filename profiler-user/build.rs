//! Builds the kernel half and leaves its object where `bpf/load.rs` embeds it from.
#![expect(unsafe_code, reason = "setting an environment variable; see the block")]

use anyhow::{Context as _, bail};
use aya_build::{Package, Toolchain, build_ebpf};

fn main() -> anyhow::Result<()> {
    // The kernel half shares the contract; a change there must rebuild it.
    println!("cargo:rerun-if-changed=../profiler-common/src");
    println!("cargo:rerun-if-changed=../rust-toolchain.toml");
    // `-Z build-std` and inline assembly are not stable yet; this unlocks them in the pinned stable compiler.
    // SAFETY: a build script's main is single-threaded.
    unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "1") };
    if std::env::var_os("AYA_BUILD_SKIP").is_some() {
        return leave_empty_object();
    }
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join("bpf-linker").is_file()));
    if !found {
        bail!("`bpf-linker` is not on PATH; `cargo xtask build` installs it and builds");
    }
    let root_dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../profiler-ebpf");
    let features: &[&str] = if std::env::var_os("CARGO_FEATURE_DEBUG_BPF").is_some() {
        &["debug-bpf"]
    } else {
        &[]
    };
    let package = Package {
        name: "profiler-ebpf",
        root_dir,
        no_default_features: false,
        features,
    };
    build_ebpf([package], Toolchain::Custom("1.95.0")).context("building the kernel half")
}

/// For what needs the library but never loads the kernel half: the fuzz targets, a quick check while editing. An
/// object built earlier stays.
fn leave_empty_object() -> anyhow::Result<()> {
    println!("cargo:rerun-if-env-changed=AYA_BUILD_SKIP");
    let dir = std::env::var_os("OUT_DIR").context("OUT_DIR is not set")?;
    let object = std::path::Path::new(&dir).join("pyebpf-bpf");
    if !object.exists() {
        std::fs::write(&object, []).context("writing an empty object")?;
    }
    Ok(())
}
