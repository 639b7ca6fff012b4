//! The thread that names what it is asked about, file by file, until nobody asks any more. A file that is late delays no
//! other.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::ids::ProcessKey;
use crate::inspect::Opener;
use crate::native::symbol::{CodeFile, CodePosition, NativeResult, NativeSymbolizer};

/// After how long a file is asked for again that did not come in time.
const LATE_AGAIN: Duration = Duration::from_millis(50);

/// One question, with the number that its answer gets.
#[derive(Debug)]
pub(super) enum Question {
    File(u32, Arc<CodeFile>, CodePosition),
    Jit(u32, ProcessKey, u64),
    Kernel(u32, u64),
}

/// Answers, each with the number of its question.
pub(super) type Answers = Vec<(u32, NativeResult)>;

/// The thread's other end.
#[derive(Debug)]
pub(super) struct SymbolThread {
    /// Until it is ended.
    asked: Option<Sender<Vec<Question>>>,
    answered: Receiver<Answers>,
    thread: Option<JoinHandle<()>>,
}

/// The thread is gone.
#[derive(Debug)]
pub(super) struct Ended;

impl SymbolThread {
    pub(super) fn start(opener: Opener) -> std::io::Result<Self> {
        let (asked, questions) = channel();
        let (answers, answered) = channel();
        let thread = std::thread::Builder::new()
            .name("symbols".to_owned())
            .spawn(move || answer(opener, &questions, &answers))?;
        Ok(Self {
            asked: Some(asked),
            answered,
            thread: Some(thread),
        })
    }

    /// Hands over questions.
    pub(super) fn ask(&self, questions: Vec<Question>) -> Result<(), Ended> {
        let asked = self.asked.as_ref().ok_or(Ended)?;
        asked.send(questions).map_err(|_| Ended)
    }

    /// What has been answered since.
    pub(super) fn answers(&self) -> Option<Answers> {
        self.answered.try_recv().ok()
    }

    /// Asks nothing any more; waits for the thread only where it has nothing left to do.
    pub(super) fn end(&mut self, is_done: bool) {
        self.asked = None;
        if let Some(thread) = self.thread.take()
            && is_done
            && thread.join().is_err()
        {
            log::warn!("the symbol thread panicked");
        }
    }
}

fn answer(opener: Opener, questions: &Receiver<Vec<Question>>, answers: &Sender<Answers>) {
    crate::priority::lower();
    let mut symbolizer = NativeSymbolizer::new(opener);
    let mut late = Vec::new();
    loop {
        let asked = match late.is_empty() {
            true => questions.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => questions.recv_timeout(LATE_AGAIN),
        };
        let mut asked = match asked {
            Ok(asked) => asked,
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        asked.append(&mut late);
        let mut results = Vec::with_capacity(asked.len());
        name(&mut symbolizer, asked, &mut results, &mut late);
        if !results.is_empty() && answers.send(results).is_err() {
            return;
        }
    }
}

/// Finds names; puts aside what has to be asked again because its file is late.
fn name(
    symbolizer: &mut NativeSymbolizer,
    asked: Vec<Question>,
    results: &mut Answers,
    late: &mut Vec<Question>,
) {
    let mut in_files = Vec::new();
    for question in asked {
        match question {
            Question::File(index, file, position) => in_files.push((index, file, position)),
            Question::Kernel(index, address) => {
                let named = symbolizer.resolve_kernel(&[address]).pop();
                results.extend(named.map(|name| (index, name)));
            }
            Question::Jit(index, process, address) => {
                match symbolizer.resolve_perf_map(process, &[address]) {
                    Some(mut named) => results.extend(named.pop().map(|name| (index, name))),
                    None => late.push(question),
                }
            }
        }
    }
    let requests: Vec<_> = in_files
        .iter()
        .map(|(_, file, position)| (&**file, *position))
        .collect();
    let named = symbolizer.resolve_user(&requests);
    for ((index, file, position), name) in in_files.into_iter().zip(named) {
        match name {
            Some(name) => results.push((index, name)),
            None => late.push(Question::File(index, file, position)),
        }
    }
}
