//! Time zones as fixed offsets, and the ways in which networks write a moment.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime};

use crate::clock::Timestamp;

/// UTC or a fixed offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeZone(FixedOffset);

impl Default for TimeZone {
    fn default() -> Self {
        Self(FixedOffset::east_opt(0).expect("UTC exists"))
    }
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{0}\" is not a time zone; write UTC or an offset from it, such as +02:00")]
pub struct InvalidTimeZone(String);

impl std::str::FromStr for TimeZone {
    type Err = InvalidTimeZone;

    fn from_str(text: &str) -> Result<Self, InvalidTimeZone> {
        let invalid = || InvalidTimeZone(text.chars().take(40).collect());
        if ["UTC", "GMT", "Z", "Etc/UTC"].iter().any(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(Self::default());
        }
        let written = text.len() == 6 && text.is_ascii() && text.as_bytes()[3] == b':';
        let offset = written.then(|| text.parse::<FixedOffset>().ok()).flatten().ok_or_else(invalid)?;
        // No place on earth is further away from Greenwich.
        if offset.local_minus_utc().abs() > 14 * 3_600 { Err(invalid()) } else { Ok(Self(offset)) }
    }
}

impl std::fmt::Display for TimeZone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.local_minus_utc() == 0 { f.write_str("UTC") } else { self.0.fmt(f) }
    }
}

impl serde::Serialize for TimeZone {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for TimeZone {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for TimeZone {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("UTC or an offset from it."))
            .examples(["UTC", "+02:00"])
            .into()
    }
}

impl utoipa::ToSchema for TimeZone {}

impl TimeZone {
    /// The day that it is there.
    pub fn date_of(self, at: Timestamp) -> NaiveDate {
        let time = DateTime::from_timestamp_millis(at.millis()).unwrap_or_default();
        time.with_timezone(&self.0).date_naive()
    }

    /// Reads RFC 3339, Unix seconds or milliseconds, and `2026-11-20 14:05:00` or a date, which are in this zone.
    pub fn read(self, text: &str) -> Option<Timestamp> {
        let text = text.trim();
        if !text.is_empty() && text.len() <= 13 && text.bytes().all(|b| b.is_ascii_digit()) {
            let number: i64 = text.parse().ok()?;
            return match text.len() {
                // 2001 to 2286, which tells seconds from milliseconds.
                10 => Some(Timestamp::from_millis(number * 1_000)),
                13 => Some(Timestamp::from_millis(number)),
                _ => None,
            };
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Timestamp::parse(&time.to_rfc3339());
        }
        let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"];
        let local = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        let midnight = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
        let local = local.or_else(midnight)?.and_local_timezone(self.0).single()?;
        Timestamp::parse(&local.to_rfc3339())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_however_a_network_writes_it() {
        let zone: TimeZone = "+02:00".parse().unwrap();
        for (text, wanted) in [
            ("2026-11-20T14:05:00Z", "2026-11-20T14:05:00.000Z"),
            ("2026-11-20T14:05:00.250-01:00", "2026-11-20T15:05:00.250Z"),
            ("1795183500", "2026-11-20T14:05:00.000Z"),
            ("1795183500250", "2026-11-20T14:05:00.250Z"),
            ("2026-11-20 14:05:00", "2026-11-20T12:05:00.000Z"),
            ("2026-11-20T14:05:00", "2026-11-20T12:05:00.000Z"),
            ("2026-11-20", "2026-11-19T22:00:00.000Z"),
        ] {
            assert_eq!(zone.read(text).map(|at| at.to_string()).as_deref(), Some(wanted), "{text}");
        }
        for text in ["", "yesterday", "20.11.2026", "17951835", "2026-02-30 00:00:00", "99999-01-01"] {
            assert_eq!(zone.read(text), None, "{text}");
        }
    }

    #[test]
    fn a_zone_is_utc_or_an_offset() {
        for (text, shown) in [("utc", "UTC"), ("+00:00", "UTC"), ("-05:30", "-05:30"), ("+14:00", "+14:00")] {
            assert_eq!(text.parse::<TimeZone>().unwrap().to_string(), shown);
        }
        for text in ["", "CET", "+2", "+15:00", "Europe/Berlin", "+0200"] {
            assert!(text.parse::<TimeZone>().is_err(), "{text}");
        }
    }
}
