//! What partitions with hardware of their own (MIG) have, and how busy it is. The driver does not tell how
//! busy as it does of the others; what it has are counters of each piece of hardware, of which two readings
//! make a share. GPUs before Hopper have none. Which VM has which piece is not known here.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use nvml_wrapper::Device;
use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::gpm::{GpmSample, gpm_metrics_get};

use super::vgpus::Load;
use crate::telemetry::Engines;

/// How busy the piece is with computing, then each of its decoders. Of encoders there is no counter.
const METRICS: [GpmMetricId; 9] = [
    GpmMetricId::GraphicsUtil,
    GpmMetricId::Nvdec0Util,
    GpmMetricId::Nvdec1Util,
    GpmMetricId::Nvdec2Util,
    GpmMetricId::Nvdec3Util,
    GpmMetricId::Nvdec4Util,
    GpmMetricId::Nvdec5Util,
    GpmMetricId::Nvdec6Util,
    GpmMetricId::Nvdec7Util,
];

/// The driver wants a tenth of a second at least between two readings.
const BETWEEN: Duration = Duration::from_millis(120);

/// Whether the GPU is cut into pieces.
pub fn is_cut(gpu: &Device<'_>) -> bool {
    gpu.mig_mode().is_ok_and(|mode| mode.current == 1)
}

/// By the number of the piece, in percent; those that cannot be told are left out.
pub fn utilization(gpu: &Device<'_>, pieces: impl Iterator<Item = u32>) -> BTreeMap<u32, Load> {
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

fn since(gpu: &Device<'_>, piece: u32, before: &GpmSample<'_>) -> Option<Load> {
    let now = gpu.gpm_mig_sample(piece).ok()?;
    let told = gpm_metrics_get(gpu.nvml(), before, &now, &METRICS).ok()?;
    let mut shares = told.into_iter().map(|metric| percent(metric.map(|metric| metric.value)));
    let compute = shares.next().flatten();
    // A piece has fewer decoders than there are numbers; the busiest says whether there is room for more.
    Some(Load { compute, encoder: None, decoder: shares.flatten().max() })
}

/// Rounded, and in bounds before it becomes a number of one byte.
fn percent(share: Result<f64, NvmlError>) -> Option<u8> {
    let share = share.ok().filter(|share| (0.0..=100.0).contains(share))?;
    Some(share.round() as u8)
}

/// What each piece has, if all of them are the same, as those are that Divvy cuts.
pub fn engines(gpu: &Device<'_>) -> Option<Engines> {
    let most = gpu.mig_device_count().ok()?;
    let of_piece = |nth| {
        let told = gpu.mig_device_by_index(nth).ok()?.attributes().ok()?;
        Some(Engines {
            multiprocessors: told.multiprocessor_count,
            encoders: told.shared_encoder_count,
            decoders: told.shared_decoder_count,
        })
    };
    let mut pieces = (0..most).filter_map(of_piece);
    let first = pieces.next()?;
    pieces.all(|piece| piece == first).then_some(first)
}
