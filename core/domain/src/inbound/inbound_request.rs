//! Inbound requests: requests to a source as they were received, and the result of each notification in them.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use postrider_sdk::inbound::pairs;
use serde::{Deserialize, Serialize};

use crate::delivery::adapter;
use crate::delivery::delivery::AdapterLine;
use crate::ids::{AffiliateId, ClickId, ConversionId, InboundRequestId, SourceId};
use crate::people::masking;
use crate::timestamp::Timestamp;

use super::body::{self, UnreadableBody};
use super::guards::PROOF;
use super::notification::{Issue, Note, Outcome, PATIENCE, PATIENCE_FOR_PEOPLE, next_try};

/// The code of a request that is not processed yet.
pub(crate) const NOT_PROCESSED: &str = "not_processed";

/// A request to a source, as it is stored.
#[derive(Clone, Debug)]
pub struct InboundRequest {
    /// Id of the request.
    pub id: InboundRequestId,
    /// The source.
    pub source_id: SourceId,
    /// The affiliate that owns the source.
    pub affiliate_id: Option<AffiliateId>,
    /// When it was received.
    pub received_at: Timestamp,
    /// The HTTP request.
    pub raw: RawRequest,
    /// The result of the whole request.
    pub result: OutcomeDetails,
    /// One for each report that the adapter found.
    pub items: Vec<Item>,
    /// The lines that the adapter logged when it last parsed the request.
    pub adapter_log: Vec<AdapterLine>,
    /// How often it was processed.
    pub tries: u32,
    /// When it is processed again; `None` once it is settled.
    pub due_at: Option<Timestamp>,
    /// When it was settled.
    pub settled_at: Option<Timestamp>,
    /// Of a refused request: how many further refused requests of the source were only counted since the previous
    /// stored one.
    pub repeats: i64,
}

/// An HTTP request without cookies and authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRequest {
    /// HTTP method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query as it was written, without "?".
    pub query: String,
    /// Names, in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether a part was too long to be stored.
    pub truncated: bool,
    /// The sender's address.
    pub remote_ip: Option<IpAddr>,
}

/// The most bytes that are stored of a request that a guard refused: enough to identify it, and enough for most
/// networks' requests to be replayed after the guard is corrected.
pub(crate) const REFUSED_BYTES: usize = 4 * 1024;

const MASK: &str = "***";

/// Whether the text contains the key after percent-decoding it once or twice.
fn holds_encoded(text: &str, key: &str) -> bool {
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().to_ascii_lowercase();
    let once = decode(text);
    once.contains(key) || decode(&once).contains(key)
}

impl RawRequest {
    /// The value of a header; `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The headers that the network sent.
    pub fn headers_of_network(&self) -> impl Iterator<Item = &(String, String)> {
        self.headers.iter().filter(|(name, _)| name != PROOF)
    }

    /// The body as text.
    ///
    /// # Errors
    /// See [`body::plain`].
    pub fn plain_body(&self) -> Result<Cow<'_, [u8]>, UnreadableBody> {
        body::plain(&self.body, |name| self.header(name))
    }

    /// The pairs of the query, in the spellings that networks send.
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        pairs(&self.query)
    }

    /// Cut to [`REFUSED_BYTES`]: path and query first, then headers, then the body.
    #[must_use]
    pub fn cut(mut self) -> Self {
        let mut left = REFUSED_BYTES;
        let mut cut = false;
        for text in [&mut self.path, &mut self.query] {
            let end = text.floor_char_boundary(left);
            cut |= end < text.len();
            text.truncate(end);
            left -= end;
        }
        self.headers.retain(|(name, value)| {
            let bytes = name.len() + value.len();
            let fits = bytes <= left;
            left -= if fits { bytes } else { 0 };
            cut |= !fits;
            fits
        });
        cut |= self.body.len() > left;
        self.body.truncate(left);
        self.truncated |= cut;
        self
    }

    /// Masks the source's key wherever the request repeats it, because the key alone allows to send notifications.
    /// Query and body of a signed request stay unchanged: its signature is checked again each time it is processed, and
    /// without the secret of the signature the key is not sufficient.
    #[must_use]
    pub fn without_key(mut self, key: &str, is_signed: bool) -> Self {
        let parameter = |text: &str| match masking::mask(text, &[key]) {
            masked if masked.contains('%') && holds_encoded(&masked, key) => {
                masked.split_once('=').map_or_else(|| MASK.to_owned(), |(name, _)| format!("{name}={MASK}"))
            }
            masked => masked,
        };
        let parameters = |text: &str| text.split('&').map(parameter).collect::<Vec<_>>().join("&");
        for (_, value) in &mut self.headers {
            *value = parameters(value);
        }
        if is_signed {
            return self;
        }
        self.query = parameters(&self.query);
        // A body that is not text stays unchanged.
        if let Ok(body) = std::str::from_utf8(&self.body) {
            self.body = parameters(body).into_bytes();
        }
        self
    }

    fn shown(mut self, hide: impl Fn(&str) -> String) -> Self {
        let plain = self.plain_body().unwrap_or(Cow::Borrowed(&self.body));
        let body = String::from_utf8_lossy(&plain).into_owned();
        // Rows of older versions contain the source's key.
        self.path = super::source::mask_addresses(&self.path);
        self.headers = self.headers_of_network().cloned().collect();
        self.query = hide(&self.query);
        self.body = hide(&body).into_bytes();
        for (_, value) in &mut self.headers {
            *value = hide(value);
        }
        self
    }
}

/// The result of a request or notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = InboundResult)]
pub struct OutcomeDetails {
    /// The outcome.
    pub outcome: Outcome,
    /// A stable code; null if it was accepted without a remark.
    pub code: Option<String>,
    /// The reason as a sentence; null if it was accepted without a remark.
    pub sentence: Option<String>,
}

impl OutcomeDetails {
    /// The outcome with the code and the sentence of its reason.
    pub fn new(outcome: Outcome, code: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { outcome, code: Some(code.into()), sentence: Some(sentence.into()) }
    }

    /// Accepted, without a code.
    pub fn accepted() -> Self {
        Self { outcome: Outcome::Accepted, code: None, sentence: None }
    }

    /// Whether it has this code.
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

impl From<Issue> for OutcomeDetails {
    fn from(issue: Issue) -> Self {
        Self::new(issue.outcome(), issue.code(), issue.to_string())
    }
}

/// The result of one notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = NotificationResult)]
pub struct Item {
    /// Outcome, code and sentence.
    #[serde(flatten)]
    pub result: OutcomeDetails,
    /// What was not used as the network sent it. `truncated_id`: the click was found by the beginning of its id.
    /// `left_out`: a field could not be read or stands for nothing. `shortened`: a text was too long. `rounded`: an amount
    /// had more than six decimals. `unmatched_rejection`: a rejection names no known sale, and other sales of its click
    /// stay approved.
    #[serde(default)]
    pub flags: Vec<String>,
    /// What was not used as the network sent it, and why: a sentence for each case.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The transaction id of the conversion. If the network sends none, it is derived from the click; null if the
    /// notification was not processed so far.
    #[serde(default)]
    pub transaction_id: Option<String>,
    /// The status word that the network sent; null if it sent none.
    #[serde(default)]
    pub status: Option<String>,
    /// The click that was found; null if none was found.
    #[serde(default)]
    pub click_id: Option<ClickId>,
    /// The conversion that was found, recorded or changed; null if there is none.
    #[serde(default)]
    pub conversion_id: Option<ConversionId>,
}

impl Item {
    /// Adds remarks: flags, and their sentences.
    pub fn note(&mut self, notes: impl IntoIterator<Item = Note>) {
        for note in notes {
            if !self.flags.iter().any(|flag| flag == note.flag()) {
                self.flags.push(note.flag().to_owned());
            }
            self.notes.push(note.to_string());
        }
    }
}

impl InboundRequest {
    /// A new request that is stored before it is processed. It is due at once, so the worker processes it if this
    /// process crashes.
    pub fn arrived(
        id: InboundRequestId,
        source_id: SourceId,
        affiliate_id: Option<AffiliateId>,
        raw: RawRequest,
        at: Timestamp,
    ) -> Self {
        let sentence = "the request is stored and will be processed";
        Self {
            id,
            source_id,
            affiliate_id,
            received_at: at,
            raw,
            result: OutcomeDetails::new(Outcome::Waiting, NOT_PROCESSED, sentence),
            items: Vec::new(),
            adapter_log: Vec::new(),
            tries: 0,
            due_at: Some(at),
            settled_at: None,
            repeats: 0,
        }
    }

    /// Records the result of the request (`whole`, otherwise that of its items) and when it is processed again, if it
    /// waits.
    pub fn conclude(&mut self, whole: Option<OutcomeDetails>, items: Vec<Item>, now: Timestamp) {
        self.tries += 1;
        self.items = items;
        for item in &mut self.items {
            give_up(&mut item.result, self.received_at, now);
        }
        self.result = whole.unwrap_or_else(|| of_items(&self.items));
        give_up(&mut self.result, self.received_at, now);
        if self.result.outcome == Outcome::Waiting {
            self.settled_at = None;
            self.due_at = Some(self.next_try(now));
        } else {
            self.settled_at = Some(now);
            self.due_at = None;
        }
    }

    /// A missing click may appear at any moment. A status word without a meaning needs a person, and mapping it makes
    /// the waiting requests due at once.
    fn next_try(&self, now: Timestamp) -> Timestamp {
        let waiting: Vec<_> = self.items.iter().filter(|it| it.result.outcome == Outcome::Waiting).collect();
        let for_people = !waiting.is_empty() && waiting.iter().all(|it| is_for_people(&it.result));
        let patient = for_people || waits_for_adapter(&self.result);
        let end = self.received_at.plus(if patient { PATIENCE_FOR_PEOPLE } else { PATIENCE });
        if for_people { end } else { now.plus(next_try(self.tries)).min(end) }
    }

    /// The items that need no further processing, by position; `None` for the others.
    pub fn settled_items(&self) -> Vec<Option<Item>> {
        let done = |it: &Item| matches!(it.result.outcome, Outcome::Accepted | Outcome::Duplicate);
        self.items.iter().map(|it| done(it).then(|| it.clone())).collect()
    }

    /// For display: without secrets and, with `hides_people`, without personal data. This includes the adapter's log,
    /// which may repeat the request.
    pub fn shown(mut self, secrets: &[String], hides_people: bool) -> Self {
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let hide = |text: &str| {
            let text = masking::mask(text, &secrets);
            if hides_people { masking::hide_people(&text) } else { text }
        };
        self.raw = self.raw.shown(hide);
        for line in &mut self.adapter_log {
            line.message = hide(&line.message);
        }
        self
    }

    /// The conversions that were recorded or changed.
    pub fn conversion_ids(&self) -> Vec<ConversionId> {
        self.items.iter().filter_map(|it| it.conversion_id).collect()
    }

    /// The flags of all items, sorted, each once.
    pub fn flags(&self) -> Vec<String> {
        let mut flags: Vec<_> = self.items.iter().flat_map(|it| it.flags.clone()).collect();
        flags.sort();
        flags.dedup();
        flags
    }
}

fn of_items(items: &[Item]) -> OutcomeDetails {
    let outcome = Outcome::of_all(items.iter().map(|it| it.result.outcome));
    let first = items.iter().map(|it| &it.result).find(|result| Some(result.outcome) == outcome);
    first.cloned().unwrap_or_else(|| Issue::NothingReported("its result is empty".into()).into())
}

fn is_for_people(result: &OutcomeDetails) -> bool {
    result.is(Issue::StatusUnknown(String::new()).code())
}

/// A missing adapter or key is restored by a person, and nothing signals that.
fn waits_for_adapter(result: &OutcomeDetails) -> bool {
    result.code.as_deref().is_some_and(|code| adapter::WAITING.contains(&code))
}

/// Waiting ends some day.
fn give_up(result: &mut OutcomeDetails, since: Timestamp, now: Timestamp) {
    let patient = is_for_people(result) || waits_for_adapter(result);
    let patience = if patient { PATIENCE_FOR_PEOPLE } else { PATIENCE };
    if result.outcome == Outcome::Waiting && now >= since.plus(patience) {
        let hours = patience.as_secs() / Duration::from_secs(3_600).as_secs();
        *result = Issue::GivenUp { hours, last: result.sentence.clone().unwrap_or_default() }.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_requests_are_truncated() {
        let raw = |query: usize, header: usize, body: usize| RawRequest {
            method: "POST".into(),
            path: "/in/key".into(),
            query: "ä".repeat(query / 2),
            headers: vec![("x".into(), "h".repeat(header)), ("y".into(), "1".into())],
            body: vec![b'b'; body],
            truncated: false,
            remote_ip: None,
        };
        let room = REFUSED_BYTES - "/in/key".len();
        for (given, kept) in [
            ((0, 9, 9), (0, 2, 9, false)),
            ((100, 900, room - 100 - 901 - 2), (100, 2, room - 100 - 901 - 2, false)),
            ((100, 900, room), (100, 2, room - 100 - 901 - 2, true)),
            ((0, 9_000, 9), (0, 1, 9, true)),
            ((9_000, 9, 9), (room - 1, 0, 1, true)),
        ] {
            let cut = raw(given.0, given.1, given.2).cut();
            assert_eq!((cut.query.len(), cut.headers.len(), cut.body.len(), cut.truncated), kept, "{given:?}");
        }
    }

    #[test]
    fn the_key_is_hidden_wherever_a_network_repeats_it() {
        let key = "0123456789abcdefghjkmnpqrs";
        let raw = RawRequest {
            query: format!("a=1&back=https%3A%2F%2Fh%2Fin%2F{key}&odd=0%31{}&b=2", &key[2..]),
            headers: vec![
                ("referer".into(), format!("https://h.example/in/{}", key.to_uppercase())),
                ("x-key".into(), key.into()),
            ],
            body: format!("{{\"u\":\"https://h/in/{key}\",\"v\":5}}").into_bytes(),
            ..request().raw
        };
        let hidden = raw.clone().without_key(key, false);
        assert_eq!(hidden.query, "a=1&back=https%3A%2F%2Fh%2Fin%2F***&odd=***&b=2");
        assert_eq!(hidden.headers[0].1, "https://h.example/in/***");
        assert_eq!(hidden.headers[1].1, "***");
        assert_eq!(hidden.body, br#"{"u":"https://h/in/***","v":5}"#);
        // A signed request keeps the text that its signature covers.
        let signed = raw.clone().without_key(key, true);
        assert_eq!((&signed.query, &signed.body, &signed.headers), (&raw.query, &raw.body, &hidden.headers));
    }

    const START: Timestamp = Timestamp::from_millis(1_773_144_000_000);

    fn request() -> InboundRequest {
        let raw = RawRequest {
            method: "GET".into(),
            path: "/in/key".into(),
            query: String::new(),
            headers: vec![],
            body: vec![],
            truncated: false,
            remote_ip: None,
        };
        InboundRequest::arrived(InboundRequestId::new(START), SourceId::new(START), None, raw, START)
    }

    fn item(result: impl Into<OutcomeDetails>) -> Item {
        let result = result.into();
        Item {
            result,
            flags: vec![],
            notes: vec![],
            transaction_id: None,
            status: None,
            click_id: None,
            conversion_id: None,
        }
    }

    #[test]
    fn a_request_without_its_click_fails_after_a_day_of_growing_waits() {
        let (mut it, mut now, mut gaps) = (request(), START, Vec::new());
        while it.result.outcome == Outcome::Waiting {
            it.conclude(None, vec![item(Issue::ClickNotThere("06a5".into()))], now);
            if let Some(due) = it.due_at {
                gaps.push(due.since(now).as_secs());
                now = due;
            }
        }
        assert_eq!(gaps[..4], [2, 4, 8, 16]);
        assert!(gaps.iter().all(|gap| *gap <= 900));
        assert_eq!(now, START.plus(PATIENCE));
        assert_eq!((it.result.code.as_deref(), it.items[0].result.outcome), (Some("given_up"), Outcome::Failed));
        assert!(it.result.sentence.as_ref().is_some_and(|text| text.contains("no click 06a5")));
        assert_eq!((it.due_at, it.settled_at), (None, Some(now)));
    }

    #[test]
    fn an_unmapped_status_waits_thirty_days() {
        let mut it = request();
        it.conclude(None, vec![item(Issue::StatusUnknown("x".into()))], START);
        assert_eq!(it.due_at, Some(START.plus(PATIENCE_FOR_PEOPLE)));
        it.conclude(None, vec![item(Issue::StatusUnknown("x".into()))], START.plus(PATIENCE));
        assert_eq!(it.result.outcome, Outcome::Waiting);
        it.conclude(None, vec![item(Issue::StatusUnknown("x".into()))], START.plus(PATIENCE_FOR_PEOPLE));
        assert_eq!(it.result.outcome, Outcome::Failed);
    }

    #[test]
    fn the_outcome_of_a_request_is_the_most_important_of_its_items() {
        let mut it = request();
        let items = vec![item(OutcomeDetails::accepted()), item(Issue::ForeignClickId("x".into()))];
        it.conclude(None, items, START);
        assert_eq!((it.result.outcome, it.result.code.as_deref()), (Outcome::Refused, Some("foreign_click_id")));
        assert_eq!(it.settled_items().iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
        it.conclude(None, vec![], START);
        assert!(it.result.is("nothing_reported"));
    }
}
