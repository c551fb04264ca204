//! When an event that was not taken is sent again, and when it is given up. Pure: time and chance come from
//! outside.

use std::time::Duration;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// Never later than this.
const LAST: Duration = Duration::from_secs(5 * 60);
/// A receiver that takes nothing for so long is not told any more what is as old.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to wait after so many failures in a row: twice as long each time, more or less by a quarter, so
/// that many servers do not come back at once. A receiver may ask for more, up to the longest there is.
pub fn pause(failures: u32, chance: u16, asked: Option<Duration>) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let share = 3 * u32::from(u16::MAX) + 2 * u32::from(chance);
    let spread = doubled.min(LAST).saturating_mul(share) / (4 * u32::from(u16::MAX));
    spread.max(asked.unwrap_or_default()).min(LAST)
}

/// Whether an event is given up. The wall clock alone gives up nothing: it may be wrong, at a boot more than
/// ever.
pub fn is_given_up(failing_for: Duration, event_ms: u64, now_ms: u64) -> bool {
    failing_for >= DAY && u128::from(now_ms.saturating_sub(event_ms)) >= DAY.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_a_second_to_five_minutes() {
        let middle = |failures| pause(failures, u16::MAX / 2, None).as_secs_f64().round();
        let pauses: Vec<f64> = [1, 2, 3, 4, 8, 9, 10, 40, u32::MAX].into_iter().map(middle).collect();
        assert_eq!(pauses, [1.0, 2.0, 4.0, 8.0, 128.0, 256.0, 300.0, 300.0, 300.0]);
    }

    #[test]
    fn chance_moves_a_pause_by_a_quarter_and_never_beyond_the_longest() {
        let seconds = |failures, chance| pause(failures, chance, None).as_secs_f64();
        assert_eq!((seconds(3, 0), seconds(3, u16::MAX)), (3.0, 5.0));
        assert_eq!((seconds(30, 0), seconds(30, u16::MAX)), (225.0, 300.0));
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause_and_not_for_a_shorter_one() {
        let asked = |seconds| pause(3, 0, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(60), Duration::from_secs(60));
        assert_eq!(asked(1), Duration::from_secs(3));
        assert_eq!(asked(u64::MAX), LAST);
    }

    #[test]
    fn only_what_is_a_day_old_is_given_up_and_only_after_a_day_of_failures() {
        let (day, now) = (86_400_000, 1_772_355_907_000);
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        for (failing_for, event_ms, expected) in [
            (hours(24), now - day, true),
            (hours(23), now - day, false),
            (hours(24), now - day + 1, false),
            // Made while the clock stood at its beginning.
            (hours(1), 0, false),
            (hours(24), now + day, false),
        ] {
            assert_eq!(is_given_up(failing_for, event_ms, now), expected, "{failing_for:?} {event_ms}");
        }
    }
}
