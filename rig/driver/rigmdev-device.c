// SPDX-License-Identifier: GPL-2.0-only
/*
 * A mediated device, as VFIO shows it to whoever opens it: a PCI function with
 * a configuration space, one BAR of registers and a reset, no interrupts and
 * no DMA. It keeps nothing: a new one is empty.
 */
#include <linux/unaligned.h>
#include <linux/pci.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "rigmdev.h"

#define RIG_REG_FUNCTION 0x04
#define RIG_REG_RESETS 0x08
#define RIG_REG_QUOTA_MIB 0x0c
#define RIG_REG_SCRATCH 0x100
#define RIG_SCRATCH_WORDS 64
#define RIG_REGISTERS_SIZE 0x10000

/* A region's index stands in the upper bits of a file offset. */
#define OFFSET_SHIFT 40
#define OFFSET_MASK ((1ULL << OFFSET_SHIFT) - 1)

/* One mediated device. */
struct rigmdev {
	struct vfio_device vdev;
	struct rigmdev_gpu *gpu;
	struct mutex lock;
	u8 config[PCI_CFG_SPACE_SIZE];
	u32 scratch[RIG_SCRATCH_WORDS];
	u32 resets;
	u32 quota_mib;
	unsigned int made;
	u16 number;
};

/* What a machine's firmware finds after power on. */
static void rigmdev_fill_config(struct rigmdev *dev, struct pci_dev *pdev)
{
	memset(dev->config, 0, sizeof(dev->config));
	put_unaligned_le16(pdev->vendor, dev->config + PCI_VENDOR_ID);
	put_unaligned_le16(pdev->device, dev->config + PCI_DEVICE_ID);
	put_unaligned_le16(PCI_CLASS_DISPLAY_3D,
			   dev->config + PCI_CLASS_DEVICE);
	put_unaligned_le16(pdev->subsystem_vendor,
			   dev->config + PCI_SUBSYSTEM_VENDOR_ID);
	put_unaligned_le16(pdev->subsystem_device,
			   dev->config + PCI_SUBSYSTEM_ID);
}

static void rigmdev_reset(struct rigmdev *dev)
{
	mutex_lock(&dev->lock);
	put_unaligned_le16(0, dev->config + PCI_COMMAND);
	memset(dev->scratch, 0, sizeof(dev->scratch));
	dev->resets++;
	mutex_unlock(&dev->lock);
}

static u32 rigmdev_read_register(struct rigmdev *dev, u32 at)
{
	switch (at) {
	case RIG_REG_MAGIC:
		return RIG_MAGIC_VF;
	case RIG_REG_FUNCTION:
		return dev->number;
	case RIG_REG_RESETS:
		return dev->resets;
	case RIG_REG_QUOTA_MIB:
		return dev->quota_mib;
	}
	if (at >= RIG_REG_SCRATCH && at < RIG_REG_SCRATCH + sizeof(dev->scratch))
		return dev->scratch[(at - RIG_REG_SCRATCH) / sizeof(u32)];
	return 0;
}

static u32 rigmdev_read_config(struct rigmdev *dev, u32 at)
{
	return get_unaligned_le32(dev->config + at);
}

/* Only these can be written: the command, and the BAR's address. */
static void rigmdev_write_config(struct rigmdev *dev, u32 at, u32 value)
{
	const u32 command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	if (at == PCI_COMMAND)
		put_unaligned_le16(value & command, dev->config + at);
	else if (at == PCI_BASE_ADDRESS_0)
		put_unaligned_le32(value & ~(RIG_REGISTERS_SIZE - 1),
				   dev->config + at);
}

static u32 rigmdev_read_word(struct rigmdev *dev, unsigned int region, u32 at)
{
	if (region == VFIO_PCI_CONFIG_REGION_INDEX)
		return rigmdev_read_config(dev, at);
	return rigmdev_read_register(dev, at);
}

static void rigmdev_write_word(struct rigmdev *dev, unsigned int region,
			       u32 at, u32 value)
{
	if (region == VFIO_PCI_CONFIG_REGION_INDEX)
		rigmdev_write_config(dev, at, value);
	else if (at >= RIG_REG_SCRATCH &&
		 at < RIG_REG_SCRATCH + sizeof(dev->scratch))
		dev->scratch[(at - RIG_REG_SCRATCH) / sizeof(u32)] = value;
}

static u32 rigmdev_region_size(unsigned int region)
{
	switch (region) {
	case VFIO_PCI_CONFIG_REGION_INDEX:
		return PCI_CFG_SPACE_SIZE;
	case VFIO_PCI_BAR0_REGION_INDEX:
		return RIG_REGISTERS_SIZE;
	default:
		return 0;
	}
}

/*
 * One access inside a word, at most: what a program asks for across words is
 * answered in parts. Returns how many bytes of it this one takes, or an errno.
 */
static ssize_t rigmdev_part(loff_t offset, size_t count, unsigned int *region,
			    u32 *at)
{
	u64 within = offset & OFFSET_MASK;

	*region = offset >> OFFSET_SHIFT;
	if (within >= rigmdev_region_size(*region))
		return -EINVAL;
	*at = within;
	return min_t(size_t, count, sizeof(u32) - (*at % sizeof(u32)));
}

static ssize_t rigmdev_read(struct vfio_device *vdev, char __user *buffer,
			    size_t count, loff_t *offset)
{
	struct rigmdev *dev = container_of(vdev, struct rigmdev, vdev);
	size_t done = 0;

	while (done < count) {
		unsigned int region;
		__le32 word;
		ssize_t part;
		u32 at;

		part = rigmdev_part(*offset, count - done, &region, &at);
		if (part < 0)
			return done ? done : part;
		mutex_lock(&dev->lock);
		word = cpu_to_le32(rigmdev_read_word(dev, region,
						     round_down(at, 4)));
		mutex_unlock(&dev->lock);
		if (copy_to_user(buffer + done, (u8 *)&word + at % 4, part))
			return -EFAULT;
		done += part;
		*offset += part;
	}
	return done;
}

static ssize_t rigmdev_write(struct vfio_device *vdev,
			     const char __user *buffer, size_t count,
			     loff_t *offset)
{
	struct rigmdev *dev = container_of(vdev, struct rigmdev, vdev);
	size_t done = 0;

	while (done < count) {
		unsigned int region;
		__le32 word;
		ssize_t part;
		u32 at, aligned;

		part = rigmdev_part(*offset, count - done, &region, &at);
		if (part < 0)
			return done ? done : part;
		aligned = round_down(at, 4);
		mutex_lock(&dev->lock);
		word = cpu_to_le32(rigmdev_read_word(dev, region, aligned));
		if (copy_from_user((u8 *)&word + at % 4, buffer + done, part)) {
			mutex_unlock(&dev->lock);
			return -EFAULT;
		}
		rigmdev_write_word(dev, region, aligned, le32_to_cpu(word));
		mutex_unlock(&dev->lock);
		done += part;
		*offset += part;
	}
	return done;
}

static long rigmdev_device_info(void __user *argument)
{
	struct vfio_device_info info;
	const size_t size = offsetofend(struct vfio_device_info, num_irqs);

	if (copy_from_user(&info, argument, size))
		return -EFAULT;
	if (info.argsz < size)
		return -EINVAL;
	info.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = VFIO_PCI_NUM_REGIONS;
	info.num_irqs = VFIO_PCI_NUM_IRQS;
	return copy_to_user(argument, &info, size) ? -EFAULT : 0;
}

static long rigmdev_region_info(void __user *argument)
{
	struct vfio_region_info info;
	const size_t size = offsetofend(struct vfio_region_info, offset);

	if (copy_from_user(&info, argument, size))
		return -EFAULT;
	if (info.argsz < size || info.index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	info.cap_offset = 0;
	info.offset = (u64)info.index << OFFSET_SHIFT;
	info.size = rigmdev_region_size(info.index);
	info.flags = info.size ? VFIO_REGION_INFO_FLAG_READ |
				 VFIO_REGION_INFO_FLAG_WRITE : 0;
	return copy_to_user(argument, &info, size) ? -EFAULT : 0;
}

/* It has no interrupts, and no pin in its configuration space. */
static long rigmdev_irq_info(void __user *argument)
{
	struct vfio_irq_info info;
	const size_t size = offsetofend(struct vfio_irq_info, count);

	if (copy_from_user(&info, argument, size))
		return -EFAULT;
	if (info.argsz < size || info.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	info.flags = 0;
	info.count = 0;
	return copy_to_user(argument, &info, size) ? -EFAULT : 0;
}

static long rigmdev_ioctl(struct vfio_device *vdev, unsigned int command,
			  unsigned long argument)
{
	struct rigmdev *dev = container_of(vdev, struct rigmdev, vdev);

	switch (command) {
	case VFIO_DEVICE_GET_INFO:
		return rigmdev_device_info((void __user *)argument);
	case VFIO_DEVICE_GET_REGION_INFO:
		return rigmdev_region_info((void __user *)argument);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return rigmdev_irq_info((void __user *)argument);
	case VFIO_DEVICE_RESET:
		rigmdev_reset(dev);
		return 0;
	default:
		return -ENOTTY;
	}
}

static int rigmdev_init_dev(struct vfio_device *vdev)
{
	struct rigmdev *dev = container_of(vdev, struct rigmdev, vdev);
	struct mdev_device *mdev = to_mdev_device(vdev->dev);
	struct rigmdev_type *type = rigmdev_type_of(mdev->type);
	const u8 *uuid = (const u8 *)&mdev->uuid;
	int error;

	dev->gpu = rigmdev_gpu_of(mdev->type);
	error = rigmdev_take(dev->gpu, type, &dev->made);
	if (error)
		return error;
	mutex_init(&dev->lock);
	dev->quota_mib = MEMORY_MIB / type->most;
	dev->number = uuid[14] << 8 | uuid[15];
	rigmdev_fill_config(dev, to_pci_dev(dev->gpu->parent.dev));
	return 0;
}

static void rigmdev_release_dev(struct vfio_device *vdev)
{
	rigmdev_give_back(container_of(vdev, struct rigmdev, vdev)->gpu);
}

static const struct vfio_device_ops rigmdev_ops = {
	.name = "rigmdev",
	.init = rigmdev_init_dev,
	.release = rigmdev_release_dev,
	.read = rigmdev_read,
	.write = rigmdev_write,
	.ioctl = rigmdev_ioctl,
	.bind_iommufd = vfio_iommufd_emulated_bind,
	.unbind_iommufd = vfio_iommufd_emulated_unbind,
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,
	.detach_ioas = vfio_iommufd_emulated_detach_ioas,
};

static ssize_t made_show(struct device *device, struct device_attribute *attr,
			 char *text)
{
	struct rigmdev *dev = dev_get_drvdata(device);

	return sysfs_emit(text, "%u\n", dev->made);
}
static DEVICE_ATTR_RO(made);

static struct attribute *rigmdev_device_attrs[] = {
	&dev_attr_made.attr,
	NULL,
};

static const struct attribute_group rigmdev_device_group = {
	.name = "rig",
	.attrs = rigmdev_device_attrs,
};

const struct attribute_group *rigmdev_device_groups[] = {
	&rigmdev_device_group,
	NULL,
};

int rigmdev_probe(struct mdev_device *mdev)
{
	struct rigmdev *dev;
	int error;

	dev = vfio_alloc_device(rigmdev, vdev, &mdev->dev, &rigmdev_ops);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	dev_set_drvdata(&mdev->dev, dev);
	error = vfio_register_emulated_iommu_dev(&dev->vdev);
	if (error)
		vfio_put_device(&dev->vdev);
	return error;
}

/* Waits until nobody has it open. */
void rigmdev_remove(struct mdev_device *mdev)
{
	struct rigmdev *dev = dev_get_drvdata(&mdev->dev);

	vfio_unregister_group_dev(&dev->vdev);
	vfio_put_device(&dev->vdev);
}

