//! Two functions of NVML that its safe interface does not have, or gets wrong when VMs come and go between
//! its two calls: which partitions are in use, and how busy each of them is. Both fill an array of the
//! caller's, and say how long it has to be. What the numbers are good for is not known here.
//!
//! ```text
//! no array ─▶ too small, so many ─▶ an array of so many ─▶ filled, with fewer perhaps
//!                      ▲────────────── too small again ◀─┘
//! ```

#![allow(unsafe_code)]

use std::ptr;

use nvml_wrapper::Device;
use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE as TOO_SMALL,
    nvmlReturn_enum_NVML_ERROR_NO_DATA as NO_DATA, nvmlReturn_enum_NVML_ERROR_NOT_FOUND as NOT_FOUND,
    nvmlReturn_enum_NVML_SUCCESS as SUCCESS, nvmlReturn_t, nvmlValue_t,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT as UNSIGNED_INT, nvmlVgpuInstance_t,
    nvmlVgpuInstanceUtilizationSample_t,
};

/// More than any GPU has. A library that says more is not believed.
const MOST: u32 = 1024;
/// How often an array may have become too small meanwhile.
const TRIES: usize = 4;

/// Why an array was not filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfilled {
    /// A library that is too old for it.
    NoFunction,
    /// Nothing happened since the moment that was asked about.
    Nothing,
    /// Any other error, by NVML's number.
    Failed(nvmlReturn_t),
    /// It was too small again and again, or was to be larger than makes sense.
    Restless,
}

/// How busy one partition was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    pub vgpu: nvmlVgpuInstance_t,
    /// By a clock of the driver, in microseconds.
    pub at_us: u64,
    pub load: Load,
}

/// In percent; None is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    pub compute: Option<u8>,
    pub encoder: Option<u8>,
    pub decoder: Option<u8>,
}

/// The partitions of this GPU that are in use.
pub fn active(gpu: &Device<'_>) -> Result<Vec<nvmlVgpuInstance_t>, Unfilled> {
    let function = gpu.nvml().lib().nvmlDeviceGetActiveVgpus.as_ref().map_err(|_| Unfilled::NoFunction)?;
    let handle = handle(gpu);
    fill(0, |array, count| {
        // SAFETY: the handle is alive, `array` is null with a count of 0 or has room for `count` numbers.
        unsafe { function(handle, count, array) }
    })
}

/// How busy each partition was since `since_us`, or in all that the driver remembers when it is 0.
pub fn utilization(gpu: &Device<'_>, since_us: u64) -> Result<Vec<Sample>, Unfilled> {
    let function =
        gpu.nvml().lib().nvmlDeviceGetVgpuUtilization.as_ref().map_err(|_| Unfilled::NoFunction)?;
    let handle = handle(gpu);
    let none = nvmlValue_t { ullVal: 0 };
    let empty = nvmlVgpuInstanceUtilizationSample_t {
        vgpuInstance: 0,
        timeStamp: 0,
        smUtil: none,
        memUtil: none,
        encUtil: none,
        decUtil: none,
    };
    let mut kind = UNSIGNED_INT;
    let samples = fill(empty, |array, count| {
        // SAFETY: as above, with samples instead of numbers; `kind` outlives the call.
        unsafe { function(handle, since_us, &mut kind, count, array) }
    })?;
    Ok(samples.iter().map(|sample| read(sample, kind == UNSIGNED_INT)).collect())
}

fn read(sample: &nvmlVgpuInstanceUtilizationSample_t, is_number: bool) -> Sample {
    let is_told = is_number && sample.timeStamp > 0;
    let percent = |value: nvmlValue_t| {
        // SAFETY: all eight bytes were zero before the library wrote, and any four bytes are a number.
        let number = unsafe { value.uiVal };
        // Larger ones say that it is not known.
        u8::try_from(number).ok().filter(|percent| is_told && *percent <= 100)
    };
    let load = Load {
        compute: percent(sample.smUtil),
        encoder: percent(sample.encUtil),
        decoder: percent(sample.decUtil),
    };
    Sample { vgpu: sample.vgpuInstance, at_us: sample.timeStamp, load }
}

fn handle(gpu: &Device<'_>) -> nvmlDevice_t {
    // SAFETY: it is passed to functions of the library that it came from, and kept by nobody: who calls
    // this has the GPU, which has the library.
    unsafe { gpu.handle() }
}

fn fill<T: Copy>(
    empty: T,
    mut call: impl FnMut(*mut T, &mut u32) -> nvmlReturn_t,
) -> Result<Vec<T>, Unfilled> {
    let mut room: Vec<T> = Vec::new();
    for _ in 0..TRIES {
        let mut count = u32::try_from(room.len()).unwrap_or(MOST);
        let array = if room.is_empty() { ptr::null_mut() } else { room.as_mut_ptr() };
        match call(array, &mut count) {
            SUCCESS => {
                room.truncate(count as usize);
                return Ok(room);
            }
            TOO_SMALL if count as usize > room.len() && count <= MOST => room.resize(count as usize, empty),
            TOO_SMALL => return Err(Unfilled::Restless),
            NOT_FOUND | NO_DATA => return Err(Unfilled::Nothing),
            error => return Err(Unfilled::Failed(error)),
        }
    }
    Err(Unfilled::Restless)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A library that answers these one after the other, and keeps how much room it was given.
    fn filled(answers: &[(nvmlReturn_t, u32)]) -> (Result<usize, Unfilled>, Vec<u32>) {
        let mut left = answers.iter();
        let mut rooms = Vec::new();
        let result = fill(0_u8, |array, count| {
            assert_eq!(array.is_null(), *count == 0);
            rooms.push(*count);
            let (answer, many) = left.next().expect("is not asked more often");
            *count = *many;
            *answer
        });
        (result.map(|list| list.len()), rooms)
    }

    #[test]
    fn an_array_grows_until_it_is_large_enough() {
        let (many, rooms) = filled(&[(TOO_SMALL, 2), (TOO_SMALL, 5), (SUCCESS, 5)]);
        assert_eq!((many, rooms), (Ok(5), vec![0, 2, 5]));
    }

    #[test]
    fn what_went_away_between_two_calls_is_not_told() {
        assert_eq!(filled(&[(TOO_SMALL, 3), (SUCCESS, 1)]).0, Ok(1));
    }

    #[test]
    fn a_count_that_makes_no_sense_is_not_believed() {
        for count in [0, MOST + 1, u32::MAX] {
            assert_eq!(filled(&[(TOO_SMALL, count)]).0, Err(Unfilled::Restless), "{count}");
        }
        assert_eq!(filled(&[(TOO_SMALL, 2), (SUCCESS, u32::MAX)]).0, Ok(2));
    }

    #[test]
    fn an_array_that_is_always_too_small_is_given_up() {
        let answers: Vec<(nvmlReturn_t, u32)> = (1..10).map(|count| (TOO_SMALL, count)).collect();
        assert_eq!(filled(&answers).0, Err(Unfilled::Restless));
    }

    #[test]
    fn errors_keep_their_meaning() {
        assert_eq!(filled(&[(NOT_FOUND, 0)]).0, Err(Unfilled::Nothing));
        assert_eq!(filled(&[(NO_DATA, 0)]).0, Err(Unfilled::Nothing));
        assert_eq!(filled(&[(3, 0)]).0, Err(Unfilled::Failed(3)));
    }
}
