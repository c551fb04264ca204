//! What every scheme promises the rest of the product: a partition that was made and prepared passes
//! every check that stands before an assignment, and one that lost what hands it to a VM does not.

use divvy_core::gpu::{Carrier, Scheme};
use divvy_core::plan::is_prepared;

use super::*;
use crate::paths;
use crate::readiness::{self, partition_findings};
use crate::testing::nvidia::{Nvidia, ready};
use crate::testing::steps::{create, observed, prepare};
use crate::testing::{Reacting, Tree, gim, gpu_address};

fn kernel_of(scheme: Scheme) -> Reacting {
    let plain = |driver: &str| {
        let tree = Tree::server();
        tree.gpu(0);
        tree.driver(gpu_address(0), driver);
        tree
    };
    match scheme {
        Scheme::Sriov => Reacting::on(plain("simgpu")),
        Scheme::IntelXe => {
            let tree = plain("xe");
            tree.dir(&paths::sriov_admin(gpu_address(0)));
            Reacting::on(tree)
        }
        Scheme::IntelI915 => {
            let tree = plain("i915");
            tree.dir(&format!("{}/pf/gt", paths::iov(gpu_address(0), "card0")));
            Reacting::on(tree)
        }
        Scheme::NvidiaMig => ready(Nvidia::h100(true)),
        Scheme::AmdGim => gim::with(&[1]),
        scheme => ready(Nvidia::a2(scheme)),
    }
}

/// Two partitions, each prepared.
fn prepared(scheme: Scheme) -> Reacting {
    let kernel = kernel_of(scheme);
    create(&kernel, scheme, 2).unwrap_or_else(|error| panic!("{scheme}: {error}"));
    for partition in observed(&kernel).partitions {
        let place = (partition.index.0, partition.address);
        prepare(&kernel, scheme, place).unwrap_or_else(|error| panic!("{scheme}: {error}"));
    }
    kernel
}

#[test]
fn a_prepared_partition_of_any_scheme_passes_every_check() {
    for scheme in Scheme::ALL {
        let kernel = prepared(scheme);
        let gpu = observed(&kernel);
        assert_eq!((gpu.scheme, gpu.partitions.len()), (Some(scheme), 2));
        for partition in &gpu.partitions {
            assert!(is_prepared(&gpu, partition), "{scheme}: {partition:?}");
            let findings = partition_findings(&kernel, &gpu, partition, &readiness::Settings::default());
            assert_eq!(findings, [], "{scheme}");
        }
    }
}

#[test]
fn a_partition_without_what_hands_it_to_a_vm_does_not_pass() {
    for scheme in Scheme::ALL {
        let kernel = prepared(scheme);
        let gpu = observed(&kernel);
        let partition = &gpu.partitions[1];
        match (scheme.carrier(), partition.device) {
            (Carrier::Mediated, DeviceHandle::Mdev(uuid)) => kernel.tree.remove(&paths::mdev_folder(uuid)),
            _ => kernel.tree.remove(&paths::driver(partition.address)),
        }
        let findings = partition_findings(&kernel, &gpu, partition, &readiness::Settings::default());
        assert!(!findings.is_empty(), "{scheme}");
    }
}
