//! Parsing of the click ids that networks send back.

use crate::ids::{self, ClickId};
use crate::timestamp::Timestamp;

use super::{Issue, PREFIX_MIN_CHARS};

/// The click that a notification refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClickReference {
    /// A complete click id.
    Whole(ClickId),
    /// A truncated click id: the first and the last id that begin with it.
    Prefix(ClickId, ClickId),
}

impl ClickReference {
    /// Parses a click id or its beginning. Text that can't be a click id at the time `now` is foreign.
    ///
    /// # Errors
    /// [`Issue::ForeignClickId`] for foreign text, and an issue for a prefix that is too short.
    pub fn read(text: &str, now: Timestamp) -> Result<Self, Issue> {
        let foreign = || Issue::ForeignClickId(text.chars().take(64).collect());
        if let Ok(id) = text.parse::<ClickId>() {
            // Other systems have ids of 26 base32 characters, too, but a UUIDv7 contains its version and time.
            let ours = id.0.get_version_num() == 7 && is_plausible(id, id, now);
            return if ours { Ok(Self::Whole(id)) } else { Err(foreign()) };
        }
        let (first, last) = ids::range_of_prefix(text).ok_or_else(foreign)?;
        let (first, last) = (ClickId(first), ClickId(last));
        if !is_plausible(first, last, now) {
            return Err(foreign());
        }
        let kept = text.chars().count();
        if kept < PREFIX_MIN_CHARS {
            // So few characters are more likely a number of the network than a part of a click id.
            return Err(if kept < 4 { foreign() } else { Issue::ClickIdTooShort { text: text.to_owned(), kept } });
        }
        Ok(Self::Prefix(first, last))
    }
}

/// Whether the range can contain clicks: from 2020 until ten minutes after `now`, because clocks differ.
fn is_plausible(first: ClickId, last: ClickId, now: Timestamp) -> bool {
    const SINCE: Timestamp = Timestamp::from_millis(1_577_836_800_000);
    ids::time_of(first.0) <= now.plus(std::time::Duration::from_secs(600)) && ids::time_of(last.0) >= SINCE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::notification::PATIENCE;

    const NOW: Timestamp = Timestamp::from_millis(1_773_144_000_000);

    #[test]
    fn a_click_id_is_whole_truncated_or_foreign() {
        let id = ClickId::new(NOW);
        let text = id.to_string();
        let read = |text: &str| ClickReference::read(text, NOW);
        assert_eq!(read(&text), Ok(ClickReference::Whole(id)));
        assert_eq!(read(&text.to_uppercase()), Ok(ClickReference::Whole(id)));
        for kept in 10..26 {
            match read(&text[..kept].to_uppercase()) {
                Ok(ClickReference::Prefix(first, last)) => assert!(first <= id && id <= last, "{kept}"),
                other => panic!("{kept}: {other:?}"),
            }
        }
        assert_eq!(read(&text[..9]).unwrap_err().code(), "click_id_too_short");
        let tomorrow = ClickId::new(NOW.plus(PATIENCE)).to_string();
        // A ULID of the same moment, which is base32 as well, but not a UUIDv7.
        let ulid = ids::encode(uuid::Uuid::from_u128(id.0.as_u128() & !(0xf << 76)));
        for foreign in ["abc123", "12345", "0", "48151623421", &format!("{text}x"), &tomorrow, &ulid, "a@b.example"] {
            assert_eq!(read(foreign).unwrap_err().code(), "foreign_click_id", "{foreign}");
        }
    }
}
