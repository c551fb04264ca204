/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QEMU's configure forbids target settings here; rig-gpu names none. */
