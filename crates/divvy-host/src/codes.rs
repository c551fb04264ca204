//! The stable names of every finding of this crate, in one place. Scripts and acceptances lean on them.
//! What each one means stands where it is found.

use divvy_core::finding::FindingCode;

macro_rules! codes {
    ($($name:ident = $text:literal;)*) => {
        $(pub const $name: FindingCode = FindingCode::of($text);)*

        /// Every code of this crate.
        pub const ALL: &[FindingCode] = &[$($name),*];
    };
}

codes! {
    // The server.
    IOMMU_OFF = "iommu_off";
    IOMMU_OFF_BY_OPTION = "iommu_off_by_option";
    VFIO_MISSING = "vfio_missing";
    UNSAFE_INTERRUPTS = "unsafe_interrupts";
    INTERRUPT_REMAPPING_OFF = "interrupt_remapping_off";
    UNSAFE_NOIOMMU = "unsafe_noiommu";
    ACS_WEAKENED = "acs_weakened";
    KERNEL_DENIED = "kernel_denied";
    KERNEL_TAINTED = "kernel_tainted";
    OTHER_AGENT = "other_agent";
    HOOK_MISSING = "hook_missing";
    SLEEP_POSSIBLE = "sleep_possible";
    SERVER_UNREADABLE = "server_unreadable";
    PCI_UNREADABLE = "pci_unreadable";
    GPU_WITHOUT_IDENTITY = "gpu_without_identity";

    // A GPU.
    GPU_IDENTITY_BY_SLOT = "gpu_identity_by_slot";
    GPU_LOST = "gpu_lost";
    GPU_HANGS = "gpu_hangs";
    GPU_UNREADABLE = "gpu_unreadable";
    COUNT_CONTRADICTION = "count_contradiction";
    COUNTS_DIFFER = "counts_differ";
    OPEN_UNKNOWN = "open_unknown";
    GPU_WITHOUT_DRIVER = "gpu_without_driver";
    GPU_ON_VFIO = "gpu_on_vfio";
    DRIVER_WITHOUT_SRIOV = "driver_without_sriov";
    DRIVER_DENIED = "driver_denied";
    SRIOV_OFF = "sriov_off";
    WINDOWS_UNPLACED = "windows_unplaced";
    AUTOPROBE_ON = "autoprobe_on";
    FATAL_ERRORS = "fatal_errors";
    MDEVS_DEFINED = "mdevs_defined";
    GPU_IN_USE = "gpu_in_use";

    // A partition.
    GPU_REPLACED = "gpu_replaced";
    PARTITION_GONE = "partition_gone";
    PARTITION_MOVED = "partition_moved";
    PARTITION_UNREADABLE = "partition_unreadable";
    PARTITION_SILENT = "partition_silent";
    PARTITION_SHARE_LOST = "partition_share_lost";
    PARTITION_RESET_IN_USE = "partition_reset_in_use";
    NO_IOMMU_GROUP = "no_iommu_group";
    NOT_ISOLATED = "not_isolated";
    PARTITION_OPEN = "partition_open";
    VFIO_FILE_OPEN_TO_OTHERS = "vfio_file_open_to_others";
    NO_RESET = "no_reset";
    RESET_UNPROVEN = "reset_unproven";
    DRIVER_NOT_VFIO = "driver_not_vfio";
    NOT_KEPT_FOR_VFIO = "not_kept_for_vfio";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_well_formed() {
        for code in ALL {
            assert_eq!(code.as_str().parse().as_ref(), Ok(code));
        }
    }
}
