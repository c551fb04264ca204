//! AMD's models with GIM: counts that the firmware allows (release notes of 8.5 to 9.4), partition modes.

use super::{GIB, Model, Table, Vfs};

/// Distance and stride of VFs: chosen.
const fn vfs(total: u16, device_id: u16) -> Option<Vfs> {
    Some(Vfs { total, offset: 1, stride: 1, device_id })
}

pub static MI300X: Model = Model {
    name: "Instinct MI300X",
    numbers: (0x1002, 0x74a1, 0x1002, 0x74a1),
    class: 0x12_0000,
    memory_bytes: 192 * GIB,
    most_partitions: 8,
    vfs: vfs(8, 0x74b5),
    table: Table::Amd { counts: &[1, 8], modes: &["SPX", "DPX", "QPX", "CPX"] },
};

/// Subsystem: chosen.
pub static V710: Model = Model {
    name: "Radeon PRO V710",
    numbers: (0x1002, 0x7460, 0x1002, 0x0e34),
    class: 0x03_8000,
    memory_bytes: 28 * GIB,
    most_partitions: 12,
    vfs: vfs(12, 0x7461),
    table: Table::Amd { counts: &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], modes: &["SPX"] },
};
