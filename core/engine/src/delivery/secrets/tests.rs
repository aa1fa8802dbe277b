use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use url::Url;

use super::*;
use domain::timestamp::Timestamp;
use egress::Outgoing;
use host::wire as contract;

fn vault() -> Vault {
    Vault::new([7; 32])
}

fn request(url: &str) -> contract::Request {
    contract::Request {
        method: contract::HttpMethod::Post,
        url: url.into(),
        headers: vec![],
        body: None,
        sign_with: vec![],
    }
}

const HOLDER: &str = "pbk_1";

fn with_placeholders(secret: &str) -> (String, Placeholders) {
    let sealed = json!({"token": {SEALED: vault().seal(secret, HOLDER)}});
    let (shown, placeholders) = vault().with_placeholders(&sealed, HOLDER).expect("it opens");
    (shown["token"].as_str().expect("a placeholder").to_owned(), placeholders)
}

fn anywhere(url: &str) -> Vec<String> {
    vec![Url::parse(url).expect("a URL").origin().ascii_serialization()]
}

fn reveal(placeholders: &Placeholders, request: &contract::Request) -> Result<Outgoing, SecretError> {
    let origins = anywhere(&request.url);
    let hosts = ["*".to_owned()];
    let destinations = Destinations { hosts: &hosts, origins: &origins };
    placeholders.reveal(request, &destinations, "dlv_1", Timestamp::from_millis(1_614_265_330_000))
}

#[test]
fn a_sealed_secret_opens_only_for_its_holder_and_with_its_key() {
    let sealed = vault().seal("s3cret", HOLDER);
    assert!(!sealed.contains("s3cret"));
    assert_ne!(sealed, vault().seal("s3cret", HOLDER), "a nonce is not used twice");
    assert_eq!(vault().open(&sealed, HOLDER).as_deref(), Ok("s3cret"));
    for other in [vault().open(&sealed, "pbk_2"), Vault::new([8; 32]).open(&sealed, HOLDER), vault().open("", HOLDER)] {
        assert_eq!(other, Err(SecretError::Unreadable));
    }
}

#[test]
fn a_value_of_a_previous_key_opens_until_it_is_sealed_again() {
    let (old, both) = (Vault::new([7; 32]), Vault::with_keys([8; 32], [[7; 32]]));
    let new = Vault::new([8; 32]);
    let sealed = old.seal("s3cret", HOLDER);
    assert!(sealed.starts_with(&old.key_ids().next().unwrap().mark()), "the text names its key");
    assert_eq!(both.open(&sealed, HOLDER).as_deref(), Ok("s3cret"));
    assert_eq!(new.open(&sealed, HOLDER), Err(SecretError::Unreadable));
    let resealed = both.reseal(&sealed, HOLDER).unwrap().expect("another key sealed it");
    assert_eq!(new.open(&resealed, HOLDER).as_deref(), Ok("s3cret"));
    assert_eq!(both.reseal(&resealed, HOLDER), Ok(None));
    assert_eq!(new.reseal(&sealed, HOLDER), Err(SecretError::Unreadable));

    let signature = old.sign("device", "text");
    assert!(both.is_signed("device", "text", &signature) && !new.is_signed("device", "text", &signature));

    let parts = json!({"a": [{SEALED: sealed}, "x"], "guards": {"value": format!("{}{sealed}", guards::SEALED)}});
    let moved = both.reseal_parts(&parts, HOLDER).new.expect("two parts");
    assert_eq!(new.open_config(&moved, HOLDER).unwrap()["a"], json!(["s3cret", "x"]));
    let guard = moved["guards"]["value"].as_str().unwrap().strip_prefix(guards::SEALED).unwrap();
    assert_eq!(new.open(guard, HOLDER).as_deref(), Ok("s3cret"));
    assert_eq!(both.reseal_parts(&moved, HOLDER), Resealed { new: None, opened: true, unreadable: false });

    // One part was sealed with a key that is lost.
    let lost = Vault::new([9; 32]).seal("gone", HOLDER);
    let partly = both.reseal_parts(&json!({"a": {SEALED: lost}, "b": {SEALED: sealed}}), HOLDER);
    let moved = partly.new.expect("the other part");
    assert!(partly.opened && partly.unreadable);
    assert_eq!(moved["a"], json!({SEALED: lost}));
    assert_eq!(new.open_config(&moved["b"], HOLDER), Ok(json!("s3cret")));
}

/// Older releases, in which keys had no ids, used a random nonce. They open values of this release, too.
#[test]
fn a_value_of_an_older_release_opens() {
    use chacha20poly1305::aead::{Aead, KeyInit, Payload};
    use chacha20poly1305::{XChaCha20Poly1305, XNonce};
    fn payload(msg: &[u8]) -> Payload<'_, '_> {
        Payload { msg, aad: HOLDER.as_bytes() }
    }
    let cipher = XChaCha20Poly1305::new(&[7u8; 32].into());
    let older = cipher.encrypt(&XNonce::from([1u8; 24]), payload(b"s3cret")).unwrap();
    let older = BASE64.encode([&[1u8; 24][..], &older].concat());
    assert_eq!(vault().open(&older, HOLDER).as_deref(), Ok("s3cret"));
    assert!(vault().reseal(&older, HOLDER).unwrap().is_some(), "it has no key id");
    let newer = BASE64.decode(vault().seal("s3cret", HOLDER)).unwrap();
    let nonce: [u8; 24] = newer[..24].try_into().unwrap();
    assert_eq!(cipher.decrypt(&XNonce::from(nonce), payload(&newer[24..])).unwrap(), b"s3cret");
}

#[test]
fn a_placeholder_is_the_same_for_the_same_secret() {
    let (placeholder, _) = with_placeholders("s3cret with spaces");
    assert!(placeholder.chars().all(|c| c.is_ascii_alphanumeric()), "{placeholder}");
    assert_eq!(placeholder, with_placeholders("s3cret with spaces").0, "a request renders the same twice");
    assert_ne!(placeholder, with_placeholders("another").0);
}

#[test]
fn a_secret_is_encoded_for_its_place_in_the_request() {
    let (name, placeholders) = with_placeholders("a b\"&/ü");
    let mut it = request(&format!("https://t.example/{name}?k={name}"));
    it.body = Some(contract::Body {
        content_type: "application/json".into(),
        bytes: format!(r#"{{"k":"{name}"}}"#).into_bytes(),
    });
    let outgoing = reveal(&placeholders, &it).expect("it is allowed");
    assert_eq!(outgoing.url, "https://t.example/a%20b%22%26/%C3%BC?k=a%20b%22%26%2F%C3%BC");
    assert_eq!(outgoing.body.unwrap().1, r#"{"k":"a b\"&/ü"}"#.as_bytes());
    it.body = Some(contract::Body {
        content_type: "application/x-www-form-urlencoded".into(),
        bytes: format!("k={name}").into_bytes(),
    });
    assert_eq!(reveal(&placeholders, &it).unwrap().body.unwrap().1, b"k=a+b%22%26%2F%C3%BC");
    it.headers.push(contract::Field { name: "Authorization".into(), value: format!("Bearer {name}") });
    assert_eq!(reveal(&placeholders, &it).unwrap_err().code(), "secret_unusable", "a header is ASCII");
}

#[test]
fn a_secret_is_sent_to_permitted_destinations_only() {
    let (name, placeholders) = with_placeholders("s3cret");
    let hosts = |hosts: &[&str]| -> Vec<String> { hosts.iter().map(|it| (*it).to_owned()).collect() };
    let code = |url: &str, declared: &[&str], origins: &[&str]| {
        let (declared, origins) = (hosts(declared), hosts(origins));
        let it = request(&format!("{url}?k={name}"));
        let destinations = Destinations { hosts: &declared, origins: &origins };
        let result = placeholders.reveal(&it, &destinations, "dlv_1", Timestamp::from_millis(0));
        result.err().map_or("", |error| error.code())
    };
    assert_eq!(code("https://api.example/x", &["api.example"], &[]), "");
    assert_eq!(code("https://api.example/x", &["*"], &["https://api.example"]), "");
    for (url, declared, origins) in [
        ("https://evil.example/x", &["api.example"][..], &["https://evil.example"][..]),
        ("https://evil.example/x", &["*"], &["https://api.example"]),
        ("http://api.example/x", &["*"], &["https://api.example"]),
        ("https://api.example:8443/x", &["*"], &["https://api.example"]),
        ("https://api.example/x", &["*"], &[]),
    ] {
        assert_eq!(code(url, declared, origins), "secret_host_refused", "{url}");
    }
    let host = request(&format!("https://{name}.example/"));
    assert_eq!(reveal(&placeholders, &host).unwrap_err().code(), "secret_unusable");
    let harmless = request("https://evil.example/");
    let nowhere = Destinations { hosts: &[], origins: &[] };
    let outgoing = placeholders.reveal(&harmless, &nowhere, "dlv_1", Timestamp::from_millis(0));
    assert_eq!(outgoing.expect("it carries no secret").url, "https://evil.example/");
}

/// The example from the libraries of the Standard Webhooks specification.
#[test]
fn a_signature_is_that_of_standard_webhooks() {
    let (name, placeholders) = with_placeholders("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let mut it = request("https://t.example/");
    it.headers.push(contract::Field { name: "Webhook-Id".into(), value: "forged".into() });
    it.body =
        Some(contract::Body { content_type: "application/json".into(), bytes: br#"{"test": 2432232314}"#.into() });
    it.sign_with = vec![name];
    let origins = anywhere(&it.url);
    let hosts = ["*".to_owned()];
    let destinations = Destinations { hosts: &hosts, origins: &origins };
    let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    let outgoing = placeholders.reveal(&it, &destinations, id, Timestamp::from_millis(1_614_265_330_999)).unwrap();
    let wanted = [
        ("webhook-id", id),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ];
    assert_eq!(outgoing.headers, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    it.sign_with = vec!["no secret of ours".into()];
    assert_eq!(reveal(&placeholders, &it).unwrap_err().code(), "secret_unusable");
}

#[test]
fn neither_secret_nor_placeholder_is_shown() {
    let (name, placeholders) = with_placeholders("s3cret/1");
    let text = format!("{name} and s3cret/1 and s3cret%2F1 and S3CRET%2f1");
    assert_eq!(placeholders.mask(&text), "*** and *** and *** and ***");
    assert_eq!(masked("short"), "••••");
    assert_eq!(masked("elevenchars"), "••••");
    assert_eq!(masked("sk_live_1234"), "••••1234");
}
