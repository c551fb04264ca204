//! One server's agent: on its own thread, plain sequential code.
//!
//! ```text
//!   bell, kernel event, VM event, time to try again
//!        │
//!        ▼
//!   observe ─▶ report ─▶ plan ─▶ (nothing to do: wait)
//!        ▲                 │
//!        └──── execute ◀───┘     a failed step ends the turn
//! ```
//!
//! Flow: a turn repeats observe, plan, execute until there is nothing to do. Guarantees: each step's
//! outcome is reported; after a crash at any point the next turn goes on from what is really there.
//! Assumptions: one agent per server. Caveats: a step that hangs is given up by its own deadline and the
//! GPU is unknown from then on. Errors: a failed step is reported and tried again later, slower each
//! time; jobs take their target back (`jobs.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use divvy_core::assignment::Hold;
use divvy_core::desired::{DesiredServer, Generation};
use divvy_core::finding::{Finding, FindingCode, Severity, Subject};
use divvy_core::id::{GpuId, ServerId};
use divvy_core::observed::{Failure, GpuHealth, HypervisorHealth, Observed};
use divvy_core::plan::{Plan, Waiting, gifts, plan};
use divvy_core::request::Request;
use divvy_core::step::{HostStep, Step, VmStep};
use divvy_core::vm::{ObservedVm, Power};
use divvy_host::observe::HostObservation;
use divvy_hypervisor::Hypervisor;

use crate::claims;
use crate::door::{DIVVY, Message};
use crate::executor::{self, Basis};
use crate::host_side::HostSide;
use crate::hub::{Bell, Hub};
use crate::jobs::StepNote;
use crate::pace::Pace;

/// Rounds of one turn; more would mean that two rules disagree.
const ROUNDS: u32 = 8;
/// Waits after the first, second, … failed turn in a row.
const RETRY_SECONDS: &[u64] = &[1, 2, 5, 15, 60];
/// How often a hypervisor that is not there is looked for.
const LOOK_FOR_HYPERVISOR: Duration = Duration::from_secs(5);
/// How often everything is looked at although nothing rang.
const LOOK_ANYWAY: Duration = Duration::from_secs(60);

/// What an agent has looked at since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    AtGpus,
    AtVmsToo,
}

/// What is done after the steps of a turn, before they are reported: the machine room keeps itself.
pub type AfterSteps = Box<dyn FnMut() + Send>;

pub struct Agent {
    server: ServerId,
    host: Arc<HostSide>,
    hypervisor: Box<dyn Hypervisor>,
    hub: Hub,
    bell: Bell,
    last_sent: Option<Observed>,
    failures: Vec<Failure>,
    failed_turns: usize,
    after_steps: AfterSteps,
    looked: Option<Looked>,
    /// What was last found about readiness.
    readiness: Vec<Finding>,
    /// The kernel could be read at the last look.
    readable: bool,
}

impl Agent {
    pub fn new(
        host: Arc<HostSide>,
        mut hypervisor: Box<dyn Hypervisor>,
        hub: Hub,
        after_steps: AfterSteps,
    ) -> Self {
        let server = host.server.clone();
        let bell = hub.bell(&server);
        let ring = bell.clone();
        hypervisor.on_change(Box::new(move || ring.ring()));
        Self {
            server,
            host,
            hypervisor,
            hub,
            bell,
            last_sent: None,
            failures: Vec::new(),
            failed_turns: 0,
            after_steps,
            looked: None,
            readiness: Vec::new(),
            readable: true,
        }
    }

    /// Takes turns until told to stop; `tell` hears of the first ones. The very first turn does not ask
    /// the hypervisor: at boot libvirt is started after us, and who connects to its socket before
    /// waits for it, while it waits for the partitions that this turn makes.
    pub fn run(mut self, stop: &AtomicBool, mut tell: impl FnMut(Looked)) {
        let mut pace = Pace::default();
        for looked in [Looked::AtGpus, Looked::AtVmsToo] {
            pace.take(|| self.turn());
            tell(looked);
        }
        let is_stopped = || stop.load(Ordering::Acquire);
        while !is_stopped() {
            self.bell.wait(self.patience());
            if !is_stopped() {
                pace.gather();
            }
            if !is_stopped() {
                pace.take(|| self.turn());
            }
        }
    }

    fn patience(&self) -> Duration {
        if self.failed_turns > 0 {
            let nth = (self.failed_turns - 1).min(RETRY_SECONDS.len() - 1);
            return Duration::from_secs(RETRY_SECONDS[nth]);
        }
        let connected = self.last_sent.as_ref().is_some_and(Observed::hypervisor_is_connected);
        if connected { LOOK_ANYWAY } else { LOOK_FOR_HYPERVISOR }
    }

    pub fn turn(&mut self) {
        let mut notes: Vec<StepNote> = Vec::new();
        self.failures.clear();
        for _round in 0..ROUNDS {
            let looked_at = Instant::now();
            let desired = self.desired();
            let observed = self.look(desired.generation);
            if claims::empty(&self.host, &self.hub, &desired, &observed, looked_at) {
                continue;
            }
            let Plan { mut steps, waiting } = plan(&desired, &observed);
            self.settle_starts(&mut steps, &observed);
            self.note_restarts(&desired, &observed);
            if steps.is_empty() {
                let owed = self.host.owed.claims(&desired, &observed);
                self.report(observed, std::mem::take(&mut notes), waiting);
                claims::fill_owed(&self.host, &self.hub, &desired, &owed);
                break;
            }
            self.report_on_the_way(&observed, std::mem::take(&mut notes), waiting);
            let (host, starts) = (self.host.as_ref(), self.hub.starts());
            let basis = Basis { host, starts, desired: &desired, observed: &observed };
            notes = executor::execute(basis, self.hypervisor.as_mut(), &steps);
            // Before it is reported: hardware is never older than what is known of it.
            (self.after_steps)();
            self.failures = self.follow_up(&notes);
            if !self.failures.is_empty() {
                break;
            }
        }
        if !notes.is_empty() {
            let desired = self.desired();
            let observed = self.look(desired.generation);
            let waiting = plan(&desired, &observed).waiting;
            self.report(observed, notes, waiting);
        }
        self.looked = Some(self.looked.map_or(Looked::AtGpus, |_| Looked::AtVmsToo));
        self.failed_turns = if self.failures.is_empty() { 0 } else { self.failed_turns + 1 };
        (self.after_steps)();
    }

    /// No start is given that the hook could not be answered for; one that a VM is owed is, after all else.
    fn settle_starts(&self, steps: &mut Vec<Step>, observed: &Observed) {
        if !self.hub.starts().may_begin() {
            steps.retain(|step| !matches!(step, Step::Vm(VmStep::Start { .. })));
        } else if steps.is_empty() {
            let due = self.host.owed.due(&self.hub.state(), observed);
            steps.extend(due.into_iter().map(Step::Vm));
        }
    }

    fn desired(&self) -> DesiredServer {
        self.hub.state().desired_of(&self.server).cloned().unwrap_or_default()
    }

    /// What the GPUs and the VMs are. Readiness comes with the report that ends the turn, and for the
    /// partitions that VMs get, right before they get them.
    fn look(&mut self, generation: Generation) -> Observed {
        // The VMs first: what a VM that has just started or stopped did to its partition is seen then.
        let (hypervisor, vms) = self.observe_vms();
        let mut observed = match self.host.look() {
            Ok(seen) => {
                self.readable = true;
                self.observed_of(seen, generation)
            }
            Err(error) => {
                self.readable = false;
                self.unreadable(&crate::chain::chain(&error), generation)
            }
        };
        observed.findings.extend(self.hypervisor_finding(&hypervisor));
        observed.findings.extend(self.hypervisor.findings());
        observed.hypervisor = hypervisor;
        observed.vms = vms;
        observed
    }

    fn observed_of(&self, seen: HostObservation, generation: Generation) -> Observed {
        Observed {
            server: self.server.clone(),
            boot_id: Some(seen.boot_id),
            generation,
            hypervisor: HypervisorHealth::NotAsked,
            memory_bytes: seen.memory_bytes,
            gpus: seen.gpus,
            vms: Vec::new(),
            findings: seen.findings,
            failures: self.failures.clone(),
        }
    }

    /// The kernel cannot be read at all: what was seen last, every GPU unknown.
    fn unreadable(&self, reason: &str, generation: Generation) -> Observed {
        let last = self.last_sent.clone();
        let mut gpus = last.as_ref().map(|observed| observed.gpus.clone()).unwrap_or_default();
        for gpu in &mut gpus {
            gpu.health = GpuHealth::Unknown { reason: reason.to_owned() };
        }
        let finding = self.finding(
            "server_unreadable",
            Severity::Error,
            format!("the GPUs of server {} cannot be read: {reason}", self.server),
            "run divvyd as root, with /sys and /proc mounted",
        );
        Observed {
            server: self.server.clone(),
            boot_id: last.as_ref().and_then(|observed| observed.boot_id.clone()),
            generation,
            hypervisor: HypervisorHealth::NotAsked,
            memory_bytes: last.and_then(|observed| observed.memory_bytes),
            gpus,
            vms: Vec::new(),
            findings: vec![finding],
            failures: self.failures.clone(),
        }
    }

    fn finding(&self, code: &'static str, severity: Severity, text: String, mend: &str) -> Finding {
        let subject = Subject::Server(self.server.clone());
        Finding { code: FindingCode::of(code), severity, subject, text, mend: mend.to_owned() }
    }

    /// The VMs; when they cannot be seen, those that were seen last, so that nothing looks unassigned.
    fn observe_vms(&mut self) -> (HypervisorHealth, Vec<ObservedVm>) {
        if self.looked.is_none() {
            return (HypervisorHealth::NotAsked, Vec::new());
        }
        match self.hypervisor.list() {
            Ok(vms) => (self.hypervisor.health(), vms),
            Err(error) => {
                let reason = crate::chain::chain(&error);
                let seen_last = self.last_sent.as_ref().map(|observed| observed.vms.clone());
                (HypervisorHealth::Unavailable { reason }, seen_last.unwrap_or_default())
            }
        }
    }

    fn hypervisor_finding(&self, health: &HypervisorHealth) -> Option<Finding> {
        let HypervisorHealth::Unavailable { reason } = health else { return None };
        let text = format!("the VMs of server {} cannot be seen: {reason}", self.server);
        let mend = "systemctl start libvirtd (or virtqemud); divvyd connects by itself";
        Some(self.finding("hypervisor_unavailable", Severity::Warning, text, mend))
    }

    /// Reports what was seen between two rounds, with what was last found about readiness.
    fn report_on_the_way(&mut self, seen: &Observed, notes: Vec<StepNote>, waiting: Vec<Waiting>) {
        let mut observed = seen.clone();
        observed.findings.extend(self.readiness.iter().cloned());
        self.send(observed, notes, waiting);
    }

    /// Reports the end of a turn.
    fn report(&mut self, mut observed: Observed, notes: Vec<StepNote>, waiting: Vec<Waiting>) {
        // A kernel that cannot be read says nothing about readiness either.
        self.readiness = if self.readable { self.host.readiness(&observed.gpus) } else { Vec::new() };
        observed.findings.extend(self.readiness.iter().cloned());
        self.send(observed, notes, waiting);
    }

    /// A report that says the same again is not sent.
    fn send(&mut self, observed: Observed, notes: Vec<StepNote>, waiting: Vec<Waiting>) {
        if notes.is_empty() && self.last_sent.as_ref() == Some(&observed) {
            return;
        }
        self.last_sent = Some(observed.clone());
        self.hub.tell(Message::Report { observed: Box::new(observed), notes, waiting });
    }

    /// VMs that were restarted or started for what they were given, and run.
    fn note_restarts(&self, desired: &DesiredServer, observed: &Observed) {
        for assignment in desired.assignments.values().filter(|one| one.restart || one.start) {
            let is_live = |vm: &ObservedVm, device| vm.device(device).is_some_and(|known| known.live);
            let (Ok(gifts), Some(vm)) = (gifts(desired, observed, assignment), observed.vm(&assignment.vm))
            else {
                continue;
            };
            let all_live =
                gifts.iter().flat_map(|gift| &gift.devices).all(|(_, device)| is_live(vm, *device));
            // A VM that runs without them was started by somebody else: no start is owed any more.
            if all_live || (assignment.start && vm.power == Power::Running) {
                self.ask(Request::RestartDone { server: self.server.clone(), vm: assignment.vm.clone() });
            }
        }
    }

    /// Asks for what the outcomes of steps ask for; answers the failures of which nothing comes: they are
    /// tried again. What is in quarantine is not, and its finding says why.
    fn follow_up(&self, notes: &[StepNote]) -> Vec<Failure> {
        let mut again = Vec::new();
        for note in notes {
            let asked = self.consequence(note).is_some_and(|request| self.ask(request));
            again.extend(note.result.as_ref().err().filter(|_| !asked).cloned());
        }
        again
    }

    fn consequence(&self, note: &StepNote) -> Option<Request> {
        let Step::Host(step) = &note.step else { return None };
        let server = self.server.clone();
        match (step, &note.result) {
            (HostStep::CleanPartition { partition, .. }, Ok(_)) => {
                Some(Request::PartitionClean { server, partition: partition.clone() })
            }
            (HostStep::CleanPartition { partition, .. }, Err(failure)) if note.unclean => {
                let (partition, reason) = (partition.clone(), failure.error.clone());
                Some(Request::Quarantine { server, partition, reason })
            }
            (HostStep::TakeGpuBack { gpu, .. }, Ok(_)) => {
                Some(Request::GpuReturned { server, gpu: gpu.clone() })
            }
            (HostStep::CreatePartitions { gpu, .. }, Ok(_)) if self.is_remade(gpu) => {
                Some(Request::PartitionsRemade { server, gpu: gpu.clone() })
            }
            _ => None,
        }
    }

    /// The partitions of this GPU were made to cure one of them.
    fn is_remade(&self, gpu: &GpuId) -> bool {
        let desired = self.desired();
        let mut holds = desired.holds.iter();
        holds.any(|(partition, hold)| partition.gpu == *gpu && matches!(hold, Hold::Remaking { .. }))
    }

    /// Whether it was accepted.
    fn ask(&self, request: Request) -> bool {
        let answer = self.hub.ask_blocking(request, DIVVY);
        if let Err(error) = &answer {
            tracing::warn!(server = %self.server, error = %crate::chain::chain(error), "following up a step failed");
        }
        answer.is_ok()
    }
}

#[cfg(test)]
mod tests;
