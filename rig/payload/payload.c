/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole guest OS of a test VM: it lists its PCI functions on the serial
 * line, says so when the list changes, agrees to every unplug request, and
 * sleeps otherwise. It starts in seconds where a Linux takes minutes, because
 * the machine that it runs in is emulated already.
 *
 *   PAYLOAD-UP, lines PAYLOAD-PCI, PAYLOAD-READY
 *   PAYLOAD-CHANGE, lines PAYLOAD-PCI, PAYLOAD-CHANGE-END
 *   PAYLOAD-EJECT bsel BB slots MMMMMMMM
 *
 * A line is
 *
 *   PAYLOAD-PCI 01:00.0 1002:74b5 class 120000 sub 1002:74a1
 *       rig 56504752 vf 0003 resets 00000001 quota 00000000
 *
 * without the break; "rig" and what follows stand only where BAR 0 holds the
 * magic of a rig GPU. Of such a GPU it turns the interrupts on, as a driver
 * does, and waits for none.
 */
#include "io.h"

#define RIG_MAGIC_PF 0x55504752
#define RIG_MAGIC_VF 0x56504752
#define RIG_REG_FUNCTION 0x04
#define RIG_REG_RESETS 0x08
#define RIG_REG_QUOTA_MIB 0x0c

#define PCI_COMMAND_MEMORY 2
#define PCI_CAPABILITIES 0x34
#define PCI_CAPABILITY_MSIX 0x11
#define MSIX_ENABLE (1u << 31)
#define MAX_CAPABILITIES 48
#define HEADER_ENDPOINT 0
#define HEADER_BRIDGE 1
#define NO_FUNCTION 0xffff

/* ACPI PCI hot-plug registers of QEMU; the base differs by machine type. */
#define Q35_HOST_BRIDGE 0x29c0
#define HOTPLUG_Q35 0x0cc0
#define HOTPLUG_PC 0xae00
#define HOTPLUG_DOWN 4
#define HOTPLUG_EJECT 8
#define HOTPLUG_SELECT 16
#define HOTPLUG_BUSES 32

extern void timer_interrupt(void);
extern void other_interrupt(void);

static u32 vendor_of(struct pci_address at)
{
	return pci_read(at, 0x00) & 0xffff;
}

static u32 header_type(struct pci_address at)
{
	return pci_read(at, 0x0c) >> 16 & 0x7f;
}

static int has_many_functions(struct pci_address at)
{
	return pci_read(at, 0x0c) >> 23 & 1;
}

static void print_pair(u32 value)
{
	print_hex(value & 0xffff, 4);
	print_char(':');
	print_hex(value >> 16, 4);
}

/* BAR 0 if it is mapped where this 32 bit program can read it, else null. */
static volatile u32 *readable_registers(struct pci_address at)
{
	u32 bar = pci_read(at, 0x10);
	int is_io = bar & 1;
	int is_64_bit = (bar & 6) == 4;

	if (is_io || !(bar & ~15u))
		return 0;
	if (is_64_bit && pci_read(at, 0x14))
		return 0;
	if (!(pci_read(at, 0x04) & PCI_COMMAND_MEMORY))
		return 0;
	return (volatile u32 *)(bar & ~15u);
}

static void turn_interrupts_on(struct pci_address at)
{
	u32 place = pci_read(at, PCI_CAPABILITIES) & 0xfc;

	for (int i = 0; place && i < MAX_CAPABILITIES; i++) {
		u32 header = pci_read(at, place);

		if ((header & 0xff) == PCI_CAPABILITY_MSIX) {
			pci_write(at, place, header | MSIX_ENABLE);
			return;
		}
		place = header >> 8 & 0xfc;
	}
}

static void print_rig_function(struct pci_address at)
{
	volatile u32 *registers = readable_registers(at);
	u32 magic;

	if (!registers)
		return;
	magic = registers[0];
	if (magic != RIG_MAGIC_PF && magic != RIG_MAGIC_VF)
		return;
	print(" rig ");
	print_hex(magic, 8);
	print(" vf ");
	print_hex(registers[RIG_REG_FUNCTION / 4], 4);
	print(" resets ");
	print_hex(registers[RIG_REG_RESETS / 4], 8);
	print(" quota ");
	print_hex(registers[RIG_REG_QUOTA_MIB / 4], 8);
	turn_interrupts_on(at);
}

static void print_function(struct pci_address at)
{
	print("PAYLOAD-PCI ");
	print_hex(at.bus, 2);
	print_char(':');
	print_hex(at.slot, 2);
	print_char('.');
	print_hex(at.function, 1);
	print_char(' ');
	print_pair(pci_read(at, 0x00));
	print(" class ");
	print_hex(pci_read(at, 0x08) >> 8, 6);
	if (header_type(at) == HEADER_ENDPOINT) {
		print(" sub ");
		print_pair(pci_read(at, 0x2c));
		print_rig_function(at);
	}
	print("\r\n");
}

static u32 fingerprint_of(struct pci_address at)
{
	return pci_read(at, 0x00) + pci_read(at, 0x08) +
	       (at.bus << 16 | at.slot << 8 | at.function);
}

/* Visits every function; returns a number that changes with the list. */
static u32 scan(int verbose)
{
	u32 fingerprint = 0;
	u32 last_bus = 0;
	struct pci_address at;

	for (at.bus = 0; at.bus <= last_bus; at.bus++)
	for (at.slot = 0; at.slot < 32; at.slot++) {
		u32 functions;

		at.function = 0;
		if (vendor_of(at) == NO_FUNCTION)
			continue;
		functions = has_many_functions(at) ? 8 : 1;
		for (; at.function < functions; at.function++) {
			if (vendor_of(at) == NO_FUNCTION)
				continue;
			fingerprint = fingerprint * 31 + fingerprint_of(at);
			if (verbose)
				print_function(at);
			if (header_type(at) == HEADER_BRIDGE) {
				u32 behind = pci_read(at, 0x18) >> 8 & 0xff;

				if (behind > last_bus)
					last_bus = behind;
			}
		}
	}
	return fingerprint;
}

/* Agrees to every request to remove a function. */
static void answer_ejects(u16 base)
{
	for (u32 bus = 0; bus < HOTPLUG_BUSES; bus++) {
		u32 slots;

		write_port32(base + HOTPLUG_SELECT, bus);
		slots = read_port32(base + HOTPLUG_DOWN);
		if (!slots || slots == 0xffffffff)
			continue;
		print("PAYLOAD-EJECT bsel ");
		print_hex(bus, 2);
		print(" slots ");
		print_hex(slots, 8);
		print("\r\n");
		write_port32(base + HOTPLUG_EJECT, slots);
	}
}

struct table {
	u16 limit;
	u32 base;
} __attribute__((packed));

static u64 segments[3] = { 0, 0x00cf9a000000ffffull, 0x00cf92000000ffffull };
static u64 gates[256];

static u64 gate_to(void (*handler)(void))
{
	u32 address = (u32)handler;

	return (u64)(address >> 16 << 16 | 0x8e00) << 32 |
	       8u << 16 | (address & 0xffff);
}

static void load_tables(void)
{
	struct table gdt = { sizeof(segments) - 1, (u32)segments };
	struct table idt = { sizeof(gates) - 1, (u32)gates };

	for (int i = 0; i < 256; i++)
		gates[i] = gate_to(i == 32 ? timer_interrupt : other_interrupt);
	__asm__ volatile("lgdt %0\n\t"
			 "ljmp $8, $1f\n"
			 "1:\tmov $16, %%eax\n\t"
			 "mov %%eax, %%ds\n\t"
			 "mov %%eax, %%es\n\t"
			 "mov %%eax, %%ss\n\t"
			 "lidt %1"
			 : : "m"(gdt), "m"(idt) : "eax", "memory");
}

/* A tick 20 times a second, so that the main loop can sleep in between. */
static void start_timer(void)
{
	static const u8 pic[][2] = {
		{ 0x20, 0x11 }, { 0xa0, 0x11 },	/* initialise both */
		{ 0x21, 32 },   { 0xa1, 40 },	/* first vectors */
		{ 0x21, 4 },    { 0xa1, 2 },	/* how they are wired */
		{ 0x21, 1 },    { 0xa1, 1 },	/* 8086 mode */
		{ 0x21, 0xfe }, { 0xa1, 0xff },	/* the timer alone */
	};
	const u16 divisor = 59659;		/* 1193182 Hz / 20 */

	load_tables();
	for (unsigned int i = 0; i < sizeof(pic) / sizeof(pic[0]); i++)
		write_port8(pic[i][0], pic[i][1]);
	write_port8(0x43, 0x34);
	write_port8(0x40, divisor & 0xff);
	write_port8(0x40, divisor >> 8);
}

void payload_main(void)
{
	const struct pci_address host_bridge = { 0, 0, 0 };
	u16 hotplug;
	u32 known;

	serial_start();
	print("PAYLOAD-UP\r\n");
	known = scan(1);
	print("PAYLOAD-READY\r\n");
	start_timer();
	hotplug = pci_read(host_bridge, 0) >> 16 == Q35_HOST_BRIDGE ?
		  HOTPLUG_Q35 : HOTPLUG_PC;

	for (;;) {
		u32 now;

		answer_ejects(hotplug);
		now = scan(0);
		if (now != known) {
			print("PAYLOAD-CHANGE\r\n");
			known = scan(1);
			print("PAYLOAD-CHANGE-END\r\n");
		}
		__asm__ volatile("sti; hlt; cli");
	}
}
