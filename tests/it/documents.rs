//! The documents tell the truth: every command of every page runs, and so do the snippets for receivers.

use std::path::Path;
use std::process::Command;

use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::documents::{blocks_of, document, documents, section, shell};
use postrider_tests::people::token_in;
use postrider_tests::process::{ADMIN_KEY, Installation};
use postrider_tests::receiver::Receiver;
use postrider_tests::wait::eventually;
use serde_json::{Value, json};

/// The pages with shell commands, the number of their blocks, and the test that runs them.
const PAGES: [(&str, usize, &str); 8] = [
    // The first block is the demo, which `operation/demo.rs` runs.
    ("README.md", 7, "the_first_five_minutes_work, commands_of_the_api_run"),
    ("docs/adapters.md", 3, "delivery/adapter_commands.rs"),
    ("docs/finding.md", 1, "commands_of_the_api_run"),
    ("docs/integrating.md", 2, "the_receiver_of_the_guide_starts, a_test_conversion_is_sent_as_described"),
    // PostgreSQL's own programs are not run.
    ("docs/operating.md", 4, "a_backup_is_restored_as_described"),
    ("docs/people.md", 3, "commands_of_the_api_run, the_first_owner_signs_in_as_described"),
    ("docs/sources.md", 3, "commands_of_the_api_run"),
    // It needs root and Docker.
    ("packaging/README.md", 4, "packaging/check"),
];

#[test]
fn every_page_with_commands_has_a_test() {
    let found: Vec<(String, usize)> = documents()
        .into_iter()
        .map(|path| (path.clone(), blocks_of(&document(&path), "sh").len()))
        .filter(|(_, count)| *count > 0)
        .collect();
    let expected: Vec<_> = PAGES.iter().map(|(path, count, _)| ((*path).to_owned(), *count)).collect();
    assert_eq!(found, expected, "run new blocks in a test, and count them here");
}

/// Runs commands that must succeed; returns their output.
fn run(folder: &Path, commands: &str, environment: &[(&str, String)]) -> String {
    let output = tokio::task::block_in_place(|| shell(folder, commands, environment));
    let told = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{commands}\n{told}");
    told
}

/// The definitions of the README that other pages use too: the key and the function `api`.
fn definitions(url: &str) -> String {
    let readme = document("README.md");
    let blocks = blocks_of(section(&readme, "## The first five minutes"), "sh");
    let lines: Vec<&str> = blocks[2].lines().filter(|it| it.starts_with("export ") || it.contains("() {")).collect();
    assert_eq!(lines.len(), 3, "the key, api and field");
    lines.join("\n").replace("http://127.0.0.1:8080", url) + "\n"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_five_minutes_work() {
    let readme = document("README.md");
    let blocks = blocks_of(section(&readme, "## The first five minutes"), "sh");
    let [server_block, receiver_block, set_up, sale] = blocks.as_slice() else { panic!("four blocks") };
    let commands = |block: &str| -> Vec<String> {
        block.lines().map(|line| line.split('#').next().expect("a part").trim().to_owned()).collect()
    };
    let of_server = commands(server_block);
    let [key, egress, start] = of_server.as_slice() else { panic!("{server_block}") };
    assert_eq!(
        (start.as_str(), commands(receiver_block)),
        ("cargo run --release", vec!["cargo run --release -- receiver".to_owned()])
    );
    let setting = |line: &str| {
        let (name, value) = line.strip_prefix("export ").expect("a setting").split_once('=').expect("a value");
        (name.to_owned(), value.to_owned())
    };
    let settings = [setting(key), setting(egress)];
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();

    let installation = Installation::new(Database::empty_sqlite());
    let server = installation.start_with(&settings).await;
    let receiver = installation.start_receiver(&[]).await;
    let here =
        |text: &str| text.replace("http://127.0.0.1:8080", &server.url).replace("http://127.0.0.1:8081", &receiver.url);
    let told = run(installation.data_dir(), &here(&format!("{set_up}\n{sale}")), &[]);

    assert!(!told.contains("\"status\":4"), "no command is refused:\n{told}");
    eventually("the postback to arrive", async || {
        let log = installation.log();
        (log.contains("clickid = my-click-1") && log.contains("payout = 12.50")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_the_api_run() {
    let installation = Installation::new(Database::sqlite());
    let server = installation.start_with(&[("POSTRIDER_ADMIN_API_KEY", "choose-a-long-random-key")]).await;
    let admin = server.client.with_key(Some("choose-a-long-random-key"));
    let ada = json!({"name": "Ada", "email": "ada@example.com"});
    admin.post("/api/v1/affiliates", &ada).await.expect(201);
    let sources = admin.get("/api/v1/sources").await.expect(200);
    let own = text(&sources["items"][0], "id");
    let shop =
        json!({"name": "Pro", "landing_url": "https://shop.example/", "currency": "USD", "payout": {"fixed": "12.50"}});
    let offer = text(&admin.post("/api/v1/offers", &shop).await.expect(201), "id");

    let (readme, guide) = (document("README.md"), document("docs/sources.md"));
    let catalogue = blocks_of(section(&readme, "## Connect a network"), "sh");
    let (finding, people) = (document("docs/finding.md"), document("docs/people.md"));
    let buyers = blocks_of(section(&people, "## The data of buyers"), "sh");
    let all = [catalogue, blocks_of(&guide, "sh"), blocks_of(&finding, "sh"), buyers].concat();
    assert_eq!(all.len(), 7);
    for block in all {
        // The example's tracker does not exist, so it cannot accept the test request.
        let is_refused = block.contains("track.example.com");
        let told = run(
            installation.data_dir(),
            &(definitions(&server.url) + &block.replace("src_…", &own).replace("ofr_…", &offer)),
            &[],
        );
        let is_problem = |line: &&str| serde_json::from_str::<Value>(line).is_ok_and(|it| it["title"].is_string());
        let problems: Vec<_> =
            told.lines().filter(is_problem).filter(|it| !is_refused || !it.contains("verification_failed")).collect();
        assert_eq!(problems, [""; 0], "{block}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receiver_of_the_guide_starts() {
    let guide = document("docs/integrating.md");
    let blocks = blocks_of(&guide, "sh");
    let block = &blocks[0];
    let words: Vec<&str> = block.split_whitespace().collect();
    assert_eq!(words[..2], ["postrider", "receiver"]);
    let receiver = Installation::new(Database::empty_sqlite());
    let receiver = receiver.start_receiver(&words[2..]).await;
    assert_eq!(receiver.client.get("/fail").await.status, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_conversion_is_sent_as_described() {
    let installation = Installation::new(Database::sqlite());
    let server = installation.start_with(&[("POSTRIDER_ADMIN_API_KEY", "choose-a-long-random-key")]).await;
    let admin = server.client.with_key(Some("choose-a-long-random-key"));
    let ada = json!({"name": "Ada", "email": "ada@example.com"});
    let affiliate = admin.post("/api/v1/affiliates", &ada).await.expect(201);
    let offer =
        json!({"name": "Pro", "landing_url": "https://shop.example/", "currency": "USD", "payout": {"fixed": "12.50"}});
    let offer = admin.post("/api/v1/offers", &offer).await.expect(201);
    let link = json!({"affiliate_id": affiliate["id"], "offer_id": offer["id"]});
    let link = admin.post("/api/v1/links", &link).await.expect(201);
    let link = url::Url::parse(&text(&link, "url")).expect("an absolute URL");
    let visit = server.client.with_key(None).get(&format!("{}?click_id=my-click-1", link.path())).await;
    assert_eq!(visit.status, 302, "{}", visit.text);

    let guide = document("docs/integrating.md");
    let commands = definitions(&server.url) + &blocks_of(&guide, "sh")[1];
    let told = run(installation.data_dir(), &commands, &[]);

    assert!(told.contains("\"transaction_id\":\"test-1\"") && told.contains("\"test\":true"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_restored_as_described() {
    let guide = document("docs/operating.md");
    let blocks = blocks_of(&guide, "sh");
    let installation = Installation::new(Database::sqlite());
    let environment = [
        ("DATABASE_URL", installation.database.url()),
        ("POSTRIDER_DATA_DIR", installation.data_dir().display().to_string()),
    ];
    let backups = installation.data_dir().join("backups");
    std::fs::create_dir(&backups).expect("the folder is ours");
    // systemd starts and stops the server of a package; here the test does.
    let commands = |block: &str| {
        let block = block.replace("/backups/", &format!("{}/", backups.display()));
        let lines: Vec<&str> = block.lines().filter(|line| !line.starts_with("systemctl ")).collect();
        assert!(lines.iter().all(|line| line.starts_with("postrider ")), "{block}");
        lines.join("\n")
    };
    let mut server = installation.start().await;
    let affiliate = json!({"name": "Ada", "email": "ada@example.com"});
    server.client.post("/api/v1/affiliates", &affiliate).await.expect(201);
    run(installation.data_dir(), &commands(&blocks[0]), &environment);
    let affiliate = json!({"name": "Bob", "email": "bob@example.com"});
    server.client.post("/api/v1/affiliates", &affiliate).await.expect(201);
    server.terminate();
    assert!(server.wait().await.success());
    run(installation.data_dir(), &commands(&blocks[1]), &environment);

    let server = installation.start().await;
    assert_eq!(server.client.list("/api/v1/affiliates").await.len(), 1, "the state of the backup");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_owner_signs_in_as_described() {
    let guide = document("docs/people.md");
    let blocks = blocks_of(&guide, "sh");
    let installation = Installation::new(Database::sqlite());
    let server = installation.start().await;
    let environment = [
        ("DATABASE_URL", installation.database.url()),
        ("POSTRIDER_DATA_DIR", installation.data_dir().display().to_string()),
        ("POSTRIDER_ADMIN_API_KEY", ADMIN_KEY.to_owned()),
        ("SITE", server.url.clone()),
    ];
    let told = run(installation.data_dir(), &blocks[1], &environment);
    let commands = blocks[2].replace("\"token\": \"…\"", &format!("\"token\": \"{}\"", token_in(&told)));
    let commands = commands.replace("curl ", "curl -sS --fail-with-body ");
    let told = run(installation.data_dir(), &commands, &environment);
    assert!(told.contains("\"owner\""), "{told}");
}

/// A snippet of the guide, and the program that calls it. The caller gets the secret, the headers as JSON and the body.
const SNIPPETS: [(&str, &str, &str, &str); 3] = [
    (
        "python",
        "python3",
        "py",
        "\nimport json, sys\nprint(verify(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3].encode()))\n",
    ),
    (
        "javascript",
        "node",
        "cjs",
        "\nconst [, , secret, headers, body] = process.argv;\nconsole.log(verify(secret, JSON.parse(headers), body));\n",
    ),
    (
        "php",
        "php",
        "php",
        "\necho var_export(verify($argv[1], json_decode($argv[2], true), $argv[3]), true), \"\\n\";\n",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_snippets_verify_a_signature() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let installation = Installation::new(Database::sqlite());
    let (server, receiver) = (installation.start().await, Receiver::start().await);
    let postback = json!({
        "name": "Signed", "adapter": "crm-json", "firing_status": "any",
        "config": {"url": receiver.url("/hook"), "body": "{\"name\": {{json customer_name}}}", "signing_secrets": [secret]},
    });
    server.client.post("/api/v1/postbacks", &postback).await.expect(201);
    let request = receiver.only_request("/hook");
    let header = |name: &str| (name.to_owned(), json!(request.header(name).expect("it is signed")));
    let headers = |time: Option<&str>| {
        let mut headers: serde_json::Map<_, _> =
            ["webhook-id", "webhook-timestamp", "webhook-signature"].map(header).into_iter().collect();
        if let Some(time) = time {
            headers.insert("webhook-timestamp".to_owned(), json!(time));
        }
        Value::Object(headers).to_string()
    };

    let guide = document("docs/integrating.md");
    for (language, program, ending, caller) in SNIPPETS {
        let snippets = blocks_of(&guide, language);
        let [snippet] = snippets.as_slice() else { panic!("one snippet in {language}") };
        let file = installation.data_dir().join(format!("verify.{ending}"));
        std::fs::write(&file, format!("{snippet}{caller}")).expect("the folder is ours");
        let verify = |secret: &str, headers: &str, body: &str| {
            let output = Command::new(program).arg(&file).args([secret, headers, body]).output().ok()?;
            let told = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
            Some(told.trim().to_lowercase())
        };
        let Some(valid) = verify(secret, &headers(None), &request.body) else {
            eprintln!("{program} is not installed; its snippet was not run");
            continue;
        };
        assert_eq!(valid, "true", "{language}");
        for (secret, headers, body) in [
            ("whsec_b3RoZXI=", headers(None), request.body.as_str()),
            (secret, headers(None), "{}"),
            (secret, headers(Some("1614265330")), request.body.as_str()),
        ] {
            assert_eq!(verify(secret, &headers, body).as_deref(), Some("false"), "{language}");
        }
    }
}
