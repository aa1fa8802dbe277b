//! Messages: neither a mail server outage nor a restart loses one, and the database contains none in plain text.

use std::time::Duration;

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::people::{PASSWORD, token_in};
use postrider_tests::process::Installation;
use postrider_tests::smtp::{MailServer, Security, Taken};
use postrider_tests::wait::eventually;
use serde_json::json;

on_both_databases!(
    a_message_waits_for_its_server_through_a_restart,
    a_message_is_given_up_after_a_day,
    a_mailbox_that_does_not_exist_is_not_tried_again,
    a_link_that_would_have_expired_is_not_sent,
    a_kill_loses_no_message,
    messages_go_through_tls,
    a_link_in_a_file_can_be_copied,
);

/// Without a mail server, people read the files themselves.
async fn a_link_in_a_file_can_be_copied(db: Database) {
    let t = TestApp::start(db).await;
    let body = json!({"email": "zofie@example.com", "name": "Žofie Müller & Søn", "role": "support"});
    let invited = t.admin.post("/api/v1/users", &body).await.expect(201);
    let link = text(&invited, "invitation_url");
    let file = eventually("the file to be written", async || {
        let folder = std::fs::read_dir(t.data_dir().join("mail")).ok()?;
        let mut paths = folder.flatten().map(|entry| entry.path());
        let path = paths.find(|path| path.extension().is_some_and(|it| it == "eml"))?;
        std::fs::read_to_string(path).ok()
    })
    .await;
    assert!(file.lines().any(|line| line == link), "{link} is not a line of:\n{file}");
    assert!(file.contains("Žofie Müller & Søn"), "{file}");
}

async fn first(server: &MailServer) -> Taken {
    eventually("the message to be taken", async || server.taken().into_iter().next()).await
}

async fn attempts(server: &MailServer, wanted: usize) {
    eventually("an attempt", async || (server.attempts() >= wanted).then_some(())).await;
}

async fn outbox_is_empty(t: &TestApp) {
    eventually("the outbox to be empty", async || (t.database.count("mails").await == 0).then_some(())).await;
}

/// Somebody gets a message; returns the token of its link.
async fn invite(t: &TestApp) -> String {
    let body = json!({"email": "grace@example.com", "name": "Grace", "role": "support"});
    token_in(&text(&t.admin.post("/api/v1/users", &body).await.expect(201), "invitation_url"))
}

async fn a_message_waits_for_its_server_through_a_restart(db: Database) {
    let server = MailServer::start(Security::Plain).await;
    server.refuse(Some("451 4.3.0 later"));
    let url = format!("smtp://{}", server.host());
    let mut t = TestApp::start_with(db, |settings| {
        settings.smtp_url = Some(url);
        settings.mail_from = Some("Program <no-reply@program.example>".to_owned());
    })
    .await;
    let token = invite(&t).await;
    attempts(&server, 1).await;
    assert!(!t.database.contains("mails", &token).await, "it is sealed");
    t.restart_with(|_| {}).await;
    server.refuse(None);
    t.advance(Duration::from_secs(150));
    let taken = first(&server).await;
    assert_eq!((taken.recipient.as_str(), taken.encrypted), ("grace@example.com", false));
    let message = taken.data.replace("=\r\n", "").replace("=3D", "=");
    for header in ["Subject: You are invited", "From: Program <no-reply@program.example>", "Message-ID: <mai_"] {
        assert!(message.contains(header), "{header}: {message}");
    }
    outbox_is_empty(&t).await;
    t.set_password(&token_in(&message), PASSWORD).await.expect(200);
    assert_eq!(server.taken().len(), 1);
}

async fn a_message_is_given_up_after_a_day(db: Database) {
    let server = MailServer::start(Security::Plain).await;
    // The configured password for the server may be wrong, and can be corrected, so the message is retried.
    server.refuse(Some("535 5.7.8 who are you"));
    let url = format!("smtp://{}", server.host());
    let t = TestApp::start_with(db, |settings| settings.smtp_url = Some(url)).await;
    invite(&t).await;
    let noted = "SELECT CAST(max(attempts) AS bigint) FROM mails";
    for hour in 1..=22 {
        attempts(&server, hour).await;
        // The time of the next attempt counts from the moment at which this one is stored.
        eventually("it to be noted", async || (t.database.number(noted).await == hour as i64).then_some(())).await;
        t.advance(Duration::from_secs(3_600));
    }
    attempts(&server, 23).await;
    assert_eq!(t.database.count("mails").await, 1, "it is still tried");
    t.advance(Duration::from_secs(3_600));
    outbox_is_empty(&t).await;
    assert_eq!(server.taken().len(), 0);
}

async fn a_mailbox_that_does_not_exist_is_not_tried_again(db: Database) {
    let server = MailServer::start(Security::Plain).await;
    server.refuse(Some("550 5.1.1 nobody here"));
    let url = format!("smtp://{}", server.host());
    let t = TestApp::start_with(db, |settings| settings.smtp_url = Some(url)).await;
    invite(&t).await;
    attempts(&server, 1).await;
    outbox_is_empty(&t).await;
    assert_eq!(server.attempts(), 1);
}

async fn a_link_that_would_have_expired_is_not_sent(db: Database) {
    let server = MailServer::start(Security::Plain).await;
    let url = format!("smtp://{}", server.host());
    let t = TestApp::start_with(db, |settings| settings.smtp_url = Some(url)).await;
    let person = t.person("support").await;
    eventually("the invitation", async || (server.taken().len() == 1).then_some(())).await;
    outbox_is_empty(&t).await;
    server.refuse(Some("451 4.3.0 later"));
    t.anonymous().post("/api/v1/auth/reset", &json!({"email": person.email})).await.expect(202);
    attempts(&server, 2).await;
    server.refuse(None);
    t.advance(Duration::from_secs(3_600));
    outbox_is_empty(&t).await;
    assert_eq!(server.taken().len(), 1, "a link for a new password is good for an hour");
}

async fn a_kill_loses_no_message(db: Database) {
    let server = MailServer::start(Security::Plain).await;
    server.refuse(Some("451 4.3.0 later"));
    let url = format!("smtp://{}", server.host());
    let installation = Installation::new(db)
        .with("POSTRIDER_SMTP_URL", &url)
        .with("POSTRIDER_LEASE_SECS", "2")
        .with("POSTRIDER_REQUEST_TIMEOUT_MS", "1500");
    let process = installation.start().await;
    let anonymous = process.client.with_key(None);
    for n in 0..8 {
        let email = format!("person-{n}@example.com");
        let body = json!({"email": email, "name": "Grace", "role": "support"});
        process.client.post("/api/v1/users", &body).await.expect(201);
        anonymous.post("/api/v1/auth/reset", &json!({"email": email})).await.expect(202);
    }
    process.kill_9();
    server.refuse(None);
    let _process = installation.start().await;
    eventually("all messages", async || {
        let taken = server.taken();
        let got = |n: usize, subject: &str| {
            taken.iter().any(|it| it.recipient == format!("person-{n}@example.com") && it.data.contains(subject))
        };
        (0..8).all(|n| got(n, "You are invited") && got(n, "Choose a new password")).then_some(())
    })
    .await;
}

async fn messages_go_through_tls(db: Database) {
    let certificate = MailServer::certificate();
    let mut installation = Installation::new(db);
    for (security, scheme, query) in [(Security::Implicit, "smtps", ""), (Security::StartTls, "smtp", "?tls=required")]
    {
        let server = MailServer::start(security).await;
        let url = format!("{scheme}://{}{query}", server.host());
        let trusting = [("POSTRIDER_SMTP_URL", url.as_str()), ("SSL_CERT_FILE", certificate.to_str().unwrap())];
        let process = installation.start_with(&trusting).await;
        let email = format!("{scheme}@example.com");
        let body = json!({"email": email, "name": "Grace", "role": "support"});
        process.client.post("/api/v1/users", &body).await.expect(201);
        let taken = first(&server).await;
        assert_eq!((taken.recipient, taken.encrypted), (email, true), "{security:?}");
        // If the process is killed before this is stored, the message is sent again.
        let rows = async || installation.database.count("mails").await;
        eventually("the outbox to be empty", async || (rows().await == 0).then_some(())).await;
        drop(process);
    }
    // A link is never sent over a connection that other people can read.
    let stranger = MailServer::start(Security::Implicit).await;
    let url = format!("smtps://{}", stranger.host());
    installation = installation.with("POSTRIDER_SMTP_URL", &url);
    let process = installation.start().await;
    let body = json!({"email": "eve@example.com", "name": "Eve", "role": "support"});
    process.client.post("/api/v1/users", &body).await.expect(201);
    eventually("the certificate to be refused", async || installation.log().contains("tried again").then_some(()))
        .await;
    assert_eq!(stranger.attempts(), 0);
    let plain = MailServer::start(Security::Plain).await;
    drop(process);
    let url = format!("smtp://{}?tls=required", plain.host());
    let process = installation.start_with(&[("POSTRIDER_SMTP_URL", &url)]).await;
    let body = json!({"email": "bob@example.com", "name": "Bob", "role": "support"});
    process.client.post("/api/v1/users", &body).await.expect(201);
    let tried = "SELECT CAST(min(attempts) AS bigint) FROM mails";
    let refused = async || (installation.database.number(tried).await >= 1).then_some(());
    eventually("the missing TLS to be refused", refused).await;
    assert_eq!(installation.database.count("mails").await, 2, "both wait for a server that can be trusted");
    assert_eq!(plain.attempts(), 0);
}
