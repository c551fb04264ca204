/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands in for the file that QEMU's configure writes: the settings that the
 * headers used by rig-gpu read, as Debian builds QEMU for amd64. Only
 * CONFIG_INT128 changes the layout of a struct (MemoryRegion); function.c
 * looks at start whether the layouts agree.
 */
#define CONFIG_LINUX 1
#define CONFIG_POSIX 1
#define CONFIG_INT128 1
#define CONFIG_INT128_TYPE 1
#define CONFIG_ATOMIC64 1
#define CONFIG_IOVEC 1
#define CONFIG_MEMBARRIER 1
#define CONFIG_SYSMACROS 1
#define CONFIG_TCG 1
#define HAVE_SYSTEM_FUNCTION 1
#define HOST_X86_64 1
