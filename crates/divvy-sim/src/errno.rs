//! The kernel's error numbers that a simulated kernel answers with (x86-64 Linux). When it
//! answers which is not known here.

use std::io;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub i32);

pub(crate) const EPERM: Errno = Errno(1);
pub(crate) const ENOENT: Errno = Errno(2);
pub(crate) const EIO: Errno = Errno(5);
pub(crate) const ENXIO: Errno = Errno(6);
pub(crate) const ENOMEM: Errno = Errno(12);
pub(crate) const EACCES: Errno = Errno(13);
pub(crate) const EBUSY: Errno = Errno(16);
pub(crate) const EEXIST: Errno = Errno(17);
pub(crate) const ENODEV: Errno = Errno(19);
pub(crate) const ENOTDIR: Errno = Errno(20);
pub(crate) const EISDIR: Errno = Errno(21);
pub(crate) const EINVAL: Errno = Errno(22);
pub(crate) const ENOTTY: Errno = Errno(25);
pub(crate) const ENOSPC: Errno = Errno(28);
pub(crate) const ERANGE: Errno = Errno(34);
pub(crate) const ELOOP: Errno = Errno(40);
pub(crate) const ENODATA: Errno = Errno(61);
pub(crate) const EOPNOTSUPP: Errno = Errno(95);

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> io::Error {
        io::Error::from_raw_os_error(errno.0)
    }
}
