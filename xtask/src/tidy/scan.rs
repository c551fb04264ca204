//! A Rust file as pieces of code, comment and string, none longer than a line. `syn` gives no comments,
//! and what tidy forbids stands in comments most of all. Knows Rust's quoting and nothing else of it.

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Code,
    Comment,
    /// Inside a string.
    Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    pub line: usize,
    pub kind: Kind,
    pub text: &'a str,
}

pub fn pieces(source: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut at, mut code_from, mut line) = (0, 0, 1);
    while at < source.len() {
        let Some((kind, bytes)) = quoted(source, at) else {
            at += source[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        push(&mut pieces, &mut line, Kind::Code, &source[code_from..at]);
        push(&mut pieces, &mut line, kind, &source[at..at + bytes]);
        at += bytes;
        code_from = at;
    }
    push(&mut pieces, &mut line, Kind::Code, &source[code_from..]);
    pieces
}

fn push<'a>(pieces: &mut Vec<Piece<'a>>, line: &mut usize, kind: Kind, text: &'a str) {
    for (nth, part) in text.split('\n').enumerate() {
        *line += usize::from(nth > 0);
        if !part.trim().is_empty() {
            pieces.push(Piece { line: *line, kind, text: part });
        }
    }
}

/// The comment, string or character that starts here, and its length in bytes.
fn quoted(source: &str, at: usize) -> Option<(Kind, usize)> {
    let rest = &source[at..];
    if rest.starts_with("//") {
        return Some((Kind::Comment, rest.find('\n').unwrap_or(rest.len())));
    }
    if rest.starts_with("/*") {
        return Some((Kind::Comment, block_comment(rest)));
    }
    let in_a_word = source[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if !in_a_word && let Some(bytes) = raw_string(rest) {
        return Some((Kind::Text, bytes));
    }
    if rest.starts_with('"') {
        return Some((Kind::Text, string(rest)));
    }
    rest.starts_with('\'').then(|| character(rest)).flatten().map(|bytes| (Kind::Text, bytes))
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`, and those of bytes and C strings.
fn raw_string(rest: &str) -> Option<usize> {
    let start = rest.strip_prefix("br").or(rest.strip_prefix("cr")).or(rest.strip_prefix('r'))?;
    let body = start.trim_start_matches('#');
    let hashes = start.len() - body.len();
    let body = body.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let before = rest.len() - body.len();
    Some(body.find(&end).map_or(rest.len(), |at| before + at + end.len()))
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        let after_escape = rest.char_indices().skip(3).find(|(_, c)| *c == '\'');
        return after_escape.map(|(at, _)| at + 1);
    }
    chars.next().filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_kind(source: &str, kind: Kind) -> Vec<(usize, &str)> {
        let pieces = pieces(source).into_iter().filter(|piece| piece.kind == kind);
        pieces.map(|piece| (piece.line, piece.text.trim())).collect()
    }

    #[test]
    fn comments_of_both_kinds_are_found_with_their_lines() {
        let source = "a // one\n/* two /* inner */\nthree */ b";
        assert_eq!(
            of_kind(source, Kind::Comment),
            [(1, "// one"), (2, "/* two /* inner */"), (3, "three */")]
        );
        assert_eq!(of_kind(source, Kind::Code), [(1, "a"), (3, "b")]);
    }

    #[test]
    fn a_comment_inside_a_string_is_a_string() {
        let source = r##"f("// no \" comment", r#"/* "no */"#) // yes"##;
        assert_eq!(of_kind(source, Kind::Comment), [(1, "// yes")]);
    }

    #[test]
    fn a_lifetime_opens_no_character() {
        let source = "fn f<'a>(x: &'a str) { '\"'; '\\''; } // end";
        assert_eq!(of_kind(source, Kind::Text), [(1, "'\"'"), (1, "'\\''")]);
        assert_eq!(of_kind(source, Kind::Comment), [(1, "// end")]);
    }

    #[test]
    fn an_open_end_is_no_panic() {
        for source in ["\"", "'", "'\\", "/*", "r#\"", "r", "b'"] {
            assert!(pieces(source).len() <= 2, "{source:?}");
        }
    }
}
