//! Live: what a page of `-f html` shows in a browser, of a recording and of files made by hand.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use tests::chromium::Browser;
use tests::live::alone;
use tests::page::{STACKS, page_of};
use tests::reader;
use tests::recorded::record_both;

/// What a table shows: the total of each name.
fn totals(browser: &mut Browser, table: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let cell = |column: usize| format!("#{table} tbody tr > :nth-child({column})");
    let names = browser.texts(&cell(5))?;
    Ok(names.into_iter().zip(browser.texts(&cell(4))?).collect())
}

#[test]
fn a_page_of_a_recording_shows_its_samples_and_asks_the_network_for_nothing() -> anyhow::Result<()> {
    let _alone = alone();
    if !reader::is_here("chromium") {
        return Ok(());
    }
    let both = record_both("out.html", &[])?;
    let samples: u64 = both.stacks.values().sum();
    let mut browser = Browser::start(1200, 800)?;
    browser.open(&both.file)?;
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let all = browser.text("#shown")?;
    ensure!(digits(&all) == samples.to_string(), "{all}, and not {samples}");
    // Lines of the page are the frames of the folded stacks.
    browser.click("#tab-lines")?;
    let shown = totals(&mut browser, "lines")?;
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for (stack, count) in &both.stacks {
        let mut lines: Vec<String> = stack
            .iter()
            .map(|(name, file, line)| format!("{name} ({file}:{line})"))
            .collect();
        lines.sort();
        lines.dedup();
        for line in lines {
            *expected.entry(line).or_default() += count;
        }
    }
    let shown: BTreeMap<String, u64> = shown
        .into_iter()
        .map(|(name, total)| Ok((name, digits(&total).parse()?)))
        .collect::<anyhow::Result<_>>()?;
    reader::ensure_same(&shown, &expected, "lines")?;
    // Two parts of the time are the whole.
    let end: f64 = browser
        .evaluate("Number(document.getElementById('time-to').value)")?
        .as_f64()
        .context("seconds")?;
    ensure!((0.5..3.0).contains(&end), "a recording of a second: {end} s");
    let mut parts = 0;
    for (from, to) in [("0", "0.5"), ("0.5", "9")] {
        browser.fill("#time-to", "9")?;
        browser.fill("#time-from", from)?;
        browser.fill("#time-to", to)?;
        let part = browser.text("#shown")?;
        let (part, of) = part
            .split_once(" of ")
            .with_context(|| format!("a part: {part}"))?;
        ensure!(of.contains('%'), "{of}");
        parts += digits(part).parse::<u64>()?;
    }
    ensure!(parts == samples, "{parts} of {samples}");
    // With the mouse, too; and back.
    browser.drag("#time-canvas", 0.25, 0.75)?;
    let part = browser.text("#shown")?;
    ensure!(part.contains(" of "), "{part}");
    browser.click("#time-all")?;
    ensure!(browser.text("#shown")? == all, "all of the time");
    browser.choose("#unit", "CPU: time")?;
    let time = browser.text("#shown")?;
    ensure!(time.ends_with('s'), "{time}");
    ensure!(browser.requests()?.len() == 1, "{:?}", browser.requests()?);
    ensure!(browser.complaints()?.is_empty(), "{:?}", browser.complaints()?);
    Ok(())
}

#[test]
fn tables_and_callers_add_up_and_what_calls_itself_counts_once() -> anyhow::Result<()> {
    let Some(mut shown) = page_of(STACKS, &[])? else {
        return Ok(());
    };
    let browser = &mut shown.browser;
    ensure!(
        browser.text("#shown")? == "100 samples",
        "{}",
        browser.text("#shown")?
    );
    browser.press(&["2"])?;
    let functions = totals(browser, "functions")?;
    for (name, total) in [
        ("handle (web.py)", "80"),
        ("walk (work.py)", "11"),
        ("<module> (web.py)", "89"),
    ] {
        ensure!(
            functions.get(name).is_some_and(|shown| shown == total),
            "{name}: {functions:?}"
        );
    }
    // Sorted by what they took themselves, and by name when asked.
    ensure!(browser.texts("#functions tbody th")?[0] == "handle (web.py)");
    browser.click("#functions thead th:nth-child(5) button")?;
    ensure!(browser.texts("#functions tbody th")?[0] == "<module> (late.py)");
    let sorted = browser.evaluate("document.querySelector('#functions thead th:nth-child(5)').ariaSort")?;
    ensure!(sorted == "ascending", "{sorted}");
    // Chosen, it stands between its callers and what it calls.
    browser.fill("#search", "^handle")?;
    browser.click("#functions tbody button")?;
    let title = browser.text("#sandwich-title")?;
    ensure!(
        title.contains("handle (web.py)")
            && title.contains("total 80 samples (80.0 %), own 50 samples (50.0 %)"),
        "{title}"
    );
    browser.point("#callees canvas", 0.1, 30.0)?;
    let tip = browser.text("#tip")?;
    ensure!(
        tip.contains("dumps (") && tip.contains("total 30 samples (30.0 %)"),
        "{tip}"
    );
    browser.press(&["3"])?;
    ensure!(browser.is_seen("#panel-lines")? && !browser.is_seen("#panel-functions")?);
    ensure!(browser.complaints()?.is_empty(), "{:?}", browser.complaints()?);
    Ok(())
}

#[test]
fn search_zoom_filters_and_folding_change_what_is_shown_and_reset_brings_it_back() -> anyhow::Result<()> {
    let Some(mut shown) = page_of(STACKS, &[])? else {
        return Ok(());
    };
    let browser = &mut shown.browser;
    for (text, found) in [
        ("walk", "3 frames, 11.0 %"),
        ("^(dumps|encode)", "2 frames, 30.0 %"),
        ("WALK", "0 frames, 0.0 %"),
        ("late\\.py", "1 frame, 9.0 %"),
        ("(", "not a regular expression"),
        ("", ""),
    ] {
        browser.fill("#search", text)?;
        let shown = browser.text("#found")?;
        ensure!(shown == found, "{text}: {shown}");
    }
    // The first process has the left 89 % of the second row.
    ensure!(!browser.is_seen("#tip")?);
    browser.point("#graph canvas", 0.95, 30.0)?;
    ensure!(
        browser.text("#tip")?.starts_with("process 8"),
        "{}",
        browser.text("#tip")?
    );
    browser.click_in("#graph canvas", 0.5, Some(30.0))?;
    ensure!(
        browser.text("#details")?.starts_with("process 7"),
        "{}",
        browser.text("#details")?
    );
    browser.point("#graph canvas", 0.95, 30.0)?;
    ensure!(
        browser.text("#tip")?.starts_with("process 7"),
        "zoomed: {}",
        browser.text("#tip")?
    );
    browser.click("#unzoom")?;
    browser.point("#graph canvas", 0.95, 30.0)?;
    ensure!(
        browser.text("#tip")?.starts_with("process 8"),
        "{}",
        browser.text("#tip")?
    );
    // By process.
    browser.click("[data-facet=process] summary")?;
    let choices = browser.texts("[data-facet=process] li bdi")?;
    ensure!(
        choices == ["process 7:\"python3 web.py\"", "process 8:\"celery\""],
        "{choices:?}"
    );
    browser.click("[data-facet=process] li:nth-child(1) input")?;
    ensure!(
        browser.text("#shown")? == "11 samples of 100 samples (11.0 %)",
        "{}",
        browser.text("#shown")?
    );
    ensure!(
        browser
            .text("[data-facet=process] summary")?
            .starts_with("Process: 1 of 2")
    );
    browser.press(&["Escape"])?;
    browser.click("#reset")?;
    ensure!(browser.text("#shown")? == "100 samples");
    // By whose code it is.
    browser.click("[data-facet=owner] summary")?;
    browser.click("[data-facet=owner] li:nth-child(2) button")?;
    ensure!(
        browser.text("#shown")? == "30 samples of 100 samples (30.0 %)",
        "{}",
        browser.text("#shown")?
    );
    browser.click("#reset")?;
    // Import machinery is left out, and what it imported stands below who imported it.
    browser.fill("#search", "_find_and_load|encode")?;
    ensure!(
        browser.text("#found")? == "2 frames, 39.0 %",
        "{}",
        browser.text("#found")?
    );
    browser.click("#fold-imports")?;
    ensure!(
        browser.text("#found")? == "1 frame, 30.0 %",
        "{}",
        browser.text("#found")?
    );
    browser.click("#fold-libraries")?;
    ensure!(
        browser.text("#found")? == "0 frames, 0.0 %",
        "{}",
        browser.text("#found")?
    );
    browser.fill("#search", "late|dumps")?;
    ensure!(
        browser.text("#found")? == "2 frames, 39.0 %",
        "{}",
        browser.text("#found")?
    );
    ensure!(browser.text("#shown")? == "100 samples");
    // Frames by line, and other roots.
    browser.click("#reset")?;
    browser.choose("#by", "lines")?;
    browser.fill("#search", "web\\.py:3[01]")?;
    ensure!(
        browser.text("#found")? == "2 frames, 80.0 %",
        "{}",
        browser.text("#found")?
    );
    browser.choose("#roots", "nothing")?;
    browser.point("#graph canvas", 0.5, 30.0)?;
    ensure!(
        browser.text("#tip")?.starts_with("<module> (web.py:1)"),
        "{}",
        browser.text("#tip")?
    );
    ensure!(browser.complaints()?.is_empty(), "{:?}", browser.complaints()?);
    Ok(())
}

#[test]
fn the_keyboard_reaches_every_frame_and_a_screen_reader_hears_which() -> anyhow::Result<()> {
    let Some(mut shown) = page_of(STACKS, &["--group-by", "none"])? else {
        return Ok(());
    };
    let browser = &mut shown.browser;
    let live = browser.evaluate("document.getElementById('details').ariaLive")?;
    ensure!(live == "polite", "{live}");
    browser.evaluate("document.querySelector('#graph canvas').focus()")?;
    for (keys, heard) in [
        (&["ArrowDown"][..], "<module> (web.py) total 89 samples (89.0 %)"),
        (&["ArrowRight"], "<module> (work.py) total 11 samples (11.0 %)"),
        (
            &["ArrowLeft", "ArrowDown", "ArrowDown"],
            "handle (web.py) total 80 samples (80.0 %)",
        ),
        (&["ArrowUp"], "serve (web.py) total 80 samples (80.0 %)"),
        (&["Home"], "all total 100 samples (100.0 %)"),
    ] {
        browser.press(keys)?;
        let text = browser
            .text("#details")?
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        ensure!(text.starts_with(heard), "{keys:?}: {text}");
    }
    // Enter zooms, Escape brings everything back.
    browser.press(&["ArrowDown", "ArrowRight", "Enter"])?;
    browser.point("#graph canvas", 0.05, 30.0)?;
    ensure!(
        browser.text("#tip")?.starts_with("<module> (work.py)"),
        "{}",
        browser.text("#tip")?
    );
    browser.press(&["Escape"])?;
    browser.point("#graph canvas", 0.06, 30.0)?;
    ensure!(
        browser.text("#tip")?.starts_with("<module> (web.py)"),
        "{}",
        browser.text("#tip")?
    );
    // s goes to callers and callees of the function, / to the search.
    browser.press(&["ArrowDown", "s"])?;
    ensure!(
        browser.text("#sandwich-title")?.starts_with("walk (work.py)"),
        "{}",
        browser.text("#sandwich-title")?
    );
    browser.press(&["/"])?;
    ensure!(browser.evaluate("document.activeElement.id")? == "search");
    // Everything that can be used has a name.
    let nameless = browser.evaluate(
        "Array.from(document.querySelectorAll('button, input, select, canvas:not([aria-hidden])')).filter((one) => \
         !one.textContent.trim() && !one.ariaLabel && !(one.labels && one.labels.length)).map((one) => one.outerHTML)",
    )?;
    ensure!(nameless == serde_json::json!([]), "{nameless}");
    Ok(())
}

#[test]
fn the_page_is_light_or_dark_and_fits_a_narrow_window() -> anyhow::Result<()> {
    let Some(mut shown) = page_of(STACKS, &[])? else {
        return Ok(());
    };
    let browser = &mut shown.browser;
    let background = "getComputedStyle(document.body).backgroundColor";
    ensure!(browser.evaluate(background)? == "rgb(255, 255, 255)");
    browser.prefer("dark")?;
    ensure!(browser.evaluate(background)? == "rgb(20, 23, 28)");
    // The switch goes before what the system prefers.
    browser.click("#theme")?;
    ensure!(browser.text("#theme")? == "Theme: light");
    ensure!(browser.evaluate(background)? == "rgb(255, 255, 255)");
    // Frames are drawn in the colours of the legend.
    let drawn = browser.evaluate(
        "(() => { const canvas = document.querySelector('#graph canvas'); \
         const pixel = canvas.getContext('2d').getImageData(Math.floor(canvas.width * 0.88), 50, 1, 1).data; \
         const legend = document.querySelector('#legend .colour').style.backgroundColor.match(/\\d+/g).map(Number); \
         return legend.every((channel, index) => Math.abs(channel - pixel[index]) <= 12); })()",
    )?;
    ensure!(drawn == true, "not the colour of the legend");
    browser.resize(380, 700)?;
    let fits = browser.evaluate("document.documentElement.scrollWidth <= innerWidth")?;
    ensure!(fits == true, "wider than the window");
    browser.press(&["2"])?;
    ensure!(browser.is_seen("#functions table")?);
    Ok(())
}
