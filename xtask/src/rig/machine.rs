//! The rig as QEMU sees it: the command line. It is the same for a cold boot
//! and for a resume, because a saved state fits only the machine it was saved
//! from; whatever is in this file is part of the cache key.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::qemu::Qemu;

/// A GPU of the rig, as the tests expect to find it.
pub struct RigGpu {
    pub address: &'static str,
    pub vendor_id: u16,
    pub device_id: u16,
    pub vf_device_id: u16,
    pub class: u32,
    pub total_vfs: u16,
    pub vf_offset: u16,
    pub serial: u64,
}

/// Two vendors, two classes, two ways to lay out the VFs. The addresses follow
/// from the order of the root ports below.
pub const AMD_GPU: RigGpu = RigGpu {
    address: "0000:01:00.0",
    vendor_id: 0x1002,
    device_id: 0x74a1,
    vf_device_id: 0x74b5,
    class: 0x120000,
    total_vfs: 8,
    vf_offset: 2,
    serial: 0x692d_58e1_73a0_0b41,
};
pub const INTEL_GPU: RigGpu = RigGpu {
    address: "0000:02:00.0",
    vendor_id: 0x8086,
    device_id: 0x56c0,
    vf_device_id: 0x56c0,
    class: 0x038000,
    total_vfs: 31,
    vf_offset: 1,
    serial: 0x10b7_4c9e_0226_d5f3,
};
/// Those with SR-IOV.
pub const GPUS: [RigGpu; 2] = [AMD_GPU, INTEL_GPU];

/// Without SR-IOV: it is split by mediated devices on itself. A VM sees a
/// function with the ids of the GPU.
pub const NVIDIA_GPU: RigGpu = RigGpu {
    address: "0000:04:00.0",
    vendor_id: 0x10de,
    device_id: 0x1eb8,
    vf_device_id: 0x1eb8,
    class: 0x030200,
    total_vfs: 0,
    vf_offset: 0,
    serial: 0x48b0_2d91_c64f_02a7,
};
pub const ALL_GPUS: [RigGpu; 3] = [AMD_GPU, INTEL_GPU, NVIDIA_GPU];

/// Which GPU is in which slot. A slot has its PCI address whatever is in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Slots {
    /// As the addresses above say, and as a saved state needs it.
    AsBuilt,
    /// The GPUs with SR-IOV have changed places.
    Swapped,
}

/// A stock SR-IOV function of QEMU with its stock driver: what the rig's own
/// GPU model does differently from it deserves a second look.
pub const CONTROL_ADDRESS: &str = "0000:03:00.0";

/// The port of the command agent inside.
const AGENT_PORT: u16 = 9000;

/// With `iomem=relaxed` a test may look into the memory of a VF that VFIO holds.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet panic=-1 intel_iommu=on iommu=pt iomem=relaxed \
                                mitigations=off audit=0 apparmor=0 random.trust_cpu=on no_timer_check";

/// The files that a machine is started from; none of them is ever written to.
pub struct Machine {
    pub root: PathBuf,
    pub kernel: PathBuf,
    /// Holds the five files below.
    pub folder: PathBuf,
}

impl Machine {
    pub fn model(&self) -> PathBuf {
        self.folder.join("rig-gpu.so")
    }

    pub fn initrd(&self) -> PathBuf {
        self.folder.join("initrd.cpio")
    }

    /// The disk as built.
    pub fn disk(&self) -> PathBuf {
        self.folder.join("disk.img")
    }

    /// The disk as the saved machine left it, on top of `disk`.
    pub fn saved_disk(&self) -> PathBuf {
        self.folder.join("saved.qcow2")
    }

    /// Memory and devices of the saved machine.
    pub fn saved_state(&self) -> PathBuf {
        self.folder.join("saved.state")
    }

    /// QEMU for a machine on `disk`. QMP is spoken on its standard input, a
    /// connected socket: no path to clean up, none that can be too long.
    pub fn command(&self, disk: &Path, console: &Path, qmp: OwnedFd, slots: Slots, resumed: bool) -> Command {
        let mut qemu = Qemu::in_root(&self.root).system(Some(&self.model()));
        qemu.args(["-name", "rig", "-nodefaults", "-no-user-config"])
            .args(["-display", "none"])
            .args(["-machine", "q35,kernel-irqchip=split,hpet=off"])
            .args(["-accel", "tcg,thread=multi,tb-size=512"])
            .args(["-cpu", "max,la57=off", "-smp", "2", "-m", "1536M"])
            .args(["-device", "intel-iommu,intremap=on,eim=on,caching-mode=on"])
            .args(["-chardev", "socket,id=qmp,fd=0"])
            .args(["-mon", "chardev=qmp,mode=control"])
            .arg("-serial")
            .arg(format!("file:{}", console.display()))
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(self.initrd())
            .args(["-append", KERNEL_ARGUMENTS]);
        add_disk_and_network(&mut qemu, disk);
        add_gpus(&mut qemu, slots);
        if resumed {
            qemu.args(["-incoming", "defer"]);
        }
        qemu.stdin(Stdio::from(qmp));
        qemu
    }
}

fn add_disk_and_network(qemu: &mut Command, disk: &Path) {
    qemu.arg("-drive")
        .arg(format!("file={},format=qcow2,if=none,id=disk", disk.display()))
        .args(["-device", "virtio-blk-pci,drive=disk"])
        // Port 0: the system picks a free one, and QEMU is asked which.
        .arg("-netdev")
        .arg(format!("user,id=agent,restrict=on,hostfwd=tcp:127.0.0.1:0-:{AGENT_PORT}"))
        .args(["-device", "virtio-net-pci,netdev=agent,romfile="]);
}

/// Each behind its own root port: that is what gives it a bus and, for its
/// VFs, IOMMU groups of their own.
fn add_gpus(qemu: &mut Command, slots: Slots) {
    let mut gpus = GPUS;
    if slots == Slots::Swapped {
        gpus.reverse();
    }
    for (index, gpu) in gpus.iter().enumerate() {
        add_gpu(qemu, gpu, index + 1);
    }
    let control = GPUS.len() + 1;
    qemu.arg("-device").arg(root_port(control));
    qemu.args(["-netdev", "user,id=control,restrict=on"]);
    qemu.arg("-device").arg(format!("igb,bus=port{control},netdev=control,mac=52:54:00:00:00:03,romfile="));
    add_gpu(qemu, &NVIDIA_GPU, control + 1);
}

fn add_gpu(qemu: &mut Command, gpu: &RigGpu, number: usize) {
    qemu.arg("-device").arg(root_port(number));
    qemu.arg("-device").arg(format!(
        "rig-gpu,bus=port{number},vendor-id={:#x},device-id={:#x},vf-device-id={:#x},\
         sub-vendor-id={:#x},sub-device-id={:#x},class={:#x},vf-class={:#x},\
         total-vfs={},vf-offset={},serial={:#x}",
        gpu.vendor_id,
        gpu.device_id,
        gpu.vf_device_id,
        gpu.vendor_id,
        gpu.device_id,
        gpu.class,
        gpu.class,
        gpu.total_vfs,
        gpu.vf_offset,
        gpu.serial,
    ));
}

fn root_port(number: usize) -> String {
    format!("pcie-root-port,id=port{number},chassis={number},slot={number}")
}
