//! What the drivers and programs of GPUs print, whoever wrote it: types and their sizes, parts of MIG,
//! shares, profiles. What is read is never more than what was printed, and says the same when it is
//! printed again.

use divvy_host::attribute;
use divvy_host::scheme::nvidia::{enable, modes, types};
use divvy_host::scheme::{amd_gim, intel, nvidia_mig};

pub(crate) const TYPES: &[&str] = &[
    "ID    : vGPU Name\n557  : NVIDIA A40-1Q\n558  : NVIDIA A40-2Q\n559  : NVIDIA H200X-1-18C\n",
    "NVIDIA A40-1Q 557\nNVIDIA A40-48A 570\n",
    "num_heads=4, frl_config=60, framebuffer=2048M, max_resolution=4096x2160, max_instance=16\n",
    "GRID T4-2B4\n",
];

/// A list of types in both ways to write it, and a mediated type's name and description.
pub fn nvidia_types(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let listed = types::parse_list(text);
    let printed: String = listed.iter().map(|one| format!("{:<6}: {}\n", one.id, one.name)).collect();
    assert_eq!(types::parse_list(&printed), listed, "{printed:?}");
    for count in [1, 2, 4, 7, 32] {
        if let Some(best) = types::best(&listed, count, 96) {
            assert!(text.contains(&best.name) && best.gib * u32::from(count) <= 96, "{best:?}");
        }
    }
    let (mib, most) = types::parse_description(text);
    let member = |name: &str, value: Option<String>| value.map(|value| format!("{name}={value},"));
    let printed = [
        member("framebuffer", mib.map(|mib| format!("{mib}M"))),
        member("max_instance", most.map(|most| most.to_string())),
    ];
    let printed: String = printed.into_iter().flatten().collect();
    assert_eq!(types::parse_description(&printed), (mib, most), "{printed:?}");
    if let Some(one) = types::Type::parse(1, text) {
        assert!(one.name == text && one.gib > 0, "{one:?}");
    }
}

pub(crate) const SAID: &[&str] = &[
    "| GPU   Name             ID    Instances   Memory     P2P    SM    DEC   ENC  |\n\
     |   0  MIG 1g.12gb       19     7/7        10.62      No     16     1     0   |\n\
     |   0  MIG 1g.12gb+me    20     1/1        10.62      No     16     1     0   |\n\
     |   0  MIG 3g.47gb        9     2/2        46.38      No     60     3     0   |\n",
    "Enabled, Disabled\n",
    "[N/A], Enabled\n",
    "Enabling VFs on 0000:41:00.0\nCannot obtain unbindLock for 0000:41:00.0\n",
];

/// The table of parts, the modes, and why a GPU was not to be had.
pub fn nvidia_programs(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let rows = nvidia_mig::profiles(text);
    let row = |one: &nvidia_mig::Profile| {
        let nvidia_mig::Profile { name, id, most, size: (memory, compute) } = one;
        format!("| 0 MIG {name} {id} 0/{most} {}.{:02} No {compute} |\n", memory / 100, memory % 100)
    };
    let printed: String = rows.iter().map(row).collect();
    assert_eq!(nvidia_mig::profiles(&printed), rows, "{printed:?}");
    for count in [1, 3, 7] {
        if let Some(best) = nvidia_mig::best(&rows, count) {
            assert!(best.most >= count && !best.name.contains('+'), "{best:?}");
        }
    }
    let _ = nvidia_mig::Kinds::read(text, text).is_empty();
    if let Some(told) = modes::parse(text) {
        let (mig, ecc) = text.trim().split_once(',').unwrap_or((text.trim(), ""));
        assert_eq!(told.mig == modes::Mode::On, mig.trim() == "Enabled", "{text:?}");
        assert_eq!(told.mig == modes::Mode::Off, mig.trim() == "Disabled", "{text:?}");
        assert_eq!(told.ecc == Some(true), ecc.trim() == "Enabled", "{text:?}");
        assert_eq!(told.ecc == Some(false), ecc.trim() == "Disabled", "{text:?}");
    }
    assert!(!enable::is_busy(text) || text.contains("unbindLock"));
}

pub(crate) const SHARES: &[&str] = &["17179869184", "0", "vf1", "vf24", "1024"];

/// Shares of memory and other things, and the folders that they are in.
pub fn intel_shares(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(share) = attribute::parse_decimal::<u64>(text) {
        assert_eq!(share.to_string(), without_zeros(text), "{text:?}");
    }
    if let Some(number) = intel::number(text) {
        assert_eq!(format!("vf{number}"), format!("vf{}", without_zeros(&text[2..])), "{text:?}");
    }
}

fn without_zeros(digits: &str) -> &str {
    let rest = digits.trim_start_matches('0');
    if rest.is_empty() { "0" } else { rest }
}

pub(crate) const PROFILES: &[&str] =
    &["profile_index: mode\n0: SPX\n1: DPX\n2: QPX\n3: CPX\n", "  3: CPX (NPS1, NPS4)\n0: SPX\n"];

/// The number of a mode among those that a GPU can be cut by.
pub fn gim_profiles(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for mode in ["SPX", "DPX", "QPX", "CPX"] {
        if let Some(index) = amd_gim::index_of(text, mode) {
            assert!(!index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit()), "{index:?}");
            let mut lines = text.lines();
            let named = lines.any(|line| line.trim_start().starts_with(&index) && line.contains(mode));
            assert!(named, "{mode} is {index} of {text:?}");
        }
    }
}
