//! Identifiers: UUIDv7, written as 26 characters of lower-case Crockford base32.
//!
//! They sort by time, which range partitions and cursors use. Base32 is case-insensitive and has no look-alikes,
//! because networks truncate ids and change their case. A prefix names the kind of object (`cnv_…`); click ids have
//! none, since they are part of other people's URLs.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use sea_orm::DeriveValueType;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::timestamp::Timestamp;

/// Text that is not an identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{given}\" is not {kind}; it should look like {example}")]
pub struct InvalidId {
    /// The text, cut to 64 characters.
    pub given: String,
    /// The expected kind, with its article: "a conversion".
    pub kind: &'static str,
    /// A valid id of that kind.
    pub example: String,
}

/// A UUIDv7 of the moment `at`. Ids from one process sort in the order of creation, also within a millisecond, because
/// lists and statements show that order. 34 bits are a sequence that wraps after 17 billion ids; 40 bits are random.
pub fn new_uuid(at: Timestamp) -> Uuid {
    static SEQUENCE: AtomicU64 = AtomicU64::new(0);
    let mut random: [u8; 10] = rand::random();
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    // The version overwrites the first four bits, the variant two bits of the third byte.
    let parts = [sequence >> 30, sequence >> 22, sequence >> 16 & 0x3f, sequence >> 8, sequence];
    for (byte, part) in random.iter_mut().zip(parts) {
        *byte = part as u8;
    }
    uuid_at(at, random)
}

/// A UUIDv7 for ids that other systems may truncate: ids of one millisecond differ in the first bits after the time, a
/// 12-bit counter. When the counter wraps, a later id of the same millisecond sorts before an earlier one.
fn new_early_uuid(at: Timestamp) -> Uuid {
    static SEQUENCE: AtomicU16 = AtomicU16::new(0);
    let mut random: [u8; 10] = rand::random();
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    random[0] = sequence[0];
    random[1] = sequence[1];
    uuid_at(at, random)
}

/// The lowest UUIDv7 of the moment `at`: a bound for range partitions and searches by time.
pub fn floor_uuid(at: Timestamp) -> Uuid {
    uuid_at(at, [0; 10])
}

/// A UUIDv7 of the moment `at`; version and variant overwrite six bits of `rest`. Times before the epoch count as the
/// epoch.
fn uuid_at(at: Timestamp, rest: [u8; 10]) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(at.millis().max(0) as u64, &rest).into_uuid()
}

/// The moment in a UUIDv7, in whole milliseconds.
pub fn time_of(id: Uuid) -> Timestamp {
    Timestamp::from_millis((id.as_u128() >> 80) as i64)
}

/// Crockford's base32 in lower case: no digit looks like another.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 26;

/// 26 characters of lower-case Crockford base32.
pub fn encode(id: Uuid) -> String {
    written(&digits(id)).to_owned()
}

fn digits(id: Uuid) -> [u8; LENGTH] {
    let bits = id.as_u128();
    std::array::from_fn(|i| ALPHABET[(bits >> (5 * (LENGTH - 1 - i))) as usize & 31])
}

/// A letter or digit for the low five bits of each byte.
pub(crate) fn characters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

/// In lower case, with o read as 0, and i and l as 1.
pub(crate) fn canonical(typed: u8) -> u8 {
    match typed.to_ascii_lowercase() {
        b'o' => b'0',
        b'i' | b'l' => b'1',
        other => other,
    }
}

fn written(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).expect("digits are ASCII")
}

/// Decodes the output of [`encode`] in either case, with o read as 0, and i and l as 1. `None` for other text.
pub fn decode(text: &str) -> Option<Uuid> {
    if text.len() != LENGTH {
        return None;
    }
    let mut bits: u128 = 0;
    for (i, byte) in text.bytes().enumerate() {
        let byte = canonical(byte);
        let digit = ALPHABET.iter().position(|letter| *letter == byte)? as u128;
        if i == 0 && digit > 7 {
            return None; // 26 × 5 = 130 bits; the top two must be zero.
        }
        bits = bits << 5 | digit;
    }
    Some(Uuid::from_u128(bits))
}

/// The first and the last id whose [`encode`]d text begins with `text`; `None` if `text` is empty or no id begins with
/// it.
pub(crate) fn range_of_prefix(text: &str) -> Option<(Uuid, Uuid)> {
    let padded = |with: char| decode(&format!("{text}{}", String::from(with).repeat(LENGTH.checked_sub(text.len())?)));
    Some((padded('0')?, padded('z')?)).filter(|_| !text.is_empty())
}

/// A deterministic id for a pair of ids, with the time of the first. A derived id instead of a random one makes the
/// primary key enforce "one row per pair", on partitioned tables too.
fn derive(first: Uuid, second: Uuid) -> Uuid {
    let digest = Sha256::new().chain_update(first.as_bytes()).chain_update(second.as_bytes()).finalize();
    let mut random = [0; 10];
    random.copy_from_slice(&digest[..10]);
    uuid_at(time_of(first), random)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal) => {
        id!($(#[$doc])* $name, $prefix, $kind, new_uuid);
    };
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal, $draw:path) => {
        #[doc = concat!("The id of ", $kind, ".")]
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The beginning of the written form; empty for ids without a prefix.
            pub const PREFIX: &'static str = $prefix;

            /// A new id with the time `at`.
            pub fn new(at: Timestamp) -> Self {
                Self($draw(at))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($prefix)?;
                f.write_str(written(&digits(self.0)))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;

            /// The prefix is optional.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let bare = match text.get(..$prefix.len()) {
                    Some(start) if start.eq_ignore_ascii_case($prefix) => &text[$prefix.len()..],
                    _ => text,
                };
                decode(bare).map(Self).ok_or_else(|| InvalidId {
                    given: text.chars().take(64).collect(),
                    kind: $kind,
                    example: format!("{}06a5xk2m7q8r9stvwxyz012345", $prefix),
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some(concat!("The id of ", $kind, ".")))
                    .pattern(Some(concat!("^", $prefix, "[0-7][0-9a-hjkmnp-tv-z]{25}$")))
                    .examples([format!("{}06a5xk2m7q8r9stvwxyz012345", $prefix)])
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}

        impl sea_orm::TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
            }
        }
    };
}

id!(AffiliateId, "aff_", "an affiliate");
id!(OfferId, "ofr_", "an offer");
id!(LinkId, "lnk_", "a link");
id!(
    /// It has no prefix, because it is part of other people's URLs. It is also the session id.
    ClickId, "", "a click", new_early_uuid
);
id!(ConversionId, "cnv_", "a conversion");
id!(EventId, "evt_", "an event");
id!(PostbackId, "pbk_", "a postback");
id!(DeliveryId, "dlv_", "a delivery");
id!(RetryJobId, "rtj_", "a retry job");
id!(KeyId, "key_", "an API key");
id!(SourceId, "src_", "a source");
id!(InboundRequestId, "inr_", "an inbound request");
id!(PayoutOverrideId, "exc_", "a payout override");
id!(ApplicationId, "app_", "an application");
id!(UserId, "usr_", "a user");
id!(CustomerId, "cus_", "a customer");
id!(AuditId, "aud_", "an audit record");
id!(MailId, "mai_", "a message");
id!(SessionId, "ses_", "a session");
id!(SavedViewId, "viw_", "a saved view");
id!(PostingId, "pst_", "a posting");

impl PostingId {
    /// A new id after `last`, with the time `at`, or with that of `last` if that is later. Several processes number the
    /// postings of one balance, and within a millisecond the ids of only one of them sort by themselves.
    pub fn after(last: Self, at: Timestamp) -> Self {
        let drawn = Self::new(at.max(time_of(last.0)));
        if drawn > last {
            return drawn;
        }
        let counted = (last.0.as_u128() + 1) & COUNTED;
        if counted == 0 {
            return Self::new(time_of(last.0).plus(std::time::Duration::from_millis(1)));
        }
        Self(Uuid::from_u128((last.0.as_u128() & !COUNTED) | counted))
    }
}

/// The bits of a UUID after its version and its variant.
const COUNTED: u128 = (1 << 62) - 1;

id!(EarningId, "ern_", "an earning");
id!(WithdrawalId, "wdr_", "a withdrawal");
id!(WithdrawalBatchId, "wdb_", "a withdrawal batch");
id!(PayoutDetailsId, "pdt_", "payout details");
id!(ExchangeRateId, "rat_", "an exchange rate");
id!(ExchangeId, "exg_", "an exchange");

impl LinkId {
    /// Without the prefix, as in `/c/{link}`.
    pub fn bare(self) -> String {
        encode(self.0)
    }
}

impl DeliveryId {
    /// An event is delivered to a postback once: the id is derived from the pair, so routing an event twice adds no
    /// delivery.
    pub fn of(event: EventId, postback: PostbackId) -> Self {
        Self(derive(event.0, postback.0))
    }
}

impl EventId {
    /// An earning is released once, so the event id is derived from it: if a database crash undoes the release, the
    /// repeated release emits the same event id. The id has the time of the release, so that it falls into a partition
    /// that is still kept.
    pub fn of_release(earning: EarningId, release_at: Timestamp) -> Self {
        Self(derive(floor_uuid(release_at), earning.0))
    }
}

impl SourceId {
    /// The source that each affiliate has from the start. The id is derived, so concurrent creation gives the same
    /// source.
    pub fn first_of(affiliate: AffiliateId) -> Self {
        Self(derive(affiliate.0, affiliate.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_the_round_trip_in_any_case() {
        let id = ClickId::new(Timestamp::from_millis(1_763_647_000_123));
        let text = id.to_string();
        assert_eq!(text.len(), 26);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_uppercase().parse(), Ok(id));
        assert_eq!(time_of(id.0).millis(), 1_763_647_000_123);
    }

    #[test]
    fn ids_sort_by_time_and_by_sequence() {
        let at = |ms| ClickId::new(Timestamp::from_millis(ms));
        assert!(at(1) < at(2));
        assert!(at(5).to_string() < at(6).to_string());
    }

    #[test]
    fn a_truncated_or_foreign_id_is_refused() {
        for text in ["", "aff_", "06a5", "zzzzzzzzzzzzzzzzzzzzzzzzzz", "06a5xk2m7q8r9stvwxyz01234!"] {
            assert!(text.parse::<AffiliateId>().is_err(), "{text}");
        }
    }

    #[test]
    fn ids_of_one_millisecond_keep_their_order() {
        let at = Timestamp::from_millis(1_763_647_000_123);
        let ids: Vec<_> = (0..100_000).map(|_| PostingId::new(at)).collect();
        assert!(ids.is_sorted_by(|before, after| before.0 < after.0));
        assert_eq!((ids[0].0.get_version_num(), time_of(ids[99_999].0)), (7, at));
    }

    #[test]
    fn the_release_event_of_an_earning_has_one_id() {
        let (at, due) = (Timestamp::from_millis(1_763_647_000_123), Timestamp::from_millis(1_766_239_000_123));
        let (earning, other) = (EarningId::new(at), EarningId::new(at));
        assert_eq!(EventId::of_release(earning, due), EventId::of_release(earning, due));
        assert_ne!(EventId::of_release(earning, due), EventId::of_release(other, due));
        assert_eq!(time_of(EventId::of_release(earning, due).0), due);
    }

    #[test]
    fn a_delivery_id_belongs_to_its_pair() {
        let at = Timestamp::from_millis(1_763_647_000_123);
        let (event, other, postback) = (EventId::new(at), EventId::new(at), PostbackId::new(at));
        assert_eq!(DeliveryId::of(event, postback), DeliveryId::of(event, postback));
        assert_ne!(DeliveryId::of(event, postback), DeliveryId::of(other, postback));
        assert_eq!(time_of(DeliveryId::of(event, postback).0), at);
    }
}
