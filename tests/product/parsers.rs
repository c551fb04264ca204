//! What every parser promises, with drawn inputs: bytes of any kind, and good inputs that were damaged a
//! little, which come further. `fuzz/` runs the same functions for longer.

use divvy_tests::PROMISES;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// One damage: at which place, how many bytes go, what comes instead.
type Damage = (prop::sample::Index, usize, Vec<u8>);

fn damaged(good: &str, damages: &[Damage]) -> Vec<u8> {
    let mut bytes = good.as_bytes().to_vec();
    for (place, gone, come) in damages {
        let from = place.index(bytes.len() + 1);
        let to = (from + gone).min(bytes.len());
        bytes.splice(from..to, come.iter().copied());
    }
    bytes
}

fn inputs(seeds: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let any_bytes = prop::collection::vec(any::<u8>(), 0..300);
    let any_text = ".{0,100}".prop_map(String::into_bytes);
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        "[0-9a-f:.|/<>'\"{}\\[\\]=, -]{0,6}".prop_map(String::into_bytes),
    ];
    let damage = (any::<prop::sample::Index>(), 0usize..12, piece);
    let damages = prop::collection::vec(damage, 0..4);
    let from_seed =
        (prop::sample::select(seeds), damages).prop_map(|(seed, damages)| damaged(seed, &damages));
    prop_oneof![1 => any_bytes, 1 => any_text, 6 => from_seed]
}

/// The same inputs every time; the fuzzers are for new ones.
fn holds(name: &str) {
    let (_, promise, seeds) = PROMISES.iter().find(|(known, ..)| *known == name).expect("is listed");
    let config = Config { cases: 2_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let run = runner.run(&inputs(seeds), |bytes| {
        promise(&bytes);
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{name}: {error}"));
}

macro_rules! promises {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name));
        })*

        #[test]
        fn every_promise_is_tested() {
            let listed: Vec<&str> = PROMISES.iter().map(|(name, ..)| *name).collect();
            assert_eq!(listed, [$(stringify!($name)),*]);
        }

        #[test]
        fn every_promise_has_a_fuzz_target() {
            for name in [$(stringify!($name)),*] {
                let file = format!("{}/../fuzz/fuzz_targets/{name}.rs", env!("CARGO_MANIFEST_DIR"));
                assert!(std::path::Path::new(&file).exists(), "there is no {file}");
            }
        }
    };
}

promises! {
    addresses_and_ids
    pci_config_and_windows
    domain_xml
    hook_call
    settings_file
    api_bodies
    store_records
    sys_tree
    room_text
    nvidia_types
    nvidia_programs
    intel_shares
    gim_profiles
}
