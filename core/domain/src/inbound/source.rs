//! Sources: inbound endpoints for networks. Who may report there, and what the network's words mean.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amounts::Currency;
use crate::ids::{AffiliateId, SourceId};
use crate::people::api_key;
use crate::reports::zone::Zone;
use crate::timestamp::Timestamp;
use crate::tracking::conversion::Status;

use super::guards::Guards;

/// The adapter of the source that every affiliate has from the start.
pub const FIRST_ADAPTER: &str = "affrank";
/// The template that says the same.
const FIRST_TEMPLATE: &str = "affrank_inbound";
/// Where AffRank's adapter has its session unless its configuration says otherwise.
pub const AFFRANK_SESSION: &str = "affrank_sid";

const KEY_CHARS: usize = 32;
const ADDRESS: &str = "/in/";
const MASK: &str = "****";
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// An inbound endpoint, as it is stored.
#[derive(Clone, Debug)]
pub struct Source {
    pub id: SourceId,
    pub key: SourceKey,
    pub name: String,
    pub adapter: String,
    pub adapter_version: String,
    pub config: serde_json::Value,
    /// The template of the catalogue that it was made of.
    pub template: Option<String>,
    /// Whose it is: it then finds that affiliate's clicks only. `None` for the operator's, which find all.
    pub affiliate_id: Option<AffiliateId>,
    pub settings: SourceSettings,
    /// Whether its adapter adds parameters to landing URLs.
    pub decorates: bool,
    pub enabled: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub archived_at: Option<Timestamp>,
}

/// What makes a source's address unguessable, as it is stored: whoever has the key may report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceKey {
    /// By which a request finds its source.
    pub hash: String,
    /// The last characters, to tell addresses apart.
    pub hint: String,
    /// Of an affiliate's source, for that affiliate to read again. The operator's is shown once.
    pub sealed: Option<String>,
}

impl SourceKey {
    pub fn new(key: &str, sealed: Option<String>) -> Self {
        Self { hash: api_key::hash(key), hint: hint_of(key), sealed }
    }

    /// In place of the key, for everybody who is not shown it.
    pub fn masked(&self) -> String {
        format!("{MASK}{}", self.hint)
    }
}

fn hint_of(key: &str) -> String {
    key.chars().skip(key.chars().count().saturating_sub(4)).collect()
}

/// A text in which each address of a source ends as [`SourceKey::masked`] has it.
pub fn mask_addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(ADDRESS) {
        out.push_str(before);
        out.push_str(ADDRESS);
        let end = after.find(|it: char| !it.is_ascii_alphanumeric()).unwrap_or(after.len());
        let (key, tail) = after.split_at(end);
        // A shorter one is no key of ours, and no secret.
        let shown = if key.len() >= KEY_CHARS { format!("{MASK}{}", hint_of(key)) } else { key.to_owned() };
        out.push_str(&shown);
        rest = tail;
    }
    out.push_str(rest);
    out
}

impl Source {
    /// The source that an affiliate has from the start. It adds nothing to landing URLs until told to.
    pub fn first(affiliate_id: AffiliateId, key: SourceKey, at: Timestamp) -> Self {
        Self {
            id: SourceId::first_of(affiliate_id),
            key,
            name: "AffRank".into(),
            adapter: FIRST_ADAPTER.into(),
            adapter_version: String::new(),
            config: serde_json::json!({"append": false}),
            template: Some(FIRST_TEMPLATE.into()),
            affiliate_id: Some(affiliate_id),
            settings: SourceSettings {
                commission_is: Some(CommissionIs::Payout),
                without_transaction_id: WithoutTransactionId::EachReport,
                ..SourceSettings::default()
            },
            decorates: false,
            enabled: true,
            created_at: at,
            updated_at: at,
            archived_at: None,
        }
    }

    /// The parameter of our links in which a tracker passes a session id of its own.
    pub fn session_parameter(&self) -> Option<&str> {
        let affranks = || self.config.get("parameter").and_then(|it| it.as_str()).unwrap_or(AFFRANK_SESSION);
        let set = self.settings.session_parameter.as_deref();
        set.or_else(|| (self.adapter == FIRST_ADAPTER).then(affranks))
    }

    /// What the network's commission is to us: paid to us where the source is the operator's, to the affiliate where
    /// it is the affiliate's.
    pub fn commission_is(&self) -> CommissionIs {
        let by_owner = if self.affiliate_id.is_some() { CommissionIs::Payout } else { CommissionIs::Revenue };
        self.settings.commission_is.unwrap_or(by_owner)
    }
}

/// 160 random bits in 32 characters that survive every network's case.
pub fn new_key(random: [u8; KEY_CHARS]) -> String {
    random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

/// What the words of a network mean, how it is answered, and who may report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SourceSettings {
    /// The network's status words, in any case, and what they mean. Ours mean themselves.
    #[schema(example = json!({"1": "approved", "2": {"status": "rejected", "reason": "fraud"}, "3": "ignored"}))]
    pub statuses: BTreeMap<String, Meaning>,
    /// When the network sends no status; approved when absent.
    pub default_status: Option<Meaning>,
    pub unknown_status_reply: UnknownReply,
    pub amounts: Amounts,
    /// What the network's commission is to us, the amount that the adapter reads as `payout`. By default what we get
    /// (revenue) at the operator's sources, what the affiliate gets (payout) at an affiliate's.
    pub commission_is: Option<CommissionIs>,
    pub without_transaction_id: WithoutTransactionId,
    /// The parameter of our links in which a tracker passes a session id of its own, which the network then reports in
    /// place of our click id. That of AffRank's adapter when absent.
    #[schema(example = "affrank_sid")]
    pub session_parameter: Option<String>,
    /// Of times without one: "UTC", a place such as "Europe/Berlin", or an offset such as "+02:00".
    pub time_zone: Zone,
    /// To what was accepted; what the adapter says, or 200 OK, when absent.
    pub reply: Option<Reply>,
    pub guards: Guards,
}

/// What a status word of the network means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(
    untagged,
    expecting = "must be pending, approved, rejected or ignored, or an object such as {\"status\": \"rejected\", \"reason\": \"fraud\"}"
)]
pub enum Meaning {
    Word(MeaningWord),
    Reasoned(Reasoned),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reasoned {
    pub status: MeaningWord,
    /// Of a rejection.
    #[serde(default)]
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MeaningWord {
    Pending,
    Approved,
    Rejected,
    /// Nothing of ours: the report is logged and answered, and that is all.
    Ignored,
}

text_enum!(MeaningWord { Pending => "pending", Approved => "approved", Rejected => "rejected", Ignored => "ignored" });

impl Meaning {
    fn parts(&self) -> (MeaningWord, Option<&str>) {
        match self {
            Self::Word(word) => (*word, None),
            Self::Reasoned(Reasoned { status, reason }) => (*status, reason.as_deref()),
        }
    }

    /// The status, with the network's own reason where the settings have none. `None`: it is to be ignored.
    pub fn status(&self, reported_reason: Option<&str>) -> Option<Status> {
        let (word, reason) = self.parts();
        Status::from_parts(word.as_str(), reason.or(reported_reason))
    }

    pub fn reason(&self) -> Option<&str> {
        self.parts().1
    }

    fn is_rejection(&self) -> bool {
        self.parts().0 == MeaningWord::Rejected
    }
}

/// How a report is answered whose status word has no meaning yet. It waits for one in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownReply {
    #[default]
    Accept,
    Refuse,
}

/// What a network's commission is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommissionIs {
    /// The affiliate earns it, in place of what the offer pays.
    Payout,
    /// It is paid to us; the affiliate earns what the offer pays.
    Revenue,
    /// The offer's percentage is taken of it.
    Sale,
}

/// What a report is that has no transaction id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WithoutTransactionId {
    /// The one sale of its click and goal: another report changes it.
    #[default]
    OnePerClick,
    /// A sale of its own, unless it is the same request once more within ten minutes.
    EachReport,
}

/// How the network writes money.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Amounts {
    pub unit: Unit,
    /// When the network names none; the offer's when absent.
    pub currency: Option<Currency>,
    pub decimal: Decimal,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// 12.50
    #[default]
    Major,
    /// 1250 for 12.50 USD, 12 for 12 JPY
    Minor,
}

/// The decimal sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum Decimal {
    #[default]
    #[serde(rename = ".")]
    Point,
    #[serde(rename = ",")]
    Comma,
}

/// What the network reads when its report was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// 200 to 299.
    #[schema(example = 200)]
    pub status: u16,
    #[schema(example = "OK")]
    pub body: String,
}

impl SourceSettings {
    /// As answers show it.
    pub fn masked(mut self) -> Self {
        self.guards.mask();
        self
    }

    /// Everything wrong with it, with JSON pointers.
    pub fn issues(&self) -> Vec<(String, String)> {
        let mut issues = Vec::new();
        let mut add = |path: &str, message: &str| issues.push((path.to_owned(), message.to_owned()));
        if self.statuses.len() > 200 {
            add("/statuses", "at most 200 words");
        }
        for (word, meaning) in &self.statuses {
            let path = format!("/statuses/{}", word.replace('~', "~0").replace('/', "~1"));
            if word.trim().is_empty() || word.chars().count() > 100 {
                add(&path, "a status word has 1 to 100 characters");
            }
            if meaning.reason().is_some() && !meaning.is_rejection() {
                add(&path, "a reason belongs to the status rejected");
            }
            if meaning.reason().is_some_and(|reason| reason.trim().is_empty() || reason.chars().count() > 100) {
                add(&path, "a reason has 1 to 100 characters");
            }
        }
        let session = self.session_parameter.as_deref();
        if session.is_some_and(|name| name.trim().is_empty() || name.chars().count() > 100) {
            add("/session_parameter", "a parameter's name has 1 to 100 characters");
        }
        if self.reply.as_ref().is_some_and(|reply| !(200..300).contains(&reply.status)) {
            add("/reply/status", "must be 200 to 299: it is the answer to what was accepted");
        }
        if self.reply.as_ref().is_some_and(|reply| reply.body.len() > 4096) {
            add("/reply/body", "at most 4096 bytes");
        }
        issues.extend(self.guards.issues().into_iter().map(|(path, message)| (format!("/guards{path}"), message)));
        issues
    }

    /// What a status word means; `None` when nobody has said so yet.
    pub fn meaning(&self, word: &str) -> Option<Meaning> {
        let word = word.trim();
        let mapped = self.statuses.iter().find(|(known, _)| known.trim().to_lowercase() == word.to_lowercase());
        let own = || MeaningWord::from_word(&word.to_ascii_lowercase()).filter(|it| *it != MeaningWord::Ignored);
        mapped.map(|(_, meaning)| meaning.clone()).or_else(|| own().map(Meaning::Word))
    }

    /// What a report without a status means.
    pub fn meaning_of_none(&self) -> Meaning {
        self.default_status.clone().unwrap_or(Meaning::Word(MeaningWord::Approved))
    }
}

/// Changes settings in JSON by a merge patch (RFC 7396): what is not given stays, and null takes away. Status words are
/// the same in any case; what a word means, a guard or another thing of that depth is replaced as a whole.
pub fn merge_settings(settings: &mut serde_json::Value, patch: serde_json::Value) {
    use serde_json::Value;
    let same_word = |a: &str, b: &str| a.trim().to_lowercase() == b.trim().to_lowercase();
    let Value::Object(fields) = patch else { return *settings = patch };
    for (name, change) in fields {
        match (settings.get_mut(&name), change) {
            (Some(Value::Object(known)), Value::Object(changes)) => {
                for (entry, change) in changes {
                    if name == "statuses" {
                        known.retain(|word, _| !same_word(word, &entry));
                    }
                    if change.is_null() {
                        known.remove(&entry);
                    } else {
                        known.insert(entry, change);
                    }
                }
            }
            (_, Value::Null) => drop(settings.as_object_mut().and_then(|all| all.remove(&name))),
            (_, change) => settings[name] = without_nulls(change),
        }
    }
}

/// What a patch adds as a whole has nothing to take away.
fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(mut fields) => {
            fields.retain(|_, value| !value.is_null());
            serde_json::Value::Object(fields)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: serde_json::Value) -> SourceSettings {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn addresses_are_masked_wherever_they_stand() {
        let key = new_key([7; KEY_CHARS]);
        let masked = SourceKey::new(&key, None).masked();
        assert_eq!(masked, "****7777");
        for (text, wanted) in [
            (format!("/in/{key}"), format!("/in/{masked}")),
            (
                format!("https://x.example/in/{key}?a=/in/{key}/"),
                format!("https://x.example/in/{masked}?a=/in/{masked}/"),
            ),
            ("/in/short?x=/in/".to_owned(), "/in/short?x=/in/".to_owned()),
            ("nothing".to_owned(), "nothing".to_owned()),
        ] {
            assert_eq!(mask_addresses(&text), wanted);
        }
    }

    #[test]
    fn a_status_word_means_what_the_settings_say_in_any_case() {
        let it = settings(serde_json::json!({"statuses": {
            "1": "approved", "Sale": "pending", "2": {"status": "rejected", "reason": "fraud"}, "hold": "ignored",
        }}));
        let status = |word: &str, reason| it.meaning(word).map(|meaning| meaning.status(reason));
        let rejected = |reason: &str| Some(Some(Status::Rejected { reason: reason.into() }));
        assert_eq!(status("1", None), Some(Some(Status::Approved)));
        assert_eq!(status(" sale ", None), Some(Some(Status::Pending)));
        assert_eq!(status("2", Some("bad traffic")), rejected("fraud"));
        assert_eq!(status("HOLD", None), Some(None));
        // Ours mean themselves.
        assert_eq!(status("Approved", None), Some(Some(Status::Approved)));
        assert_eq!(status("rejected", Some("bad traffic")), rejected("bad traffic"));
        assert_eq!(status("rejected", None), rejected("unspecified"));
        for unknown in ["3", "", "ignored", "declined"] {
            assert_eq!(status(unknown, None), None, "{unknown}");
        }
        assert_eq!(it.meaning_of_none().status(None), Some(Status::Approved));
    }

    #[test]
    fn a_change_touches_what_it_names_and_null_takes_away() {
        let mut it = serde_json::to_value(settings(serde_json::json!({
            "statuses": {"1": "approved", "Sale": "pending", "2": {"status": "rejected", "reason": "fraud"}},
            "amounts": {"unit": "minor", "currency": "EUR"}, "reply": {"status": 200, "body": "1"}, "time_zone": "+02:00",
        })))
        .unwrap();
        let patch = serde_json::json!({
            "statuses": {"sale": "approved", "1": null, "2": "rejected", "3": "ignored"},
            "amounts": {"decimal": ",", "currency": null}, "reply": null, "time_zone": null,
        });
        merge_settings(&mut it, patch);
        let wanted = settings(serde_json::json!({
            "statuses": {"sale": "approved", "2": "rejected", "3": "ignored"},
            "amounts": {"unit": "minor", "decimal": ","},
        }));
        assert_eq!(serde_json::from_value::<SourceSettings>(it).unwrap(), wanted);
    }

    #[test]
    fn a_masked_secret_that_comes_back_keeps_what_is_stored() {
        let stored = settings(serde_json::json!({"guards": {
            "token": {"parameter": "token", "value": "first-secret"},
            "hmac": {"header": "X-Signature", "secret": "second-secret", "algorithm": "sha256"},
        }}));
        let shown = stored.clone().masked();
        assert!(!serde_json::to_string(&shown).unwrap().contains("secret\":\"second"));
        let mut back = shown.clone();
        back.guards.unmask(&stored.guards);
        assert_eq!(back, stored);
        assert_eq!(back.issues(), []);
        let lost = shown;
        assert_eq!(lost.issues().len(), 2, "a mask is no secret");
    }

    #[test]
    fn settings_that_cannot_work_name_the_field() {
        for (json, path) in [
            (serde_json::json!({"statuses": {"x": {"status": "approved", "reason": "why"}}}), "/statuses/x"),
            (serde_json::json!({"statuses": {" ": "approved"}}), "/statuses/ "),
            (serde_json::json!({"reply": {"status": 500, "body": ""}}), "/reply/status"),
            (serde_json::json!({"guards": {"token": {"parameter": "t", "value": "abc"}}}), "/guards/token/value"),
            (
                serde_json::json!({"guards": {"hmac": {"header": "a b", "secret": "long enough"}}}),
                "/guards/hmac/header",
            ),
        ] {
            let issues = settings(json).issues();
            assert_eq!(issues.first().map(|it| it.0.as_str()), Some(path), "{issues:?}");
        }
    }
}
