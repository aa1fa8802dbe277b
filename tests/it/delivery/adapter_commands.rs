//! `postrider adapter …`: the tutorial is followed literally, and mistakes are reported in plain sentences.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use postrider_tests::database::Database;
use postrider_tests::documents::blocks;
use postrider_tests::process::{ADMIN_KEY, Installation, program};
use serde_json::json;

const TUTORIAL: &str = include_str!("../../../docs/adapters.md");

/// A folder of the checkout, so that the commands find its SDK. Compiled code is kept for the next run.
struct Desk {
    folder: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Desk {
    fn new(name: &str) -> Desk {
        Self::within(Path::new(env!("CARGO_TARGET_TMPDIR")), name)
    }

    fn within(folder: &Path, name: &str) -> Desk {
        let path = folder.join(format!("adapter-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("the build folder is ours");
        Desk { folder: path, environment: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs shell commands as a reader of the tutorial would.
    fn shell(&self, folder: &str, commands: &str) -> Output {
        let folder_of_program = program().parent().expect("it is in a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash");
        shell
            .args(["-euc", commands])
            .current_dir(self.path(folder))
            .env("PATH", format!("{}:{path}", folder_of_program.display()))
            .env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"))
            // Rust's standard library is compiled once for all runs.
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("adapters"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("POSTRIDER_")) {
            shell.env_remove(name);
        }
        // tests/run compiles with a wrapper.
        shell.env_remove("RUSTC_WORKSPACE_WRAPPER");
        shell.envs(self.environment.iter().map(|(name, value)| (*name, value)));
        shell.output().expect("bash runs")
    }

    /// Runs commands that must succeed; returns their output.
    fn succeed(&self, folder: &str, commands: &str) -> String {
        let output = self.shell(folder, commands);
        let text = told(&output);
        assert!(output.status.success(), "{commands}\n{text}");
        text
    }

    fn fail(&self, folder: &str, commands: &str) -> String {
        let output = self.shell(folder, commands);
        let text = told(&output);
        assert!(!output.status.success(), "{commands}\n{text}");
        text
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn told(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

/// The contents of a console block: commands after "$ ", which can span several lines, and their output.
fn console(text: &str) -> (String, Vec<&str>) {
    let (mut commands, mut printed) = (String::new(), Vec::new());
    let mut continues = false;
    for line in text.lines() {
        let command = line.strip_prefix("$ ").or(continues.then_some(line));
        let Some(command) = command else {
            printed.push(line);
            continue;
        };
        commands += command;
        commands += "\n";
        // After a backslash, or within a quotation.
        continues = command.ends_with('\\') || commands.matches('\'').count() % 2 == 1;
    }
    (commands, printed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tutorial_works_as_it_is_written() {
    let installation = Installation::new(Database::sqlite());
    let server = installation.start().await;
    let mut desk = Desk::new("tutorial");
    desk.environment.push(("POSTRIDER_ADMIN_API_KEY", ADMIN_KEY.to_owned()));
    tokio::task::block_in_place(|| follow_the_tutorial(&desk, &server.url));

    let postbacks = server.client.list("/api/v1/postbacks").await;
    assert_eq!(postbacks.len(), 1, "{postbacks:?}");
    let pinned = (&postbacks[0]["adapter"], &postbacks[0]["adapter_version"]);
    assert_eq!(pinned, (&json!("acme"), &json!("0.2.0")), "it was moved to the next version");
    let acme = server.client.get("/api/v1/adapters/acme").await.expect(200);
    let states: BTreeMap<&str, &str> = acme["versions"]
        .as_array()
        .expect("versions")
        .iter()
        .map(|it| (it["version"].as_str().expect("a version"), it["status"].as_str().expect("a state")))
        .collect();
    assert_eq!(states, BTreeMap::from([("0.1.0", "active"), ("0.2.0", "active")]));
}

fn follow_the_tutorial(desk: &Desk, url: &str) {
    // The tutorial's server has the default address.
    let here = |commands: &str| {
        let commands = commands.replace("http://127.0.0.1:8080", url);
        let told = ["install", "list", "upgrade", "disable", "enable"].into_iter().fold(commands, |text, command| {
            let command = format!("postrider adapter {command}");
            text.replace(&command, &format!("{command} --url {url}"))
        });
        assert!(!told.contains(":8080"), "{told}");
        told
    };
    let mut folder = "";
    let mut printed = String::new();
    for block in blocks(TUTORIAL) {
        let text = block.text.as_str();
        match block.info.split_once(" title=") {
            Some((_, file)) => std::fs::write(desk.path("acme").join(file), text).expect("the adapter is ours"),
            None if block.info == "sh" => {
                printed += &desk.succeed(folder, text);
                if text.contains("cd acme\n") {
                    folder = "acme";
                }
            }
            None if block.info == "rust" => {
                let scaffolded = std::fs::read_to_string(desk.path("acme/src/lib.rs")).expect("it was made");
                assert_eq!(text, scaffolded, "the tutorial shows what `new` writes");
            }
            // The output of the last command; only the time differs.
            None if block.info == "text" => {
                for line in text.lines().filter(|line| !line.starts_with("time") && !line.starts_with("fuel")) {
                    assert!(printed.contains(line), "not printed: {line}\n{printed}");
                }
            }
            None => {
                assert_eq!(block.info, "console", "the test knows what to do with this block");
                let (commands, wanted) = console(text);
                if commands.contains("upgrade acme --to 0.2.0\n") {
                    desk.succeed(folder, "sed -i 's/^version = \"0.1.0\"/version = \"0.2.0\"/' Cargo.toml");
                    desk.succeed(folder, &here("postrider adapter build\npostrider adapter install dist/acme.wasm"));
                }
                // curl succeeds for any status of the answer.
                let told = desk.succeed(folder, &here(&commands).replace("curl -s", "curl -sS --fail-with-body"));
                wanted.iter().for_each(|line| assert!(told.contains(line), "not printed: {line}\n{told}"));
            }
        }
    }
    desk.succeed(folder, &here("postrider adapter disable acme 0.2.0\npostrider adapter enable acme 0.2.0"));
    for expected in ["3 passed, 0 failed", "3 passed, 1 updated, 0 failed", "4 passed, 0 failed", "acme 0.1.0: Acme"] {
        assert!(printed.contains(expected), "{expected} is missing in\n{printed}");
    }
    let updated = std::fs::read_to_string(desk.path("acme/cases/approved.json")).expect("it is there");
    let url = "https://postback.acme.example/conversion?account=17&click=test-click&status=paid&payout=12.50";
    assert!(updated.contains(url), "{updated}");

    // An unexpected result fails, and the output names its position.
    std::fs::write(desk.path("acme/cases/approved.json"), updated.replace("12.50", "13")).expect("it is ours");
    let failed = desk.fail("acme", "postrider adapter test");
    for line in ["FAILED   approved.json", "at /ok/url", "payout=13", "payout=12.50", "3 passed, 1 failed"] {
        assert!(failed.contains(line), "{line} is missing in\n{failed}");
    }
    desk.fail("acme", "postrider adapter run cases/approved.json");
    // Nothing listens there; the error does not mention stack traces or libraries.
    let refused = desk.fail("acme", "postrider adapter install dist/acme.wasm --key none --url http://127.0.0.1:9");
    assert!(refused.contains("no server answers at http://127.0.0.1:9"), "{refused}");
}

#[test]
fn a_panic_is_shown_with_its_message() {
    let desk = Desk::new("panic");
    desk.succeed("", "postrider adapter new panicking");
    let source = desk.path("panicking/src/lib.rs");
    let text = std::fs::read_to_string(&source).expect("it was made");
    let text =
        text.replace("let missing =", "assert!(config.account_id != \"13\", \"unlucky\");\n        let missing =");
    std::fs::write(&source, text).expect("it is ours");
    let case = desk.path("panicking/cases/approved.json");
    let text = std::fs::read_to_string(&case).expect("it was made").replace("\"17\"", "\"13\"");
    std::fs::write(&case, text).expect("it is ours");

    desk.succeed("panicking", "postrider adapter build");
    let failed = desk.fail("panicking", "postrider adapter test --update");

    assert!(failed.contains("unlucky") && failed.contains("adapter_trap"), "{failed}");
    let kept = std::fs::read_to_string(&case).expect("it is there");
    assert!(kept.contains("payout=12.50"), "a crash is never what is expected: {kept}");
}

#[test]
fn mistakes_are_reported_before_anything_is_written() {
    let desk = Desk::new("mistakes");
    for slug in ["Acme", "acme_ads", "../acme", "fn", "7net", "postrider-x"] {
        let told = desk.fail("", &format!("postrider adapter new '{slug}'"));
        assert!(told.contains("such as acme-ads"), "{told}");
    }
    assert_eq!(std::fs::read_dir(desk.path("")).expect("it is there").count(), 0);
    std::fs::create_dir(desk.path("acme")).expect("it is ours");
    let told = desk.fail("", "postrider adapter new acme");
    assert!(told.contains("acme exists already"), "{told}");
    let told = desk.fail("", "postrider adapter new other --sdk /no/such/sdk");
    assert!(told.contains("neither a folder"), "{told}");
    for command in ["build", "check", "test"] {
        let told = desk.fail("", &format!("postrider adapter {command} acme"));
        assert!(told.contains("acme has no Cargo.toml"), "{told}");
    }
}

#[test]
fn outside_a_checkout_the_sdk_must_be_named() {
    let mut desk = Desk::within(&std::env::temp_dir(), "outside");
    desk.environment.push(("CARGO_NET_OFFLINE", "true".to_owned()));
    let told = desk.fail("", "postrider adapter new acme");
    assert!(told.contains("on no registry") && told.contains("new acme --sdk <folder>"), "{told}");
    assert_eq!(std::fs::read_dir(desk.path("")).expect("it is there").count(), 0);

    desk.succeed("", "postrider adapter new acme --sdk 0.1.0\nsed -i '/^serde/d' acme/Cargo.toml");
    let told = desk.fail("acme", "postrider adapter build");
    assert!(told.contains("on no registry") && told.contains("--sdk <folder>"), "{told}");

    desk.succeed("", &format!("postrider adapter new other --sdk {}/../sdk", env!("CARGO_MANIFEST_DIR")));
}

#[test]
fn an_invalid_component_is_refused_with_a_reason() {
    let desk = Desk::new("check");
    let core = [0, b'a', b's', b'm', 1, 0, 0, 0];
    let files: [(&str, &[u8], &str); 4] = [
        ("core.wasm", &core, "a core WebAssembly module"),
        ("text.wasm", b"(component)", "WebAssembly text"),
        ("empty.wasm", b"", "not WebAssembly"),
        ("large.wasm", &[0; (4 << 20) + 1], "4,194,305 bytes, 4,194,304 are allowed"),
    ];
    for (name, bytes, reason) in files {
        std::fs::write(desk.path(name), bytes).expect("it is ours");
        let told = desk.fail("", &format!("postrider adapter check {name}"));
        assert!(told.contains(reason), "{name}: {told}");
    }
    let told = desk.fail("", "postrider adapter check no-such.wasm");
    assert!(told.contains("no-such.wasm can't be read"), "{told}");
}
