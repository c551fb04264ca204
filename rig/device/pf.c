/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The physical function: ids and class by property, SR-IOV, the Device Serial
 * Number capability, and a memory quota per virtual function.
 */
#include "rig-gpu.h"

static bool rig_is_vf_quota(hwaddr addr)
{
    return addr >= RIG_REG_VF_QUOTA &&
           addr < RIG_REG_VF_QUOTA + RIG_MAX_VFS * sizeof(uint32_t);
}

static uint64_t pf_read(void *opaque, hwaddr addr, unsigned size)
{
    RigGpu *gpu = opaque;
    uint64_t value;

    if (rig_scratch_read(&gpu->function, addr, &value)) {
        return value;
    }
    if (rig_is_vf_quota(addr)) {
        return gpu->vf_quota_mib[(addr - RIG_REG_VF_QUOTA) / sizeof(uint32_t)];
    }
    switch (addr) {
    case RIG_REG_MAGIC:
        return RIG_MAGIC_PF;
    case RIG_REG_FUNCTION:
        return RIG_FUNCTION_PF;
    case RIG_REG_RESETS:
        return gpu->function.resets;
    case RIG_REG_QUOTA_MIB:
        return gpu->vram_bytes / MiB;
    case RIG_REG_ENABLED_VFS:
        return pcie_sriov_num_vfs(PCI_DEVICE(gpu));
    default:
        return 0;
    }
}

static void pf_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    RigGpu *gpu = opaque;

    if (rig_is_vf_quota(addr)) {
        gpu->vf_quota_mib[(addr - RIG_REG_VF_QUOTA) / sizeof(uint32_t)] = value;
    } else {
        rig_scratch_write(&gpu->function, addr, value);
    }
}

static const MemoryRegionOps pf_register_ops = {
    .read = pf_read,
    .write = pf_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

static bool pf_add_sriov(PCIDevice *dev, RigGpu *gpu, Error **errp)
{
    /*
     * QEMU 10.0 realizes the VFs inside pcie_sriov_pf_init() and maps their
     * BARs by these types; set later, a VF BAR would be taken for a 32 bit one.
     */
    dev->exp.sriov_pf.vf_bar_type[RIG_BAR_REGISTERS] = RIG_BAR_TYPE;
    dev->exp.sriov_pf.vf_bar_type[RIG_BAR_VRAM] = RIG_BAR_TYPE;
    dev->exp.sriov_pf.vf_bar_type[RIG_BAR_MSIX] = RIG_BAR_TYPE;

    if (!pcie_sriov_pf_init(dev, RIG_CAP_SRIOV, TYPE_RIG_GPU_VF,
                            gpu->vf_device_id, gpu->total_vfs, gpu->total_vfs,
                            gpu->vf_offset, gpu->vf_stride, errp)) {
        return false;
    }
    pcie_sriov_pf_init_vf_bar(dev, RIG_BAR_REGISTERS, RIG_BAR_TYPE,
                              RIG_REGISTERS_SIZE);
    pcie_sriov_pf_init_vf_bar(dev, RIG_BAR_VRAM, RIG_BAR_TYPE,
                              gpu->vf_vram_bytes);
    pcie_sriov_pf_init_vf_bar(dev, RIG_BAR_MSIX, RIG_BAR_TYPE, RIG_MSIX_SIZE);
    return true;
}

static bool pf_check_properties(const RigGpu *gpu, Error **errp)
{
    if (gpu->total_vfs > RIG_MAX_VFS) {
        error_setg(errp, "rig-gpu: total-vfs is at most %d", RIG_MAX_VFS);
        return false;
    }
    if (gpu->total_vfs && (!gpu->vf_offset || !gpu->vf_stride)) {
        error_setg(errp, "rig-gpu: vf-offset and vf-stride are at least 1");
        return false;
    }
    if (!is_power_of_2(gpu->vram_bytes) || gpu->vram_bytes < 4 * KiB ||
        !is_power_of_2(gpu->vf_vram_bytes) || gpu->vf_vram_bytes < 4 * KiB) {
        error_setg(errp, "rig-gpu: vram and vf-vram are powers of two, "
                   "4 KiB at least");
        return false;
    }
    return true;
}

static void pf_realize(PCIDevice *dev, Error **errp)
{
    RigGpu *gpu = RIG_GPU(dev);
    RigFunction *fn = &gpu->function;

    if (!pf_check_properties(gpu, errp)) {
        return;
    }
    pci_set_word(dev->config + PCI_VENDOR_ID, gpu->vendor_id);
    pci_set_word(dev->config + PCI_DEVICE_ID, gpu->device_id);
    rig_function_identify(dev, gpu, gpu->class_code);

    if (!rig_function_create_bars(dev, fn, &pf_register_ops, gpu->vram_bytes,
                                  errp)) {
        return;
    }
    pci_register_bar(dev, RIG_BAR_REGISTERS, RIG_BAR_TYPE, &fn->registers);
    pci_register_bar(dev, RIG_BAR_VRAM, RIG_BAR_TYPE, &fn->vram);
    pci_register_bar(dev, RIG_BAR_MSIX, RIG_BAR_TYPE, &fn->msix);

    if (!rig_function_add_capabilities(dev, fn, errp)) {
        return;
    }
    /* Zero means a GPU that has no serial number to show. */
    if (gpu->serial) {
        pcie_dev_ser_num_init(dev, RIG_CAP_SERIAL, gpu->serial);
    }
    if (gpu->total_vfs) {
        pf_add_sriov(dev, gpu, errp);
    }
}

static void pf_exit(PCIDevice *dev)
{
    RigGpu *gpu = RIG_GPU(dev);

    if (gpu->total_vfs) {
        pcie_sriov_pf_exit(dev);
    }
    rig_function_exit(dev, &gpu->function);
}

static void pf_reset(Object *obj, ResetType type)
{
    RigGpu *gpu = RIG_GPU(obj);

    memset(gpu->vf_quota_mib, 0, sizeof(gpu->vf_quota_mib));
    rig_function_reset(&gpu->function);
}

static const Property pf_properties[] = {
    DEFINE_PROP_UINT16("vendor-id", RigGpu, vendor_id, 0x1234),
    DEFINE_PROP_UINT16("device-id", RigGpu, device_id, 0x6001),
    DEFINE_PROP_UINT16("vf-device-id", RigGpu, vf_device_id, 0x6002),
    DEFINE_PROP_UINT16("sub-vendor-id", RigGpu, sub_vendor_id, 0x1234),
    DEFINE_PROP_UINT16("sub-device-id", RigGpu, sub_device_id, 0x0001),
    DEFINE_PROP_UINT8("revision", RigGpu, revision, 1),
    DEFINE_PROP_UINT32("class", RigGpu, class_code, 0x030200),
    DEFINE_PROP_UINT32("vf-class", RigGpu, vf_class_code, 0x030200),
    DEFINE_PROP_UINT16("total-vfs", RigGpu, total_vfs, 8),
    DEFINE_PROP_UINT16("vf-offset", RigGpu, vf_offset, 1),
    DEFINE_PROP_UINT16("vf-stride", RigGpu, vf_stride, 1),
    DEFINE_PROP_SIZE("vram", RigGpu, vram_bytes, 16 * MiB),
    DEFINE_PROP_SIZE("vf-vram", RigGpu, vf_vram_bytes, 1 * MiB),
    DEFINE_PROP_UINT64("serial", RigGpu, serial, 0),
};

static const VMStateDescription pf_vmstate = {
    .name = TYPE_RIG_GPU,
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_PCI_DEVICE(parent_obj, RigGpu),
        VMSTATE_MSIX(parent_obj, RigGpu),
        VMSTATE_STRUCT(function, RigGpu, 1, rig_function_vmstate, RigFunction),
        VMSTATE_UINT32_ARRAY(vf_quota_mib, RigGpu, RIG_MAX_VFS),
        VMSTATE_END_OF_LIST()
    },
};

static void pf_class_init(ObjectClass *class, void *data)
{
    DeviceClass *device = DEVICE_CLASS(class);
    PCIDeviceClass *pci = PCI_DEVICE_CLASS(class);

    pci->realize = pf_realize;
    pci->exit = pf_exit;
    RESETTABLE_CLASS(class)->phases.hold = pf_reset;
    device->desc = "GPU with SR-IOV of the test rig";
    device->vmsd = &pf_vmstate;
    device_class_set_props(device, pf_properties);
    set_bit(DEVICE_CATEGORY_DISPLAY, device->categories);
}

const TypeInfo rig_gpu_type = {
    .name = TYPE_RIG_GPU,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(RigGpu),
    .class_init = pf_class_init,
    .interfaces = (InterfaceInfo[]) { { INTERFACE_PCIE_DEVICE }, { } },
};
