use divvy_core::id::{PartitionIndex, VmId};
use proptest::prelude::*;

use super::*;

fn keys() -> [Key; 6] {
    let server = ServerId::new("server-1.example").expect("is a name");
    let gpu = GpuId::new("gpu-48b02d").expect("is a name");
    let partition = PartitionId::new(&gpu, PartitionIndex(3));
    let vm = VmId::new("00000000-0000-4000-8000-000000000001").expect("is a name");
    [
        Key::Generation(server.clone()),
        Key::Setting(server.clone(), gpu.clone()),
        Key::Assignment(server.clone(), vm),
        Key::Hold(server.clone(), partition),
        Key::Returning(server.clone(), gpu.clone()),
        Key::Pool(server, gpu),
    ]
}

#[test]
fn the_names_of_records_stay_what_they_are() {
    let names = keys().map(|key| key.to_string());
    assert_eq!(
        names,
        [
            "generation/server-1.example",
            "setting/server-1.example/gpu-48b02d",
            "assignment/server-1.example/00000000-0000-4000-8000-000000000001",
            "hold/server-1.example/gpu-48b02d.3",
            "returning/server-1.example/gpu-48b02d",
            "pool/server-1.example/gpu-48b02d",
        ]
    );
}

#[test]
fn a_key_reads_back_what_it_prints() {
    for key in keys() {
        assert_eq!(Key::parse(&key.to_string()).expect("parses"), key);
    }
}

#[test]
fn what_is_no_name_of_a_record_is_refused_and_named() {
    for text in ["", "head", "setting/a", "setting/a b/gpu-1", "shelf/a/b", "generation/a/b", "hold/a/gpu-1"]
    {
        let error = Key::parse(text).expect_err("is no name");
        assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
    }
}

#[test]
fn the_bytes_of_a_record_stay_what_they_are() {
    let record = Record::seal("generation/a", &Generation(41)).expect("seals");
    assert_eq!((record.schema, record.value.get()), (1, "41"));
    assert_eq!(record.checksum, crc32c::crc32c(b"generation/a\0\x01\0\0\0\0\0\0\x0041"));
}

#[test]
fn every_flipped_bit_is_noticed_and_the_record_named() {
    let record = Record::seal("generation/a", &Generation(1_234_567)).expect("seals");
    for bit in 0..record.value.get().len() * 8 {
        let mut value = record.value.get().as_bytes().to_vec();
        value[bit / 8] ^= 1 << (bit % 8);
        let error = RawRecord { value: &value, ..record.raw() }.unseal::<Generation>("generation/a");
        assert!(error.expect_err("was flipped").to_string().contains("generation/a"));
    }
    for bit in 0..63 {
        let flipped = RawRecord { checksum: record.raw().checksum ^ (1 << bit), ..record.raw() };
        assert!(matches!(flipped.unseal::<Generation>("generation/a"), Err(RecordError::Checksum { .. })));
    }
}

#[test]
fn a_record_under_another_name_is_noticed() {
    let record = Record::seal("generation/a", &Generation(1)).expect("seals");
    let moved = record.raw().unseal::<Generation>("generation/b");
    assert!(matches!(moved, Err(RecordError::Checksum { .. })));
}

#[test]
fn a_record_of_a_newer_schema_is_refused_as_such() {
    let schema = i64::from(SCHEMA) + 1;
    let checksum = i64::from(checksum("generation/a", schema, b"{}"));
    let newer = RawRecord { schema, value: b"{}", checksum };
    let error = newer.unseal::<Generation>("generation/a").expect_err("is newer");
    assert!(matches!(error, RecordError::Newer { found: 2, .. }), "{error}");
}

#[test]
fn a_sound_record_with_the_wrong_content_is_refused() {
    let record = Record::seal("generation/a", &"text").expect("seals");
    let error = record.raw().unseal::<Generation>("generation/a").expect_err("is no number");
    assert!(matches!(error, RecordError::Malformed { .. }), "{error}");
}

#[test]
fn an_assignment_under_the_name_of_another_vm_is_refused() {
    let [_, _, key, ..] = keys();
    let assignment = serde_json::json!({
        "vm": "00000000-0000-4000-8000-000000000002", "vm_name": "vm-002", "partition": "gpu-1.0"
    });
    let record = Record::seal(&key.to_string(), &assignment).expect("seals");
    let error = key.unseal_into(&record.raw(), &mut Desired::default()).expect_err("is another VM");
    assert!(matches!(error, RecordError::Misplaced { .. }), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_make_reading_a_record_panic(value: Vec<u8>, schema: i64, checksum: i64, name: String) {
        let refused = RawRecord { schema, value: &value, checksum }.unseal::<Assignment>(&name);
        prop_assert!(refused.is_err());
        prop_assert!(Key::parse(&name).is_err() || name.contains('/'));
    }
}
