//! One server behind one lock, and the locks of its functions: a write that sleeps or hangs in the
//! kernel holds only its own function, the rest of the server goes on. There are no threads here: an
//! operation that nobody waits for any more goes on when the next caller looks.
//!
//! ```text
//! perform ─▶ queue of the function ─▶ begin ─▶ (sleeps) ─▶ complete ─▶ result
//!                                       ▲ blocked: asked again after every change
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use divvy_core::id::VmId;
use divvy_core::pci_address::PciAddress;
use serde::{Deserialize, Serialize};

use crate::errno::{ENODEV, Errno};
use crate::fault::Faults;
use crate::kernel::Kernel;
use crate::operation::{Begin, Operation};
use crate::spec::{Delays, ServerSpec};
use crate::vms::Vm;

/// How the server's hypervisor can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    Up,
    /// The next call fails, the one after it connects again.
    DropsOnce,
    Down,
}

type Watcher = Arc<dyn Fn() + Send + Sync>;

const NVIDIA: &str = "nvidia";

/// Process ids of VMs count up from here.
const FIRST_PID: u32 = 10_000;

struct Pending {
    ticket: u64,
    operation: Operation,
    /// Set once it has begun.
    due: Option<Option<Instant>>,
    /// Somebody waits for the result.
    awaited: bool,
}

/// Everything about one server.
pub(crate) struct State {
    pub spec: ServerSpec,
    pub delays: Delays,
    pub boots: u64,
    pub bus_shift: u8,
    pub kernel: Kernel,
    pub vms: BTreeMap<VmId, Vm>,
    pub next_pid: u32,
    /// By the serial number of the GPU.
    pub faults: BTreeMap<u64, Faults>,
    pub connection: Connection,
    /// Something changed that watchers want to know.
    pub wake: bool,
    queues: BTreeMap<PciAddress, VecDeque<Pending>>,
    results: BTreeMap<u64, Result<(), Errno>>,
    next_ticket: u64,
    /// Callers that sleep until something changes.
    sleepers: usize,
    watchers: BTreeMap<u64, Watcher>,
}

pub(crate) struct Machine {
    state: Mutex<State>,
    changed: Condvar,
}

impl State {
    fn new(spec: ServerSpec, delays: Delays) -> Self {
        let vms = spec.vms.iter().map(|vm| (vm.id.clone(), Vm::new(vm.clone()))).collect();
        Self {
            kernel: Kernel::boot(&spec, 1, 0),
            spec,
            delays,
            boots: 1,
            bus_shift: 0,
            vms,
            next_pid: FIRST_PID,
            faults: BTreeMap::new(),
            connection: Connection::Up,
            wake: false,
            queues: BTreeMap::new(),
            results: BTreeMap::new(),
            next_ticket: 0,
            sleepers: 0,
            watchers: BTreeMap::new(),
        }
    }

    /// Forgets everything that lives in memory. Whoever still waits for a write hears ENODEV.
    pub(crate) fn reboot(&mut self, bus_shift: u8) {
        for pending in std::mem::take(&mut self.queues).into_values().flatten() {
            if pending.awaited {
                self.results.insert(pending.ticket, Err(ENODEV));
            }
        }
        for vm in self.vms.values_mut() {
            vm.live = None;
        }
        self.vms.retain(|_, vm| vm.definition.settings.persistent);
        self.faults.values_mut().for_each(Faults::reboot);
        self.boots += 1;
        self.bus_shift = bus_shift;
        let (mig_modes, ecc_modes) = (self.kernel.mig_modes_kept(), self.kernel.ecc_modes_kept());
        self.kernel = Kernel::boot(&self.spec, self.boots, bus_shift);
        self.kernel.memory.mig_modes = mig_modes;
        self.kernel.memory.ecc_modes = ecc_modes;
        self.wake = true;
    }

    /// None: no GPU of the server has that driver.
    pub(crate) fn nvidia_version(&self) -> Option<&str> {
        let driver = self.spec.drivers.iter().find(|driver| driver.name == NVIDIA)?;
        driver.version.as_deref()
    }

    /// From the next loading of the driver on.
    pub(crate) fn set_nvidia_version(&mut self, version: &str) {
        for driver in self.spec.drivers.iter_mut().filter(|driver| driver.name == NVIDIA) {
            driver.version = Some(version.to_owned());
        }
    }

    /// Operations under way or behind one that is, which somebody waits for.
    pub(crate) fn awaited(&self) -> usize {
        self.queues.values().flatten().filter(|pending| pending.awaited).count()
    }

    fn enqueue(&mut self, address: PciAddress, operation: Operation) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let pending = Pending { ticket, operation, due: None, awaited: true };
        self.queues.entry(address).or_default().push_back(pending);
        ticket
    }

    /// Lets every operation go as far as it can go now.
    fn settle(&mut self) {
        while self.settle_one() {}
    }

    fn settle_one(&mut self) -> bool {
        let addresses: Vec<PciAddress> = self.queues.keys().copied().collect();
        addresses.into_iter().any(|address| self.advance(address))
    }

    /// One move of the first operation of a function; false when it has to wait.
    fn advance(&mut self, address: PciAddress) -> bool {
        let Some(first) = self.queues.get(&address).and_then(VecDeque::front) else { return false };
        let operation = first.operation.clone();
        let result = match first.due {
            Some(Some(due)) if due > Instant::now() => return false,
            Some(_) => self.complete(address, &operation),
            None => match self.begin(address, &operation) {
                Begin::Blocked => return false,
                Begin::Done(result) => result,
                Begin::Sleeps(time) => {
                    let due = if time.is_zero() { None } else { Some(Instant::now() + time) };
                    if let Some(first) = self.queues.get_mut(&address).and_then(VecDeque::front_mut) {
                        first.due = Some(due);
                    }
                    return true;
                }
            },
        };
        self.pop(address, result);
        true
    }

    fn pop(&mut self, address: PciAddress, result: Result<(), Errno>) {
        let Some(queue) = self.queues.get_mut(&address) else { return };
        if let Some(pending) = queue.pop_front()
            && pending.awaited
        {
            self.results.insert(pending.ticket, result);
        }
        if queue.is_empty() {
            self.queues.remove(&address);
        }
    }

    /// Nobody waits for it any more. It still happens.
    fn abandon(&mut self, ticket: u64) {
        self.results.remove(&ticket);
        for pending in self.queues.values_mut().flatten() {
            if pending.ticket == ticket {
                pending.awaited = false;
            }
        }
    }

    /// When the next sleep ends.
    fn next_due(&self) -> Option<Instant> {
        self.queues.values().filter_map(|queue| queue.front()?.due?).min()
    }

    /// Whether the function's lock is taken.
    fn is_locked(&self, address: PciAddress) -> bool {
        self.queues.contains_key(&address) || self.hangs(address)
    }
}

impl Machine {
    pub fn new(spec: ServerSpec, delays: Delays) -> Self {
        Self { state: Mutex::new(State::new(spec, delays)), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.settle();
        state
    }

    /// Changes or reads the server, and lets go on what waited for it.
    pub fn with<R>(&self, action: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = action(&mut state);
        self.release(state);
        result
    }

    /// Ends a turn with the lock: others go on, and watchers hear of it outside the lock.
    fn release(&self, mut state: MutexGuard<'_, State>) {
        state.settle();
        let wake = std::mem::take(&mut state.wake);
        let watchers: Vec<Watcher> =
            if wake { state.watchers.values().cloned().collect() } else { Vec::new() };
        let is_awaited = state.sleepers > 0;
        drop(state);
        if is_awaited {
            self.changed.notify_all();
        }
        for watcher in watchers {
            watcher();
        }
    }

    /// Carries an operation out under the lock of its function. Past its deadline it goes on alone.
    pub fn perform(
        &self,
        address: PciAddress,
        operation: Operation,
        deadline: Option<Duration>,
    ) -> io::Result<()> {
        let limit = deadline.map(|time| Instant::now() + time);
        let mut state = self.lock();
        let ticket = state.enqueue(address, operation);
        loop {
            state.settle();
            if let Some(result) = state.results.remove(&ticket) {
                self.release(state);
                return result.map_err(io::Error::from);
            }
            match self.wait(state, limit) {
                Some(next) => state = next,
                None => {
                    self.with(|state| state.abandon(ticket));
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }

    /// Reads something that takes the lock of a function.
    pub fn read_locked<R>(
        &self,
        address: PciAddress,
        deadline: Option<Duration>,
        read: impl FnOnce(&State) -> R,
    ) -> io::Result<R> {
        let limit = deadline.map(|time| Instant::now() + time);
        let mut state = self.lock();
        while state.is_locked(address) {
            match self.wait(state, limit) {
                Some(next) => state = next,
                None => return Err(io::ErrorKind::TimedOut.into()),
            }
            state.settle();
        }
        let result = read(&state);
        self.release(state);
        Ok(result)
    }

    /// Waits for a change or for the end of a sleep; None when the limit has passed. In a room without
    /// delays no time passes: whoever would have to wait under a limit has waited long enough.
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        limit: Option<Instant>,
    ) -> Option<MutexGuard<'a, State>> {
        let now = Instant::now();
        let expired = limit.is_some_and(|limit| limit <= now || state.delays.is_none());
        if expired {
            return None;
        }
        if state.wake {
            // A VM lost a device, and the writer sleeps on: watchers must not wait for the writer.
            self.release(state);
            return Some(self.state.lock().unwrap_or_else(PoisonError::into_inner));
        }
        let until = [limit, state.next_due()].into_iter().flatten().min();
        state.sleepers += 1;
        state = match until {
            Some(until) => {
                let time = until.saturating_duration_since(now);
                self.changed.wait_timeout(state, time).map_or_else(|poison| poison.into_inner().0, |p| p.0)
            }
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
        state.sleepers -= 1;
        Some(state)
    }

    /// Waits until the server is as it should be; false when the limit has passed.
    pub fn wait_until(&self, limit: Duration, mut is_so: impl FnMut(&mut State) -> bool) -> bool {
        let limit = Instant::now() + limit;
        let mut state = self.lock();
        loop {
            if is_so(&mut state) {
                self.release(state);
                return true;
            }
            match self.wait(state, Some(limit)) {
                Some(next) => state = next,
                None => return false,
            }
            state.settle();
        }
    }

    pub fn watch(&self, id: u64, watcher: Watcher) {
        self.with(|state| state.watchers.insert(id, watcher));
    }

    pub fn unwatch(&self, id: u64) {
        self.with(|state| state.watchers.remove(&id));
    }

    /// A number that nobody else has.
    pub fn ticket(&self) -> u64 {
        self.with(|state| {
            state.next_ticket += 1;
            state.next_ticket - 1
        })
    }
}

#[cfg(test)]
mod tests;
