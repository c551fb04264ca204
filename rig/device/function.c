/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part that every function of the GPU has, physical or virtual: identity,
 * three BARs, MSI-X, function level reset, ARI, and a reset that leaves no
 * trace of the previous user in VRAM or scratch registers.
 */
#include "rig-gpu.h"

void rig_function_identify(PCIDevice *dev, const RigGpu *gpu,
                           uint32_t class_code)
{
    uint8_t *config = dev->config;

    pci_set_word(config + PCI_SUBSYSTEM_VENDOR_ID, gpu->sub_vendor_id);
    pci_set_word(config + PCI_SUBSYSTEM_ID, gpu->sub_device_id);
    pci_set_byte(config + PCI_REVISION_ID, gpu->revision);
    pci_set_byte(config + PCI_CLASS_PROG, class_code & 0xff);
    pci_set_word(config + PCI_CLASS_DEVICE, class_code >> 8);
}

/* Creates the regions; the caller registers them as a PF's or a VF's BARs. */
bool rig_function_create_bars(PCIDevice *dev, RigFunction *fn,
                              const MemoryRegionOps *ops, uint64_t vram_bytes,
                              Error **errp)
{
    Object *owner = OBJECT(dev);

    memory_region_init_io(&fn->registers, owner, ops, dev,
                          "rig-gpu-registers", RIG_REGISTERS_SIZE);
    memory_region_init(&fn->msix, owner, "rig-gpu-msix", RIG_MSIX_SIZE);
    return memory_region_init_ram(&fn->vram, owner, "rig-gpu-vram",
                                  vram_bytes, errp);
}

/* Write handler of the configuration space: it adds function level reset. */
static void rig_config_write(PCIDevice *dev, uint32_t addr, uint32_t value,
                             int len)
{
    pci_default_write_config(dev, addr, value, len);
    pcie_cap_flr_write_config(dev, addr, value, len);
}

/*
 * QEMU has just written these two fields; if they do not read back through
 * the headers' idea of the structs, nothing else here can be trusted.
 */
static bool rig_layout_matches(const PCIDevice *dev, const RigFunction *fn)
{
    return dev->exp.exp_cap == RIG_CAP_EXPRESS &&
           int128_get64(fn->registers.size) == RIG_REGISTERS_SIZE;
}

bool rig_function_add_capabilities(PCIDevice *dev, RigFunction *fn,
                                   Error **errp)
{
    dev->config_write = rig_config_write;
    if (msix_init(dev, RIG_MSIX_VECTORS, &fn->msix, RIG_BAR_MSIX, 0, &fn->msix,
                  RIG_BAR_MSIX, RIG_MSIX_PBA_OFFSET, RIG_CAP_MSIX, errp)) {
        return false;
    }
    for (int vector = 0; vector < RIG_MSIX_VECTORS; vector++) {
        msix_vector_use(dev, vector);
    }
    if (pcie_endpoint_cap_init(dev, RIG_CAP_EXPRESS) < 0) {
        error_setg(errp, "rig-gpu: no room for the PCI Express capability");
        return false;
    }
    if (!rig_layout_matches(dev, fn)) {
        error_setg(errp, "rig-gpu: compiled for another QEMU: rebuild the rig");
        return false;
    }
    pcie_cap_flr_init(dev);
    pcie_ari_init(dev, RIG_CAP_ARI);
    return true;
}

void rig_function_exit(PCIDevice *dev, RigFunction *fn)
{
    pcie_cap_exit(dev);
    msix_unuse_all_vectors(dev);
    msix_uninit(dev, &fn->msix, &fn->msix);
}

void rig_function_reset(RigFunction *fn)
{
    memset(fn->scratch, 0, sizeof(fn->scratch));
    fn->resets++;
    /* The first reset of a function may come before its BARs exist. */
    if (memory_region_size(&fn->vram)) {
        memset(memory_region_get_ram_ptr(&fn->vram), 0,
               memory_region_size(&fn->vram));
        memory_region_set_dirty(&fn->vram, 0, memory_region_size(&fn->vram));
    }
}

static bool rig_is_scratch(hwaddr addr)
{
    return addr >= RIG_REG_SCRATCH &&
           addr < RIG_REG_SCRATCH + RIG_SCRATCH_WORDS * sizeof(uint32_t);
}

bool rig_scratch_read(const RigFunction *fn, hwaddr addr, uint64_t *value)
{
    if (!rig_is_scratch(addr)) {
        return false;
    }
    *value = fn->scratch[(addr - RIG_REG_SCRATCH) / sizeof(uint32_t)];
    return true;
}

void rig_scratch_write(RigFunction *fn, hwaddr addr, uint64_t value)
{
    if (rig_is_scratch(addr)) {
        fn->scratch[(addr - RIG_REG_SCRATCH) / sizeof(uint32_t)] = value;
    }
}

/* The memory of the VRAM BAR is saved by QEMU itself. */
const VMStateDescription rig_function_vmstate = {
    .name = "rig-gpu-function",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32_ARRAY(scratch, RigFunction, RIG_SCRATCH_WORDS),
        VMSTATE_UINT32(resets, RigFunction),
        VMSTATE_END_OF_LIST()
    },
};
