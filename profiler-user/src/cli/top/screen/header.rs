//! The first lines: what is sampled, how much of it there is, what was lost, and the last minute.

use super::super::amounts::Part;
use super::super::app::App;
use super::super::groups::Scope;
use super::canvas::Canvas;
use crate::escape::printable;

/// Draws them; returns how many there are.
pub(super) fn draw(app: &App, canvas: &mut Canvas<'_>, is_short: bool) -> usize {
    first(app, canvas);
    if is_short {
        numbers(app, canvas, 1);
        return 2 + usize::from(restriction(app, canvas, 2));
    }
    samples(app, canvas, 1);
    let end = numbers(app, canvas, 2);
    graph(app, canvas, 2, end + 2);
    restriction(app, canvas, 3);
    4
}

fn first(app: &App, canvas: &mut Canvas<'_>) {
    let look = canvas.look;
    let seconds = app.elapsed().as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let time = format!("{} Hz  {hours}:{minutes:02}:{seconds:02}", app.rate_hz);
    let state = match (app.is_paused(), app.health.is_ending) {
        (_, true) => "ENDING",
        (true, _) => "PAUSED",
        _ => "",
    };
    let width = canvas.width();
    let from = width.saturating_sub(time.len());
    let end = canvas.write(0, 0, "pyebpf top  ", look.bold());
    let room = from.saturating_sub(state.len() + 3);
    canvas
        .part(0, 0, room, 1)
        .write(end, 0, &printable(&app.subject), look.plain());
    canvas.write_right(from.saturating_sub(2), 0, state, look.alert());
    canvas.write_right(width, 0, &time, look.plain());
}

/// py-spy's first line of numbers, and what it does not say.
fn samples(app: &App, canvas: &mut Canvas<'_>, y: usize) {
    let look = canvas.look;
    let health = &app.health;
    let mut x = canvas.write(
        0,
        y,
        &format!("Total Samples {}", app.shown().samples),
        look.plain(),
    );
    let counts = [
        ("Errors", health.errors),
        ("Lost", health.lost),
        ("Not shown", health.refusals.len() as u64),
    ];
    for (what, count) in counts {
        if count > 0 || what == "Errors" {
            let style = if count > 0 { look.alert() } else { look.plain() };
            x = canvas.write(x + 2, y, &format!("{what} {count}"), style);
        }
    }
}

fn numbers(app: &App, canvas: &mut Canvas<'_>, y: usize) -> usize {
    let model = app.shown();
    let now = model.now();
    let mut texts = Vec::new();
    if model.measured.is_time() {
        let active = now.total.saturating_sub(now.waiting);
        let mut push = |what, amount| texts.push(format!("{what}: {:.2}%", model.percent(amount)));
        push("GIL", now.gil);
        push("Active", active);
        if model.measured.has(Part::Waiting) {
            push("Waiting", now.waiting);
        }
        if app.with_native {
            push("Native", now.native);
        }
    } else {
        texts.push(format!(
            "{}: {:.0}/s",
            capital(model.measured.unit().text()),
            model.per_second(now.total)
        ));
    }
    if model.measured.has(Part::Faults) {
        texts.push(format!("Faults: {:.0}/s", model.per_second(now.faults)));
    }
    texts.push(format!("Threads: {}", model.threads));
    texts.push(format!("Processes: {}", app.health.processes));
    canvas.write(0, y, &texts.join(", "), canvas.look.plain())
}

/// The last minute, where there is room for it.
fn graph(app: &App, canvas: &mut Canvas<'_>, y: usize, from: usize) {
    let room = canvas.width().saturating_sub(from);
    if room >= 10 {
        let look = canvas.look;
        let text = sparkline(canvas, &app.shown().history(None), room.min(60));
        let width = canvas.width();
        canvas.write_right(width, y, &text, look.heat(5.0));
    }
}

/// One cell for each of the last seconds; the highest is the full height, or one CPU.
pub(super) fn sparkline(canvas: &Canvas<'_>, seconds: &[f64], cells: usize) -> String {
    let shown = seconds
        .get(seconds.len().saturating_sub(cells)..)
        .unwrap_or_default();
    let most = shown.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return String::new();
    }
    shown.iter().map(|share| canvas.look.bar(share / most)).collect()
}

/// Says which functions are shown, if not all; whether it said something.
fn restriction(app: &App, canvas: &mut Canvas<'_>, y: usize) -> bool {
    let model = app.shown();
    let mut texts = Vec::new();
    if model.scope != Scope::Everything {
        let name = model.groups.name(&model.scope).unwrap_or("?");
        let what = match model.scope {
            Scope::Everything => "",
            Scope::Container(_) => "Container",
            Scope::Process { .. } => "Process",
            Scope::Thread { .. } => "Thread",
        };
        texts.push(format!("{what} {}", printable(name)));
    }
    if !app.filter.is_empty() {
        texts.push(format!("Filter: {}", printable(&app.filter)));
    }
    if texts.is_empty() {
        return false;
    }
    texts.push("(Esc shows all)".to_owned());
    let style = canvas.look.alert();
    canvas.write(0, y, &texts.join("  "), style);
    true
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}
