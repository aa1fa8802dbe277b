//! Verifies signatures as defined by Standard Webhooks 1.0 (<https://www.standardwebhooks.com>). Pure.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use domain::timestamp::Timestamp;

/// A request that is older or newer than this is refused, because somebody may have recorded it and sent it again.
const TOLERANCE_SECS: i64 = 300;

/// A key for signatures.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A secret is `whsec_` with the key in base64, or the key itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let key = match text.strip_prefix("whsec_") {
            Some(encoded) => BASE64.decode(encoded).map_err(|_| "the text after whsec_ is not base64".to_owned())?,
            None => text.as_bytes().to_vec(),
        };
        if key.is_empty() { Err("the secret is empty".to_owned()) } else { Ok(Self(key)) }
    }
}

/// The result of a verification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Valid,
    /// A header is missing or has no valid form.
    Missing(&'static str),
    /// The time of the request is too far from now.
    Stale {
        /// Positive for a time in the past.
        age_secs: i64,
    },
    /// No signature fits to the secret and to the body.
    Wrong,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Valid => f.write_str("valid"),
            Self::Missing(header) => write!(f, "missing: there is no valid header {header}"),
            Self::Stale { age_secs } => {
                write!(
                    f,
                    "stale: webhook-timestamp is {age_secs} seconds ago, more than {TOLERANCE_SECS} are not accepted"
                )
            }
            Self::Wrong => f.write_str("wrong: it was made with another secret, or for another body"),
        }
    }
}

/// Verifies the signature of a request that was received at `now`.
pub fn verify(secret: &Secret, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Verdict {
    let header = |name: &'static str| headers.get(name).and_then(|it| it.to_str().ok()).ok_or(name);
    let (id, time, signatures) = match (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
    {
        (Ok(id), Ok(time), Ok(signatures)) => (id, time, signatures),
        (Err(name), _, _) | (_, Err(name), _) | (_, _, Err(name)) => return Verdict::Missing(name),
    };
    let Ok(sent) = time.parse::<i64>() else { return Verdict::Missing("webhook-timestamp") };
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&secret.0).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{time}.").as_bytes());
    mac.update(body);
    let signed = signatures.split(' ').filter_map(|it| BASE64.decode(it.strip_prefix("v1,")?).ok());
    // `verify_slice` takes the same time for every wrong signature.
    if !signed.into_iter().any(|it| mac.clone().verify_slice(&it).is_ok()) {
        return Verdict::Wrong;
    }
    match now.millis().div_euclid(1_000).saturating_sub(sent) {
        age if age.saturating_abs() <= TOLERANCE_SECS => Verdict::Valid,
        age_secs => Verdict::Stale { age_secs },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: i64 = 1_614_265_330;

    /// The example of the specification's libraries, with changes.
    fn verdict(secret: &str, signature: &str, body: &str, now: i64) -> Verdict {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek".parse().expect("a header"));
        headers.insert("webhook-timestamp", SENT.to_string().parse().expect("a header"));
        if !signature.is_empty() {
            headers.insert("webhook-signature", signature.parse().expect("a header"));
        }
        let secret = Secret::parse(secret).expect("a secret");
        verify(&secret, &headers, body.as_bytes(), Timestamp::from_millis(now * 1_000))
    }

    #[test]
    fn a_signature_is_valid_for_its_secret_its_body_and_its_time() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let body = r#"{"test": 2432232314}"#;
        assert_eq!(verdict(secret, signature, body, SENT + 300), Verdict::Valid);
        assert_eq!(verdict(secret, &format!("v1,b3RoZXI= v2,x {signature}"), body, SENT), Verdict::Valid);
        assert_eq!(verdict(secret, signature, body, SENT + 301), Verdict::Stale { age_secs: 301 });
        assert_eq!(verdict(secret, signature, body, SENT - 301), Verdict::Stale { age_secs: -301 });
        assert_eq!(verdict(secret, signature, "{}", SENT), Verdict::Wrong);
        assert_eq!(verdict("whsec_b3RoZXI=", signature, body, SENT), Verdict::Wrong);
        assert_eq!(verdict(secret, "v1,", body, SENT), Verdict::Wrong);
        assert_eq!(verdict(secret, "", body, SENT), Verdict::Missing("webhook-signature"));
        assert!(Secret::parse("whsec_?").is_err() && Secret::parse("").is_err() && Secret::parse("plain").is_ok());
    }
}
