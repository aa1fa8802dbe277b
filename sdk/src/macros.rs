//! The macros of Postrider: token, description, example, and the origin of the value.
//!
//! A value is plain text; the caller encodes it for a URL. A missing value is the empty text.

use std::borrow::Cow;

use crate::types::*;
use crate::{money, time, tokens};

/// The text of a macro for one event; `None` if the event has no value.
type Value<'a> = Option<Cow<'a, str>>;

/// One macro; see [`find`].
pub struct Macro {
    token: &'static str,
    description: &'static str,
    example: &'static str,
    personal_data: bool,
    value: for<'a> fn(&'a Event) -> Value<'a>,
}

/// A value that identifies nobody.
const fn public(
    token: &'static str,
    description: &'static str,
    example: &'static str,
    value: for<'a> fn(&'a Event) -> Value<'a>,
) -> Macro {
    Macro { token, description, example, personal_data: false, value }
}

/// A value that identifies the buyer or visitor.
const fn personal(
    token: &'static str,
    description: &'static str,
    example: &'static str,
    value: for<'a> fn(&'a Event) -> Value<'a>,
) -> Macro {
    Macro { token, description, example, personal_data: true, value }
}

#[rustfmt::skip]
static MACROS: &[Macro] = &[
    public("click_id", "Postrider's id of the click", "06bq3x8k2m7v1d5r9t4w6y8z0a", |e| text(&click(e)?.id)),
    public("external_click_id", "The click id of the network or tracker, taken from the link", "abc-123", |e| optional(&click(e)?.external_id)),
    public("sub1", "Sub id 1 of the click", "newsletter", |e| sub(e, "sub1")),
    public("sub2", "Sub id 2 of the click", "banner-3", |e| sub(e, "sub2")),
    public("sub3", "Sub id 3 of the click", "footer", |e| sub(e, "sub3")),
    public("sub4", "Sub id 4 of the click", "blue", |e| sub(e, "sub4")),
    public("sub5", "Sub id 5 of the click", "mobile", |e| sub(e, "sub5")),
    public("sub6", "Sub id 6 of the click", "6", |e| sub(e, "sub6")),
    public("sub7", "Sub id 7 of the click", "7", |e| sub(e, "sub7")),
    public("sub8", "Sub id 8 of the click", "8", |e| sub(e, "sub8")),
    public("sub9", "Sub id 9 of the click", "9", |e| sub(e, "sub9")),
    public("sub10", "Sub id 10 of the click", "10", |e| sub(e, "sub10")),
    public("affiliate_id", "Postrider's id of the affiliate", "aff_06bq3x8k2m7v1d5r9t4w6y8z0a", |e| text(&e.affiliate.id)),
    public("affiliate_name", "Name of the affiliate", "Ada Lovelace", |e| text(&e.affiliate.name)),
    public("referral_code", "Referral code of the affiliate", "AF12345", |e| attribute(&e.affiliate.attributes, "referral_code")),
    public("offer_id", "Postrider's id of the offer", "off_06bq3x8k2m7v1d5r9t4w6y8z0a", |e| text(&e.offer.as_ref()?.id)),
    public("offer_name", "Name of the offer", "Starter plan", |e| text(&e.offer.as_ref()?.name)),
    public("conversion_id", "Postrider's id of the conversion", "cnv_06bq3x8k2m7v1d5r9t4w6y8z0a", |e| text(&conversion(e)?.id)),
    public("transaction_id", "The advertiser's own id of the conversion", "order-1001", |e| text(&conversion(e)?.transaction_id)),
    public("goal", "Goal of the conversion", "sale", |e| optional(&conversion(e)?.goal)),
    public("status", "Status of the conversion: pending, approved or rejected", "approved", |e| text(conversion(e)?.status.as_str())),
    public("previous_status", "Status of the conversion before this change", "pending", |e| text(conversion(e)?.previous_status.as_ref()?.as_str())),
    public("rejection_reason", "Code of the rejection reason, if the conversion is rejected", "duplicate", rejection_reason),
    public("payout", "Payout: the amount that the affiliate earns", "12.50", |e| amount(&conversion(e)?.payout)),
    public("revenue", "Revenue: the amount that the advertiser pays", "20.00", |e| amount(&conversion(e)?.revenue)),
    public("amount", "Value of the sale", "49.00", |e| amount(&conversion(e)?.sale)),
    public("payout_minor", "Payout in the currency's minor unit, such as cents", "1250", |e| minor(&conversion(e)?.payout)),
    public("revenue_minor", "Revenue in the currency's minor unit", "2000", |e| minor(&conversion(e)?.revenue)),
    public("amount_minor", "Value of the sale in the currency's minor unit", "4900", |e| minor(&conversion(e)?.sale)),
    public("currency", "Currency of the first amount that is sent; without one, of the payout, or else of the sale", "USD", currency),
    public("payout_currency", "Currency of the payout", "USD", |e| text(&conversion(e)?.payout.as_ref()?.currency)),
    public("revenue_currency", "Currency of the revenue", "USD", |e| text(&conversion(e)?.revenue.as_ref()?.currency)),
    public("amount_currency", "Currency of the value of the sale", "USD", |e| text(&conversion(e)?.sale.as_ref()?.currency)),
    personal("customer_name", "Full name of the buyer", "Grace Hopper", |e| optional(&conversion(e)?.customer_name)),
    personal("customer_email", "E-mail address of the buyer", "grace@example.com", |e| optional(&conversion(e)?.customer_email)),
    public("plan_name", "Product or plan that the buyer bought", "Pro yearly", |e| optional(&conversion(e)?.product_name)),
    public("plan_price", "Price of the plan, or else the value of the sale", "49.00", |e| detail(e, "plan_price").or_else(|| amount(&conversion(e)?.sale))),
    public("purchase_id", "Id of the purchase, or else the transaction id", "P-77", |e| detail(e, "purchase_id").or_else(|| text(&conversion(e)?.transaction_id))),
    public("purchase_date", "Time of the purchase, or else of the conversion", "2026-11-20T14:05:00Z", |e| detail(e, "purchase_date").or_else(|| date(conversion(e)?.occurred_at))),
    public("test", "Whether the conversion is a test: true, or else empty", "true", |e| detail(e, "test")),
    public("event_id", "Postrider's id of the event", "evt_06bq3x8k2m7v1d5r9t4w6y8z0a", |e| text(&e.id)),
    public("action", "Kind of the event: click, impression, conversion or event", "conversion", |e| text(e.action.as_str())),
    public("event_name", "Name of a custom event", "trial_started", |e| optional(&e.name)),
    public("revision", "Number of the revision; 1 for a new conversion", "1", |e| number(u64::from(conversion(e)?.revision))),
    public("event_date", "Time of the event, UTC", "2026-11-20T14:05:00Z", |e| date(e.occurred_at)),
    public("click_date", "Time of the click, UTC", "2026-11-19T09:30:00Z", |e| date(click(e)?.at)),
    public("conversion_date", "Time of the conversion, UTC", "2026-11-20T14:05:00Z", |e| date(conversion(e)?.occurred_at)),
    public("timestamp", "Time of the event in Unix seconds", "1795183500", |e| number(time::unix_seconds(e.occurred_at))),
    personal("ip", "IP address of the visitor", "203.0.113.7", |e| optional(&click(e)?.ip)),
    public("country", "Country of the visitor", "PL", |e| optional(&click(e)?.country)),
    public("device", "Device of the visitor, such as desktop or mobile", "mobile", |e| optional(&click(e)?.device)),
    personal("user_agent", "User agent of the visitor's browser", "Mozilla/5.0", |e| optional(&click(e)?.user_agent)),
    public("referrer", "Page that the visitor came from", "https://blog.example/review", |e| optional(&click(e)?.referrer)),
    public("keyword", "Keyword of the click", "email tool", |e| attribute(&click(e)?.attributes, "keyword")),
    public("page", "Page of the click", "/pricing", |e| attribute(&click(e)?.attributes, "page")),
];

/// The macro with this name, without brackets.
pub fn find(token: &str) -> Option<&'static Macro> {
    MACROS.iter().find(|known| known.token == token)
}

/// Like [`find`], with a sentence that suggests the closest macros if there is no such macro.
pub fn resolve(token: &str) -> Result<&'static Macro, String> {
    find(token).ok_or_else(|| tokens::unknown("macro", token, MACROS.iter().map(Macro::token)))
}

impl Macro {
    /// Its name without brackets, such as `click_id`.
    pub fn token(&self) -> &'static str {
        self.token
    }

    /// Whether its value identifies the buyer or visitor.
    pub fn is_personal_data(&self) -> bool {
        self.personal_data
    }

    /// The text for this event, empty if the event has no value.
    pub fn value<'a>(&self, event: &'a Event) -> Cow<'a, str> {
        (self.value)(event).unwrap_or_default()
    }

    /// The reason why this event has no value, as the end of a sentence for a user who expects the postback: "the click has
    /// no external click id".
    pub fn absence(&self, event: &Event) -> String {
        match (self.token, &event.click) {
            ("click_id" | "external_click_id", None) => "no click is known for it".into(),
            ("external_click_id", Some(_)) => {
                "the click has no external click id; add click_id=… with the tracker's id to the link that brings the visitors".into()
            }
            (token, _) => format!("it has no {}", token.replace('_', " ")),
        }
    }
}

/// All macros, for [`Descriptor::macros`]. The host shows them to users.
pub fn describe() -> Vec<MacroDef> {
    let describe = |known: &Macro| MacroDef {
        token: known.token.into(),
        description: known.description.into(),
        example: known.example.into(),
        personal_data: known.personal_data,
    };
    MACROS.iter().map(describe).collect()
}

/// The amounts of one configuration, which may share the macro `currency`. It is then the currency of the first amount that
/// the configuration names and the event has. An amount in another currency is left empty, unless the configuration names
/// its own currency too (`payout_currency`): a receiver would read a number with the currency of another.
#[derive(Clone, Default, Debug)]
pub struct Amounts {
    /// The amounts in the order of the configuration.
    named: Vec<Kind>,
    /// Those whose own currency is named.
    own: Vec<Kind>,
    shares_currency: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Payout,
    Revenue,
    Sale,
}

impl Kind {
    /// The kind of an amount; `None` for another macro.
    fn of(token: &str) -> Option<Self> {
        match token {
            "payout" | "payout_minor" => Some(Self::Payout),
            "revenue" | "revenue_minor" => Some(Self::Revenue),
            "amount" | "amount_minor" | "plan_price" => Some(Self::Sale),
            _ => None,
        }
    }

    fn money(self, event: &Event) -> Option<&Money> {
        let conversion = conversion(event)?;
        match self {
            Self::Payout => conversion.payout.as_ref(),
            Self::Revenue => conversion.revenue.as_ref(),
            Self::Sale => conversion.sale.as_ref(),
        }
    }
}

impl Amounts {
    /// The amounts of a configuration that names these macros, in its order.
    pub fn of<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let mut amounts = Self::default();
        for token in tokens {
            let list = match token.strip_suffix("_currency") {
                Some(_) => &mut amounts.own,
                None => &mut amounts.named,
            };
            if let Some(kind) =
                Kind::of(token.strip_suffix("_currency").unwrap_or(token)).filter(|it| !list.contains(it))
            {
                list.push(kind);
            }
            amounts.shares_currency |= token == "currency";
        }
        amounts
    }

    /// The text of a macro for this event, empty if the event has no value, or has it in another currency than the one that
    /// is sent with it.
    pub fn value<'a>(&self, known: &Macro, event: &'a Event) -> Cow<'a, str> {
        let shared = self.shared(event);
        match (known.token, Kind::of(known.token), shared) {
            ("currency", _, Some(shared)) => Cow::Borrowed(shared),
            (_, Some(kind), Some(shared)) if !self.own.contains(&kind) => match kind.money(event) {
                Some(money) if money.currency != shared => Cow::default(),
                _ => known.value(event),
            },
            _ => known.value(event),
        }
    }

    /// The currency that the amounts without one of their own share; `None` if none of them has one.
    fn shared<'a>(&self, event: &'a Event) -> Option<&'a str> {
        let shared = self.named.iter().filter(|kind| !self.own.contains(kind)).chain(&self.named);
        let mut found = shared.filter_map(|kind| kind.money(event));
        found.next().filter(|_| self.shares_currency).map(|money| money.currency.as_str())
    }
}

fn click(event: &Event) -> Option<&Click> {
    event.click.as_ref()
}

fn conversion(event: &Event) -> Option<&Conversion> {
    event.conversion.as_ref()
}

fn text(value: &str) -> Value<'_> {
    Some(Cow::Borrowed(value))
}

fn optional(value: &Option<String>) -> Value<'_> {
    value.as_deref().map(Cow::Borrowed)
}

fn number(value: u64) -> Value<'static> {
    Some(Cow::Owned(value.to_string()))
}

fn date(at_ms: u64) -> Value<'static> {
    Some(Cow::Owned(time::rfc3339(at_ms)))
}

fn amount(money: &Option<Money>) -> Value<'static> {
    money.as_ref().map(|money| Cow::Owned(money::decimal(money)))
}

fn minor(money: &Option<Money>) -> Value<'static> {
    money.as_ref().map(|money| Cow::Owned(money::minor_units(money).to_string()))
}

fn attribute<'a>(attributes: &'a [Field], name: &str) -> Value<'a> {
    crate::types::find(attributes, name).map(Cow::Borrowed)
}

fn sub<'a>(event: &'a Event, name: &str) -> Value<'a> {
    attribute(&click(event)?.sub_ids, name)
}

/// A detail of the purchase, sent with the conversion as an attribute.
fn detail<'a>(event: &'a Event, name: &str) -> Value<'a> {
    attribute(&conversion(event)?.attributes, name)
}

fn rejection_reason(event: &Event) -> Value<'_> {
    match &conversion(event)?.status {
        ConversionStatus::Rejected(rejection) => text(&rejection.reason),
        ConversionStatus::Pending | ConversionStatus::Approved => None,
    }
}

fn currency(event: &Event) -> Value<'_> {
    let conversion = conversion(event)?;
    text(&conversion.payout.as_ref().or(conversion.sale.as_ref())?.currency)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(payout: Option<&str>, sale: Option<&str>) -> Event {
        let money = |micros: i64, currency: &str| Money { micros, currency: currency.into() };
        let party = || Party { id: "1".into(), name: "x".into(), attributes: Vec::new() };
        Event {
            id: "evt_1".into(),
            action: Action::Conversion,
            occurred_at: 0,
            name: None,
            affiliate: party(),
            offer: None,
            click: None,
            conversion: Some(Conversion {
                id: "cnv_1".into(),
                transaction_id: "T1".into(),
                revision: 1,
                goal: None,
                status: ConversionStatus::Approved,
                previous_status: None,
                payout: payout.map(|currency| money(12_500_000, currency)),
                revenue: None,
                sale: sale.map(|currency| money(100_000_000, currency)),
                customer_name: None,
                customer_email: None,
                product_name: None,
                occurred_at: 0,
                attributes: Vec::new(),
            }),
            attributes: Vec::new(),
        }
    }

    #[test]
    fn an_amount_is_never_sent_with_the_currency_of_another() {
        for (tokens, payout, sale, wanted) in [
            (&["payout", "currency"][..], Some("USD"), Some("EUR"), &["12.50", "USD"][..]),
            (&["amount", "currency"], Some("USD"), Some("EUR"), &["100.00", "EUR"]),
            (&["currency", "amount"], Some("USD"), Some("EUR"), &["EUR", "100.00"]),
            (&["amount", "payout", "currency"], Some("USD"), Some("EUR"), &["100.00", "", "EUR"]),
            (&["amount", "payout", "currency"], Some("USD"), Some("USD"), &["100.00", "12.50", "USD"]),
            (&["amount", "payout", "currency"], Some("USD"), None, &["", "12.50", "USD"]),
            (&["payout", "amount_minor", "currency"], Some("USD"), Some("EUR"), &["12.50", "", "USD"]),
            (
                &["amount", "payout", "currency", "payout_currency"],
                Some("USD"),
                Some("EUR"),
                &["100.00", "12.50", "EUR", "USD"],
            ),
            (
                &["payout", "payout_currency", "amount", "currency"],
                Some("USD"),
                Some("EUR"),
                &["12.50", "USD", "100.00", "EUR"],
            ),
            (&["amount", "payout"], Some("USD"), Some("EUR"), &["100.00", "12.50"]),
            (&["currency"], Some("USD"), Some("EUR"), &["USD"]),
            (&["currency"], None, Some("EUR"), &["EUR"]),
            (&["amount", "currency"], Some("USD"), None, &["", "USD"]),
        ] {
            let (amounts, event) = (Amounts::of(tokens.iter().copied()), event(payout, sale));
            let value = |token: &&str| amounts.value(find(token).expect("it is a macro"), &event).into_owned();
            assert_eq!(tokens.iter().map(value).collect::<Vec<_>>(), wanted, "{tokens:?}");
        }
    }
}
