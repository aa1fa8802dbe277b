//! Numbers, money and times in the manner of a language, in the zone of a person.

use chrono::{Datelike, NaiveDateTime, Timelike};
use domain::amounts::Money;
use domain::people::preferences::Language;
use domain::reports::zone::Zone;
use domain::timestamp::Timestamp;

/// The manner in which values are shown.
#[derive(Clone, Copy, Debug)]
pub struct Formats {
    pub language: Language,
    pub zone: Zone,
    pub now: Timestamp,
}

/// The sign of negative numbers.
const MINUS: char = '\u{2212}';
/// Keeps a number and its unit on one line.
const NO_BREAK: char = '\u{a0}';

const MONTHS: [[&str; 12]; 2] = [
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    ["Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."],
];

const DAYS: [[&str; 7]; 2] = [
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"],
];

impl Formats {
    fn of<T: Copy>(&self, english: T, german: T) -> T {
        match self.language {
            Language::En => english,
            Language::De => german,
        }
    }

    /// `12,345`.
    pub fn number(&self, number: u64) -> String {
        self.grouped(&number.to_string())
    }

    /// A decimal number such as `-1284.50`, as the API writes it.
    pub fn decimal(&self, text: &str) -> String {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (String::from(MINUS), rest),
            None => (String::new(), text),
        };
        match digits.split_once('.') {
            Some((whole, rest)) => format!("{sign}{}{}{rest}", self.grouped(whole), self.of('.', ',')),
            None => sign + &self.grouped(digits),
        }
    }

    fn grouped(&self, digits: &str) -> String {
        let mut shown = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                shown.push(self.of(',', '.'));
            }
            shown.push(digit);
        }
        shown
    }

    /// `1,284.50 USD`.
    pub fn money(&self, money: Money) -> String {
        let text = money.to_string();
        let (amount, currency) = text.split_once(' ').unwrap_or((&text, ""));
        format!("{}{NO_BREAK}{currency}", self.decimal(amount))
    }

    /// A share of 1, such as `0.0317`: `3.17 %`.
    pub fn percent(&self, share: f64, decimals: usize) -> String {
        let text = format!("{:.decimals$}", share * 100.0);
        format!("{}{NO_BREAK}%", self.decimal(&text))
    }

    fn local(&self, at: Timestamp) -> NaiveDateTime {
        self.zone.from_utc(at)
    }

    /// `26 Nov`, with the year if it is not the present one.
    pub fn date(&self, at: Timestamp) -> String {
        let (local, now) = (self.local(at), self.local(self.now));
        let month = MONTHS[self.of(0, 1)][local.month0() as usize];
        let day = format!("{}{} {month}", local.day(), self.of("", "."));
        if local.year() == now.year() { day } else { format!("{day} {}", local.year()) }
    }

    /// `Nov 2026`.
    pub fn month(&self, at: Timestamp) -> String {
        let local = self.local(at);
        format!("{} {}", MONTHS[self.of(0, 1)][local.month0() as usize], local.year())
    }

    /// `Thursday 26 Nov`.
    pub fn weekday(&self, at: Timestamp) -> String {
        let day = DAYS[self.of(0, 1)][self.local(at).weekday().num_days_from_monday() as usize];
        format!("{day}{} {}", self.of("", ","), self.date(at))
    }

    /// `26 Nov, 14:20`.
    pub fn moment(&self, at: Timestamp) -> String {
        let local = self.local(at);
        format!("{}, {:02}:{:02}", self.date(at), local.hour(), local.minute())
    }

    /// `26 Nov, 14:20:05`, for logs.
    pub fn second(&self, at: Timestamp) -> String {
        format!("{}:{:02}", self.moment(at), self.local(at).second())
    }

    /// `3 min ago`, up to a day; then the moment.
    pub fn ago(&self, at: Timestamp) -> String {
        let seconds = self.now.since(at).as_secs();
        let (number, unit) = match seconds {
            _ if at > self.now => return self.moment(at),
            0..60 => return self.of("just now", "gerade eben").to_owned(),
            60..3_600 => (seconds / 60, self.of("min", "Min.")),
            3_600..86_400 => (seconds / 3_600, self.of("h", "Std.")),
            _ => return self.moment(at),
        };
        match self.language {
            Language::En => format!("{number}{NO_BREAK}{unit} ago"),
            Language::De => format!("vor {number}{NO_BREAK}{unit}"),
        }
    }

    /// `2 h 14 min`: the two largest units.
    pub fn span(&self, seconds: u64) -> String {
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
        let (first, second) = match (days, hours, minutes) {
            (0, 0, 0) => ((seconds, "s"), (0, "")),
            (0, 0, _) => ((minutes, self.of("min", "Min.")), (0, "")),
            (0, ..) => ((hours, self.of("h", "Std.")), (minutes, self.of("min", "Min."))),
            _ => ((days, self.of(if days == 1 { "day" } else { "days" }, if days == 1 { "Tag" } else { "Tage" })), {
                (hours, self.of("h", "Std."))
            }),
        };
        let shown = |(number, unit)| format!("{number}{NO_BREAK}{unit}");
        if second.0 == 0 { shown(first) } else { format!("{} {}", shown(first), shown(second)) }
    }

    /// `Berlin, UTC+1`: the zone with its present offset.
    pub fn zone_name(&self) -> String {
        let name = self.zone.to_string();
        let offset = self.local(self.now).and_utc().timestamp() - self.now.millis().div_euclid(1_000);
        let Some((_, place)) = name.rsplit_once('/') else { return name };
        let (hours, minutes) = (offset.abs() / 3_600, offset.abs() % 3_600 / 60);
        let sign = if offset < 0 { MINUS } else { '+' };
        let minutes = if minutes == 0 { String::new() } else { format!(":{minutes:02}") };
        format!("{}, UTC{sign}{hours}{minutes}", place.replace('_', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formats(language: Language, zone: &str) -> Formats {
        let now = Timestamp::parse("2026-11-26T13:20:00Z").unwrap();
        Formats { language, zone: Zone::parse(zone).unwrap(), now }
    }

    #[test]
    fn numbers_are_written_as_in_the_language() {
        let (english, german) = (formats(Language::En, "UTC"), formats(Language::De, "UTC"));
        assert_eq!((english.number(1_234_567), german.number(999)), ("1,234,567".into(), "999".into()));
        assert_eq!((english.decimal("-1284.50"), german.decimal("1284.50")), ("−1,284.50".into(), "1.284,50".into()));
        assert_eq!(
            (english.percent(0.0317, 2), german.percent(0.0317, 1)),
            ("3.17\u{a0}%".into(), "3,2\u{a0}%".into())
        );
        let money = Money { micros: 1_284_500_000, currency: "USD".parse().unwrap() };
        assert_eq!(german.money(money), "1.284,50\u{a0}USD");
    }

    #[test]
    fn times_are_local() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let (english, german) = (formats(Language::En, "Europe/Berlin"), formats(Language::De, "Asia/Kolkata"));
        assert_eq!(english.moment(at("2026-11-26T23:05:00Z")), "27 Nov, 00:05");
        assert_eq!(german.moment(at("2025-11-26T23:05:00Z")), "27. Nov. 2025, 04:35");
        assert_eq!(english.weekday(at("2026-11-26T12:00:00Z")), "Thursday 26 Nov");
        for (text, shown) in [
            ("2026-11-26T13:19:30Z", "just now"),
            ("2026-11-26T13:17:00Z", "3\u{a0}min ago"),
            ("2026-11-26T11:00:00Z", "2\u{a0}h ago"),
            ("2026-11-25T11:00:00Z", "25 Nov, 12:00"),
            ("2026-11-26T14:00:00Z", "26 Nov, 15:00"),
        ] {
            assert_eq!(english.ago(at(text)), shown);
        }
        for (seconds, shown) in [(5, "5\u{a0}s"), (8_040, "2\u{a0}h 14\u{a0}min"), (90_000, "1\u{a0}day 1\u{a0}h")] {
            assert_eq!(english.span(seconds), shown);
        }
        assert_eq!(german.span(2 * 86_400), "2\u{a0}Tage");
        assert_eq!((english.zone_name(), german.zone_name()), ("Berlin, UTC+1".into(), "Kolkata, UTC+5:30".into()));
        assert_eq!(formats(Language::En, "America/New_York").zone_name(), "New York, UTC−5");
        assert_eq!(formats(Language::En, "UTC").zone_name(), "UTC");
    }
}
