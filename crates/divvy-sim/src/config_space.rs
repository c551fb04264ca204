//! The configuration space of a function, as `config` shows it to root: header, PCI Express
//! capability, and the extended capabilities for errors, serial number and SR-IOV. Nothing is
//! emulated: a VF answers ffff for vendor and device, as the specification wants it.

use crate::kernel::{Function, Role, Sriov};

const BYTES: usize = 4096;

const PCIE_CAP: usize = 0x40;
const AER_CAP: usize = 0x100;
const SERIAL_CAP: usize = 0x160;
const SRIOV_CAP: usize = 0xbcc;

const EXT_AER: u32 = 0x0001;
const EXT_SERIAL: u32 = 0x0003;
const EXT_SRIOV: u32 = 0x0010;

/// All of it. A function that has gone from the bus reads ff everywhere.
pub(crate) fn bytes(function: &Function, lost: bool) -> Vec<u8> {
    if lost {
        return vec![0xff; BYTES];
    }
    let mut space = Space(vec![0; BYTES]);
    space.header(function);
    space.pci_express(function);
    space.extended(function);
    space.0
}

struct Space(Vec<u8>);

impl Space {
    fn put(&mut self, at: usize, value: &[u8]) {
        self.0[at..at + value.len()].copy_from_slice(value);
    }

    fn word(&mut self, at: usize, value: u16) {
        self.put(at, &value.to_le_bytes());
    }

    fn long(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    fn header(&mut self, function: &Function) {
        let (vendor, device, sub_vendor, sub_device) = function.numbers;
        let is_vf = function.pf().is_some();
        self.word(0x00, if is_vf { 0xffff } else { vendor });
        self.word(0x02, if is_vf { 0xffff } else { device });
        self.word(0x04, 0x0406);
        self.word(0x06, 0x0010);
        self.long(0x08, function.class << 8 | 0xa1);
        if function.is_bridge() {
            self.put(0x0e, &[1]);
        } else {
            self.windows(function);
            self.word(0x2c, sub_vendor);
            self.word(0x2e, sub_device);
        }
        self.put(0x34, &[PCIE_CAP as u8]);
    }

    fn windows(&mut self, function: &Function) {
        if function.pf().is_some() {
            return;
        }
        for window in &function.windows {
            let wide = window.base > u64::from(u32::MAX);
            let kind = if wide { 0xc } else { 0 };
            self.long(0x10 + 4 * window.bar, window.base as u32 | kind);
            if wide && window.bar < 5 {
                self.long(0x14 + 4 * window.bar, (window.base >> 32) as u32);
            }
        }
    }

    fn pci_express(&mut self, function: &Function) {
        let port_type = if function.is_bridge() { 4 } else { 0 };
        self.put(PCIE_CAP, &[0x10, 0]);
        self.word(PCIE_CAP + 2, 2 | port_type << 4);
        let resets_itself = function.supported_resets.contains(&"flr");
        self.long(PCIE_CAP + 4, u32::from(resets_itself) << 28);
    }

    /// Extended capabilities form a chain; a reader must follow it, not guess.
    fn extended(&mut self, function: &Function) {
        let mut chain = vec![(AER_CAP, EXT_AER, 2)];
        if let Some(serial) = function.serial {
            chain.push((SERIAL_CAP, EXT_SERIAL, 1));
            self.long(SERIAL_CAP + 4, serial as u32);
            self.long(SERIAL_CAP + 8, (serial >> 32) as u32);
        }
        if let Role::Physical(sriov) = &function.role {
            chain.push((SRIOV_CAP, EXT_SRIOV, 1));
            self.sriov(sriov);
        }
        for (nth, (at, id, version)) in chain.iter().enumerate() {
            let next = chain.get(nth + 1).map_or(0, |(at, ..)| *at as u32);
            self.long(*at, id | version << 16 | next << 20);
        }
    }

    fn sriov(&mut self, sriov: &Sriov) {
        let enabled = sriov.count > 0;
        self.word(SRIOV_CAP + 0x08, if enabled { 0x19 } else { 0x10 });
        self.word(SRIOV_CAP + 0x0c, sriov.spec.total);
        self.word(SRIOV_CAP + 0x0e, sriov.spec.total);
        self.word(SRIOV_CAP + 0x10, sriov.count);
        self.word(SRIOV_CAP + 0x14, sriov.spec.offset);
        self.word(SRIOV_CAP + 0x16, sriov.spec.stride);
        self.word(SRIOV_CAP + 0x1a, sriov.spec.vf_device_id);
        self.long(SRIOV_CAP + 0x1c, 0x553);
        self.long(SRIOV_CAP + 0x20, 1);
    }
}
