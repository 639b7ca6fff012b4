//! Colours of the flame graph: whose code a frame is. Used by `flamegraph` and `legend`, owners also by `firefox`.
//!
//! inferno's Python palette tells site-packages and the standard library from one's own code by the whole path, which
//! the short file names of the picture no longer have; so owners are told apart here, by the frame itself. The colours stay
//! apart for people who do not see red, green or blue as others do (see the test), and black text is readable on each.

use inferno::flamegraph::color::Color;

use crate::profile::{Frame, Owner};

/// The fill of a root frame.
pub(super) const ROOT: Color = grey(225);
/// How much darker or lighter than its owner's colour a frame may be, per channel.
const SHADES: u8 = 22;

/// The fill of a frame. Same text, same colour, in every picture.
pub(super) fn color(frame: &Frame, text: &str) -> Color {
    match Owner::of(frame) {
        Owner::Nobody => color_of(Owner::Nobody),
        owner => shaded(color_of(owner), shade(text)),
    }
}

fn shaded(color: Color, shade: u32) -> Color {
    let offset = u8::try_from(u32::from(SHADES) * shade / 256).unwrap_or(SHADES);
    let channel = |value: u8| value.saturating_sub(SHADES / 2).saturating_add(offset);
    Color {
        r: channel(color.r),
        g: channel(color.g),
        b: channel(color.b),
    }
}

/// The colour of an owner's frames, before shading.
pub(super) fn color_of(owner: Owner) -> Color {
    let (r, g, b) = match owner {
        Owner::Program => (232, 117, 103),
        Owner::Package => (25, 150, 148),
        Owner::StandardLibrary => (236, 215, 30),
        Owner::Native => (116, 120, 214),
        Owner::Interpreter => (244, 164, 244),
        Owner::Kernel => (194, 133, 26),
        Owner::Nobody => (205, 205, 205),
    };
    Color { r, g, b }
}

/// 0..256, from the text alone (FNV-1a, folded to its best-mixed byte).
fn shade(text: &str) -> u32 {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (hash >> 24) ^ (hash & 0xff)
}

const fn grey(level: u8) -> Color {
    Color {
        r: level,
        g: level,
        b: level,
    }
}

#[cfg(test)]
mod tests {
    use inferno::flamegraph::color::Color;

    use super::{color_of, shaded};
    use crate::profile::Owner;

    /// How people see linear red, green and blue: as most do, and without one of the three cones
    /// (Machado, Oliveira and Fernandes 2009, severity 1).
    const EYES: [[[f64; 3]; 3]; 4] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ],
        [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ],
        [
            [1.255_528, -0.076_749, -0.178_779],
            [-0.078_411, 0.930_809, 0.147_602],
            [0.004_733, 0.691_367, 0.303_900],
        ],
    ];
    /// A difference in CIELAB that is seen at a glance; 2.3 is just noticeable.
    const SEEN_AT_A_GLANCE: f64 = 20.0;

    fn linear(color: Color) -> [f64; 3] {
        [color.r, color.g, color.b].map(|channel| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.040_45 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        })
    }

    /// A color as these eyes see it, in CIELAB (D65).
    fn lab(color: Color, eyes: &[[f64; 3]; 3]) -> [f64; 3] {
        let [r, g, b] = linear(color);
        let [r, g, b] = eyes.map(|row| (row[0] * r + row[1] * g + row[2] * b).clamp(0.0, 1.0));
        let x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.950_47;
        let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
        let z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.088_83;
        let [x, y, z] = [x, y, z].map(|t| {
            if t > 0.008_856 {
                t.cbrt()
            } else {
                7.787 * t + 16.0 / 116.0
            }
        });
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn owners_look_different_to_everybody() {
        for (index, one) in Owner::ALL.iter().enumerate() {
            for other in &Owner::ALL[index + 1..] {
                for eyes in &EYES {
                    let (a, b) = (lab(color_of(*one), eyes), lab(color_of(*other), eyes));
                    let difference = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                    assert!(
                        difference > SEEN_AT_A_GLANCE,
                        "{one:?} and {other:?}: {difference}"
                    );
                }
            }
        }
    }

    #[test]
    fn black_text_is_readable_on_every_color() {
        for owner in Owner::ALL {
            // WCAG 2.2, success criterion 1.4.3: 4.5 to 1.
            let [r, g, b] = linear(shaded(color_of(*owner), 0));
            let luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
            assert!((luminance + 0.05) / 0.05 > 4.5, "{owner:?}");
        }
    }
}
