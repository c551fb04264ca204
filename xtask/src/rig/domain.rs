//! Definitions of test VMs for the libvirt inside the rig. They run the
//! payload, so they are up in seconds and report their PCI bus on a serial line.

/// Where in the rig a VM's serial line is written.
pub fn serial_path(name: &str) -> String {
    format!("/var/lib/rig/serial/{name}.log")
}

/// Who a VM is to libvirt, beside its name; what is empty libvirt makes up.
#[derive(Clone, Copy, Default)]
pub struct Identity {
    pub uuid: &'static str,
    /// The libosinfo id of the guest OS, as virt-install writes it.
    pub guest_os: &'static str,
}

impl Identity {
    fn elements(self) -> String {
        let mut elements = String::new();
        if !self.uuid.is_empty() {
            elements += &format!("  <uuid>{}</uuid>\n", self.uuid);
        }
        if !self.guest_os.is_empty() {
            elements += &format!(
                "  <metadata>
    <libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'>
      <libosinfo:os id='{}'/>
    </libosinfo:libosinfo>
  </metadata>\n",
                self.guest_os
            );
        }
        elements
    }
}

/// A VM with these elements among its devices. Spare root ports leave room for
/// hot-plug.
pub fn domain_xml(name: &str, identity: Identity, devices: &str) -> String {
    let ports = "    <controller type='pci' model='pcie-root-port'/>\n".repeat(4);
    format!(
        "<domain type='qemu'>
  <name>{name}</name>
{}  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>/usr/lib/rig/payload.elf</kernel>
  </os>
  <features><acpi/></features>
  <cpu mode='custom' match='exact'><model>qemu64</model></cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <controller type='pci' model='pcie-root'/>
{ports}    <serial type='file'><source path='{}'/><target port='0'/></serial>
{devices}  </devices>
</domain>
",
        identity.elements(),
        serial_path(name)
    )
}

/// One PCI device, named as `0000:01:00.2`, as `virsh attach-device` takes it
/// too; libvirt manages its driver.
pub fn hostdev_xml(device: &str) -> String {
    let mut parts = device.split([':', '.']);
    let mut next = || parts.next().unwrap_or("0");
    let (domain, bus, slot, function) = (next(), next(), next(), next());
    format!(
        "    <hostdev mode='subsystem' type='pci' managed='yes'><source>\
         <address domain='0x{domain}' bus='0x{bus}' slot='0x{slot}' function='0x{function}'/>\
         </source></hostdev>\n"
    )
}

/// One mediated device.
pub fn mdev_xml(uuid: &str) -> String {
    format!(
        "    <hostdev mode='subsystem' type='mdev' model='vfio-pci'><source>\
         <address uuid='{uuid}'/></source></hostdev>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_split_into_its_four_numbers() {
        assert!(
            hostdev_xml("0000:01:00.2").contains("domain='0x0000' bus='0x01' slot='0x00' function='0x2'")
        );
    }
}
