//! The catalogue: its entries are valid, it can be searched, and a postback created from a template arrives.

mod cases;
mod pasted;
mod secrets;

use std::collections::BTreeSet;

use domain::delivery::template::{Direction, Kind};
use engine::delivery::templates;
use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::{Value, json};

use cases::filled;

on_both_databases!(
    the_catalogue_is_searched_by_name_id_and_words,
    the_catalogue_has_pages,
    a_postback_of_a_template_arrives_as_its_tracker_expects,
    a_tracker_is_not_called_without_its_click_id,
    a_pasted_url_with_its_parameters_sends_nothing_twice,
    a_template_says_which_field_is_wrong,
    a_template_or_an_adapter_but_not_both,
    a_source_of_a_template_reads_its_network,
);

const FILES: [(&str, &str); 4] = [
    ("ad_platform", include_str!("../../../plugins/templates/ad-platforms.json")),
    ("crm", include_str!("../../../plugins/templates/crms.json")),
    ("network", include_str!("../../../plugins/templates/networks.json")),
    ("tracker", include_str!("../../../plugins/templates/trackers.json")),
];
const SCHEMA: &str = include_str!("../../../schemas/template.schema.json");

/// Templates based on the network's own documentation. None of them may get lost.
const DOCUMENTED: &str = "\
    acornads activecampaign_event adcombo adjust_s2s adprofex adsterra adtraction adxad affise_advertiser \
    affise_affiliate affise_reach affonso affrank appmetrica_postback appsflyer_s2s awin bemob binom bolead \
    branch_postback cake_advertiser cake_affiliate cashbackos cj_advertiser clickbank_ins clickflare \
    clickmagick_campaigns clickmagick_webhook cpalead digistore24_ipn digistore24_s2s everad everflow_partner \
    exoclick funnelflux_pro ga4_mp goaffpro gohighlevel hubspot impact income_partners indoleads integr8 \
    jvzoo_v1 jvzoo_v2 keitaro klaviyo limonad linkclicky mailerrocket maxppi mediago meta_capi mgid mintegral \
    monetizer mylead openai_ads orbitra peerclick perkox pipedrive playtimeads popunder_store posh_partners \
    prodege rakuten redtrack salesforce scaleo_affiliate segment shareasale slack sourceknowledge taboola \
    targetcircle tiktok_events trafficstars tune_affiliate voluum warriorplus yungpoints zapier zeropark_sold \
    zeydoo zoho_crm";

// The files.

#[test]
fn every_template_matches_the_schema() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    jsonschema::meta::validate(&schema).expect("it is a schema");
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    for (kind, file) in FILES {
        let entries: Vec<Value> = serde_json::from_str(file).unwrap();
        for entry in &entries {
            let id = text(entry, "id");
            let problems: Vec<_> =
                schema.iter_errors(entry).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert_eq!(problems, [""; 0], "{id}");
            assert_eq!(entry["kind"], kind, "{id} is in the wrong file");
        }
        let ids: Vec<_> = entries.iter().map(|entry| text(entry, "id")).collect();
        assert!(ids.is_sorted(), "{kind}: sort them by id");
    }
}

#[test]
fn every_documented_network_is_in_the_catalogue() {
    let ids: Vec<_> = templates::all().iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "every id once");
    for id in DOCUMENTED.split(' ') {
        assert!(templates::get(id).is_ok_and(|it| it.verified), "{id}");
    }
}

#[test]
fn every_field_is_declared_and_used_and_has_a_good_example() {
    for template in templates::all() {
        let id = &template.id;
        let declared: BTreeSet<_> = template.fields.iter().map(|field| field.name.clone()).collect();
        assert_eq!(declared.len(), template.fields.len(), "{id}: every field once");
        let used = placeholders(&format!("{}{}", template.config, json!(template.source_settings)));
        // In a CRM's body, braces can also be its adapter's.
        let unknown: Vec<_> = used.difference(&declared).collect();
        assert!(unknown.is_empty() || template.adapter == "crm-json", "{id}: {unknown:?} is no field");
        assert!(declared.is_subset(&used), "{id}: a field is asked for and not used");
        // What an optional field leaves out is a whole object, so it stands only in a guard.
        let mut unguarded = template.source_settings.clone().unwrap_or_default();
        unguarded["guards"] = Value::Null;
        let unguarded = placeholders(&format!("{}{unguarded}", template.config));
        for field in &template.fields {
            assert!(!(field.optional && unguarded.contains(&field.name)), "{id}: {} is not in a guard", field.name);
            let schema = json!({"type": "string", "pattern": field.pattern});
            let pattern = jsonschema::draft202012::new(&schema).expect("a regular expression");
            for value in [Some(&field.example), field.default.as_ref()].into_iter().flatten() {
                assert!(pattern.is_valid(&json!(value)), "{id}: {value} is no {}", field.name);
            }
        }
        assert!(filled(template).is_ok(), "{id}: its case can't be filled");
    }
}

#[test]
fn every_status_of_an_example_has_a_meaning() {
    for template in templates::all().iter().filter(|it| it.direction == Direction::Inbound) {
        let meanings = &template.source_settings.as_ref().expect("inbound ones have settings")["statuses"];
        let known = meanings.as_object().expect("a map of words");
        for report in template.case["report"]["conversions"].as_array().into_iter().flatten() {
            let word = report["status"].as_str();
            assert!(
                known.is_empty() || word.is_none_or(|word| known.contains_key(word)),
                "{}: {word:?} is not in the map",
                template.id
            );
        }
    }
}

/// Updated by `POSTRIDER_UPDATE_SCHEMAS=1 tests/run`.
#[test]
fn the_list_in_docs_is_the_catalogue() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/networks.md");
    if std::env::var_os("POSTRIDER_UPDATE_SCHEMAS").is_some() {
        std::fs::write(path, list_for_people()).expect("docs/ can be written");
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == list_for_people(),
        "run POSTRIDER_UPDATE_SCHEMAS=1 tests/run and read the diff of docs/networks.md"
    );
}

// Search and use.

async fn the_catalogue_is_searched_by_name_id_and_words(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let ids = async |query: &str| {
        let page = affiliate.client.get(&format!("/api/v1/templates?{query}")).await.expect(200);
        let items = page["items"].as_array().unwrap().clone();
        items.iter().map(|item| text(item, "id")).collect::<Vec<_>>()
    };

    assert_eq!(ids("q=VOLUUM").await, ["voluum"]);
    assert_eq!(ids("q=binom").await, ["binom", "binom_v2"]);
    assert_eq!(ids("q=share%20a%20sale").await, ["shareasale"]);
    assert_eq!(ids("q=advertiser+affise").await, ["affise_advertiser"]);
    assert_eq!(ids("q=mylead&direction=inbound").await, ["mylead"]);
    assert_eq!(ids("q=no+such+network").await, [""; 0]);
    for (query, field, wanted) in [
        ("kind=crm", "kind", json!("crm")),
        ("direction=inbound", "direction", json!("inbound")),
        ("verified=false", "verified", json!(false)),
    ] {
        let page = t.admin.get(&format!("/api/v1/templates?limit=200&{query}")).await.expect(200);
        let items = page["items"].as_array().unwrap();
        assert!(items.len() > 10 && items.iter().all(|item| item[field] == wanted), "{query}");
    }

    let keitaro = t.admin.get("/api/v1/templates/keitaro").await.expect(200);
    assert_eq!(keitaro["fields"][0]["title"], "Tracking domain");
    assert_eq!(keitaro["fields"][1]["secret"], true);
    assert!(keitaro.get("case").is_none());
    t.admin.get("/api/v1/templates/nope").await.expect_problem(404, "not_found");
    t.admin.get("/api/v1/templates?kind=nope").await.expect_problem(400, "invalid_parameter");
    t.anonymous().get("/api/v1/templates").await.expect_problem(401, "unauthorized");
}

async fn the_catalogue_has_pages(db: Database) {
    let t = TestApp::start(db).await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = t.admin.get(&format!("/api/v1/templates?limit=70&cursor={cursor}")).await.expect(200);
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| text(item, "id")));
        let Some(next) = page["next"].as_str() else { break };
        next.clone_into(&mut cursor);
    }
    let all: Vec<_> = templates::all().iter().map(|it| it.id.clone()).collect();
    assert_eq!(seen, all);
    t.admin.get("/api/v1/templates?cursor=nope").await.expect_problem(400, "invalid_cursor");
    t.admin.get("/api/v1/templates?limit=201").await.expect_problem(400, "invalid_parameter");
}

async fn a_postback_of_a_template_arrives_as_its_tracker_expects(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let click = t.click_on(&link, "?click_id=tracker-1").await;
    let domain = t.receiver.url("");
    let wanted = [
        (
            "voluum",
            json!({"tracking_domain": domain}),
            "/postback",
            "cid=tracker-1&payout=12.50&txid=order-9&currency=USD&et=",
        ),
        (
            "keitaro",
            json!({"tracking_domain": domain, "postback_key": "k3y"}),
            "/k3y/postback",
            "subid=tracker-1&status=sale&payout=12.50&tid=order-9&currency=USD&from=postrider",
        ),
    ];
    let mut expected = Vec::new();
    for (template, fields, path, query) in wanted {
        let body = json!({"name": template, "template": template, "fields": fields, "firing_status": "approved"});
        let saved = t.admin.post("/api/v1/postbacks", &body).await.expect(201);
        assert_eq!((&saved["template"], &saved["adapter"]), (&json!(template), &json!("macro-url")));
        let read = t.admin.get(&format!("/api/v1/postbacks/{}", text(&saved, "id"))).await.expect(200);
        assert_eq!(read, saved);
        t.receiver.forget(path);
        expected.push((path, query));
    }
    t.conversion(&click).set("transaction_id", json!("order-9")).send().await;
    t.deliver_all().await;

    for (path, query) in expected {
        assert_eq!(t.receiver.only_request(path).query, query);
    }
}

async fn a_tracker_is_not_called_without_its_click_id(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let body = json!({"name": "Voluum", "template": "voluum", "fields": {"tracking_domain": t.receiver.url("")}});
    let id = text(&t.admin.post("/api/v1/postbacks", &body).await.expect(201), "id");
    t.receiver.forget("/postback");
    t.conversion(&click).send().await;
    t.deliver_all().await;

    assert!(t.receiver.requests("/postback").is_empty());
    let delivery = t.only_delivery(&id).await;
    assert_eq!((&delivery["status"], &delivery["reason_code"]), (&json!("cancelled"), &json!("value_missing")));
    let reason = text(&delivery, "reason");
    assert!(
        reason.starts_with("the parameter \"cid\" is required, but the click has no external click id"),
        "{reason}"
    );
    assert_ne!(delivery["settled_at"], Value::Null);
    assert_eq!(delivery["attempts"], json!([]));

    // A second attempt gets the same answer.
    t.admin.post(&format!("/api/v1/deliveries/{}/retry", text(&delivery, "id")), &json!({})).await.expect(202);
    t.deliver_all().await;
    let delivery = t.only_delivery(&id).await;
    assert_eq!((&delivery["status"], &delivery["reason_code"]), (&json!("failed"), &json!("adapter_invalid_event")));
    assert_eq!(text(&delivery, "reason"), reason);
    assert!(t.receiver.requests("/postback").is_empty());
}

async fn a_pasted_url_with_its_parameters_sends_nothing_twice(db: Database) {
    let t = TestApp::start(db).await;
    let pasted = |query: &str| {
        let fields = json!({"postback_url": t.receiver.url(&format!("/conversion.php?aid=1{query}"))});
        json!({"name": "PropellerAds", "template": "propellerads", "fields": fields})
    };
    let saved = t.admin.post("/api/v1/postbacks", &pasted("&visitor_id=${SUBID}&tid=2#x")).await.expect(201);
    assert_eq!(saved["config"]["base_url"], t.receiver.url("/conversion.php?aid=1&tid=2"));
    assert_eq!(t.receiver.only_request("/conversion.php").query, "aid=1&tid=2&visitor_id=test-click");
    let problem = t.admin.post("/api/v1/postbacks", &pasted("&p=${PAYOUT}")).await.expect_problem(422, "invalid_field");
    let message = text(&problem["errors"][0], "message");
    assert!(message.contains("still contains ${PAYOUT}"), "{message}");
}

async fn a_template_says_which_field_is_wrong(db: Database) {
    let t = TestApp::start(db).await;
    let issues = async |template: &str, fields: Value| {
        let body = json!({"name": "x", "template": template, "fields": fields});
        let problem = t.admin.post("/api/v1/postbacks", &body).await.expect_problem(422, "invalid_field");
        let issue = |it: &Value| (text(it, "path"), text(it, "message"));
        problem["errors"].as_array().unwrap().iter().map(issue).collect::<Vec<_>>()
    };

    let missing = issues("voluum", json!({})).await;
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].0, "/fields/tracking_domain");
    assert!(missing[0].1.starts_with("Tracking domain is missing."), "{missing:?}");

    let wrong = issues("voluum", json!({"tracking_domain": "two words", "port": "1"})).await;
    let paths: Vec<_> = wrong.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/fields/port", "/fields/tracking_domain"]);
    assert!(wrong[1].1.contains("Tracking domain does not have the expected form"), "{wrong:?}");

    assert_eq!(issues("no_such", json!({})).await[0].0, "/template");
    assert!(issues("awin", json!({})).await[0].1.contains("/api/v1/sources"));
    assert!(t.receiver.all_requests().is_empty());
}

async fn a_template_or_an_adapter_but_not_both(db: Database) {
    let t = TestApp::start(db).await;
    let fields = json!({"tracking_domain": t.receiver.url("")});
    for (body, path) in [
        (json!({"name": "x", "template": "voluum", "fields": fields, "adapter": "macro-url"}), "/adapter"),
        (json!({"name": "x", "template": "voluum", "fields": fields, "config": {}}), "/config"),
        (json!({"name": "x", "adapter": "macro-url", "config": {}, "fields": fields}), "/fields"),
        (json!({"name": "x", "adapter": "macro-url"}), ""),
        (json!({"name": "x"}), ""),
    ] {
        let problem = t.admin.post("/api/v1/postbacks", &body).await.expect_problem(422, "invalid_field");
        assert_eq!(problem["errors"][0]["path"], path, "{body}");
    }
    // A source that was set up manually has none.
    let id = t.postback("/p").save().await;
    let saved = t.admin.get(&format!("/api/v1/postbacks/{id}")).await.expect(200);
    assert_eq!(saved["template"], Value::Null);
}

async fn a_source_of_a_template_reads_its_network(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let body = json!({"name": "Zcpa", "template": "zcpa"});
    let saved = t.admin.post("/api/v1/sources", &body).await.expect(201);
    assert_eq!(saved["settings"]["statuses"]["11"], "approved");
    let path = url::Url::parse(&text(&saved, "url")).unwrap().path().to_owned();

    // The request of the network, as it fills in the pasted URL.
    let paste = templates::get("zcpa").unwrap().paste.clone().unwrap();
    let called = paste
        .replace("{source_url}", &path)
        .replace("[sub_id1]", &click.id)
        .replace("[price]", "3.25")
        .replace("[status]", "11")
        .replace("[transaction_id]", "Z-1")
        .replace("[currency]", "USD");
    let answer = t.anonymous().get(&called).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "OK"));
    let conversions = t.admin.list(&format!("/api/v1/conversions?click_id={}", click.id)).await;
    assert_eq!(conversions.len(), 1);
    assert_eq!((&conversions[0]["status"], &conversions[0]["transaction_id"]), (&json!("approved"), &json!("Z-1")));
    // The network's payment is the program's revenue; the affiliate earns the offer's payout.
    assert_eq!(conversions[0]["revenue"], json!({"amount": "3.25", "currency": "USD"}));
    assert_eq!(conversions[0]["payout"], json!({"amount": "12.50", "currency": "USD"}));
    let url = text(&saved, "url");
    assert_eq!(
        (&saved["template"], &saved["paste_url"]),
        (&json!("zcpa"), &json!(paste.replace("{source_url}", &url)))
    );
    // The address is shown once; the other settings can be read later.
    let mut read = t.admin.get(&format!("/api/v1/sources/{}", text(&saved, "id"))).await.expect(200);
    assert_eq!((&saved["url_masked"], &read["url_masked"]), (&json!(false), &json!(true)));
    assert!(!read.to_string().contains(url.rsplit_once('/').unwrap().1), "{read}");
    for name in ["url", "url_masked", "paste_url"] {
        read[name] = saved[name].clone();
    }
    assert_eq!(read, saved);

    // A secret of the network guards its source.
    let body = json!({"name": "MaxPPI", "template": "maxppi", "fields": {"security_token": "s3cret-word"}});
    let saved = t.admin.post("/api/v1/sources", &body).await.expect(201);
    let path = url::Url::parse(&text(&saved, "url")).unwrap().path().to_owned();
    let report = async |key: &str| {
        t.anonymous().get(&format!("{path}?click_id={}&txid=M-1&payout=1&key={key}", click.id)).await.status
    };
    assert_eq!((report("guess").await, report("s3cret-word").await), (401, 200));

    for (body, path) in [
        (json!({"name": "x", "template": "maxppi"}), "/fields/security_token"),
        (json!({"name": "x", "template": "voluum"}), "/template"),
        (json!({"name": "x", "template": "zcpa", "adapter": "macro-url"}), "/adapter"),
        (json!({"name": "x"}), ""),
    ] {
        let problem = t.admin.post("/api/v1/sources", &body).await.expect_problem(422, "invalid_field");
        assert_eq!(problem["errors"][0]["path"], path, "{body}");
    }
}

// Helpers.

fn list_for_people() -> String {
    let mut list = String::from(
        "# Networks, trackers, ad platforms and CRMs\n\n\
        The templates of the catalogue (`plugins/templates`); a test generates this list. `GET /api/v1/templates?q=voluum`\n\
        shows a template with its fields and known pitfalls. A template that is not verified is not based on the network's own\n\
        documentation: test it before use.\n",
    );
    for (title, kind) in [
        ("Networks", Kind::Network),
        ("Trackers", Kind::Tracker),
        ("Ad platforms", Kind::AdPlatform),
        ("CRMs, analytics and webhooks", Kind::Crm),
    ] {
        list.push_str(&format!("\n## {title}\n\n| name | id | who calls | verified |\n|---|---|---|---|\n"));
        for it in templates::all().iter().filter(|it| it.kind == kind) {
            let caller = if it.direction == Direction::Outbound { "Postrider" } else { "the network" };
            let verified = if it.verified { "yes" } else { "" };
            list.push_str(&format!("| {} | `{}` | {caller} | {verified} |\n", it.name, it.id));
        }
    }
    list
}

fn placeholders(text: &str) -> BTreeSet<String> {
    let inner = text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}"));
    let name = |name: &&str| {
        name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
    };
    inner.map(|(inner, _)| inner).filter(name).map(str::to_owned).collect()
}
