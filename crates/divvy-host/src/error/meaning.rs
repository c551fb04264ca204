//! What the kernel's error numbers are known to mean, for each thing that Divvy tries. One table; a pair
//! that is not in it has no known meaning, and none is made up.

use std::io;

use nix::errno::Errno;

use super::Verb;

/// What an error number means, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    pub text: &'static str,
    pub hint: &'static str,
}

const STAYS_IN_QUARANTINE: &str = "the partition stays in quarantine; divvy partition cure tries again, its GPU's driver loaded anew or a \
     reboot makes it new";

const fn means(text: &'static str, hint: &'static str) -> Option<Meaning> {
    Some(Meaning { text, hint })
}

/// The known meaning of a failed try.
pub fn meaning(verb: Verb, cause: &io::Error) -> Option<Meaning> {
    if cause.kind() == io::ErrorKind::TimedOut {
        return means(
            "the kernel did not come back in time; the state of the GPU is not known",
            "shut down whatever uses the GPU's partitions; if the kernel still does not come back, its log \
             says what it waits for (dmesg), and a reboot ends it",
        );
    }
    let errno = Errno::from_raw(cause.raw_os_error()?);
    match verb {
        Verb::Create => creating(errno),
        Verb::Remove => removing(errno),
        Verb::Prepare | Verb::Give => preparing(errno),
        Verb::Reset => resetting(errno),
        Verb::ResetGpu => resetting_gpu(errno),
        Verb::Release | Verb::Unload => releasing(errno),
        Verb::Renew if errno == Errno::EIO => means(
            "its driver does nothing more with it, as after a QEMU was killed",
            "the partition stays in quarantine; divvy partition cure PARTITION --remake-siblings makes it new \
             while no partition of its GPU is in use, and so does its driver loaded anew, or a reboot",
        ),
        Verb::Size | Verb::Renew => sizing(errno),
        Verb::Look
        | Verb::Reserve
        | Verb::Enable
        | Verb::Disable
        | Verb::Override
        | Verb::Lock
        | Verb::TakeBack => None,
    }
    .or_else(|| anything(errno))
}

// drivers/pci/iov.c: sriov_numvfs_store, sriov_enable.
fn creating(errno: Errno) -> Option<Meaning> {
    match errno {
        Errno::ENOMEM => means(
            "not enough MMIO resources or bus numbers for the partitions",
            "in the server's firmware setup turn on Above 4G Decoding and SR-IOV, and raise the MMIO High \
             size if there is one; if that does not help, boot with pci=realloc",
        ),
        Errno::ENOENT => means(
            "the GPU has no driver, or its driver does not implement SR-IOV",
            "load the vendor's driver for virtualization on the server; lspci -k shows which one has the GPU",
        ),
        Errno::EBUSY => means(
            "the GPU has partitions already, or is in use; the kernel changes the count from zero only",
            "nothing to do if Divvy tries again; otherwise another program makes partitions of this GPU",
        ),
        Errno::ERANGE => {
            means("more partitions than the GPU can have", "divvy gpu show GPU lists the valid counts")
        }
        Errno::EIO => means(
            "the GPU contradicts what it says of its partitions, or its driver failed",
            "the server's kernel log says which (dmesg); update the GPU's firmware and driver",
        ),
        Errno::ENOSPC => means(
            "the driver has no room for so many partitions",
            "ask for fewer, or end what uses the GPU's memory on the server",
        ),
        Errno::EINVAL => means(
            "the driver does not take this count",
            "divvy gpu show GPU lists the valid counts; the server's kernel log says more (dmesg)",
        ),
        Errno::EPERM => {
            means("the driver refuses while its partitions are in use", "shut down the VMs that use the GPU")
        }
        _ => None,
    }
}

// NVIDIA's driver for virtualization.
fn sizing(errno: Errno) -> Option<Meaning> {
    match errno {
        Errno::EIO | Errno::ENOSPC => means(
            "the driver has no room for another partition of this size on the GPU",
            "the server's kernel log says more (dmesg); if another program makes partitions of this GPU, stop it",
        ),
        Errno::EPERM | Errno::EBUSY => {
            means("the driver says that the partition is in use", "shut down the VM that uses it")
        }
        Errno::EEXIST => {
            means("there is a mediated device of this name already", "nothing, Divvy looks again")
        }
        _ => None,
    }
}

fn removing(errno: Errno) -> Option<Meaning> {
    match errno {
        Errno::EPERM | Errno::EBUSY => {
            means("the driver says that partitions are in use", "shut down the VMs that use the GPU")
        }
        Errno::ENOENT => means(
            "the GPU has no driver any more, or its driver does not implement SR-IOV",
            "load the driver that made the partitions; a reboot removes them too",
        ),
        _ => None,
    }
}

// drivers/vfio/pci: vfio_pci_probe.
fn preparing(errno: Errno) -> Option<Meaning> {
    match errno {
        Errno::EINVAL => means(
            "VFIO did not take it: it is in no IOMMU group",
            "turn on VT-d or AMD-Vi in the firmware setup; on Intel boot with intel_iommu=on",
        ),
        Errno::EBUSY => means("another driver has it", "try again; lspci -k shows which driver has it"),
        Errno::ENODEV => means("no driver took it, or it is gone", "try again"),
        _ => None,
    }
}

fn releasing(errno: Errno) -> Option<Meaning> {
    match errno {
        Errno::ENODEV | Errno::ENOENT => means("its driver let it go meanwhile", "try again"),
        _ => None,
    }
}

fn resetting(errno: Errno) -> Option<Meaning> {
    match errno {
        Errno::ENOTTY => means("no way to reset it works now", STAYS_IN_QUARANTINE),
        Errno::EAGAIN | Errno::EIO => means("it did not come back from the reset", STAYS_IN_QUARANTINE),
        Errno::EINVAL => means("the kernel takes no reset here", "the server's kernel log says more (dmesg)"),
        _ => None,
    }
}

fn resetting_gpu(errno: Errno) -> Option<Meaning> {
    match errno {
        Errno::ENOTTY | Errno::EAGAIN | Errno::EIO => means(
            "it did not come back from the reset, or no way to reset it works now",
            "no VM and no driver gets the GPU before it was reset; power the server off and on",
        ),
        Errno::EINVAL => means("the kernel takes no reset here", "the server's kernel log says more (dmesg)"),
        _ => None,
    }
}

fn anything(errno: Errno) -> Option<Meaning> {
    match errno {
        Errno::EPERM => means(
            "the kernel does not permit it",
            "run divvyd as root; kernel lockdown (cat /sys/kernel/security/lockdown) forbids some writes",
        ),
        Errno::EACCES | Errno::EROFS => means(
            "the file may not be opened",
            "run divvyd as root, with /sys writable (systemd: no ProtectKernelTunables)",
        ),
        Errno::ENOENT => means(
            "the kernel shows no such file: the GPU is gone, or cannot do this",
            "lspci -vv shows what the GPU can do",
        ),
        Errno::ENODEV | Errno::ENXIO => {
            means("it is gone from the bus", "the server's kernel log says why (dmesg)")
        }
        Errno::EIO => means("the driver or the hardware failed", "the server's kernel log says more (dmesg)"),
        _ => None,
    }
}
