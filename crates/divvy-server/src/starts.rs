//! Whether VMs may be started now. libvirt's hook asks divvyd about each start, so one that is given while
//! divvyd answers nobody, because it is not ready yet or about to end, would be refused and the VM stay off.
//! Such a start waits; nothing else does.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Shut until [`Starts::open`]. Shared by the agents, which start VMs, and the daemon, which answers.
#[derive(Debug, Default)]
pub struct Starts {
    counted: Mutex<Counted>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Counted {
    open: bool,
    under_way: usize,
}

/// A start that has begun, until it is dropped.
#[must_use]
pub struct UnderWay<'a>(&'a Starts);

impl Starts {
    fn counted(&self) -> MutexGuard<'_, Counted> {
        // Whole after every statement, so a poisoned lock is still good.
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the hook is answered.
    pub fn open(&self) {
        self.counted().open = true;
    }

    pub fn may_begin(&self) -> bool {
        self.counted().open
    }

    /// None: the start has to wait.
    pub fn begin(&self) -> Option<UnderWay<'_>> {
        let mut counted = self.counted();
        if !counted.open {
            return None;
        }
        counted.under_way += 1;
        Some(UnderWay(self))
    }

    /// Lets none begin any more and waits for those under way; false when one takes longer than this.
    pub fn shut(&self, at_most: Duration) -> bool {
        let mut counted = self.counted();
        counted.open = false;
        let waited = self.ended.wait_timeout_while(counted, at_most, |counted| counted.under_way > 0);
        let (_counted, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.counted().under_way -= 1;
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_starts_before_it_is_open_nor_after_it_was_shut() {
        let starts = Starts::default();
        assert!(!starts.may_begin() && starts.begin().is_none());
        starts.open();
        assert!(starts.may_begin() && starts.begin().is_some());
        assert!(starts.shut(Duration::ZERO), "nothing is under way");
        assert!(!starts.may_begin() && starts.begin().is_none());
    }

    #[test]
    fn to_shut_it_waits_for_what_is_under_way_but_not_for_ever() {
        let starts = Starts::default();
        starts.open();
        let under_way = starts.begin();
        assert!(!starts.shut(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            let shutting = scope.spawn(|| starts.shut(Duration::from_secs(60)));
            drop(under_way);
            assert!(shutting.join().expect("does not panic"));
        });
    }
}
