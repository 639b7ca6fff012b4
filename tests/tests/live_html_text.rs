//! Live: texts in a page of `-f html`: hostile names are text, source is there only if it was asked for, and what is not known is
//! not shown.

use std::path::PathBuf;

use anyhow::ensure;
use tests::chromium::Browser;
use tests::live::alone;
use tests::page::{STACKS, page_of};
use tests::profiler::Pyebpf;
use tests::reader;

#[test]
fn names_that_a_program_chose_are_shown_as_text() -> anyhow::Result<()> {
    let long = "long".repeat(750);
    let hostile = [
        "</script><script>window.harmed = 1</script>".to_owned(),
        "<img src=x onerror=window.harmed=1>".to_owned(),
        "\u{202e}txet-desrever".to_owned(),
        "--><svg onload=window.harmed=1>&lt;b&gt;".to_owned(),
        "' onclick='window.harmed=1".to_owned(),
        "{SCRIPT}".to_owned(),
        long,
    ];
    let lines = hostile.iter().map(|name| {
        let name = name.replace(';', "\\x3b");
        format!("process 7:\"{name}\";{name} (a.py:1) 10\n")
    });
    let stacks: String = lines.collect();
    let Some(mut shown) = page_of(&stacks, &["--group-by", "process,thread"])? else {
        return Ok(());
    };
    let browser = &mut shown.browser;
    ensure!(
        browser.text("#shown")? == "70 samples",
        "{}",
        browser.text("#shown")?
    );
    browser.press(&["2"])?;
    let names = browser.texts("#functions tbody th")?;
    ensure!(names.len() == hostile.len(), "{names:?}");
    for name in &hostile {
        let shown = name.replace('\u{202e}', "\\u202e");
        let is_there = |other: &String| other.starts_with(shown.get(..900).unwrap_or(&shown));
        ensure!(names.iter().any(is_there), "{name} is not in {names:?}");
    }
    ensure!(
        names.iter().all(|name| name.chars().count() < 1_100),
        "a name without an end"
    );
    // Where else names are shown: the menu, the graph, what is said of a frame.
    browser.click("[data-facet=process] summary")?;
    browser.press(&["1"])?;
    browser.point("#graph canvas", 0.05, 50.0)?;
    browser.click_in("#graph canvas", 0.05, Some(50.0))?;
    for selector in [
        "img",
        "svg",
        "#tip script",
        "main script",
        "[onclick]",
        "[onerror]",
        "[onload]",
    ] {
        let found = browser.evaluate(&format!("document.querySelectorAll('{selector}').length"))?;
        ensure!(found == 0, "{selector}: {found}");
    }
    ensure!(browser.evaluate("window.harmed === undefined")? == true);
    ensure!(browser.requests()?.len() == 1, "{:?}", browser.requests()?);
    ensure!(browser.complaints()?.is_empty(), "{:?}", browser.complaints()?);
    // Even a script of the page itself gets nothing out.
    let refused =
        browser.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => String(error))")?;
    ensure!(refused != "sent", "{refused}");
    let complaints = browser.complaints()?.join("\n");
    ensure!(complaints.contains("Content Security Policy"), "{complaints}");
    Ok(())
}

#[test]
fn source_is_in_the_page_if_it_is_asked_for_and_only_python_source() -> anyhow::Result<()> {
    if !reader::is_here("chromium") {
        return Ok(());
    }
    let _alone = alone();
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (module, secret) = (file("app.py"), file("secret"));
    std::fs::write(
        &module,
        "def work():\n    total = 0\n    while '</script>':\n        total += 1\n",
    )?;
    std::fs::write(&secret, "nobody's business\n")?;
    let stacks = format!("work ({module}:3) 10\nwork ({module}:4) 30\nread ({secret}:1) 5\n");
    std::fs::write(file("a.txt"), stacks)?;
    for (options, has_source) in [(&[][..], false), (&["--source"], true)] {
        let page = file("a.html");
        Pyebpf::new([&["report", &file("a.txt"), "-o", &page], options].concat())?
            .run()?
            .success()?;
        ensure!(!std::fs::read_to_string(&page)?.contains("business"));
        let mut browser = Browser::start(1200, 800)?;
        browser.open(page.as_ref())?;
        browser.press(&["2"])?;
        browser.click("#functions tbody button")?;
        ensure!(browser.is_seen("#source")? == has_source, "{options:?}");
        if has_source {
            let lines = browser.texts("#source tbody tr")?;
            ensure!(
                lines
                    .iter()
                    .any(|line| line.starts_with("31010    while '</script>':")),
                "{lines:?}"
            );
            ensure!(
                lines
                    .iter()
                    .any(|line| line.starts_with("43030        total += 1")),
                "{lines:?}"
            );
        }
        ensure!(browser.complaints()?.is_empty(), "{:?}", browser.complaints()?);
    }
    Ok(())
}

#[test]
fn what_a_file_does_not_say_is_not_shown() -> anyhow::Result<()> {
    let Some(mut shown) = page_of("main;work 3\nmain;rest 1\n", &[])? else {
        return Ok(());
    };
    let browser = &mut shown.browser;
    for selector in [
        "#time",
        "#unit-label",
        "#tab-lines",
        "#by",
        "#fold-imports",
        "#fold-libraries",
    ] {
        ensure!(!browser.is_seen(selector)?, "{selector}");
    }
    ensure!(
        browser.texts(".facet")?.is_empty(),
        "{:?}",
        browser.texts(".facet")?
    );
    ensure!(
        browser.text("#shown")? == "4 samples",
        "{}",
        browser.text("#shown")?
    );
    Ok(())
}

#[test]
fn the_extension_and_the_name_both_make_a_page() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| -> PathBuf { folder.path().join(name) };
    std::fs::write(file("a.txt"), STACKS)?;
    for (name, options) in [
        ("a.html", &[][..]),
        ("a.page", &["-f", "html"]),
        ("b.htm", &["--unit", "samples"]),
    ] {
        let words = [file("a.txt"), file(name)].map(|path| path.to_string_lossy().into_owned());
        let finished = Pyebpf::new([&["report", &words[0], "-o", &words[1]], options].concat())?
            .run()?
            .success()?;
        ensure!(
            finished.stderr.contains("Wrote HTML page to"),
            "{}",
            finished.stderr
        );
        let page = std::fs::read_to_string(file(name))?;
        ensure!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    }
    Ok(())
}
