//! The walker of `profiler-common`, driven as the kernel half drives it, and the naming of `pyebpf`, over any memory.

use std::cell::Cell;
use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use profiler_common::contract::layout::{IDENTITY_BUFFER_WORDS, Layout};
use profiler_common::contract::process::ThreadLookup;
use profiler_common::contract::reasons::{GilState, StackStatus};
use profiler_common::contract::records::{
    CodeDefinition, FRAMES_PER_BLOCK, MAX_BLOCKS, NO_INSTRUCTION, RawFrame, TextHeader,
};
use profiler_common::memory::{Memory, RemoteAddr};
use profiler_common::walker::python::{
    CodeSeen, Scratch, capture, capture_class, identity, interpreter_id, locate, walk_block,
};
use pyebpf::language::python::code::definition::{CodeKey, Definition};
use pyebpf::wire::decode::{CodeView, TextView};

use crate::workload::TrueFrame;

/// What a walk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// How complete it is.
    pub status: StackStatus,
    /// Whether the thread held the GIL.
    pub gil: GilState,
    /// Address of the newest frame; null when there was nothing to walk.
    pub newest: RemoteAddr,
    /// Newest first, entry frames of the C stack (code 0) included.
    pub frames: Vec<RawFrame>,
    /// Whether the thread was collecting garbage.
    pub collecting: bool,
    /// The address of each frame.
    pub origins: Vec<u64>,
    /// Frames whose definition was asked for.
    pub unseen: u32,
    /// Address of the thread's interpreter.
    pub interpreter: RemoteAddr,
}

/// Knows no code object; counts the questions.
struct NothingSeen(Cell<u32>);

impl CodeSeen for NothingSeen {
    fn seen(&self, _code: u64, _check: u32) -> bool {
        self.0.set(self.0.get() + 1);
        false
    }
}

/// Walks the stack of the thread with this thread pointer.
///
/// # Panics
/// When the walker leaves a status behind that does not exist, or disagrees with itself: both are its errors.
pub fn walk<M: Memory>(memory: &M, lookup: &ThreadLookup, layout: &Layout, thread_pointer: u64) -> Walked {
    let mut scratch = Box::new(Scratch::EMPTY);
    let located = locate(memory, lookup, layout, thread_pointer, &mut scratch);
    let newest = scratch.cursor;
    let (mut frames, mut origins, mut asked) = (Vec::new(), Vec::new(), 0);
    if located == StackStatus::Complete {
        for _ in 0..MAX_BLOCKS {
            let seen = NothingSeen(Cell::new(0));
            let mut block = [RawFrame::default(); FRAMES_PER_BLOCK];
            let count = walk_block(memory, &seen, layout, &mut scratch, &mut block);
            // What turns out not to be a code object is asked about too.
            assert!(scratch.unseen <= seen.0.get(), "every frame is asked about");
            let void = scratch.void as usize;
            assert!(void <= count, "{void} of {count} slots are void");
            if void > 0 {
                frames.clear();
                origins.clear();
            }
            frames.extend_from_slice(&block[void..count]);
            origins.extend_from_slice(&scratch.origins[void..count]);
            asked += scratch.unseen;
            if scratch.cursor.is_null() {
                break;
            }
        }
        if !scratch.cursor.is_null() {
            scratch.status = StackStatus::Truncated.code();
        }
    }
    Walked {
        status: StackStatus::from_code(scratch.status).expect("the walker sets known codes only"),
        gil: GilState::from_code(scratch.gil).expect("the walker sets known codes only"),
        newest,
        collecting: scratch.collecting == 1,
        frames,
        origins,
        unseen: asked,
        interpreter: scratch.interpreter,
    }
}

/// The lookup without the short cut through the GIL's holder: the thread state is then found by its key.
#[must_use]
pub fn by_key_only(lookup: &ThreadLookup) -> ThreadLookup {
    ThreadLookup {
        holder: 0,
        last_holder: 0,
        ..*lookup
    }
}

/// Names frames as the recorder does: what the kernel half captures, completed from memory where it was cut short. Entry
/// frames are left out; `None` stands for a frame without a name, file or line.
pub fn name<M: Memory>(memory: &M, layout: &Layout, walked: &Walked) -> Vec<Option<TrueFrame>> {
    let mut known: HashMap<(u64, u32), Definition> = HashMap::new();
    let collector = walked
        .collecting
        .then(|| Some(TrueFrame("<gc>".to_owned(), String::new(), 0)));
    let frames = walked
        .frames
        .iter()
        .zip(&walked.origins)
        .filter(|(frame, _)| frame.code != 0)
        .map(|(frame, origin)| {
            let key = CodeKey {
                code: frame.code,
                check: frame.check,
            };
            let definition = known
                .entry((frame.code, frame.check))
                .or_insert_with(|| define(memory, layout, walked.interpreter, key, *origin));
            let line = match frame.instr_offset {
                NO_INSTRUCTION => Some(definition.first_line),
                offset => definition.line_table.line(offset),
            };
            Some(TrueFrame(
                definition.full_name()?.into_owned(),
                definition.filename.get()?.to_owned(),
                line?,
            ))
        });
    collector.into_iter().chain(frames).collect()
}

fn define<M: Memory>(
    memory: &M,
    layout: &Layout,
    interpreter: RemoteAddr,
    key: CodeKey,
    frame: u64,
) -> Definition {
    let mut words = [0; IDENTITY_BUFFER_WORDS];
    let mut header = [0u64; 16];
    let mut captured = Box::new(CodeDefinition::EMPTY);
    let id = interpreter_id(memory, layout, interpreter);
    let check = identity(memory, layout, key.code, id, &mut words);
    capture(
        memory,
        layout,
        key.code,
        check,
        &words,
        &mut header,
        &mut captured,
    );
    capture_class(memory, layout, key.code, frame, &mut header, &mut captured);
    let text = |header: TextHeader, data| TextView { header, data };
    let view = CodeView {
        tgid: 1,
        incarnation: 1,
        code: captured.code,
        check: captured.check,
        first_line: captured.first_line,
        line_table_object: captured.line_table_object,
        line_table_length: captured.line_table_length,
        layout: 0,
        interpreter: interpreter.0,
        class_object: captured.class_object,
        class: &captured.class_data[..captured.class_stored as usize],
        name: text(captured.name, &captured.name_data[..captured.name.stored.into()]),
        filename: text(
            captured.filename,
            &captured.filename_data[..captured.filename.stored.into()],
        ),
        line_table: &captured.line_table[..captured.line_table_stored.into()],
    };
    let mut definition = Definition::new(&view, layout.line_table);
    // What stays incomplete shows in the names.
    let _ = definition.complete(key, interpreter, memory, layout);
    definition
}

/// Fails unless the walk is complete and its frames are those that the program reported, newest first.
///
/// # Errors
/// The first difference.
pub fn compare(walked: &Walked, named: &[Option<TrueFrame>], truth: &[TrueFrame]) -> anyhow::Result<()> {
    ensure!(
        walked.status == StackStatus::Complete,
        "the stack is not complete: {}",
        walked.status.text()
    );
    for (index, true_frame) in truth.iter().enumerate() {
        let found = named
            .get(index)
            .with_context(|| format!("frame {index} is missing: {true_frame:?}"))?;
        ensure!(
            found.as_ref() == Some(true_frame),
            "frame {index} is {found:?}, not {true_frame:?}"
        );
    }
    ensure!(
        named.len() == truth.len(),
        "{} frames, not {}",
        named.len(),
        truth.len()
    );
    Ok(())
}
