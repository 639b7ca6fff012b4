//! The terminal: taken over at the beginning, and given back at every end, also that of a panic.
//!
//! While it is taken over, what goes to standard error is kept aside, where that is the same terminal, and shown afterwards.

use std::fs::File;
use std::io::{self, IsTerminal as _, Stdout, Write as _, stderr, stdin, stdout};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, SetTitle};
use rustix::termios::{OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use super::app::App;
use super::kept_output::KeptOutput;
use super::keys::{Key, Keys};
use super::screen::{self, Look};
use crate::watched::{Watched, watch};

/// What is to be put back.
struct Before {
    termios: Termios,
    /// Standard error, and what has been written in its place.
    stderr: Option<(OwnedFd, KeptOutput)>,
}

static BEFORE: Mutex<Option<Before>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// A terminal that is taken over. Dropping it gives the terminal back.
pub(super) struct Display {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    input: Watched,
    keys: Keys,
    look: Look,
}

impl Display {
    /// Takes it over. To be called within a runtime.
    pub(super) fn open(colours: bool) -> io::Result<Self> {
        let input = watch(stdin().as_fd().try_clone_to_owned()?)?;
        let termios = tcgetattr(&input)?;
        let mut raw = termios.clone();
        raw.make_raw();
        // What is there is read, and nothing is waited for.
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        restore_at_panic();
        let stderr = stderr().is_terminal().then(keep_stderr).transpose()?;
        *before() = Some(Before { termios, stderr });
        // From here on, dropping it puts everything back.
        let display = Self {
            terminal,
            input,
            keys: Keys::default(),
            look: Look {
                colours,
                unicode: is_utf8(),
            },
        };
        tcsetattr(&display.input, OptionalActions::Now, &raw)?;
        execute!(stdout(), EnterAlternateScreen, SetTitle("pyebpf top"))?;
        Ok(display)
    }

    /// Draws what is there now.
    pub(super) fn draw(&mut self, app: &mut App) -> io::Result<()> {
        let look = self.look;
        self.terminal.draw(|frame| {
            let area = frame.area();
            screen::draw(app, frame.buffer_mut(), area, look);
        })?;
        Ok(())
    }

    /// Draws everything again the next time, whatever somebody else has written there.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }

    /// How large it is: columns and lines.
    pub(super) fn size(&self) -> (u16, u16) {
        self.terminal
            .size()
            .map_or((80, 24), |size| (size.width, size.height))
    }

    /// The next keys.
    pub(super) async fn keys(&mut self) -> io::Result<Vec<Key>> {
        self.input.readable().await?.clear_ready();
        let mut keys = Vec::new();
        let mut bytes = [0; 256];
        loop {
            let read = rustix::io::retry_on_intr(|| rustix::io::read(&self.input, &mut bytes))?;
            if read == 0 {
                return Ok(keys);
            }
            keys.extend(self.keys.read(bytes.get(..read).unwrap_or_default()));
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        give_back();
    }
}

fn before() -> MutexGuard<'static, Option<Before>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts back what was there before; a second time nothing. Where the terminal is gone, nobody can be told.
fn give_back() {
    let Some(Before {
        termios,
        stderr: kept,
    }) = before().take()
    else {
        return;
    };
    let _ = execute!(stdout(), SetTitle(""), LeaveAlternateScreen, Show);
    // What was typed and not read was meant for the screen that is gone.
    let _ = tcsetattr(stdin(), OptionalActions::Flush, &termios);
    if let Some((own, mut kept)) = kept {
        let _ = rustix::stdio::dup2_stderr(&own);
        let _ = stderr().write_all(&kept.end());
    }
}

/// A panic's message is to be read.
fn restore_at_panic() {
    HOOK.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            give_back();
            report(info);
        }));
    });
}

fn keep_stderr() -> io::Result<(OwnedFd, KeptOutput)> {
    let kept = KeptOutput::new()?;
    let own = stderr().as_fd().try_clone_to_owned()?;
    let file: File = kept.file()?;
    rustix::stdio::dup2_stderr(&file)?;
    Ok((own, kept))
}

/// Whether the terminal shows more than ASCII, by the rules of the C library.
fn is_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| {
        let value = std::env::var(name).ok()?;
        (!value.is_empty()).then_some(value)
    });
    let set = set.unwrap_or_default().to_ascii_lowercase();
    set.contains("utf-8") || set.contains("utf8")
}
