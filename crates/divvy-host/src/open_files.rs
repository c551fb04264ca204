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
            let Some(target) = unless_gone(target(sys, &format!("{folder}/{name}")))? else { continue };
            show(pid, target.strip_suffix(" (deleted)").unwrap_or(&target))?;
        }
    }
    Ok(())
}

/// Where a process's open file leads. The kernel looks twice: whether the process has the file, and whether
/// the caller may see it; for a process that ended in between, the second look says "permission denied"
/// (`proc_fd_access_allowed` in `fs/proc/base.c`). Asked again, such a process is gone, and who may really
/// not look is refused again.
fn target(sys: &dyn Sysfs, file: &str) -> io::Result<String> {
    match sys.link(file) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => sys.link(file),
        answer => answer,
    }
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

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;
    use crate::testing::{Reacting, Tree};

    fn seen(sys: &dyn Sysfs) -> io::Result<Vec<String>> {
        let mut seen = Vec::new();
        each(sys, |pid, target| {
            seen.push(format!("{pid} {target}"));
            Ok(())
        })?;
        Ok(seen)
    }

    /// Two processes; the first one's file cannot be looked at the first so many times.
    fn refusing(times: u32) -> Reacting {
        let tree = Tree::with_partitions(0);
        tree.symlink("proc/41/fd/3", "/dev/vfio/6");
        tree.symlink("proc/42/fd/3", "/dev/vfio/7 (deleted)");
        let sys = Reacting::on(tree);
        sys.faults.fails_first.lock().expect("no thread died").insert("41/fd/3", (Errno::EACCES, times));
        sys
    }

    #[test]
    fn a_process_that_ends_while_it_is_looked_at_hides_nothing_of_the_others() {
        let sys = refusing(1);
        assert_eq!(seen(&sys).expect("can be told"), ["41 /dev/vfio/6", "42 /dev/vfio/7"]);
    }

    #[test]
    fn a_process_that_may_not_be_looked_at_is_an_error() {
        let error = seen(&refusing(2)).expect_err("it may hold anything");
        assert_eq!(error.raw_os_error(), Some(Errno::EACCES as i32));
    }
}
