//! Reads folded stacks, ours or another tool's: `frame;frame;... NUMBER`, outermost frame first, one stack in a line.
//!
//! Root frames of processes and threads, as `record` and py-spy write them, become labels.

use std::io::{BufRead, Read as _};

use super::builder::Builder;
use super::content::Content;
use super::error::ReadError;
use super::frame_text;
use super::loaded::{About, LabelSet, LabelValue, ValueType};
use super::room::MOST_FIELD_BYTES;

/// Adds the stacks of a file.
pub(super) fn read(content: &Content, to: &mut Builder) -> Result<(), ReadError> {
    let types = vec![ValueType {
        name: "samples".to_owned(),
        unit: "count".to_owned(),
    }];
    to.set_types(types, Some(0))?;
    to.describe(About {
        files: 1,
        ..About::default()
    });
    let mut input = content.stream()?;
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let read = (&mut input)
            .take(MOST_FIELD_BYTES)
            .read_until(b'\n', &mut bytes)?;
        if read == 0 {
            break;
        }
        if read as u64 == MOST_FIELD_BYTES {
            return Err(ReadError::NotAStack { line });
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\n', '\r']);
        // Some tools write a comment before the stacks.
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        add_line(text, to)?.ok_or(ReadError::NotAStack { line })?;
    }
    Ok(())
}

/// Adds the stack of one line; `None` if it is none.
fn add_line(line: &str, to: &mut Builder) -> Result<Option<()>, ReadError> {
    let Some((frames, number)) = line.rsplit_once(' ') else {
        return Ok(None);
    };
    let Ok(number) = number.parse::<i64>() else {
        return Ok(None);
    };
    let mut labels = LabelSet::default();
    let mut stack = Vec::new();
    for text in frames.split(';') {
        let text = frame_text::unescaped(text);
        match frame_text::root(&text).filter(|_| stack.is_empty()) {
            Some(root) => {
                for (key, value) in root {
                    let value = match value {
                        frame_text::RootValue::Number(number) => {
                            LabelValue::Number(number.into(), to.text("")?)
                        }
                        frame_text::RootValue::Text(text) => LabelValue::Text(to.text(text)?),
                    };
                    labels.0.push((to.text(key)?, value));
                }
            }
            None => stack.push(to.frame(frame_text::frame(&text))?),
        }
    }
    let (stack, labels) = (to.stack(&stack)?, to.labels(labels)?);
    to.add(stack, labels, &[number], None)?;
    Ok(Some(()))
}
