//! The rules of the product, one file each: a pure question about a state, answered with nothing, a
//! refusal, or findings. `decide` asks them before a change, the start gate asks some again before a VM
//! starts; the order of asking is theirs to choose, the answers are not.

pub mod count_change;
pub mod divvy_chooses;
pub mod guest_os;
pub mod homogeneous;
pub mod no_migration;
pub mod one_partition;
pub mod same_scheme;
pub mod same_server;
pub mod sizes;
pub mod valid_count;
pub mod vm_settings;
pub mod whole_gpu;
pub mod whole_or_partitions;
