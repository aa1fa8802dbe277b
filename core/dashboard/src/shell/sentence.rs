//! Errors of the API as sentences for people.

use web::errors::Problem;

use super::texts::{Text, exists, plain, text};

/// The sentence of a problem, in the language of the page if the language files have one for its code.
pub fn sentence(problem: &Problem) -> Text {
    let key = format!("error.{}", problem.code);
    match (problem.retry_after_secs(), exists(&key)) {
        (Some(seconds), true) => text(&key).count("count", seconds.into()),
        (None, true) => text(&key),
        (_, false) if problem.errors().is_empty() => plain(as_sentence(&problem.detail)),
        (_, false) => {
            let sentences = problem.errors().iter().map(|issue| as_sentence(&issue.message));
            plain(sentences.collect::<Vec<_>>().join(" "))
        }
    }
}

/// The text with a capital letter and a full stop.
pub fn as_sentence(text: &str) -> String {
    let mut letters = text.trim_end_matches('.').chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
