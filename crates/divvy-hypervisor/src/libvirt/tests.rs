//! The rules of Divvy against a driver made of text: it has VMs, does what it is asked, or, on demand,
//! says yes and does nothing, is slow, or refuses.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::sync::{Mutex, MutexGuard};

use divvy_core::given::Given;
use divvy_core::readiness::prove;

use super::*;
use crate::driver::{Listed, VmFacts};
use crate::failure::LibvirtError;
use crate::signals::Event;

const VM: &str = "6695eb01-f6a4-8304-79aa-97f2502e1193";
const BOTH: DeviceScope = DeviceScope { defined: true, live: true };
const DEFINED: DeviceScope = DeviceScope { defined: true, live: false };
const LIVE: DeviceScope = DeviceScope { defined: false, live: true };

/// What a running VM does when it is asked to let go of a device, or to power off.
#[derive(Clone, Copy, PartialEq)]
enum Manners {
    AtOnce,
    /// After it was looked at this many times.
    AfterLooks(u32),
    Never,
    Refuses,
}

struct Room {
    vms: BTreeMap<VmId, VmFacts>,
    manners: Manners,
    /// Says yes and does nothing.
    lies: bool,
    /// What the next changes answer instead of being done.
    answers: VecDeque<CallError>,
    /// Done when `manners` say so.
    pending: Option<(VmId, Pending)>,
    calls: Vec<&'static str>,
    signals: Arc<Signals>,
}

#[derive(Clone)]
enum Pending {
    Remove(DeviceHandle),
    PowerOff,
}

impl Room {
    fn settle(&mut self) {
        let Some((vm, what)) = self.pending.clone() else { return };
        match &mut self.manners {
            Manners::AfterLooks(0) | Manners::AtOnce => {}
            Manners::AfterLooks(left) => {
                *left -= 1;
                return;
            }
            Manners::Never | Manners::Refuses => return,
        }
        self.pending = None;
        let facts = self.vms.get_mut(&vm).expect("the VM that was asked");
        match what {
            Pending::PowerOff if facts.persistent => (facts.power, facts.live_xml) = (Power::Off, None),
            Pending::PowerOff => drop(self.vms.remove(&vm)),
            Pending::Remove(address) => {
                let live = facts.live_xml.as_deref().expect("it runs");
                facts.live_xml = domain_xml::without_device(live, address).expect("can be read");
            }
        }
    }

    fn change(&mut self, name: &'static str, vm: &VmId) -> Result<Option<&mut VmFacts>, CallError> {
        self.calls.push(name);
        if let Some(answer) = self.answers.pop_front() {
            return Err(answer);
        }
        if self.lies {
            return Ok(None);
        }
        match self.vms.get_mut(vm) {
            Some(facts) => Ok(Some(facts)),
            None => Err(refusal(code::NO_DOMAIN, "Domain not found")),
        }
    }
}

#[derive(Clone)]
struct TextDriver(Arc<Mutex<Room>>);

impl TextDriver {
    fn room(&self) -> MutexGuard<'_, Room> {
        self.0.lock().expect("no test panics while it holds the room")
    }
}

fn refusal(code: i32, message: &str) -> CallError {
    CallError::Refused(LibvirtError { function: "virDomain", code, domain: 10, message: message.into() })
}

fn edit(xml: &mut Option<String>, change: impl FnOnce(&str) -> String) {
    *xml = xml.as_deref().map(change);
}

impl Driver for TextDriver {
    fn version(&mut self, _: Duration) -> Result<String, CallError> {
        self.room().answers.pop_front().map_or(Ok("libvirt 9.0.0".into()), Err)
    }

    fn list(&mut self) -> Result<Vec<Listed>, CallError> {
        let mut room = self.room();
        room.answers.pop_front().map_or(Ok(()), Err)?;
        Ok(room.vms.values().cloned().map(Listed::Vm).collect())
    }

    fn read(&mut self, vm: &VmId) -> Result<Option<VmFacts>, CallError> {
        let mut room = self.room();
        room.calls.push("read");
        room.settle();
        Ok(room.vms.get(vm).cloned())
    }

    fn attach(&mut self, vm: &VmId, fragment: &str, scope: DeviceScope) -> Result<(), CallError> {
        let mut room = self.room();
        let Some(facts) = room.change("attach", vm)? else { return Ok(()) };
        let add = |xml: &str| domain_xml::with_device(xml, fragment).expect("can be read");
        if scope.defined {
            edit(&mut facts.defined_xml, add);
        }
        if scope.live {
            edit(&mut facts.live_xml, add);
        }
        Ok(())
    }

    fn detach(&mut self, vm: &VmId, fragment: &str, scope: DeviceScope) -> Result<(), CallError> {
        let mut room = self.room();
        let name = if scope.live { "detach live" } else { "detach defined" };
        let Some(facts) = room.change(name, vm)? else { return Ok(()) };
        let wrapped = format!(
            "<domain><name>f</name><uuid>f</uuid><memory>1</memory><devices>{fragment}</devices></domain>"
        );
        let address = domain_xml::read(&wrapped).expect("a fragment").devices[0].handle;
        if scope.defined {
            edit(&mut facts.defined_xml, |xml| {
                domain_xml::without_device(xml, address).expect("can be read").expect("it was there")
            });
        }
        if scope.live {
            room.pending = Some((vm.clone(), Pending::Remove(address)));
            if room.manners == Manners::Refuses {
                let alias = domain_xml::alias(&partition());
                room.signals.note(Event::RemovalFailed { vm: vm.to_string(), alias });
            }
        }
        Ok(())
    }

    fn start(&mut self, vm: &VmId) -> Result<(), CallError> {
        let mut room = self.room();
        let Some(facts) = room.change("start", vm)? else { return Ok(()) };
        facts.power = Power::Running;
        facts.live_xml = facts.defined_xml.as_deref().map(running);
        Ok(())
    }

    fn shut_down(&mut self, vm: &VmId) -> Result<(), CallError> {
        let mut room = self.room();
        if room.change("shut down", vm)?.is_some() {
            room.pending = Some((vm.clone(), Pending::PowerOff));
        }
        Ok(())
    }
}

fn running(defined: &str) -> String {
    defined.replacen("<domain", "<domain id='1'", 1)
}

fn vm() -> VmId {
    VmId::new(VM).expect("a UUID")
}

fn partition() -> Given {
    "gpu-a.3".parse().expect("a partition id")
}

fn address() -> DeviceHandle {
    "0000:41:00.4".parse().expect("an address")
}

fn ready() -> Ready {
    prove(&partition(), address(), &vm(), &[], &BTreeSet::new()).expect("nothing stands in the way")
}

fn hypervisor(power: Power, devices: &str) -> (LibvirtHypervisor, TextDriver) {
    let xml = format!(
        "<domain><name>web</name><uuid>{VM}</uuid><memory>1</memory><devices>{devices}</devices></domain>"
    );
    let facts = VmFacts {
        id: vm(),
        name: "web".into(),
        power,
        autostart: false,
        persistent: true,
        saved_state: false,
        snapshots: 0,
        live_xml: (power != Power::Off).then(|| running(&xml)),
        defined_xml: Some(xml),
    };
    let signals = Arc::new(Signals::default());
    let room = Room {
        vms: BTreeMap::from([(vm(), facts)]),
        manners: Manners::AtOnce,
        lies: false,
        answers: VecDeque::new(),
        pending: None,
        calls: Vec::new(),
        signals: Arc::clone(&signals),
    };
    let driver = TextDriver(Arc::new(Mutex::new(room)));
    let timeouts = Timeouts {
        removal: Duration::from_millis(40),
        look_again: Duration::from_millis(2),
        ..Timeouts::default()
    };
    (LibvirtHypervisor::with(Box::new(driver.clone()), signals, timeouts), driver)
}

fn with_partition(power: Power) -> (LibvirtHypervisor, TextDriver) {
    hypervisor(power, &domain_xml::fragment(address(), Some(&domain_xml::alias(&partition()))))
}

/// (in the definition, in the running VM), as the list reports it.
fn places(hypervisor: &mut LibvirtHypervisor) -> (bool, bool) {
    let vms = hypervisor.list().expect("the list");
    vms[0].device(address()).map_or((false, false), |device| (device.defined, device.live))
}

fn changes(driver: &TextDriver) -> Vec<&'static str> {
    driver.room().calls.iter().copied().filter(|call| *call != "read").collect()
}

fn cause(error: &HypervisorError) -> String {
    error.source().expect("a cause").to_string()
}

mod devices;
mod power;
