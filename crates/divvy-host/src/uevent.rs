//! Word from the kernel that something about its devices changed: the kobject-uevent netlink socket,
//! group 1 (netlink(7), `lib/kobject_uevent.c`). It only wakes somebody: what changed is found by looking
//! at the tree again, so a lost message (ENOBUFS) wakes too, and a forged one does no harm. What the
//! woken one does is not known here.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType};

use crate::watch::{Source, Watch};

/// The kernel's own messages; group 2 is udev's.
const KERNEL_GROUP: u32 = 1;
/// Largest message: 2048 bytes of variables after the path (`UEVENT_BUFFER_SIZE`).
const MESSAGE_BYTES: usize = 8192;
const SUBSYSTEMS: &[&[u8]] = &[b"pci", b"vfio", b"vfio-dev", b"mdev", b"drm"];

/// Calls a closure when PCI, VFIO, mdev or DRM devices change, until it is dropped.
pub fn start(wake: impl FnMut() + Send + 'static) -> io::Result<Watch> {
    let socket = socket::socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkKObjectUEvent,
    )?;
    socket::bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))?;
    listen(socket, wake)
}

/// Listens to a datagram socket that does not block.
fn listen(socket: OwnedFd, wake: impl FnMut() + Send + 'static) -> io::Result<Watch> {
    Watch::start("divvy-uevent", Messages(socket), wake)
}

struct Messages(OwnedFd);

impl AsFd for Messages {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Source for Messages {
    fn drain(&mut self) -> Result<bool, Errno> {
        drain(&self.0)
    }
}

fn drain(socket: &OwnedFd) -> Result<bool, Errno> {
    let mut message = [0; MESSAGE_BYTES];
    let mut matters = false;
    loop {
        match socket::recv(socket.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT) {
            Ok(bytes) => matters |= concerns_gpus(&message[..bytes]),
            Err(Errno::EINTR) => {}
            Err(Errno::ENOBUFS) => matters = true,
            Err(Errno::EAGAIN) => return Ok(matters),
            Err(error) => return Err(error),
        }
    }
}

/// Whether a message, `ACTION@PATH\0KEY=VALUE\0…`, is about a subsystem that Divvy looks at.
fn concerns_gpus(message: &[u8]) -> bool {
    message
        .split(|byte| *byte == 0)
        .filter_map(|pair| pair.strip_prefix(b"SUBSYSTEM="))
        .any(|subsystem| SUBSYSTEMS.contains(&subsystem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    const PCI: &[u8] = b"change@/devices/pci0000:40/0000:41:00.0\0ACTION=change\0SUBSYSTEM=pci\0SEQNUM=7\0";
    const NET: &[u8] = b"add@/devices/virtual/net/tap0\0ACTION=add\0SUBSYSTEM=net\0SEQNUM=8\0";
    const LONG: Duration = Duration::from_secs(60);

    fn pair() -> (OwnedFd, OwnedFd) {
        socket::socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_NONBLOCK)
            .expect("a pair of sockets")
    }

    fn send(socket: &OwnedFd, message: &[u8]) {
        socket::send(socket.as_raw_fd(), message, MsgFlags::empty()).expect("sends");
    }

    #[test]
    fn a_message_about_a_pci_device_wakes() {
        let (kernel, listener) = pair();
        let (woken, wakes) = mpsc::channel();
        let _watch = listen(listener, move || woken.send(()).unwrap_or_default()).expect("listens");
        send(&kernel, PCI);
        wakes.recv_timeout(LONG).expect("was woken");
    }

    #[test]
    fn a_message_about_something_else_does_not_wake() {
        let (kernel, listener) = pair();
        send(&kernel, NET);
        assert_eq!(drain(&listener), Ok(false));
    }

    #[test]
    fn a_burst_wakes_once() {
        let (kernel, listener) = pair();
        for message in [PCI, NET, PCI] {
            send(&kernel, message);
        }
        assert_eq!(drain(&listener), Ok(true));
        assert_eq!(drain(&listener), Ok(false), "something was left for a second wake");
    }

    #[test]
    fn dropping_the_watch_ends_its_thread() {
        let (_kernel, listener) = pair();
        let (woken, wakes) = mpsc::channel::<()>();
        let watch = listen(listener, move || woken.send(()).unwrap_or_default()).expect("listens");
        drop(watch);
        assert_eq!(wakes.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
    }

    #[test]
    fn only_the_subsystem_decides_and_not_a_value_that_mentions_one() {
        assert!(concerns_gpus(PCI));
        assert!(!concerns_gpus(b"add@/devices/x\0DEVPATH=SUBSYSTEM=pci\0SUBSYSTEM=block\0"));
        assert!(!concerns_gpus(b""));
    }

    proptest::proptest! {
        #[test]
        fn no_message_makes_the_parser_panic(message: Vec<u8>) {
            concerns_gpus(&message);
        }
    }
}
