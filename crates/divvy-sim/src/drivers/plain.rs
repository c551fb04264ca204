//! Plain SR-IOV: a number in `sriov_numvfs` makes that many VFs, and there is nothing else to it. All of
//! it is the kernel's own doing; the driver of these GPUs is made up.

use super::Driver;

pub(super) struct Plain;

impl Driver for Plain {}
