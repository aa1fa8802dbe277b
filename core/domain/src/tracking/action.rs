//! Actions: the kinds of events.

use serde::{Deserialize, Serialize};

/// The kind of an event; a postback is fired for one of them. `impression`: a banner of a link was shown. `click`: a
/// visitor followed a link. `conversion`: a conversion was created or changed. `event`: something happened after a
/// conversion, such as a renewal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A banner of a link was shown.
    Impression,
    /// A visitor followed a link.
    Click,
    /// A conversion was created, or its status changed.
    Conversion,
    /// Something that happened after a conversion, such as a renewal.
    Event,
}

text_enum!(Action { Impression => "impression", Click => "click", Conversion => "conversion", Event => "event" });
