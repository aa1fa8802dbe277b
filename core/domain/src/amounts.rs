//! Money: an integer number of micros (millionths of the major unit) and an ISO 4217 code. Never a float, not even in
//! JSON.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MICROS: i64 = 1_000_000;
/// In micros: a hundred billion of the major unit, because a car costs a billion rupiahs. The sum of forty such amounts
/// fits an account.
const LARGEST: i64 = 100_000_000_000 * MICROS;
/// The most that one account may hold, in micros: four trillion (4 × 10¹²) of the major unit. The sum of two such
/// accounts fits an `i64`.
pub const ACCOUNT_MAX: i64 = 4_000_000_000_000 * MICROS;

/// Why a text is not an amount. Each variant holds the text, cut to 40 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAmount {
    /// Not digits with an optional decimal point.
    #[error("\"{0}\" is not an amount; write digits with a point, such as 49.00")]
    NotANumber(String),
    /// Below zero.
    #[error("\"{0}\" is negative; amounts are zero or more, and a refund is a rejection")]
    Negative(String),
    /// More than six decimals.
    #[error("\"{0}\" has more than six decimals; the smallest unit kept is 0.000001")]
    TooPrecise(String),
    /// Above [`Amount::MAX`].
    #[error("\"{0}\" is larger than 100,000,000,000")]
    TooLarge(String),
}

/// An exact, non-negative amount in micros, without a currency: what a person types ("12.50").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(i64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount that can be parsed: 100,000,000,000 of the major unit.
    pub const MAX: Self = Self(LARGEST);

    /// `None` if `micros` is negative. Does not check [`Self::MAX`].
    pub fn from_micros(micros: i64) -> Option<Self> {
        (micros >= 0).then_some(Self(micros))
    }

    /// The amount in micros.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// The difference; `None` if it is negative.
    pub fn less(self, other: Self) -> Option<Self> {
        Self::from_micros(self.0 - other.0)
    }

    /// Adds the currency.
    pub fn of(self, currency: Currency) -> Money {
        Money { micros: self.0, currency }
    }
}

impl FromStr for Amount {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        let shown = || text.chars().take(40).collect::<String>();
        if let Some(rest) = text.strip_prefix('-')
            && rest.starts_with(|c: char| c.is_ascii_digit())
        {
            return Err(InvalidAmount::Negative(shown()));
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(InvalidAmount::NotANumber(shown()));
        }
        if fraction.len() > 6 {
            return Err(InvalidAmount::TooPrecise(shown()));
        }
        let fraction: i64 = format!("{fraction:0<6}").parse().expect("six digits fit an i64");
        let micros = whole.parse::<i64>().ok().and_then(|w| w.checked_mul(MICROS)?.checked_add(fraction));
        match micros {
            Some(micros) if micros <= LARGEST => Ok(Self(micros)),
            _ => Err(InvalidAmount::TooLarge(shown())),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_micros(f, self.0.into())
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_micros(f, self.0.into())
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    /// Only a string is accepted: a JSON number may have been rounded as a float before it got here.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// `exact / divisor`, rounded half up to a multiple of `unit`.
fn rounded(exact: i128, divisor: i128, unit: i64) -> i128 {
    let (unit, step) = (i128::from(unit), divisor * i128::from(unit));
    (exact + step / 2) / step * unit
}

/// Writes at least two decimals, and more only if they are needed.
fn write_micros(f: &mut fmt::Formatter<'_>, micros: i128) -> fmt::Result {
    let sign = if micros < 0 { "-" } else { "" };
    let (whole, fraction) = (micros.unsigned_abs() / MICROS as u128, micros.unsigned_abs() % MICROS as u128);
    let digits = format!("{fraction:06}");
    let kept = digits.trim_end_matches('0').len().max(2);
    write!(f, "{sign}{whole}.{}", &digits[..kept])
}

/// A currency: the three upper-case letters of its ISO 4217 code. Any three letters are accepted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// A text that is not three ASCII letters; holds the text, cut to 20 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a currency; write its three-letter ISO 4217 code, such as USD")]
pub struct InvalidCurrency(pub String);

impl Currency {
    /// Sorts before every other currency: the lower bound of range queries.
    pub const MIN: Self = Self(*b"AAA");

    /// The three upper-case letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("three ASCII letters, checked when made")
    }
}

impl Currency {
    /// The number of decimals of the minor unit (ISO 4217): 2 for USD, 0 for JPY, 3 for KWD, and 2 for unknown codes.
    pub fn decimals(self) -> u32 {
        match self.code() {
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
            | "VUV" | "XAF" | "XOF" | "XPF" => 0,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
            "CLF" | "UYW" => 4,
            _ => 2,
        }
    }
}

impl FromStr for Currency {
    type Err = InvalidCurrency;

    fn from_str(text: &str) -> Result<Self, InvalidCurrency> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_alphabetic) => Ok(Self(code.map(|b| b.to_ascii_uppercase()))),
            _ => Err(InvalidCurrency(text.chars().take(20).collect())),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount in a currency. Ledger entries and reversals may be negative, prices never are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Money {
    /// Millionths of the currency's major unit.
    pub micros: i64,
    /// The currency of `micros`.
    pub currency: Currency,
}

#[derive(Serialize, Deserialize)]
struct MoneyJson {
    amount: Amount,
    currency: Currency,
}

impl Money {
    /// Without the currency; zero if it is negative.
    pub fn amount(self) -> Amount {
        Amount(self.micros.max(0))
    }

    /// `now * self / before`, rounded half up to the unit of a share of `now`; `before` must not be zero. The result is in
    /// the currency of `now`. `None` if it exceeds [`Amount::MAX`].
    pub(crate) fn scaled(self, before: Self, now: Self) -> Option<Self> {
        let unit = now.share_unit().min(self.share_unit());
        let micros = rounded(i128::from(self.micros) * i128::from(now.micros), i128::from(before.micros), unit);
        let micros = i64::try_from(micros).ok().filter(|micros| *micros <= LARGEST)?;
        Some(Self { micros, currency: now.currency })
    }

    /// The unit to which a share of this amount is rounded, in micros: the smallest unit of the currency, or the last
    /// decimal of the amount if it has more decimals.
    fn share_unit(self) -> i64 {
        let mut unit = MICROS / 10_i64.pow(self.currency.decimals());
        while unit > 1 && self.micros % unit != 0 {
            unit /= 10;
        }
        unit
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_micros(f, self.micros.into())?;
        write!(f, " {}", self.currency)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        MoneyJson { amount: self.amount(), currency: self.currency }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        MoneyJson::deserialize(from).map(|json| json.amount.of(json.currency))
    }
}

/// An exact amount in micros that may be negative, as in the ledger: "-12.50". As a sum it may exceed [`Amount::MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct SignedAmount(pub i128);

impl From<i64> for SignedAmount {
    fn from(micros: i64) -> Self {
        Self(micros.into())
    }
}

impl FromStr for SignedAmount {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        match text.strip_prefix('-') {
            Some(rest) => rest.parse::<Amount>().map(|amount| Self::from(-amount.micros())),
            None => text.parse::<Amount>().map(|amount| Self::from(amount.micros())),
        }
    }
}

impl fmt::Display for SignedAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_micros(f, self.0)
    }
}

impl Serialize for SignedAmount {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A share in percent, stored in millionths of a percent ("30" = 30_000_000).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Percent(Amount);

impl Percent {
    /// This share of `money`, in integer arithmetic, rounded half up to the smallest unit of its currency: to cents for
    /// USD, to whole yen for JPY. A share of an amount with more decimals keeps as many.
    pub(crate) fn payout_of(self, money: Money) -> Money {
        let exact = i128::from(money.micros) * i128::from(self.0.micros());
        let micros = rounded(exact, 100 * i128::from(MICROS), money.share_unit());
        Money { micros: i64::try_from(micros).unwrap_or(ACCOUNT_MAX).min(ACCOUNT_MAX), currency: money.currency }
    }

    /// This share of `money`, in integer arithmetic, rounded half up to the micro. A share of up to 100 % never exceeds
    /// `money`; the result is capped at [`ACCOUNT_MAX`].
    pub(crate) fn share_of(self, money: Money) -> Money {
        let exact = i128::from(money.micros) * i128::from(self.0.micros());
        let divisor = 100 * i128::from(MICROS);
        let micros = i64::try_from((exact + divisor / 2) / divisor).unwrap_or(ACCOUNT_MAX).min(ACCOUNT_MAX);
        Money { micros, currency: money.currency }
    }
}

impl Percent {
    /// Whether the share is 0 %.
    pub fn is_zero(self) -> bool {
        self.0 == Amount::ZERO
    }

    const WHOLE: i64 = 100 * MICROS;

    /// `None` above 100 %.
    pub fn from_amount(amount: Amount) -> Option<Self> {
        (amount.micros() <= Self::WHOLE).then_some(Self(amount))
    }

    /// In millionths of a percent.
    pub fn micros(self) -> i64 {
        self.0.micros()
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Percent {
    /// A string from 0 to 100.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let amount = Amount::deserialize(from)?;
        let too_much = || serde::de::Error::custom(format!("{amount} is more than 100 percent; use 0 to 100"));
        Self::from_amount(amount).ok_or_else(too_much)
    }
}

impl FromStr for Percent {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

macro_rules! text_schema {
    ($name:ident, $description:literal, $pattern:literal, $example:literal) => {
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some($description))
                    .pattern(Some($pattern))
                    .examples([$example])
                    .into()
            }
        }
        impl utoipa::ToSchema for $name {}
    };
}
text_schema!(Amount, "An exact amount as text, with at most six decimals.", r"^[0-9]{1,20}(\.[0-9]{1,6})?$", "12.50");
text_schema!(
    SignedAmount,
    "An exact amount as text, which may be negative, with at most six decimals.",
    r"^-?[0-9]{1,20}(\.[0-9]{1,6})?$",
    "-12.50"
);
text_schema!(Percent, "A percentage as text, from 0 to 100.", r"^(100(\.0{1,6})?|[0-9]{1,2}(\.[0-9]{1,6})?)$", "30");
text_schema!(Currency, "A three-letter ISO 4217 currency code.", "^[A-Z]{3}$", "USD");

impl utoipa::PartialSchema for Money {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .property("amount", Amount::schema())
            .property("currency", Currency::schema())
            .required("amount")
            .required("currency")
            .into()
    }
}
impl utoipa::ToSchema for Money {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_parsed_and_shown_exactly() {
        for (typed, micros, shown) in [
            ("0", 0, "0.00"),
            ("12.50", 12_500_000, "12.50"),
            ("49", 49_000_000, "49.00"),
            ("0.000001", 1, "0.000001"),
            ("1.25", 1_250_000, "1.25"),
            ("14.997", 14_997_000, "14.997"),
            ("1500000000", 1_500_000_000_000_000, "1500000000.00"),
            ("100000000000", LARGEST, "100000000000.00"),
        ] {
            let amount: Amount = typed.parse().unwrap();
            assert_eq!((amount.micros(), amount.to_string().as_str()), (micros, shown));
        }
    }

    #[test]
    fn invalid_amounts_are_refused_with_their_reason() {
        use InvalidAmount::*;
        for (typed, wanted) in [
            ("abc", NotANumber as fn(String) -> InvalidAmount),
            ("", NotANumber),
            ("1e9", NotANumber),
            (" 1", NotANumber),
            ("1.", NotANumber),
            (".5", NotANumber),
            ("1,000", NotANumber),
            ("+5", NotANumber),
            ("NaN", NotANumber),
            ("-50", Negative),
            ("1.123456789", TooPrecise),
            ("100000000000.000001", TooLarge),
            ("99999999999999999999", TooLarge),
        ] {
            assert_eq!(typed.parse::<Amount>(), Err(wanted(typed.to_owned())));
        }
    }

    #[test]
    fn scaling_beyond_the_largest_amount_gives_none() {
        let usd: Currency = "usd".parse().unwrap();
        let money = |text: &str| text.parse::<Amount>().unwrap().of(usd);
        let scaled = |part: &str, before: &str, now: &str| money(part).scaled(money(before), money(now));
        assert_eq!(scaled("5", "10", "30"), Some(money("15")));
        assert_eq!(scaled("1", "1", "100000000000"), Some(money("100000000000")));
        assert_eq!(scaled("1.000001", "1", "100000000000"), None);
        assert_eq!(scaled("100000000000", "0.000001", "100000000000"), None, "also beyond an i64");
        assert_eq!(scaled("15", "49.99", "30"), Some(money("9.00")));
    }

    #[test]
    fn a_sum_may_exceed_the_largest_amount() {
        assert_eq!(SignedAmount(12_345_678_901_234_567_890_500_000).to_string(), "12345678901234567890.50");
        assert_eq!(SignedAmount(-1_500_000).to_string(), "-1.50");
    }

    #[test]
    fn a_percentage_payout_is_rounded_to_the_smallest_unit_of_its_currency() {
        for (percent, amount, currency, wanted) in [
            ("30", "49.99", "USD", "15.00 USD"),
            ("30", "49.95", "USD", "14.99 USD"),
            ("33.333333", "1000", "JPY", "333.00 JPY"),
            ("50", "1001", "JPY", "501.00 JPY"),
            ("12.3456", "10", "KWD", "1.235 KWD"),
            ("0", "49.99", "USD", "0.00 USD"),
            ("100", "49.99", "USD", "49.99 USD"),
            // A share of a payout per thousand views has the decimals of the payout.
            ("20", "0.0012", "USD", "0.0002 USD"),
            ("50", "0.000123", "USD", "0.000062 USD"),
        ] {
            let money = amount.parse::<Amount>().unwrap().of(currency.parse().unwrap());
            assert_eq!(percent.parse::<Percent>().unwrap().payout_of(money).to_string(), wanted, "{percent} {money}");
        }
    }

    #[test]
    fn a_percentage_rounds_half_up_to_the_millionth() {
        let usd: Currency = "usd".parse().unwrap();
        let share = |percent: &str, amount: &str| {
            percent.parse::<Percent>().unwrap().share_of(amount.parse::<Amount>().unwrap().of(usd)).to_string()
        };
        assert_eq!(share("30", "49.99"), "14.997 USD");
        assert_eq!(share("33.333333", "0.000002"), "0.000001 USD");
        assert_eq!(share("0", "49.99"), "0.00 USD");
    }
}
