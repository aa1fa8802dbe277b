//! Signatures and encrypted bodies of networks, with the templates that set them up.

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockEncryptMut, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha512};

use super::*;

on_both_databases!(
    a_hash_over_parameters_is_checked_if_its_secret_is_set,
    a_signature_of_the_whole_address_is_checked,
    an_encrypted_body_is_read_with_the_secret_of_its_source,
    a_token_may_be_in_a_header,
);

async fn a_hash_over_parameters_is_checked_if_its_secret_is_set(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let body = json!({"name": "x", "template": "digistore24_ipn", "fields": {"secret": "s3cret-word"}});
    let saved = t.admin.post("/api/v1/sources", &body).await.expect(201);
    assert_eq!(saved["settings"]["guards"]["hash"]["secret"], "••••••••");
    let source = Source::of(&t, &t.admin, &saved);
    let sent = async |transaction: &str, signature: &str| {
        let click = &click.id;
        let form = format!(
            "custom={click}&transaction_id={transaction}&event=on_payment&amount_brutto=49.00&currency=USD&empty=&sha_sign={signature}"
        );
        let request = source.network.request(Method::POST, &source.path);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        source.network.send(request).await.status
    };
    let signed = |transaction: &str| {
        let click = &click.id;
        let pairs = [
            ("amount_brutto", "49.00"),
            ("currency", "USD"),
            ("custom", click),
            ("event", "on_payment"),
            ("transaction_id", transaction),
        ];
        let text: String = pairs.iter().map(|(name, value)| format!("{name}={value}s3cret-word")).collect();
        Sha512::digest(text).iter().map(|byte| format!("{byte:02X}")).collect::<String>()
    };
    assert_eq!(sent("t-1", &signed("t-2")).await, 401);
    assert_outcome(&source.last().await, "refused", "signature_wrong");
    assert_eq!(sent("t-1", "").await, 401);
    assert_outcome(&source.last().await, "refused", "signature_missing");
    assert_eq!(sent("t-1", &signed("t-1")).await, 200);
    assert_outcome(&source.last().await, "accepted", "");

    // An address that repeats the key of the source changes nothing in what was signed.
    let key = source.path.rsplit('/').next().unwrap().to_owned();
    assert_eq!(sent(&format!("t-{key}"), &signed(&format!("t-{key}"))).await, 200);
    assert_outcome(&source.last().await, "accepted", "");
    // The signature of one report does not admit a second one beside it.
    let one = json!({"custom": click.id, "transaction_id": "t-1", "event": "on_payment", "amount_brutto": "49.00",
        "currency": "USD", "sha_sign": signed("t-1")});
    let forged =
        json!({"custom": click.id, "transaction_id": "forged", "event": "on_payment", "amount_brutto": "9999.00"});
    let request = source.network.request(Method::POST, &source.path).json(&json!([one, forged]));
    assert_eq!(source.network.send(request).await.status, 401);
    assert_outcome(&source.last().await, "refused", "signature_wrong");

    let patched = source.patch(json!({"fields": {"secret": null}})).await.expect(200);
    assert_eq!(patched["settings"]["guards"]["hash"], Value::Null);
    assert_eq!(sent("t-2", "").await, 200, "no signature is checked any more");
    let patched = source.patch(json!({"fields": {"secret": "s3cret-word"}})).await.expect(200);
    assert_eq!(patched["settings"]["guards"]["hash"]["text"], "{each}");
    assert_eq!(sent("t-3", "00").await, 401);
    let guards = json!({"hash": {"text": "{sub}", "each": null}});
    let problem = source.patch(json!({"settings": {"guards": guards}})).await.expect_problem(422, "invalid_field");
    assert_eq!(problem["errors"][0]["path"], "/settings/guards/hash/text");
}

async fn a_signature_of_the_whole_address_is_checked(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let body = json!({"name": "x", "template": "bitlabs", "fields": {"secret": "s3cret-word"}});
    let saved = t.admin.post("/api/v1/sources", &body).await.expect(201);
    let (address, source) = (text(&saved, "url"), Source::of(&t, &t.admin, &saved));
    let sign = |text: &str, secret: &str| {
        let mut hmac = <Hmac<Sha1> as Mac>::new_from_slice(secret.as_bytes()).expect("any length");
        hmac.update(text.as_bytes());
        hmac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let query = |kind: &str, transaction: &str, of: &str| {
        format!("click_id={}&txid={transaction}&payout=1.50&status={kind}&ref={of}", click.id)
    };
    let sent = async |query: &str, hash: &str| {
        t.tick();
        let request = source.network.request(Method::GET, &format!("{}?{query}&hash={hash}", source.path));
        source.network.send(request).await.status
    };
    let complete = query("COMPLETE", "t-1", "");
    assert_eq!(sent(&complete, &sign(&format!("{address}?{complete}"), "another-word")).await, 401);
    assert_outcome(&source.last().await, "refused", "signature_wrong");
    // This refused request cannot be replayed: only its arrival knew the address.
    let refused = text(&source.last().await, "id");
    let replayed = t.admin.post(&format!("/api/v1/inbound-requests/{refused}/replay"), &json!({})).await.expect(200);
    assert_outcome(&replayed, "refused", "signature_wrong");

    assert_eq!(sent(&complete, &sign(&format!("{address}?{complete}"), "s3cret-word")).await, 200);
    assert_outcome(&source.last().await, "accepted", "");
    // A reconciliation has an id of its own and refers to the sale.
    let reversal = query("RECONCILIATION", "t-2", "t-1");
    assert_eq!(sent(&reversal, &sign(&format!("{address}?{reversal}"), "s3cret-word")).await, 200);
    assert_eq!(only_conversion(&t, &click).await["status"], "rejected");
    // What a disabled source refused was signed, and is used when the source is enabled again.
    source.patch(json!({"enabled": false})).await.expect(200);
    let later = query("COMPLETE", "t-4", "");
    assert_eq!(sent(&later, &sign(&format!("{address}?{later}"), "s3cret-word")).await, 403);
    let refused = source.last().await;
    assert!(refused["request"]["headers"].as_array().unwrap().iter().all(|it| it["name"] != "postrider-signed-url"));
    source.patch(json!({"enabled": true})).await.expect(200);
    let refused = text(&refused, "id");
    let replayed = t.admin.post(&format!("/api/v1/inbound-requests/{refused}/replay"), &json!({})).await.expect(200);
    assert_outcome(&replayed, "accepted", "");
    // Parameters hidden in the signature are not signed.
    let signature = sign(&format!("{address}?{complete}"), "s3cret-word");
    assert_eq!(sent(&complete, &format!("{signature}?payout=99&txid=t-5")).await, 401);
    // What waits is admitted again without its address.
    let unknown = query("SOMETHING", "t-3", "");
    assert_eq!(sent(&unknown, &sign(&format!("{address}?{unknown}"), "s3cret-word")).await, 200);
    assert_outcome(&source.last().await, "waiting", "unknown_status");
    source.patch(json!({"settings": {"statuses": {"something": "approved"}}})).await.expect(200);
    t.deliver_all().await;
    assert_outcome(&source.last().await, "accepted", "");
}

async fn an_encrypted_body_is_read_with_the_secret_of_its_source(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let body = json!({"name": "x", "template": "clickbank_ins", "fields": {"secret": "CLICKBANKKEY"}});
    let saved = t.admin.post("/api/v1/sources", &body).await.expect(201);
    assert_eq!(saved["settings"]["guards"]["encryption"]["secret"], "••••••••");
    let problem = source_with_token_and_encryption(&t).await;
    assert_eq!(problem["errors"][0]["path"], "/settings/guards/encryption");
    let source = Source::of(&t, &t.admin, &saved);
    let encrypted = |kind: &str, iv: [u8; 16]| {
        let plain = json!({
            "receipt": "VBVWEMXE", "transactionType": kind, "totalAccountAmount": 21.33, "currency": "EUR",
            "trackingCodes": [click.id],
        });
        let key: String = Sha1::digest("CLICKBANKKEY").iter().map(|byte| format!("{byte:02x}")).collect();
        let cipher = cbc::Encryptor::<Aes256>::new_from_slices(&key.as_bytes()[..32], &iv).expect("32 and 16 bytes");
        let notification = BASE64.encode(cipher.encrypt_padded_vec_mut::<Pkcs7>(plain.to_string().as_bytes()));
        json!({"notification": notification, "iv": BASE64.encode(iv)})
    };
    let sent = async |body: &Value| {
        t.tick();
        let request = source.network.request(Method::POST, &source.path).json(body);
        source.network.send(request).await.status
    };
    assert_eq!(sent(&encrypted("SALE", [1; 16])).await, 200);
    assert_outcome(&source.last().await, "accepted", "");
    let sale = only_conversion(&t, &click).await;
    assert_eq!((&sale["transaction_id"], &sale["status"]), (&json!("VBVWEMXE"), &json!("approved")));
    assert_eq!(sale["revenue"], json!({"amount": "21.33", "currency": "USD"}));
    // The address is not encrypted, so its parameters do not count.
    let request = source.network.request(Method::POST, &format!("{}?receipt=FORGED", source.path));
    assert_eq!(source.network.send(request.json(&encrypted("SALE", [5; 16]))).await.status, 200);
    assert_outcome(&source.last().await, "duplicate", "duplicate");
    assert_eq!(sent(&encrypted("ABANDONED_ORDER", [2; 16])).await, 200);
    assert_outcome(&source.last().await, "ignored", "status_ignored");
    assert_eq!(sent(&encrypted("RFND", [3; 16])).await, 200);
    assert_eq!(only_conversion(&t, &click).await["rejection_reason"], "refund");

    assert_eq!(sent(&json!({"receipt": "FORGED", "transactionType": "SALE", "trackingCodes": [click.id]})).await, 401);
    assert_outcome(&source.last().await, "refused", "body_not_encrypted");
    source.patch(json!({"fields": {"secret": "ANOTHERKEY"}})).await.expect(200);
    assert_eq!(sent(&encrypted("SALE", [4; 16])).await, 401);
    assert_outcome(&source.last().await, "refused", "body_not_decrypted");
    // The log has the body as it arrived, so it can be read after the key is corrected.
    source.patch(json!({"fields": {"secret": "CLICKBANKKEY"}})).await.expect(200);
    let refused = text(&source.last().await, "id");
    let replayed = t.admin.post(&format!("/api/v1/inbound-requests/{refused}/replay"), &json!({})).await.expect(200);
    assert_outcome(&replayed, "refused", "conversion_already_rejected");
}

async fn source_with_token_and_encryption(t: &TestApp) -> Value {
    let mut body = source(t).body;
    body["settings"]["guards"] = json!({
        "token": {"parameter": "key", "value": "12345678"},
        "encryption": {"scheme": "clickbank", "secret": "12345678"},
    });
    t.admin.post("/api/v1/sources", &body).await.expect_problem(422, "invalid_field")
}

async fn a_token_may_be_in_a_header(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let body = json!({"name": "x", "template": "hotmart", "fields": {"hottok": "h0ttok-of-us"}});
    let saved = t.admin.post("/api/v1/sources", &body).await.expect(201);
    let source = Source::of(&t, &t.admin, &saved);
    let purchase =
        json!({"transaction": "HP1", "origin": {"sck": click.id}, "price": {"value": 49, "currency_value": "USD"}});
    let sale = json!({"event": "PURCHASE_APPROVED", "data": {"purchase": purchase}});
    for (token, status, code) in [("h0ttok-of-them", 401, "token_wrong"), ("h0ttok-of-us", 200, "")] {
        t.tick();
        let request = source.network.request(Method::POST, &source.path).header("X-HOTMART-HOTTOK", token).json(&sale);
        assert_eq!(source.network.send(request).await.status, status);
        let outcome = if code.is_empty() { "accepted" } else { "refused" };
        assert_outcome(&source.last().await, outcome, code);
    }
}
