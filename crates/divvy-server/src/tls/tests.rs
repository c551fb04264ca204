use tempfile::TempDir;

use super::*;

/// A pair of files in a folder of their own.
fn pair() -> (TempDir, Pair) {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = Pair { certificate: folder.path().join("c.pem"), key: folder.path().join("k.pem") };
    write(&pair, 2200);
    (folder, pair)
}

/// Writes a new pair that ends in this year.
fn write(pair: &Pair, year: i32) {
    let mut params = rcgen::CertificateParams::new(vec!["edge-1".to_owned()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("is signed");
    std::fs::write(&pair.certificate, certificate.pem()).expect("is written");
    std::fs::write(&pair.key, key.serialize_pem()).expect("is written");
}

fn fingerprint(tls: &Tls) -> Fingerprint {
    tls.presented().fingerprint().expect("shows one")
}

#[test]
fn files_that_are_no_pair_are_named() {
    let (_folder, good) = pair();
    let (_other_folder, other) = pair();
    let text = std::fs::read_to_string(&good.certificate).expect("is there");
    let cases = [
        Pair { certificate: "/nowhere/c.pem".into(), ..good.clone() },
        Pair { key: "/nowhere/k.pem".into(), ..good.clone() },
        Pair { key: other.key, ..good.clone() },
        Pair { certificate: good.key.clone(), key: good.key.clone() },
        Pair { key: good.certificate.clone(), ..good.clone() },
    ];
    for pair in cases {
        let error = Tls::of_files(pair.clone()).err().unwrap_or_else(|| panic!("{pair:?} was taken"));
        assert!(chain(&error).contains(".pem"), "{error}");
    }
    for broken in ["", "no PEM", &text[..text.len() / 2], &text.replace("MII", "MIX")] {
        std::fs::write(&good.certificate, broken).expect("is written");
        assert!(Tls::of_files(good.clone()).is_err(), "{broken:?} was taken");
    }
}

#[test]
fn files_that_changed_are_shown_without_a_restart() {
    let (_folder, pair) = pair();
    let mut tls = Tls::of_files(pair.clone()).expect("is good");
    let first = fingerprint(&tls);
    tls.look_again();
    assert_eq!(fingerprint(&tls), first);
    write(&pair, 2201);
    tls.look_again();
    assert_ne!(fingerprint(&tls), first);
}

#[test]
fn files_that_changed_for_the_worse_leave_the_old_certificate_and_are_told() {
    let (_folder, pair) = pair();
    let mut tls = Tls::of_files(pair.clone()).expect("is good");
    let first = fingerprint(&tls);
    std::fs::write(&pair.key, "half a key").expect("is written");
    tls.look_again();
    assert_eq!(fingerprint(&tls), first);
    assert!(matches!(tls.troubles(0).as_slice(), [Trouble::Unusable { .. }]));
    write(&pair, 2200);
    tls.look_again();
    assert_eq!(tls.troubles(0), []);
}

#[test]
fn a_certificate_that_ends_soon_is_told() {
    let (_folder, pair) = pair();
    write(&pair, 2100);
    let tls = Tls::of_files(pair).expect("is good");
    let end_ms = 4_102_444_800_000;
    let day_ms = 24 * 60 * 60 * 1000;
    assert_eq!(tls.troubles(end_ms - 15 * day_ms), []);
    assert_eq!(tls.troubles(end_ms - 3 * day_ms), [Trouble::EndsSoon { days: 3 }]);
    assert_eq!(tls.troubles(end_ms + day_ms), [Trouble::EndsSoon { days: 0 }]);
}
