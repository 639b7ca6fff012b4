//! The loop of `top`: the session beside the keys, the screen, and what is asked of others.

use std::pin::pin;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::super::accounts;
use super::super::failure::Failure;
use super::super::launch::EndedBy;
use super::app::{App, Over, Wish};
use super::display::Display;
use super::feed::{News, feed};
use super::kept_output::KeptOutput;
use super::keys::Key;
use super::model::FunctionId;
use super::save::{Saved, save};
use super::source::SourceText;
use crate::escape::printable;
use crate::inspect::{Answer, InspectFailure, Inspectors, Question};
use crate::output::Encoding;
use crate::session::{Ended, Progress, Session, SessionError, Signals, StopReason, Summary};
use crate::workers::Ticket;

/// Time between two looks for the source of a function.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a file that is being written may take when all else has ended.
const SAVING_AT_MOST: Duration = Duration::from_secs(30);

/// Why it ended.
pub(super) enum End {
    /// A key.
    Quit,
    /// The terminal is gone.
    Failed(Failure),
    Session(Box<Result<Ended, SessionError>>),
}

impl End {
    pub(super) fn by(&self) -> EndedBy {
        match self {
            Self::Session(ended) => match &**ended {
                Ok(Ended {
                    reason: StopReason::ProcessExited,
                    ..
                }) => EndedBy::Command,
                _ => EndedBy::Request,
            },
            Self::Quit | Self::Failed(_) => EndedBy::Request,
        }
    }
}

/// All that the loop has.
pub(super) struct Watching {
    pub(super) app: App,
    pub(super) display: Display,
    saved: Saved,
    inspectors: Inspectors,
    /// The source that is waited for.
    asked: Option<(Ticket, u32)>,
    saving: Option<JoinHandle<String>>,
    /// What files are named after.
    name: String,
    /// What a command writes.
    output: Option<KeptOutput>,
}

impl Watching {
    pub(super) fn new(
        app: App,
        display: Display,
        inspectors: Inspectors,
        name: String,
        output: Option<KeptOutput>,
    ) -> Self {
        Self {
            app,
            display,
            saved: Saved::new(),
            inspectors,
            asked: None,
            saving: None,
            name,
            output,
        }
    }

    /// Until a key, a signal or the end of everything that is shown.
    pub(super) async fn run(mut self, session: Session, signals: &mut Signals) -> (End, Self) {
        let (mut sender, mut news) = feed();
        let mut session = pin!(session.run(signals, &mut sender));
        let no_terminal = |error: std::io::Error| {
            End::Failed(Failure::new(format_args!("drawing on the terminal: {error}")))
        };
        let mut resized = match signal(SignalKind::window_change()) {
            Ok(resized) => resized,
            Err(error) => return (no_terminal(error), self),
        };
        let mut is_stale = true;
        let end = loop {
            if is_stale && let Err(error) = self.display.draw(&mut self.app) {
                break no_terminal(error);
            }
            is_stale = true;
            tokio::select! {
                biased;
                ended = &mut session => {
                    while let Ok(said) = news.try_recv() {
                        self.hear(said);
                    }
                    if let Ok(ended) = &ended && !ended.last.is_empty() {
                        self.app.model.add(&ended.last);
                        self.saved.add(&ended.last);
                    }
                    break End::Session(Box::new(ended));
                }
                keys = self.display.keys() => match keys {
                    // One after the other: what one asks for may be a prompt, which takes the next ones.
                    Ok(keys) => {
                        if keys.into_iter().any(|key| self.press(key)) {
                            break End::Quit;
                        }
                    }
                    Err(error) => break no_terminal(error),
                },
                Some(said) = news.recv() => {
                    is_stale = self.hear(said);
                    while let Ok(said) = news.try_recv() {
                        is_stale |= self.hear(said);
                    }
                }
                Some(()) = resized.recv() => {}
                said = finished(&mut self.saving) => {
                    self.saving = None;
                    self.app.message = Some(said);
                }
                () = tokio::time::sleep(LOOK_EVERY), if self.asked.is_some() => is_stale = self.look_for_source(),
            }
        };
        (end, self)
    }

    /// Gives the terminal back, and lets a file be finished.
    pub(super) async fn finish(self) -> (App, Option<KeptOutput>) {
        drop(self.display);
        if let Some(saving) = self.saving
            && let Ok(Ok(said)) = tokio::time::timeout(SAVING_AT_MOST, saving).await
        {
            super::super::terminal::status(&said);
        }
        (self.app, self.output)
    }

    /// Takes in what the session says; whether there is something new to see.
    fn hear(&mut self, said: News) -> bool {
        match said {
            News::Interval(part) => {
                self.app.model.add(&part);
                self.saved.add(&part);
                if let Some(output) = &mut self.output {
                    output.limit();
                }
                !self.app.is_paused()
            }
            News::Accounts(summary) => {
                let health = &mut self.app.health;
                health.errors = summary.errors();
                health.lost = summary.dropped();
                health.processes = summary.processes;
                health.refusals = refusals(&summary);
                false
            }
            News::Progress(Progress::Recording { processes, .. }) => {
                let was = std::mem::replace(&mut self.app.health.processes, processes);
                // The first one is worth a word.
                (was == 0) != (processes == 0)
            }
            News::Progress(Progress::LeftToCommand) => {
                self.app.message = Some("Control-C is left to the command; q ends it".to_owned());
                true
            }
            News::Progress(Progress::Naming { .. }) => {
                !std::mem::replace(&mut self.app.health.is_ending, true)
            }
        }
    }

    /// Answers a key; `true` at the end.
    fn press(&mut self, key: Key) -> bool {
        self.app.press(key).is_some_and(|wish| self.grant(wish))
    }

    /// Does what a key asks for; `true` at the end.
    fn grant(&mut self, wish: Wish) -> bool {
        match wish {
            Wish::Quit => return true,
            Wish::Redraw => {
                // The next drawing says what is wrong with the terminal.
                let _ = self.display.clear();
            }
            Wish::Reset => {
                self.app.model.reset();
                self.saved = Saved::new();
                self.app.over = Over::Nothing;
                self.app.selected = None;
            }
            Wish::Scope(scope) => {
                let all = self.saved.recording();
                self.app.model.set_scope(scope, &all);
            }
            Wish::NameFile(format) => {
                let (path, _) = Encoding::by_default(format, &self.name);
                self.app.offer_name(&path);
            }
            Wish::Save(name) => {
                if self.saving.is_some() {
                    self.app.message = Some("Another file is still being written".to_owned());
                } else {
                    let recording = self.saved.recording();
                    let full = self.app.names.are_whole;
                    self.saving = Some(tokio::spawn(save(name, recording, full)));
                    self.app.message = Some("Saving ...".to_owned());
                }
            }
            Wish::Source(function) => self.ask_for_source(function),
        }
        self.app.refresh();
        false
    }

    fn ask_for_source(&mut self, id: FunctionId) {
        if let Some((ticket, _)) = self.asked.take() {
            self.inspectors.forget(ticket);
        }
        let Some((function, known)) = self.app.shown().function(id) else {
            return;
        };
        let Some(path) = function.file.clone() else {
            self.app.source = SourceText::Missing("this code has no file".to_owned());
            return;
        };
        // The line of a decorator may come first.
        let first = function.first_line.unwrap_or(1).max(1);
        let question = Question::Source {
            pid: known.pid,
            path,
            first,
        };
        self.asked = Some((self.inspectors.ask(&question), first));
        self.app.source = SourceText::Asked;
        self.look_for_source();
    }

    /// Whether it is there, or will never be.
    fn look_for_source(&mut self) -> bool {
        let Some((ticket, first)) = self.asked else {
            return false;
        };
        self.inspectors.pump();
        let Some(answer) = self.inspectors.take(ticket) else {
            return false;
        };
        self.asked = None;
        self.app.source = match answer {
            Ok(Answer::Source(Ok(lines))) => SourceText::Lines {
                first,
                lines: lines.iter().map(|line| printable(line)).collect(),
            },
            Ok(Answer::Source(Err(failure))) => {
                SourceText::Missing(InspectFailure::from(failure).to_string())
            }
            Ok(_) => SourceText::Missing("nobody answered".to_owned()),
            Err(unanswered) => SourceText::Missing(InspectFailure::Unanswered(unanswered).to_string()),
        };
        true
    }
}

/// What became of a file, once that is known.
async fn finished(saving: &mut Option<JoinHandle<String>>) -> String {
    match saving {
        Some(saving) => saving
            .await
            .unwrap_or_else(|_| "Not saved: the thread that writes has failed".to_owned()),
        None => std::future::pending().await,
    }
}

/// What is said of interpreters that are not shown.
fn refusals(summary: &Summary) -> Vec<String> {
    let refusals = summary.refusals.iter();
    refusals
        .map(|refusal| format!("{} ({})", refusal.text, accounts::processes(refusal)))
        .collect()
}
