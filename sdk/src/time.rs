//! Times in the networks' formats. The contract's times are Unix milliseconds in UTC.

/// RFC 3339 in UTC with whole seconds: `2026-11-20T14:05:00Z`. Years after 9999 keep their digits.
pub fn rfc3339(at_ms: u64) -> String {
    let seconds = at_ms / 1000;
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Unix seconds, rounded down.
pub fn unix_seconds(at_ms: u64) -> u64 {
    at_ms / 1000
}

/// The Gregorian year, month and day for a number of days since 1970-01-01. Years start in March, so that the leap day is
/// the last day. The method is Howard Hinnant's `civil_from_days`, for days that are not negative.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_795_183_500_000), "2026-11-20T14:05:00Z");
        assert_eq!(rfc3339(1_795_183_500_999), "2026-11-20T14:05:00Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_709_164_800_000), "2024-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_709_251_199_000), "2024-02-29T23:59:59Z");
        assert_eq!(rfc3339(4_107_542_400_000), "2100-03-01T00:00:00Z");
        assert_eq!(rfc3339(253_402_300_799_000), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn every_day_follows_the_day_before() {
        let mut last = date(0);
        for day in 1..200_000 {
            let next = date(day);
            let same_month = (next.0, next.1, next.2) == (last.0, last.1, last.2 + 1);
            let next_month = (next.0, next.1, next.2) == (last.0, last.1 + 1, 1);
            let next_year = last.1 == 12 && last.2 == 31 && next == (last.0 + 1, 1, 1);
            assert!(same_month || next_month || next_year, "{last:?} then {next:?}");
            last = next;
        }
    }

    #[test]
    fn the_far_end_does_not_panic() {
        assert!(rfc3339(u64::MAX).ends_with('Z'));
    }
}
