//! Inline commands: a line of words, with quotes as Redis reads them.

use super::ProtocolError;
use bytes::Bytes;

/// Splits a line into words. `"…"` knows the escapes `\n \r \t \b \a \xHH`, `'…'` knows `\'`.
pub fn split(line: &[u8]) -> Result<Vec<Bytes>, ProtocolError> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Ok(words);
        }
        let (word, after) = word(rest)?;
        words.push(Bytes::from(word));
        rest = after;
    }
}

/// Reads one word; quotes may open inside of it, and must be followed by a space.
fn word(line: &[u8]) -> Result<(Vec<u8>, &[u8]), ProtocolError> {
    let mut word = Vec::new();
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' | 0 => return Ok((word, after)),
            b'"' => return double_quoted(after, word),
            b'\'' => return single_quoted(after, word),
            other => word.push(other),
        }
        rest = after;
    }
    Ok((word, rest))
}

fn double_quoted(line: &[u8], mut word: Vec<u8>) -> Result<(Vec<u8>, &[u8]), ProtocolError> {
    let mut rest = line;
    loop {
        match rest {
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |d: u8| (d as char).to_digit(16).unwrap_or(0) as u8;
                word.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            [b'\\', escaped, after @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = after;
            }
            [b'"', after @ ..] => return closed(word, after),
            [other, after @ ..] => {
                word.push(*other);
                rest = after;
            }
            [] => return Err(ProtocolError::UNBALANCED),
        }
    }
}

fn single_quoted(line: &[u8], mut word: Vec<u8>) -> Result<(Vec<u8>, &[u8]), ProtocolError> {
    let mut rest = line;
    loop {
        match rest {
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                rest = after;
            }
            [b'\'', after @ ..] => return closed(word, after),
            [other, after @ ..] => {
                word.push(*other);
                rest = after;
            }
            [] => return Err(ProtocolError::UNBALANCED),
        }
    }
}

fn closed(word: Vec<u8>, rest: &[u8]) -> Result<(Vec<u8>, &[u8]), ProtocolError> {
    match rest.first() {
        None => Ok((word, rest)),
        Some(byte) if byte.is_ascii_whitespace() => Ok((word, rest)),
        Some(_) => Err(ProtocolError::UNBALANCED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Vec<Vec<u8>>> {
        split(line.as_bytes()).ok().map(|words| words.into_iter().map(|word| word.to_vec()).collect())
    }

    #[test]
    fn quotes_are_read_as_redis_reads_them() {
        for (line, expected) in [
            ("  SET  k\tv ", Some(vec![&b"SET"[..], b"k", b"v"])),
            (r#"SET k "a b\x41\n\"" "#, Some(vec![b"SET", b"k", b"a bA\n\""])),
            (r"SET k 'a\'b\n'", Some(vec![b"SET", b"k", b"a'b\\n"])),
            (r#"SET """#, Some(vec![b"SET", b""])),
            ("", Some(vec![])),
            (r#"SET "k"#, None),
            (r#"SET "k"v"#, None),
            (r"SET 'k", None),
        ] {
            let expected = expected.map(|words| words.into_iter().map(<[u8]>::to_vec).collect());
            assert_eq!(words(line), expected, "{line}");
        }
    }
}
