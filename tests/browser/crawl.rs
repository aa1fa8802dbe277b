//! One crawl for each role: every link is opened once, up to a number for each kind of page. It fails for an answer of 5xx, a dead link, an error or a violation of
//! the policy in the console, a missing title, a page that is wider than the screen, and too many bytes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use postrider_tests::people::Person;
use serde::Deserialize;

use crate::browser::LOOKS;
use crate::program::{Program, sign_in};

/// The most bytes of a page, compressed.
const PAGE_BYTES: usize = 25_000;
/// The most elements of a page.
const ELEMENTS: usize = 1_500;
/// The most requests of a first visit.
const REQUESTS: usize = 9;

/// The most pages of a kind: filters, groups and sorting of a list are combined in thousands of ways.
const PAGES_OF_A_KIND: usize = 20;

/// What the browser knows about a page.
#[derive(Debug, Deserialize)]
struct Seen {
    status: u16,
    title: String,
    lang: String,
    headings: usize,
    elements: usize,
    requests: usize,
    html: String,
    links: Vec<String>,
}

const LOOK_AT_PAGE: &str = "
    const here = (url) => url.origin === location.origin;
    const links = [...document.querySelectorAll('a[href]')].map((a) => new URL(a.href, location)).filter(here);
    return {
        status: performance.getEntriesByType('navigation')[0].responseStatus,
        title: document.title,
        lang: document.documentElement.lang,
        headings: document.querySelectorAll('h1').length,
        elements: document.querySelectorAll('*').length,
        requests: performance.getEntriesByType('resource').length + 1,
        html: document.documentElement.outerHTML,
        links: [...new Set(links.map((url) => url.pathname + url.search))],
    };";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_affiliate_finds_no_dead_end() {
    let program = Program::start().await;
    let starts = ["/", "/clicks?sub1=nothing", "/links?search=nothing", "/offers?search=nothing"];
    crawl(&program, "affiliate", Some(&program.ada), &starts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_finds_no_dead_end() {
    let program = Program::start().await;
    let starts = ["/", "/audit?operation=login", "/audit?operation=nothing"];
    crawl(&program, "owner", Some(&program.owner), &starts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_finds_no_dead_end() {
    let program = Program::start().await;
    let starts = ["/login", "/forgot-password", "/", "/audit"];
    crawl(&program, "nobody", None, &starts).await;
    // Pages that say why something is not there.
    let browser = program.browser().await;
    for (path, status, name) in [
        ("/nowhere", 404, "nobody-not-found"),
        ("/register", 403, "nobody-register-closed"),
        ("/set-password/unknown", 410, "nobody-link-used"),
    ] {
        browser.open(path).await;
        let seen: Seen = serde_json::from_value(browser.evaluate(LOOK_AT_PAGE).await).expect("a page");
        assert_eq!(seen.status, status, "{path}");
        browser.save_screens(name).await;
    }
    browser.stop().await;
}

async fn crawl(program: &Program, role: &str, person: Option<&Person>, starts: &[&str]) {
    let browser = program.browser().await;
    if let Some(person) = person {
        sign_in(&browser, person).await;
    }
    let mut waiting: VecDeque<String> = starts.iter().map(|path| (*path).to_owned()).collect();
    let mut known: BTreeSet<String> = waiting.iter().cloned().collect();
    let mut names = BTreeSet::new();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    while let Some(path) = waiting.pop_front() {
        browser.open(&path).await;
        let opened = browser.path().await;
        let seen: Seen = serde_json::from_value(browser.evaluate(LOOK_AT_PAGE).await).expect("a page");
        check(&opened, &seen);
        let console = browser.take_console().await;
        assert!(console.is_empty(), "{role} {opened}: {console:?}");
        if names.insert(name_of(&opened)) {
            browser.save_screens(&format!("{role}-{}", name_of(&opened))).await;
        }
        for link in seen.links {
            // The description of the API is no page of the dashboard; the choice of a language changes the following pages.
            let is_page = !link.starts_with("/api/") && !link.starts_with("/display");
            if is_page && known.insert(link.clone()) {
                let count = kinds.entry(name_of(&link)).or_default();
                *count += 1;
                if *count <= PAGES_OF_A_KIND {
                    waiting.push_back(link);
                }
            }
        }
    }
    browser.show(LOOKS[0]).await;
    assert!(names.len() > 1, "{role} reached only {names:?}");
    browser.stop().await;
}

fn check(path: &str, seen: &Seen) {
    assert_eq!(seen.status, 200, "{path}");
    assert!(seen.title.ends_with(" · Postrider") && !seen.title.starts_with(' '), "{path}: {:?}", seen.title);
    assert_eq!((seen.headings, seen.lang.as_str()), (1, "en"), "{path}");
    assert!(seen.elements <= ELEMENTS, "{path} has {} elements", seen.elements);
    assert!(seen.requests <= REQUESTS, "{path} needs {} requests", seen.requests);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(seen.html.as_bytes()).expect("memory can be written");
    let bytes = encoder.finish().expect("memory can be written").len();
    assert!(bytes <= PAGE_BYTES, "{path} has {bytes} bytes");
}

/// The name of a page in file names; its query is left out, and ids are one name.
fn name_of(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let words = path.split('/').filter(|it| !it.is_empty());
    let words: Vec<_> = words.map(|it| if it.contains('_') && it.len() > 20 { "id" } else { it }).collect();
    if words.is_empty() { "start".to_owned() } else { words.join("-") }
}
