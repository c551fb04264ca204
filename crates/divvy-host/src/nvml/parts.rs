//! How busy partitions with hardware of their own (MIG) are. The driver does not tell it of them as of the
//! others; what it has are counters of each piece of hardware, of which two readings make a share. GPUs
//! before Hopper have none. Which VM has which piece is not known here.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use nvml_wrapper::Device;
use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::gpm::{GpmSample, gpm_metrics_get};

/// The driver wants a tenth of a second at least between two readings.
const BETWEEN: Duration = Duration::from_millis(120);

/// Whether the GPU is cut into pieces.
pub fn is_cut(gpu: &Device<'_>) -> bool {
    gpu.mig_mode().is_ok_and(|mode| mode.current == 1)
}

/// By the number of the piece, in percent; those that cannot be told are left out.
pub fn utilization(gpu: &Device<'_>, pieces: impl Iterator<Item = u32>) -> BTreeMap<u32, u8> {
    let mut before: BTreeMap<u32, GpmSample<'_>> = BTreeMap::new();
    if gpu.gpm_support().unwrap_or(false) {
        before.extend(pieces.filter_map(|piece| Some((piece, gpu.gpm_mig_sample(piece).ok()?))));
    }
    if before.is_empty() {
        return BTreeMap::new();
    }
    thread::sleep(BETWEEN);
    before.iter().filter_map(|(piece, before)| Some((*piece, since(gpu, *piece, before)?))).collect()
}

fn since(gpu: &Device<'_>, piece: u32, before: &GpmSample<'_>) -> Option<u8> {
    let now = gpu.gpm_mig_sample(piece).ok()?;
    let metrics = gpm_metrics_get(gpu.nvml(), before, &now, &[GpmMetricId::GraphicsUtil]).ok()?;
    let share = metrics.into_iter().next()?.ok()?.value;
    // Rounded, and in bounds before it becomes a number of one byte.
    (0.0..=100.0).contains(&share).then(|| share.round() as u8)
}
