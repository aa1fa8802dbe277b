//! What the API says to programs, as sentences for people.

use web::errors::Problem;

/// A problem of the API as a sentence for people.
pub fn sentence(problem: &Problem) -> String {
    let of_fields = problem.errors().iter().map(|issue| {
        let field = match issue.path.as_str() {
            "/email" => "The e-mail address",
            "/name" => "The name",
            "/password" => "The password",
            _ => "A field",
        };
        format!("{field} {}.", issue.message)
    });
    let sentences: Vec<_> = of_fields.collect();
    if sentences.is_empty() { as_sentence(&problem.detail) } else { sentences.join(" ") }
}

/// With a capital letter and a full stop.
pub fn as_sentence(text: &str) -> String {
    let mut letters = text.trim_end_matches('.').chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
