//! How often somebody may try to sign in. Every source of attempts has a bucket that empties by one with
//! each attempt and fills again with time; an attempt at an empty bucket is not looked at. Time comes in
//! from outside and is monotonic; whether an attempt was good is not known here.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::time::{Duration, Instant};

/// How much one bucket holds, and how fast it fills.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    pub attempts: u32,
    /// For one attempt to come back.
    pub refill: Duration,
}

/// Most buckets that are remembered: an attacker with many names must not fill the memory.
const BUCKETS: usize = 4096;

/// The buckets of one kind of source.
#[derive(Debug)]
pub struct Buckets {
    allowance: Allowance,
    /// When each bucket will be full again, by the hash of its source. One that is full is not kept.
    full_at: HashMap<u64, Instant>,
    hasher: RandomState,
}

impl Buckets {
    pub fn new(allowance: Allowance) -> Self {
        Self { allowance, full_at: HashMap::new(), hasher: RandomState::new() }
    }

    /// How long this source has to wait before it may try; nothing when it may now.
    pub fn wait(&self, source: &impl Hash, now: Instant) -> Option<Duration> {
        let full_at = self.full_at.get(&self.key(source)).copied().unwrap_or(now).max(now);
        let whole = self.allowance.refill * self.allowance.attempts;
        let after = full_at + self.allowance.refill;
        after.checked_duration_since(now + whole).filter(|wait| !wait.is_zero())
    }

    /// Takes an attempt out of the bucket.
    pub fn take(&mut self, source: &impl Hash, now: Instant) {
        let key = self.key(source);
        if self.full_at.len() >= BUCKETS && !self.full_at.contains_key(&key) {
            self.make_room(now);
        }
        let full_at = self.full_at.entry(key).or_insert(now);
        *full_at = (*full_at).max(now) + self.allowance.refill;
    }

    /// Puts an attempt back that turned out to be good.
    pub fn give_back(&mut self, source: &impl Hash) {
        let key = self.key(source);
        if let Some(full_at) = self.full_at.get_mut(&key) {
            *full_at = full_at.checked_sub(self.allowance.refill).unwrap_or(*full_at);
        }
    }

    /// Forgets the full buckets; if there are none, the fullest, so that nobody gets an empty bucket
    /// filled by trying many others.
    fn make_room(&mut self, now: Instant) {
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() >= BUCKETS {
            let fullest = self.full_at.iter().min_by_key(|(_, full_at)| **full_at).map(|(key, _)| *key);
            fullest.map(|key| self.full_at.remove(&key));
        }
    }

    fn key(&self, source: &impl Hash) -> u64 {
        self.hasher.hash_one(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn buckets() -> Buckets {
        Buckets::new(Allowance { attempts: 3, refill: 10 * SECOND })
    }

    fn emptied(source: &str, now: Instant) -> Buckets {
        let mut buckets = buckets();
        for _ in 0..3 {
            assert_eq!(buckets.wait(&source, now), None);
            buckets.take(&source, now);
        }
        buckets
    }

    #[test]
    fn an_empty_bucket_says_how_long_to_wait() {
        let now = Instant::now();
        let buckets = emptied("a", now);
        assert_eq!(buckets.wait(&"a", now), Some(10 * SECOND));
        assert_eq!(buckets.wait(&"a", now + 4 * SECOND), Some(6 * SECOND));
        assert_eq!(buckets.wait(&"a", now + 10 * SECOND), None);
    }

    #[test]
    fn one_source_does_not_empty_the_bucket_of_another() {
        let now = Instant::now();
        assert_eq!(emptied("a", now).wait(&"b", now), None);
    }

    #[test]
    fn a_bucket_fills_up_to_its_size_and_no_further() {
        let now = Instant::now();
        let mut buckets = emptied("a", now);
        let later = now + 1000 * SECOND;
        (0..3).for_each(|_| buckets.take(&"a", later));
        assert_eq!(buckets.wait(&"a", later), Some(10 * SECOND));
    }

    #[test]
    fn a_good_attempt_costs_nothing() {
        let now = Instant::now();
        let mut buckets = emptied("a", now);
        buckets.give_back(&"a");
        assert_eq!(buckets.wait(&"a", now), None);
    }

    #[test]
    fn many_sources_neither_fill_the_memory_nor_refill_a_bucket() {
        let now = Instant::now();
        let mut buckets = emptied("victim", now);
        for source in 0..3 * BUCKETS {
            buckets.take(&source, now);
        }
        assert!(buckets.full_at.len() <= BUCKETS, "{} are kept", buckets.full_at.len());
        assert!(buckets.wait(&"victim", now).is_some(), "the bucket was forgotten");
    }
}
