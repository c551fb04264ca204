//! One test for each script; what it promises stands in its first line.

use crate::scenario::play;

macro_rules! scenarios {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            play(stringify!($name));
        })*

        #[test]
        fn every_script_is_played() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
            let files = std::fs::read_dir(folder).expect("is there");
            let mut found: Vec<String> = files
                .map(|file| file.expect("is read").file_name().to_string_lossy().into_owned())
                .collect();
            found.sort();
            let mut played = vec![$(concat!(stringify!($name), ".txt")),*];
            played.sort_unstable();
            assert_eq!(found, played);
        }
    };
}

scenarios! {
    first_look
    partition
    assign
    one_more_than_there_are
    uneven
    unlike
    unlike_mig
    names
    other_server
    running
    accept
    dda
    pools
    claims
    cure
    desktops
    another_model_joins
    every_scheme
    mig
    sizes
    sizes_by_share
    sizes_of_turns
    lying_program
    killed_vm
}
