//! Installed adapters: refused or accepted, run, failing and upgraded, without access to secrets.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use host::Host;
use host::limits::CompileLimits;
use postrider_tests::app::{Click, TestApp};
use postrider_tests::client::{Answer, text};
use postrider_tests::database::Database;
use postrider_tests::guest::{Guest, LOG_A_LINE, LOG_CONFIG, LOGGED};
use postrider_tests::on_both_databases;
use postrider_tests::process::adapter_cache;
use postrider_tests::receiver::Reply;
use postrider_tests::wait::eventually;
use serde_json::{Value, json};

on_both_databases!(
    an_adapter_made_without_the_sdk_delivers_and_is_in_the_log,
    an_invalid_adapter_is_refused_with_the_reason,
    a_version_never_changes_its_bytes,
    only_admins_install_and_everybody_sees_the_data_for_a_form,
    an_adapter_that_keeps_failing_goes_out_of_service_and_its_deliveries_wait,
    an_adapter_that_loops_does_not_delay_others,
    an_adapter_that_keeps_failing_at_clicks_goes_out_of_service_and_no_click_is_lost,
    one_owners_faults_do_not_stop_another_owners_deliveries,
    deliveries_of_a_disabled_version_wait_and_are_judged_when_they_go_on,
    the_log_of_an_adapter_is_shown_with_the_attempt,
    a_secret_reaches_the_destination_and_nobody_else,
    a_masked_secret_is_kept_and_not_sent_to_another_host,
    a_request_is_signed_by_standard_webhooks,
    an_upgrade_is_shown_before_it_is_made,
    a_delay_within_an_adapters_bounds_is_optional,
);

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const MASKED: &str = "••••LaSw";

async fn postback_with(t: &TestApp, path: &str, changes: Value) -> Answer {
    let mut body = json!({
        "name": "Guest",
        "adapter": "guest",
        "config": {"key": SECRET, "url": t.receiver.url(path)},
        "firing_status": "approved",
    });
    for (name, value) in changes.as_object().expect("changes are an object") {
        body[name] = value.clone();
    }
    t.admin.post("/api/v1/postbacks", &body).await
}

/// A postback of the adapter "guest" to this path; returns its id.
async fn postback(t: &TestApp, path: &str) -> String {
    let id = text(&postback_with(t, path, json!({})).await.expect(201), "id");
    t.receiver.forget(path);
    id
}

async fn convert(t: &TestApp, click: &Click, times: usize) {
    for _ in 0..times {
        t.tick();
        t.conversion(click).send().await;
    }
}

async fn version(t: &TestApp, version: &str) -> Value {
    let adapter = t.admin.get("/api/v1/adapters/guest").await.expect(200);
    let versions = adapter["versions"].as_array().expect("versions");
    versions.iter().find(|it| it["version"] == version).unwrap_or_else(|| panic!("no {version} in {adapter}")).clone()
}

/// The adapter is not written in Rust and does not use the SDK: a module written by hand, wrapped by the contract alone.
async fn an_adapter_made_without_the_sdk_delivers_and_is_in_the_log(db: Database) {
    let mut t = TestApp::start_with_compiler(db).await;
    let click = t.click().await;
    let installed = t.install(Guest::default().component()).await.expect(201);
    assert_eq!((&installed["id"], &installed["version"]), (&json!("guest"), &json!("1.0.0")));
    assert_eq!((&installed["origin"], &installed["status"]), (&json!("installed"), &json!("active")));
    let id = postback(&t, "/p").await;

    t.conversion(&click).send().await;
    t.deliver_all().await;
    let delivery = t.only_delivery(&id).await;
    assert_eq!(delivery["status"], "success");
    let attempt = &delivery["attempts"][0];
    assert_eq!((&attempt["method"], &attempt["url"]), (&json!("POST"), &json!(t.receiver.url("/p"))), "{attempt}");
    assert_eq!(t.receiver.only_request("/p").method, "POST");

    // It exists after a restart, even if the cache is empty.
    std::fs::remove_dir_all(t.data_dir().join("compiled-adapters")).expect("it is ours");
    t.restart_with(|_| {}).await;
    t.receiver.forget("/p");
    t.conversion(&click).send().await;
    t.deliver_all().await;
    t.receiver.only_request("/p");
}

async fn an_invalid_adapter_is_refused_with_the_reason(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    let wasi = wat::parse_str(
        r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance (export "now" (func (result u64))))))"#,
    )
    .expect("it is right");
    let guest = Guest::default();
    let no_schema = Guest { schema: "{\"type\": 7}", ..guest.clone() };
    let doubling = Guest { schema: doubling_schema(12).leak(), ..guest.clone() };
    let look_around = Guest { schema: r#"{"properties": {"key": {"pattern": "^(?=a)a$"}}}"#, ..guest.clone() };
    let bad_id = Guest { id: "Not An Id", ..guest.clone() };
    let start = Guest { extra: "(start $forever) (func $forever (loop br 0))".into(), ..guest.clone() };
    let truncated = guest.component()[..500].to_vec();
    for (name, wasm, status, code, says) in [
        ("text", b"(component)".to_vec(), 422, "adapter_not_a_component", "WebAssembly text"),
        ("a module", wat::parse_str("(module)").unwrap(), 422, "adapter_not_a_component", "a core WebAssembly module"),
        ("compiled", precompiled(), 422, "adapter_not_a_component", "precompiled machine code"),
        ("nothing", Vec::new(), 422, "adapter_not_a_component", "not WebAssembly"),
        ("WASI", wasi, 422, "adapter_import_refused", "wasi:clocks/wall-clock@0.2.0"),
        ("no exports", wat::parse_str("(component)").unwrap(), 422, "adapter_contract_mismatch", "contract 0.1"),
        ("half of one", truncated, 422, "adapter_cut_off", "ends after 500 bytes"),
        ("a bad schema", no_schema.component(), 422, "adapter_invalid_descriptor", "JSON Schema"),
        ("a schema that doubles", doubling.component(), 422, "adapter_invalid_descriptor", "too complex"),
        ("a look-around", look_around.component(), 422, "adapter_invalid_descriptor", "JSON Schema"),
        ("a bad id", bad_id.component(), 422, "adapter_invalid_descriptor", "id"),
        ("an endless start", start.component(), 422, "adapter_out_of_fuel", "start"),
        ("too large", vec![0; (4 << 20) + 1], 413, "adapter_too_large", "4194304"),
    ] {
        let problem = t.install(wasm).await.expect_problem(status, code);
        assert!(text(&problem, "detail").contains(says), "{name}: {problem}");
    }
    assert!(t.admin.get("/api/v1/adapters/guest").await.status == 404, "nothing was installed");
}

/// Definitions of which each refers twice to the next: 2 to the power of `depth` comparisons for one value.
fn doubling_schema(depth: usize) -> String {
    let mut definitions: serde_json::Map<String, Value> = (0..depth)
        .map(|at| {
            let below = json!({"$ref": format!("#/$defs/d{}", at + 1)});
            (format!("d{at}"), json!({"anyOf": [below, below]}))
        })
        .collect();
    definitions.insert(format!("d{depth}"), json!({"type": "string"}));
    json!({"type": "object", "anyOf": [{"$ref": "#/$defs/d0"}], "$defs": definitions}).to_string()
}

/// Components of an allowed size that are expensive to compile. The limits are a fraction of the usual ones, to keep the
/// test cheap; the error message proves that they stopped the child process.
#[test]
fn a_compile_bomb_is_stopped_in_the_child() {
    // The time limits are generous, because elapsed and computing time depend on the machine and its load.
    let usual = CompileLimits { cpu_secs: 600, time: Duration::from_secs(1800), ..CompileLimits::default() };
    let short = CompileLimits { cpu_secs: 1, ..usual };
    let narrow = CompileLimits { memory_bytes: 512 << 20, ..usual };
    let small = CompileLimits { file_bytes: 4 << 10, ..usual };
    // (a, b) -> a / b / b / b …: each division can trap, and therefore splits its block.
    let divisions = [b"\0\x20\0".to_vec(), b"\x20\x01\x6d".repeat(1_390_000), vec![0x0b]].concat();
    let divisions = bomb(b"\x60\x02\x7f\x7f\x01\x7f", 1, &divisions);
    let empty_functions = bomb(b"\x60\0\0", 1_000_000, b"\0\x0b");
    for (name, wasm) in [("one long function", &divisions), ("a million functions", &empty_functions)] {
        assert!((3 << 20..4 << 20).contains(&wasm.len()), "{name}: {} bytes", wasm.len());
        for (limits, says) in [(short, "1 seconds of computing"), (narrow, "512 MiB of memory")] {
            let error = compiling(limits).load_untrusted(wasm).err().expect("it is stopped");
            assert_eq!(error.code(), "adapter_compile_too_costly", "{name}: {error}");
            assert!(error.to_string().contains(says), "{name}: {error}");
        }
    }
    let good = Guest { id: "good", ..Guest::default() }.component();
    let error = compiling(small).load_untrusted(&not_in_the_cache(&good)).err().expect("it is stopped");
    assert!(error.to_string().contains("4 KiB of compiled code"), "{error}");

    // The usual limits are sufficient for a good adapter: the largest built-in one, compiled like an installed one.
    let host = compiling(usual);
    let built_in = host.built_in().iter().max_by_key(|it| it.wasm.len()).expect("there are some");
    let loaded = host.load_untrusted(&not_in_the_cache(built_in.wasm)).expect("it compiles");
    assert_eq!(loaded.descriptor(), built_in.adapter.descriptor());
}

/// The same component with a unique custom section.
fn not_in_the_cache(wasm: &[u8]) -> Vec<u8> {
    let name = format!("{:016x}", rand::random::<u64>());
    [wasm.to_vec(), section(0, &[number(name.len()), name.into_bytes()].concat())].concat()
}

/// A host whose built-in adapters are already compiled.
fn compiling(limits: CompileLimits) -> Host {
    let program = Some(postrider_tests::process::program().to_owned());
    Host::start_with_compiler(&adapter_cache(), program, limits).expect("the host starts")
}

/// A component of one module with this number of functions of this type and body.
fn bomb(kind: &[u8], functions: usize, body: &[u8]) -> Vec<u8> {
    let kinds = [&[1], kind].concat();
    let declared = [number(functions), vec![0; functions]].concat();
    let body = [number(body.len()), body.to_vec()].concat();
    let code = [number(functions), body.repeat(functions)].concat();
    let module = [b"\0asm\x01\0\0\0".to_vec(), section(1, &kinds), section(3, &declared), section(10, &code)].concat();
    [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &module)].concat()
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], number(content.len()), content.to_vec()].concat()
}

/// LEB128.
fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// The first bytes of machine code.
fn precompiled() -> Vec<u8> {
    let folder = postrider_tests::temp::TempDir::new("compiled");
    let folder = folder.path().join("private");
    postrider_tests::process::copy_built_in(&folder);
    let file = std::fs::read_dir(&folder).expect("it exists").next().expect("a file").expect("readable").path();
    std::fs::read(file).expect("readable").split_off(32)
}

async fn a_version_never_changes_its_bytes(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    let first = t.install(Guest::default().component()).await.expect(201);
    let again = t.install(Guest::default().component()).await.expect(200);
    assert_eq!(again, first);
    let other = Guest { method: 0, ..Guest::default() };
    t.install(other.component()).await.expect_problem(409, "adapter_version_taken");
    assert_eq!(version(&t, "1.0.0").await["digest"], first["digest"]);
}

async fn only_admins_install_and_everybody_sees_the_data_for_a_form(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let client = &affiliate.client;
    let request = client.request(reqwest::Method::POST, "/api/v1/adapters").body(Guest::default().component());
    client.send(request).await.expect_problem(403, "forbidden");
    for path in
        ["/api/v1/adapters/macro-url/versions/0.1.0/disable", "/api/v1/adapters/macro-url/versions/0.1.0/enable"]
    {
        client.post(path, &json!({})).await.expect_problem(403, "forbidden");
    }
    client.post("/api/v1/adapters/macro-url/upgrade", &json!({"to": "9"})).await.expect_problem(403, "forbidden");

    let listed = client.list("/api/v1/adapters").await;
    assert!(listed.iter().any(|it| it["id"] == "macro-url"), "{listed:?}");
    let adapter = client.get("/api/v1/adapters/macro-url").await.expect(200);
    let descriptor = &adapter["descriptor"];
    assert_eq!((&adapter["latest"], &adapter["versions"][0]["origin"]), (&descriptor["version"], &json!("built_in")));
    assert_eq!(descriptor["config_schema"]["type"], "object");
    assert_eq!(descriptor["capabilities"]["outbound"], true);
    assert!(
        descriptor["macros"]
            .as_array()
            .is_some_and(|it| it.iter().any(|it| text(it, "token").trim_matches(['{', '}']) == "payout"))
    );
    assert!(descriptor["rules"]["actions"].as_array().is_some_and(|it| it.contains(&json!("conversion"))));
    client.get("/api/v1/adapters/nope").await.expect_problem(404, "not_found");
    t.admin.post("/api/v1/adapters/macro-url/versions/9/enable", &json!({})).await.expect_problem(404, "not_found");
}

/// Traps unless the attempt is a test.
const TRAP_WHEN_REAL: &str = "(if (i32.eqz (i32.load8_u offset=12 (local.get 0))) (then unreachable))";

async fn an_adapter_that_keeps_failing_goes_out_of_service_and_its_deliveries_wait(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    let click = t.click().await;
    t.install(Guest { before_render: TRAP_WHEN_REAL, ..Guest::default() }.component()).await.expect(201);
    let id = postback(&t, "/p").await;
    let bystander = t.postback("/other").save().await;

    convert(&t, &click, 12).await;
    t.deliver_all().await;

    // The batch that stores the faults may do so after the deliveries are stored.
    let guest = eventually("the version to be out of service", async || {
        let guest = version(&t, "1.0.0").await;
        (guest["status"] == "out_of_service").then_some(guest)
    })
    .await;
    assert!(text(&guest, "reason").contains("faults in a row"), "{guest}");
    let ready = t.anonymous().get("/readyz").await.expect(200);
    assert_eq!(ready["adapters_out_of_service"], 1, "{ready}");
    assert_eq!(t.deliveries(&bystander).await.iter().filter(|it| it["status"] == "success").count(), 12);

    t.tick();
    t.conversion(&click).send().await;
    t.deliver_all().await;
    let newest = t.deliveries(&id).await.pop().expect("a delivery");
    assert_eq!((&newest["status"], &newest["reason_code"]), (&json!("pending"), &json!("adapter_out_of_service")));
    assert_eq!(newest["attempts"], json!([]), "waiting uses up no attempt");

    // It waits without a limit, and continues with a working version.
    t.advance(Duration::from_secs(90));
    t.deliver_all().await;
    assert_eq!(t.deliveries(&id).await.pop().expect("a delivery")["reason_code"], "adapter_out_of_service");
    t.install(Guest { version: "1.0.1", ..Guest::default() }.component()).await.expect(201);
    let upgrade = json!({"to": "1.0.1", "dry_run": false});
    let moved = t.admin.post("/api/v1/adapters/guest/upgrade", &upgrade).await.expect(200);
    assert_eq!(moved["postbacks"][0]["moved"], true, "{moved}");
    let record = t.admin.list("/api/v1/audit?operation=upgrade_adapter").await.remove(0);
    let change = json!({"field": format!("{id}.adapter_version"), "from": "1.0.0", "to": "1.0.1"});
    assert!(record["changes"].as_array().unwrap().contains(&change), "{record}");
    t.advance(Duration::from_secs(90));
    t.deliver_all().await;
    assert_eq!(t.deliveries(&id).await.pop().expect("a delivery")["status"], "success");
}

async fn an_adapter_that_keeps_failing_at_clicks_goes_out_of_service_and_no_click_is_lost(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    // Adds sid=sid to the sample of a click, which has no address, and traps on clicks of visitors, which have one.
    let decorate = "(if (i32.load8_u offset=92 (local.get 0)) (then unreachable)) i32.const 53248";
    let field = r#"(data (i32.const 53248) "\00\00\00\00\10\d0\00\00\01\00\00\00")
        (data (i32.const 53264) "\20\d0\00\00\03\00\00\00\20\d0\00\00\03\00\00\00")
        (data (i32.const 53280) "sid")"#;
    let guest = Guest { inbound: true, decorates: true, decorate, extra: field.into(), ..Guest::default() };
    t.install(guest.component()).await.expect(201);
    let config = json!({"key": SECRET, "url": t.receiver.url("/unused")});
    let source = json!({"name": "Guest", "adapter": "guest", "config": config});
    let saved = t.admin.post("/api/v1/sources", &source).await.expect(201);
    assert_eq!(saved["decorates_clicks"], true, "{saved}");
    let link = t.any_link().await;

    for _ in 0..10 {
        assert_eq!(version(&t, "1.0.0").await["status"], "active");
        t.click_on(&link, "").await;
    }

    let guest = version(&t, "1.0.0").await;
    assert_eq!(guest["status"], "out_of_service", "{guest}");
    assert!(text(&guest, "reason").contains("decorate-click"), "{guest}");
    t.click_on(&link, "").await;
    assert_eq!(t.database.count("clicks").await, 11, "each visitor got to the landing page, and each click is there");
}

/// Runs forever unless the attempt is a test.
const LOOP_WHEN_REAL: &str = "(if (i32.eqz (i32.load8_u offset=12 (local.get 0))) (then (loop br 0)))";

async fn an_adapter_that_loops_does_not_delay_others(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    let (looping, good) = (t.click().await, t.click().await);
    t.install(Guest { before_render: LOOP_WHEN_REAL, ..Guest::default() }.component()).await.expect(201);
    let scope = |click: &Click| json!({"affiliate_id": null, "offer_id": click.link.offer});
    let saved = postback_with(&t, "/never", json!({"scope": scope(&looping)})).await.expect(201);
    t.receiver.forget("/never");
    let other = t.postback("/good").scope(None, Some(&good.link.offer)).save().await;
    t.receiver.forget("/good");

    convert(&t, &looping, 5).await;
    convert(&t, &good, 50).await;
    t.deliver_all().await;

    assert_eq!(t.receiver.requests("/good").len(), 50);
    assert!(t.deliveries(&other).await.iter().all(|it| it["status"] == "success"));
    assert!(t.receiver.requests("/never").is_empty());
    let stopped = t.deliveries(&text(&saved, "id")).await;
    assert_eq!(stopped.len(), 5);
    for delivery in stopped {
        let delivery = t.admin.get(&format!("/api/v1/deliveries/{}", text(&delivery, "id"))).await.expect(200);
        // On a very busy machine, the time limit is reached first.
        let shown = delivery.to_string();
        assert!(shown.contains("adapter_out_of_fuel") || shown.contains("adapter_timeout"), "{shown}");
    }
    assert_eq!(version(&t, "1.0.0").await["status"], "active", "five faults are not yet ten");
}

async fn one_owners_faults_do_not_stop_another_owners_deliveries(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    let (mine, theirs) = (t.click().await, t.click().await);
    // Traps on a URL that ends in x.
    let trap = "(if (i32.eq (i32.load8_u (i32.sub (i32.add (i32.load offset=32 (local.get 0))
        (i32.load offset=36 (local.get 0))) (i32.const 3))) (i32.const 120))
        (then (if (i32.eqz (i32.load8_u offset=12 (local.get 0))) (then unreachable))))";
    t.install(Guest { before_render: trap, ..Guest::default() }.component()).await.expect(201);
    for (click, path) in [(&mine, "/good"), (&theirs, "/x")] {
        let body = json!({"name": "Guest", "adapter": "guest", "config": {"key": SECRET, "url": t.receiver.url(path)}});
        click.link.affiliate.client.post("/api/v1/postbacks", &body).await.expect(201);
        t.receiver.forget(path);
    }
    convert(&t, &theirs, 25).await;
    t.deliver_all().await;
    convert(&t, &mine, 1).await;
    t.deliver_all().await;
    t.receiver.only_request("/good");
    assert_eq!(version(&t, "1.0.0").await["status"], "active");
}

async fn deliveries_of_a_disabled_version_wait_and_are_judged_when_they_go_on(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    let click = t.click().await;
    // Skips every event except a test.
    let skip = "(i32.store8 offset=8 (i32.const 36864) (i32.const 2)) i32.const 36864";
    t.install(Guest { decide: skip, ..Guest::default() }.component()).await.expect(201);
    t.install(Guest { id: "other", ..Guest::default() }.component()).await.expect(201);
    let skipping = postback(&t, "/skipping").await;
    let body = json!({"adapter": "other"});
    let sending = text(&postback_with(&t, "/sending", body).await.expect(201), "id");
    t.receiver.forget("/sending");
    for id in ["guest", "other"] {
        let path = format!("/api/v1/adapters/{id}/versions/1.0.0");
        let disabled = t.admin.post(&format!("{path}/disable"), &json!({})).await.expect(200);
        assert_eq!(disabled["status"], "disabled");
    }
    postback_with(&t, "/p", json!({})).await.expect_problem(422, "unknown_adapter");

    t.conversion(&click).send().await;
    t.deliver_all().await;
    for id in [&skipping, &sending] {
        let delivery = t.only_delivery(id).await;
        assert_eq!((&delivery["status"], &delivery["reason_code"]), (&json!("pending"), &json!("adapter_disabled")));
    }

    for id in ["guest", "other"] {
        t.admin.post(&format!("/api/v1/adapters/{id}/versions/1.0.0/enable"), &json!({})).await.expect(200);
    }
    t.advance(Duration::from_secs(61));
    t.deliver_all().await;
    assert_eq!(t.only_delivery(&sending).await["status"], "success");
    let skipped = t.only_delivery(&skipping).await;
    assert_eq!((&skipped["status"], &skipped["reason_code"]), (&json!("cancelled"), &json!("adapter_skipped")));
    assert!(t.receiver.requests("/skipping").is_empty());
}

async fn the_log_of_an_adapter_is_shown_with_the_attempt(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    let click = t.click().await;
    let before_render = format!("{LOG_A_LINE} {LOG_CONFIG}").leak();
    t.install(Guest { before_render, ..Guest::default() }.component()).await.expect(201);
    let id = postback(&t, "/p").await;
    t.conversion(&click).send().await;
    t.deliver_all().await;
    let delivery = t.only_delivery(&id).await;
    let log = &delivery["attempts"][0]["adapter_log"];
    assert_eq!(log[0], json!({"level": "info", "message": LOGGED}));
    let config = format!(r#"{{"key":"***","url":"{}"}}"#, t.receiver.url("/p"));
    assert_eq!(log[1], json!({"level": "debug", "message": config}), "not even the placeholder is shown");
}

async fn a_secret_reaches_the_destination_and_nobody_else(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    let click = t.click().await;
    t.install(Guest::default().component()).await.expect(201);
    // The destination quotes the request.
    t.receiver.always("/p", Reply::body(200, format!("welcome {SECRET}")));
    let saved = postback_with(&t, "/p", json!({})).await.expect(201);
    assert_eq!(saved["config"]["key"], MASKED);
    let id = text(&saved, "id");
    t.receiver.forget("/p");
    t.conversion(&click).send().await;
    t.deliver_all().await;

    let received = t.receiver.only_request("/p");
    assert_eq!(received.header("x-key"), Some(SECRET));
    let sent: Value = serde_json::from_str(&received.body).expect("JSON");
    assert_eq!(sent, json!({"key": SECRET, "url": t.receiver.url("/p")}));
    let path = format!("/api/v1/postbacks/{id}");
    let delivery = t.only_delivery(&id).await;
    assert_eq!(delivery["status"], "success", "{delivery}");
    assert_eq!(delivery["attempts"][0]["response_body"], "welcome ***");
    for shown in [
        delivery,
        t.admin.get(&path).await.expect(200),
        json!(t.admin.list("/api/v1/postbacks").await),
        t.admin.post(&format!("{path}/test"), &json!({})).await.expect(200),
    ] {
        let shown = shown.to_string();
        assert!(!shown.contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2La") && !shown.contains("$sealed"), "{shown}");
    }
    let refused = json!({"config": {"key": {"$sealed": "x"}, "url": t.receiver.url("/p")}});
    postback_with(&t, "/p", refused).await.expect_problem(422, "invalid_config");
}

async fn a_masked_secret_is_kept_and_not_sent_to_another_host(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    t.install(Guest::default().component()).await.expect(201);
    let id = postback(&t, "/p").await;
    let path = format!("/api/v1/postbacks/{id}");
    let change = |key: &str, url: &str| json!({"config": {"key": key, "url": url}});

    let kept = t.admin.patch(&path, &change(MASKED, &t.receiver.url("/q"))).await.expect(200);
    assert_eq!(kept["config"]["key"], MASKED);
    assert_eq!(t.receiver.only_request("/q").header("x-key"), Some(SECRET));

    // Permission to change a postback must not reveal its secret.
    let elsewhere = t.receiver.url("/stolen").replace("127.0.0.1", "localhost");
    let problem = t.admin.patch(&path, &change(MASKED, &elsewhere)).await.expect_problem(422, "secret_host_refused");
    assert!(text(&problem, "detail").contains("localhost"), "{problem}");
    assert!(t.receiver.requests("/stolen").is_empty());
    let problem = t.admin.patch(&path, &change("••••abcd", &t.receiver.url("/q"))).await;
    assert_eq!(problem.expect_problem(422, "invalid_config")["errors"][0]["path"], "/config/key");

    let renewed = t.admin.patch(&path, &change("another-secret-1", &t.receiver.url("/r"))).await.expect(200);
    assert_eq!(renewed["config"]["key"], "••••et-1");
    assert_eq!(t.receiver.only_request("/r").header("x-key"), Some("another-secret-1"));
}

async fn a_request_is_signed_by_standard_webhooks(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    let click = t.click().await;
    t.install(Guest { signs: true, ..Guest::default() }.component()).await.expect(201);
    let id = postback(&t, "/p").await;
    t.conversion(&click).send().await;
    t.deliver_all().await;
    let received = t.receiver.only_request("/p");
    let header = |name: &str| received.header(name).unwrap_or_else(|| panic!("no {name}")).to_owned();
    assert_eq!(header("webhook-id"), text(&t.only_delivery(&id).await, "id"));
    assert_eq!(header("webhook-timestamp"), "1773144000");
    let key = BASE64.decode(SECRET.strip_prefix("whsec_").expect("its prefix")).expect("base64");
    let mut signature = <Hmac<sha2::Sha256> as Mac>::new_from_slice(&key).expect("any length");
    signature.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
    signature.update(received.body.as_bytes());
    let wanted = format!("v1,{}", BASE64.encode(signature.finalize().into_bytes()));
    assert_eq!(header("webhook-signature"), wanted);
}

async fn an_upgrade_is_shown_before_it_is_made(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    let click = t.click().await;
    t.install(Guest::default().component()).await.expect(201);
    let id = postback(&t, "/p").await;
    convert(&t, &click, 3).await;
    t.deliver_all().await;
    let strict = r#"{"type": "object", "properties": {"url": {"type": "string", "pattern": "^https://"},
        "key": {"type": "string", "writeOnly": true}}}"#;
    t.install(Guest { version: "1.1.0", ..Guest::default() }.component()).await.expect(201);
    t.install(Guest { version: "1.2.0", method: 0, ..Guest::default() }.component()).await.expect(201);
    t.install(Guest { version: "2.0.0", schema: strict, ..Guest::default() }.component()).await.expect(201);
    let upgrade = async |to: &str, dry_run: bool| {
        let body = json!({"to": to, "dry_run": dry_run});
        let mut answer = t.admin.post("/api/v1/adapters/guest/upgrade", &body).await.expect(200);
        answer["postbacks"][0].take()
    };

    let same = upgrade("1.1.0", true).await;
    assert_eq!((&same["result"], &same["compared"], &same["moved"]), (&json!("ok"), &json!(3), &json!(false)));
    let differs = upgrade("1.2.0", true).await;
    assert_eq!((&differs["result"], &differs["different"]), (&json!("differs"), &json!(3)), "{differs}");
    let first = &differs["first_difference"];
    assert_eq!((&first["what"], &first["before"], &first["after"]), (&json!("method"), &json!("POST"), &json!("GET")));
    let invalid = upgrade("2.0.0", false).await;
    assert_eq!((&invalid["result"], &invalid["moved"]), (&json!("invalid"), &json!(false)), "{invalid}");
    assert_eq!(invalid["issues"][0]["path"], "/config/url");
    let pinned = async || t.admin.get(&format!("/api/v1/postbacks/{id}")).await.expect(200)["adapter_version"].clone();
    assert_eq!(pinned().await, "1.0.0", "nothing has moved");

    assert_eq!(upgrade("1.2.0", false).await["moved"], true);
    assert_eq!(pinned().await, "1.2.0");
    t.receiver.forget("/p");
    convert(&t, &click, 1).await;
    t.deliver_all().await;
    assert_eq!(t.receiver.only_request("/p").method, "GET");
    t.admin.post("/api/v1/adapters/guest/upgrade", &json!({"to": "7"})).await.expect_problem(404, "not_found");
    // A new postback gets the newest version, and a changed one keeps its pinned version.
    t.admin.patch(&format!("/api/v1/postbacks/{id}"), &json!({"name": "renamed"})).await.expect(200);
    assert_eq!(pinned().await, "1.2.0");
}

async fn a_delay_within_an_adapters_bounds_is_optional(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    t.install(Guest { min_delay_ms: 120_000, ..Guest::default() }.component()).await.expect(201);
    postback_with(&t, "/p", json!({})).await.expect(201);
    for (value, unit) in [(2, "minutes"), (120, "seconds"), (24, "hours")] {
        postback_with(&t, "/p", json!({"delay": {"value": value, "unit": unit}})).await.expect(201);
    }
    for (value, unit, says) in [
        (119, "seconds", "this adapter waits at least 2 minutes; send a delay of 2 minutes or more"),
        (25, "hours", "this adapter waits at most 24 hours; send a delay of 24 hours or less"),
    ] {
        let answer = postback_with(&t, "/p", json!({"delay": {"value": value, "unit": unit}})).await;
        assert_eq!(answer.expect_problem(422, "invalid_rule")["errors"][0]["message"], says);
    }
}
