//! Stacks after the style was applied, identical ones folded, in the order of their text. Used by the flame graph and
//! the folded format. Holds numbers per stack and one text per different frame, never one text per stack.

use std::cmp::Ordering;

use crate::output::amounts::{Amount, AmountUnit, Amounts};
use crate::output::error::OutputError;
use crate::output::escape;
use crate::output::short_names::ShortNames;
use crate::output::style::RenderOptions;
use crate::profile::{Frame, FrameId, Recording, StackId, ThreadId};

/// A stack without a single frame is still a line.
const NO_FRAMES: &str = "<no frames>";

/// Index into [`Folded::texts`], which is sorted: comparing ranks compares texts.
pub(super) type Rank = u32;

/// Folded stacks, sorted frame by frame.
pub(super) struct Folded<'p> {
    recording: &'p Recording,
    texts: Vec<String>,
    frame_ranks: Vec<Rank>,
    /// The frames around the stacks of each thread.
    thread_roots: Vec<Vec<Rank>>,
    unit: AmountUnit,
    groups: Vec<Amount>,
}

impl<'p> Folded<'p> {
    /// Applies `options` to every frame of `recording`, and folds.
    ///
    /// # Errors
    /// [`OutputError::MixedUnits`].
    pub(super) fn new(recording: &'p Recording, options: &RenderOptions) -> Result<Self, OutputError> {
        let Amounts { unit, values } = Amounts::of(recording, options.measure)?;
        let names = ShortNames::of(&recording.frames);
        let frames = texts(&recording.frames, |frame| options.frame_text(frame, &names));
        let roots: Vec<Vec<String>> = options
            .roots
            .iter()
            .map(|group| texts(&group.texts(recording), String::clone))
            .collect();
        let mut texts = frames.clone();
        texts.extend(roots.iter().flatten().cloned());
        texts.push(NO_FRAMES.to_owned());
        texts.sort_unstable();
        texts.dedup();

        let ranks = |of: &[String]| -> Vec<Rank> { of.iter().map(|text| rank(&texts, text)).collect() };
        let frame_ranks = ranks(&frames);
        let roots: Vec<Vec<Rank>> = roots.iter().map(|of| ranks(of)).collect();
        let around = |thread: usize| roots.iter().filter_map(|of| of.get(thread).copied()).collect();
        let thread_roots = (0..recording.threads.len()).map(around).collect();
        let mut folded = Self {
            recording,
            texts,
            frame_ranks,
            thread_roots,
            unit,
            groups: Vec::new(),
        };
        folded.groups = folded.fold(values);
        Ok(folded)
    }

    /// What the numbers are.
    pub(super) fn unit(&self) -> AmountUnit {
        self.unit
    }

    /// The different stacks and their numbers, sorted. Thread and stack are those of any one of its samples.
    pub(super) fn groups(&self) -> &[Amount] {
        &self.groups
    }

    /// The frames of a group, outermost first, roots included.
    pub(super) fn ranks(&self, group: &Amount) -> impl Iterator<Item = Rank> + '_ {
        self.roots(group.thread)
            .iter()
            .copied()
            .chain(self.stack_ranks(group.stack))
    }

    /// The escaped text of a frame; never empty, never with a `;`.
    pub(super) fn text(&self, rank: Rank) -> &str {
        &self.texts[rank as usize]
    }

    /// Text and what it stands for, for every frame of the profile.
    pub(super) fn frame_texts(&self) -> impl Iterator<Item = (&str, &'p Frame)> {
        self.recording
            .frames
            .iter()
            .zip(&self.frame_ranks)
            .map(|(frame, rank)| (self.text(*rank), frame))
    }

    /// The texts of root frames.
    pub(super) fn root_texts(&self) -> impl Iterator<Item = &str> {
        self.thread_roots.iter().flatten().map(|rank| self.text(*rank))
    }

    fn roots(&self, thread: ThreadId) -> &[Rank] {
        &self.thread_roots[thread.0 as usize]
    }

    fn stack_ranks(&self, stack: StackId) -> impl Iterator<Item = Rank> + '_ {
        let frames = self.recording.stack(stack);
        let placeholder = frames.is_empty().then(|| rank(&self.texts, NO_FRAMES));
        placeholder
            .into_iter()
            .chain(frames.iter().map(|FrameId(id)| self.frame_ranks[*id as usize]))
    }

    /// Sorts stacks once, then counts by three small numbers: a stack is seen by many threads.
    fn fold(&self, mut groups: Vec<Amount>) -> Vec<Amount> {
        let order = self.stack_order();
        let key = |amount: &Amount| (self.roots(amount.thread), order[amount.stack.0 as usize]);
        groups.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        groups.dedup_by(|next, kept| {
            let same = key(next) == key(kept);
            if same {
                kept.value = kept.value.saturating_add(next.value);
            }
            same
        });
        groups
    }

    /// For every stack, how many different ones come before it; equal for stacks that read the same.
    fn stack_order(&self) -> Vec<u32> {
        let compare = |a: u32, b: u32| self.stack_ranks(StackId(a)).cmp(self.stack_ranks(StackId(b)));
        let mut sorted: Vec<u32> = (0u32..).take(self.recording.stacks.len()).collect();
        sorted.sort_unstable_by(|a, b| compare(*a, *b));
        let mut order = vec![0; sorted.len()];
        let mut position = 0;
        for pair in sorted.windows(2) {
            position += u32::from(compare(pair[0], pair[1]) != Ordering::Equal);
            order[pair[1] as usize] = position;
        }
        order
    }
}

/// The escaped texts of `items`.
fn texts<T>(items: &[T], text: impl Fn(&T) -> String) -> Vec<String> {
    let escaped = |item| {
        let text = escape::folded(&text(item));
        if text.is_empty() {
            "<no name>".to_owned()
        } else {
            text
        }
    };
    items.iter().map(escaped).collect()
}

/// Where `text`, one of the sorted `texts`, is.
fn rank(texts: &[String], text: &str) -> Rank {
    let position = texts.partition_point(|other| other.as_str() < text);
    Rank::try_from(position).unwrap_or(Rank::MAX)
}
