//! Points in time, as they are stored and shown.

use std::time::Duration;

use sea_orm::DeriveValueType;

/// Milliseconds since the Unix epoch, UTC. The API shows RFC 3339 with milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, DeriveValueType)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch; negative before it.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole days since the Unix epoch, in UTC; negative before it.
    pub const fn day(self) -> i64 {
        self.0.div_euclid(86_400_000)
    }

    /// Later by `span`; saturates at the bounds of an `i64`.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This time, but at least a millisecond after `earlier`: the time of a change, by which a later reader sees that
    /// there was one.
    pub fn after(self, earlier: Self) -> Self {
        self.max(earlier.plus(Duration::from_millis(1)))
    }

    /// Earlier by `span`; saturates at the bounds of an `i64`.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` until this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Parses RFC 3339 (`2026-11-20T14:05:00Z`) or a plain date, which means midnight UTC. `None` for other text and
    /// for years outside of 0000 to 9999 in UTC, which could not be written and parsed again.
    pub fn parse(text: &str) -> Option<Self> {
        const YEAR_0: i64 = -62_167_219_200_000;
        const YEAR_10000: i64 = 253_402_300_800_000;
        let millis = match chrono::DateTime::parse_from_rfc3339(text) {
            Ok(time) => time.timestamp_millis(),
            Err(_) => {
                let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
                date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis()
            }
        };
        (YEAR_0..YEAR_10000).contains(&millis).then_some(Self(millis))
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match chrono::DateTime::from_timestamp_millis(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("\"{text}\" is not a time; write 2026-11-20T14:05:00Z")))
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::DateTime)))
            .examples(["2026-11-20T14:05:00.000Z"])
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsed_times_survive_the_round_trip() {
        for text in ["2026-11-20T14:05:00Z", "2026-11-20T14:05:00.250+02:00", "2026-11-20", "0000-01-01", "9999-12-31"]
        {
            let time = Timestamp::parse(text).unwrap();
            assert_eq!(Timestamp::parse(&time.to_string()), Some(time), "{text}");
        }
        for text in ["+12345-01-01", "9999-12-31T23:59:59-01:00", "-0001-12-31", "20.11.2026", ""] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
