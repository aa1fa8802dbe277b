//! How the receiver shows a request on a terminal. Control characters of a request are escaped, so that no sender can
//! change the terminal.

use crate::cli::console::{Colour, Console};

use super::server::Received;
use super::signature::Verdict;

/// Headers that every request has, or that only frame it.
const NOT_SHOWN: &[&str] =
    &["accept", "accept-encoding", "connection", "content-length", "host", "transfer-encoding", "user-agent"];
/// The part of a long body that is shown.
const BODY_SHOWN_CHARS: usize = 4_000;
const LABEL_WIDTH: usize = 10;

/// Prints a request: the first line has its time, method, path and answer; then follow parameters, headers and body.
pub fn print(console: &Console, request: &Received, verdict: Option<Verdict>) {
    for line in lines(console, request, verdict) {
        console.line(&line);
    }
}

fn lines(console: &Console, request: &Received, verdict: Option<Verdict>) -> Vec<String> {
    let title = format!("{} {}", request.method, escape(&request.path));
    let at = request.at.to_string();
    let mut lines = vec![format!("{at}  {}  answers {}", console.paint(Colour::Bold, &title), request.answer.status)];
    let mut section = |label: &str, texts: Vec<String>| {
        for (index, text) in texts.iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            lines.push(format!("  {label:<LABEL_WIDTH$}  {text}"));
        }
    };
    section("query", pairs(&request.query_parameters()));
    section("headers", headers(request));
    match request.form_parameters() {
        Some(form) => section("form", pairs(&form)),
        None => section("body", body(request)),
    }
    if let Some(verdict) = verdict {
        let colour = if verdict == Verdict::Valid { Colour::Green } else { Colour::Red };
        section("signature", vec![console.paint(colour, &verdict.to_string())]);
    }
    lines.push(String::new());
    lines
}

fn pairs(parameters: &[(String, String)]) -> Vec<String> {
    parameters.iter().map(|(name, value)| format!("{} = {}", escape(name), escape(value))).collect()
}

fn headers(request: &Received) -> Vec<String> {
    let shown = request.headers.iter().filter(|(name, _)| !NOT_SHOWN.contains(&name.as_str()));
    shown.map(|(name, value)| format!("{name}: {}", escape(&String::from_utf8_lossy(value.as_bytes())))).collect()
}

fn body(request: &Received) -> Vec<String> {
    if request.body_missing {
        return vec!["(longer than 1 MiB, or it did not arrive completely)".to_owned()];
    }
    let Ok(text) = std::str::from_utf8(&request.body) else {
        return vec![format!("({} bytes that are not text)", request.body.len())];
    };
    let mut shown: String = text.chars().take(BODY_SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push_str(&format!("\n(… {} bytes in total)", text.len()));
    }
    shown.lines().map(escape).collect()
}

fn escape(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { it.escape_default().to_string() } else { it.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_cannot_control_the_terminal() {
        assert_eq!(escape("a\u{1b}[2Jb\r\n"), "a\\u{1b}[2Jb\\r\\n");
        assert_eq!(escape("Žofie & Søn"), "Žofie & Søn");
    }
}
