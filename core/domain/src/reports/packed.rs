//! Clicks and conversions in packed columns: the form in which the database stores them for reports.
//!
//! A segment holds some [`SEGMENT_ROWS`] rows at most, of one quarter of an hour, sorted by scope. Column 0 has the scopes and how many
//! rows each has; column 1 what is measured; the others one dimension each, as codes into a list of its values.
//! A report reads only the columns that it uses. A dimension without a value in any row has no column.
//!
//! # Format
//!
//! Numbers are LEB128: seven bits per byte, the lowest first, and the high bit set in all bytes except the last.
//! Three clicks, in the order of their scopes:
//!
//! | scope | what | flags | country |
//! |---|---|---|---|
//! | 5 | unique click | `CLICK + UNIQUE` = 3 | DE |
//! | 5 | repeated click | `CLICK` = 1 | |
//! | 300 | impression | 0 | US |
//!
//! are three columns (in hexadecimal):
//!
//! | column | bytes | meaning |
//! |---|---|---|
//! | 0 | `05 0A 01 01` | scope 5; bits 1 and 3 of `0A`: rows with the flags 1 and 3; one row of each |
//! | | `AC 02 01 01` | scope 300 = `2C` + 2 × 128; bit 0: rows with the flags 0; one row |
//! | 1 | `03 01 00` | the flags of each row |
//! | 12 | `02` | two values (12 is 2 + the number of [`Dimension::Country`]) |
//! | | `02 44 45 02 55 53` | each with its length in bytes: `DE`, `US` |
//! | | `02 00 03` | a code per row: 0 is no value, 1 is "other", 2 the first value |
//!
//! With more than 254 values a code has two bytes, the lower first.
//!
//! An approved conversion of scope 5 with a payout of 12.50 USD and no revenue is:
//!
//! | column | bytes | meaning |
//! |---|---|---|
//! | 0 | `05 01` | scope 5; one row |
//! | 1 | `09` | bits 0 and 1: pending 0, approved 1, rejected 2; bit 2: self-reported; bit 3: has a payout; bit 4: has a revenue; bits 5 and 6: has second-tier commissions on top of the payout, and deducted from it |
//! | | `55 53 44 A0 F8 FA 05` | `USD`, and 12,500,000 micros; a revenue would follow in the same form, then the micros of each kind of commission in the currency of the payout |
//!
//! # Versions
//!
//! Packed columns are the only record of clicks that are out of retention, so each stored column has the version of its
//! format beside its bytes (`report_columns.version`). Columns of releases that did not store a version have version 0 by
//! the column's default; their format is that of version 1. Version 2 added the second-tier commissions of conversions
//! (bits 5 and 6, which were 0 before). A reader checks the version first ([`check_version`]). A
//! change of the format takes the next version, keeps a reader for the earlier ones, and demands its schema level,
//! because releases before version 1 do not check it.

use std::collections::HashMap;

use crate::amounts::{Currency, Money};
use crate::money::earning::SecondTier;

use super::{Dimension, Values};

/// The version of the format that this release writes.
pub const VERSION: i32 = 2;

/// A column of a later release.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a packed report column has version {0}, and this release reads up to version {VERSION}; upgrade this server")]
pub struct UnknownVersion(pub i32);

/// Whether this release can read a stored column of that version.
///
/// # Errors
/// The version is newer than [`VERSION`].
pub fn check_version(version: i32) -> Result<(), UnknownVersion> {
    if (0..=VERSION).contains(&version) { Ok(()) } else { Err(UnknownVersion(version)) }
}

/// The most rows of a segment.
pub const SEGMENT_ROWS: usize = 32_768;
/// The most values of one dimension and scope in a segment; further values are counted together as "other". It bounds
/// the size of sub ids that are different for every click.
pub(crate) const VALUES_MAX: usize = 1_000;

/// Number of the column with the scopes.
pub const SCOPES: u8 = 0;
/// Number of the column with the measures.
pub(crate) const MEASURES: u8 = 1;
const FIRST_DIMENSION: u8 = 2;

/// Flag of a click; without it the row is an impression.
pub const CLICK: u8 = 1;
/// Flag of the first click of a visitor on a link and day.
pub const UNIQUE: u8 = 2;
/// Flag of a probable bot.
pub const BOT: u8 = 4;

/// Numbers of clicks and impressions, indexed by their flags.
pub type Flags = [u64; 8];

/// The code of rows without a value.
pub(crate) const NO_VALUE: u16 = 0;
/// The code of values beyond [`VALUES_MAX`].
pub(crate) const OTHER: u16 = 1;
const FIRST_VALUE: u16 = 2;

/// The number of a dimension's column.
pub(crate) fn column_of(dimension: Dimension) -> u8 {
    FIRST_DIMENSION + dimension as u8
}

/// One row to be packed.
#[derive(Clone, Debug)]
pub struct Row<M> {
    /// The number of its scope.
    pub scope: u32,
    /// Flags of a click, or the state of a conversion.
    pub measure: M,
    /// Its dimensions.
    pub values: Values,
}

/// The state of a conversion for reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConversionMeasures {
    /// The status, without its reason.
    pub status: Status,
    /// Whether an affiliate's own source reported it.
    pub self_reported: bool,
    /// What the affiliate earns.
    pub payout: Option<Money>,
    /// What the advertiser pays.
    pub revenue: Option<Money>,
    /// The second-tier commissions, in micros of the payout's currency; none without a payout.
    pub second_tier: SecondTier,
}

/// The status of a conversion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Waits for a decision.
    Pending,
    /// The affiliate earns its payout.
    Approved,
    /// It earns nothing.
    Rejected,
}

text_enum!(Status { Pending => "pending", Approved => "approved", Rejected => "rejected" });

/// Numbers and contents of columns, in order.
pub type Columns = Vec<(u8, Vec<u8>)>;

/// Packs clicks and impressions; the measures are their flags.
pub fn pack_clicks(mut rows: Vec<Row<u8>>) -> Columns {
    rows.sort_by_key(|row| row.scope);
    let mut scopes = Vec::new();
    for run in rows.chunk_by(|a, b| a.scope == b.scope) {
        let mut flags = Flags::default();
        for row in run {
            flags[usize::from(row.measure & 7)] += 1;
        }
        let present = flags.iter().enumerate().fold(0_u8, |mask, (bit, count)| mask | (u8::from(*count > 0) << bit));
        put(&mut scopes, u64::from(run[0].scope));
        scopes.push(present);
        flags.iter().filter(|count| **count > 0).for_each(|count| put(&mut scopes, *count));
    }
    let measures = rows.iter().map(|row| row.measure & 7).collect();
    with_dimensions(&rows, vec![(SCOPES, scopes), (MEASURES, measures)])
}

/// Packs conversions.
pub fn pack_conversions(mut rows: Vec<Row<ConversionMeasures>>) -> Columns {
    rows.sort_by_key(|row| row.scope);
    let (mut scopes, mut measures) = (Vec::new(), Vec::new());
    for run in rows.chunk_by(|a, b| a.scope == b.scope) {
        put(&mut scopes, u64::from(run[0].scope));
        put(&mut scopes, run.len() as u64);
    }
    for Row { measure: it, .. } in &rows {
        let flags = it.status as u8
            | u8::from(it.self_reported) << 2
            | u8::from(it.payout.is_some()) << 3
            | u8::from(it.revenue.is_some()) << 4
            | u8::from(it.second_tier.on_top > 0) << 5
            | u8::from(it.second_tier.deducted > 0) << 6;
        measures.push(flags);
        for money in [it.payout, it.revenue].into_iter().flatten() {
            measures.extend_from_slice(money.currency.code().as_bytes());
            put(&mut measures, money.micros.max(0).cast_unsigned());
        }
        for micros in [it.second_tier.on_top, it.second_tier.deducted].into_iter().filter(|micros| *micros > 0) {
            put(&mut measures, micros.cast_unsigned());
        }
    }
    with_dimensions(&rows, vec![(SCOPES, scopes), (MEASURES, measures)])
}

fn with_dimensions<M>(rows: &[Row<M>], mut columns: Columns) -> Columns {
    let mut dimensions: HashMap<Dimension, Column> = HashMap::new();
    for (index, row) in rows.iter().enumerate() {
        for (dimension, value) in &row.values {
            let column = dimensions.entry(*dimension).or_insert_with(|| Column::new(rows.len()));
            column.codes[index] = column.code(row.scope, value);
        }
    }
    columns.extend(dimensions.into_iter().map(|(dimension, column)| (column_of(dimension), column.write())));
    columns.sort_by_key(|(number, _)| *number);
    columns
}

/// A column of a dimension while it is packed.
struct Column<'a> {
    codes: Vec<u16>,
    known: HashMap<&'a str, u16>,
    values: Vec<&'a str>,
    /// The current scope, and how many values it has added.
    bound: (u32, usize),
}

impl<'a> Column<'a> {
    fn new(rows: usize) -> Self {
        Self { codes: vec![NO_VALUE; rows], known: HashMap::new(), values: Vec::new(), bound: (u32::MAX, 0) }
    }

    fn code(&mut self, scope: u32, value: &'a str) -> u16 {
        if let Some(code) = self.known.get(value) {
            return *code;
        }
        if self.bound.0 != scope {
            self.bound = (scope, 0);
        }
        if self.bound.1 >= VALUES_MAX || self.values.len() >= usize::from(u16::MAX - FIRST_VALUE) {
            return OTHER;
        }
        self.bound.1 += 1;
        let code = FIRST_VALUE + u16::try_from(self.values.len()).expect("there are fewer values than codes");
        self.values.push(value);
        self.known.insert(value, code);
        code
    }

    fn write(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, self.values.len() as u64);
        for value in &self.values {
            put(&mut bytes, value.len() as u64);
            bytes.extend_from_slice(value.as_bytes());
        }
        if is_narrow(self.values.len()) {
            bytes.extend(self.codes.iter().map(|code| *code as u8));
        } else {
            self.codes.iter().for_each(|code| bytes.extend_from_slice(&code.to_le_bytes()));
        }
        bytes
    }
}

/// Whether the codes of this number of values fit into a byte.
fn is_narrow(values: usize) -> bool {
    values + usize::from(FIRST_VALUE) <= 256
}

/// Consecutive rows of one scope.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The number of the scope.
    pub scope: u32,
    /// How many rows.
    pub rows: usize,
}

/// Bytes that are not a valid column.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a packed column can't be read; run `postrider reports rebuild`")]
pub struct Damaged;

/// The runs in the scopes column of clicks.
pub(crate) fn runs_of_clicks(bytes: &[u8]) -> Result<Vec<Run>, Damaged> {
    let mut runs = Vec::new();
    flags_of_clicks(bytes, |scope, flags| {
        let rows = usize::try_from(flags.iter().sum::<u64>()).map_err(|_| Damaged)?;
        runs.push(Run { scope, rows });
        Ok(())
    })?;
    Ok(runs)
}

/// Calls `each` with every scope in the scopes column of clicks and its numbers by flags.
#[inline]
pub(crate) fn flags_of_clicks(
    bytes: &[u8],
    mut each: impl FnMut(u32, &Flags) -> Result<(), Damaged>,
) -> Result<(), Damaged> {
    let mut bytes = Bytes(bytes);
    while !bytes.0.is_empty() {
        let scope = bytes.scope()?;
        let mut present = bytes.byte()?;
        let mut flags = Flags::default();
        while present != 0 {
            flags[present.trailing_zeros() as usize] = bytes.number()?;
            present &= present - 1;
        }
        each(scope, &flags)?;
    }
    Ok(())
}

/// The runs in the scopes column of conversions.
pub(crate) fn runs_of_conversions(bytes: &[u8]) -> Result<Vec<Run>, Damaged> {
    let mut bytes = Bytes(bytes);
    let mut runs = Vec::new();
    while !bytes.0.is_empty() {
        let scope = bytes.scope()?;
        let rows = usize::try_from(bytes.number()?).map_err(|_| Damaged)?;
        runs.push(Run { scope, rows });
    }
    Ok(runs)
}

/// The measures column of conversions.
pub(crate) fn conversion_measures(bytes: &[u8]) -> Result<Vec<ConversionMeasures>, Damaged> {
    let mut bytes = Bytes(bytes);
    let mut conversion_measures = Vec::new();
    while !bytes.0.is_empty() {
        let flags = bytes.byte()?;
        let status = match flags & 3 {
            0 => Status::Pending,
            1 => Status::Approved,
            2 => Status::Rejected,
            _ => return Err(Damaged),
        };
        let payout = if flags & 8 != 0 { Some(bytes.money()?) } else { None };
        let revenue = if flags & 16 != 0 { Some(bytes.money()?) } else { None };
        let on_top = if flags & 32 != 0 { bytes.micros()? } else { 0 };
        let deducted = if flags & 64 != 0 { bytes.micros()? } else { 0 };
        let second_tier = SecondTier { on_top, deducted };
        let self_reported = flags & 4 != 0;
        conversion_measures.push(ConversionMeasures { status, self_reported, payout, revenue, second_tier });
    }
    Ok(conversion_measures)
}

/// A column of a dimension: its values, and the code of each row.
#[derive(Clone, Debug)]
pub(crate) struct CodedColumn<'a> {
    /// The distinct values. The code of a value is its index plus [`FIRST_VALUE`].
    pub values: Vec<&'a str>,
    codes: &'a [u8],
    narrow: bool,
}

impl<'a> CodedColumn<'a> {
    /// Reads the column of a segment with `rows` rows. [`Damaged`] if the bytes end too early, or are too many or not UTF-8.
    pub fn read(bytes: &'a [u8], rows: usize) -> Result<Self, Damaged> {
        let mut bytes = Bytes(bytes);
        let count = usize::try_from(bytes.number()?).map_err(|_| Damaged)?;
        let mut values = Vec::with_capacity(count.min(SEGMENT_ROWS));
        for _ in 0..count {
            let length = usize::try_from(bytes.number()?).map_err(|_| Damaged)?;
            let (value, rest) = bytes.0.split_at_checked(length).ok_or(Damaged)?;
            values.push(std::str::from_utf8(value).map_err(|_| Damaged)?);
            bytes.0 = rest;
        }
        let narrow = is_narrow(count);
        if bytes.0.len() != if narrow { rows } else { 2 * rows } {
            return Err(Damaged);
        }
        Ok(Self { values, codes: bytes.0, narrow })
    }

    /// The number of possible codes.
    pub fn width(&self) -> usize {
        self.values.len() + usize::from(FIRST_VALUE)
    }

    /// Calls `it` with each row and its code.
    #[inline]
    pub fn each(&self, mut it: impl FnMut(usize, u16)) {
        if self.narrow {
            self.codes.iter().enumerate().for_each(|(row, code)| it(row, u16::from(*code)));
        } else {
            let (codes, _) = self.codes.as_chunks();
            codes.iter().enumerate().for_each(|(row, code)| it(row, u16::from_le_bytes(*code)));
        }
    }

    /// The value of a code; `None` for [`NO_VALUE`] and [`OTHER`].
    pub fn value(&self, code: u16) -> Option<&'a str> {
        self.values.get(usize::from(code.checked_sub(FIRST_VALUE)?)).copied()
    }

    /// The code of a value.
    pub(crate) fn code_of(&self, value: &str) -> Option<u16> {
        let index = self.values.iter().position(|known| *known == value)?;
        u16::try_from(index).ok().map(|index| index + FIRST_VALUE)
    }
}

/// LEB128: seven bits per byte, the lowest first.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    #[inline]
    fn byte(&mut self) -> Result<u8, Damaged> {
        let (first, rest) = self.0.split_first().ok_or(Damaged)?;
        self.0 = rest;
        Ok(*first)
    }

    #[inline]
    fn number(&mut self) -> Result<u64, Damaged> {
        match self.byte()? {
            small @ 0..0x80 => Ok(u64::from(small)),
            first => self.rest_of_number(u64::from(first & 0x7f)),
        }
    }

    fn rest_of_number(&mut self, mut number: u64) -> Result<u64, Damaged> {
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damaged)
    }

    fn scope(&mut self) -> Result<u32, Damaged> {
        u32::try_from(self.number()?).map_err(|_| Damaged)
    }

    fn money(&mut self) -> Result<Money, Damaged> {
        let (code, rest) = self.0.split_at_checked(3).ok_or(Damaged)?;
        let currency: Currency = std::str::from_utf8(code).ok().and_then(|it| it.parse().ok()).ok_or(Damaged)?;
        self.0 = rest;
        Ok(Money { micros: self.micros()?, currency })
    }

    fn micros(&mut self) -> Result<i64, Damaged> {
        i64::try_from(self.number()?).map_err(|_| Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn column(columns: &Columns, number: u8) -> Option<&[u8]> {
        columns.iter().find(|(known, _)| *known == number).map(|(_, bytes)| &bytes[..])
    }

    fn rows() -> impl Strategy<Value = Vec<Row<u8>>> {
        let row = (0_u32..5, 0_u8..8, prop::option::of("[a-zä€]{0,3}"), prop::option::of("[ab]"));
        prop::collection::vec(row, 0..600).prop_map(|rows| {
            let row = |(scope, measure, keyword, device): (u32, u8, Option<String>, Option<String>)| {
                let keyword = keyword.map(|value| (Dimension::Keyword, value));
                let values = keyword.into_iter().chain(device.map(|value| (Dimension::Device, value))).collect();
                Row { scope, measure, values }
            };
            rows.into_iter().map(row).collect()
        })
    }

    fn codes(coded: &CodedColumn) -> Vec<u16> {
        let mut codes = Vec::new();
        coded.each(|row, code| {
            assert_eq!(row, codes.len());
            codes.push(code);
        });
        codes
    }

    proptest! {
        #[test]
        fn clicks_survive_the_round_trip(rows in rows()) {
            let mut sorted = rows.clone();
            sorted.sort_by_key(|row| row.scope);
            let columns = pack_clicks(rows);
            let runs = runs_of_clicks(column(&columns, SCOPES).unwrap()).unwrap();
            let scopes = runs.iter().flat_map(|run| std::iter::repeat_n(run.scope, run.rows));
            prop_assert!(scopes.eq(sorted.iter().map(|row| row.scope)));
            let flags = column(&columns, MEASURES).unwrap();
            for dimension in [Dimension::Keyword, Dimension::Device, Dimension::Sub1] {
                let coded = column(&columns, column_of(dimension)).map(|it| CodedColumn::read(it, sorted.len()).unwrap());
                let codes = coded.as_ref().map(codes);
                for (index, row) in sorted.iter().enumerate() {
                    let wanted = row.values.iter().find(|(known, _)| *known == dimension).map(|(_, value)| value.as_str());
                    let found = coded.as_ref().zip(codes.as_ref()).and_then(|(it, codes)| it.value(codes[index]));
                    prop_assert_eq!(found, wanted);
                    prop_assert_eq!(flags[index], row.measure);
                }
            }
        }

        #[test]
        fn arbitrary_bytes_cause_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), rows in 0_usize..40) {
            let _ = runs_of_clicks(&bytes);
            let _ = runs_of_conversions(&bytes);
            let _ = conversion_measures(&bytes);
            let _ = CodedColumn::read(&bytes, rows);
        }
    }

    #[test]
    fn distinct_values_are_bounded() {
        let row = |n: usize| Row { scope: 1, measure: CLICK, values: vec![(Dimension::Sub1, n.to_string())] };
        let columns = pack_clicks((0..VALUES_MAX + 10).map(row).collect());
        let coded = CodedColumn::read(column(&columns, column_of(Dimension::Sub1)).unwrap(), VALUES_MAX + 10).unwrap();
        let others = codes(&coded).into_iter().filter(|code| *code == OTHER).count();
        assert_eq!((coded.values.len(), others), (VALUES_MAX, 10));
    }

    #[test]
    fn conversions_keep_status_and_money() {
        let usd: Currency = "USD".parse().unwrap();
        let money = |micros| Some(Money { micros, currency: usd });
        let all = [Status::Pending, Status::Approved, Status::Rejected].map(|status| ConversionMeasures {
            status,
            self_reported: status == Status::Rejected,
            payout: money(12_500_000),
            revenue: if status == Status::Approved { money(1) } else { None },
            second_tier: match status {
                Status::Pending => SecondTier::default(),
                Status::Approved => SecondTier { on_top: 1_250_000, deducted: 0 },
                Status::Rejected => SecondTier { on_top: 1, deducted: 300 },
            },
        });
        let rows = all.iter().map(|it| Row { scope: 7, measure: *it, values: vec![] }).collect();
        let columns = pack_conversions(rows);
        assert_eq!(conversion_measures(column(&columns, MEASURES).unwrap()).unwrap(), all);
        assert_eq!(runs_of_conversions(column(&columns, SCOPES).unwrap()).unwrap()[0].rows, 3);
    }

    /// The examples of the module's documentation. Stored columns of all versions must be readable for ever.
    #[test]
    fn the_format_is_the_documented_one() {
        let country = |text: &str| vec![(Dimension::Country, text.to_owned())];
        let clicks = vec![
            Row { scope: 300, measure: 0, values: country("US") },
            Row { scope: 5, measure: CLICK | UNIQUE, values: country("DE") },
            Row { scope: 5, measure: CLICK, values: vec![] },
        ];
        let scopes = vec![0x05, 0x0a, 0x01, 0x01, 0xac, 0x02, 0x01, 0x01];
        let countries = vec![0x02, 0x02, 0x44, 0x45, 0x02, 0x55, 0x53, 0x02, 0x00, 0x03];
        let wanted = vec![(SCOPES, scopes.clone()), (MEASURES, vec![3, 1, 0]), (12, countries.clone())];
        assert_eq!(pack_clicks(clicks), wanted);
        let runs: Vec<_> = runs_of_clicks(&scopes).unwrap().iter().map(|run| (run.scope, run.rows)).collect();
        assert_eq!(runs, [(5, 2), (300, 1)]);
        let coded = CodedColumn::read(&countries, 3).unwrap();
        let countries: Vec<_> = codes(&coded).into_iter().map(|code| coded.value(code)).collect();
        assert_eq!(countries, [Some("DE"), None, Some("US")]);

        let payout = Some(Money { micros: 12_500_000, currency: "USD".parse().unwrap() });
        let approved = ConversionMeasures {
            status: Status::Approved,
            self_reported: false,
            payout,
            revenue: None,
            second_tier: SecondTier::default(),
        };
        let measures = vec![0x09, 0x55, 0x53, 0x44, 0xa0, 0xf8, 0xfa, 0x05];
        let wanted = vec![(SCOPES, vec![0x05, 0x01]), (MEASURES, measures.clone())];
        assert_eq!(pack_conversions(vec![Row { scope: 5, measure: approved, values: vec![] }]), wanted);
        assert_eq!(conversion_measures(&measures), Ok(vec![approved]));
    }

    #[test]
    fn only_known_versions_are_read() {
        assert_eq!((check_version(0), check_version(VERSION)), (Ok(()), Ok(())));
        for version in [VERSION + 1, -1] {
            let error = check_version(version).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("a packed report column has version {version}, ")),
                "{error}"
            );
        }
    }
}
