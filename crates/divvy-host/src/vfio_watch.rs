//! Word that somebody opened or closed a file of VFIO, by inotify(7) on the folder of these files: a
//! program that starts a VM without libvirt tells nobody else. A VM of libvirt opens files of its own
//! private `/dev`, of which libvirt tells. As everywhere, word only wakes: who has what open is found by
//! looking.
//!
//! ```text
//! dev ── vfio comes ─▶ dev/vfio ── a file is opened, closed ─▶ wake
//!                      dev/vfio/devices ── the same
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use crate::paths;
use crate::watch::{Source, Watch};

/// Below `dev/vfio`, one file for each device (since Linux 6.6).
const DEVICES: &str = "devices";

/// Calls a closure when a file of VFIO below this root is opened or closed, until it is dropped.
pub fn start(root: &Path, wake: impl FnMut() + Send + 'static) -> io::Result<Watch> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let mut source = Opened { inotify, folder: root.join(paths::DEV_VFIO), above: None };
    source.look_at_folders();
    Watch::start("divvy-vfio", source, wake)
}

struct Opened {
    inotify: Inotify,
    folder: PathBuf,
    /// The folder above, which tells when VFIO's own comes.
    above: Option<WatchDescriptor>,
}

impl AsFd for Opened {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl Source for Opened {
    fn drain(&mut self) -> Result<bool, Errno> {
        let mut matters = false;
        loop {
            let events = match self.inotify.read_events() {
                Ok(events) => events,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return Ok(matters),
                Err(error) => return Err(error),
            };
            for event in &events {
                matters |= self.concerns_vfio(event);
            }
            // A module that was loaded, or loaded anew, has made folders.
            if events.iter().any(|event| event.mask.contains(AddWatchFlags::IN_ISDIR)) {
                self.look_at_folders();
            }
        }
    }
}

impl Opened {
    /// What is not there, or cannot be watched, is seen at the next regular look.
    fn look_at_folders(&mut self) {
        let events = AddWatchFlags::IN_OPEN | AddWatchFlags::IN_CLOSE | AddWatchFlags::IN_CREATE;
        for folder in [&self.folder, &self.folder.join(DEVICES)] {
            let _ = self.inotify.add_watch(folder, events | AddWatchFlags::IN_ONLYDIR);
        }
        if self.above.is_none() {
            let above = self.folder.parent().unwrap_or(&self.folder);
            self.above = self.inotify.add_watch(above, AddWatchFlags::IN_CREATE).ok();
        }
    }

    /// A folder is opened by whoever lists it, Divvy too.
    fn concerns_vfio(&self, event: &InotifyEvent) -> bool {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            return true;
        }
        if Some(event.wd) == self.above {
            return event.name.as_deref() == self.folder.file_name();
        }
        event.name.is_some() && !event.mask.contains(AddWatchFlags::IN_ISDIR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::sync::mpsc;
    use std::time::Duration;
    use tempfile::TempDir;

    const LONG: Duration = Duration::from_secs(60);

    fn watched(root: &Path) -> (Watch, mpsc::Receiver<()>) {
        let (woken, wakes) = mpsc::channel();
        let watch = start(root, move || woken.send(()).unwrap_or_default()).expect("watches");
        (watch, wakes)
    }

    fn root() -> TempDir {
        let root = TempDir::new().expect("makes a folder");
        fs::create_dir_all(root.path().join("dev/vfio/devices")).expect("makes folders");
        fs::write(root.path().join("dev/vfio/7"), "").expect("writes");
        fs::write(root.path().join("dev/vfio/devices/vfio0"), "").expect("writes");
        root
    }

    #[test]
    fn opening_and_closing_a_file_of_vfio_wakes() {
        for name in ["dev/vfio/7", "dev/vfio/devices/vfio0"] {
            let root = root();
            let (_watch, wakes) = watched(root.path());
            let file = File::open(root.path().join(name)).expect("opens");
            wakes.recv_timeout(LONG).expect("the opening wakes");
            while wakes.try_recv().is_ok() {}
            drop(file);
            wakes.recv_timeout(LONG).expect("the closing wakes");
        }
    }

    /// Divvy lists it at each look: that would wake it for ever.
    #[test]
    fn listing_the_folder_does_not_wake() {
        let root = root();
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK).expect("begins");
        let mut source = Opened { inotify, folder: root.path().join(paths::DEV_VFIO), above: None };
        source.look_at_folders();
        for folder in ["dev/vfio", "dev/vfio/devices"] {
            assert!(fs::read_dir(root.path().join(folder)).expect("lists").count() > 0);
        }
        assert_eq!(source.drain(), Ok(false));
    }

    #[test]
    fn a_folder_that_comes_later_is_watched_from_then_on() {
        let root = TempDir::new().expect("makes a folder");
        fs::create_dir(root.path().join("dev")).expect("makes a folder");
        let (_watch, wakes) = watched(root.path());
        fs::create_dir(root.path().join("dev/vfio")).expect("makes a folder");
        wakes.recv_timeout(LONG).expect("its coming wakes");
        while wakes.try_recv().is_ok() {}
        fs::write(root.path().join("dev/vfio/7"), "").expect("writes");
        wakes.recv_timeout(LONG).expect("its files wake");
    }
}
