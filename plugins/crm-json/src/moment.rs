//! Parses RFC 3339 times.

/// The Unix milliseconds of an RFC 3339 text such as `2026-11-20T14:05:00Z`, also with a fraction, an offset, or a space in
/// place of the T. `None` for any other text and for times before 1970.
pub fn parse(text: &str) -> Option<u64> {
    let bytes = text.trim().as_bytes();
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = std::str::from_utf8(bytes.get(range)?).ok()?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let sign = |at: usize, expected: &[u8]| bytes.get(at).is_some_and(|byte| expected.contains(byte));
    let marks = [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")];
    if !marks.iter().all(|(at, expected)| sign(*at, expected.as_bytes())) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let calendar = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !calendar || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = &bytes[19..];
    let fraction = rest.strip_prefix(b".").map_or(0, |rest| rest.iter().take_while(|b| b.is_ascii_digit()).count());
    let skipped = if fraction == 0 { 0 } else { fraction + 1 };
    let zone = 19 + skipped;
    let offset_minutes = match bytes.get(zone) {
        Some(b'Z' | b'z') if zone + 1 == bytes.len() => 0,
        Some(mark @ (b'+' | b'-')) if zone + 6 == bytes.len() && sign(zone + 3, b":") => {
            let minutes = number(zone + 1..zone + 3)? * 60 + number(zone + 4..zone + 6)?;
            if *mark == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    let fraction_ms = (0..3).fold(0, |ms, place| {
        let digit = if place < fraction { i64::from(rest[1 + place] - b'0') } else { 0 };
        ms * 10 + digit
    });
    let minutes = days(year, month, day) * 24 * 60 + hour * 60 + minute - offset_minutes;
    u64::try_from((minutes * 60 + second) * 1000 + fraction_ms).ok()
}

/// The number of days from 1970-01-01 to a date. Years start in March, so that the leap day is the last day. The method is
/// Howard Hinnant's `days_from_civil`.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_of_rfc_3339_are_parsed() {
        for (text, ms) in [
            ("2026-11-20T14:05:00Z", 1_795_183_500_000),
            ("2026-11-20 14:05:00.5Z", 1_795_183_500_500),
            ("2026-11-20T15:05:00.123456+01:00", 1_795_183_500_123),
            ("2026-11-20T12:35:00-01:30", 1_795_183_500_000),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("1970-01-01T00:00:00Z", 0),
        ] {
            assert_eq!(parse(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn anything_else_is_not_a_time() {
        for text in [
            "",
            "2026-11-20",
            "2026-11-20T14:05:00",
            "2026-13-20T14:05:00Z",
            "1969-12-31T23:59:59Z",
            "20.11.2026 14:05",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        for day in (0..200_000_u64).step_by(7) {
            let ms = day * 86_400_000;
            assert_eq!(parse(&postrider_sdk::time::rfc3339(ms)), Some(ms));
        }
    }
}
