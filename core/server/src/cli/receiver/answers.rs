//! The answers of a receiver: one for all paths, and others for single paths. Pure.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

/// What a receiver answers to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    /// How long the receiver waits before it answers.
    pub delay: Duration,
}

/// The answers of one path: the first is for the first request, and so on; the last repeats.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathAnswers {
    path: String,
    answers: Vec<Answer>,
}

/// Chooses the answer of each request.
#[derive(Debug)]
pub struct Answers {
    default: Answer,
    paths: HashMap<String, PathState>,
}

#[derive(Debug)]
struct PathState {
    answers: Vec<Answer>,
    received: usize,
}

impl Answers {
    pub fn new(default: Answer, paths: impl IntoIterator<Item = PathAnswers>) -> Self {
        let state = |it: PathAnswers| (it.path, PathState { answers: it.answers, received: 0 });
        Self { default, paths: paths.into_iter().map(state).collect() }
    }

    /// The answer of the next request of `path`.
    pub fn next(&mut self, path: &str) -> Answer {
        let Some(state) = self.paths.get_mut(path) else { return self.default.clone() };
        let index = state.received.min(state.answers.len() - 1);
        state.received += 1;
        state.answers[index].clone()
    }
}

impl Answer {
    /// An answer at once, whose body is the name of its status.
    pub fn status(status: u16) -> Self {
        let name = axum::http::StatusCode::from_u16(status).ok().and_then(|it| it.canonical_reason());
        Self { status, body: name.unwrap_or_default().to_owned(), delay: Duration::ZERO }
    }
}

impl FromStr for Answer {
    type Err = String;

    /// `503`, or `200@15s` for an answer after 15 seconds.
    fn from_str(text: &str) -> Result<Self, String> {
        let (status, delay) = text.split_once('@').unwrap_or((text, "0s"));
        Ok(Self { delay: parse_delay(delay)?, ..Self::status(parse_status(status)?) })
    }
}

impl PathAnswers {
    /// The answers with these statuses, at once.
    pub fn of(path: &str, statuses: &[u16]) -> Self {
        Self { path: path.to_owned(), answers: statuses.iter().map(|status| Answer::status(*status)).collect() }
    }
}

impl FromStr for PathAnswers {
    type Err = String;

    /// `/fail=500`, or `/flaky=200,503,200` for the first, the second, and all other requests.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once('=').filter(|(path, _)| path.starts_with('/'));
        let (path, answers) = parts.ok_or_else(|| "write a path and a status, such as /fail=500".to_owned())?;
        let answers: Result<Vec<Answer>, String> = answers.split(',').map(str::parse).collect();
        Ok(Self { path: path.to_owned(), answers: answers? })
    }
}

/// A status that ends a request.
pub fn parse_status(text: &str) -> Result<u16, String> {
    let status = text.parse().ok().filter(|status| (200..=599).contains(status));
    status.ok_or_else(|| format!("\"{text}\" is not a status; use a number from 200 to 599"))
}

/// A time with its unit: `500ms` or `2s`.
pub fn parse_delay(text: &str) -> Result<Duration, String> {
    let split = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let delay = match (number.parse(), unit) {
        (Ok(number), "ms") => Some(Duration::from_millis(number)),
        (Ok(number), "s") => Some(Duration::from_secs(number)),
        _ => None,
    };
    let delay = delay.filter(|delay| *delay <= MAX_DELAY);
    delay.ok_or_else(|| format!("\"{text}\" is not a delay; write 500ms or 2s, at most one hour"))
}

const MAX_DELAY: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_answers_in_order_and_the_last_answer_repeats() {
        let flaky: PathAnswers = "/flaky=200,503,200@2s".parse().expect("valid");
        let mut answers = Answers::new(Answer::status(204), [flaky]);
        let statuses: Vec<_> = (0..4).map(|_| answers.next("/flaky")).collect();
        assert_eq!(statuses.iter().map(|it| it.status).collect::<Vec<_>>(), [200, 503, 200, 200]);
        assert_eq!(statuses[3].delay, Duration::from_secs(2));
        assert_eq!((statuses[1].body.as_str(), answers.next("/other").status), ("Service Unavailable", 204));
    }

    #[test]
    fn answers_that_cannot_be_given_are_refused() {
        for text in ["fail=500", "/fail", "/fail=", "/fail=100", "/fail=600", "/fail=500@2", "/fail=500@2h", "/a=200,"]
        {
            assert!(text.parse::<PathAnswers>().is_err(), "{text}");
        }
        assert_eq!(parse_delay("250ms"), Ok(Duration::from_millis(250)));
        assert!(parse_delay("99999999999999999999s").is_err() && parse_delay("3601s").is_err());
    }
}
