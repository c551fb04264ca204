//! A time for people: `2026-03-01 09:05:07Z`, always UTC, so that the lines of several servers compare; and
//! for programs of others, as RFC 3339 has it. Reads no clock.

use std::fmt;

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Timestamp {
    pub at_ms: u64,
}

const DAY_SECONDS: u64 = 86_400;
/// Days of 400 years, after which the calendar repeats.
const CYCLE_DAYS: u64 = 146_097;

impl Timestamp {
    /// Year, month and day. Years are counted from March, so that the leap day is the last of its year.
    fn date(self) -> (u64, u64, u64) {
        // 719,468 days lie between the 1st of March of the year 0 and the 1st of January 1970.
        let days = self.at_ms / 1000 / DAY_SECONDS + 719_468;
        let (cycle, day_of_cycle) = (days / CYCLE_DAYS, days % CYCLE_DAYS);
        let leap_days = day_of_cycle / 1_460 + day_of_cycle / (CYCLE_DAYS - 1) - day_of_cycle / 36_524;
        let year_of_cycle = (day_of_cycle - leap_days) / 365;
        let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        // From March on, five months have 153 days, over and over.
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = cycle * 400 + year_of_cycle + u64::from(month <= 2);
        (year, month, day)
    }

    /// `2026-03-01T09:05:07.000Z`
    pub fn rfc_3339(self) -> String {
        let text = self.to_string();
        let (date, time) = text.split_once(' ').unwrap_or((&text, ""));
        format!("{date}T{}.{:03}Z", time.trim_end_matches('Z'), self.at_ms % 1000)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let seconds = self.at_ms / 1000 % DAY_SECONDS;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_print_right() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_399, "2000-02-28 23:59:59Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (951_868_800, "2000-03-01 00:00:00Z"),
            (1_709_164_800, "2024-02-29 00:00:00Z"),
            (1_735_689_599, "2024-12-31 23:59:59Z"),
            (1_772_355_907, "2026-03-01 09:05:07Z"),
            (4_107_542_400, "2100-03-01 00:00:00Z"),
        ] {
            assert_eq!(Timestamp { at_ms: seconds * 1000 }.to_string(), text);
        }
    }

    #[test]
    fn programs_of_others_get_it_with_milliseconds_and_without_a_space() {
        let text = Timestamp { at_ms: 1_772_355_907_042 }.rfc_3339();
        assert_eq!(text, "2026-03-01T09:05:07.042Z");
    }

    #[test]
    fn the_last_moment_that_can_be_written_prints() {
        let text = Timestamp { at_ms: u64::MAX }.to_string();
        assert!(text.ends_with('Z'), "{text}");
    }
}
