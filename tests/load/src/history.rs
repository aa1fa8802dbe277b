//! Inserts history: millions of rows of earlier weeks, by SQL in the server's format, to measure the cost of full tables.

use anyhow::ensure;

use postrider_tests::database::Database;

/// One sale in history: four clicks, a conversion with its posting and two entries, an event, a delivery, an attempt.
const ROWS_PER_SALE: u64 = 11;
/// Rows per transaction. Each transaction prints a line of progress.
const SALES_AT_ONCE: u64 = 50_000;
/// History ends a minute ago, with one sale per second.
const SECOND_MS: u64 = 1_000;

/// Writes about `rows` rows; returns the number of conversions among them.
pub async fn write(database: &Database, rows: u64) -> anyhow::Result<u64> {
    let sales = rows / ROWS_PER_SALE;
    let newest = u64::try_from(database.number("SELECT max(occurred_at) FROM clicks").await)? - 60_000;
    let scope = ["affiliate_id", "offer_id"];
    ensure!(
        database.count("affiliates").await == 1 && database.count("offers").await == 1,
        "history needs exactly one affiliate and one offer; {scope:?} are known"
    );
    for first in (0..sales).step_by(usize::try_from(SALES_AT_ONCE)?) {
        let last = (first + SALES_AT_ONCE).min(sales);
        for sql in statements(database.is_sqlite(), newest, first, last) {
            database.execute(&sql).await;
        }
        eprintln!("history: {} of {} rows", last * ROWS_PER_SALE, sales * ROWS_PER_SALE);
    }
    // Finishes background work of the inserts, so that it does not affect the measurement.
    let settle: &[&str] = if database.is_sqlite() { &["ANALYZE"] } else { &["VACUUM ANALYZE", "CHECKPOINT"] };
    for sql in settle {
        database.execute(sql).await;
    }
    Ok(sales)
}

/// One INSERT per table. Ids consist of their time and the sale's number, as a UUIDv7 consists of time and random bits.
fn statements(sqlite: bool, newest: u64, first: u64, last: u64) -> Vec<String> {
    let id = |table: u32, number: &str| {
        let millis = format!("{newest} - ({number}) * {SECOND_MS} / 4");
        if sqlite {
            format!("unhex(printf('%012x7{table:03x}8%015x', {millis}, ({number}) * 7919))")
        } else {
            format!(
                "(lpad(to_hex({millis}), 12, '0') || '7{table:03x}8' || lpad(to_hex(({number}) * 7919), 15, '0'))::uuid"
            )
        }
    };
    let series = |from: u64, to: u64| {
        if sqlite {
            format!(
                "(WITH RECURSIVE s (n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM s WHERE n + 1 < {to}) SELECT n FROM s)"
            )
        } else {
            format!("(SELECT n::bigint FROM generate_series({from}, {to} - 1) AS n)")
        }
    };
    let at = |number: &str| format!("{newest} - ({number}) * {SECOND_MS} / 4");
    let yes = if sqlite { "1" } else { "true" };
    let no = if sqlite { "0" } else { "false" };
    let (clicks, sales) = (series(first * 4, last * 4), series(first, last));
    let sale = "n * 4";
    let (click_id, at_click) = (id(1, "n"), at("n"));
    let (clicked, conversion, posting) = (id(1, sale), id(2, sale), id(3, sale));
    let (event, delivery, at_sale) = (id(4, sale), id(5, sale), at(sale));
    let facts = facts();
    vec![
        format!(
            "INSERT INTO clicks (id, action, link_id, affiliate_id, offer_id, occurred_at, external_id, sub_ids, params,
                 landing_url, ip, user_agent, device, browser, os, likely_bot, visitor, is_unique)
             SELECT {click_id}, 'click', links.id, links.affiliate_id, links.offer_id, {at_click}, 'old-' || n,
                 '[[\"sub1\",\"newsletter\"]]', '[]', 'https://shop.example/landing?cid=old', '203.0.113.7',
                 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 'desktop', 'Firefox', 'Linux',
                 {no}, n * 104729, {yes}
             FROM {clicks} AS s CROSS JOIN links"
        ),
        format!(
            "INSERT INTO conversions (id, offer_id, transaction_id, revision, status, affiliate_id, click_id, attributed_by,
                 goal, sale_micros, sale_currency, payout_micros, payout_currency, customer_name, customer_email, created_at,
                 updated_at)
             SELECT {conversion}, offers.id, 'OLD-' || n, 1, 'approved', affiliates.id, {clicked}, 'click', 'sale', 49000000,
                 'USD', 12500000, 'USD', 'Grace Hopper', 'grace@example.com', {at_sale}, {at_sale}
             FROM {sales} AS s CROSS JOIN offers CROSS JOIN affiliates"
        ),
        format!(
            "INSERT INTO postings (id, key, conversion_id, currency, created_at)
             SELECT {posting}, 'old:' || n, {conversion}, 'USD', {at_sale} FROM {sales} AS s"
        ),
        format!(
            "INSERT INTO entries (posting_id, number, account, affiliate_id, currency, micros)
             SELECT {posting}, side, CASE side WHEN 0 THEN 'program' ELSE 'pending' END,
                 CASE side WHEN 1 THEN affiliates.id END, 'USD', CASE side WHEN 0 THEN -12500000 ELSE 12500000 END
             FROM {sales} AS s CROSS JOIN affiliates CROSS JOIN (SELECT 0 AS side UNION ALL SELECT 1) AS sides"
        ),
        format!(
            "INSERT INTO events (id, action, occurred_at, affiliate_id, offer_id, click_id, conversion_id, revision, facts)
             SELECT {event}, 'conversion', {at_sale}, affiliates.id, offers.id, {clicked}, {conversion}, 1, '{facts}'
             FROM {sales} AS s CROSS JOIN offers CROSS JOIN affiliates"
        ),
        format!(
            "INSERT INTO deliveries (id, event_id, postback_id, conversion_id, revision, affiliate_id, state, due_at, attempts,
                 attempts_before_retry, created_at, settled_at)
             SELECT {delivery}, {event}, postbacks.id, {conversion}, 1, affiliates.id, 'success', {at_sale}, 1, 0, {at_sale},
                 {at_sale}
             FROM {sales} AS s CROSS JOIN affiliates CROSS JOIN postbacks"
        ),
        format!(
            "INSERT INTO attempts (delivery_id, number, at, duration_ms, method, url, request_headers, status, response_headers,
                 truncated, outcome)
             SELECT {delivery}, 1, {at_sale}, 20, 'GET', 'https://tracker.example/pb?tid=OLD', '[]', 200, '[]', {no}, 'accepted'
             FROM {sales} AS s"
        ),
    ]
}

/// The JSON of an event, about as long as the JSON of a real sale.
fn facts() -> String {
    let party = |id: &str| serde_json::json!({"id": id, "name": "Ada Lovelace"});
    let click = serde_json::json!({
        "id": "00000000000000000000000000", "at": 0, "landing_url": "https://shop.example/landing?cid=old",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "ip": "203.0.113.7",
        "sub_ids": [["sub1", "newsletter"]],
    });
    serde_json::json!({"affiliate": party("aff_old"), "offer": party("off_old"), "click": click}).to_string()
}
