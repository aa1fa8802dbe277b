//! Reports over a month of ten million clicks: the time of the roll-up, and the time of the answers.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::http::Connection;
use crate::report::{Figure, Report};
use crate::server::{ADMIN_KEY, Server};
use crate::{Kind, budgets};
use postrider_tests::database::Database;

/// Rows per transaction.
const CLICKS_AT_ONCE: u64 = 250_000;
const MONTH_MS: u64 = 30 * 86_400_000;
/// One conversion per this many clicks.
const CLICKS_PER_CONVERSION: u64 = 100;
const PACKING: Duration = Duration::from_secs(1_800);
const ROUNDS: usize = 7;

const QUESTIONS: [&str; 12] = [
    "reports/series?",
    "reports?group_by=day&time_zone=Europe/Berlin",
    "reports?group_by=affiliate",
    "reports?group_by=day,offer&time_zone=Asia/Kathmandu",
    "reports?group_by=link&sort=conversions",
    "reports?group_by=country",
    "reports?group_by=keyword",
    "reports?group_by=day,device",
    "reports?group_by=affiliate,country",
    "reports?group_by=keyword,page",
    "reports?group_by=day&country=DE&device=mobile",
    "reports/revenue-map?",
];

/// Inserts `clicks` clicks, waits for the roll-up, and measures reports.
pub async fn measure(kind: Kind, program: &Path, clicks: u64, report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start(kind, program).await?;
    server.create_link().await?;
    let newest = u64::try_from(server.database.number("SELECT max(created_at) FROM offers").await)?;
    write(&server.database, newest - 60_000, clicks).await;

    let rebuilt = Command::new(program)
        .args(["reports", "rebuild"])
        .env("DATABASE_URL", server.database.url())
        .output()
        .context("the program can't be run")?;
    ensure!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    let packed = "SELECT CAST(coalesce(sum(weight), 0) AS bigint) FROM report_columns WHERE number = 0 AND subject = 0";
    let seconds = wait_until_packed(&server).await?.as_secs_f64();
    let packed = u64::try_from(server.database.number(packed).await)?;
    let figure = |name: String, value, unit, budget, note| Figure { name, kind: Some(kind), value, unit, budget, note };
    let note = format!("{packed} of {clicks} clicks in {seconds:.0} s, including a pause of up to 30 s");
    report.add(figure("clicks packed".into(), packed as f64 / seconds, "/s", None, note));
    let bytes = "SELECT CAST(sum(length(data)) AS bigint) FROM report_columns";
    let bytes = server.database.number(bytes).await as f64 / packed as f64;
    report.add(figure("packed click".into(), bytes, "bytes", None, "with its conversions".into()));

    let mut connection = Connection::open(server.address).await?;
    for question in QUESTIONS {
        let request = format!(
            "GET /api/v1/{question}&limit=50 HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {ADMIN_KEY}\r\n\r\n",
            server.address
        );
        let mut times = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let started = Instant::now();
            let answer = connection.call(request.as_bytes()).await?;
            ensure!(answer.status == 200, "{question} answered {}", answer.text());
            times.push(started.elapsed().as_secs_f64() * 1_000.0);
        }
        times.sort_by(f64::total_cmp);
        let note = format!("{:.0} to {:.0}", times[0], times[ROUNDS - 1]);
        let name = format!("report {}", question.trim_start_matches("reports").trim_end_matches('?'));
        report.add(figure(name, times[ROUNDS / 2], "ms", Some(budgets::REPORT_MS), note));
    }
    Ok(())
}

/// Waits until the roll-up has all clicks, except for those of the last quarters of an hour, which have not ended.
pub async fn wait_until_packed(server: &Server) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let newest = server.database.number("SELECT max(occurred_at) FROM clicks").await;
    while server.database.number("SELECT min(until) FROM report_progress").await + 2_700_000 < newest {
        ensure!(started.elapsed() < PACKING, "the roll-up takes longer than {PACKING:?}; the log:\n{}", server.log());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(started.elapsed())
}

/// A month of clicks by 200 affiliates for 20 offers over 1,000 links, and the conversions of one in a hundred.
async fn write(database: &Database, newest: u64, clicks: u64) {
    let sqlite = database.is_sqlite();
    let (yes, no) = if sqlite { ("1", "0") } else { ("true", "false") };
    let id = |table: u32, millis: &str, number: &str| {
        if sqlite {
            format!("unhex(printf('%012x7{table:03x}8%015x', {millis}, {number}))")
        } else {
            format!("(lpad(to_hex({millis}), 12, '0') || '7{table:03x}8' || lpad(to_hex({number}), 15, '0'))::uuid")
        }
    };
    let oldest = newest - MONTH_MS;
    let at = format!("({oldest} + n * {MONTH_MS} / {clicks})");
    let link = "(n * 7919 % 1000)";
    let party = |table, number: &str| id(table, &oldest.to_string(), number);
    let (link_id, affiliate_id, offer_id) =
        (party(5, link), party(6, &format!("({link} % 200)")), party(7, &format!("({link} % 20)")));
    let click_id = id(1, &at, "n");
    for first in (0..clicks).step_by(CLICKS_AT_ONCE as usize) {
        let last = (first + CLICKS_AT_ONCE).min(clicks);
        let series = |step: u64| {
            if sqlite {
                format!(
                    "(WITH RECURSIVE s (n) AS (SELECT {first} UNION ALL SELECT n + {step} FROM s WHERE n + {step} < {last})
                      SELECT n FROM s)"
                )
            } else {
                format!("(SELECT n::bigint FROM generate_series({first}, {last} - 1, {step}) AS n)")
            }
        };
        database
            .execute(&format!(
                "INSERT INTO clicks (id, action, link_id, affiliate_id, offer_id, occurred_at, sub_ids, params,
                     landing_url, country, device, browser, os, likely_bot, visitor, is_unique)
                 SELECT {click_id}, 'click', {link_id}, {affiliate_id}, {offer_id}, {at},
                     '[[\"sub1\",\"s' || (n * 31 % 50) || '\"]]',
                     '[[\"keyword\",\"word ' || (n * 17 % 300) || '\"],[\"page\",\"/p' || (n * 13 % 100) || '\"]]', '',
                     substr('DEFRPLUSGBITESNLBECHATSEDKNOFIPTCZHURO', CAST((n * 7 % 19) * 2 + 1 AS int), 2),
                     CASE n * 11 % 3 WHEN 0 THEN 'mobile' WHEN 1 THEN 'desktop' ELSE 'tablet' END,
                     CASE n * 5 % 4 WHEN 0 THEN 'Chrome' WHEN 1 THEN 'Firefox' WHEN 2 THEN 'Safari' ELSE 'Edge' END,
                     CASE n * 3 % 4 WHEN 0 THEN 'Linux' WHEN 1 THEN 'Windows 10' WHEN 2 THEN 'iPhone' ELSE 'Android' END,
                     CASE WHEN n % 10 = 0 THEN {yes} ELSE {no} END, n, CASE WHEN n % 2 = 0 THEN {yes} ELSE {no} END
                 FROM {} AS s",
                series(1)
            ))
            .await;
        database
            .execute(&format!(
                "INSERT INTO conversions (id, offer_id, transaction_id, revision, status, affiliate_id, link_id, click_id,
                     attributed_by, goal, payout_micros, payout_currency, revenue_micros, revenue_currency, created_at,
                     updated_at)
                 SELECT {}, {offer_id}, 'OLD-' || n, 1, CASE n % 3 WHEN 0 THEN 'approved' ELSE 'pending' END,
                     {affiliate_id}, {link_id}, {click_id}, 'click', 'sale', 12500000, 'USD', 20000000, 'USD', {at}, {at}
                 FROM {} AS s",
                id(2, &at, "n"),
                series(CLICKS_PER_CONVERSION)
            ))
            .await;
        eprintln!("reports: {last} of {clicks} clicks");
    }
    let settle: &[&str] = if sqlite { &["ANALYZE"] } else { &["ANALYZE clicks", "ANALYZE conversions", "CHECKPOINT"] };
    for sql in settle {
        database.execute(sql).await;
    }
}
