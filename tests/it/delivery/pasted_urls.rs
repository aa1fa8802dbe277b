//! A pasted URL is parsed into a base, parameters with macros, fixed parameters, and unknown ones.

use postrider_tests::app::TestApp;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::{Value, json};

on_both_databases!(
    a_pasted_url_is_taken_apart,
    a_parsed_url_can_be_saved_and_fires,
    a_click_id_is_the_trackers_unless_it_is_switched,
    an_invalid_url_is_refused
);

async fn parse(t: &TestApp, url: &str) -> Value {
    t.admin.post("/api/v1/postbacks/parse", &json!({"url": url})).await.expect(200)
}

/// The fields of an answer that are a configuration.
fn config_of(mut parsed: Value) -> Value {
    let fields = parsed.as_object_mut().unwrap();
    fields.remove("unknown");
    fields.remove("notes");
    fields.remove("networks");
    parsed
}

/// The guide of a platform: its example has {click_id}, and the id "is passed along and echoed back".
async fn a_click_id_is_the_trackers_unless_it_is_switched(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let parsed = parse(&t, &t.receiver.url("/pasted?event=sale&click_id={click_id}&payout={payout}")).await;
    assert_eq!(parsed["parameters"][0], json!({"name": "click_id", "macro": "external_click_id"}));
    assert_eq!(parsed["notes"][0]["name"], "click_id");
    assert!(parsed["notes"][0]["note"].as_str().unwrap().contains("\"click_id\": \"postrider\""), "{parsed}");
    t.postback("/pasted").set("config", config_of(parsed)).save().await;

    let click = t.click_on(&link, "?click_id=tracker-7").await;
    t.conversion(&click).send().await;
    t.deliver_all().await;

    assert_eq!(t.receiver.only_request("/pasted").parameter("click_id"), "tracker-7");
}

async fn a_pasted_url_is_taken_apart(db: Database) {
    let t = TestApp::start(db).await;
    let guide = "https://yourtracking.com/postback?event=sale&click_id={click_id}&payout={payout}\
        &name={customer_name}&email={customer_email}&plan_name={plan_name}&plan_price={plan_price}\
        &purchase_date={purchase_date}&purchase_id={purchase_id}";
    let parsed = parse(&t, guide).await;
    assert_eq!(parsed["base_url"], "https://yourtracking.com/postback");
    assert_eq!(parsed["method"], "GET");
    assert_eq!(parsed["custom"], json!([{"name": "event", "value": "sale"}]));
    assert_eq!(parsed["unknown"], json!([]));
    let parameters = parsed["parameters"].as_array().unwrap();
    let names: Vec<_> = parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
    let wanted = ["click_id", "payout", "name", "email", "plan_name", "plan_price", "purchase_date", "purchase_id"];
    assert_eq!(names, wanted, "in their order");

    // Every notation for macros in the networks.
    for token in ["{status}", "{{status}}", "[status]", "#status#", "${status}", "%7Bstatus%7D", "{STATUS}"] {
        let parsed = parse(&t, &format!("https://x.example/p?s={token}")).await;
        assert_eq!(parsed["parameters"], json!([{"name": "s", "macro": "status"}]), "{token}");
    }

    // A tracker's own click id came with the click. Blanks inside of marks and a fragment after # are accepted.
    let parsed = parse(&t, "https://x.example/{ offer_id }?cid={clickid}&p={ payout }&e=1#top").await;
    let parameters = json!([{"name": "cid", "macro": "external_click_id"}, {"name": "p", "macro": "payout"}]);
    assert_eq!((&parsed["base_url"], &parsed["parameters"]), (&json!("https://x.example/{offer_id}"), &parameters));
    assert_eq!(parsed["custom"], json!([{"name": "e", "value": "1"}]));

    // A value that is not a macro stays unchanged; an unknown macro is reported as unknown.
    let parsed = parse(&t, "https://x.example/p?a=1&b=&c&d={no_such_macro}&e=50%25&f=a+b").await;
    assert_eq!(parsed["parameters"], json!([]));
    assert_eq!(
        parsed["custom"],
        json!([
            {"name": "a", "value": "1"}, {"name": "b", "value": ""}, {"name": "c", "value": ""},
            {"name": "e", "value": "50%"}, {"name": "f", "value": "a b"},
        ])
    );
    assert_eq!(parsed["unknown"], json!([{"name": "d", "value": "{no_such_macro}", "suggestion": null}]));
    assert_eq!(parse(&t, "https://x.example:8443/p/").await["base_url"], "https://x.example:8443/p/");

    // Each with its network's own notation and words.
    let parsed = parse(
        &t,
        "https://x.example/%7BofferId%7D/<account>?a=!!afftrack!!&b=##CPA_AMOUNT##&c=[[[subid2]]]&d=${(transID)!}\
            &e=(conv_status)&f=#{click.publisher.clickId}&g=c-{aff_sub3}",
    )
    .await;
    assert_eq!(parsed["base_url"], "https://x.example/{offer_id}/<account>?g=c-{sub3}");
    let macros: Vec<_> =
        parsed["parameters"].as_array().unwrap().iter().map(|parameter| parameter["macro"].as_str().unwrap()).collect();
    assert_eq!(macros, ["sub1", "payout", "sub2", "transaction_id", "status", "external_click_id"]);
    assert_eq!(parsed["unknown"], json!([{"name": "base_url", "value": "<account>", "suggestion": "amount"}]));
}

async fn a_parsed_url_can_be_saved_and_fires(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let pasted = t.receiver.url("/pasted?cid={click_id}&state={status}&tag=a%26b");
    let pasted = json!({"url": pasted, "click_id": "postrider"});
    let parsed = t.admin.post("/api/v1/postbacks/parse", &pasted).await.expect(200);
    assert_eq!(parsed["notes"], json!([]));
    let config = config_of(parsed);
    t.postback("/pasted").set("config", config).save().await;

    t.conversion(&click).send().await;
    t.deliver_all().await;

    let request = t.receiver.only_request("/pasted");
    assert_eq!(request.parameter("cid"), click.id);
    assert_eq!(request.parameter("state"), "approved");
    assert_eq!(request.parameter("tag"), "a&b");
}

async fn an_invalid_url_is_refused(db: Database) {
    let t = TestApp::start(db).await;
    for url in ["", "nonsense", "ftp://x.example/", "javascript:alert(1)", "/postback?x=1", "https://"] {
        let answer = t.admin.post("/api/v1/postbacks/parse", &json!({"url": url})).await;
        assert_eq!(answer.status, 422, "{url:?}: {}", answer.text);
    }
    t.admin.post("/api/v1/postbacks/parse", &json!({})).await.expect_problem(422, "invalid_field");
}
