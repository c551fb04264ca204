/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the physical function and its virtual functions share: the layout of
 * the BARs, the register file and the PCI capabilities.
 *
 * It models no GPU work: no rendering, no DMA, no firmware. It is only as
 * much PCI hardware as the kernel, VFIO, libvirt and a VM can notice.
 */
#ifndef RIG_GPU_H
#define RIG_GPU_H

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/pci/pci_device.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_sriov.h"
#include "hw/pci/msix.h"
#include "hw/qdev-properties.h"
#include "hw/resettable.h"
#include "migration/vmstate.h"

#define TYPE_RIG_GPU "rig-gpu"
#define TYPE_RIG_GPU_VF "rig-gpu-vf"

#define RIG_MAX_VFS 127

/* BARs; each is 64 bits wide and prefetchable, so it takes two numbers. */
#define RIG_BAR_REGISTERS 0
#define RIG_BAR_VRAM 2
#define RIG_BAR_MSIX 4
#define RIG_BAR_TYPE \
    (PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_TYPE_64 | \
     PCI_BASE_ADDRESS_MEM_PREFETCH)

#define RIG_REGISTERS_SIZE 0x10000
#define RIG_MSIX_SIZE 0x4000
#define RIG_MSIX_PBA_OFFSET 0x2000
#define RIG_MSIX_VECTORS 4

/* Registers, 32 bits each. */
#define RIG_REG_MAGIC 0x00      /* which kind of function answers */
#define RIG_REG_FUNCTION 0x04   /* VF number, or RIG_FUNCTION_PF */
#define RIG_REG_RESETS 0x08     /* resets since power on */
#define RIG_REG_QUOTA_MIB 0x0c  /* memory of this function */
#define RIG_REG_ENABLED_VFS 0x10 /* PF only: VFs that are switched on */
#define RIG_REG_SCRATCH 0x100   /* RIG_SCRATCH_WORDS words, zero after reset */
#define RIG_REG_VF_QUOTA 0x1000 /* PF only: one word per VF */

#define RIG_SCRATCH_WORDS 64
#define RIG_MAGIC_PF 0x55504752 /* "RGPU" in memory order */
#define RIG_MAGIC_VF 0x56504752 /* "RGPV" in memory order */
#define RIG_FUNCTION_PF 0xffff

/*
 * Capabilities. QEMU wants the first extended one at 0x100. The serial number
 * takes 12 bytes, SR-IOV takes 64.
 */
#define RIG_CAP_MSIX 0x70
#define RIG_CAP_EXPRESS 0xa0
#define RIG_CAP_ARI 0x100
#define RIG_CAP_SERIAL 0x140
#define RIG_CAP_SRIOV 0x160

typedef struct RigFunction {
    MemoryRegion registers;
    MemoryRegion vram;
    MemoryRegion msix;
    uint32_t scratch[RIG_SCRATCH_WORDS];
    uint32_t resets;
} RigFunction;

typedef struct RigGpu {
    PCIDevice parent_obj;
    RigFunction function;
    uint32_t vf_quota_mib[RIG_MAX_VFS];

    /* properties */
    uint16_t vendor_id;
    uint16_t device_id;
    uint16_t vf_device_id;
    uint16_t sub_vendor_id;
    uint16_t sub_device_id;
    uint8_t revision;
    uint32_t class_code;
    uint32_t vf_class_code;
    uint16_t total_vfs;
    uint16_t vf_offset;
    uint16_t vf_stride;
    uint64_t vram_bytes;
    uint64_t vf_vram_bytes;
    uint64_t serial;
} RigGpu;

typedef struct RigGpuVf {
    PCIDevice parent_obj;
    RigFunction function;
} RigGpuVf;

DECLARE_INSTANCE_CHECKER(RigGpu, RIG_GPU, TYPE_RIG_GPU)
DECLARE_INSTANCE_CHECKER(RigGpuVf, RIG_GPU_VF, TYPE_RIG_GPU_VF)

extern const TypeInfo rig_gpu_type;
extern const TypeInfo rig_gpu_vf_type;

/* function.c */
void rig_function_identify(PCIDevice *dev, const RigGpu *gpu,
                           uint32_t class_code);
bool rig_function_create_bars(PCIDevice *dev, RigFunction *fn,
                              const MemoryRegionOps *ops, uint64_t vram_bytes,
                              Error **errp);
bool rig_function_add_capabilities(PCIDevice *dev, RigFunction *fn,
                                   Error **errp);
void rig_function_exit(PCIDevice *dev, RigFunction *fn);
void rig_function_reset(RigFunction *fn);
bool rig_scratch_read(const RigFunction *fn, hwaddr addr, uint64_t *value);
void rig_scratch_write(RigFunction *fn, hwaddr addr, uint64_t value);

extern const VMStateDescription rig_function_vmstate;

#endif
