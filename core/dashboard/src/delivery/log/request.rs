//! The request of an attempt as a command line, and texts of requests and answers.

use domain::delivery::delivery::Attempt;

/// The request as a command of curl. Masked values stay masked, so that it can be passed on.
pub fn as_curl(attempt: &Attempt) -> Option<String> {
    if attempt.method.is_empty() || attempt.url.is_empty() {
        return None;
    }
    let mut parts = vec!["curl".to_owned()];
    if attempt.method != "GET" {
        parts.push(format!("-X {}", quoted(&attempt.method)));
    }
    parts.push(quoted(&attempt.url));
    parts.extend(
        attempt.request_headers.iter().map(|(name, value)| format!("-H {}", quoted(&format!("{name}: {value}")))),
    );
    parts.extend(attempt.request_body.iter().map(|body| format!("--data-raw {}", quoted(body))));
    Some(parts.join(" \\\n  "))
}

/// A word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use domain::delivery::delivery::AttemptOutcome;
    use domain::ids::DeliveryId;
    use domain::timestamp::Timestamp;

    use super::*;

    pub fn attempt(method: &str, body: Option<&str>) -> Attempt {
        Attempt {
            delivery_id: DeliveryId(uuid::Uuid::nil()),
            number: 1,
            at: Timestamp::from_millis(0),
            duration_ms: 84,
            method: method.into(),
            url: "https://t.example/p?a=1&key=***".into(),
            request_headers: vec![("accept".into(), "it's".into())],
            request_body: body.map(str::to_owned),
            status: Some(200),
            response_headers: Vec::new(),
            response_body: None,
            truncated: false,
            outcome: AttemptOutcome::Accepted,
            error_code: None,
            error: None,
            adapter_log: Vec::new(),
        }
    }

    #[test]
    fn a_request_is_a_command_that_a_shell_reads() {
        let curl = as_curl(&attempt("GET", None)).unwrap();
        assert_eq!(curl, "curl \\\n  'https://t.example/p?a=1&key=***' \\\n  -H 'accept: it'\\''s'");
        let curl = as_curl(&attempt("POST", Some("{\"a\": \"$x\"}"))).unwrap();
        assert!(curl.starts_with("curl \\\n  -X 'POST' \\\n"), "{curl}");
        assert!(curl.ends_with("--data-raw '{\"a\": \"$x\"}'"), "{curl}");
        assert_eq!(as_curl(&attempt("", None)), None, "the adapter built no request");
    }
}
