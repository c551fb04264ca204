// SPDX-License-Identifier: GPL-2.0-only
/*
 * Driver for the physical function of a rig GPU.
 *
 * It does what the kernel asks of any SR-IOV driver, and it can be told to do
 * it badly, per GPU, by sysfs attributes beside sriov_numvfs:
 *
 *   fail      an errno, as a positive number: sriov_configure answers with it
 *   delay_ms  sleep so long before each change, and before the GPU is let go
 *   partial   enable at most so many VFs, whatever was asked
 *   hang      1: the next change sleeps, unkillable, until 0 is written here
 *   lose      write a VF's number: it goes away alone, as if it had failed
 *   vf_quota  write "VF MIB" to set the memory of a VF, read the list
 *
 * Zero switches an injection off; all are off after probe.
 */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/wait.h>

#define RIG_BAR_REGISTERS 0
#define RIG_REG_MAGIC 0x0
#define RIG_REG_VF_QUOTA 0x1000
#define RIG_MAGIC_PF 0x55504752

struct rigpf {
	void __iomem *registers;
	wait_queue_head_t hang_over;
	unsigned int fail;
	unsigned int delay_ms;
	unsigned int partial;
	unsigned int hang;
};

static ssize_t rigpf_store_number(const char *text, size_t length,
				  unsigned int most, unsigned int *number)
{
	unsigned int value;
	int error = kstrtouint(text, 0, &value);

	if (error)
		return error;
	if (value > most)
		return -ERANGE;
	WRITE_ONCE(*number, value);
	return length;
}

#define RIGPF_NUMBER(name, most)					\
static ssize_t name##_show(struct device *dev,				\
			   struct device_attribute *attr, char *text)	\
{									\
	struct rigpf *rig = dev_get_drvdata(dev);			\
									\
	return sysfs_emit(text, "%u\n", READ_ONCE(rig->name));		\
}									\
									\
static ssize_t name##_store(struct device *dev,				\
			    struct device_attribute *attr,		\
			    const char *text, size_t length)		\
{									\
	struct rigpf *rig = dev_get_drvdata(dev);			\
	ssize_t stored;							\
									\
	stored = rigpf_store_number(text, length, most, &rig->name);	\
	wake_up_all(&rig->hang_over);					\
	return stored;							\
}									\
static DEVICE_ATTR_RW(name)

RIGPF_NUMBER(fail, MAX_ERRNO);
RIGPF_NUMBER(delay_ms, 600000);
RIGPF_NUMBER(partial, U16_MAX);
RIGPF_NUMBER(hang, 1);

static void __iomem *rigpf_quota_of(struct rigpf *rig, unsigned int vf)
{
	return rig->registers + RIG_REG_VF_QUOTA + vf * sizeof(u32);
}

static ssize_t vf_quota_show(struct device *dev, struct device_attribute *attr,
			     char *text)
{
	struct rigpf *rig = dev_get_drvdata(dev);
	int count = pci_num_vf(to_pci_dev(dev));
	int length = 0;
	int vf;

	for (vf = 0; vf < count; vf++)
		length += sysfs_emit_at(text, length, "%d %u\n", vf,
					ioread32(rigpf_quota_of(rig, vf)));
	return length;
}

static ssize_t vf_quota_store(struct device *dev, struct device_attribute *attr,
			      const char *text, size_t length)
{
	struct rigpf *rig = dev_get_drvdata(dev);
	unsigned int vf, quota_mib;

	if (sscanf(text, "%u %u", &vf, &quota_mib) != 2)
		return -EINVAL;
	if (vf >= pci_sriov_get_totalvfs(to_pci_dev(dev)))
		return -ERANGE;
	iowrite32(quota_mib, rigpf_quota_of(rig, vf));
	return length;
}
static DEVICE_ATTR_RW(vf_quota);

static struct pci_dev *rigpf_find_vf(struct pci_dev *pdev, u16 number)
{
	struct pci_dev *vf = NULL;

	while ((vf = pci_get_device(PCI_ANY_ID, PCI_ANY_ID, vf))) {
		if (vf->is_virtfn && pci_physfn(vf) == pdev &&
		    pci_iov_vf_id(vf) == number)
			break;
	}
	return vf;
}

/* What the kernel does with each VF when all of them go. */
static ssize_t lose_store(struct device *dev, struct device_attribute *attr,
			  const char *text, size_t length)
{
	struct pci_dev *pdev = to_pci_dev(dev);
	struct pci_dev *vf;
	char link[16];
	u16 number;
	int error = kstrtou16(text, 0, &number);

	if (error)
		return error;
	vf = rigpf_find_vf(pdev, number);
	if (!vf)
		return -ENOENT;
	snprintf(link, sizeof(link), "virtfn%u", number);
	sysfs_remove_link(&dev->kobj, link);
	sysfs_remove_link(&vf->dev.kobj, "physfn");
	pci_stop_and_remove_bus_device_locked(vf);
	pci_dev_put(vf);
	/* The VF had the GPU. */
	pci_dev_put(pdev);
	return length;
}
static DEVICE_ATTR_WO(lose);

static struct attribute *rigpf_attrs[] = {
	&dev_attr_fail.attr,
	&dev_attr_delay_ms.attr,
	&dev_attr_partial.attr,
	&dev_attr_hang.attr,
	&dev_attr_lose.attr,
	&dev_attr_vf_quota.attr,
	NULL,
};
ATTRIBUTE_GROUPS(rigpf);

/*
 * The kernel calls this with the device locked, so a delay or a hang here also
 * blocks whoever reads sriov_numvfs, as it does with a real GPU.
 */
static int rigpf_sriov_configure(struct pci_dev *pdev, int count)
{
	struct rigpf *rig = pci_get_drvdata(pdev);
	unsigned int partial = READ_ONCE(rig->partial);
	int error;

	wait_event(rig->hang_over, !READ_ONCE(rig->hang));
	if (READ_ONCE(rig->delay_ms))
		msleep(READ_ONCE(rig->delay_ms));
	if (READ_ONCE(rig->fail))
		return -(int)READ_ONCE(rig->fail);

	if (count == 0) {
		if (pci_vfs_assigned(pdev))
			return -EPERM;
		pci_disable_sriov(pdev);
		return 0;
	}
	if (partial && partial < count)
		count = partial;
	error = pci_enable_sriov(pdev, count);
	return error ? error : count;
}

static int rigpf_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct rigpf *rig;
	u32 magic;
	int error;

	/* Some vendors give the VFs the ids of the PF; they are not for us. */
	if (pdev->is_virtfn)
		return -ENODEV;

	rig = devm_kzalloc(&pdev->dev, sizeof(*rig), GFP_KERNEL);
	if (!rig)
		return -ENOMEM;
	init_waitqueue_head(&rig->hang_over);

	error = pcim_enable_device(pdev);
	if (error)
		return error;
	rig->registers = pcim_iomap(pdev, RIG_BAR_REGISTERS, 0);
	if (!rig->registers)
		return -ENOMEM;

	/* The ids are those of real GPUs: make sure that this is not one. */
	magic = ioread32(rig->registers + RIG_REG_MAGIC);
	if (magic != RIG_MAGIC_PF)
		return dev_err_probe(&pdev->dev, -ENODEV,
				     "not a rig GPU: magic %08x\n", magic);
	pci_set_drvdata(pdev, rig);
	return 0;
}

static void rigpf_remove(struct pci_dev *pdev)
{
	struct rigpf *rig = pci_get_drvdata(pdev);

	if (READ_ONCE(rig->delay_ms))
		msleep(READ_ONCE(rig->delay_ms));
	pci_disable_sriov(pdev);
}

static const struct pci_device_id rigpf_ids[] = {
	{ PCI_DEVICE(0x1002, 0x74a1) }, /* AMD MI300X */
	{ PCI_DEVICE(0x8086, 0x56c0) }, /* Intel Flex 170 */
	{ PCI_DEVICE(0x1234, 0x6001) }, /* the model without vendor */
	{ }
};
MODULE_DEVICE_TABLE(pci, rigpf_ids);

static struct pci_driver rigpf_driver = {
	.name = "rigpf",
	.id_table = rigpf_ids,
	.probe = rigpf_probe,
	.remove = rigpf_remove,
	.sriov_configure = rigpf_sriov_configure,
	.dev_groups = rigpf_groups,
};
module_pci_driver(rigpf_driver);

MODULE_DESCRIPTION("SR-IOV driver of the rig GPU, with faults on request");
MODULE_LICENSE("GPL");
