//! The meaning of a notification: the status, and the command for its conversion.

use crate::amounts::{Amount, Currency};
use crate::ids::{ClickId, ConversionId};
use crate::inbound::source::{Rejections, Source, SourceSettings, common_reason};
use crate::tracking::click::Click;
use crate::tracking::conversion::{Buyer, Conversion, Reporter, Status};
use crate::tracking::conversion_command::{By, Command};
use crate::tracking::conversion_report::{Claims, Report, ReportedPayment};
use crate::tracking::transaction::refund::Refund;

use super::amounts::ReadAmount;
use super::{Issue, Note, Notification, NotificationAmount};

/// The click or conversion to which a notification belongs.
#[derive(Debug)]
pub enum Matched {
    /// A click. Its conversion may not exist yet.
    Click {
        /// The click.
        click: Box<Click>,
        /// The click was found by the beginning of its id.
        truncated: bool,
    },
    /// A conversion, found by the network's transaction id.
    Conversion(Box<Conversion>),
}

impl Matched {
    /// The click, or the click of the conversion. `None`: the conversion has no click.
    pub fn click_id(&self) -> Option<ClickId> {
        match self {
            Self::Click { click, .. } => Some(click.id),
            Self::Conversion(conversion) => conversion.click_id,
        }
    }

    /// The conversion. `None`: the notification was matched to a click.
    pub fn conversion_id(&self) -> Option<ConversionId> {
        match self {
            Self::Click { .. } => None,
            Self::Conversion(conversion) => Some(conversion.id),
        }
    }
}

impl Source {
    /// The reporter of conversions that this source's notifications create.
    pub fn reporter(&self) -> Reporter {
        Reporter { source_id: self.id, is_affiliate: self.affiliate_id.is_some() }
    }

    /// Whether its network may take a rejection back.
    fn may_reopen(&self) -> bool {
        self.settings.rejections == Rejections::Reversible
    }

    /// The command that changes only the status of a conversion.
    pub fn change_status(&self, known: &Conversion, status: Status, payment: Option<&ReportedPayment>) -> Command {
        let by = By::Source { may_reopen: self.may_reopen() };
        let payment_key = payment.map(|payment| payment.key.clone());
        Command::ChangeStatus { id: known.id, status, note: None, by, payment_key }
    }
}

impl Notification {
    /// The status that the settings give to the network's status word. `None`: the settings do not define this word.
    ///
    /// # Errors
    /// The settings ignore the word.
    pub fn status(&self, settings: &SourceSettings) -> Result<Option<Status>, Issue> {
        let meaning = match &self.status {
            Some(word) => settings.meaning(word),
            None => Some(settings.meaning_of_none()),
        };
        let Some(meaning) = meaning else { return Ok(None) };
        let common = || self.status.as_deref().and_then(common_reason);
        let status = meaning.status(self.rejection_reason.as_deref().or_else(common));
        status.map(Some).ok_or_else(|| Issue::StatusIgnored(self.status.clone().unwrap_or_else(|| "none".into())))
    }

    /// The network's own transaction id. A click id in its place is not one: networks change its case or cut it.
    pub fn own_transaction_id(&self) -> Option<&str> {
        self.transaction_id.as_deref().filter(|id| self.click_id.as_deref() != Some(*id))
    }

    /// The command for a notification of the sale `of`, and what it does not use. A rejection changes only the status of a
    /// known conversion, and so does any notification of a conversion without a click. Amounts without a currency are in
    /// that of the conversion, else of the settings, else of the offer.
    ///
    /// # Errors
    /// An amount cannot be read, or its currency, although they matter.
    pub fn command(&self, source: &Source, of: Sale<'_>, status: Status) -> Result<(Command, Vec<Note>), Issue> {
        let is_rejection = status.reason().is_some();
        if let Some(known) = of.known
            && (is_rejection || known.click_id.is_none())
        {
            return Ok((source.change_status(known, status, of.payment), Vec::new()));
        }
        let settings = &source.settings;
        let mut notes = Vec::new();
        let reported = [("sale", &self.sale), ("payout", &self.payout), ("revenue", &self.revenue)];
        let currencies = self.currencies(of, settings, is_rejection, &mut notes)?;
        let mut amounts = [None; 3];
        for ((place, currency), (field, amount)) in amounts.iter_mut().zip(currencies).zip(reported) {
            let (Some(NotificationAmount { text, notation, .. }), Some(currency)) = (amount, currency) else {
                continue;
            };
            match settings.amounts.read(field, (text, notation.unit), currency) {
                Ok(read) if is_rejection && read.is_negative => {
                    notes.push(Note::left_out(field, "it is negative, and a rejection has no amounts"));
                }
                Err(issue) if is_rejection => notes.push(Note::left_out(field, issue.to_string())),
                read => *place = Some(read?),
            }
            if let Some(ReadAmount { amount, is_rounded: true, .. }) = *place {
                notes.push(Note::Rounded { field, text: text.chars().take(40).collect(), amount });
            }
        }
        let [sale, payout, revenue] = amounts;
        let refund = match is_rejection {
            true => None,
            false => self.refund(settings, of, (currencies, amounts), &mut notes)?,
        };
        let whole = |read: Option<ReadAmount>| read.filter(|it| !it.is_negative).map(|it| it.amount);
        let purchase_date = self.occurred_at.as_ref().and_then(|text| {
            let read = settings.read_time(text);
            if read.is_none() {
                notes.push(Note::left_out("occurred_at", format!("\"{text}\" is not a time")));
            }
            read
        });
        let report = Report {
            claims: Claims::click(of.click),
            offer_id: None,
            transaction_id: of.transaction_id.to_owned(),
            goal: of.known.map_or_else(|| self.goal.clone(), |known| known.goal.clone()),
            status: Some(status),
            amount: whole(sale),
            currency: currencies[0],
            payout_currency: currencies[1],
            revenue_currency: currencies[2],
            default_currency: settings.amounts.currency,
            payout: whole(payout),
            revenue: whole(revenue),
            refund,
            payment: of.payment.cloned(),
            may_reopen: source.may_reopen(),
            buyer: Buyer {
                customer_id: self.attribute("customer_id", 200),
                customer_name: self.attribute("customer_name", 200),
                customer_email: self.attribute("customer_email", 254),
                plan_name: self.attribute("plan_name", 200),
                plan_price: None,
                purchase_id: self.attribute("purchase_id", 200),
                purchase_date,
            },
            reporter: Some(source.reporter()),
            // The sender of a notification must not decide what counts.
            test: None,
        };
        Ok((Command::Report(Box::new(report)), notes))
    }

    /// The currencies of sale, payout and revenue; `None` without the amount. The settings can name that of an amount, then
    /// the network. Where neither does, an amount has the currency that the network names for another one, else that of the
    /// conversion, of the settings, or of the offer. One that cannot be read is not replaced by that of another amount.
    fn currencies(
        &self,
        of: Sale<'_>,
        settings: &SourceSettings,
        is_rejection: bool,
        notes: &mut Vec<Note>,
    ) -> Result<[Option<Currency>; 3], Issue> {
        let reported = [("sale", &self.sale), ("payout", &self.payout), ("revenue", &self.revenue)];
        let is_known = of.known.is_some() || settings.amounts.currency.is_some();
        let mut named = [None; 3];
        let mut is_readable = [true; 3];
        for ((named, is_readable), (_, amount)) in named.iter_mut().zip(&mut is_readable).zip(reported) {
            *named = match amount.as_ref().map_or(Ok(None), NotificationAmount::currency) {
                Err(Issue::InvalidCurrency(reason)) if is_rejection || is_known => {
                    let note = Note::left_out("currency", reason);
                    notes.extend((!notes.contains(&note)).then_some(note));
                    *is_readable = false;
                    None
                }
                read => read?,
            };
        }
        let of_another = named.into_iter().flatten().next();
        let mut currencies = [None; 3];
        for (index, (field, amount)) in reported.into_iter().enumerate() {
            let Some(amount) = amount else { continue };
            let of_another = of_another.filter(|_| is_readable[index]);
            let known = of.currency(field).or(settings.amounts.currency).unwrap_or(of.offer_currency);
            currencies[index] = Some(amount.notation.currency.or(named[index]).or(of_another).unwrap_or(known));
        }
        Ok(currencies)
    }

    /// Whether it lowers the amount of a sale.
    pub fn is_refund(&self) -> bool {
        let is_some = |text: &str| text.contains(|c: char| c.is_ascii_digit() && c != '0');
        let is_negative = |amount: &Option<NotificationAmount>| {
            amount.as_ref().is_some_and(|it| it.text.trim().starts_with('-') && is_some(&it.text))
        };
        [&self.sale, &self.payout, &self.revenue].into_iter().any(is_negative)
            || is_some(&self.attribute(REFUNDED, 60).unwrap_or_default())
    }

    /// The partial refund that the notification reports: how much was refunded so far, or negative amounts.
    fn refund(
        &self,
        settings: &SourceSettings,
        of: Sale<'_>,
        (currencies, [sale, payout, revenue]): ([Option<Currency>; 3], [Option<ReadAmount>; 3]),
        notes: &mut Vec<Note>,
    ) -> Result<Option<Refund>, Issue> {
        if let Some(text) = self.attribute(REFUNDED, 60) {
            let known = || of.currency("sale").or(currencies.into_iter().flatten().next());
            let currency = currencies[0].or_else(known).or(settings.amounts.currency).unwrap_or(of.offer_currency);
            let unit = settings.amounts.sale.and_then(|it| it.unit);
            let read = settings.amounts.read(REFUNDED, (&text, unit), currency)?;
            return Ok((read.amount != Amount::ZERO).then_some(Refund::Total(read.amount)));
        }
        let part = |read: Option<ReadAmount>| read.filter(|it| it.is_negative).map(|it| it.amount);
        let parts = [part(sale), part(payout), part(revenue)];
        if parts == [None; 3] {
            return Ok(None);
        }
        for (field, read) in [("sale", sale), ("payout", payout), ("revenue", revenue)] {
            if read.is_some_and(|it| !it.is_negative && it.amount != Amount::ZERO) {
                notes.push(Note::left_out(field, "another amount is negative, which is a refund"));
            }
        }
        let [sale, payout, revenue] = parts;
        Ok(Some(Refund::Part { key: of.request_key.to_owned(), sale, payout, revenue }))
    }
}

/// The field with the part of the sale that was refunded so far.
const REFUNDED: &str = "refunded_amount";

/// The sale that a notification means.
#[derive(Clone, Copy, Debug)]
pub struct Sale<'a> {
    /// The click.
    pub click: ClickId,
    /// The transaction id.
    pub transaction_id: &'a str,
    /// Its conversion; `None` if there is none yet.
    pub known: Option<&'a Conversion>,
    /// The currency of its offer.
    pub offer_currency: Currency,
    /// By what a repetition of the request is recognised.
    pub request_key: &'a str,
    /// Its payment, if the source reports several payments under one transaction id.
    pub payment: Option<&'a ReportedPayment>,
}

impl Sale<'_> {
    /// The currency that the conversion has for this amount.
    fn currency(&self, field: &str) -> Option<Currency> {
        let known = self.known?;
        let own = match field {
            "payout" => known.payout,
            "revenue" => known.revenue,
            _ => known.sale,
        };
        own.map(|money| money.currency).or(known.currency())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AffiliateId;
    use crate::inbound::source::{AmountNotation, SourceKey};
    use crate::program::offer::Terms;
    use crate::tracking::conversion::samples::conversion;
    use crate::tracking::samples;

    fn source() -> Source {
        let at = samples::AT;
        let mut source = Source::first(AffiliateId::new(at), SourceKey::default(), at);
        source.settings.statuses = serde_json::from_value(serde_json::json!({
            "1": "approved", "2": {"status": "rejected", "reason": "fraud"}, "3": "rejected", "4": "ignored"
        }))
        .unwrap();
        source
    }

    fn rejected(reason: &str) -> Status {
        Status::Rejected { reason: reason.into() }
    }

    #[test]
    fn a_status_word_means_what_the_settings_say() {
        for (word, reason, wanted) in [
            (Some("1"), None, Ok(Some(Status::Approved))),
            (Some("2"), Some("late"), Ok(Some(rejected("fraud")))),
            (Some("3"), Some("late"), Ok(Some(rejected("late")))),
            (Some("3"), None, Ok(Some(rejected("unspecified")))),
            (Some("Pending"), None, Ok(Some(Status::Pending))),
            (None, None, Ok(Some(Status::Approved))),
            (Some("refunded"), None, Ok(Some(rejected("refund")))),
            (Some("refunded"), Some("late"), Ok(Some(rejected("late")))),
            (Some("accepted"), None, Ok(None)),
            (Some("4"), None, Err("status_ignored")),
        ] {
            let (status, rejection_reason) = (word.map(str::to_owned), reason.map(str::to_owned));
            let it = Notification { status, rejection_reason, ..Notification::default() };
            assert_eq!(it.status(&source().settings).map_err(|issue| issue.code()), wanted, "{word:?}");
        }
    }

    #[test]
    fn a_click_id_in_place_of_the_transaction_id_is_not_one() {
        for (click, transaction, own) in
            [("c1", Some("T-1"), Some("T-1")), ("c1", Some("c1"), None), ("c1", None, None)]
        {
            let (click_id, transaction_id) = (Some(click.to_owned()), transaction.map(str::to_owned));
            let it = Notification { click_id, transaction_id, ..Notification::default() };
            assert_eq!(it.own_transaction_id(), own);
        }
    }

    fn notification(sale: &str, payout: &str, currency: &str, occurred_at: &str) -> Notification {
        let word = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let amount = |text: &str| {
            word(text).map(|text| NotificationAmount {
                text,
                currency: word(currency),
                notation: AmountNotation::default(),
            })
        };
        Notification {
            sale: amount(sale),
            payout: amount(payout),
            occurred_at: word(occurred_at),
            ..Notification::default()
        }
    }

    /// The command of a notification of a click, and the flags of what it does not use.
    fn command(
        source: &Source,
        it: &Notification,
        known: Option<&Conversion>,
        status: Status,
    ) -> Result<(Command, Vec<String>), Issue> {
        let click = samples::click(&samples::offer(Terms::default())).id;
        let usd = "USD".parse().unwrap();
        let sale =
            Sale { click, transaction_id: "T1", known, offer_currency: usd, request_key: "request", payment: None };
        let (command, notes) = it.command(source, sale, status)?;
        Ok((command, notes.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn a_rejection_and_a_conversion_without_a_click_change_only_the_status() {
        let click = samples::click(&samples::offer(Terms::default())).id;
        let with_click = Conversion { click_id: Some(click), ..conversion() };
        for (known, status, is_status_only) in [
            (Some(&conversion()), Status::Approved, true),
            (Some(&conversion()), rejected("fraud"), true),
            (Some(&with_click), Status::Approved, false),
            (Some(&with_click), rejected("fraud"), true),
            (None, rejected("fraud"), false),
        ] {
            let it = notification("-5", "a lot", "dollars", "yesterday");
            let found = command(&source(), &it, known, status.clone()).map(|(command, _)| command);
            match found {
                Ok(command) => {
                    assert_eq!(matches!(command, Command::ChangeStatus { .. }), is_status_only, "{status:?}")
                }
                Err(issue) => assert_eq!((issue.code(), is_status_only), ("invalid_amount", false), "{status:?}"),
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_out_unless_it_matters() {
        let known = Conversion { click_id: Some(ClickId::new(samples::AT)), ..conversion() };
        let known = Some(&known);
        let with_currency = || {
            let mut source = source();
            source.settings.amounts.currency = "EUR".parse().ok();
            source
        };
        // Source, notification, known conversion, status; the fields that were left out, or the code of the refusal.
        for (source, it, known, status, wanted) in [
            (source(), notification("5", "", "USD", "yesterday"), None, Status::Approved, "occurred_at"),
            (source(), notification("-5", "", "USD", "yesterday"), None, rejected("x"), "sale occurred_at"),
            (source(), notification("a lot", "", "dollars", ""), None, rejected("x"), "currency sale"),
            (source(), notification("5", "", "dollars", ""), None, Status::Approved, "invalid_currency"),
            (source(), notification("5", "", "dollars", ""), known, Status::Approved, "currency"),
            (with_currency(), notification("5", "", "dollars", ""), None, Status::Approved, "currency"),
            (source(), notification("a lot", "", "", ""), None, Status::Approved, "invalid_amount"),
            (source(), notification("12.340000000000002", "", "", ""), None, Status::Approved, "sale:"),
        ] {
            let found = command(&source, &it, known, status);
            let found = found.map(|(_, notes)| {
                let fields: Vec<_> = notes.iter().map(|note| note.split(' ').next().unwrap_or_default()).collect();
                fields.join(" ")
            });
            assert_eq!(found.unwrap_or_else(|issue| issue.code().to_owned()), wanted, "{it:?}");
        }
    }

    #[test]
    fn each_amount_has_its_currency() {
        let known = Conversion { click_id: Some(ClickId::new(samples::AT)), ..conversion() };
        // Settings; the currencies that the network names for sale and payout, and those that count: of a new conversion
        // of an offer in dollars, and of a known one in dollars.
        for (amounts, sale, payout, new, corrected) in [
            ("{}", "EUR", "USD", "EUR USD", "EUR USD"),
            ("{}", "EUR", "", "EUR EUR", "EUR EUR"),
            ("{}", "", "GBP", "GBP GBP", "GBP GBP"),
            ("{}", "", "", "USD USD", "USD USD"),
            ("{}", "EUR", "US$", "invalid_currency", "EUR USD"),
            (r#"{"currency": "EUR"}"#, "", "", "EUR EUR", "USD USD"),
            (r#"{"currency": "EUR", "payout": {"currency": "GBP"}}"#, "", "", "EUR GBP", "USD GBP"),
            (r#"{"payout": {"currency": "GBP"}}"#, "EUR", "EUR", "EUR GBP", "EUR GBP"),
        ] {
            let mut source = source();
            source.settings.amounts = serde_json::from_str(amounts).unwrap();
            let word = |code: &str| Some(code.to_owned()).filter(|code| !code.is_empty());
            let notation = AmountNotation::default();
            let amount =
                |text: &str, code| Some(NotificationAmount { text: text.into(), currency: word(code), notation });
            let it = Notification { sale: amount("100", sale), payout: amount("3", payout), ..Notification::default() };
            let it = it.with_notations(&source.settings.amounts);
            let named = |known| match command(&source, &it, known, Status::Approved) {
                Ok((Command::Report(report), _)) => {
                    format!("{} {}", report.currency.unwrap(), report.payout_currency.unwrap())
                }
                Ok((other, _)) => panic!("{other:?}"),
                Err(issue) => issue.code().to_owned(),
            };
            assert_eq!(
                (named(None).as_str(), named(Some(&known)).as_str()),
                (new, corrected),
                "{amounts} {sale} {payout}"
            );
        }
    }

    #[test]
    fn what_was_refunded_is_in_the_unit_of_the_sale() {
        let mut source = source();
        source.settings.amounts = serde_json::from_str(r#"{"sale": {"unit": "minor"}}"#).unwrap();
        let attributes = vec![("refunded_amount".to_owned(), "1000".to_owned())];
        for it in [notification("", "3", "USD", ""), notification("4900", "3", "USD", "")] {
            let it = Notification { attributes: attributes.clone(), ..it }.with_notations(&source.settings.amounts);
            let Command::Report(report) = command(&source, &it, None, Status::Approved).unwrap().0 else { panic!() };
            assert_eq!(report.refund, Some(Refund::Total("10".parse().unwrap())));
            assert_eq!(report.payout, "3".parse().ok());
        }
    }

    #[test]
    fn negative_amounts_and_refunded_amounts_are_refunds() {
        let refund = |it: &Notification| match command(&source(), it, None, Status::Approved).unwrap().0 {
            Command::Report(report) => (report.amount, report.refund),
            other @ Command::ChangeStatus { .. } => panic!("{other:?}"),
        };
        let amount = |text: &str| text.parse::<Amount>().ok();
        let part = |sale, payout| Some(Refund::Part { key: "request".into(), sale, payout, revenue: None });
        assert_eq!(refund(&notification("-5", "", "", "")), (None, part(amount("5"), None)));
        assert_eq!(refund(&notification("100", "-3", "", "")), (amount("100"), part(None, amount("3"))));
        assert_eq!(refund(&notification("100", "3", "", "")), (amount("100"), None));
        let attributes = vec![("refunded_amount".to_owned(), "30".to_owned())];
        let total = Notification { attributes, ..notification("100", "", "", "") };
        assert_eq!(refund(&total), (amount("100"), Some(Refund::Total("30".parse().unwrap()))));
    }
}
