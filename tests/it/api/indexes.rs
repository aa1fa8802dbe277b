//! Every list, with each of its filters, is read by an index. PostgreSQL sends the plan of each statement, with the figures of
//! a table of a million rows and without sequential scans where it has a choice.

use std::collections::BTreeSet;

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::logs;
use serde_json::Value;

use super::bounds::Breaches;

/// Tables that stay small, and indexes of few rows: those of tests, and of adjustments.
const SMALL: [&str; 6] = ["adapters", "breakers", "offers", "postback_destinations", "postbacks", "users"];
const SMALL_INDEXES: [&str; 2] = ["conversions_of_tests", "earnings_adjustments"];

/// The ids of the description, in whose place are the affiliate and the offer of the test.
const EXAMPLE_AFFILIATE: &str = "aff_06a5xk2m7q8r9stvwxyz012345";
const EXAMPLE_OFFER: &str = "ofr_06a5xk2m7q8r9stvwxyz012345";

/// Each statement sends its plan as a notice, which the server logs.
const EXPLAINING: [&str; 4] = [
    "session_preload_libraries = 'auto_explain'",
    "auto_explain.log_min_duration = 0",
    "auto_explain.log_level = 'notice'",
    "enable_seqscan = off",
];

/// The planner multiplies these by the pages that a table has.
const MANY_ROWS: &str = "UPDATE pg_class SET reltuples = 1000000, relpages = 1
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_list_is_read_by_an_index() {
    let database = Database::postgres().await;
    let url = database.url();
    let name = url.rsplit('/').next().expect("a name");
    for setting in EXPLAINING {
        database.execute(&format!("ALTER DATABASE {name} SET {setting}")).await;
    }
    let t = TestApp::start(database).await;
    let click = t.click().await;
    t.postback("/tracker").owned_by(&click.link.affiliate).save().await;
    t.conversion(&click).send().await;
    let source = click.link.affiliate.client.list("/api/v1/sources").await.remove(0);
    let url = url::Url::parse(&text(&source, "url")).expect("a URL");
    t.anonymous().get(&format!("{}?sessionId={}&amount=1.00", url.path(), click.id)).await;
    t.deliver_all().await;
    t.database.execute(MANY_ROWS).await;

    let description = t.admin.get("/api/openapi.json").await.expect(200);
    let (mut scans, mut statements) = (BTreeSet::new(), 0);
    for path in lists(&description) {
        let path = path.replace(EXAMPLE_AFFILIATE, &click.link.affiliate.id).replace(EXAMPLE_OFFER, &click.link.offer);
        for client in [&t.admin, &click.link.affiliate.client] {
            logs::take();
            let answer = client.get(&path).await;
            // Staff name the parent of sub-affiliates.
            let is_expected = [200, 403].contains(&answer.status) || answer.text.contains("is missing");
            assert!(is_expected, "{path}: {}", answer.text);
            let plans: Vec<_> = logs::take().into_iter().filter(|it| it.contains("use_case{")).collect();
            statements += plans.len();
            // What is left out of a window of rows is bounded: its statement finds where the window ends.
            let has_window = plans.iter().any(|it| it.contains(" OFFSET "));
            let scans_of_list = plans.iter().flat_map(|plan| scans_of(plan, has_window));
            scans.extend(scans_of_list.map(|scan| format!("{path}: {scan}")));
        }
    }
    assert!(statements > 300, "{statements} statements");
    assert!(scans.is_empty(), "{scans:#?}");
}

/// The path of each list, and one with each filter.
fn lists(description: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (path, operations) in description["paths"].as_object().expect("paths") {
        let parameters = operations["get"]["parameters"].as_array().into_iter().flatten();
        let parameters: Vec<_> = parameters.map(|it| resolved(description, it)).collect();
        if path.contains('{') || !parameters.iter().any(|it| it["name"] == "cursor") {
            continue;
        }
        if !parameters.iter().any(|it| it["required"] == true) {
            found.push(path.clone());
        }
        for parameter in parameters.iter().filter(|it| it["in"] == "query" && it["name"] != "cursor") {
            let name = parameter["name"].as_str().expect("a name");
            found.push(format!("{path}?{name}={}", sample(description, parameter)));
        }
    }
    found
}

fn resolved<'d>(description: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str().and_then(|it| it.strip_prefix('#')) {
        Some(pointer) => description.pointer(pointer).expect("what a reference leads to"),
        None => value,
    }
}

/// A value of a parameter that the list accepts.
fn sample(description: &Value, parameter: &Value) -> String {
    let value = match &parameter["example"] {
        Value::Null => Breaches::of_bounds(description).sample(&parameter["schema"]),
        example => example.clone(),
    };
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The nodes of a plan that read a table from the beginning, or walk along an index and leave out rows without a bound.
fn scans_of(plan: &str, has_window: bool) -> Vec<String> {
    let lines: Vec<_> = plan.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((node, table)) = line.split_once(" on ").filter(|_| line.contains("(cost=")) else { continue };
        let table = table.split([' ', '(']).next().unwrap_or_default();
        let details: Vec<_> = lines[at + 1..].iter().take_while(|it| !it.contains("(cost=")).copied().collect();
        let before = at.checked_sub(1).map_or("", |before| lines[before]);
        let is_never = before.starts_with("One-Time Filter");
        let leaves_out = details.iter().any(|it| it.starts_with("Filter:") && !keeps_most(it));
        let is_bounded = has_window || details.iter().any(|it| it.starts_with("Index Cond:"));
        let scans = node.contains("Seq Scan") && !is_never;
        let walks = node.contains("Index") && leaves_out && !is_bounded;
        let is_small = SMALL.contains(&table) || SMALL_INDEXES.iter().any(|it| node.ends_with(it)) || is_empty(line);
        if !is_small && (scans || walks) {
            found.push(format!("{line} {details:?}"));
        }
    }
    found
}

/// Whether the planner knows that a table has no rows.
fn is_empty(line: &str) -> bool {
    line.contains("(cost=0.12..8.14 rows=1 ")
}

/// Whether a filter leaves out few rows only: those in the archive, and tests.
fn keeps_most(filter: &str) -> bool {
    let kept = [
        "Filter: (archived_at IS NULL)",
        "Filter: (NOT test)",
        "Filter: ((conversion_id IS NULL) OR (NOT (SubPlan 1)))",
    ];
    kept.contains(&filter)
}
