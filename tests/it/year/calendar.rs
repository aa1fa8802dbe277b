//! The calendar, calculated independently: dates, and the rules of the few zones in use.

pub const MINUTE_MS: i64 = 60_000;
pub const DAY_MS: i64 = 86_400_000;

/// Days since 1970 of a date.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1];
    let is_leap = leaps(year) > leaps(year - 1);
    let leap_day = i64::from(is_leap && month > 2);
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969) + before + leap_day + day - 1
}

/// Year, month and day of a number of days since 1970.
pub fn date(number: i64) -> (i64, i64, i64) {
    let mut year = 1970 + number / 366;
    while days(year + 1, 1, 1) <= number {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days(year, *month, 1) <= number).expect("January is before");
    (year, month, number - days(year, month, 1) + 1)
}

/// Milliseconds of "2026-03-10T12:00:00.001Z".
pub fn millis(text: &str) -> i64 {
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap_or_else(|_| panic!("{text} is no time"));
    assert!(text.ends_with('Z'), "{text} is no time in UTC");
    let fraction = text.get(20..text.len() - 1).unwrap_or_default();
    let fraction: i64 = format!("{fraction:0<3}").parse().unwrap_or_else(|_| panic!("{text} is no time"));
    let seconds = number(11, 13) * 3_600 + number(14, 16) * 60 + number(17, 19);
    days(number(0, 4), number(5, 7), number(8, 10)) * DAY_MS + seconds * 1_000 + fraction
}

/// A moment in the format of a query.
pub fn written(at: i64) -> String {
    let (seconds, fraction) = (at.div_euclid(1_000).rem_euclid(86_400), at.rem_euclid(1_000));
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z", day_label(at.div_euclid(DAY_MS)))
}

/// The days since 1970 of the Sunday on or before a day.
fn sunday(day: i64) -> i64 {
    day - (day + 4).rem_euclid(7)
}

/// The offset of a zone from UTC in minutes.
pub fn offset(zone: &str, at: i64) -> i64 {
    let (year, ..) = date(at.div_euclid(DAY_MS));
    let summer = |from: i64, to: i64| i64::from((from..to).contains(&at)) * 60;
    match zone {
        "UTC" => 0,
        "Asia/Kathmandu" => 345,
        // At 01:00 UTC on the last Sundays of March and October.
        "Europe/Berlin" => {
            let at_one = |month| sunday(days(year, month, 31)) * DAY_MS + 60 * MINUTE_MS;
            60 + summer(at_one(3), at_one(10))
        }
        // At 02:00 local time, on the second Sunday of March and the first of November.
        "America/New_York" => {
            let at = |month, day, utc: i64| sunday(days(year, month, day)) * DAY_MS + utc * 60 * MINUTE_MS;
            -300 + summer(at(3, 14, 7), at(11, 7, 6))
        }
        other => panic!("the laws of {other} are not written here"),
    }
}

/// Days since 1970 in the local time of a zone.
pub fn local_day(zone: &str, at: i64) -> i64 {
    (at + offset(zone, at) * MINUTE_MS).div_euclid(DAY_MS)
}

pub fn day_label(day: i64) -> String {
    let (year, month, day) = date(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A report's label for the hour, day, week or month of a moment.
pub fn label(unit: &str, zone: &str, at: i64) -> String {
    let day = local_day(zone, at);
    match unit {
        "day" => day_label(day),
        "week" => day_label(day - (day + 3).rem_euclid(7)),
        "month" => day_label(day)[..7].to_owned(),
        "hour" => {
            let offset = offset(zone, at);
            let hour = (at + offset * MINUTE_MS).rem_euclid(DAY_MS) / (60 * MINUTE_MS);
            let sign = if offset < 0 { '-' } else { '+' };
            let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
            format!("{}T{hour:02}:00{sign}{hours:02}:{minutes:02}", day_label(day))
        }
        other => panic!("{other} is no unit of time"),
    }
}

/// The start of an hour with this label.
pub fn start_of_hour(label: &str) -> i64 {
    let local = millis(&format!("{}:00Z", &label[..16]));
    let ahead: i64 = label[17..19].parse::<i64>().expect("hours") * 60 + label[20..].parse::<i64>().expect("minutes");
    local - if label[16..].starts_with('-') { -ahead } else { ahead } * MINUTE_MS
}

#[test]
fn the_calendar_of_the_recount_is_right() {
    assert_eq!((days(1970, 1, 1), days(2000, 3, 1), days(2026, 3, 10)), (0, 11_017, 20_522));
    assert_eq!(date(20_522), (2026, 3, 10));
    assert_eq!(millis("2026-03-10T12:00:00.001Z"), postrider_tests::app::START_MS + 1);
    let at = |text| label("hour", "Europe/Berlin", millis(text));
    assert_eq!(at("2026-03-29T00:59:59Z"), "2026-03-29T01:00+01:00");
    assert_eq!(at("2026-03-29T01:00:00Z"), "2026-03-29T03:00+02:00");
    assert_eq!(at("2026-10-25T00:59:59Z"), "2026-10-25T02:00+02:00");
    assert_eq!(at("2026-10-25T01:00:00Z"), "2026-10-25T02:00+01:00");
    assert_eq!(label("hour", "America/New_York", millis("2026-11-01T05:59:59Z")), "2026-11-01T01:00-04:00");
    assert_eq!(label("hour", "America/New_York", millis("2026-11-01T06:00:00Z")), "2026-11-01T01:00-05:00");
    assert_eq!(label("week", "UTC", millis("2026-03-10T12:00:00Z")), "2026-03-09");
}
