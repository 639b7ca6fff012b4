//! What stands above the flame graph: its subtitle, and the legend that says which colour is whose code. Used by
//! `flamegraph`.
//!
//! inferno draws no legend, but it leaves room for a second title. That one is taken out of the stream of bytes on its way,
//! and two lines are put in its place: subtitle and legend. So the picture is never held in memory.

use std::io::{self, Write};

use crate::output::palette::color_of;
use crate::profile::{Owner, Recording};

/// The second title as inferno is asked to write it.
pub(super) const PLACEHOLDER: &str = "legend";
const TITLE_STARTS: &[u8] = b"<text id=\"subtitle\"";
const TITLE_ENDS: &[u8] = b"</text>";
/// The second title comes within this many bytes, after styles and scripts.
const HEADER_BYTES: usize = 256 * 1024;
/// Baseline of the subtitle, pixels.
const SUBTITLE_BASELINE: usize = 38;
/// Baseline of the legend's text, pixels. Frames begin at 60, where inferno leaves room for a second title.
const BASELINE: usize = 54;
/// Size of a sample of colour, pixels.
const SAMPLE: usize = 10;
/// Pixels between the left edge and the first sample.
const MARGIN: usize = 10;
/// About what one character takes, pixels.
const CHARACTER: usize = 7;

/// `subtitle`, and the legend of the owners that occur in `recording`.
pub(super) fn header(recording: &Recording, subtitle: &str) -> String {
    let mut svg = format!(
        "<text id=\"subtitle\" x=\"50.0000%\" y=\"{SUBTITLE_BASELINE}\">{}</text><g id=\"legend\">",
        escaped(subtitle)
    );
    let mut x = MARGIN;
    for owner in Owner::ALL {
        if !recording.frames.iter().any(|frame| Owner::of(frame) == *owner) {
            continue;
        }
        let color = color_of(*owner);
        let (top, text) = (BASELINE - SAMPLE, x + SAMPLE + 4);
        svg.push_str(&format!(
            "<rect x=\"{x}\" y=\"{top}\" width=\"{SAMPLE}\" height=\"{SAMPLE}\" fill=\"rgb({},{},{})\"/>\
             <text x=\"{text}\" y=\"{BASELINE}\">{}</text>",
            color.r,
            color.g,
            color.b,
            owner.label()
        ));
        x = text + owner.label().len() * CHARACTER + 2 * SAMPLE;
    }
    svg.push_str("</g>");
    svg
}

/// Text as XML takes it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Passes bytes on and puts the header where the second title is.
pub(super) struct WithLegend<'a> {
    out: &'a mut dyn Write,
    lines: String,
    /// What came so far; `None` after the second title.
    header: Option<Vec<u8>>,
}

impl<'a> WithLegend<'a> {
    pub(super) fn new(out: &'a mut dyn Write, lines: String) -> Self {
        Self {
            out,
            lines,
            header: Some(Vec::new()),
        }
    }

    /// To be called at the end of the picture.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.header
            .take()
            .map_or(Ok(()), |header| self.out.write_all(&header))
    }
}

impl Write for WithLegend<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(header) = &mut self.header else {
            return self.out.write(bytes);
        };
        header.extend_from_slice(bytes);
        if let Some((start, end)) = second_title(header) {
            let header = std::mem::take(header);
            self.header = None;
            self.out.write_all(&header[..start])?;
            self.out.write_all(self.lines.as_bytes())?;
            self.out.write_all(&header[end..])?;
        } else if header.len() > HEADER_BYTES {
            self.finish()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn second_title(bytes: &[u8]) -> Option<(usize, usize)> {
    let start = memchr::memmem::find(bytes, TITLE_STARTS)?;
    let rest = bytes.get(start..)?;
    let length = memchr::memmem::find(rest, TITLE_ENDS)? + TITLE_ENDS.len();
    Some((start, start + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(parts: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut writer = WithLegend::new(&mut out, "LEGEND".to_owned());
        for part in parts {
            writer.write_all(part).expect("a vector takes everything");
        }
        writer.finish().expect("a vector takes everything");
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn the_second_title_is_replaced_however_the_bytes_arrive() {
        let svg = b"<svg><text id=\"title\">t</text><text id=\"subtitle\" x=\"1\">legend</text><g/></svg>";
        let expected = "<svg><text id=\"title\">t</text>LEGEND<g/></svg>";
        assert_eq!(through(&[svg]), expected);
        let bytes: Vec<&[u8]> = svg.chunks(1).collect();
        assert_eq!(through(&bytes), expected);
    }

    #[test]
    fn without_a_second_title_nothing_is_lost() {
        assert_eq!(through(&[b"<svg>", b"</svg>"]), "<svg></svg>");
        let long = vec![b'x'; 3 * HEADER_BYTES];
        assert_eq!(through(&[&long, b"end"]).len(), long.len() + 3);
    }
}
