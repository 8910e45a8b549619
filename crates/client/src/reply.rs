//! Replies in the shapes of RESP2 and RESP3, and their decoder.

use bytes::Bytes;
use std::fmt;

/// How deep arrays may nest. Deeper replies are refused as malformed.
pub const DEPTH: usize = 32;
/// The longest line of a header, in bytes. A longer one is refused as malformed.
const LINE_BYTES: usize = 64 * 1024;
/// The largest bulk or aggregate length that is believed. A larger one is refused as malformed.
const LENGTH: u64 = 512 * 1024 * 1024;

/// A reply of the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Nothing there.
    Nil,
    /// A number.
    Int(i64),
    /// A number with a fraction.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// Bytes.
    Bulk(Bytes),
    /// A short word, such as OK.
    Status(Bytes),
    /// An error: its first word is its kind.
    Error(Bytes),
    /// A list.
    Array(Vec<Reply>),
    /// Pairs.
    Map(Vec<(Reply, Reply)>),
    /// Distinct members.
    Set(Vec<Reply>),
    /// Something that the server says unasked.
    Push(Vec<Reply>),
}

/// The bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server sent bytes that are no reply of the Redis protocol")
    }
}

impl std::error::Error for Malformed {}

impl Reply {
    /// The bytes of a bulk, a status or an error.
    pub fn bytes(&self) -> Option<&Bytes> {
        match self {
            Reply::Bulk(bytes) | Reply::Status(bytes) | Reply::Error(bytes) => Some(bytes),
            Reply::Nil
            | Reply::Int(_)
            | Reply::Double(_)
            | Reply::Bool(_)
            | Reply::Array(_)
            | Reply::Map(_)
            | Reply::Set(_)
            | Reply::Push(_) => None,
        }
    }
    /// The text of a bulk or a status, with bytes that are not UTF-8 replaced.
    pub fn text(&self) -> Option<String> {
        self.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }
    /// The number of an integer, or of a bulk that spells one.
    pub fn number(&self) -> Option<i64> {
        if let Reply::Int(number) = self {
            return Some(*number);
        }
        std::str::from_utf8(self.bytes()?).ok()?.parse().ok()
    }
    /// The elements of a list, a set or a push.
    pub fn items(&self) -> Option<&[Reply]> {
        match self {
            Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => Some(items),
            Reply::Nil
            | Reply::Int(_)
            | Reply::Double(_)
            | Reply::Bool(_)
            | Reply::Bulk(_)
            | Reply::Status(_)
            | Reply::Error(_)
            | Reply::Map(_) => None,
        }
    }
    /// The value of a field, in a map or in a flat list of fields and values.
    pub fn field(&self, name: &str) -> Option<&Reply> {
        let is_named = |key: &Reply| key.bytes().is_some_and(|bytes| bytes.eq_ignore_ascii_case(name.as_bytes()));
        if let Reply::Map(pairs) = self {
            return pairs.iter().find(|(key, _)| is_named(key)).map(|(_, value)| value);
        }
        self.items()?.chunks_exact(2).find(|pair| is_named(&pair[0])).map(|pair| &pair[1])
    }
}

/// As `redis-cli` shows replies to people: strings bare, lists numbered.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Nil => f.write_str("(nil)"),
            Reply::Int(number) => write!(f, "{number}"),
            Reply::Double(number) => write!(f, "{number}"),
            Reply::Bool(value) => write!(f, "{value}"),
            Reply::Bulk(bytes) | Reply::Status(bytes) | Reply::Error(bytes) => {
                f.write_str(&String::from_utf8_lossy(bytes))
            }
            Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => {
                if items.is_empty() {
                    return f.write_str("(empty)");
                }
                for (at, item) in items.iter().enumerate() {
                    write!(f, "{}{}) {item}", if at > 0 { "\n" } else { "" }, at + 1)?;
                }
                Ok(())
            }
            Reply::Map(pairs) => {
                for (at, (key, value)) in pairs.iter().enumerate() {
                    write!(f, "{}{key}: {value}", if at > 0 { "\n" } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

/// Reads one reply from the start of `bytes`: the reply and how many bytes it took, or `None` if more bytes are needed.
pub fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Malformed> {
    let mut at = 0;
    Ok(value(bytes, &mut at, DEPTH)?.map(|reply| (reply, at)))
}

/// How many bytes the reply at the start of `bytes` takes, without building it; `None` if more bytes are needed.
pub fn frame(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let mut at = 0;
    let mut open = 1u64;
    while open > 0 {
        let Some((kind, line)) = header(bytes, &mut at)? else { return Ok(None) };
        open -= 1;
        match kind {
            b'+' | b'-' | b':' | b',' | b'#' | b'(' | b'_' => {}
            b'$' | b'=' | b'!' => {
                if let Some(length) = length(line)? {
                    at += length + 2;
                    if at > bytes.len() {
                        return Ok(None);
                    }
                }
            }
            b'*' | b'~' | b'>' => open += length(line)?.unwrap_or(0) as u64,
            b'%' => open += 2 * length(line)?.unwrap_or(0) as u64,
            _ => return Err(Malformed),
        }
    }
    Ok(Some(at))
}

fn value(bytes: &[u8], at: &mut usize, depth: usize) -> Result<Option<Reply>, Malformed> {
    if depth == 0 {
        return Err(Malformed);
    }
    let Some((kind, line)) = header(bytes, at)? else { return Ok(None) };
    let own = |line: &[u8]| Bytes::copy_from_slice(line);
    Ok(match kind {
        b'+' => Some(Reply::Status(own(line))),
        b'-' => Some(Reply::Error(own(line))),
        b':' => Some(Reply::Int(number(line)?)),
        b',' => Some(Reply::Double(text(line)?.parse().map_err(|_| Malformed)?)),
        b'(' => Some(Reply::Bulk(own(line))),
        b'_' => Some(Reply::Nil),
        b'#' => Some(Reply::Bool(match line {
            b"t" => true,
            b"f" => false,
            _ => return Err(Malformed),
        })),
        b'$' => bulk(bytes, at, line)?.map(|found| found.map_or(Reply::Nil, |bulk| Reply::Bulk(own(bulk)))),
        b'!' => bulk(bytes, at, line)?.map(|found| found.map_or(Reply::Nil, |bulk| Reply::Error(own(bulk)))),
        b'=' => bulk(bytes, at, line)?
            .map(|found| found.map_or(Reply::Nil, |bulk| Reply::Bulk(own(bulk.get(4..).unwrap_or(bulk))))),
        b'*' => aggregate(bytes, at, line, 1, depth)?.map(|items| items.map_or(Reply::Nil, Reply::Array)),
        b'~' => aggregate(bytes, at, line, 1, depth)?.map(|items| items.map_or(Reply::Nil, Reply::Set)),
        b'>' => aggregate(bytes, at, line, 1, depth)?.map(|items| items.map_or(Reply::Nil, Reply::Push)),
        b'%' => aggregate(bytes, at, line, 2, depth)?.map(|items| items.map_or(Reply::Nil, pairs)),
        _ => return Err(Malformed),
    })
}

/// The type byte and the rest of the line; leaves `at` behind the line.
fn header<'a>(bytes: &'a [u8], at: &mut usize) -> Result<Option<(u8, &'a [u8])>, Malformed> {
    let rest = &bytes[(*at).min(bytes.len())..];
    let Some(end) = rest.iter().take(LINE_BYTES).position(|&byte| byte == b'\n') else {
        return if rest.len() >= LINE_BYTES { Err(Malformed) } else { Ok(None) };
    };
    if end < 2 || rest[end - 1] != b'\r' {
        return Err(Malformed);
    }
    *at += end + 1;
    Ok(Some((rest[0], &rest[1..end - 1])))
}

/// `Ok(None)`: more bytes are needed. `Ok(Some(None))`: the null bulk of RESP2.
#[allow(clippy::type_complexity)]
fn bulk<'a>(bytes: &'a [u8], at: &mut usize, line: &[u8]) -> Result<Option<Option<&'a [u8]>>, Malformed> {
    let Some(length) = length(line)? else { return Ok(Some(None)) };
    let Some(body) = bytes.get(*at..*at + length + 2) else { return Ok(None) };
    if !body.ends_with(b"\r\n") {
        return Err(Malformed);
    }
    *at += length + 2;
    Ok(Some(Some(&body[..length])))
}

/// `Ok(None)`: more bytes are needed. `Ok(Some(None))`: the null array of RESP2.
fn aggregate(
    bytes: &[u8],
    at: &mut usize,
    line: &[u8],
    each: usize,
    depth: usize,
) -> Result<Option<Option<Vec<Reply>>>, Malformed> {
    let Some(length) = length(line)? else { return Ok(Some(None)) };
    let mut items = Vec::with_capacity((length * each).min(1024));
    for _ in 0..length * each {
        let Some(item) = value(bytes, at, depth - 1)? else { return Ok(None) };
        items.push(item);
    }
    Ok(Some(Some(items)))
}

fn pairs(items: Vec<Reply>) -> Reply {
    let mut items = items.into_iter();
    let mut pairs = Vec::with_capacity(items.len() / 2);
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    Reply::Map(pairs)
}

fn length(line: &[u8]) -> Result<Option<usize>, Malformed> {
    match number(line)? {
        -1 => Ok(None),
        length if (0..=LENGTH as i64).contains(&length) => Ok(Some(length as usize)),
        _ => Err(Malformed),
    }
}

fn number(line: &[u8]) -> Result<i64, Malformed> {
    text(line)?.parse().map_err(|_| Malformed)
}

fn text(line: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(line).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn every_shape_is_read_and_only_when_it_is_whole() {
        for (text, reply) in [
            ("+OK\r\n", Reply::Status(Bytes::from_static(b"OK"))),
            ("-ERR no\r\n", Reply::Error(Bytes::from_static(b"ERR no"))),
            (":-5\r\n", Reply::Int(-5)),
            (",1.5\r\n", Reply::Double(1.5)),
            ("#t\r\n", Reply::Bool(true)),
            ("_\r\n", Reply::Nil),
            ("$-1\r\n", Reply::Nil),
            ("*-1\r\n", Reply::Nil),
            ("$3\r\na\r\n\r\n", bulk("a\r\n")),
            ("=5\r\ntxt:a\r\n", bulk("a")),
            ("!5\r\nERR a\r\n", Reply::Error(Bytes::from_static(b"ERR a"))),
            ("*2\r\n:1\r\n$1\r\na\r\n", Reply::Array(vec![Reply::Int(1), bulk("a")])),
            ("~1\r\n:1\r\n", Reply::Set(vec![Reply::Int(1)])),
            (">1\r\n:1\r\n", Reply::Push(vec![Reply::Int(1)])),
            ("%1\r\n$1\r\na\r\n:1\r\n", Reply::Map(vec![(bulk("a"), Reply::Int(1))])),
            ("*0\r\n", Reply::Array(vec![])),
        ] {
            let bytes = text.as_bytes();
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "{text:?} cut at {cut}");
                assert_eq!(frame(&bytes[..cut]), Ok(None), "{text:?} cut at {cut}");
            }
            let more = [bytes, b"+NEXT\r\n"].concat();
            assert_eq!(parse(&more), Ok(Some((reply, bytes.len()))), "{text:?}");
            assert_eq!(frame(&more), Ok(Some(bytes.len())), "{text:?}");
        }
    }

    #[test]
    fn garbage_is_refused_and_not_waited_for() {
        for text in
            ["?\r\n", "\r\n", "+OK\n", ":x\r\n", "$-2\r\n", "$1\r\nabc", "#x\r\n", "*999999999999\r\n", "$x\r\n"]
        {
            assert_eq!(parse(text.as_bytes()), Err(Malformed), "{text:?}");
        }
        assert_eq!(parse("*1\r\n".repeat(DEPTH + 1).as_bytes()), Err(Malformed));
        assert_eq!(parse(&vec![b'+'; LINE_BYTES]), Err(Malformed));
    }

    #[test]
    fn fields_are_found_in_maps_and_in_flat_lists() {
        let map = Reply::Map(vec![(bulk("term"), Reply::Int(7))]);
        let flat = Reply::Array(vec![bulk("term"), Reply::Int(7)]);
        assert_eq!(map.field("TERM"), Some(&Reply::Int(7)));
        assert_eq!(flat.field("term"), Some(&Reply::Int(7)));
        assert_eq!(flat.field("role"), None);
    }
}
