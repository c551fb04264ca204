/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the GPU and its mediated devices know of each other.
 */
#ifndef RIGMDEV_H
#define RIGMDEV_H

#include <linux/mdev.h>
#include <linux/mutex.h>

#define RIG_MAGIC_PF 0x55504752
#define RIG_MAGIC_VF 0x56504752
#define RIG_REG_MAGIC 0x00

/* Sizes that divide the memory of the model evenly, largest first. */
#define MEMORY_MIB 16384
#define TYPES 5

struct rigmdev_type {
	struct mdev_type type;
	unsigned int most;
};

struct rigmdev_gpu {
	struct mdev_parent parent;
	struct mutex lock;
	struct rigmdev_type types[TYPES];
	struct mdev_type *type_list[TYPES];
	/* Under the lock: how many there are, and of which type. */
	unsigned int count;
	struct rigmdev_type *taken_as;
	unsigned int made;
	unsigned int room;
};

/* rigmdev-gpu.c */
int rigmdev_take(struct rigmdev_gpu *gpu, struct rigmdev_type *type,
		 unsigned int *made);
void rigmdev_give_back(struct rigmdev_gpu *gpu);

static inline struct rigmdev_gpu *rigmdev_gpu_of(struct mdev_type *type)
{
	return container_of(type->parent, struct rigmdev_gpu, parent);
}

static inline struct rigmdev_type *rigmdev_type_of(struct mdev_type *type)
{
	return container_of(type, struct rigmdev_type, type);
}

/* rigmdev-device.c */
extern const struct attribute_group *rigmdev_device_groups[];
int rigmdev_probe(struct mdev_device *mdev);
void rigmdev_remove(struct mdev_device *mdev);

#endif
