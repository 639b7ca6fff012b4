//! How things look: colours that everybody can tell apart, or none; marks that the terminal can show.

use ratatui::style::{Color, Modifier, Style};

/// What the terminal takes.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Look {
    pub(in super::super) colours: bool,
    /// Characters beyond ASCII.
    pub(in super::super) unicode: bool,
}

/// Heights of a bar, from nothing to all.
const BARS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII_BARS: [&str; 9] = [" ", "_", "_", ".", ".", "-", "=", "*", "#"];

impl Look {
    pub(super) fn plain(self) -> Style {
        Style::default()
    }

    pub(super) fn bold(self) -> Style {
        Style::default().add_modifier(Modifier::BOLD)
    }

    /// What is read last.
    pub(super) fn faint(self) -> Style {
        self.coloured(Color::DarkGray, Modifier::DIM)
    }

    /// Titles of columns.
    pub(super) fn title(self) -> Style {
        Style::default().add_modifier(Modifier::REVERSED)
    }

    /// The title of the column that is sorted by.
    pub(super) fn sorted_title(self) -> Style {
        self.title().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
    }

    pub(super) fn selected(self) -> Style {
        Style::default().add_modifier(Modifier::REVERSED)
    }

    /// What wants to be seen.
    pub(super) fn alert(self) -> Style {
        self.coloured(Color::Yellow, Modifier::BOLD)
            .add_modifier(Modifier::BOLD)
    }

    /// What keys there are.
    pub(super) fn key(self) -> Style {
        self.coloured(Color::Cyan, Modifier::BOLD)
    }

    /// By the share of a CPU: brighter and from blue to yellow, which differ for every kind of colour vision.
    pub(super) fn heat(self, percent: f64) -> Style {
        match percent {
            50.0.. => self.alert(),
            10.0..50.0 => self.coloured(Color::Yellow, Modifier::empty()),
            1.0..10.0 => self.coloured(Color::Cyan, Modifier::empty()),
            0.005.. => Style::default(),
            _ => self.faint(),
        }
    }

    /// A bar of one cell; `share` is from 0 to 1.
    pub(super) fn bar(self, share: f64) -> &'static str {
        let bars = if self.unicode { &BARS } else { &ASCII_BARS };
        let at = (share.clamp(0.0, 1.0) * 8.0).ceil() as usize;
        bars.get(at).copied().unwrap_or(" ")
    }

    /// A bar of several cells.
    pub(super) fn long_bar(self, share: f64, cells: usize) -> String {
        let full = (share.clamp(0.0, 1.0) * cells as f64).round() as usize;
        let full = if share > 0.0 { full.max(1) } else { full };
        let mark = if self.unicode { "█" } else { "#" };
        format!("{}{}", mark.repeat(full), " ".repeat(cells.saturating_sub(full)))
    }

    /// Stands for what was cut off.
    pub(super) fn ellipsis(self) -> &'static str {
        if self.unicode { "…" } else { "~" }
    }

    fn coloured(self, colour: Color, instead: Modifier) -> Style {
        if self.colours {
            Style::default().fg(colour)
        } else {
            Style::default().add_modifier(instead)
        }
    }
}
