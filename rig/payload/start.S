/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot header, entry, and the two interrupt handlers of the payload. */
	.section .multiboot, "a"
	.align 4
	.long 0x1BADB002			/* magic, no flags, checksum */
	.long 0
	.long -0x1BADB002

	.text
	.globl _start
_start:
	mov	$stack_top, %esp
	call	payload_main
1:	hlt
	jmp	1b

	/* The timer only ends a HLT; the main loop does the work. */
	.globl timer_interrupt
timer_interrupt:
	push	%eax
	mov	$0x20, %al			/* end of interrupt */
	outb	%al, $0x20
	pop	%eax
	iret

	.globl other_interrupt
other_interrupt:
	iret

	.bss
	.align 16
	.skip 8192
stack_top:

	.section .note.GNU-stack, "", @progbits
