/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtual function. QEMU creates all of them together with the PF and
 * switches them on and off as the kernel writes the SR-IOV capability; being
 * switched off counts as a reset.
 */
#include "rig-gpu.h"

static uint64_t vf_read(void *opaque, hwaddr addr, unsigned size)
{
    RigGpuVf *vf = opaque;
    PCIDevice *dev = PCI_DEVICE(vf);
    RigGpu *gpu = RIG_GPU(pcie_sriov_get_pf(dev));
    uint16_t number = pcie_sriov_vf_number(dev);
    uint64_t value;

    if (rig_scratch_read(&vf->function, addr, &value)) {
        return value;
    }
    switch (addr) {
    case RIG_REG_MAGIC:
        return RIG_MAGIC_VF;
    case RIG_REG_FUNCTION:
        return number;
    case RIG_REG_RESETS:
        return vf->function.resets;
    case RIG_REG_QUOTA_MIB:
        return gpu->vf_quota_mib[number];
    default:
        return 0;
    }
}

static void vf_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    RigGpuVf *vf = opaque;

    rig_scratch_write(&vf->function, addr, value);
}

static const MemoryRegionOps vf_register_ops = {
    .read = vf_read,
    .write = vf_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

static void vf_realize(PCIDevice *dev, Error **errp)
{
    RigGpuVf *vf = RIG_GPU_VF(dev);
    RigFunction *fn = &vf->function;
    RigGpu *gpu = RIG_GPU(pcie_sriov_get_pf(dev));

    rig_function_identify(dev, gpu, gpu->vf_class_code);
    if (!rig_function_create_bars(dev, fn, &vf_register_ops,
                                  gpu->vf_vram_bytes, errp)) {
        return;
    }
    pcie_sriov_vf_register_bar(dev, RIG_BAR_REGISTERS, &fn->registers);
    pcie_sriov_vf_register_bar(dev, RIG_BAR_VRAM, &fn->vram);
    pcie_sriov_vf_register_bar(dev, RIG_BAR_MSIX, &fn->msix);
    rig_function_add_capabilities(dev, fn, errp);
}

static void vf_exit(PCIDevice *dev)
{
    rig_function_exit(dev, &RIG_GPU_VF(dev)->function);
}

static void vf_reset(Object *obj, ResetType type)
{
    rig_function_reset(&RIG_GPU_VF(obj)->function);
}

static const VMStateDescription vf_vmstate = {
    .name = TYPE_RIG_GPU_VF,
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_PCI_DEVICE(parent_obj, RigGpuVf),
        VMSTATE_MSIX(parent_obj, RigGpuVf),
        VMSTATE_STRUCT(function, RigGpuVf, 1, rig_function_vmstate,
                       RigFunction),
        VMSTATE_END_OF_LIST()
    },
};

static void vf_class_init(ObjectClass *class, void *data)
{
    DeviceClass *device = DEVICE_CLASS(class);
    PCIDeviceClass *pci = PCI_DEVICE_CLASS(class);

    pci->realize = vf_realize;
    pci->exit = vf_exit;
    RESETTABLE_CLASS(class)->phases.hold = vf_reset;
    device->desc = "virtual function of the test rig's GPU";
    device->vmsd = &vf_vmstate;
    device->user_creatable = false;
}

const TypeInfo rig_gpu_vf_type = {
    .name = TYPE_RIG_GPU_VF,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(RigGpuVf),
    .class_init = vf_class_init,
    .interfaces = (InterfaceInfo[]) { { INTERFACE_PCIE_DEVICE }, { } },
};
