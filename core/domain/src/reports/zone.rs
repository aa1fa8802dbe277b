//! Time zones, by name or as fixed offsets, and parsing of the notations that networks use for times.
//!
//! Twice a year a local time is ambiguous or does not exist. Of an ambiguous time the earlier one is used. A time in a
//! gap is moved by the length of the gap (02:30 becomes 03:30), as RFC 5545 specifies for calendars. So midnight is
//! always the beginning of a local day.

use chrono::{DateTime, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;

use crate::timestamp::Timestamp;

/// UTC, a fixed offset, or a place of the IANA database (compiled in).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Zone(Rule);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    Fixed(FixedOffset),
    Place(Tz),
}

impl Default for Zone {
    fn default() -> Self {
        Self(Rule::Fixed(FixedOffset::east_opt(0).expect("UTC exists")))
    }
}

/// A text that is not a time zone; holds the text, cut to 40 characters.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "\"{0}\" is not a time zone; write UTC, a place of the IANA time zone database such as Europe/Berlin, or an offset such as +02:00"
)]
pub struct InvalidZone(String);

impl Zone {
    /// Parses `UTC`, `Europe/Berlin` in any case, or `+02:00`. Abbreviations such as EST are refused, because they are
    /// ambiguous, and so is `Etc/GMT+5`, which is five hours *behind* UTC.
    ///
    /// # Errors
    /// The text is not the name of a zone, or it is ambiguous.
    pub fn parse(text: &str) -> Result<Self, InvalidZone> {
        let invalid = || InvalidZone(text.chars().take(40).collect());
        if ["UTC", "GMT", "Z", "Etc/UTC"].iter().any(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(Self::default());
        }
        if text.contains('/') {
            let place = text.parse::<Tz>().ok().or_else(|| in_any_case(text));
            let place = place.filter(|it| !it.name().starts_with("Etc/")).ok_or_else(invalid)?;
            return Ok(Self(Rule::Place(place)));
        }
        let written = text.len() == 6 && text.is_ascii() && text.as_bytes()[3] == b':';
        let offset = written.then(|| text.parse::<FixedOffset>().ok()).flatten().ok_or_else(invalid)?;
        // The largest offset of any place.
        if offset.local_minus_utc().abs() > 14 * 3_600 { Err(invalid()) } else { Ok(Self(Rule::Fixed(offset))) }
    }

    /// The moment of a local time; ambiguous and missing times are resolved as described above.
    pub(crate) fn to_utc(self, local: NaiveDateTime) -> Timestamp {
        let offset = match self.0 {
            Rule::Fixed(offset) => offset,
            Rule::Place(place) => match place.offset_from_local_datetime(&local) {
                MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(offset, _) => offset.fix(),
                // The offset before the gap: clocks are not put forward twice within that time.
                MappedLocalTime::None => {
                    let before = local.checked_sub_signed(TimeDelta::days(1)).unwrap_or(local);
                    place.offset_from_utc_datetime(&before).fix()
                }
            },
        };
        Timestamp::from_millis(local.and_utc().timestamp_millis() - i64::from(offset.local_minus_utc()) * 1_000)
    }

    /// The local time of a moment.
    pub fn from_utc(self, at: Timestamp) -> NaiveDateTime {
        let utc = utc(at);
        utc.checked_add_offset(self.offset_at(at)).unwrap_or(utc)
    }

    /// The offset from UTC at a moment.
    pub(crate) fn offset_at(self, at: Timestamp) -> FixedOffset {
        match self.0 {
            Rule::Fixed(offset) => offset,
            Rule::Place(place) => place.offset_from_utc_datetime(&utc(at)).fix(),
        }
    }

    /// Parses RFC 3339, Unix seconds (10 digits) or milliseconds (13 digits), and `2026-11-20 14:05:00` or a date in
    /// this zone or with an offset (`+02:00`, `+0200`, `UTC`). In a query, the plus of an offset is a space. `None` for other
    /// text.
    pub fn read(self, text: &str) -> Option<Timestamp> {
        let text = text.trim();
        if let Some((local, offset)) = with_offset(text)
            && let Some(at) = Self(Rule::Fixed(offset)).read_local(local)
        {
            return Some(at);
        }
        if !text.is_empty() && text.len() <= 13 && text.bytes().all(|b| b.is_ascii_digit()) {
            let number: i64 = text.parse().ok()?;
            return match text.len() {
                // 10 digits are seconds from 2001 to 2286.
                10 => Some(Timestamp::from_millis(number * 1_000)),
                13 => Some(Timestamp::from_millis(number)),
                _ => None,
            };
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Timestamp::parse(&time.to_rfc3339());
        }
        self.read_local(text)
    }

    fn read_local(self, text: &str) -> Option<Timestamp> {
        let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
        let local = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        let midnight = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
        let at = self.to_utc(local.or_else(midnight)?);
        // Checks that the time can be written and parsed again.
        Timestamp::parse(&at.to_string())
    }
}

/// The local time and the offset of `2026-11-20T14:05:00+0200`, `2026-11-20 14:05 02:00` and `2026-11-20 14:05:00 UTC`.
fn with_offset(text: &str) -> Option<(&str, FixedOffset)> {
    let utc = FixedOffset::east_opt(0)?;
    for word in ["UTC", "GMT", "Z"] {
        let at = text.len().checked_sub(word.len())?;
        if text.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(word)) {
            return Some((text[..at].trim_end(), utc));
        }
    }
    // An offset follows a time, which has a colon; a date has points or hyphens.
    let sign = text.rfind(['+', '-', ' ']).filter(|at| text[..*at].contains(':'))?;
    let (local, offset) = text.split_at(sign);
    let digits: String = offset.chars().filter(char::is_ascii_digit).collect();
    let is_offset = matches!(offset.len(), 3 | 5 | 6) && offset[1..].replacen(':', "", 1) == digits;
    let number = |range| digits.get(range).unwrap_or("0").parse::<i32>().ok();
    let seconds = number(0..2)? * 3_600 + number(2..4).unwrap_or(0) * 60;
    let seconds = if offset.starts_with('-') { -seconds } else { seconds };
    is_offset.then(|| FixedOffset::east_opt(seconds)).flatten().map(|offset| (local.trim_end(), offset))
}

fn in_any_case(name: &str) -> Option<Tz> {
    chrono_tz::TZ_VARIANTS.iter().find(|known| known.name().eq_ignore_ascii_case(name)).copied()
}

fn utc(at: Timestamp) -> NaiveDateTime {
    let outermost = if at.millis() < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    DateTime::from_timestamp_millis(at.millis()).unwrap_or(outermost).naive_utc()
}

impl std::str::FromStr for Zone {
    type Err = InvalidZone;

    fn from_str(text: &str) -> Result<Self, InvalidZone> {
        Self::parse(text)
    }
}

impl std::fmt::Display for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Rule::Fixed(offset) if offset.local_minus_utc() == 0 => f.write_str("UTC"),
            Rule::Fixed(offset) => offset.fmt(f),
            Rule::Place(place) => f.write_str(place.name()),
        }
    }
}

impl serde::Serialize for Zone {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Zone {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Zone {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("UTC, a name of the IANA time zone database, or an offset."))
            .examples(["UTC", "Europe/Berlin", "+02:00"])
            .into()
    }
}

impl utoipa::ToSchema for Zone {
    fn name() -> std::borrow::Cow<'static, str> {
        "TimeZone".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_notations_of_networks() {
        let zone = Zone::parse("+02:00").unwrap();
        for (text, wanted) in [
            ("2026-11-20T14:05:00Z", "2026-11-20T14:05:00.000Z"),
            ("2026-11-20T14:05:00.250-01:00", "2026-11-20T15:05:00.250Z"),
            ("1795183500", "2026-11-20T14:05:00.000Z"),
            ("1795183500250", "2026-11-20T14:05:00.250Z"),
            ("2026-11-20 14:05:00", "2026-11-20T12:05:00.000Z"),
            ("2026-11-20T14:05:00", "2026-11-20T12:05:00.000Z"),
            ("2026-11-20", "2026-11-19T22:00:00.000Z"),
            ("2026-11-20T14:05:00 01:00", "2026-11-20T13:05:00.000Z"),
            ("2026-11-20T14:05:00+0100", "2026-11-20T13:05:00.000Z"),
            ("2026-11-20 14:05:00 -0130", "2026-11-20T15:35:00.000Z"),
            ("2026-11-20 14:05:00.5 +01", "2026-11-20T13:05:00.500Z"),
            ("2026-11-20 14:05:00 UTC", "2026-11-20T14:05:00.000Z"),
            ("2026-11-20T14:05Z", "2026-11-20T14:05:00.000Z"),
        ] {
            assert_eq!(zone.read(text).map(|at| at.to_string()).as_deref(), Some(wanted), "{text}");
        }
        for text in
            ["", "yesterday", "20.11.2026", "17951835", "2026-02-30 00:00:00", "99999-01-01", "UTC", "14:05:00 UTC"]
        {
            assert_eq!(zone.read(text), None, "{text}");
        }
    }

    #[test]
    fn a_zone_is_utc_a_name_or_an_offset() {
        for (text, shown) in [
            ("utc", "UTC"),
            ("+00:00", "UTC"),
            ("-05:30", "-05:30"),
            ("+14:00", "+14:00"),
            ("Europe/Berlin", "Europe/Berlin"),
            ("america/argentina/buenos_aires", "America/Argentina/Buenos_Aires"),
        ] {
            assert_eq!(Zone::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", "CET", "EST", "+2", "+15:00", "+0200", "Europe/Atlantis", "Etc/GMT+5", "/"] {
            assert!(Zone::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_offset_of_a_place_changes_over_time() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let apia = Zone::parse("Pacific/Apia").unwrap();
        let beirut = Zone::parse("Asia/Beirut").unwrap();
        for (zone, local, wanted) in [
            (berlin, "2026-07-01 12:00:00", "2026-07-01T10:00:00.000Z"),
            (berlin, "2026-12-01 12:00:00", "2026-12-01T11:00:00.000Z"),
            // Put forward from 02:00 to 03:00: skipped times are moved by the gap.
            (berlin, "2026-03-29 01:59:59", "2026-03-29T00:59:59.000Z"),
            (berlin, "2026-03-29 02:00:00", "2026-03-29T01:00:00.000Z"),
            (berlin, "2026-03-29 02:30:00", "2026-03-29T01:30:00.000Z"),
            (berlin, "2026-03-29 03:00:00", "2026-03-29T01:00:00.000Z"),
            // Put back from 03:00 to 02:00: the earlier of two equal times.
            (berlin, "2026-10-25 02:30:00", "2026-10-25T00:30:00.000Z"),
            (berlin, "2026-10-25 03:00:00", "2026-10-25T02:00:00.000Z"),
            // A whole day was skipped, and a midnight.
            (apia, "2011-12-30 12:00:00", "2011-12-30T22:00:00.000Z"),
            (beirut, "2024-03-31", "2024-03-30T22:00:00.000Z"),
        ] {
            assert_eq!(zone.read(local).map(|at| at.to_string()).as_deref(), Some(wanted), "{zone} {local}");
        }
        let summer = Timestamp::parse("2026-07-01T10:00:00Z").unwrap();
        assert_eq!(berlin.from_utc(summer).to_string(), "2026-07-01 12:00:00");
        assert_eq!(berlin.offset_at(summer).local_minus_utc(), 7_200);
    }

    proptest::proptest! {
        /// The local time of a moment leads back to that moment, or to the earlier one with the same local time.
        #[test]
        fn local_times_lead_back(millis in 0_i64..4_102_444_800_000, which in 0_usize..600) {
            let places = chrono_tz::TZ_VARIANTS;
            let zone = Zone(Rule::Place(places[which % places.len()]));
            let at = Timestamp::from_millis(millis);
            let back = zone.to_utc(zone.from_utc(at));
            proptest::prop_assert!(back <= at, "{zone} {at} {back}");
            proptest::prop_assert_eq!(zone.from_utc(back), zone.from_utc(at));
        }
    }
}
