//! Pages of `-f html` made of folded stacks by hand, in a browser. Used by the live tests of pages.

use tempfile::TempDir;

use crate::chromium::Browser;
use crate::live::{Alone, alone};
use crate::profiler::Pyebpf;
use crate::reader;

/// Two processes; a function that calls itself, a library that calls back, and an import.
pub const STACKS: &str = "\
process 7:\"python3 web.py\";<module> (web.py:1);serve (web.py:20);handle (web.py:30);dumps (/usr/lib/python3.11/json/__init__.py:4);encode (/usr/lib/python3.11/json/encoder.py:9) 30
process 7:\"python3 web.py\";<module> (web.py:1);serve (web.py:20);handle (web.py:31) 50
process 7:\"python3 web.py\";<module> (web.py:1);_find_and_load (<frozen importlib._bootstrap>:7);<module> (late.py:2) 9
process 8:\"celery\";<module> (work.py:1);walk (work.py:5);walk (work.py:5);walk (work.py:6) 11
";

/// A page in a browser.
#[derive(Debug)]
pub struct Shown {
    /// With the page in it.
    pub browser: Browser,
    /// A browser takes the CPU that another test's program needs.
    _alone: Alone,
    _folder: TempDir,
}

/// Folded stacks as a page; `None` without a browser. The options are those of `report`.
///
/// # Errors
/// When it cannot be written or opened.
pub fn page_of(folded: &str, options: &[&str]) -> anyhow::Result<Option<Shown>> {
    if !reader::is_here("chromium") {
        return Ok(None);
    }
    let alone = alone();
    let folder = tempfile::tempdir()?;
    let [text, page] = ["a.txt", "a.html"].map(|name| folder.path().join(name));
    std::fs::write(&text, folded)?;
    let words = [&text, &page].map(|path| path.to_string_lossy().into_owned());
    Pyebpf::new([&["report", &words[0], "-o", &words[1]], options].concat())?
        .run()?
        .success()?;
    let mut browser = Browser::start(1200, 800)?;
    browser.open(&page)?;
    Ok(Some(Shown {
        browser,
        _alone: alone,
        _folder: folder,
    }))
}
