//! Sources: addresses at which networks report conversions, with guards and with the meaning of the network's words.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amounts::Currency;
use crate::ids::{self, AffiliateId, SourceId};
use crate::people::api_key;
use crate::reports::zone::Zone;
use crate::timestamp::Timestamp;
use crate::tracking::conversion::Status;
use crate::tracking::transaction::without_no_id;

use super::guards::Guards;

/// The adapter of the source that every affiliate has from the start.
pub(crate) const FIRST_ADAPTER: &str = "affrank";
/// The template of that source.
const FIRST_TEMPLATE: &str = "affrank_inbound";
/// The parameter with AffRank's session id, unless the configuration of its adapter names another one.
pub const AFFRANK_SESSION: &str = "affrank_sid";

const KEY_CHARS: usize = 32;
const ADDRESS: &str = "/in/";
const MASK: &str = "****";

/// A source as it is stored.
#[derive(Clone, Debug)]
pub struct Source {
    /// Id of the source.
    pub id: SourceId,
    /// The secret part of its address.
    pub key: SourceKey,
    /// The name that people see.
    pub name: String,
    /// Id of the adapter that parses its requests.
    pub adapter: String,
    /// Version of that adapter.
    pub adapter_version: String,
    /// The adapter's configuration.
    pub config: serde_json::Value,
    /// Id of the catalogue template that it was made from.
    pub template: Option<String>,
    /// The affiliate that owns it; the source then finds only that affiliate's clicks. `None` for the operator's
    /// sources, which find all clicks.
    pub affiliate_id: Option<AffiliateId>,
    /// How it interprets and answers requests.
    pub settings: SourceSettings,
    /// Whether its adapter adds parameters to landing page URLs.
    pub decorates: bool,
    /// Whether it accepts requests.
    pub enabled: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was archived; an archived source accepts no requests.
    pub archived_at: Option<Timestamp>,
}

/// The secret part of a source's address, as it is stored: it allows to send notifications to the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceKey {
    /// Hash of the key, by which a request finds its source.
    pub hash: String,
    /// The last four characters, to distinguish addresses.
    pub hint: String,
    /// The sealed key of an affiliate's source, which that affiliate can read again. The operator's keys are shown only
    /// once.
    pub sealed: Option<String>,
}

impl SourceKey {
    /// The stored form of `key`.
    pub fn new(key: &str, sealed: Option<String>) -> Self {
        Self { hash: api_key::hash(key), hint: hint_of(key), sealed }
    }

    /// The masked key, for readers who may not see it: `****` and the hint.
    pub fn masked(&self) -> String {
        format!("{MASK}{}", self.hint)
    }
}

fn hint_of(key: &str) -> String {
    key.chars().skip(key.chars().count().saturating_sub(4)).collect()
}

/// The text with the key of each source address masked as in [`SourceKey::masked`].
pub fn mask_addresses(text: &str) -> String {
    // The address works in capitals too.
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = lower[text.len() - rest.len()..].find(ADDRESS) {
        let (before, after) = rest.split_at(at + ADDRESS.len());
        out.push_str(before);
        let end = after.find(|it: char| !it.is_ascii_alphanumeric()).unwrap_or(after.len());
        let (key, tail) = after.split_at(end);
        // A shorter text is not a key.
        let shown = if key.len() >= KEY_CHARS { format!("{MASK}{}", hint_of(key)) } else { key.to_owned() };
        out.push_str(&shown);
        rest = tail;
    }
    out.push_str(rest);
    out
}

impl Source {
    /// The source that an affiliate has from the start. It adds the session of a click to landing page URLs.
    pub fn first(affiliate_id: AffiliateId, key: SourceKey, at: Timestamp) -> Self {
        Self {
            id: SourceId::first_of(affiliate_id),
            key,
            name: "AffRank".into(),
            adapter: FIRST_ADAPTER.into(),
            adapter_version: String::new(),
            config: serde_json::json!({"append": true}),
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

    /// Whether it is the source that its affiliate has from the start.
    pub fn is_first(&self) -> bool {
        self.affiliate_id.is_some_and(|owner| self.id == SourceId::first_of(owner))
    }

    /// The parameter in which it adds the id of a click to the landing page URL, as AffRank's session. `None`: it adds
    /// none, or its adapter decides. No adapter is called for this rule, because it applies to almost every click.
    pub fn appended_session(&self) -> Option<&str> {
        let appends = self.config.get("append").and_then(serde_json::Value::as_bool).unwrap_or(true);
        // A source that was never configured is as it was made, also if an earlier release made it.
        let appends = self.adapter == FIRST_ADAPTER && (appends || self.adapter_version.is_empty());
        appends.then(|| self.affrank_parameter())
    }

    /// Whether it adds parameters to landing page URLs.
    pub fn decorates_clicks(&self) -> bool {
        self.decorates || self.appended_session().is_some()
    }

    fn affrank_parameter(&self) -> &str {
        self.config.get("parameter").and_then(|it| it.as_str()).unwrap_or(AFFRANK_SESSION)
    }

    /// The parameter of affiliate links in which a tracker passes its own session id.
    pub fn session_parameter(&self) -> Option<&str> {
        let set = self.settings.session_parameter.as_deref();
        set.or_else(|| (self.adapter == FIRST_ADAPTER).then(|| self.affrank_parameter()))
    }

    /// What the network's commission means. The default is the payout for an affiliate's source and the revenue for the
    /// operator's.
    pub fn commission_is(&self) -> CommissionIs {
        let by_owner = if self.affiliate_id.is_some() { CommissionIs::Payout } else { CommissionIs::Revenue };
        self.settings.commission_is.unwrap_or(by_owner)
    }
}

/// A key of 160 random bits in 32 characters. It is case-insensitive, because networks change the case of URLs. Only
/// the low five bits of each byte are used.
pub fn new_key(random: [u8; KEY_CHARS]) -> String {
    ids::characters(&random)
}

/// How a source interprets the words of a network, how it answers, and who may send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SourceSettings {
    /// The network's status words, in any case, and their meanings: at most 200 words of 1 to 100 characters. Words that
    /// every network uses alike (pending, approved, rejected, declined, refunded, paid and others) need no entry.
    #[schema(example = json!({"1": "approved", "2": {"status": "rejected", "reason": "fraud"}, "3": "ignored"}))]
    pub statuses: BTreeMap<String, Meaning>,
    /// The meaning of a notification without a status; approved if absent.
    pub default_status: Option<Meaning>,
    /// The reply to a status word without a meaning; `accept` if absent.
    pub unknown_status_reply: UnknownReply,
    /// The requests that report no sale: the names of parameters, and the values with which the request is ignored, in any
    /// case. Without values, any value but an empty one. At most 20 parameters with 50 values each.
    #[schema(example = json!({"is_event": ["Y"], "event": ["ping", "subscription_created"]}))]
    pub ignore_if: BTreeMap<String, Vec<String>>,
    /// The reply to a notification that is refused although the guards admit it; `error` if absent.
    pub refused_reply: RefusedReply,
    /// How the network writes amounts.
    pub amounts: Amounts,
    /// What the network's commission means: the amount that the adapter reads as `payout`. The default is `revenue` for
    /// the program's sources and `payout` for an affiliate's.
    pub commission_is: Option<CommissionIs>,
    /// How notifications without a transaction id are counted; `one_per_click` if absent.
    pub without_transaction_id: WithoutTransactionId,
    /// What a transaction id means that was reported before; `same_sale` if absent.
    pub repeated_transaction_id: RepeatedTransactionId,
    /// The parameters of the request that identify a sale together, such as the ids of the order and of the instalment: at
    /// most 5. Empty ones are skipped, but the first must have a value. If there are none, the adapter reads the
    /// transaction id.
    #[schema(max_items = 5)]
    pub transaction_id_parameters: Vec<String>,
    /// The parameter of a rejection or refund that has the transaction id of the sale, if the network gives refunds ids of
    /// their own: 1 to 100 characters.
    #[schema(example = "parent_transaction_id", min_length = 1, max_length = 100)]
    pub reversal_parameter: Option<String>,
    /// The text before the transaction id of the sale in the id of a rejection or refund, in any case: 1 to 20 characters.
    #[schema(example = "r-", min_length = 1, max_length = 20)]
    pub reversal_prefix: Option<String>,
    /// Whether the network may take a rejection back; `final` if absent.
    pub rejections: Rejections,
    /// The parameter of affiliate links in which a tracker passes its own session id, which the network then reports
    /// instead of the click id: 1 to 100 characters. The default is the parameter of the AffRank adapter; other
    /// adapters have none.
    #[schema(example = "affrank_sid", min_length = 1, max_length = 100)]
    pub session_parameter: Option<String>,
    /// The zone of times without an offset: "UTC" (the default), a place such as "Europe/Berlin", or an offset such as
    /// "+02:00".
    pub time_zone: Zone,
    /// What comes first in a date such as 04/03/2026. If absent, such times are left out.
    pub date_order: Option<DateOrder>,
    /// The reply to accepted notifications; that of the adapter, or 200 OK, if absent.
    pub reply: Option<Reply>,
    /// Who may send.
    pub guards: Guards,
}

/// The meaning of a network's status word: a status, or the status `rejected` with a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Meaning {
    /// A status without a reason.
    Word(MeaningWord),
    /// A status with a reason.
    Reasoned(Reasoned),
}

impl<'de> Deserialize<'de> for Meaning {
    /// A word, or an object with names: what serde derives for an untagged enum also takes a list.
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(MeaningVisitor)
    }
}

struct MeaningVisitor;

impl<'de> serde::de::Visitor<'de> for MeaningVisitor {
    type Value = Meaning;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "pending, approved, rejected or ignored, or an object such as {\"status\": \"rejected\", \"reason\": \"fraud\"}",
        )
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Meaning, E> {
        let known = MeaningWord::from_word(word).map(Meaning::Word);
        known.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(word), &self))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, members: A) -> Result<Meaning, A::Error> {
        Reasoned::deserialize(serde::de::value::MapAccessDeserializer::new(members)).map(Meaning::Reasoned)
    }
}

/// A status with the reason of a rejection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = MeaningWithReason)]
#[serde(deny_unknown_fields)]
pub struct Reasoned {
    /// The status.
    pub status: MeaningWord,
    /// The reason, if the status is rejected: 1 to 100 characters. The default is the reason that the network sends.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100)]
    pub reason: Option<String>,
}

/// The status that a network's word stands for. A notification with an `ignored` word is logged and answered, and has
/// no other effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = NotificationMeaning)]
pub enum MeaningWord {
    /// The conversion is pending.
    Pending,
    /// The conversion is approved.
    Approved,
    /// The conversion is rejected.
    Rejected,
    /// The notification is logged and answered, and has no other effect.
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

    /// The status, with the reason of the settings or else the reported one. `None`: the notification is ignored.
    pub fn status(&self, reported_reason: Option<&str>) -> Option<Status> {
        let (word, reason) = self.parts();
        Status::from_parts(word.as_str(), reason.or(reported_reason))
    }

    /// The reason in the settings.
    pub fn reason(&self) -> Option<&str> {
        self.parts().1
    }

    fn is_rejection(&self) -> bool {
        self.parts().0 == MeaningWord::Rejected
    }
}

/// The reply to a notification whose status word has no meaning yet. `accept`: as if it was accepted. `refuse`: status
/// 422. In both cases the notification waits for a meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownReply {
    /// As if it had been accepted.
    #[default]
    Accept,
    /// With an error.
    Refuse,
}

/// The reply to a notification that cannot be used. `error`: status 422, so that the network's own log shows it. `accept`: as
/// if it was accepted, for networks that switch an address off, or send again for days, after an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusedReply {
    /// With an error.
    #[default]
    Error,
    /// As if it had been accepted.
    Accept,
}

/// What a network's commission means. `payout`: the affiliate earns it, instead of the offer's payout. `revenue`: the
/// network pays it to the program, and the affiliate earns the offer's payout. `sale`: it is the amount of the sale, of
/// which the offer pays a percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommissionIs {
    /// The affiliate earns it, instead of the offer's payout.
    Payout,
    /// The network pays it to the program; the affiliate earns the offer's payout.
    Revenue,
    /// It is the amount of the sale, of which the offer pays a percentage.
    Sale,
}

/// How notifications without a transaction id are counted. `one_per_click`: one sale for each click and goal; a later
/// notification changes it. `each_report`: one sale for each notification, except if the same request is repeated
/// within ten minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WithoutTransactionId {
    /// One sale for each click and goal: a later notification changes it.
    #[default]
    OnePerClick,
    /// One sale for each notification, except if the same request is repeated within ten minutes.
    EachReport,
}

/// What a transaction id means that the source reported before. `same_sale`: the same sale, whose status and amounts it
/// changes. `new_payment`: an approved or pending notification is the next payment of a subscription, a sale of its own
/// with the transaction id `T1~2`, `T1~3`; an approval means a pending payment if there is one, a rejection or refund the
/// newest payment. The same request that arrives again within twelve hours is no new payment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RepeatedTransaction)]
pub enum RepeatedTransactionId {
    /// The same sale, whose status and amounts it changes.
    #[default]
    SameSale,
    /// The next payment of a subscription, as a sale of its own.
    NewPayment,
}

/// Whether the network may take a rejection back. `final`: an approval of a rejected conversion is refused. `reversible`:
/// it approves the conversion again, unless a person or a rule of the program rejected it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rejections {
    /// An approval of a rejected conversion is refused.
    #[default]
    Final,
    /// An approval approves the conversion again, unless a person or a rule of the program rejected it.
    Reversible,
}

/// How the network writes amounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = AmountFormat)]
pub struct Amounts {
    /// The unit of the numbers; `major` if absent.
    pub unit: Unit,
    /// The currency of amounts for which the network sends none; the offer's currency if absent.
    pub currency: Option<Currency>,
    /// The decimal separator; "." if absent.
    pub decimal: Decimal,
    /// How the network writes the value of the sale, if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sale: Option<AmountNotation>,
    /// How the network writes the amount that the adapter reads as `payout`, if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payout: Option<AmountNotation>,
    /// How the network writes what the advertiser pays, if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revenue: Option<AmountNotation>,
}

/// How the network writes one amount, as far as it differs from the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AmountNotation {
    /// The unit of the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// The currency, whatever currency the network names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
}

/// What comes first in a date of numbers. `day_first`: 20/11/2026. `month_first`: 11/20/2026.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DateOrder {
    /// 20/11/2026.
    DayFirst,
    /// 11/20/2026.
    MonthFirst,
}

/// The unit of amounts. `major`: units of the currency, 12.50. `minor`: minor units, 1250 for 12.50 USD, 12 for 12 JPY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AmountUnit)]
pub enum Unit {
    /// Units of the currency: 12.50.
    #[default]
    Major,
    /// Minor units: 1250 for 12.50 USD, 12 for 12 JPY.
    Minor,
}

/// The decimal separator of amounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = DecimalSeparator)]
pub enum Decimal {
    /// A point.
    #[default]
    #[serde(rename = ".")]
    Point,
    /// A comma.
    #[serde(rename = ",")]
    Comma,
}

/// The reply to an accepted notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SourceReply)]
pub struct Reply {
    /// HTTP status, 200 to 299.
    #[schema(example = 200, minimum = 200, maximum = 299)]
    pub status: u16,
    /// The body, at most 4096 bytes.
    #[schema(example = "OK", max_length = 4096)]
    pub body: String,
}

/// The parameter that identifies a sale has no value; holds its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdentityMissing(pub String);

/// The meaning of a word that every network uses alike. `accepted` has none: for some it is approved, for others it is
/// not decided.
fn common_meaning(word: &str) -> Option<MeaningWord> {
    Some(match word.to_ascii_lowercase().as_str() {
        "pending" | "hold" | "waiting" | "new" | "processing" => MeaningWord::Pending,
        "approved" | "confirmed" | "paid" | "completed" | "sale" => MeaningWord::Approved,
        "rejected" | "declined" | "canceled" | "cancelled" | "reversed" | "refund" | "refunded" | "chargeback"
        | "trash" | "double" | "fraud" | "invalid" => MeaningWord::Rejected,
        _ => return None,
    })
}

/// The reason of a rejection that a common status word gives; `None` if it gives none.
pub(super) fn common_reason(word: &str) -> Option<&'static str> {
    Some(match word.trim().to_ascii_lowercase().as_str() {
        "canceled" | "cancelled" => "cancelled",
        "refund" | "refunded" => "refund",
        "chargeback" => "chargeback",
        "double" => "duplicate",
        "fraud" => "fraud",
        "invalid" => "invalid",
        _ => return None,
    })
}

/// The JSON pointer to a member of an object.
fn member(object: &str, name: &str) -> String {
    format!("{object}/{}", name.replace('~', "~0").replace('/', "~1"))
}

impl SourceSettings {
    /// The settings with masked secrets, for responses.
    pub fn masked(mut self) -> Self {
        self.guards.mask();
        self
    }

    /// The settings with the status words spelled as in `words`. They are compared without case, so that a change of a
    /// word replaces it.
    pub fn respelled<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        let same = |a: &str, b: &str| a.trim().to_lowercase() == b.trim().to_lowercase();
        for word in words {
            let known = self.statuses.keys().find(|known| same(known, word)).cloned();
            if let Some(meaning) = known.and_then(|known| self.statuses.remove(&known)) {
                self.statuses.insert(word.to_owned(), meaning);
            }
        }
        self
    }

    /// Everything that is invalid: JSON pointers and sentences.
    pub fn issues(&self) -> Vec<(String, String)> {
        let mut issues = Vec::new();
        let mut add = |path: &str, message: &str| issues.push((path.to_owned(), message.to_owned()));
        if self.statuses.len() > 200 {
            add("/statuses", "at most 200 words");
        }
        for (word, meaning) in &self.statuses {
            let path = member("/statuses", word);
            if word.trim().is_empty() || word.chars().count() > 100 {
                add(&path, "a status word must have 1 to 100 characters");
            }
            if meaning.reason().is_some() && !meaning.is_rejection() {
                add(&path, "only the status rejected can have a reason");
            }
            if meaning.reason().is_some_and(|reason| reason.trim().is_empty() || reason.chars().count() > 100) {
                add(&path, "a reason must have 1 to 100 characters");
            }
        }
        let session = self.session_parameter.as_deref();
        if session.is_some_and(|name| name.trim().is_empty() || name.chars().count() > 100) {
            add("/session_parameter", "the name of a parameter must have 1 to 100 characters");
        }
        let is_name = |name: &String| !name.trim().is_empty() && name.chars().count() <= 100;
        if self.reversal_parameter.as_ref().is_some_and(|name| !is_name(name)) {
            add("/reversal_parameter", "the name of a parameter must have 1 to 100 characters");
        }
        let is_prefix = |it: &String| !it.is_empty() && it.trim() == it && it.chars().count() <= 20;
        if self.reversal_prefix.as_ref().is_some_and(|it| !is_prefix(it)) {
            add("/reversal_prefix", "must have 1 to 20 characters, without spaces around them");
        }
        if self.transaction_id_parameters.len() > 5 || !self.transaction_id_parameters.iter().all(is_name) {
            add("/transaction_id_parameters", "at most 5 names of parameters, each with 1 to 100 characters");
        }
        if self.ignore_if.len() > 20 {
            add("/ignore_if", "at most 20 parameters");
        }
        for (name, values) in &self.ignore_if {
            let path = member("/ignore_if", name);
            if !is_name(name) {
                add(&path, "the name of a parameter must have 1 to 100 characters");
            }
            if values.len() > 50 {
                add(&path, "at most 50 values");
            }
            for (index, _) in values.iter().enumerate().filter(|(_, value)| value.chars().count() > 200) {
                add(&format!("{path}/{index}"), "must have at most 200 characters");
            }
        }
        if self.reply.as_ref().is_some_and(|reply| !(200..300).contains(&reply.status)) {
            add("/reply/status", "must be 200 to 299, because it is the reply to accepted notifications");
        }
        if self.reply.as_ref().is_some_and(|reply| reply.body.len() > 4096) {
            add("/reply/body", "at most 4096 bytes");
        }
        issues.extend(self.guards.issues().into_iter().map(|(path, message)| (format!("/guards{path}"), message)));
        issues
    }

    /// The meaning of a status word, in any case: that of the settings, else the common one; `None` if it has none yet.
    pub fn meaning(&self, word: &str) -> Option<Meaning> {
        let word = word.trim();
        let mapped = self.statuses.iter().find(|(known, _)| known.trim().to_lowercase() == word.to_lowercase());
        mapped.map(|(_, meaning)| meaning.clone()).or_else(|| common_meaning(word).map(Meaning::Word))
    }

    /// The parameter by which a request is ignored.
    pub fn ignoring_parameter(&self, value: impl Fn(&str) -> Option<String>) -> Option<&str> {
        let is_ignored = |name: &str, values: &[String]| {
            let found = value(name).map(|it| it.trim().to_lowercase()).filter(|it| !it.is_empty());
            found.is_some_and(|found| values.is_empty() || values.iter().any(|it| it.trim().to_lowercase() == found))
        };
        self.ignore_if.iter().find(|(name, values)| is_ignored(name, values)).map(|(name, _)| name.as_str())
    }

    /// Whether [`Self::transaction_id`] can find one.
    pub fn names_parameters(&self) -> bool {
        self.reversal_parameter.is_some() || !self.transaction_id_parameters.is_empty()
    }

    /// The transaction id that the parameters of a request give instead of the adapter: of the sale that a reversal (a rejection
    /// or refund) takes back, or of a sale that several parameters identify.
    ///
    /// # Errors
    /// The first parameter of the identity has no value.
    pub fn transaction_id(
        &self,
        parameter: impl Fn(&str) -> Option<String>,
        is_reversal: bool,
    ) -> Result<Option<String>, IdentityMissing> {
        let value = |name: &str| without_no_id(parameter(name)).map(|value| value.trim().to_owned());
        if let Some(id) = self.reversal_parameter.as_deref().filter(|_| is_reversal).and_then(value) {
            return Ok(Some(id));
        }
        let Some((first, others)) = self.transaction_id_parameters.split_first() else { return Ok(None) };
        let first = value(first).ok_or_else(|| IdentityMissing(first.clone()))?;
        let parts = std::iter::once(first).chain(others.iter().filter_map(|name| value(name)));
        Ok(Some(parts.collect::<Vec<_>>().join("-")))
    }

    /// The transaction id of the sale that a reversal takes back: its own id without the prefix.
    pub fn without_reversal_prefix<'a>(&self, id: &'a str) -> &'a str {
        let prefix = self.reversal_prefix.as_deref().unwrap_or_default();
        match id.split_at_checked(prefix.len()) {
            Some((beginning, rest)) if !rest.is_empty() && beginning.eq_ignore_ascii_case(prefix) => rest,
            _ => id,
        }
    }

    /// The meaning of a notification without a status.
    pub fn meaning_of_none(&self) -> Meaning {
        self.default_status.clone().unwrap_or(Meaning::Word(MeaningWord::Approved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: serde_json::Value) -> SourceSettings {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_first_source_appends_its_session_until_it_is_configured_otherwise() {
        let at = Timestamp::from_millis(0);
        let first = Source::first(AffiliateId::new(at), SourceKey::default(), at);
        assert_eq!((first.appended_session(), first.is_first()), (Some("affrank_sid"), true));
        let with = |version: &str, config| Source { adapter_version: version.into(), config, ..first.clone() };
        assert_eq!(with("", serde_json::json!({"append": false})).appended_session(), Some("affrank_sid"));
        assert_eq!(with("1.0.0", serde_json::json!({"append": false})).appended_session(), None);
        assert_eq!(with("1.0.0", serde_json::json!({"parameter": "subid"})).appended_session(), Some("subid"));
        let other = Source { adapter: "mylead".into(), id: SourceId::new(at), ..first };
        assert_eq!((other.appended_session(), other.is_first()), (None, false));
    }

    #[test]
    fn addresses_are_masked_anywhere_in_a_text() {
        let key = new_key([7; KEY_CHARS]);
        let masked = SourceKey::new(&key, None).masked();
        assert_eq!(masked, "****7777");
        for (text, wanted) in [
            (format!("/in/{key}"), format!("/in/{masked}")),
            (
                format!("https://x.example/in/{key}?a=/in/{key}/"),
                format!("https://x.example/in/{masked}?a=/in/{masked}/"),
            ),
            (format!("a /IN/{key}"), format!("a /IN/{masked}")),
            ("/in/short?x=/in/".to_owned(), "/in/short?x=/in/".to_owned()),
            ("nothing".to_owned(), "nothing".to_owned()),
        ] {
            assert_eq!(mask_addresses(&text), wanted);
        }
    }

    #[test]
    fn status_words_are_mapped_without_case() {
        let it = settings(serde_json::json!({"statuses": {
            "1": "approved", "Sale": "pending", "2": {"status": "rejected", "reason": "fraud"}, "hold": "ignored",
        }}));
        let status = |word: &str, reason| it.meaning(word).map(|meaning| meaning.status(reason));
        let rejected = |reason: &str| Some(Some(Status::Rejected { reason: reason.into() }));
        assert_eq!(status("1", None), Some(Some(Status::Approved)));
        assert_eq!(status(" sale ", None), Some(Some(Status::Pending)));
        assert_eq!(status("2", Some("bad traffic")), rejected("fraud"));
        assert_eq!(status("HOLD", None), Some(None));
        // Postrider's own words.
        assert_eq!(status("Approved", None), Some(Some(Status::Approved)));
        assert_eq!(status("rejected", Some("bad traffic")), rejected("bad traffic"));
        assert_eq!(status("rejected", None), rejected("unspecified"));
        // Words that every network uses alike.
        for (word, wanted) in [
            ("Declined", rejected("unspecified")),
            ("cancelled", rejected("unspecified")),
            ("Paid", Some(Some(Status::Approved))),
            ("processing", Some(Some(Status::Pending))),
        ] {
            assert_eq!(status(word, None), wanted, "{word}");
        }
        for unknown in ["3", "", "ignored", "accepted"] {
            assert_eq!(status(unknown, None), None, "{unknown}");
        }
        assert_eq!(it.meaning_of_none().status(None), Some(Status::Approved));
    }

    #[test]
    fn a_status_word_is_known_in_any_spelling() {
        let it = settings(serde_json::json!({"statuses": {"1": "approved", "Sale": "pending"}}));
        let wanted = settings(serde_json::json!({"statuses": {"1": "approved", "sALE": "pending"}}));
        assert_eq!(it.respelled(["sALE", "2"]), wanted);
    }

    #[test]
    fn a_masked_secret_keeps_the_stored_one() {
        let stored = settings(serde_json::json!({"guards": {
            "token": {"parameter": "token", "value": "first-secret"},
            "hmac": {"header": "X-Signature", "secret": "second-secret", "algorithm": "sha256"},
            "hash": {"parameter": "sig", "secret": "second-hashed", "algorithm": "md5", "text": "{a}{secret}"},
        }}));
        let shown = stored.clone().masked();
        assert!(!serde_json::to_string(&shown).unwrap().contains("secret\":\"second"));
        let mut back = shown.clone();
        back.guards.unmask(&stored.guards);
        assert_eq!(back, stored);
        assert_eq!(back.issues(), []);
        let lost = shown;
        assert_eq!(lost.issues().len(), 3, "a mask is not a secret");
        let encrypted = settings(serde_json::json!({"guards": {
            "encryption": {"scheme": "clickbank", "secret": "fourth-secret"},
        }}));
        let shown = encrypted.clone().masked();
        assert!(!serde_json::to_string(&shown).unwrap().contains("fourth"));
        assert_eq!((encrypted.issues().len(), shown.issues().len()), (0, 1));
    }

    #[test]
    fn a_prefix_is_removed_from_the_id_of_a_reversal() {
        let it = settings(serde_json::json!({"reversal_prefix": "r-"}));
        for (id, wanted) in [("r-7", "7"), ("R-7", "7"), ("r-r-7", "r-7"), ("7", "7"), ("r-", "r-"), ("ü7", "ü7")] {
            assert_eq!(it.without_reversal_prefix(id), wanted);
        }
        assert_eq!(settings(serde_json::json!({})).without_reversal_prefix("r-7"), "r-7");
    }

    #[test]
    fn parameters_identify_a_sale_or_the_sale_that_a_rejection_takes_back() {
        let it = settings(serde_json::json!({
            "transaction_id_parameters": ["order", "instalment"], "reversal_parameter": "parent",
        }));
        let of = |query: &str, is_rejection| {
            let parameters: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let value = |name: &str| parameters.iter().find(|it| it.0 == name).map(|it| it.1.clone());
            it.transaction_id(value, is_rejection).map_err(|error| error.0)
        };
        for (query, is_rejection, wanted) in [
            ("order=7&instalment=2", false, Ok(Some("7-2"))),
            ("order=7&instalment=2&parent=5-1", false, Ok(Some("7-2"))),
            ("order=7&instalment=2&parent=5-1", true, Ok(Some("5-1"))),
            ("order=7&instalment=2&parent=null", true, Ok(Some("7-2"))),
            ("order=7&instalment=", false, Ok(Some("7"))),
            ("order=undefined&instalment=2", false, Err("order")),
            ("instalment=2", false, Err("order")),
        ] {
            let wanted = wanted.map(|id: Option<&str>| id.map(str::to_owned)).map_err(str::to_owned);
            assert_eq!(of(query, is_rejection), wanted, "{query}");
        }
        assert_eq!(settings(serde_json::json!({})).transaction_id(|_| None, true), Ok(None));
    }

    #[test]
    fn parameters_tell_that_a_request_is_ignored() {
        let it = settings(serde_json::json!({"ignore_if": {"is_event": ["Y", "1"], "ping": []}}));
        for (query, wanted) in [
            ("is_event=y", Some("is_event")),
            ("is_event= 1", Some("is_event")),
            ("is_event=N", None),
            ("other=Y", None),
            ("is_event=N&ping=anything", Some("ping")),
            ("ping=+", None),
        ] {
            let parameters: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let value = |name: &str| parameters.iter().find(|it| it.0 == name).map(|it| it.1.clone());
            assert_eq!(it.ignoring_parameter(value), wanted, "{query}");
        }
    }

    #[test]
    fn issues_name_the_field() {
        for (json, path) in [
            (serde_json::json!({"statuses": {"x": {"status": "approved", "reason": "why"}}}), "/statuses/x"),
            (serde_json::json!({"statuses": {" ": "approved"}}), "/statuses/ "),
            (serde_json::json!({"reversal_parameter": " "}), "/reversal_parameter"),
            (serde_json::json!({"reversal_prefix": ""}), "/reversal_prefix"),
            (serde_json::json!({"ignore_if": {"": []}}), "/ignore_if/"),
            (serde_json::json!({"ignore_if": {"a/b": vec!["x"; 51]}}), "/ignore_if/a~1b"),
            (serde_json::json!({"ignore_if": {"a": ["y".repeat(201)]}}), "/ignore_if/a/0"),
            (serde_json::json!({"transaction_id_parameters": ["a", ""]}), "/transaction_id_parameters"),
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
