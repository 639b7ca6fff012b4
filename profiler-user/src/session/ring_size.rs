//! How much room samples have while user space is kept from running.

/// For how long rings hold what comes at the rate asked for: user space may be kept from running that long.
const RING_SECONDS: u64 = 2;
/// Smallest and largest ring for samples, bytes.
const RING_BYTES: (u32, u32) = (4 << 20, 256 << 20);
/// Room for one sample and its share of definitions, bytes: 500 frames. And for its native and kernel frames.
const BYTES_PER_SAMPLE: u64 = 8_192;
const NATIVE_BYTES_PER_SAMPLE: u64 = 4_096;

/// Room for two seconds of samples.
pub(super) fn ring_bytes(rate_hz: u32, with_native: bool) -> u32 {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let bytes = BYTES_PER_SAMPLE + u64::from(with_native) * NATIVE_BYTES_PER_SAMPLE;
    let wanted = u64::from(rate_hz) * cpus * bytes * RING_SECONDS;
    let (least, most) = RING_BYTES;
    let wanted = u32::try_from(wanted).unwrap_or(most).clamp(least, most);
    wanted.checked_next_power_of_two().unwrap_or(most)
}
