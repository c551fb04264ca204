/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way in. Debian's QEMU is built with modules, so the program exports its
 * own functions; a shared object that is loaded before it can queue a device
 * type in a constructor, which is what type_init() makes, and QEMU need not be
 * rebuilt.
 *
 * The price: this object must be compiled against the headers of exactly the
 * QEMU that loads it. The builder compares the versions, and function.c looks
 * at start whether the structs are where the headers say.
 */
#include "rig-gpu.h"
#include "qemu/module.h"

static void rig_register_types(void)
{
    type_register_static(&rig_gpu_type);
    type_register_static(&rig_gpu_vf_type);
}

type_init(rig_register_types)
