//! One at a time: whoever looks through NVML, or a scheme that needs NVIDIA's driver for itself. NVML holds
//! a GPU while it is open, and `sriov-manage` fails on a GPU that is held. What either of them does is not
//! known here.
//!
//! ```text
//!          enter                      close
//! look ─────────────▶ held ◀───────────────── scheme, waits for a look to end
//!   refused while a scheme waits or works: whoever wants to see something asks again later
//! ```

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
struct State {
    held: Option<Holder>,
    /// Schemes that wait.
    waiting: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Look,
    Scheme,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    freed: Condvar,
}

impl Shared {
    /// Whole after every statement under the lock, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The gate of one server; its clones are the same gate.
#[derive(Debug, Clone, Default)]
pub struct NvmlGate {
    shared: Arc<Shared>,
}

/// The gate is held until this goes.
#[derive(Debug)]
pub struct Passage {
    shared: Arc<Shared>,
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.shared.lock().held = None;
        self.shared.freed.notify_all();
    }
}

impl NvmlGate {
    /// For a scheme: nobody looks until the answer is dropped. None: after `deadline` the gate was still
    /// held, by a look that hangs in the driver or by another scheme.
    pub fn close(&self, deadline: Duration) -> Option<Passage> {
        let mut state = self.shared.lock();
        state.waiting += 1;
        let mut state = self.wait_while_held(state, deadline, |_| true);
        state.waiting -= 1;
        let passage = self.take(&mut state, Holder::Scheme);
        if passage.is_none() {
            // Looks that were kept out for it may come in again.
            self.shared.freed.notify_all();
        }
        passage
    }

    /// For a look: None while a scheme wants or has the gate, or another look does not end.
    pub(super) fn enter(&self, deadline: Duration) -> Option<Passage> {
        let is_behind_a_look = |state: &State| state.waiting == 0 && state.held == Some(Holder::Look);
        let mut state = self.wait_while_held(self.shared.lock(), deadline, is_behind_a_look);
        if state.waiting > 0 {
            return None;
        }
        self.take(&mut state, Holder::Look)
    }

    fn take(&self, state: &mut State, holder: Holder) -> Option<Passage> {
        if state.held.is_some() {
            return None;
        }
        state.held = Some(holder);
        Some(Passage { shared: Arc::clone(&self.shared) })
    }

    /// Waits while somebody has the gate and it makes sense to wait for that.
    fn wait_while_held<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        deadline: Duration,
        makes_sense: impl Fn(&State) -> bool,
    ) -> MutexGuard<'s, State> {
        let start = Instant::now();
        while state.held.is_some() && makes_sense(&state) {
            let Some(left) = deadline.checked_sub(start.elapsed()) else { break };
            let woken = self.shared.freed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_look_keeps_a_scheme_out_until_it_ends() {
        let gate = NvmlGate::default();
        let look = gate.enter(SOON).expect("is free");
        assert!(gate.close(SOON).is_none());
        drop(look);
        assert!(gate.close(SOON).is_some());
    }

    #[test]
    fn a_look_does_not_wait_for_a_scheme() {
        let gate = NvmlGate::default();
        let _scheme = gate.close(SOON).expect("is free");
        // With a wait this would take a minute.
        assert!(gate.enter(LONG).is_none());
    }

    #[test]
    fn two_looks_are_one_after_the_other() {
        let gate = NvmlGate::default();
        let first = gate.enter(SOON).expect("is free");
        let second = std::thread::spawn({
            let gate = gate.clone();
            move || gate.enter(LONG).is_some()
        });
        assert!(gate.enter(SOON).is_none());
        drop(first);
        assert!(second.join().expect("did not panic"));
    }

    #[test]
    fn a_scheme_that_gave_up_waiting_keeps_nobody_out() {
        let gate = NvmlGate::default();
        let look = gate.enter(SOON).expect("is free");
        assert!(gate.close(SOON).is_none());
        drop(look);
        assert!(gate.enter(SOON).is_some());
    }

    #[test]
    fn a_scheme_that_waits_is_the_next() {
        let gate = NvmlGate::default();
        let look = gate.enter(SOON).expect("is free");
        let scheme = std::thread::spawn({
            let gate = gate.clone();
            move || gate.close(LONG)
        });
        while gate.shared.lock().waiting == 0 {
            std::thread::yield_now();
        }
        assert!(gate.enter(LONG).is_none());
        drop(look);
        assert!(scheme.join().expect("did not panic").is_some());
    }
}
