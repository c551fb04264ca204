//! A VM gets a partition of a GPU in its own server.

use crate::id::{GpuId, ServerId};
use crate::refusal::Refusal;
use crate::vm::ObservedVm;

pub fn check(
    vm_server: &ServerId,
    vm: &ObservedVm,
    gpu_server: &ServerId,
    gpu: &GpuId,
) -> Result<(), Refusal> {
    if vm_server == gpu_server {
        return Ok(());
    }
    Err(Refusal::OtherServer {
        vm: vm.name.clone(),
        vm_server: vm_server.clone(),
        gpu: gpu.clone(),
        gpu_server: gpu_server.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gpu_id, server_id, vm};

    #[test]
    fn only_a_gpu_of_the_same_server_passes() {
        let (here, there) = (server_id("a"), server_id("b"));
        assert_eq!(check(&here, &vm("vm-001"), &here, &gpu_id("gpu-1")), Ok(()));
        let refusal = check(&here, &vm("vm-001"), &there, &gpu_id("gpu-1")).expect_err("other server");
        assert_eq!(refusal.code(), "other_server");
    }

    proptest::proptest! {
        /// Two servers are the same exactly if their names are.
        #[test]
        fn servers_are_told_apart_by_name(one in "[a-z]{1,3}", other in "[a-z]{1,3}") {
            let passes = check(&server_id(&one), &vm("vm-001"), &server_id(&other), &gpu_id("gpu-1")).is_ok();
            proptest::prop_assert_eq!(passes, one == other);
        }
    }
}
