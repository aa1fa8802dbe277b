//! Countries by address: from a file of the operator, which is read again when it changes.

use std::path::Path;
use std::time::Duration;

use postrider_tests::app::{TestApp, click_id_in};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::temp::TempDir;
use postrider_tests::wait::eventually;
use serde_json::json;

on_both_databases!(a_click_has_its_country);

/// A MaxMind DB (specification 2.0) in which every IPv4 address that starts with the bits of `network` has
/// this country, and no other address has one.
fn country_file(network: [u8; 3], country: &str) -> Vec<u8> {
    let bits: Vec<bool> = network.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
    let nodes = bits.len() as u32;
    let mut file = Vec::new();
    for (index, right) in bits.iter().enumerate() {
        let next = if index + 1 == bits.len() { nodes + 16 } else { index as u32 + 1 };
        let pair = if *right { [nodes, next] } else { [next, nodes] };
        pair.iter().for_each(|record| file.extend_from_slice(&record.to_be_bytes()[1..]));
    }
    file.extend_from_slice(&[0; 16]);
    map(&mut file, 1);
    string(&mut file, "country");
    map(&mut file, 1);
    string(&mut file, "iso_code");
    string(&mut file, country);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    map(&mut file, 9);
    for (name, kind, value) in [
        ("node_count", 6, u64::from(nodes)),
        ("record_size", 5, 24),
        ("ip_version", 5, 4),
        ("binary_format_major_version", 5, 2),
        ("binary_format_minor_version", 5, 0),
    ] {
        string(&mut file, name);
        number(&mut file, kind, value);
    }
    string(&mut file, "build_epoch");
    file.extend_from_slice(&[0x08, 0x02]); // A number of 64 bits, which needs no bytes for zero.
    file.splice(file.len() - 2.., [0x01, 0x02, 1]);
    string(&mut file, "database_type");
    string(&mut file, "Test-Country");
    string(&mut file, "languages");
    file.extend_from_slice(&[0x00, 0x04]); // An empty array.
    string(&mut file, "description");
    map(&mut file, 0);
    file
}

fn map(file: &mut Vec<u8>, entries: u8) {
    file.push(7 << 5 | entries);
}

fn string(file: &mut Vec<u8>, text: &str) {
    assert!(text.len() < 29, "longer ones are written otherwise");
    file.push(2 << 5 | text.len() as u8);
    file.extend_from_slice(text.as_bytes());
}

fn number(file: &mut Vec<u8>, kind: u8, value: u64) {
    let bytes: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    file.push(kind << 5 | bytes.len() as u8);
    file.extend(bytes);
}

fn replace(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(&new, path).unwrap();
}

async fn a_click_has_its_country(db: Database) {
    let dir = TempDir::new("geoip");
    let path = dir.path().join("countries.mmdb");
    replace(&path, &country_file([198, 51, 100], "DE"));
    let t = TestApp::start_with(db, |settings| {
        settings.geoip_database = Some(path.clone());
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    let link = t.any_link().await;
    let country_of = async |address: &str| {
        let request = t.anonymous().request(reqwest::Method::GET, &link.path).header("x-forwarded-for", address);
        let id = click_id_in(&t.anonymous().send(request.header("user-agent", crate::reports::PHONE)).await);
        t.admin.get(&format!("/api/v1/clicks/{id}")).await.expect(200)["country"].clone()
    };
    assert_eq!(country_of("198.51.100.7").await, "DE");
    assert_eq!(country_of("203.0.113.9").await, json!(null));
    assert_eq!(country_of("2001:db8::1").await, json!(null));

    let report = t.admin.get("/api/v1/reports?group_by=country&country=DE").await.expect(200);
    assert_eq!(report["rows"][0]["keys"][0]["value"], "DE");
    assert_eq!(report["totals"]["clicks"], 1);

    // A broken file changes nothing; a new file is read within half a minute.
    replace(&path, b"nonsense");
    t.advance(Duration::from_secs(30));
    assert_eq!(country_of("198.51.100.8").await, "DE");
    replace(&path, &country_file([203, 0, 113], "PL"));
    eventually("the new file to be read", async || {
        t.advance(Duration::from_secs(30));
        (country_of("203.0.113.9").await == "PL").then_some(())
    })
    .await;
    assert_eq!(country_of("198.51.100.9").await, json!(null));
    // Adapters receive it too.
    let postback = t.postback("/p").action("click").firing("any").parameters(&[("c", "country")]).save().await;
    country_of("203.0.113.9").await;
    t.deliver_all().await;
    assert!(!postback.is_empty());
    assert_eq!(t.receiver.only_request("/p").parameter("c"), "PL");
}
