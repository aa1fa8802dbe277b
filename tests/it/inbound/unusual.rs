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
