//! Integr8's ten macros, and Postrider's macro for each of them.

use std::borrow::Cow;

use postrider_sdk::macros::Amounts;
use postrider_sdk::prelude::*;

/// Integr8's name, the name of Postrider's macro, and a description of the value.
const MACROS: [(&str, &str, &str); 10] = [
    ("transaction_id", "click_id", "Postrider's id of the click"),
    ("external_transaction_id", "external_click_id", "The publisher's click id, taken from the tracking link"),
    ("offer_id", "offer_id", "Postrider's id of the offer"),
    ("publisher_id", "affiliate_id", "Postrider's id of the publisher"),
    ("sub_id", "sub1", "Sub-publisher: sub id 1 of the click"),
    ("payout", "payout", "Payout: the amount that the publisher earns"),
    ("revenue", "revenue", "Revenue: the amount that the advertiser pays"),
    ("currency", "currency", "Currency of the first amount in the URL"),
    ("status", "status", "Status of the conversion: approved or rejected"),
    ("rejection_reason", "rejection_reason", "Code of the rejection reason, if the conversion is rejected"),
];

/// The meaning of the text between the braces.
#[derive(Clone, Copy)]
pub enum Token {
    /// The macro of Postrider with the same value.
    Macro(&'static Macro),
    /// `{status}`, which has other values than Postrider's macro.
    Status,
}

/// The macro with this name, or the reason why there is none.
pub fn resolve(name: &str) -> Result<Token, String> {
    let known = || MACROS.iter().map(|(name, ..)| *name);
    let Some((_, equivalent, _)) = MACROS.iter().find(|(known, ..)| *known == name) else {
        return Err(tokens::unknown("macro of Integr8", name, known()));
    };
    Ok(if *equivalent == "status" { Token::Status } else { Token::Macro(existing(equivalent)) })
}

impl Token {
    /// The macro, unless it is the status.
    pub fn known(self) -> Option<&'static Macro> {
        match self {
            Self::Macro(known) => Some(known),
            Self::Status => None,
        }
    }

    /// The value for this event, empty if the event has none. `amounts`: those of the URL.
    pub fn value<'a>(self, amounts: &Amounts, event: &'a Event) -> Cow<'a, str> {
        match self {
            Self::Macro(known) => amounts.value(known, event),
            Self::Status => status(event).into(),
        }
    }
}

/// `approved` or `rejected`. Integr8 has no word for a pending conversion.
fn status(event: &Event) -> &'static str {
    match event.conversion.as_ref().map(|conversion| &conversion.status) {
        Some(status @ (ConversionStatus::Approved | ConversionStatus::Rejected(_))) => status.as_str(),
        Some(ConversionStatus::Pending) | None => "",
    }
}

/// The ten macros, for [`Descriptor::macros`].
pub fn describe() -> Vec<MacroDef> {
    let all = macros::describe();
    let example = |token: &str| all.iter().find(|known| known.token == token).map(|known| known.example.clone());
    let describe = |(name, equivalent, description): &(&str, &str, &str)| MacroDef {
        token: (*name).into(),
        description: (*description).into(),
        example: example(equivalent).unwrap_or_default(),
        personal_data: existing(equivalent).is_personal_data(),
    };
    MACROS.iter().map(describe).collect()
}

fn existing(name: &str) -> &'static Macro {
    macros::find(name).expect("MACROS contains only names of existing macros")
}
