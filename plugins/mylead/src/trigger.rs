//! The trigger: the change of a lead that activates a postback.

use postrider_sdk::prelude::*;
use serde::Deserialize;

/// The custom event for a lead whose payout can be withdrawn.
const AVAILABLE_TO_PAY: &str = "available_to_pay";

/// The status of a lead that activates a postback.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    #[default]
    Any,
    Pending,
    /// Postrider's status approved.
    Accepted,
    /// The payout can be withdrawn; a custom event, not a status of the conversion.
    Available,
    Rejected,
}

impl Trigger {
    /// Fires if the event is the change that this trigger waits for.
    pub fn decide(self, event: &Event) -> Decision {
        let change = match Self::change(event) {
            Ok(change) => change,
            Err(other) => return Decision::skip("trigger", other),
        };
        let detail = format!("fires on {}; the lead is {}", self.word(), change.word());
        if self == Self::Any || self == change {
            Decision::fire_because("trigger", detail)
        } else if self == Self::Available {
            Decision::skip(
                "trigger",
                format!("{detail}; this change is a custom event, so set the postback's action to event"),
            )
        } else {
            Decision::skip("trigger", detail)
        }
    }

    /// The new status of the lead, never `Any`; or the reason why the event is not a change.
    fn change(event: &Event) -> Result<Self, String> {
        match (event.action, &event.conversion) {
            (Action::Conversion, Some(conversion)) => Ok(match conversion.status {
                ConversionStatus::Pending => Self::Pending,
                ConversionStatus::Approved => Self::Accepted,
                ConversionStatus::Rejected(_) => Self::Rejected,
            }),
            (Action::CustomEvent, _) if event.name.as_deref() == Some(AVAILABLE_TO_PAY) => Ok(Self::Available),
            (Action::CustomEvent, _) => {
                let name = event.name.as_deref().unwrap_or_default();
                Err(format!("MyLead has no custom event other than {AVAILABLE_TO_PAY}; this event is {name}"))
            }
            (action, _) => {
                Err(format!("MyLead sends only changes of leads; the action of this event is {}", action.as_str()))
            }
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Any => "any change",
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Available => "available to pay",
            Self::Rejected => "rejected",
        }
    }
}
