//! How the kernel reads numbers and booleans out of what was written to a file (its `kstrto*`
//! functions): base by prefix, one trailing newline, nothing else around it.

use crate::errno::{EINVAL, ERANGE, Errno};

/// A file takes at most a page at once.
const PAGE_BYTES: usize = 4096;

/// What a store function sees: a C string of at most a page.
pub(crate) fn c_string(value: &str) -> &str {
    let mut end = value.find('\0').unwrap_or(value.len()).min(PAGE_BYTES);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}

/// Whether a written name means this one: the trailing newline does not count (`sysfs_streq`).
pub(crate) fn name(value: &str) -> &str {
    value.strip_suffix('\n').unwrap_or(value)
}

fn base_and_digits(text: &str) -> (u32, &str) {
    let bytes = text.as_bytes();
    let is_hex = bytes.len() > 2
        && bytes[0] == b'0'
        && bytes[1].eq_ignore_ascii_case(&b'x')
        && bytes[2].is_ascii_hexdigit();
    if is_hex {
        (16, &text[2..])
    } else if text.starts_with('0') {
        (8, text)
    } else {
        (10, text)
    }
}

/// `kstrtoull` with base 0, bounded by `max`.
pub(crate) fn unsigned(text: &str, max: u64) -> Result<u64, Errno> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let (base, digits) = base_and_digits(text);
    let end = digits.find(|c: char| !c.is_digit(base)).unwrap_or(digits.len());
    if end == 0 {
        return Err(EINVAL);
    }
    let value = u64::from_str_radix(&digits[..end], base).map_err(|_| ERANGE)?;
    if !matches!(&digits[end..], "" | "\n") {
        return Err(EINVAL);
    }
    if value > max { Err(ERANGE) } else { Ok(value) }
}

/// `kstrtoint` with base 0.
pub(crate) fn int(text: &str) -> Result<i32, Errno> {
    match text.strip_prefix('-') {
        Some(magnitude) => {
            let magnitude = unsigned(magnitude, 1 << 31)? as i64;
            i32::try_from(-magnitude).map_err(|_| ERANGE)
        }
        None => unsigned(text, i32::MAX as u64).map(|value| value as i32),
    }
}

/// `kstrtobool`: only the first letters count.
pub(crate) fn boolean(text: &str) -> Result<bool, Errno> {
    let mut letters = text.chars().map(|c| c.to_ascii_lowercase());
    match (letters.next(), letters.next()) {
        (Some('y' | 't' | '1'), _) | (Some('o'), Some('n')) => Ok(true),
        (Some('n' | 'f' | '0'), _) | (Some('o'), Some('f')) => Ok(false),
        _ => Err(EINVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_have_a_prefix_a_plus_and_one_newline() {
        for (text, value) in [("4", 4), ("4\n", 4), ("+4", 4), ("0x10", 16), ("010", 8), ("0", 0)] {
            assert_eq!(unsigned(text, 100), Ok(value), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_einval() {
        for text in ["", "\n", "abc", "-1", " 4", "4 ", "4\n\n", "08", "0x", "4.0"] {
            assert_eq!(unsigned(text, 100), Err(EINVAL), "{text:?}");
        }
    }

    #[test]
    fn a_number_that_does_not_fit_is_erange() {
        assert_eq!(unsigned("101", 100), Err(ERANGE));
        assert_eq!(unsigned("99999999999999999999999", u64::MAX), Err(ERANGE));
        assert_eq!(int("-2147483649"), Err(ERANGE));
        assert_eq!(int("-2147483648"), Ok(i32::MIN));
    }

    #[test]
    fn a_boolean_is_told_by_its_first_letters() {
        for (text, value) in [("1", true), ("Yes", true), ("on\n", true), ("0\n", false), ("OFF", false)] {
            assert_eq!(boolean(text), Ok(value), "{text:?}");
        }
        for text in ["", "2", "o", "maybe", " 1"] {
            assert_eq!(boolean(text), Err(EINVAL), "{text:?}");
        }
    }

    #[test]
    fn a_store_function_sees_a_c_string_of_at_most_a_page() {
        assert_eq!(c_string("4\0x"), "4");
        assert_eq!(c_string(&"ä".repeat(4000)).len(), 4096);
    }
}
