use super::*;

use std::io::Read;

fn asked(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
    let pair = |(name, value): &(header::HeaderName, &str)| {
        (name.clone(), HeaderValue::from_str(value).expect("a header's value"))
    };
    pairs.iter().map(pair).collect()
}

fn told<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("is text"))
}

fn page() -> String {
    let page = Files::get(PAGE).expect("the console was built");
    String::from_utf8(page.data.into_owned()).expect("is text")
}

#[test]
fn every_file_that_the_page_names_is_there() {
    let page = page();
    let named = page.split('"').filter(|text| text.starts_with(HASHED));
    let missing: Vec<&str> = named.filter(|path| !ASSETS.contains_key(*path)).collect();
    assert_eq!(missing, [""; 0]);
    assert_eq!(ASSETS.len(), 4, "a page, a script, a style and an icon; nothing is left from before");
}

#[test]
fn the_page_has_no_inline_script_and_no_inline_style() {
    let page = page();
    for inline in ["<script>", "<style", " style=", " onload=", " onclick=", "javascript:"] {
        assert!(!page.contains(inline), "{inline}");
    }
}

#[test]
fn the_first_view_is_below_250_kib() {
    let bytes: usize = ASSETS.values().map(|asset| asset.gzip.len()).sum();
    assert!(bytes < 250 << 10, "{bytes} bytes");
}

#[test]
fn what_is_sent_compressed_is_the_file() {
    for (path, asset) in ASSETS.iter() {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&asset.gzip[..]).read_to_end(&mut plain).expect("is gzip");
        assert!(plain == asset.plain, "{path}");
    }
}

#[test]
fn the_page_is_asked_for_again_and_what_has_a_hash_is_kept() {
    let script = ASSETS.keys().find(|path| path.ends_with(".js")).expect("there is a script");
    assert_eq!(told(&answer(script, &HeaderMap::new()), "cache-control"), FOR_EVER);
    assert_eq!(told(&answer(PAGE, &HeaderMap::new()), "cache-control"), ASK_AGAIN);
}

#[test]
fn who_has_the_file_already_is_not_sent_it_again() {
    let tag = told(&answer(PAGE, &HeaderMap::new()), "etag").to_owned();
    for tags in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
        let response = answer(PAGE, &asked(&[(header::IF_NONE_MATCH, &tags)]));
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{tags}");
    }
    let response = answer(PAGE, &asked(&[(header::IF_NONE_MATCH, "\"other\"")]));
    assert_eq!(response.status(), StatusCode::OK);
}

#[test]
fn only_who_takes_gzip_gets_gzip() {
    let table = [
        ("gzip", "gzip"),
        ("br, GZIP;q=0.5", "gzip"),
        ("br", ""),
        ("gzip;q=0", ""),
        ("identity, gzip; q=0.000", ""),
    ];
    for (takes, expected) in table {
        let response = answer(PAGE, &asked(&[(header::ACCEPT_ENCODING, takes)]));
        assert_eq!(told(&response, "content-encoding"), expected, "{takes}");
    }
}

#[test]
fn the_two_encodings_have_two_tags() {
    let compressed = answer(PAGE, &asked(&[(header::ACCEPT_ENCODING, "gzip")]));
    let plain = answer(PAGE, &HeaderMap::new());
    assert_ne!(told(&compressed, "etag"), told(&plain, "etag"));
}

#[test]
fn a_path_cannot_climb_out() {
    for path in ["../Cargo.toml", "assets/../index.html", "/etc/passwd", ""] {
        assert_eq!(answer(path, &HeaderMap::new()).status(), StatusCode::NOT_FOUND, "{path}");
    }
}
