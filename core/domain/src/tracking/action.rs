//! Actions: the kinds of events.

use serde::{Deserialize, Serialize};

/// What kind of thing happened; a postback listens for one of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Impression,
    Click,
    Conversion,
    /// Something after the conversion: a renewal, a level reached.
    Event,
}

text_enum!(Action { Impression => "impression", Click => "click", Conversion => "conversion", Event => "event" });
