//! The modes of NVIDIA's GPUs that only NVIDIA's program tells: MIG, ECC, and the sizes of parts. The
//! program wakes the GPU up and holds it for a moment, so one question asks for both modes, and it is
//! asked when the answer can be another one: modes change by a reset of the GPU or by a boot, and neither
//! comes to a GPU that has functions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use divvy_core::gpu::{CountSource, PartitionCount, ValidPartitionCounts};
use divvy_core::pci_address::PciAddress;

use crate::scheme::Gpu;
use crate::scheme::nvidia::types::{Type, parse_of_whole_gpu};
use crate::scheme::nvidia::{asked, parts_question, types_question};
use crate::scheme::nvidia_mig::{Kinds, counts_of, profiles};
use crate::sysfs::Sysfs;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    On,
    Off,
    /// The GPU does not know it.
    Unsupported,
}

impl Mode {
    fn parse(word: &str) -> Option<Self> {
        match word.trim() {
            "Enabled" => Some(Self::On),
            "Disabled" => Some(Self::Off),
            "[N/A]" | "N/A" | "[Not Supported]" => Some(Self::Unsupported),
            _ => None,
        }
    }
}

/// What was told of one GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    pub mig: Mode,
    /// None: nothing that makes sense was told, or the GPU does not know it.
    pub ecc: Option<bool>,
}

/// Both modes, as they are now, of one GPU.
pub fn question(gpu: &str) -> [&str; 4] {
    ["-i", gpu, "--query-gpu=mig.mode.current,ecc.mode.current", "--format=csv,noheader"]
}

/// The answer: `Disabled, Enabled`.
pub fn parse(text: &str) -> Option<Told> {
    let (mig, ecc) = text.trim().split_once(',').unwrap_or((text, ""));
    let ecc = match Mode::parse(ecc) {
        Some(Mode::On) => Some(true),
        Some(Mode::Off) => Some(false),
        Some(Mode::Unsupported) | None => None,
    };
    Some(Told { mig: Mode::parse(mig)?, ecc })
}

#[derive(Debug, Clone, Copy)]
struct Known {
    told: Told,
    had_functions: bool,
}

impl Known {
    /// While it has no functions, a GPU may get into another mode at any time. If it could be MIG, that is
    /// asked for; ECC is asked for again when the functions have come.
    fn holds(&self, has_functions: bool, is_mig_open: bool) -> bool {
        let may_be_split_otherwise = is_mig_open && self.told.mig != Mode::Unsupported;
        if has_functions { self.had_functions } else { !may_be_split_otherwise }
    }
}

/// What was told of each GPU, and when.
type ToldOfEach<T> = Mutex<BTreeMap<PciAddress, (Instant, Arc<T>)>>;

/// What was told before, or is told now. A GPU of which nothing was told is asked again after a while.
fn once<T>(
    told: &ToldOfEach<T>,
    gpu: PciAddress,
    is_nothing: impl Fn(&T) -> bool,
    ask: impl FnOnce() -> T,
) -> Arc<T> {
    // Whole after every statement, so a poisoned lock is still good.
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, known)) = told.get(&gpu)
        && (!is_nothing(known) || at.elapsed() < AGAIN)
    {
        return Arc::clone(known);
    }
    let known = Arc::new(ask());
    told.insert(gpu, (Instant::now(), Arc::clone(&known)));
    known
}

/// What NVIDIA's program says, if it does.
fn said(sys: &dyn Sysfs, gpu: &Gpu, args: &[&str]) -> Option<String> {
    asked(sys, args, gpu.deadline.max(WAKING)).ok()
}

/// What each GPU's modes were found to be.
#[derive(Debug, Default)]
pub(crate) struct Modes {
    known: Mutex<BTreeMap<PciAddress, Known>>,
    sizes: ToldOfEach<Vec<PartitionCount>>,
    kinds: ToldOfEach<Kinds>,
    types: ToldOfEach<Vec<Type>>,
}

/// A GPU that told no sizes of parts, as before its mode is on, is asked again after so long.
const AGAIN: Duration = Duration::from_secs(60);
/// The program wakes the GPU up first.
const WAKING: Duration = Duration::from_secs(10);

impl Modes {
    /// None: the program does not tell now. Of ECC, what it told before is good until it tells again. MIG is
    /// open where nobody has said that the GPU is split by it.
    pub fn of(&self, sys: &dyn Sysfs, gpu: &Gpu, has_functions: bool, is_mig_open: bool) -> Option<Told> {
        // Whole after every statement, so a poisoned lock is still good.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.get(&gpu.address).copied();
        if let Some(before) = before.filter(|before| before.holds(has_functions, is_mig_open)) {
            known.insert(gpu.address, Known { had_functions: has_functions, ..before });
            return Some(before.told);
        }
        let Some(told) = ask(sys, gpu.address, gpu.deadline) else {
            return before.map(|known| Told { mig: Mode::Off, ..known.told });
        };
        known.insert(gpu.address, Known { told, had_functions: has_functions });
        Some(told)
    }

    /// After a boot everything may be another way.
    pub fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.types.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// All types that take no part. Empty: nobody tells.
    pub fn types(&self, sys: &dyn Sysfs, gpu: &Gpu) -> Arc<Vec<Type>> {
        once(&self.types, gpu.address, Vec::is_empty, || {
            let told = said(sys, gpu, &types_question(&gpu.address.to_string()));
            told.map(|text| parse_of_whole_gpu(&text)).unwrap_or_default()
        })
    }

    /// Which type is which size. Empty: nobody tells.
    pub fn kinds(&self, sys: &dyn Sysfs, gpu: &Gpu) -> Arc<Kinds> {
        once(&self.kinds, gpu.address, Kinds::is_empty, || {
            Kinds::ask(gpu.address, |question| said(sys, gpu, question).ok_or(())).unwrap_or_default()
        })
    }

    /// Into how many equal parts a GPU can be cut. None: the catalogue knows, or nobody tells.
    pub fn part_counts(&self, sys: &dyn Sysfs, gpu: &Gpu) -> Option<ValidPartitionCounts> {
        if gpu.entry.is_some_and(|entry| !entry.mig_counts.is_empty()) {
            return None;
        }
        let told = once(&self.sizes, gpu.address, Vec::is_empty, || {
            let rows = said(sys, gpu, &parts_question(&gpu.address.to_string()));
            rows.map(|rows| counts_of(&profiles(&rows))).unwrap_or_default()
        });
        (!told.is_empty()).then(|| ValidPartitionCounts::new(told.to_vec(), CountSource::Driver))
    }
}

/// None: nobody answers.
fn ask(sys: &dyn Sysfs, gpu: PciAddress, deadline: Duration) -> Option<Told> {
    match asked(sys, &question(&gpu.to_string()), deadline.max(WAKING)) {
        Ok(text) => parse(&text),
        // It would be waited for at every look.
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            Some(Told { mig: Mode::Unsupported, ecc: None })
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use divvy_core::gpu::Scheme;

    use super::*;
    use crate::testing::nvidia::{Nvidia, fresh, ready};
    use crate::testing::steps::observed;

    const ON: Told = Told { mig: Mode::On, ecc: Some(true) };

    #[test]
    fn what_the_program_says_of_the_modes_is_read() {
        for (text, told) in [
            ("Enabled, Enabled\n", Some(ON)),
            ("Disabled, Disabled\n", Some(Told { mig: Mode::Off, ecc: Some(false) })),
            ("[N/A], Enabled\n", Some(Told { mig: Mode::Unsupported, ecc: Some(true) })),
            ("[N/A], [N/A]\n", Some(Told { mig: Mode::Unsupported, ecc: None })),
            ("Enabled, broken\n", Some(Told { mig: Mode::On, ecc: None })),
            // A program that answers the first question only.
            ("Enabled\n", Some(Told { mig: Mode::On, ecc: None })),
            ("No devices were found\n", None),
            ("", None),
        ] {
            assert_eq!(parse(text), told, "{text:?}");
        }
    }

    fn gpu() -> Gpu {
        let address = crate::testing::gpu_address(0);
        Gpu { address, entry: None, total: 16, deadline: Duration::from_secs(60) }
    }

    /// Which looks asked the program: those that were told its newest answer, which is another one each time.
    fn asked(model: fn() -> Nvidia, is_mig_open: bool, has_functions: &[bool]) -> Vec<bool> {
        let modes = Modes::default();
        let mut is_on = false;
        let mut look = |has_functions: &bool| {
            let kernel = fresh(model().with_ecc(is_on));
            let told = modes.of(&kernel, &gpu(), *has_functions, is_mig_open).expect("is told");
            let was_asked = told.ecc == Some(is_on);
            is_on = if was_asked { !is_on } else { is_on };
            was_asked
        };
        has_functions.iter().map(&mut look).collect()
    }

    #[test]
    fn a_gpu_is_asked_again_only_when_the_answer_can_be_another_one() {
        let a2 = || Nvidia::a2(Scheme::NvidiaVfio);
        let h100 = || Nvidia::h100(false);
        // Without functions, with them, without, with.
        let functions = [false, false, true, true, false, false, true];
        let when_they_come = [true, false, true, false, false, false, true];
        assert_eq!(asked(a2, true, &functions), when_they_come);
        // Somebody has said that it is split by MIG, so its mode is no question.
        assert_eq!(asked(h100, false, &functions), when_they_come);
        assert_eq!(asked(h100, true, &functions), [true, true, true, false, true, true, true]);
    }

    #[test]
    fn a_gpu_of_any_of_nvidias_interfaces_is_reported_with_its_ecc_mode() {
        for interface in [Scheme::NvidiaVfio, Scheme::NvidiaMdev, Scheme::NvidiaMdevPf] {
            let gpu = observed(&ready(Nvidia::a2(interface).with_ecc(true)));
            assert_eq!((gpu.scheme, gpu.ecc), (Some(interface), Some(true)));
        }
        let gpu = observed(&fresh(Nvidia::h100(true)));
        assert_eq!((gpu.scheme, gpu.ecc), (Some(Scheme::NvidiaMig), Some(false)));
    }

    #[test]
    fn after_a_boot_everything_is_asked_again() {
        let modes = Modes::default();
        let a2 = || Nvidia::a2(Scheme::NvidiaVfio);
        modes.of(&fresh(a2()), &gpu(), false, true);
        modes.forget();
        let told = modes.of(&fresh(a2().with_ecc(true)), &gpu(), false, true);
        assert_eq!(told.and_then(|told| told.ecc), Some(true));
    }

    #[test]
    fn while_the_program_does_not_answer_ecc_is_as_it_was_and_mig_is_not_counted_on() {
        let modes = Modes::default();
        modes.of(&fresh(Nvidia::h100(true).with_ecc(true)), &gpu(), false, true);
        let nobody = crate::testing::Tree::server();
        let told = modes.of(&nobody.sys(), &gpu(), false, true);
        assert_eq!(told, Some(Told { mig: Mode::Off, ecc: Some(true) }));
        assert_eq!(Modes::default().of(&nobody.sys(), &gpu(), false, true), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text: String, words in "[a-zA-Z/, \\[\\]]{0,40}") {
            let _ = parse(&text);
            let _ = parse(&words);
        }
    }
}
