//! Which files processes have open, by looking at every process: the kernel has no list of it. What a
//! file is for is not known here.

use std::io;

use crate::attribute::parse_decimal;
use crate::paths;
use crate::sysfs::Sysfs;

/// Shows every open file of every process: the process, and the path as the kernel prints it. A file
/// that was deleted is shown under its old path; a process that cannot be looked at is an error, for it
/// may hold anything.
pub fn each(sys: &dyn Sysfs, mut show: impl FnMut(u32, &str) -> io::Result<()>) -> io::Result<()> {
    for name in sys.list(paths::PROCESSES)? {
        let Some(pid) = parse_decimal::<u32>(&name) else { continue };
        let folder = format!("{}/{pid}/fd", paths::PROCESSES);
        let Some(names) = unless_gone(sys.list(&folder))? else { continue };
        for name in names {
            // A file that was closed meanwhile is not open.
            let Some(target) = unless_gone(sys.link(&format!("{folder}/{name}")))? else { continue };
            show(pid, target.strip_suffix(" (deleted)").unwrap_or(&target))?;
        }
    }
    Ok(())
}

/// None for what belonged to a process that has ended.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    const ESRCH: i32 = nix::errno::Errno::ESRCH as i32;
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}
