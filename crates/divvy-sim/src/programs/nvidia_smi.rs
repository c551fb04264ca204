//! `nvidia-smi`, as far as MIG, ECC and the types of partitions need it: modes, the cutting of parts, lists.
//! Its statuses are those of the library below it: 3 not supported, 6 not found, 19 in use by another
//! client, 23 no resources.

use divvy_core::pci_address::PciAddress;

use super::{Process, Step, Stop};
use crate::drivers::{self, Creatable, MigError};
use crate::machine::State;
use crate::models::{MigProfile, VgpuType};

const NOT_SUPPORTED: i32 = 3;
const NOT_FOUND: i32 = 6;
const IN_USE: i32 = 19;
const NO_RESOURCES: i32 = 23;
const QUERY: &str = "--query-gpu=";
const RULE: &str = "+-----------------------------------------------------------------------------+";

pub(super) fn run(process: &mut Process<'_>, args: &[&str]) -> Step {
    // Which GPU can be said before or after what is wanted of it.
    let mut words = Vec::new();
    let mut whom = None;
    let mut rest = args.iter();
    while let Some(word) = rest.next() {
        match *word {
            "-i" => whom = rest.next().copied(),
            word => words.push(word),
        }
    }
    let gpus = chosen(process, whom)?;
    match words.as_slice() {
        ["-mig", mode @ ("0" | "1")] => {
            each(process, &gpus, |process, pf| set_mode(process, pf, *mode == "1"))
        }
        ["-e", mode @ ("0" | "1")] => each(process, &gpus, |process, pf| set_ecc(process, pf, *mode == "1")),
        [query, "--format=csv,noheader"] if query.starts_with(QUERY) => {
            each(process, &gpus, |process, pf| tell(process, pf, &query[QUERY.len()..]))
        }
        ["--gpu-reset" | "-r"] => each(process, &gpus, reset),
        ["mig", "-lgip"] => list(process, &gpus, "GPU instance profiles:", profiles),
        ["mig", "-lgipp"] => each(process, &gpus, places),
        ["mig", "-lgi"] => list(process, &gpus, "GPU instances:", parts),
        ["mig", "-cgi", ids, flags @ ..] if matches!(flags, [] | ["-C"]) => {
            each(process, &gpus, |process, pf| cut(process, pf, ids, !flags.is_empty()))
        }
        ["mig", "-dci"] => each(process, &gpus, |process, pf| drop_parts(process, pf, false)),
        ["mig", "-dgi"] => each(process, &gpus, |process, pf| drop_parts(process, pf, true)),
        ["vgpu", "-shm", mode @ ("0" | "1")] => {
            each(process, &gpus, |process, pf| set_mixed(process, pf, *mode == "1"))
        }
        ["vgpu", "-s", "-v"] => each(process, &gpus, supported),
        ["vgpu", "-c", "-v"] => each(process, &gpus, creatable),
        _ => process.fail(2, "Invalid combination of input arguments. Please run 'nvidia-smi -h' for help."),
    }
}

/// A GPU on another driver is none.
fn visible(process: &Process<'_>) -> Vec<PciAddress> {
    let on_nvidia = |state: &mut State, pf: &PciAddress| {
        state.kernel.functions.get(pf).is_some_and(|function| function.driver.as_deref() == Some("nvidia"))
    };
    let mut all = process.gpus_of("nvidia");
    all.retain(|pf| process.with(|state| on_nvidia(state, pf)));
    all
}

/// By index, by address with four or eight digits of domain, or all.
fn chosen(process: &mut Process<'_>, whom: Option<&str>) -> Step<Vec<PciAddress>> {
    let all = visible(process);
    let Some(whom) = whom else { return Ok(all) };
    let by_index = whom.parse::<usize>().ok().and_then(|index| all.get(index).copied());
    let by_address = whom.parse::<PciAddress>().ok().filter(|address| all.contains(address));
    match by_index.or(by_address) {
        Some(pf) => Ok(vec![pf]),
        None => process.fail(NOT_FOUND, "No devices were found"),
    }
}

fn each(
    process: &mut Process<'_>,
    gpus: &[PciAddress],
    mut act: impl FnMut(&mut Process<'_>, PciAddress) -> Step,
) -> Step {
    let mut failed = None;
    for pf in gpus {
        match act(process, *pf) {
            Err(Stop::Exit(code)) => failed = Some(code),
            other => other?,
        }
    }
    failed.map_or(Ok(()), |code| Err(Stop::Exit(code)))
}

/// `00000000:41:00.0`: eight digits of domain, in capitals.
fn name(pf: PciAddress) -> String {
    let PciAddress { domain, bus, device, function } = pf;
    format!("{domain:08X}:{bus:02X}:{device:02X}.{function}")
}

fn index(process: &Process<'_>, pf: PciAddress) -> usize {
    visible(process).iter().position(|known| *known == pf).unwrap_or(0)
}

fn fail_with(process: &mut Process<'_>, pf: PciAddress, what: &str, error: MigError) -> Step {
    let (code, why) = match error {
        MigError::NotSupported => (NOT_SUPPORTED, "Not Supported"),
        MigError::InUse => (IN_USE, "In use by another client"),
        MigError::NoSuchProfile => (NOT_FOUND, "Not Found"),
        MigError::NoRoom => (NO_RESOURCES, "Insufficient Resources"),
        MigError::NothingThere => (NOT_FOUND, "Not Found"),
    };
    process.fail(code, format!("{what} on GPU {}: {why}", name(pf)))
}

fn set_mode(process: &mut Process<'_>, pf: PciAddress, on: bool) -> Step {
    let word = if on { "Enabled" } else { "Disabled" };
    match process.with(|state| drivers::set_mig_mode(&mut state.kernel, pf, on)) {
        Ok(true) => process.say(format!("{word} MIG Mode for GPU {}", name(pf))),
        Ok(false) => {
            let pending = if on { "enable" } else { "disable" };
            process.say(format!(
                "Warning: MIG mode is in pending {pending} state for GPU {}:In use by another client",
                name(pf)
            ));
        }
        Err(error) => return fail_with(process, pf, "Unable to set MIG Mode", error),
    }
    process.say("All done.");
    Ok(())
}

fn set_mixed(process: &mut Process<'_>, pf: PciAddress, on: bool) -> Step {
    match process.with(|state| drivers::set_mixed(&mut state.kernel, pf, on)) {
        Ok(()) => {
            let word = if on { "Enabled" } else { "Disabled" };
            process.say(format!("{word} vGPU heterogeneous mode for GPU {}", name(pf)));
            Ok(())
        }
        Err(error) => fail_with(process, pf, "Unable to set vGPU heterogeneous mode", error),
    }
}

fn set_ecc(process: &mut Process<'_>, pf: PciAddress, on: bool) -> Step {
    match process.with(|state| state.kernel.set_ecc_mode(pf, on)) {
        Ok(()) => {
            let word = if on { "Enabled" } else { "Disabled" };
            process.say(format!("{word} Ecc support for GPU {}.", name(pf)));
            process.say("All done.");
            process.say("Reboot required.");
            Ok(())
        }
        Err(error) => fail_with(process, pf, "Unable to set ECC mode", error),
    }
}

/// The values of these names, in this order.
fn tell(process: &mut Process<'_>, pf: PciAddress, names: &str) -> Step {
    let mut values = Vec::new();
    for name in names.split(',') {
        let told = process.with(|state| match name {
            "mig.mode.current" => Some(state.kernel.mig_mode(pf).map(|mode| mode.current)),
            "mig.mode.pending" => Some(state.kernel.mig_mode(pf).map(|mode| mode.pending)),
            "ecc.mode.current" => Some(state.kernel.ecc_mode(pf).map(|mode| mode.current)),
            "ecc.mode.pending" => Some(state.kernel.ecc_mode(pf).map(|mode| mode.pending)),
            _ => None,
        });
        values.push(match told {
            None => return process.fail(2, format!("Field \"{name}\" is not a valid field to query.")),
            Some(None) => "[N/A]",
            Some(Some(true)) => "Enabled",
            Some(Some(false)) => "Disabled",
        });
    }
    process.say(values.join(", "));
    Ok(())
}

/// Only of a GPU that nobody uses and that has no VFs.
fn reset(process: &mut Process<'_>, pf: PciAddress) -> Step {
    let done = process.with(|state| {
        if drivers::users(&state.kernel, pf) > 0 || !state.kernel.vfs_of(pf).is_empty() {
            return Err(MigError::InUse);
        }
        state.reset_function(pf).map_err(|_errno| MigError::NotSupported)?;
        state.kernel.settle_mig_mode(pf);
        state.kernel.settle_ecc_mode(pf);
        Ok(())
    });
    match done {
        Ok(()) => {
            process.say(format!("GPU {} was successfully reset.", name(pf)));
            Ok(())
        }
        Err(error) => fail_with(process, pf, "Unable to reset", error),
    }
}

fn list(
    process: &mut Process<'_>,
    gpus: &[PciAddress],
    head: &str,
    rows: fn(&mut Process<'_>, PciAddress) -> Result<Vec<String>, MigError>,
) -> Step {
    process.say(RULE);
    process.say(format!("| {head:<75} |"));
    each(process, gpus, |process, pf| match rows(process, pf) {
        Ok(rows) => {
            for row in rows {
                process.say(format!("| {row:<75} |"));
            }
            Ok(())
        }
        Err(error) => fail_with(process, pf, "Unable to list", error),
    })?;
    process.say(RULE);
    Ok(())
}

/// GPU, name, id, free/total, memory, P2P, engines.
fn profiles(process: &mut Process<'_>, pf: PciAddress) -> Result<Vec<String>, MigError> {
    let index = index(process, pf);
    process.with(|state| {
        let row = |profile: &MigProfile| {
            let free = state.kernel.mig_room(pf, profile);
            let MigProfile { name, id, most, memory_gib, compute, .. } = profile;
            format!("{index} MIG {name} {id} {free}/{most} {memory_gib} No {} {compute} 0", 16 * compute)
        };
        Ok(state.kernel.mig_profiles(pf)?.iter().map(row).collect())
    })
}

/// GPU, name, profile, id, where its memory is.
fn parts(process: &mut Process<'_>, pf: PciAddress) -> Result<Vec<String>, MigError> {
    let index = index(process, pf);
    process.with(|state| {
        let profiles = state.kernel.mig_profiles(pf)?;
        let parts = state.kernel.memory.nvidia.get(&pf).map_or(&[][..], |gpu| &gpu.parts);
        let row = |part: &drivers::MigPart| {
            let profile = profiles.iter().find(|known| known.id == part.profile)?;
            let (name, memory) = (profile.name, profile.memory);
            Some(format!("{index} MIG {name} {} {} {}:{memory}", part.profile, part.id, part.start))
        };
        if parts.is_empty() {
            Err(MigError::NothingThere)
        } else {
            Ok(parts.iter().filter_map(row).collect())
        }
    })
}

/// Where the parts of each profile may be, in use or not.
fn places(process: &mut Process<'_>, pf: PciAddress) -> Step {
    let index = index(process, pf);
    let profiles = process.with(|state| state.kernel.mig_profiles(pf));
    let profiles = match profiles {
        Ok(profiles) => profiles,
        Err(error) => return fail_with(process, pf, "Unable to list", error),
    };
    for profile in profiles {
        let starts: Vec<String> = drivers::mig_starts(profile).map(|start| start.to_string()).collect();
        let word = if starts.len() == 1 { "Placement " } else { "Placements" };
        let (id, starts, memory) = (profile.id, starts.join(","), profile.memory);
        process.say(format!("GPU {index:>2} Profile ID {id:>2} {word}: {{{starts}}}:{memory}"));
    }
    Ok(())
}

/// One part after the other, each as a profile or as a profile and where its memory begins (`9:4`); what
/// was cut before a refusal stays.
fn cut(process: &mut Process<'_>, pf: PciAddress, ids: &str, computes: bool) -> Step {
    for specifier in ids.split(',') {
        let (word, start) = match specifier.split_once(':') {
            Some((word, start)) => (word, Some(start)),
            None => (specifier, None),
        };
        let start = start.map(|start| start.parse::<u32>().map_err(|_| MigError::NoRoom)).transpose();
        let profile = process.with(|state| {
            let profiles = state.kernel.mig_profiles(pf)?;
            let known = |known: &&MigProfile| known.name == word || word.parse() == Ok(known.id);
            profiles.iter().find(known).map(|known| known.id).ok_or(MigError::NoSuchProfile)
        });
        let made = profile.and_then(|id| {
            let at = (id, start?);
            process.with(|state| state.kernel.make_part(pf, at, computes))
        });
        match made {
            Ok(part) => process.say(format!(
                "Successfully created GPU instance ID {:>2} on GPU {:>2} using profile ID {:>2}",
                part.id,
                index(process, pf),
                part.profile
            )),
            Err(error) => return fail_with(process, pf, "Unable to create a GPU instance", error),
        }
    }
    Ok(())
}

fn drop_parts(process: &mut Process<'_>, pf: PciAddress, whole: bool) -> Step {
    let kind = if whole { "GPU instance" } else { "compute instance" };
    match process.with(|state| state.kernel.drop_parts(pf, whole)) {
        Ok(ids) => {
            for id in ids {
                let index = index(process, pf);
                process.say(format!("Successfully destroyed {kind} ID {id:>2} from GPU {index:>2}"));
            }
            Ok(())
        }
        Err(error) => fail_with(process, pf, &format!("Unable to destroy a {kind}"), error),
    }
}

fn supported(process: &mut Process<'_>, pf: PciAddress) -> Step {
    let types = process.with(|state| drivers::supported(&state.kernel, pf));
    blocks(process, pf, &types);
    Ok(())
}

/// What can be made on the function of the GPU that has nothing yet.
fn creatable(process: &mut Process<'_>, pf: PciAddress) -> Step {
    let types = process.with(|state| {
        let carriers = state.kernel.vfs_of(pf).into_iter().chain([pf]);
        let lists = carriers.map(|carrier| drivers::creatable(&state.kernel, carrier));
        lists.into_iter().find(|types| !types.is_empty()).unwrap_or_default()
    });
    let types: Vec<VgpuType> = types.into_iter().map(|Creatable { kind, .. }| kind).collect();
    blocks(process, pf, &types);
    Ok(())
}

fn blocks(process: &mut Process<'_>, pf: PciAddress, types: &[VgpuType]) {
    process.say(format!("GPU {}", name(pf)));
    for kind in types {
        let profile = kind.profile.map_or("N/A".to_owned(), |profile| profile.to_string());
        for (key, value) in [
            ("vGPU Type ID", format!("{:#x}", kind.id)),
            ("    Name", kind.name.clone()),
            ("    GPU Instance Profile ID", profile),
            ("    Max Instances", kind.most.to_string()),
            ("    Max Instances Per VM", "1".to_owned()),
            ("    FB Memory", format!("{} MiB", kind.frame_buffer_mib)),
        ] {
            process.say(format!("    {key:<34}: {value}"));
        }
    }
}
