//! Intel's models: memory that their partitions share, as the vendor's presets and a sample have it.

use super::{GIB, Model, Table, Vfs};

const MIB: u64 = 1 << 20;

/// First VF right behind its PF, on the same numbers as it.
const fn vfs(total: u16, device_id: u16) -> Option<Vfs> {
    Some(Vfs { total, offset: 1, stride: 1, device_id })
}

/// Total: the vendor's table has 24 for it. Subsystem: chosen.
pub static ARC_PRO_B50: Model = Model {
    name: "Arc Pro B50",
    numbers: (0x8086, 0xe212, 0x8086, 0x1114),
    class: 0x03_0000,
    memory_bytes: 16 * GIB,
    most_partitions: 24,
    vfs: vfs(24, 0xe212),
    table: Table::Intel { vram_free_bytes: 14_096 * MIB },
};

/// Free memory is what its preset splits. Subsystem: chosen.
pub static FLEX_170: Model = Model {
    name: "Data Center GPU Flex 170",
    numbers: (0x8086, 0x56c0, 0x8086, 0x4905),
    class: 0x03_8000,
    memory_bytes: 16_777_216_000,
    most_partitions: 16,
    vfs: vfs(31, 0x56c0),
    table: Table::Intel { vram_free_bytes: 16_000 * MIB },
};
