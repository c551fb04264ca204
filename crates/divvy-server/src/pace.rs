//! How often an agent takes its turns while bells keep ringing. A turn looks at every GPU and every VM of
//! the server, so bells that ring shortly after one another share a turn, and the processor that a turn
//! took is followed by a rest: however often it rings, those who answer keep most of a processor. After
//! that the agent is as quick as before. What a turn does is not known here.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A bell is seldom alone: so long the turn waits for others to share it.
const GATHER: Duration = Duration::from_millis(10);
/// How many times as long as it kept its processor busy an agent rests …
const REST: u32 = 3;
/// … and how long at most.
const LONGEST_REST: Duration = Duration::from_millis(200);

/// The pace of the thread that it was made on.
pub struct Pace {
    rested: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rested: Instant::now() }
    }
}

impl Pace {
    /// Takes a turn, and notes how long a rest it is worth.
    pub fn take(&mut self, turn: impl FnOnce()) {
        let before = processor();
        turn();
        self.rested = Instant::now() + rest_after(processor().saturating_sub(before));
    }

    /// Waits, after a bell, until the next turn may be taken.
    pub fn gather(&self) {
        let rest = self.rested.saturating_duration_since(Instant::now());
        std::thread::sleep(rest.max(GATHER));
    }
}

fn rest_after(busy: Duration) -> Duration {
    (busy * REST).min(LONGEST_REST)
}

/// How long this thread has kept a processor busy.
fn processor() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_as_long_as_the_turn_deserves_but_never_so_long_that_it_is_felt() {
        assert_eq!(rest_after(Duration::ZERO), Duration::ZERO);
        assert_eq!(rest_after(Duration::from_millis(20)), Duration::from_millis(60));
        assert_eq!(rest_after(Duration::from_secs(5)), LONGEST_REST);
    }
}
