//! Requests that report no sale or cannot be used, and values in headers, lists and JSON fields.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

on_both_databases!(
    a_request_with_a_value_of_ignore_if_reports_no_sale,
    what_cannot_be_used_is_answered_as_the_source_says,
    values_are_found_in_headers_lists_and_json_fields,
    an_address_is_known_with_slashes_in_capitals_and_with_punctuation,
    a_query_may_have_spaces_quotes_and_other_raw_bytes,
    an_address_without_a_source_is_a_warning,
    a_list_in_a_body_has_a_sale_per_element,
    amounts_have_currencies_and_units_of_their_own,
    a_date_is_read_in_the_order_of_the_settings,
);

async fn a_request_with_a_value_of_ignore_if_reports_no_sale(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let ignored = json!({"ignore_if": {"is_event": ["Y"], "header.x-kind": ["ping", "hello"], "cancel_at": []}});
    let source = source(&t).settings(ignored).save().await;
    let sale = [("sub", click.id.as_str()), ("tid", "T-1"), ("sum", "5")];
    for more in [("is_event", "y"), ("cancel_at", "tomorrow")] {
        t.tick();
        let answer = source.report(&[&sale[..], &[more]].concat()).await;
        assert_eq!(answer.status, 200, "{more:?}");
        let entry = source.last().await;
        assert_outcome(&entry, "ignored", "ignored_by_settings");
        assert!(text(&entry, "reason").contains(more.0), "{entry:#}");
    }
    t.tick();
    let path = format!("{}?sub={}&tid=T-2", source.path, click.id);
    source.network.send(source.network.request(Method::GET, &path).header("X-Kind", "Ping")).await;
    assert_outcome(&source.last().await, "ignored", "ignored_by_settings");
    assert_eq!(conversions(&t, &click).await.len(), 0);
    // Of several reports, the first says nothing about the others.
    let both = json!([{"sub": click.id, "tid": "T-3", "is_event": "Y"}, {"sub": click.id, "tid": "T-4"}]);
    source.network.send(source.network.request(Method::POST, &source.path).json(&both)).await;
    assert_outcome(&source.last().await, "accepted", "");
    assert_eq!(conversions(&t, &click).await.len(), 2);

    source.report(&[&sale[..], &[("is_event", "N"), ("cancel_at", "")]].concat()).await;
    assert_outcome(&source.last().await, "accepted", "");
    let wrong = json!({"settings": {"ignore_if": {" ": ["1"]}}});
    source.patch(wrong).await.expect_problem(422, "invalid_field");
}

async fn what_cannot_be_used_is_answered_as_the_source_says(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let guard = json!({"token": {"parameter": "X-Tok", "value": "a-secret-token"}});
    let source = source(&t).settings(json!({"reply": {"status": 200, "body": "1"}})).save().await;
    let foreign = [("sub", "not-ours"), ("tid", "T-1")];
    let amount = [("sub", click.id.as_str()), ("tid", "T-1"), ("sum", "a lot")];
    for report in [&foreign[..], &amount[..]] {
        assert_eq!(source.report(report).await.status, 422);
    }
    source.patch(json!({"settings": {"refused_reply": "accept"}})).await.expect(200);
    for (report, code) in [(&foreign[..], "foreign_click_id"), (&amount[..], "invalid_amount")] {
        t.tick();
        let answer = source.report(report).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "1"));
        assert_outcome(&source.last().await, "refused", code);
    }
    assert_eq!(conversions(&t, &click).await.len(), 0);
    // Strangers learn that they are refused.
    source.patch(json!({"settings": {"guards": guard}})).await.expect(200);
    t.tick();
    assert_eq!(source.report(&foreign).await.status, 401);
    let path = format!("{}?sub={}&tid=T-1&sum=5", source.path, click.id);
    let sent = source.network.request(Method::GET, &path).header("x-tok", "a-secret-token");
    assert_eq!(source.network.send(sent).await.status, 200);
    let entry = source.last().await;
    assert_outcome(&entry, "accepted", "");
    assert!(!entry.to_string().contains("a-secret-token"), "{entry:#}");
}

async fn values_are_found_in_headers_lists_and_json_fields(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let mut shop = source(&t).settings(json!({"statuses": {"orders/paid": "approved"}}));
    shop.body["config"]["fields"] = json!({
        "click_id": "notes[name=click].value", "transaction_id": "id", "status": "header.X-Topic", "payout": "total",
    });
    let shop = shop.save().await;
    let order = json!({"id": 71, "total": "5.00", "notes": [
        {"name": "colour", "value": "red"}, {"name": "click", "value": click.id},
    ]});
    let sent = shop.network.request(Method::POST, &shop.path).header("X-Topic", "orders/paid").json(&order);
    assert_eq!(shop.network.send(sent).await.status, 200);
    let found = only_conversion(&t, &click).await;
    assert_eq!((&found["transaction_id"], &found["status"]), (&json!("71"), &json!("approved")));

    let other = t.click().await;
    let mut pushing = source(&t);
    pushing.body["config"]["fields"] = json!({"click_id": "push.sub", "transaction_id": "push.sale.id"});
    let pushing = pushing.save().await;
    let push = json!({"sub": other.id, "sale": {"id": "A-1"}}).to_string();
    let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("push", &push).finish();
    let sent = pushing.network.request(Method::POST, &pushing.path).body(form);
    assert_eq!(pushing.network.send(sent).await.status, 200);
    assert_eq!(only_conversion(&t, &other).await["transaction_id"], "A-1");
}

/// A network joins a base address that ends in a slash and a path that begins with one.
async fn an_address_is_known_with_slashes_in_capitals_and_with_punctuation(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    let path = &source.path;
    let key = path.trim_start_matches("/in/");
    for address in [
        format!("/{path}"),
        format!("{path}/"),
        format!("/in//{key}"),
        format!("/IN/{}", key.to_uppercase()),
        format!("{path}."),
        format!("{path}%22/"),
    ] {
        t.tick();
        let answer = t.anonymous().get(&format!("{address}?sub={}&tid=T-1&sum=5", click.id)).await;
        assert_eq!(answer.status, 200, "{address}: {}", answer.text);
        let entry = source.last().await;
        assert!(text(&entry["request"], "path").starts_with("/in/****"), "the key is not shown: {entry:#}");
    }
    assert_eq!(conversions(&t, &click).await.len(), 1);
    assert_eq!(t.admin.list("/api/v1/inbound-requests").await.len(), 6);
}

async fn a_query_may_have_spaces_quotes_and_other_raw_bytes(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    let mut stream = TcpStream::connect(t.address()).await.expect("it listens");
    let mut answer = [0; 4096];
    // One after another on one connection, each in two pieces.
    for (tid, at) in [("T 1", 3), ("T \"2\" <b>#x", 200), ("T{3}\u{e4}", 60)] {
        t.tick();
        let head = format!("GET {}?sub={}&tid={tid}&sum=5 HTTP/1.1\r\nHost: x\r\n\r\n", source.path, click.id);
        let (first, second) = head.as_bytes().split_at(at.min(head.len() - 1));
        for piece in [first, second] {
            stream.write_all(piece).await.expect("it takes it");
            stream.flush().await.expect("it takes it");
            tokio::task::yield_now().await;
        }
        let count = stream.read(&mut answer).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..count]);
        assert!(answer.starts_with("HTTP/1.1 200"), "{tid}: {answer}");
        assert_outcome(&source.last().await, "accepted", "");
        let newest = &conversions(&t, &click).await[0];
        assert_eq!(newest["transaction_id"], tid);
    }
}

async fn an_address_without_a_source_is_a_warning(db: Database) {
    let t = TestApp::start(db).await;
    let source = source(&t).save().await;
    let wrong = source.path.replace("/in/", "/in/x");
    assert_eq!(source.network.get(&format!("{wrong}?tid=T-1")).await.status, 404);
    let warning = &t.admin.list("/api/v1/warnings").await[0];
    assert_eq!(warning["code"], "unknown_inbound_address");
    let (sentence, key) = (text(warning, "message"), wrong.trim_start_matches("/in/"));
    assert!(sentence.contains(&format!("/in/{}…", &key[..6])) && !sentence.contains(&key[..7]), "{sentence}");
}

async fn a_list_in_a_body_has_a_sale_per_element(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let mut shop = source(&t);
    shop.body["config"]["fields"] = json!({
        "click_id": "sub", "transaction_id": "items.id", "payout": "items.price", "goal": "items.kind", "elements": "items",
    });
    let shop = shop.save().await;
    let order = |items: Value| json!({"sub": click.id, "order": 7, "items": items});
    let send = async |items: Value| {
        t.tick();
        shop.network.send(shop.network.request(Method::POST, &shop.path).json(&order(items))).await.status
    };
    assert_eq!(send(json!([])).await, 200);
    assert_outcome(&shop.last().await, "ignored", "no_elements");
    assert_eq!(send(json!([{"id": "A-1", "price": 5, "kind": "book"}, {"id": "A-2", "price": 7}])).await, 200);
    assert_outcome(&shop.last().await, "accepted", "");
    let sales = conversions(&t, &click).await;
    let shown: Vec<_> = sales.iter().map(|it| (text(it, "transaction_id"), text(&it["payout"], "amount"))).collect();
    assert_eq!(shown, [("A-2".to_owned(), "7.00".to_owned()), ("A-1".to_owned(), "5.00".to_owned())]);
}

async fn amounts_have_currencies_and_units_of_their_own(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let amounts = json!({"currency": "EUR", "payout": {"currency": "USD", "unit": "minor"}});
    let source = source(&t).settings(json!({"amounts": amounts})).save().await;
    let money = |it: &Value, field: &str| format!("{} {}", text(&it[field], "amount"), text(&it[field], "currency"));
    source.report(&[("sub", &click.id), ("tid", "T-1"), ("sale", "100"), ("sum", "1250"), ("rev", "20")]).await;
    let it = only_conversion(&t, &click).await;
    assert_eq!((text(&it, "amount"), text(&it, "currency")), ("100.00".into(), "EUR".into()));
    assert_eq!((money(&it, "payout"), money(&it, "revenue")), ("12.50 USD".into(), "20.00 EUR".into()));
    t.tick();
    source.report(&[("sub", &click.id), ("tid", "T-1"), ("sale", "50"), ("sum", "625"), ("rev", "10")]).await;
    let it = only_conversion(&t, &click).await;
    assert_eq!((text(&it, "amount"), money(&it, "payout")), ("50.00".into(), "6.25 USD".into()));
    // By API too.
    let other = t.click().await;
    let report = t.conversion(&other).set("amount", json!("100")).set("currency", json!("EUR"));
    let report = report.set("payout", json!("8")).set("payout_currency", json!("USD"));
    let made = report.set("revenue", json!("9")).set("revenue_currency", json!("GBP")).try_send().await.expect(201);
    assert_eq!((money(&made, "payout"), money(&made, "revenue")), ("8.00 USD".into(), "9.00 GBP".into()));
    assert_eq!(made["currency"], "EUR");
}

async fn a_date_is_read_in_the_order_of_the_settings(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    let report = async |tid: &str| {
        t.tick();
        source.report(&[("sub", &click.id), ("tid", tid), ("sum", "5"), ("at", "03/04/2026 02:05 PM")]).await;
        conversions(&t, &click).await[0]["purchase_date"].clone()
    };
    assert_eq!(report("T-1").await, json!(null));
    assert!(source.last().await["items"][0]["notes"].to_string().contains("is not a time"));
    source.patch(json!({"settings": {"date_order": "month_first"}})).await.expect(200);
    assert_eq!(report("T-2").await, "2026-03-04T14:05:00.000Z");
}
