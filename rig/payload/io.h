/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports, the serial line and PCI configuration space, for 32 bit code. */
#ifndef PAYLOAD_IO_H
#define PAYLOAD_IO_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

static inline void write_port8(u16 port, u8 value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline u8 read_port8(u16 port)
{
	u8 value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void write_port32(u16 port, u32 value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline u32 read_port32(u16 port)
{
	u32 value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

#define SERIAL 0x3f8
#define SERIAL_STATUS (SERIAL + 5)
#define SERIAL_CAN_SEND 0x20

static inline void serial_start(void)
{
	write_port8(SERIAL + 1, 0);	/* no interrupts */
	write_port8(SERIAL + 3, 0x80);	/* divisor: 115200 baud */
	write_port8(SERIAL + 0, 1);
	write_port8(SERIAL + 1, 0);
	write_port8(SERIAL + 3, 3);	/* 8 bits, no parity */
}

static inline void print_char(char c)
{
	/* Bounded: a serial line that nobody reads must not stop us. */
	for (int tries = 100000; tries > 0; tries--)
		if (read_port8(SERIAL_STATUS) & SERIAL_CAN_SEND)
			break;
	write_port8(SERIAL, c);
}

static inline void print(const char *text)
{
	while (*text)
		print_char(*text++);
}

static inline void print_hex(u32 value, int digits)
{
	while (digits-- > 0)
		print_char("0123456789abcdef"[value >> (digits * 4) & 15]);
}

struct pci_address {
	u32 bus, slot, function;
};

static inline u32 pci_read(struct pci_address at, u32 offset)
{
	write_port32(0xcf8, 0x80000000u | at.bus << 16 | at.slot << 11 |
		     at.function << 8 | (offset & ~3u));
	return read_port32(0xcfc);
}

static inline void pci_write(struct pci_address at, u32 offset, u32 value)
{
	write_port32(0xcf8, 0x80000000u | at.bus << 16 | at.slot << 11 |
		     at.function << 8 | (offset & ~3u));
	write_port32(0xcfc, value);
}

#endif
