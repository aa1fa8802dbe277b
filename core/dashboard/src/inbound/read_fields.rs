//! What an adapter read from a request, field by field, with the meanings that the settings of the source give.

use domain::inbound::notification::{Notification, NotificationAmount};
use domain::inbound::source::SourceSettings;
use domain::people::masking;
use domain::tracking::conversion::Status;
use serde::Serialize;

use crate::shell::texts::{Text, plain, text};

#[derive(Debug, Serialize)]
pub struct ReadField {
    name: Text,
    pub value: String,
    meaning: Option<Text>,
}

/// The fields that the adapter read, with their meanings by the settings of the source.
pub fn fields(notification: &Notification, settings: &SourceSettings, hides_people: bool) -> Vec<ReadField> {
    let field = |key: &str, value: &Option<String>| {
        let value = value.clone()?;
        Some(ReadField { name: text(key), value, meaning: None })
    };
    let amount = |key: &str, amount: &Option<NotificationAmount>| {
        let NotificationAmount { text: number, currency, .. } = amount.clone()?;
        let value = [Some(number), currency].into_iter().flatten().collect::<Vec<_>>().join(" ");
        Some(ReadField { name: text(key), value, meaning: None })
    };
    let status = field("read.status", &notification.status).map(|field| {
        let meaning = settings.meaning(&field.value).map(|it| match it.status(None) {
            Some(Status::Approved) => text("meaning.approved"),
            Some(Status::Pending) => text("meaning.pending"),
            Some(Status::Rejected { .. }) => text("meaning.rejected"),
            None => text("meaning.ignored"),
        });
        ReadField { meaning: meaning.or_else(|| Some(text("read.no_meaning"))), ..field }
    });
    let known = [
        field("read.click_id", &notification.click_id),
        field("read.transaction_id", &notification.transaction_id),
        status,
        field("read.rejection_reason", &notification.rejection_reason),
        amount("read.payout", &notification.payout),
        amount("read.revenue", &notification.revenue),
        amount("read.sale", &notification.sale),
        field("read.goal", &notification.goal),
        field("read.occurred_at", &notification.occurred_at),
    ];
    let others = notification.attributes.iter().filter(|(name, _)| !hides_people || !masking::is_personal(name));
    let others = others.map(|(name, value)| ReadField { name: plain(name), value: value.clone(), meaning: None });
    known.into_iter().flatten().chain(others).collect()
}
