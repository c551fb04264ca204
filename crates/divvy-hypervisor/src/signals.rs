//! Where libvirt's events and the threads that wait for them meet. An event never says what is so: it
//! says that something changed and is worth reading again, so a lost event costs time and nothing else.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Something that libvirt told us, from its event loop's thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A VM was defined, started, stopped, and so on.
    Lifecycle,
    /// A VM got a device, or let go of one.
    Device,
    /// The VM refused to let go of the device with this alias.
    RemovalFailed { vm: String, alias: String },
    /// The connection is gone.
    Closed,
}

pub(crate) type Handler = Arc<dyn Fn(Event) + Send + Sync>;

/// How many refused removals are remembered; only a removal that is waited for right now needs one.
const REMEMBERED: usize = 64;

#[derive(Default)]
struct State {
    /// Events so far.
    count: u64,
    /// (number of the event, VM, alias), oldest first.
    refused: VecDeque<(u64, String, String)>,
    wake: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// One per hypervisor; outlives its connections.
#[derive(Default)]
pub(crate) struct Signals {
    state: Mutex<State>,
    changed: Condvar,
}

/// A moment: everything that came before it is old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(u64);

impl Signals {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, event: Event) {
        let mut state = self.state();
        state.count += 1;
        if let Event::RemovalFailed { vm, alias } = event {
            let entry = (state.count, vm, alias);
            state.refused.push_back(entry);
            if state.refused.len() > REMEMBERED {
                state.refused.pop_front();
            }
        }
        let wake = state.wake.clone();
        drop(state);
        self.changed.notify_all();
        // Outside the lock: `wake` belongs to somebody else and may call back.
        if let Some(wake) = wake {
            wake();
        }
    }

    pub(crate) fn set_wake(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.state().wake = Some(wake.into());
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.state().count)
    }

    /// Returns at an event after `mark`, or at `until`, whichever is first.
    pub(crate) fn wait_past(&self, mark: Mark, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(self.state(), left, |state| state.count <= mark.0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether the VM refused, after `mark`, to let go of the device.
    pub(crate) fn removal_was_refused(&self, mark: Mark, vm: &str, alias: &str) -> bool {
        self.state().refused.iter().any(|(at, of, what)| *at > mark.0 && of == vm && what == alias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn an_event_between_the_mark_and_the_wait_is_not_lost() {
        let signals = Signals::default();
        let mark = signals.mark();
        signals.note(Event::Device);
        let until = soon();
        signals.wait_past(mark, until);
        assert!(Instant::now() < until, "waited for an event that had already come");
    }

    #[test]
    fn an_event_of_another_thread_ends_the_wait() {
        let signals = Arc::new(Signals::default());
        let mark = signals.mark();
        let theirs = Arc::clone(&signals);
        let other = std::thread::spawn(move || theirs.note(Event::Lifecycle));
        let until = soon();
        signals.wait_past(mark, until);
        assert!(Instant::now() < until);
        other.join().expect("the other thread ends well");
    }

    #[test]
    fn a_wait_without_an_event_ends_at_its_deadline() {
        let signals = Signals::default();
        let until = Instant::now() + Duration::from_millis(5);
        signals.wait_past(signals.mark(), until);
        assert!(Instant::now() >= until);
    }

    #[test]
    fn only_a_refusal_after_the_mark_of_this_vm_and_this_device_counts() {
        let signals = Signals::default();
        let refused = || Event::RemovalFailed { vm: "a".into(), alias: "ua-1".into() };
        signals.note(refused());
        let mark = signals.mark();
        assert!(!signals.removal_was_refused(mark, "a", "ua-1"), "an old one counted");
        signals.note(refused());
        assert!(signals.removal_was_refused(mark, "a", "ua-1"));
        assert!(!signals.removal_was_refused(mark, "b", "ua-1"));
        assert!(!signals.removal_was_refused(mark, "a", "ua-2"));
    }

    #[test]
    fn every_event_wakes_whoever_asked() {
        let signals = Signals::default();
        let woken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&woken);
        signals.set_wake(Box::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        }));
        signals.note(Event::Device);
        signals.note(Event::Closed);
        assert_eq!(woken.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn wake_may_call_back_without_a_deadlock() {
        let signals = Arc::new(Signals::default());
        let inner = Arc::downgrade(&signals);
        signals.set_wake(Box::new(move || {
            let _ = inner.upgrade().map(|signals| signals.mark());
        }));
        signals.note(Event::Closed);
        assert_eq!(signals.mark(), Mark(1));
    }
}
