//! What is on the screen, and what keys do to it. Pure: what has to be done elsewhere is handed out as a [`Wish`].

use std::path::Path;
use std::time::Duration;

use super::columns::Column;
use super::groups::Scope;
use super::keys::Key;
use super::model::{FunctionId, Model, Place};
use super::rows::{self, Filter, Names, Order, Row, RowId};
use super::source::SourceText;
use crate::output::Format;
use clap::ValueEnum as _;

/// What the session says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Health {
    /// Processes that are sampled now.
    pub(super) processes: usize,
    /// Samples whose stack is cut off or unreadable.
    pub(super) errors: u64,
    /// Samples that were lost.
    pub(super) lost: u64,
    /// Interpreters that are not sampled, a sentence each.
    pub(super) refusals: Vec<String>,
    /// Addresses whose names are being read, at the end.
    pub(super) is_ending: bool,
}

/// Which table there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// Functions, or their lines.
    Places,
    /// Containers, processes, threads.
    Groups,
}

/// What lies over the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Nothing,
    Help,
    /// A function's callers, callees and source.
    Details(FunctionId),
}

/// What is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typing {
    Nothing,
    /// What the rows have to contain.
    Filter,
    /// The name of a file to save.
    FileName(String),
}

/// What is to be done by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Quit,
    /// Draw all of the screen again.
    Redraw,
    /// Forget what was sampled.
    Reset,
    /// Count the functions of others.
    Scope(Scope),
    /// Write a file.
    Save(String),
    /// A default name for a file of this format.
    NameFile(Format),
    /// The source of a function.
    Source(FunctionId),
}

/// The state of the screen.
#[derive(Debug)]
pub(super) struct App {
    pub(super) model: Model,
    /// What is shown while `model` goes on.
    frozen: Option<Box<Model>>,
    pub(super) subject: String,
    pub(super) rate_hz: u32,
    pub(super) health: Health,
    pub(super) with_native: bool,
    pub(super) view: View,
    pub(super) by_line: bool,
    pub(super) names: Names,
    orders: [Order; 2],
    pub(super) filter: String,
    pub(super) over: Over,
    pub(super) typing: Typing,
    /// The row that keys move.
    pub(super) selected: Option<RowId>,
    /// Position of the first row that is shown.
    pub(super) offset: usize,
    /// Rows that the table had room for, when it was drawn last.
    pub(super) room: usize,
    pub(super) rows: Vec<Row>,
    pub(super) source: SourceText,
    /// How far the source has been scrolled, and the first line of it that was drawn last.
    pub(super) scroll: Option<usize>,
    pub(super) scrolled: usize,
    /// One line about what was done last.
    pub(super) message: Option<String>,
    format: usize,
}

impl App {
    pub(super) fn new(model: Model, subject: String, rate_hz: u32) -> Self {
        Self {
            model,
            frozen: None,
            subject,
            rate_hz,
            health: Health::default(),
            with_native: false,
            view: View::Places,
            by_line: false,
            names: Names::default(),
            orders: [Order::default(); 2],
            filter: String::new(),
            over: Over::Nothing,
            typing: Typing::Nothing,
            selected: None,
            offset: 0,
            room: 1,
            rows: Vec::new(),
            source: SourceText::None,
            scroll: None,
            scrolled: 0,
            message: None,
            format: 0,
        }
    }

    /// What is shown: what is there now, or what was there when it was paused.
    pub(super) fn shown(&self) -> &Model {
        self.frozen.as_deref().unwrap_or(&self.model)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    /// Shows all that there was in the end: nobody presses keys any more.
    pub(super) fn show_end(&mut self) {
        self.frozen = None;
        self.selected = None;
        self.filter.clear();
        self.health.is_ending = false;
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.shown().elapsed
    }

    pub(super) fn columns(&self) -> Vec<Column> {
        let columns = Column::all(&self.shown().measured, self.with_native);
        match self.view {
            View::Places => columns,
            // Nothing is a group's own.
            View::Groups => columns
                .into_iter()
                .filter(|column| !matches!(column, Column::OwnPercent | Column::Own))
                .collect(),
        }
    }

    pub(super) fn order(&self) -> Order {
        let order = self.orders[self.view as usize];
        if self.columns().contains(&order.column) {
            return order;
        }
        Order {
            column: Column::TotalPercent,
            ..order
        }
    }

    /// Makes the rows again, and keeps the selected one in sight.
    pub(super) fn refresh(&mut self) {
        let filter = Filter::new(&self.filter);
        let order = self.order();
        self.rows = match self.view {
            View::Places => rows::places(self.shown(), self.by_line, (self.names, &filter), order),
            View::Groups => rows::groups(self.shown(), &filter, order),
        };
        self.follow();
    }

    /// Position of the selected row.
    pub(super) fn position(&self) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        self.rows.iter().position(|row| row.id == *selected)
    }

    fn follow(&mut self) {
        let room = self.room.max(1);
        match self.position() {
            Some(at) => self.offset = self.offset.clamp((at + 1).saturating_sub(room), at),
            None => self.offset = 0,
        }
        self.offset = self.offset.min(self.rows.len().saturating_sub(room));
    }

    fn select(&mut self, at: usize) {
        let at = at.min(self.rows.len().saturating_sub(1));
        self.selected = self.rows.get(at).map(|row| row.id.clone());
        self.follow();
    }

    /// Moves the selection by so many rows.
    fn step(&mut self, by: isize) {
        match self.position() {
            Some(at) => self.select(at.saturating_add_signed(by)),
            None if by > 0 => self.select(self.offset + usize::try_from(by).unwrap_or(1) - 1),
            None => self.select(self.offset),
        }
    }

    /// Answers a key.
    pub(super) fn press(&mut self, key: Key) -> Option<Wish> {
        match key {
            Key::Control('c' | 'd') => return Some(Wish::Quit),
            Key::Control('l') => return Some(Wish::Redraw),
            _ => {}
        }
        self.message = None;
        let wish = match &self.typing {
            Typing::Nothing => self.command(key),
            Typing::Filter => {
                self.type_filter(key);
                None
            }
            Typing::FileName(name) => {
                let name = name.clone();
                self.type_file_name(key, name)
            }
        };
        self.refresh();
        wish
    }

    fn command(&mut self, key: Key) -> Option<Wish> {
        if key == Key::Char('q') {
            return Some(Wish::Quit);
        }
        if let Over::Help = self.over {
            self.over = Over::Nothing;
            return None;
        }
        match key {
            Key::Char('?' | 'h') => self.over = Over::Help,
            Key::Char(' ' | 'p') => {
                self.frozen = match self.frozen.take() {
                    Some(_) => None,
                    None => Some(Box::new(self.model.clone())),
                };
            }
            Key::Char('r' | 'R') => {
                self.frozen = None;
                return Some(Wish::Reset);
            }
            Key::Char('s' | 'S') => return Some(Wish::NameFile(self.format())),
            _ if matches!(self.over, Over::Details(_)) => return self.command_in_details(key),
            Key::Char('/') => {
                self.typing = Typing::Filter;
            }
            Key::Char('l' | 'L') => {
                self.by_line = !self.by_line;
                self.view = View::Places;
                self.selected = None;
            }
            Key::Tab | Key::BackTab => {
                self.view = match self.view {
                    View::Places => View::Groups,
                    View::Groups => View::Places,
                };
                self.selected = None;
            }
            Key::Char(digit @ '1'..='9') => {
                let at = digit as usize - '1' as usize;
                if let Some(column) = self.columns().get(at) {
                    self.sort_by(*column);
                }
            }
            Key::Char('<' | ',') | Key::Left => self.sort_by_next(-1),
            Key::Char('>' | '.') | Key::Right => self.sort_by_next(1),
            Key::Char('i' | 'I') => {
                let order = &mut self.orders[self.view as usize];
                order.is_reversed = !order.is_reversed;
            }
            Key::Down | Key::Char('j') => self.step(1),
            Key::Up | Key::Char('k') => self.step(-1),
            Key::PageDown => self.step(self.page()),
            Key::PageUp => self.step(-self.page()),
            Key::Home => self.select(0),
            Key::End => self.select(usize::MAX),
            Key::Enter => return self.enter(),
            Key::Escape | Key::Backspace => return self.back(),
            _ => {}
        }
        None
    }

    fn page(&self) -> isize {
        isize::try_from(self.room.max(1)).unwrap_or(1)
    }

    fn command_in_details(&mut self, key: Key) -> Option<Wish> {
        let at = self.scrolled;
        match key {
            Key::Escape | Key::Backspace | Key::Enter => {
                self.over = Over::Nothing;
                self.source = SourceText::None;
            }
            Key::Down | Key::Char('j') => self.scroll = Some(at + 1),
            Key::Up | Key::Char('k') => self.scroll = Some(at.saturating_sub(1)),
            Key::PageDown => self.scroll = Some(at + 10),
            Key::PageUp => self.scroll = Some(at.saturating_sub(10)),
            Key::Home => self.scroll = Some(0),
            _ => {}
        }
        None
    }

    /// Sorts by a column; the same one again turns the order round.
    fn sort_by(&mut self, column: Column) {
        let is_same = self.order().column == column;
        let order = &mut self.orders[self.view as usize];
        order.is_reversed = is_same && !order.is_reversed;
        order.column = column;
        // The top is of interest now.
        self.selected = None;
    }

    fn sort_by_next(&mut self, by: isize) {
        let columns = self.columns();
        let now = columns.iter().position(|column| *column == self.order().column);
        let next = now.unwrap_or(0).saturating_add_signed(by).min(columns.len() - 1);
        if now != Some(next) {
            self.sort_by(columns[next]);
        }
    }

    fn enter(&mut self) -> Option<Wish> {
        if self.position().is_none() {
            self.select(self.offset);
        }
        match self.selected.clone()? {
            RowId::Place(Place { function, .. }) => {
                self.over = Over::Details(function);
                self.scroll = None;
                Some(Wish::Source(function))
            }
            RowId::Group(scope) => {
                self.view = View::Places;
                self.selected = None;
                self.frozen = None;
                Some(Wish::Scope(scope))
            }
        }
    }

    /// Takes back one thing: the selection, the filter, the restriction to some process.
    fn back(&mut self) -> Option<Wish> {
        if self.selected.take().is_some() {
        } else if !self.filter.is_empty() {
            self.filter.clear();
        } else if self.model.scope != Scope::Everything {
            self.frozen = None;
            return Some(Wish::Scope(Scope::Everything));
        }
        None
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Char(c) => self.filter.push(c),
            Key::Backspace => drop(self.filter.pop()),
            Key::Control('u') => self.filter.clear(),
            Key::Escape => {
                self.filter.clear();
                self.typing = Typing::Nothing;
            }
            Key::Enter => self.typing = Typing::Nothing,
            Key::Up => self.step(-1),
            Key::Down => self.step(1),
            _ => {}
        }
    }

    fn type_file_name(&mut self, key: Key, mut name: String) -> Option<Wish> {
        match key {
            Key::Char(c) => name.push(c),
            Key::Backspace => drop(name.pop()),
            Key::Control('u') => name.clear(),
            Key::Tab | Key::Down => {
                self.format += 1;
                return Some(Wish::NameFile(self.format()));
            }
            Key::BackTab | Key::Up => {
                self.format += Format::value_variants().len() - 1;
                return Some(Wish::NameFile(self.format()));
            }
            Key::Escape => {
                self.typing = Typing::Nothing;
                return None;
            }
            Key::Enter => {
                self.typing = Typing::Nothing;
                return (!name.is_empty()).then_some(Wish::Save(name));
            }
            _ => {}
        }
        self.typing = Typing::FileName(name);
        None
    }

    /// Offers a name for a file.
    pub(super) fn offer_name(&mut self, path: &Path) {
        self.typing = Typing::FileName(path.to_string_lossy().into_owned());
    }

    fn format(&self) -> Format {
        let formats = Format::value_variants();
        formats[self.format % formats.len()]
    }
}
