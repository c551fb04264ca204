//! Which bodies are read, and which member a refused one is blamed on.

use super::*;

fn assign(vms: Vec<String>) -> Assign {
    Assign { vms, gpu: None, memory_bytes: None, partition: None, accept: Vec::new(), dry_run: false }
}

#[test]
fn a_selection_is_all_or_a_list() {
    assert_eq!(serde_json::from_str::<GpuSelection>("\"all\"").expect("is read"), GpuSelection::All);
    let named: GpuSelection = serde_json::from_str(r#"["gpu-a","gpu-b"]"#).expect("is read");
    assert_eq!(named, GpuSelection::Named(vec!["gpu-a".to_owned(), "gpu-b".to_owned()]));
}

#[test]
fn a_selection_that_is_neither_says_what_it_may_be() {
    for text in ["\"some\"", "7", "null", "{}", "[1]"] {
        assert!(serde_json::from_str::<GpuSelection>(text).is_err(), "{text} was read");
    }
    let error = serde_json::from_str::<GpuSelection>("\"some\"").expect_err("is refused");
    assert!(error.to_string().contains("\"all\" or a list of GPU names"), "{error}");
}

#[test]
fn a_selection_reads_back_as_it_was_written() {
    for selection in [GpuSelection::All, GpuSelection::Named(vec!["all".to_owned()])] {
        let text = serde_json::to_string(&selection).expect("is written");
        assert_eq!(serde_json::from_str::<GpuSelection>(&text).expect("is read"), selection);
    }
}

#[test]
fn a_member_that_is_not_known_is_refused() {
    assert!(serde_json::from_str::<SetPartitionCount>(r#"{"count":4,"force":true}"#).is_err());
    assert!(serde_json::from_str::<Assign>(r#"{"vms":[],"server":"a"}"#).is_err());
    assert!(serde_json::from_str::<Unassign>(r#"{"vms":[],"force":true}"#).is_err());
}

#[test]
fn exactly_one_of_count_sizes_and_off_is_accepted() {
    let of = |count, sizes: Option<&[u16]>, off| {
        SetPartitionCount { count, sizes: sizes.map(<[u16]>::to_vec), off, dry_run: false }.validate()
    };
    assert_eq!(of(Some(4), None, false), Ok(Setting::Count(4)));
    assert_eq!(of(None, Some(&[2, 4, 4]), false), Ok(Setting::Sizes(vec![2, 4, 4])));
    assert_eq!(of(None, None, true), Ok(Setting::Off));
    assert_eq!(of(Some(4), None, true), Err(InvalidRequest::CountAndOff));
    assert_eq!(of(Some(4), Some(&[2]), false), Err(InvalidRequest::CountAndOff));
    assert_eq!(of(None, Some(&[2]), true), Err(InvalidRequest::CountAndOff));
    assert_eq!(of(None, None, false), Err(InvalidRequest::NeitherCountNorOff));
}

#[test]
fn none_and_too_many_sizes_are_refused() {
    for many in [0, MAX_SIZES + 1] {
        let request =
            SetPartitionCount { count: None, sizes: Some(vec![8; many]), off: false, dry_run: false };
        assert_eq!(request.validate(), Err(InvalidRequest::SizesOutOfRange { count: many }));
    }
}

#[test]
fn sizes_are_whole_numbers_of_16_bits() {
    let read = |text: &str| serde_json::from_str::<SetPartitionCount>(&format!("{{\"sizes\":{text}}}"));
    assert_eq!(read("[2.0,4e0,4]").expect("whole").sizes, Some(vec![2, 4, 4]));
    assert_eq!(read("null").expect("none").sizes, None);
    for text in ["[65536]", "[-1]", "[2.5]", "[null]", "[\"2\"]", "2", "{}"] {
        assert!(read(text).is_err(), "{text} was read");
    }
}

#[test]
fn memory_is_a_whole_number_of_bytes() {
    let read = |text: &str| serde_json::from_str::<AssignOne>(&format!("{{\"memory_bytes\":{text}}}"));
    assert_eq!(read("21474836480.0").expect("whole").memory_bytes, Some(20 << 30));
    for text in ["-1", "0.5", "\"20GiB\"", "1e300", "[]"] {
        assert!(read(text).is_err(), "{text} was read");
    }
}

#[test]
fn a_count_that_is_not_a_number_of_16_bits_is_not_read() {
    for text in ["65536", "-1", "-1.0", "4.5", "65536.0", "1e99", "\"4\"", "true"] {
        let body = format!("{{\"count\":{text}}}");
        assert!(serde_json::from_str::<SetPartitionCount>(&body).is_err(), "{body} was read");
    }
}

#[test]
fn a_whole_number_is_read_however_it_is_written() {
    for text in ["4", "4.0", "4e0", "40e-1"] {
        let body: SetPartitionCount = serde_json::from_str(&format!("{{\"count\":{text}}}")).expect(text);
        assert_eq!(body.count, Some(4), "{text}");
    }
}

#[test]
fn a_name_that_is_too_long_is_blamed_on_its_member() {
    let request = assign(vec!["vm-001".to_owned(), "x".repeat(MAX_NAME_CHARS + 1)]);
    let wrong = request.validate().expect_err("is refused");
    assert_eq!(wrong, InvalidRequest::LongName { member: "vms[1]".to_owned(), chars: 129 });
}

#[test]
fn the_longest_name_is_accepted_in_any_script() {
    for letter in ["x", "ü", "界"] {
        assert_eq!(assign(vec![letter.repeat(MAX_NAME_CHARS)]).validate(), Ok(()));
    }
}

#[test]
fn an_empty_name_is_blamed_on_its_member() {
    let request = AssignOne { gpu: Some(String::new()), ..AssignOne::default() };
    assert_eq!(request.validate(), Err(InvalidRequest::EmptyName { member: "gpu".to_owned() }));
}

#[test]
fn too_many_names_are_refused_and_the_most_are_not() {
    let names = |count: usize| vec!["a".to_owned(); count];
    let request = |count| SetPartitionCounts {
        gpus: GpuSelection::Named(names(count)),
        count: Some(1),
        sizes: None,
        off: false,
        dry_run: false,
    };
    assert_eq!(request(MAX_NAMES).validate(), Ok(Setting::Count(1)));
    let wrong = InvalidRequest::TooManyNames { member: "gpus", count: MAX_NAMES + 1 };
    assert_eq!(request(MAX_NAMES + 1).validate(), Err(wrong));
}

#[test]
fn a_key_is_short_and_visible() {
    assert!(IdempotencyKey::new(&"k".repeat(MAX_KEY_CHARS)).is_ok());
    for text in ["", "two words", "tab\t", "schlüssel", &"k".repeat(MAX_KEY_CHARS + 1)] {
        assert_eq!(IdempotencyKey::new(text), Err(InvalidRequest::MalformedKey), "{text:?}");
    }
}
