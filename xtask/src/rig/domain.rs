//! Definitions of test VMs for the libvirt inside the rig. They run the
//! payload, so they are up in seconds and report their PCI bus on a serial line.

/// Where in the rig a VM's serial line is written.
pub fn serial_path(name: &str) -> String {
    format!("/var/lib/rig/serial/{name}.log")
}

/// A VM with PCI devices of the rig assigned, named as `0000:01:00.2`; libvirt
/// manages their drivers. Spare root ports leave room for hot-plug.
pub fn domain_xml(name: &str, devices: &[&str]) -> String {
    let mut hostdevs = String::new();
    for device in devices {
        hostdevs += &hostdev_xml(device);
    }
    let ports = "    <controller type='pci' model='pcie-root-port'/>\n".repeat(devices.len() + 3);
    format!(
        "<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>64</memory>
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
{hostdevs}  </devices>
</domain>
",
        serial_path(name)
    )
}

/// One assigned device, as `virsh attach-device` takes it too.
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
