//! A browser of its own for each test: chromedriver, and a Chromium with a fresh profile.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use postrider_tests::temp::TempDir;
use postrider_tests::wait::eventually;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::webdriver::{Element, WebDriver};

/// The flags of Chromium: no window, no service of a vendor, no profile of a person.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// axe-core 4.14.1 (npm package `axe-core`, Mozilla Public License 2.0), which finds what people with disabilities cannot use.
const AXE: &str = include_str!("axe.min.js");

/// Its findings on the page, each as rule, impact and the first element.
const RUN_AXE: &str = "
    return axe.run({resultTypes: ['violations']}).then(({violations}) =>
        violations.map((it) => `${it.id} (${it.impact}): ${it.nodes[0].html}`));";

/// Nothing when the page is as wide as the screen; otherwise what reaches beyond it.
const WIDER_THAN_SCREEN: &str = "
    const {scrollWidth, clientWidth} = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const reaches = (it) => it.getBoundingClientRect().left + Math.max(it.scrollWidth, it.offsetWidth) > clientWidth;
    const isOpen = (it) => getComputedStyle(it).overflowX === 'visible';
    const wide = [...document.querySelectorAll('body *')].filter((it) => reaches(it) && isOpen(it));
    return ['page', ...wide.slice(0, 8).map((it) => it.cloneNode(false).outerHTML)];";

/// How a page is shown.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub name: &'static str,
    pub width: u32,
    pub height: u32,
    pub is_dark: bool,
}

pub const LOOKS: [Look; 4] = [
    Look { name: "light", width: 1280, height: 800, is_dark: false },
    Look { name: "dark", width: 1280, height: 800, is_dark: true },
    Look { name: "phone-light", width: 360, height: 740, is_dark: false },
    Look { name: "phone-dark", width: 360, height: 740, is_dark: true },
];

pub struct Browser {
    driver: WebDriver,
    /// The address of the server under test.
    base: String,
    _profile: TempDir,
}

/// A message of the console, such as a violation of the content security policy.
#[derive(Debug, Deserialize)]
struct ConsoleMessage {
    level: String,
    message: String,
}

/// The errors of a click on an element that was moved or replaced since it was found.
const MOVED: [&str; 2] = ["element click intercepted", "stale element reference"];

impl Browser {
    /// Starts a browser for the pages of a server.
    pub async fn start(base: &str) -> Self {
        let profile = TempDir::new("browser");
        let mut flags: Vec<String> = FLAGS.map(str::to_owned).into();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let browser = Self { driver: WebDriver::start(&flags).await, base: base.to_owned(), _profile: profile };
        browser.show(LOOKS[0]).await;
        browser
    }

    /// Ends the browser.
    pub async fn stop(self) {
        self.driver.quit().await.expect("Chromium ends");
    }

    async fn cdp(&self, method: &str, parameters: Value) -> Value {
        self.driver.cdp(method, parameters).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Sets the size of the screen and the colours of the device.
    pub async fn show(&self, look: Look) {
        let Look { width, height, is_dark, .. } = look;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.cdp("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if is_dark { "dark" } else { "light" };
        let media = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.cdp("Emulation.setEmulatedMedia", media).await;
    }

    pub async fn set_zone(&self, zone: &str) {
        self.cdp("Emulation.setTimezoneOverride", json!({"timezoneId": zone})).await;
    }

    /// Runs no script of pages from now on.
    pub async fn disable_scripts(&self) {
        self.cdp("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    }

    /// Opens a path of the server, and waits until the page is loaded.
    pub async fn open(&self, path: &str) {
        let opened = self.driver.open(&format!("{}{path}", self.base)).await;
        opened.unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// The path and the query of the page.
    pub async fn path(&self) -> String {
        let url = self.driver.url().await.expect("a page is open");
        url.strip_prefix(&self.base).expect("a page of the server").to_owned()
    }

    /// The element of a selector, when it is there.
    pub async fn find(&self, css: &str) -> Element {
        eventually(css, async || self.driver.find(css).await.ok()).await
    }

    /// The text of an element, when it contains `wanted`. An element can be replaced between finding and reading it.
    pub async fn see(&self, css: &str, wanted: &str) -> String {
        eventually(&format!("{css} to show {wanted:?}"), async || {
            let element = self.driver.find(css).await.ok()?;
            let text = self.driver.text(&element).await.ok()?;
            text.contains(wanted).then_some(text)
        })
        .await
    }

    /// The text of an element.
    pub async fn text(&self, css: &str) -> String {
        self.see(css, "").await
    }

    /// Clicks an element. It is in the middle of the window then, where no part of the page that stays in sight covers it.
    /// A part of the page that arrives meanwhile can move it away; such a click reaches nothing, and is made again.
    pub async fn click(&self, css: &str) {
        let selector = serde_json::Value::from(css);
        let script =
            format!("document.querySelector({selector}).scrollIntoView({{block: 'center', behavior: 'instant'}})");
        eventually(&format!("{css} to be clicked"), async || {
            let element = self.find(css).await;
            self.driver.execute(&script).await.unwrap_or_else(|error| panic!("{css}: {error}"));
            match self.driver.click(&element).await {
                Ok(()) => Some(()),
                Err(error) if MOVED.iter().any(|moved| error.to_string().starts_with(moved)) => None,
                Err(error) => panic!("{css}: {error}"),
            }
        })
        .await;
    }

    /// Types into a field, in place of what is there.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        self.driver.clear(&field).await.unwrap_or_else(|error| panic!("{css}: {error}"));
        self.driver.type_keys(&field, text).await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Chooses a value of a select, or enters one in a field of dates: the events are those of a person's choice.
    pub async fn choose(&self, css: &str, value: &str) {
        self.find(css).await;
        let (css, value) = (Value::from(css), Value::from(value));
        let script = format!(
            "const it = document.querySelector({css}); it.value = {value};
             for (const kind of ['input', 'change']) it.dispatchEvent(new Event(kind, {{bubbles: true}}));"
        );
        self.evaluate(&script).await;
    }

    /// Presses a key: Tab, Enter or Escape.
    pub async fn press(&self, key: &str) {
        let (code, typed) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            other => panic!("{other} is not known"),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { typed } else { "" };
            let event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.cdp("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Types into the field that has the focus.
    pub async fn insert(&self, text: &str) {
        self.cdp("Input.insertText", json!({"text": text})).await;
    }

    /// Presses Tab until an element has the focus.
    pub async fn tab_to(&self, css: &str) {
        let selector = Value::from(css);
        let is_there = format!("return document.activeElement?.matches({selector}) ?? false");
        for _ in 0..300 {
            if self.evaluate(&is_there).await == json!(true) {
                return;
            }
            self.press("Tab").await;
        }
        panic!("Tab does not reach {css}");
    }

    /// What the body of a function returns on the page.
    pub async fn evaluate(&self, script: &str) -> Value {
        self.driver.execute(script).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The errors and violations of the console since the last call.
    pub async fn take_console(&self) -> Vec<String> {
        let log = self.driver.take_log().await.expect("chromedriver keeps a log");
        let messages: Vec<ConsoleMessage> = serde_json::from_value(log).expect("a list of messages");
        messages.into_iter().filter(|it| it.level != "INFO" && it.level != "DEBUG").map(|it| it.message).collect()
    }

    /// Saves a picture of the whole page as `target/screens/NAME.png`.
    pub async fn save_screen(&self, name: &str) {
        let metrics = self.cdp("Page.getLayoutMetrics", json!({})).await;
        let size = &metrics["cssContentSize"];
        let clip = json!({"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1});
        let picture = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let picture = self.cdp("Page.captureScreenshot", picture).await;
        let bytes = BASE64.decode(picture["data"].as_str().expect("a picture")).expect("base64");
        let folder = screens();
        std::fs::create_dir_all(&folder).expect("target can be written");
        std::fs::write(folder.join(format!("{name}.png")), bytes).expect("target can be written");
    }

    /// A picture of what is in the window.
    pub async fn view(&self) -> Vec<u8> {
        let picture = self.cdp("Page.captureScreenshot", json!({"format": "png"})).await;
        BASE64.decode(picture["data"].as_str().expect("a picture")).expect("base64")
    }

    /// What axe finds on the page.
    pub async fn accessibility_violations(&self) -> Vec<String> {
        let found = self.evaluate(&format!("{AXE};{RUN_AXE}")).await;
        serde_json::from_value(found).expect("a list of sentences")
    }

    /// Saves a picture of the page in each look, and checks that nothing is wider than the screen and that axe finds nothing.
    pub async fn save_screens(&self, name: &str) {
        for look in LOOKS {
            self.show(look).await;
            let wide = self.evaluate(WIDER_THAN_SCREEN).await;
            assert_eq!(wide, json!([]), "{name} is wider than {} px", look.width);
            let violations = self.accessibility_violations().await;
            assert!(violations.is_empty(), "{name}, {}: {violations:#?}", look.name);
            self.save_screen(&format!("{name}-{}", look.name)).await;
        }
        self.show(LOOKS[0]).await;
    }
}

fn screens() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target"))).join("screens")
}
