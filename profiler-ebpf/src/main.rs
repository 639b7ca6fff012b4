//! The kernel half of pyebpf: BPF programs and maps.
//!
//! One event runs a chain of programs: a source ([`sources`]: whose is it, where is its thread state) ->
//! [`stages::walk_python`] (one block of frames, again for deeper stacks) -> [`stages::define_code`] (names of code never
//! seen before) -> [`stages::start_native`] -> [`stages::walk_native`]. [`chains`] makes them programs. Process life is
//! watched by [`process_life`]. Nothing here compares versions: layouts come through maps.
#![no_std]
#![no_main]
// `bounded` in `memory.rs`; unlocked by RUSTC_BOOTSTRAP in the pinned compiler, as aya-ebpf itself needs.
#![feature(asm_experimental_arch)]
#![expect(
    unsafe_code,
    reason = "program and map macros expand to named sections; hand-written blocks stay in the files that ARCHITECTURE.md names"
)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "the program macros hand the context over by value"
)]

mod accounts;
mod benchmark;
mod chains;
mod globals;
mod kernel;
mod log;
mod maps;
mod memory;
mod process_life;
mod processes;
mod registers;
mod sources;
mod stages;
mod threads;
mod working;

/// The GPL-only helpers (`bpf_probe_read_*`, perf events) need a GPL-compatible object.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
#[used]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Never reached: nothing here panics, and the verifier would reject a program that could loop.
#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
