//! Turns error texts of the API into sentences for people.

use web::errors::Problem;

/// The errors of the fields as sentences, or the detail of the problem if it names no field.
pub fn sentence(problem: &Problem) -> String {
    let field_sentences = problem.errors().iter().map(|issue| {
        let field = match issue.path.as_str() {
            "/email" => "The e-mail address",
            "/name" => "The name",
            "/password" => "The password",
            _ => "A field",
        };
        format!("{field} {}.", issue.message)
    });
    let sentences: Vec<_> = field_sentences.collect();
    if sentences.is_empty() { as_sentence(&problem.detail) } else { sentences.join(" ") }
}

/// The text with a capital letter and a full stop.
pub fn as_sentence(text: &str) -> String {
    let mut letters = text.trim_end_matches('.').chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
