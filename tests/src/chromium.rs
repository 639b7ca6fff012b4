//! A browser without a window, for the tests of pages: opens a file, presses keys, and says what is shown. Chromium is told what
//! to do by its DevTools protocol, over a pair of pipes; nothing listens on a port. Used by `tests/tests/live_html*.rs`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long it may take to answer, on a machine that is busy with other things.
const DEADLINE: Duration = Duration::from_secs(60);
/// Chromium reads from descriptor 3 and writes to 4. As root it has no sandbox.
const START: &str = "exec chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
    --disable-background-networking --remote-debugging-pipe --user-data-dir=\"$0\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";

/// A running browser with one page. Killed when dropped.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    orders: ChildStdin,
    messages: Receiver<Value>,
    /// What happened while answers were waited for.
    events: Vec<Value>,
    session: Option<String>,
    last: u64,
    _folder: TempDir,
}

impl Browser {
    /// Starts it, with an empty page of this size.
    ///
    /// # Errors
    /// When it does not start, or does not answer.
    pub fn start(width: u32, height: u32) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(START)
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take().context("a pipe")?;
        let answers = BufReader::new(child.stdout.take().context("a pipe")?);
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in answers.split(0).map_while(Result::ok) {
                let Ok(message) = serde_json::from_slice(&message) else {
                    return;
                };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            child,
            orders,
            messages,
            events: Vec::new(),
            session: None,
            last: 0,
            _folder: folder,
        };
        let target = browser.order("Target.createTarget", &json!({"url": "about:blank"}))?;
        let session = browser.order(
            "Target.attachToTarget",
            &json!({"targetId": target["targetId"], "flatten": true}),
        )?;
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.order(&format!("{domain}.enable"), &json!({}))?;
        }
        browser.resize(width, height)?;
        browser.prefer("light")?;
        Ok(browser)
    }

    /// Changes the size of the page.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn resize(&mut self, width: u32, height: u32) -> anyhow::Result<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.order("Emulation.setDeviceMetricsOverride", &size).map(drop)
    }

    /// Makes the user one who prefers this colour scheme, and things that do not move.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn prefer(&mut self, scheme: &str) -> anyhow::Result<()> {
        let features = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.order("Emulation.setEmulatedMedia", &features).map(drop)
    }

    /// Opens a file, and waits until it is there.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&mut self, file: &Path) -> anyhow::Result<()> {
        self.open_address(&format!("file://{}", file.display()))
    }

    /// Opens an address, as [`Self::open`] does.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open_address(&mut self, url: &str) -> anyhow::Result<()> {
        self.events.clear();
        let went = self.order("Page.navigate", &json!({"url": url}))?;
        ensure!(went["errorText"].is_null(), "{url}: {went}");
        while !self
            .events
            .iter()
            .any(|event| event["method"] == "Page.loadEventFired")
        {
            let event = self.receive()?;
            self.events.push(event);
        }
        // Until it has been drawn, twice: the first time says how large it is.
        self.evaluate(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done)))).then(() => 1)",
        )
        .map(drop)
    }

    /// The value of an expression in the page.
    ///
    /// # Errors
    /// When it throws.
    pub fn evaluate(&mut self, expression: &str) -> anyhow::Result<Value> {
        let arguments = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let result = self.order("Runtime.evaluate", &arguments)?;
        let exception = &result["exceptionDetails"];
        ensure!(exception.is_null(), "{expression}: {exception}");
        Ok(result["result"]["value"].clone())
    }

    /// The text of the first element that a selector finds, as it is shown: empty if it is hidden.
    ///
    /// # Errors
    /// When no element fits the selector.
    pub fn text(&mut self, selector: &str) -> anyhow::Result<String> {
        let text = self.evaluate(&format!("document.querySelector({}).innerText", json!(selector)))?;
        let text = text.as_str().with_context(|| format!("no text of {selector}"))?;
        Ok(text.replace('\u{a0}', " "))
    }

    /// The texts of all elements that a selector finds.
    ///
    /// # Errors
    /// When the page does not answer.
    pub fn texts(&mut self, selector: &str) -> anyhow::Result<Vec<String>> {
        let all = format!(
            "Array.from(document.querySelectorAll({}), (one) => one.textContent)",
            json!(selector)
        );
        Ok(serde_json::from_value(self.evaluate(&all)?)?)
    }

    /// Whether an element is to be seen.
    ///
    /// # Errors
    /// When no element fits the selector.
    pub fn is_seen(&mut self, selector: &str) -> anyhow::Result<bool> {
        let seen = self.evaluate(&format!(
            "document.querySelector({}).checkVisibility()",
            json!(selector)
        ))?;
        seen.as_bool().with_context(|| format!("no {selector}"))
    }

    /// Clicks into the middle of an element.
    ///
    /// # Errors
    /// When no element fits the selector.
    pub fn click(&mut self, selector: &str) -> anyhow::Result<()> {
        self.click_in(selector, 0.5, None)
    }

    /// Clicks into an element: at a share of its width, and so many pixels below its top, or in the middle.
    ///
    /// # Errors
    /// When no element fits the selector.
    pub fn click_in(&mut self, selector: &str, share: f64, below: Option<f64>) -> anyhow::Result<()> {
        let [x, y] = self.place(selector, share, below)?;
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            self.mouse(kind, [x, y])?;
        }
        self.settle()
    }

    /// Drags from one share of an element's width to another.
    ///
    /// # Errors
    /// When no element fits the selector.
    pub fn drag(&mut self, selector: &str, from: f64, to: f64) -> anyhow::Result<()> {
        let (from, to) = (self.place(selector, from, None)?, self.place(selector, to, None)?);
        self.mouse("mousePressed", from)?;
        self.mouse("mouseMoved", to)?;
        self.mouse("mouseReleased", to)?;
        self.settle()
    }

    /// Points at a place of an element, as [`Self::click_in`].
    ///
    /// # Errors
    /// When no element fits the selector.
    pub fn point(&mut self, selector: &str, share: f64, below: f64) -> anyhow::Result<()> {
        let place = self.place(selector, share, Some(below))?;
        self.mouse("mouseMoved", place)
    }

    /// Presses keys, one after the other, by the names that the DOM has for them.
    ///
    /// # Errors
    /// When the page does not answer.
    pub fn press(&mut self, keys: &[&str]) -> anyhow::Result<()> {
        for key in keys {
            let text = match *key {
                "Enter" => "\r",
                key if key.chars().count() == 1 => key,
                _ => "",
            };
            let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
            self.order(
                "Input.dispatchKeyEvent",
                &json!({"type": kind, "key": key, "text": text}),
            )?;
            self.order("Input.dispatchKeyEvent", &json!({"type": "keyUp", "key": key}))?;
        }
        self.settle()
    }

    /// Puts a text into a field in place of what is there, as a user would.
    ///
    /// # Errors
    /// When there is no such field.
    pub fn fill(&mut self, selector: &str, text: &str) -> anyhow::Result<()> {
        let field = json!(selector);
        self.evaluate(&format!(
            "document.querySelector({field}).focus(); document.querySelector({field}).select()"
        ))?;
        self.order("Input.insertText", &json!({"text": text}))?;
        if text.is_empty() {
            self.press(&["Delete"])?;
            self.evaluate(&format!(
                "const e = document.querySelector({field}); e.value = ''; e.dispatchEvent(new Event('input'))"
            ))?;
        }
        self.evaluate(&format!(
            "document.querySelector({field}).dispatchEvent(new Event('change', {{bubbles: true}}))"
        ))
        .map(drop)
    }

    /// Chooses what has this text in a list.
    ///
    /// # Errors
    /// When no element fits the selector.
    pub fn choose(&mut self, selector: &str, text: &str) -> anyhow::Result<()> {
        let chosen = self.evaluate(&format!(
            "(() => {{ const list = document.querySelector({}); \
             const option = Array.from(list.options).find((option) => option.text === {}); \
             if (!option) return Array.from(list.options, (option) => option.text).join(', '); \
             list.value = option.value; list.dispatchEvent(new Event('change', {{bubbles: true}})); return true; }})()",
            json!(selector),
            json!(text),
        ))?;
        ensure!(chosen == true, "no {text} in {selector}, only {chosen}");
        Ok(())
    }

    /// What the page has asked for since it was opened.
    ///
    /// # Errors
    /// When the page does not answer.
    pub fn requests(&mut self) -> anyhow::Result<Vec<String>> {
        self.evaluate("1")?;
        let sent = self
            .events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent");
        Ok(sent
            .filter_map(|event| event["params"]["request"]["url"].as_str())
            .map(str::to_owned)
            .collect())
    }

    /// What the browser has to complain of since the page was opened: errors of scripts, and what its policy refused.
    ///
    /// # Errors
    /// When the page does not answer.
    pub fn complaints(&mut self) -> anyhow::Result<Vec<String>> {
        self.evaluate("1")?;
        let kinds = [
            "Runtime.exceptionThrown",
            "Log.entryAdded",
            "Runtime.consoleAPICalled",
            "Page.javascriptDialogOpening",
        ];
        let complaints = self
            .events
            .iter()
            .filter(|event| kinds.iter().any(|kind| event["method"] == *kind));
        Ok(complaints.map(|event| event["params"].to_string()).collect())
    }

    /// Waits until the page has done what follows from an event, and has been drawn.
    fn settle(&mut self) -> anyhow::Result<()> {
        self.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(1))))")
            .map(drop)
    }

    fn place(&mut self, selector: &str, share: f64, below: Option<f64>) -> anyhow::Result<[f64; 2]> {
        let below = below.map_or("box.height / 2".to_owned(), |below| below.to_string());
        let place = self.evaluate(&format!(
            "(() => {{ const box = document.querySelector({}).getBoundingClientRect(); \
             return [box.left + box.width * {share}, box.top + {below}]; }})()",
            json!(selector)
        ))?;
        Ok(serde_json::from_value(place)?)
    }

    fn mouse(&mut self, kind: &str, [x, y]: [f64; 2]) -> anyhow::Result<()> {
        let buttons = u8::from(kind != "mouseReleased");
        let event =
            json!({"type": kind, "x": x, "y": y, "button": "left", "buttons": buttons, "clickCount": 1});
        self.order("Input.dispatchMouseEvent", &event).map(drop)
    }

    fn order(&mut self, method: &str, arguments: &Value) -> anyhow::Result<Value> {
        self.last += 1;
        let mut order = json!({"id": self.last, "method": method, "params": arguments});
        if let Some(session) = &self.session {
            order["sessionId"] = json!(session);
        }
        self.orders.write_all(&serde_json::to_vec(&order)?)?;
        self.orders.write_all(&[0])?;
        loop {
            let message = self.receive()?;
            if message["id"] != self.last {
                self.events.push(message);
                continue;
            }
            if !message["error"].is_null() {
                bail!("{method}: {}", message["error"]);
            }
            return Ok(message["result"].clone());
        }
    }

    fn receive(&mut self) -> anyhow::Result<Value> {
        self.messages
            .recv_timeout(DEADLINE)
            .context("the browser does not answer")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
