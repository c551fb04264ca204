//! The types that a partition of an NVIDIA GPU can have, as the driver prints them. Their numbers are
//! read and never known: they belong to one product, and later drivers bring more. The end of a name
//! tells the rest: `A40-4Q` has 4 GiB for workstations, `H100-1-10C` is on a part of the GPU of its own.

use std::cmp::Reverse;

use crate::attribute::parse_decimal;

/// For whom a type is, worst first: a partition for any use is a Q where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Series {
    /// Applications that are streamed.
    A,
    /// Desktops.
    B,
    /// Computing.
    C,
    /// Workstations: everything.
    Q,
}

/// One type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    pub id: u32,
    pub name: String,
    pub series: Series,
    pub gib: u32,
    /// On a part of the GPU of so many sevenths; None: all partitions take turns.
    pub part: Option<u32>,
    /// How many there can be, where the driver tells.
    pub most: Option<u16>,
}

impl Type {
    /// None: it does not end as the name of a type does.
    pub fn parse(id: u32, name: &str) -> Option<Self> {
        let mut words = name.rsplit('-');
        let last = words.next()?;
        let digits = last.bytes().take_while(u8::is_ascii_digit).count();
        let (size, kind) = last.split_at(digits);
        let series = match kind.bytes().next()? {
            b'A' => Series::A,
            b'B' => Series::B,
            b'C' => Series::C,
            b'Q' => Series::Q,
            _ => return None,
        };
        // 1B4 of older drivers, 1-5CME with the engines for films.
        let is_known = kind[1..].bytes().all(|byte| byte.is_ascii_digit()) || &kind[1..] == "ME";
        let part = words.next().and_then(parse_decimal);
        let gib = parse_decimal(size).filter(|gib| *gib > 0)?;
        is_known.then(|| Self { id, name: name.to_owned(), series, gib, part, most: None })
    }
}

/// What `creatable_vgpu_types` lists. `1145  : NVIDIA L40S-1B` on real servers, `NVIDIA A40-1Q 557` in
/// NVIDIA's guide. Lines that are neither are passed over: a head, or what a later driver adds.
pub fn parse_list(text: &str) -> Vec<Type> {
    let line = |line: &str| {
        let number_first =
            line.split_once(':').and_then(|(id, name)| Some((parse_decimal(id.trim())?, name)));
        let number_last = || {
            line.trim()
                .rsplit_once(char::is_whitespace)
                .and_then(|(name, id)| Some((parse_decimal(id)?, name)))
        };
        let (id, name) = number_first.or_else(number_last)?;
        Type::parse(id, name.trim())
    };
    text.lines().filter_map(line).collect()
}

/// All types of a GPU, as `nvidia-smi vgpu -s -v` prints them, each with the profile of the part that it
/// takes, if it takes one. A type is a block of lines, of which the first is `vGPU Type ID : 0x392`.
pub fn parse_supported(text: &str) -> Vec<(Option<u32>, Type)> {
    let mut found = Vec::new();
    let (mut id, mut name) = (None, None);
    for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
        match (key.trim(), value.trim()) {
            ("vGPU Type ID", number) => {
                id = number.strip_prefix("0x").and_then(|digits| u32::from_str_radix(digits, 16).ok());
                name = None;
            }
            ("Name", value) => name = Some(value),
            ("GPU Instance Profile ID", number) => {
                let known = || Some((parse_decimal(number), Type::parse(id?, name?)?));
                found.extend(known());
            }
            _ => {}
        }
    }
    found
}

/// Those of them that do not need the GPU to be cut into parts.
pub fn parse_of_whole_gpu(text: &str) -> Vec<Type> {
    parse_supported(text).into_iter().filter(|(profile, _)| profile.is_none()).map(|(_, one)| one).collect()
}

/// Number and size in a mediated type's `description`: `framebuffer=2048M, …, max_instance=4`.
pub fn parse_description(text: &str) -> (Option<u32>, Option<u16>) {
    let member = |name: &str| {
        let mut pairs = text.split([',', '\n']).filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
    };
    let mib = member("framebuffer").and_then(|value| parse_decimal(value.strip_suffix('M')?));
    (mib, member("max_instance").and_then(parse_decimal))
}

/// The type for so many equal partitions: the largest that fits so often, for the widest use. Where the
/// driver tells how many there can be, that counts; else the sizes.
pub fn best(types: &[Type], count: u16, whole_gib: u32) -> Option<&Type> {
    let fits = |one: &&Type| match one.most {
        Some(most) => most >= count,
        None => one.gib.checked_mul(u32::from(count)).is_some_and(|all| all <= whole_gib),
    };
    best_first(types.iter().filter(fits)).first().copied()
}

/// The one with the most memory first; of those, the one of the widest use.
pub fn best_first<'a>(types: impl Iterator<Item = &'a Type>) -> Vec<&'a Type> {
    let mut types: Vec<&Type> = types.collect();
    types.sort_by_key(|one| (Reverse(one.gib), Reverse(one.series), one.id));
    types
}

/// For an error's text.
pub fn names<'a>(types: impl IntoIterator<Item = &'a Type>) -> String {
    let names: Vec<&str> = types.into_iter().map(|one| one.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(names: &[&str]) -> Vec<Type> {
        let parse = |(id, name): (usize, &&str)| Type::parse(id as u32 + 1, name).expect("a type");
        names.iter().enumerate().map(parse).collect()
    }

    #[test]
    fn the_end_of_a_name_tells_series_size_and_part() {
        for (name, series, gib, part) in [
            ("NVIDIA A40-4Q", Series::Q, 4, None),
            ("GRID M10-2Q", Series::Q, 2, None),
            ("NVIDIA L40S-1B", Series::B, 1, None),
            ("GRID T4-2B4", Series::B, 2, None),
            ("NVIDIA A10-24A", Series::A, 24, None),
            ("NVIDIA H200X-141C", Series::C, 141, None),
            ("NVIDIA H200X-1-18C", Series::C, 18, Some(1)),
            ("NVIDIA A100-1-5CME", Series::C, 5, Some(1)),
            ("NVIDIA RTX Pro 6000 Blackwell DC-2-48Q", Series::Q, 48, Some(2)),
        ] {
            let one = Type::parse(7, name).expect(name);
            assert_eq!((one.series, one.gib, one.part), (series, gib, part), "{name}");
        }
    }

    #[test]
    fn what_does_not_end_as_a_type_is_none() {
        for name in [
            "",
            "vGPU Name",
            "NVIDIA A40",
            "A40-Q",
            "A40-0Q",
            "A40-4X",
            "A40-4Qx",
            "A40-99999999999Q",
            "A40-4",
        ] {
            assert_eq!(Type::parse(1, name), None, "{name:?}");
        }
    }

    #[test]
    fn both_ways_to_write_the_list_say_the_same() {
        let servers = "ID    : vGPU Name\n557  : NVIDIA A40-1Q\n558  : NVIDIA A40-2Q\n";
        let guides = "NVIDIA A40-1Q 557\nNVIDIA A40-2Q 558\n";
        let listed = parse_list(servers);
        assert_eq!(listed.iter().map(|one| one.id).collect::<Vec<_>>(), [557, 558]);
        assert_eq!(parse_list(guides), listed);
    }

    #[test]
    fn an_empty_list_is_one_without_types() {
        assert_eq!(parse_list("ID    : vGPU Name\n"), []);
        assert_eq!(parse_list(""), []);
    }

    #[test]
    fn a_description_tells_memory_and_number() {
        let text =
            "num_heads=4, frl_config=60, framebuffer=2048M, max_resolution=4096x2160, max_instance=4\n";
        assert_eq!(parse_description(text), (Some(2048), Some(4)));
        assert_eq!(parse_description("num_heads=4"), (None, None));
    }

    #[test]
    fn the_largest_that_fits_is_taken_and_q_before_the_others() {
        let a40 = types(&["A40-48A", "A40-16C", "A40-16Q", "A40-16A", "A40-12Q", "A40-8C", "A40-1B"]);
        for (count, name) in [(1, "A40-48A"), (2, "A40-16Q"), (3, "A40-16Q"), (4, "A40-12Q"), (6, "A40-8C")] {
            assert_eq!(best(&a40, count, 48).map(|one| one.name.as_str()), Some(name), "{count}");
        }
        assert_eq!(best(&a40, 49, 48), None);
    }

    #[test]
    fn where_the_driver_tells_how_many_that_counts_and_not_the_size() {
        let mut halves = types(&["H100XL-47C"]);
        assert_eq!(best(&halves, 3, 141), best(&halves, 1, 94));
        halves[0].most = Some(2);
        assert!(best(&halves, 2, 93).is_some());
        assert_eq!(best(&halves, 3, 141), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text: String, count: u16, whole: u32) {
            let listed = parse_list(&text);
            let _ = best(&listed, count, whole);
            let _ = parse_description(&text);
            let _ = parse_supported(&text);
        }

        #[test]
        fn what_looks_like_a_list_is_read_whole(
            rows in proptest::collection::vec((0_u32..10_000, "[A-Z][A-Z0-9]{1,6}", 1_u32..200, "[QABC]"), 0..20),
            number_first: bool,
        ) {
            let line = |(id, product, gib, series): &(u32, String, u32, String)| {
                let name = format!("NVIDIA {product}-{gib}{series}");
                if number_first { format!("{id}  : {name}\n") } else { format!("{name} {id}\n") }
            };
            let text: String = rows.iter().map(line).collect();
            let ids: Vec<u32> = parse_list(&text).iter().map(|one| one.id).collect();
            proptest::prop_assert_eq!(ids, rows.iter().map(|row| row.0).collect::<Vec<_>>());
        }

        #[test]
        fn what_is_taken_fits(count in 1_u16..40, sizes in proptest::collection::vec(1_u32..100, 1..8)) {
            let names: Vec<String> = sizes.iter().map(|gib| format!("X-{gib}Q")).collect();
            let types: Vec<Type> = names.iter().filter_map(|name| Type::parse(1, name)).collect();
            if let Some(one) = best(&types, count, 96) {
                proptest::prop_assert!(one.gib * u32::from(count) <= 96);
            }
        }
    }
}
