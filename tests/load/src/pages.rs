//! Pages: the time of the server for each page of an affiliate and of the owner, on the data of the demo, multiplied. Pages are
//! found as a person finds them, by links; parts of pages by the attributes with which htmx requests them.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::http::Connection;
use crate::report::{Figure, Report};
use crate::server::Server;
use crate::{Kind, budgets, multiply, reports};
use postrider_tests::database::Database;

/// Requests of each page, after one that is not counted.
const ROUNDS: usize = 20;
/// Enough for every kind of page of one person.
const PAGES_MAX: usize = 200;
/// Both people of the demo, and how the table calls them.
const PEOPLE: [(&str, &str); 2] = [("affiliate", "ada@example.com"), ("owner", "margaret@example.com")];

/// A page or a part of one, and its times in milliseconds, in order.
struct Measured {
    role: &'static str,
    page: Page,
    kilobytes: f64,
    times: Vec<f64>,
}

#[derive(Clone, PartialEq, Eq)]
struct Page {
    path: String,
    is_fragment: bool,
}

impl Measured {
    /// The time that this share of the requests did not exceed.
    fn quantile(&self, share: f64) -> f64 {
        let at = (self.times.len() as f64 * share).ceil() as usize;
        self.times[at.clamp(1, self.times.len()) - 1]
    }
}

/// Makes a demo, multiplies it, and requests each kind of page.
pub async fn measure(program: &Path, factor: u64, report: &mut Report) -> anyhow::Result<()> {
    let database = Database::empty_sqlite();
    let file = database.sqlite_file();
    let folder = file.parent().context("a file is in a folder")?.to_owned();
    let made = Command::new(program).args(["demo", "--once", "--data-dir"]).arg(&folder).output()?;
    ensure!(made.status.success(), "the demo failed:\n{}", String::from_utf8_lossy(&made.stdout));
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("demo.json"))?)?;
    let password = kept["people"]["password"].as_str().context("the demo keeps its password")?.to_owned();

    let started = Instant::now();
    let rows = multiply::multiply(&file, factor).await?;
    report.note("pages_factor", factor.into());
    report.note("pages_rows", rows.into());
    eprintln!("pages: the demo times {factor}, {rows} more rows, in {:.0?}", started.elapsed());
    let rebuilt = Command::new(program)
        .args(["reports", "rebuild"])
        .env("DATABASE_URL", database.url())
        .env("POSTRIDER_DATA_DIR", &folder)
        .output()?;
    ensure!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    let server = Server::serve(program, database, Some(folder)).await?;
    reports::wait_until_packed(&server).await?;

    let mut measured = Vec::new();
    for (role, email) in PEOPLE {
        measured.extend(visit(&server, role, email, &password).await?);
    }
    print(&measured);
    for (is_fragment, name, budget) in
        [(false, "slowest page, p95", budgets::PAGE_MS), (true, "slowest part of a page, p95", budgets::FRAGMENT_MS)]
    {
        let slowest = measured.iter().filter(|it| it.page.is_fragment == is_fragment);
        let Some(slowest) = slowest.max_by(|a, b| a.quantile(0.95).total_cmp(&b.quantile(0.95))) else { continue };
        let note = format!("{} of the {}", slowest.page.path, slowest.role);
        let value = slowest.quantile(0.95);
        report.add(Figure {
            name: name.into(),
            kind: Some(Kind::Sqlite),
            value,
            unit: "ms",
            budget: Some(budget),
            note,
        });
    }
    let row = |it: &Measured| {
        json!({"role": it.role, "path": kind_of(&it.page.path), "fragment": it.page.is_fragment,
            "p50_ms": it.quantile(0.5), "p95_ms": it.quantile(0.95)})
    };
    report.note("pages", measured.iter().map(row).collect());
    Ok(())
}

/// Signs in, and requests one page of each kind that links lead to.
async fn visit(server: &Server, role: &'static str, email: &str, password: &str) -> anyhow::Result<Vec<Measured>> {
    let mut connection = Connection::open(server.address).await?;
    let body = json!({"email": email, "password": password}).to_string();
    let login = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        server.address,
        body.len()
    );
    let answer = connection.call(login.as_bytes()).await?;
    ensure!(answer.status == 200, "{email} can't sign in: {}", answer.text());
    let head = String::from_utf8_lossy(answer.head).into_owned();
    let cookies =
        head.lines().filter_map(|line| line.split_once(": ")).filter(|it| it.0.eq_ignore_ascii_case("set-cookie"));
    let cookies: Vec<&str> = cookies.filter_map(|(_, cookie)| cookie.split(';').next()).collect();
    let cookie = cookies.join("; ");

    let mut waiting = VecDeque::from([Page { path: "/".to_owned(), is_fragment: false }]);
    let mut known = BTreeSet::new();
    let mut measured = Vec::new();
    while let Some(page) = waiting.pop_front() {
        if known.len() >= PAGES_MAX || !known.insert((kind_of(&page.path), page.is_fragment)) {
            continue;
        }
        let header = if page.is_fragment { "HX-Request: true\r\n" } else { "" };
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n{header}\r\n",
            page.path, server.address
        );
        let (mut times, mut html) = (Vec::with_capacity(ROUNDS), String::new());
        for round in 0..=ROUNDS {
            let started = Instant::now();
            let answer = match connection.call(request.as_bytes()).await {
                Ok(answer) => answer,
                // A file is streamed.
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    eprintln!("pages: {} is not measured: {error}", page.path);
                    connection = Connection::open(server.address).await?;
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            let time = started.elapsed();
            if answer.status != 200 {
                eprintln!("pages: {} answered {}", page.path, answer.status);
                break;
            }
            if round == 0 {
                html = String::from_utf8_lossy(answer.body).into_owned();
            } else {
                times.push(time.as_secs_f64() * 1_000.0);
            }
        }
        if times.is_empty() {
            continue;
        }
        times.sort_by(f64::total_cmp);
        waiting.extend(links_in(&html));
        measured.push(Measured { role, page, kilobytes: html.len() as f64 / 1_000.0, times });
    }
    Ok(measured)
}

/// The pages that a page links to, and the parts that its script requests.
fn links_in(html: &str) -> Vec<Page> {
    let mut found = Vec::new();
    for (attribute, is_fragment) in [(" href=\"", false), (" hx-get=\"", true)] {
        for rest in html.split(attribute).skip(1) {
            let path = rest.split('"').next().unwrap_or_default();
            let path = path.replace("&amp;", "&").replace("&#x3D;", "=").replace("&#x27;", "'");
            let path = path.split('#').next().unwrap_or_default();
            let is_page = path.starts_with('/')
                && !["/api/", "/assets/", "/display", "/login", "/logout"].iter().any(|it| path.starts_with(it));
            if is_page && path.is_ascii() && !path.contains(' ') {
                found.push(Page { path: path.to_owned(), is_fragment });
            }
        }
    }
    found
}

/// The kind of a page: ids are one kind, and so are the values of its query.
fn kind_of(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let words = path.split('/').map(|word| if is_id(word) { "{id}" } else { word });
    let mut names: Vec<&str> =
        query.split('&').filter_map(|pair| pair.split('=').next()).filter(|it| !it.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    let path = words.collect::<Vec<_>>().join("/");
    if names.is_empty() { path } else { format!("{path}?{}", names.join("&")) }
}

/// 26 characters of base32, with or without the prefix of its kind.
fn is_id(word: &str) -> bool {
    let id = word.rsplit('_').next().unwrap_or_default();
    id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn print(measured: &[Measured]) {
    let width = measured.iter().map(|it| kind_of(&it.page.path).len()).max().unwrap_or(0);
    println!("\n{:9}  {:width$}  {:5}  {:>8}  {:>8}  {:>8}", "", "page", "", "kB", "p50 ms", "p95 ms");
    for it in measured {
        let (kind, budget) = match it.page.is_fragment {
            true => ("part", budgets::FRAGMENT_MS),
            false => ("page", budgets::PAGE_MS),
        };
        let (p50, p95) = (it.quantile(0.5), it.quantile(0.95));
        let mark = if p95 > budget.value { "  over the budget" } else { "" };
        let page = kind_of(&it.page.path);
        println!("{:9}  {page:width$}  {kind:5}  {:>8.1}  {p50:>8.1}  {p95:>8.1}{mark}", it.role, it.kilobytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_one_kind_are_measured_once() {
        let id = "cnv_01jfz3v0000000000000000000";
        assert_eq!(kind_of(&format!("/conversions/{id}?b=1&a=2&a=3")), "/conversions/{id}?a&b");
        assert_eq!(kind_of("/second-factor"), "/second-factor");
    }

    #[test]
    fn links_and_parts_are_found() {
        let html =
            r#"<a href="/clicks?a&#x3D;1&amp;b=2#list">x</a><a href="/api/docs"></a><form hx-get="/links"></form>"#;
        let found: Vec<_> = links_in(html).into_iter().map(|it| (it.path, it.is_fragment)).collect();
        assert_eq!(found, [("/clicks?a=1&b=2".to_owned(), false), ("/links".to_owned(), true)]);
    }
}
