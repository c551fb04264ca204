// SPDX-License-Identifier: GPL-2.0-only
/*
 * Driver for a rig GPU that is split by mediated devices on the GPU itself, as
 * GPUs of the years before SR-IOV are. It has the name of the driver that does
 * this on real servers, "nvidia", because that name is what tells them apart.
 *
 * What the kernel's mdev core makes of it is real: the types in sysfs, create
 * and remove, the group of each mediated device, and that removing one waits
 * until it is closed. What is ours are the types and the rule of that vendor:
 * the first mediated device decides the size of all, until the last has gone.
 *
 *   room        in the GPU's folder: at most so many mediated devices; 0: all
 *   rig/made    in the folder of a mediated device: how many were made before
 *
 * A VM sees a function of the GPU's vendor with one memory BAR: the registers
 * of a rig VF, whose number is the end of the mediated device's UUID.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/vfio.h>

#include "rigmdev.h"

#define RIG_BAR_REGISTERS 0

static const struct {
	const char *folder;
	const char *name;
} rigmdev_names[TYPES] = {
	{ "234", "GRID T4-16Q" },
	{ "233", "GRID T4-8Q" },
	{ "232", "GRID T4-4Q" },
	{ "231", "GRID T4-2Q" },
	{ "230", "GRID T4-1Q" },
};

/* With the lock of the GPU. */
static unsigned int left_of(struct rigmdev_gpu *gpu, struct rigmdev_type *type)
{
	unsigned int most = type->most;

	if (gpu->room && gpu->room < most)
		most = gpu->room;
	if (gpu->count && gpu->taken_as != type)
		return 0;
	return most > gpu->count ? most - gpu->count : 0;
}

static unsigned int rigmdev_get_available(struct mdev_type *mtype)
{
	struct rigmdev_gpu *gpu = rigmdev_gpu_of(mtype);
	unsigned int left;

	mutex_lock(&gpu->lock);
	left = left_of(gpu, rigmdev_type_of(mtype));
	mutex_unlock(&gpu->lock);
	return left;
}

static ssize_t rigmdev_show_description(struct mdev_type *mtype, char *text)
{
	struct rigmdev_type *type = rigmdev_type_of(mtype);

	return sysfs_emit(text,
			  "num_heads=4, frl_config=60, framebuffer=%uM, max_resolution=5120x2880, max_instance=%u\n",
			  MEMORY_MIB / type->most, type->most);
}

/* Takes a place for one of a type, or says why there is none. */
int rigmdev_take(struct rigmdev_gpu *gpu, struct rigmdev_type *type,
		 unsigned int *made)
{
	int error = 0;

	mutex_lock(&gpu->lock);
	if (left_of(gpu, type)) {
		gpu->taken_as = type;
		gpu->count++;
		*made = gpu->made++;
	} else {
		error = -ENOSPC;
	}
	mutex_unlock(&gpu->lock);
	return error;
}

void rigmdev_give_back(struct rigmdev_gpu *gpu)
{
	mutex_lock(&gpu->lock);
	gpu->count--;
	mutex_unlock(&gpu->lock);
}

static struct mdev_driver rigmdev_mdev_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.probe = rigmdev_probe,
	.remove = rigmdev_remove,
	.get_available = rigmdev_get_available,
	.show_description = rigmdev_show_description,
	.driver = {
		.name = "rigmdev",
		.owner = THIS_MODULE,
		.mod_name = KBUILD_MODNAME,
		.dev_groups = rigmdev_device_groups,
	},
};

static ssize_t room_show(struct device *device, struct device_attribute *attr,
			 char *text)
{
	struct rigmdev_gpu *gpu = dev_get_drvdata(device);

	return sysfs_emit(text, "%u\n", READ_ONCE(gpu->room));
}

static ssize_t room_store(struct device *device, struct device_attribute *attr,
			  const char *text, size_t length)
{
	struct rigmdev_gpu *gpu = dev_get_drvdata(device);
	unsigned int room;
	int error = kstrtouint(text, 0, &room);

	if (error)
		return error;
	mutex_lock(&gpu->lock);
	gpu->room = room;
	mutex_unlock(&gpu->lock);
	return length;
}
static DEVICE_ATTR_RW(room);

static struct attribute *rigmdev_gpu_attrs[] = {
	&dev_attr_room.attr,
	NULL,
};
ATTRIBUTE_GROUPS(rigmdev_gpu);

/* The ids are those of real GPUs: make sure that this is not one. */
static int rigmdev_check_magic(struct pci_dev *pdev)
{
	void __iomem *registers;
	u32 magic;
	int error = pcim_enable_device(pdev);

	if (error)
		return error;
	registers = pcim_iomap(pdev, RIG_BAR_REGISTERS, 0);
	if (!registers)
		return -ENOMEM;
	magic = ioread32(registers);
	if (magic != RIG_MAGIC_PF)
		return dev_err_probe(&pdev->dev, -ENODEV,
				     "not a rig GPU: magic %08x\n", magic);
	return 0;
}

static int rigmdev_gpu_probe(struct pci_dev *pdev,
			     const struct pci_device_id *id)
{
	struct rigmdev_gpu *gpu;
	int error = rigmdev_check_magic(pdev);

	if (error)
		return error;
	gpu = devm_kzalloc(&pdev->dev, sizeof(*gpu), GFP_KERNEL);
	if (!gpu)
		return -ENOMEM;
	mutex_init(&gpu->lock);
	for (int i = 0; i < TYPES; i++) {
		gpu->types[i].type.sysfs_name = rigmdev_names[i].folder;
		gpu->types[i].type.pretty_name = rigmdev_names[i].name;
		gpu->types[i].most = 1 << i;
		gpu->type_list[i] = &gpu->types[i].type;
	}
	pci_set_drvdata(pdev, gpu);
	return mdev_register_parent(&gpu->parent, &pdev->dev,
				    &rigmdev_mdev_driver, gpu->type_list,
				    TYPES);
}

static void rigmdev_gpu_remove(struct pci_dev *pdev)
{
	struct rigmdev_gpu *gpu = pci_get_drvdata(pdev);

	mdev_unregister_parent(&gpu->parent);
}

static const struct pci_device_id rigmdev_ids[] = {
	{ PCI_DEVICE(0x10de, 0x1eb8) }, /* NVIDIA T4 */
	{ }
};
MODULE_DEVICE_TABLE(pci, rigmdev_ids);

static struct pci_driver rigmdev_gpu_driver = {
	.name = "nvidia",
	.id_table = rigmdev_ids,
	.probe = rigmdev_gpu_probe,
	.remove = rigmdev_gpu_remove,
	.dev_groups = rigmdev_gpu_groups,
};

static int __init rigmdev_init(void)
{
	int error = mdev_register_driver(&rigmdev_mdev_driver);

	if (error)
		return error;
	error = pci_register_driver(&rigmdev_gpu_driver);
	if (error)
		mdev_unregister_driver(&rigmdev_mdev_driver);
	return error;
}
module_init(rigmdev_init);

static void __exit rigmdev_exit(void)
{
	pci_unregister_driver(&rigmdev_gpu_driver);
	mdev_unregister_driver(&rigmdev_mdev_driver);
}
module_exit(rigmdev_exit);

MODULE_DESCRIPTION("driver of a rig GPU that is split by mediated devices");
MODULE_LICENSE("GPL");
