//! The revisions of a conversion, the newest first: what each changed, old to new.

use domain::program::rejection_reason::Catalogue;
use domain::timestamp::Timestamp;
use domain::tracking::conversion::Status;
use domain::tracking::event::{ConversionFacts, Event};
use serde::Serialize;

use super::timeline::{conversion_of, status_name};
use crate::shell::texts::{Text, plain, text};
use crate::tracking::rows::reason_text;

#[derive(Debug, Serialize)]
pub struct Revision {
    number: i32,
    at: Timestamp,
    changes: Vec<Change>,
}

#[derive(Debug, Serialize)]
struct Change {
    name: Text,
    /// `None` for the first revision that is known.
    before: Option<Text>,
    now: Text,
}

/// From the events of the conversion, oldest first.
pub fn of(events: &[Event], catalogue: &Catalogue) -> Vec<Revision> {
    let mut before = None;
    let mut revisions = Vec::new();
    for event in events {
        let Some(facts) = conversion_of(event) else { continue };
        revisions.push(Revision {
            number: facts.revision,
            at: event.occurred_at,
            changes: changes(before, facts, catalogue),
        });
        before = Some(facts);
    }
    revisions.reverse();
    revisions
}

/// The fields with another value than before; of the first revision, all that have a value.
fn changes(before: Option<&ConversionFacts>, now: &ConversionFacts, catalogue: &Catalogue) -> Vec<Change> {
    let none = || plain("–");
    let shown = |facts: &ConversionFacts| -> [(&'static str, Option<String>, Text); 4] {
        let reason = facts.status.reason().map(str::to_owned);
        let money = |money: Option<domain::amounts::Money>| money.map_or_else(none, Text::of_money);
        [
            ("conversion.field.status", Some(facts.status.word().to_owned()), status_name(&facts.status)),
            (
                "conversion.field.reason",
                reason.clone(),
                reason.map_or_else(none, |word| plain(reason_text(catalogue, &word))),
            ),
            ("conversion.field.payout", facts.payout.map(|it| it.to_string()), money(facts.payout)),
            ("conversion.field.sale", facts.sale.map(|it| it.to_string()), money(facts.sale)),
        ]
    };
    // The status before is known also if the event before is not.
    let previous = now.previous.as_ref().filter(|_| before.is_none());
    let previous = previous.map(|status: &Status| ConversionFacts { status: status.clone(), ..now.clone() });
    let before = before.or(previous.as_ref()).map(shown);
    let changed = shown(now).into_iter().enumerate().filter_map(|(at, (name, value, shown))| {
        let former = before.as_ref().map(|fields| &fields[at]);
        let is_new = former.map_or(value.is_some(), |(_, former, _)| *former != value);
        is_new.then(|| Change { name: text(name), before: former.map(|(_, _, shown)| shown.clone()), now: shown })
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::super::Known;
    use super::*;

    #[test]
    fn a_revision_has_the_fields_that_changed() {
        let revisions = of(&Known::sample().events, &Catalogue::default());
        let names = |at: usize| {
            let formats = crate::shell::format::Formats {
                language: domain::people::preferences::Language::En,
                zone: domain::reports::zone::Zone::default(),
                now: Timestamp::from_millis(0),
            };
            let said = |it: &Change| {
                let before = it.before.as_ref().map(|text| text.say(&formats)).unwrap_or_default();
                format!("{}: {before} > {}", it.name.say(&formats), it.now.say(&formats)).replace('\u{a0}', " ")
            };
            revisions[at].changes.iter().map(said).collect::<Vec<_>>()
        };
        assert_eq!(names(0), ["Status: Approved > Rejected", "Reason: – > duplicate <b>"]);
        assert_eq!(names(1), ["Status: Pending > Approved", "Payout: 12.00 USD > 14.70 USD"]);
        assert_eq!(names(2), ["Status:  > Pending", "Payout:  > 12.00 USD", "Sale:  > 49.00 USD"]);
    }
}
