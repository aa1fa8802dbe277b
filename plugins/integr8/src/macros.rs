//! Integr8's ten macros and Postrider's names for them.

use std::borrow::Cow;

use postrider_sdk::prelude::*;

/// Integr8's name, Postrider's name, and a description of the value.
const MACROS: [(&str, &str, &str); 10] = [
    ("transaction_id", "click_id", "Our id of the click"),
    ("external_transaction_id", "external_click_id", "The publisher's click id, as it came with the tracking link"),
    ("offer_id", "offer_id", "Our id of the offer"),
    ("publisher_id", "affiliate_id", "Our id of the publisher"),
    ("sub_id", "sub1", "Sub-publisher: sub id 1 of the click"),
    ("payout", "payout", "What the publisher earns"),
    ("revenue", "revenue", "What the advertiser pays"),
    ("currency", "currency", "Currency of the payout"),
    ("status", "status", "Status of the conversion: approved or rejected"),
    ("rejection_reason", "rejection_reason", "Reason code, if the conversion is rejected"),
];

/// The text between the braces.
#[derive(Clone, Copy)]
pub enum Token {
    Ours(&'static Macro),
    Status,
}

/// The macro with this name, or the reason why there is none.
pub fn resolve(name: &str) -> Result<Token, String> {
    let known = || MACROS.iter().map(|(name, ..)| *name);
    let Some((_, ours, _)) = MACROS.iter().find(|(known, ..)| *known == name) else {
        return Err(tokens::unknown("macro of Integr8", name, known()));
    };
    Ok(if *ours == "status" { Token::Status } else { Token::Ours(our(ours)) })
}

impl Token {
    pub fn value(self, event: &Event) -> Cow<'_, str> {
        match self {
            Self::Ours(known) => known.value(event),
            Self::Status => status(event).into(),
        }
    }
}

/// Integr8 has two status words, and none for a pending conversion.
fn status(event: &Event) -> &'static str {
    match event.conversion.as_ref().map(|conversion| &conversion.status) {
        Some(status @ (ConversionStatus::Approved | ConversionStatus::Rejected(_))) => status.as_str(),
        Some(ConversionStatus::Pending) | None => "",
    }
}

pub fn describe() -> Vec<MacroDef> {
    let ours = macros::describe();
    let example = |token: &str| ours.iter().find(|known| known.token == token).map(|known| known.example.clone());
    let describe = |(name, ours, description): &(&str, &str, &str)| MacroDef {
        token: (*name).into(),
        description: (*description).into(),
        example: example(ours).unwrap_or_default(),
        personal_data: our(ours).is_personal_data(),
    };
    MACROS.iter().map(describe).collect()
}

fn our(name: &str) -> &'static Macro {
    macros::find(name).expect("the table names macros that exist")
}
