//! An incremental parser of requests. It remembers how far it came, so that no byte is scanned twice, and checks every
//! declared size before anything is kept for it.

use super::inline;
use bytes::Bytes;
use quorate_core::limits;
use quorate_core::operation::Words;
use std::fmt;

/// Bytes of an inline command.
pub const INLINE_BYTES: usize = 64 * 1024;
/// Bytes of a line that declares a size; more cannot be a size.
const SIZE_LINE_BYTES: usize = 32;

/// What a request may declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Arguments, the name included.
    pub arguments: usize,
    /// Bytes of one argument.
    pub argument_bytes: usize,
    /// Bytes of all arguments together.
    pub request_bytes: usize,
    /// These are the narrow bounds for clients that have not given the password.
    pub stranger: bool,
}

impl Bounds {
    /// For clients that may use the node.
    pub const KNOWN: Bounds = Bounds {
        arguments: limits::ARGUMENTS,
        argument_bytes: limits::VALUE_BYTES,
        request_bytes: limits::REQUEST_BYTES,
        stranger: false,
    };
    /// For clients that have not given the password, as in Redis.
    pub const STRANGER: Bounds =
        Bounds { arguments: 10, argument_bytes: 16 * 1024, request_bytes: 160 * 1024, stranger: true };
}

/// Bytes that are no request. The connection cannot go on, since nobody knows where the next request begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolError(Text);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    Fixed(&'static str),
    Expected(u8),
    Over(&'static str, usize, &'static str),
}

impl ProtocolError {
    pub(super) const UNBALANCED: ProtocolError = ProtocolError::fixed("unbalanced quotes in request");

    const fn fixed(text: &'static str) -> ProtocolError {
        ProtocolError(Text::Fixed(text))
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        match self.0 {
            Text::Fixed(text) => f.write_str(text),
            Text::Expected(got) => write!(f, "expected '$', got '{}'", (got as char).escape_default()),
            Text::Over(text, bound, what) => write!(f, "{text} (at most {bound} {what})"),
        }
    }
}

impl std::error::Error for ProtocolError {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte of a request.
    Start,
    /// In an inline command.
    Inline,
    /// Before an argument, with this many to come.
    Size { left: usize },
    /// In an argument of this many bytes, with this many to come after it.
    Body { bytes: usize, left: usize },
    /// A whole request was found.
    Whole,
}

/// Finds requests in a growing buffer whose first byte is the first byte of a request.
#[derive(Debug)]
pub struct Parser {
    state: State,
    /// Everything before this offset was scanned.
    at: usize,
    /// Bytes of the arguments so far, as declared.
    declared: usize,
    /// Where the arguments are.
    arguments: Vec<(u32, u32)>,
    /// The words of an inline command.
    inline: Words,
}

impl Default for Parser {
    fn default() -> Parser {
        Parser { state: State::Start, at: 0, declared: 0, arguments: Vec::new(), inline: Vec::new() }
    }
}

impl Parser {
    /// Looks for the end of the request. The buffer must begin as it did in the calls before, and may have grown.
    /// Gives the length of the request when it is whole; then [`Parser::take`] must be called with its bytes.
    pub fn find(&mut self, buffer: &[u8], bounds: &Bounds) -> Result<Option<usize>, ProtocolError> {
        loop {
            let more = match self.state {
                State::Start => self.start(buffer, bounds)?,
                State::Inline => self.inline(buffer)?,
                State::Size { left } => self.size(buffer, left, bounds)?,
                State::Body { bytes, left } => self.body(buffer, bytes, left)?,
                State::Whole => return Ok(Some(self.at)),
            };
            if !more {
                return Ok(None);
            }
        }
    }

    /// The words of the request that was found, copied, so that a small one does not pin the buffer that it came in.
    /// The parser is ready for the next. An empty line or an empty array has no words.
    pub fn take(&mut self, request: &[u8]) -> Words {
        self.words(|from, to| Bytes::copy_from_slice(&request[from..to]))
    }

    /// As [`Parser::take`], but the words are slices of the request: for large ones.
    pub fn take_slices(&mut self, request: &Bytes) -> Words {
        self.words(|from, to| request.slice(from..to))
    }

    fn words(&mut self, word: impl Fn(usize, usize) -> Bytes) -> Words {
        let words = if self.inline.is_empty() {
            self.arguments.iter().map(|&(from, to)| word(from as usize, to as usize)).collect()
        } else {
            std::mem::take(&mut self.inline)
        };
        self.arguments.clear();
        self.arguments.shrink_to(64);
        (self.state, self.at, self.declared) = (State::Start, 0, 0);
        words
    }

    fn start(&mut self, buffer: &[u8], bounds: &Bounds) -> Result<bool, ProtocolError> {
        match buffer.first() {
            None => Ok(false),
            Some(b'*') => {
                let Some((count, end)) = size_line(buffer, 1, "too big mbulk count string")? else { return Ok(false) };
                let count = count.ok_or(ProtocolError::fixed("invalid multibulk length"))?;
                self.at = end;
                self.state = match usize::try_from(count) {
                    Err(_) | Ok(0) => State::Whole,
                    Ok(count) if count > bounds.arguments && bounds.stranger => {
                        return Err(ProtocolError::fixed("unauthenticated multibulk length"));
                    }
                    Ok(count) if count > bounds.arguments => {
                        return Err(ProtocolError(Text::Over(
                            "invalid multibulk length",
                            bounds.arguments,
                            "arguments",
                        )));
                    }
                    Ok(left) => State::Size { left },
                };
                Ok(true)
            }
            Some(_) => {
                self.state = State::Inline;
                Ok(true)
            }
        }
    }

    fn inline(&mut self, buffer: &[u8]) -> Result<bool, ProtocolError> {
        let within = buffer.len().min(INLINE_BYTES);
        let Some(end) = buffer[self.at..within].iter().position(|&byte| byte == b'\n') else {
            if buffer.len() >= INLINE_BYTES {
                return Err(ProtocolError::fixed("too big inline request"));
            }
            self.at = within;
            return Ok(false);
        };
        let end = self.at + end;
        let line = &buffer[..end];
        self.inline = inline::split(line.strip_suffix(b"\r").unwrap_or(line))?;
        self.at = end + 1;
        self.state = State::Whole;
        Ok(true)
    }

    fn size(&mut self, buffer: &[u8], left: usize, bounds: &Bounds) -> Result<bool, ProtocolError> {
        match buffer.get(self.at) {
            None => return Ok(false),
            Some(b'$') => {}
            Some(&other) => return Err(ProtocolError(Text::Expected(other))),
        }
        let Some((bytes, end)) = size_line(buffer, self.at + 1, "too big bulk count string")? else {
            return Ok(false);
        };
        let bytes =
            bytes.and_then(|bytes| usize::try_from(bytes).ok()).ok_or(ProtocolError::fixed("invalid bulk length"))?;
        if bytes > bounds.argument_bytes {
            return Err(if bounds.stranger {
                ProtocolError::fixed("unauthenticated bulk length")
            } else {
                ProtocolError(Text::Over("invalid bulk length", bounds.argument_bytes, "bytes in one argument"))
            });
        }
        self.declared += bytes;
        if self.declared > bounds.request_bytes {
            return Err(ProtocolError(Text::Over("invalid bulk length", bounds.request_bytes, "bytes in one request")));
        }
        self.at = end;
        self.state = State::Body { bytes, left: left - 1 };
        Ok(true)
    }

    fn body(&mut self, buffer: &[u8], bytes: usize, left: usize) -> Result<bool, ProtocolError> {
        let end = self.at + bytes;
        let Some(line_end) = buffer.get(end..end + 2) else { return Ok(false) };
        if line_end != b"\r\n" {
            return Err(ProtocolError::fixed("expected CRLF after bulk"));
        }
        self.arguments.push((self.at as u32, end as u32));
        self.at = end + 2;
        self.state = if left == 0 { State::Whole } else { State::Size { left } };
        Ok(true)
    }
}

/// A line that declares a size, from `from` on: the number, `None` if it is none, and where the line ends.
fn size_line(
    buffer: &[u8],
    from: usize,
    too_long: &'static str,
) -> Result<Option<(Option<i64>, usize)>, ProtocolError> {
    let line = &buffer[from..buffer.len().min(from + SIZE_LINE_BYTES)];
    let Some(end) = line.iter().position(|&byte| byte == b'\r') else {
        return if line.len() == SIZE_LINE_BYTES { Err(ProtocolError::fixed(too_long)) } else { Ok(None) };
    };
    match buffer.get(from + end + 1) {
        None => Ok(None),
        Some(b'\n') => Ok(Some((number(&line[..end]), from + end + 2))),
        Some(_) => Ok(Some((None, from + end + 2))),
    }
}

/// A decimal number as Redis reads it: no plus sign, no leading zeros, no spaces.
pub fn number(digits: &[u8]) -> Option<i64> {
    let (negative, digits) = match digits {
        [b'-', rest @ ..] => (true, rest),
        all => (false, all),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value: i64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        let digit = i64::from(digit - b'0');
        value = value.checked_mul(10)?;
        value = if negative { value.checked_sub(digit)? } else { value.checked_add(digit)? };
    }
    Some(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All requests of a stream that arrives in these chunks, and the error that ended it.
    fn read(chunks: &[&[u8]]) -> (Vec<Words>, Option<ProtocolError>) {
        let (mut parser, mut buffer, mut requests) = (Parser::default(), Vec::new(), Vec::new());
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            loop {
                match parser.find(&buffer, &Bounds::KNOWN) {
                    Err(error) => return (requests, Some(error)),
                    Ok(None) => break,
                    Ok(Some(end)) => {
                        let rest = buffer.split_off(end);
                        let request = Bytes::from(std::mem::replace(&mut buffer, rest));
                        requests.push(if request.len() < 20 {
                            parser.take(&request)
                        } else {
                            parser.take_slices(&request)
                        });
                    }
                }
            }
        }
        (requests, None)
    }

    fn error_of(stream: &[u8]) -> String {
        read(&[stream]).1.map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn requests_are_found() {
        let (requests, error) =
            read(&[b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n*0\r\n*-1\r\n\r\n*1\r\n$0\r\n\r\n SET a 'b c'\n"]);
        assert_eq!(error, None);
        let requests: Vec<String> = requests.iter().map(|words| format!("{words:?}")).collect();
        assert_eq!(
            requests,
            [r#"[b"GET", b"k"]"#, r#"[b"PING"]"#, "[]", "[]", "[]", r#"[b""]"#, r#"[b"SET", b"a", b"b c"]"#]
        );
    }

    #[test]
    fn errors_have_the_texts_of_redis() {
        for (stream, text) in [
            (&b"*x\r\n"[..], "invalid multibulk length"),
            (b"*01\r\n", "invalid multibulk length"),
            (b"*100001\r\n", "invalid multibulk length (at most 100000 arguments)"),
            (b"*99999999999999999999\r\n", "invalid multibulk length"),
            (b"*1\r\n:1\r\n", "expected '$', got ':'"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"),
            (b"*1\r\n$8388609\r\n", "invalid bulk length (at most 8388608 bytes in one argument)"),
            (b"*1\r\n$1\r\nabc", "expected CRLF after bulk"),
            (b"SET \"a\r\n", "unbalanced quotes in request"),
            (&[b'*'; 40], "too big mbulk count string"),
            (&[b"*1\r\n$".as_slice(), &[b'1'; 40]].concat(), "too big bulk count string"),
            (&[b'x'; INLINE_BYTES], "too big inline request"),
        ] {
            assert_eq!(error_of(stream), format!("Protocol error: {text}"), "{:?}", stream.escape_ascii().to_string());
        }
    }

    #[test]
    fn the_arguments_of_a_request_have_a_bound_together() {
        let mut stream = b"*3\r\n".to_vec();
        for _ in 0..2 {
            stream.extend_from_slice(b"$8388608\r\n");
            stream.resize(stream.len() + 8_388_608, b'x');
            stream.extend_from_slice(b"\r\n");
        }
        assert_eq!(read(&[&stream]).1, None);
        stream.extend_from_slice(b"$1\r\n");
        assert!(error_of(&stream).ends_with("(at most 16777216 bytes in one request)"));
    }

    #[test]
    fn strangers_have_narrow_bounds() {
        let find = |stream: &[u8]| Parser::default().find(stream, &Bounds::STRANGER).unwrap_err().to_string();
        assert_eq!(find(b"*11\r\n"), "Protocol error: unauthenticated multibulk length");
        assert_eq!(find(b"*1\r\n$16385\r\n"), "Protocol error: unauthenticated bulk length");
    }

    /// Bytes that look like requests often enough to get deep into the parser.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"*2\r\n".to_vec()),
            Just(b"*1\r\n".to_vec()),
            Just(b"$1\r\nk\r\n".to_vec()),
            Just(b"$3\r\nGET\r\n".to_vec()),
            Just(b"$5\r\na\r\nb\n\r\n".to_vec()),
            Just(b"PING\r\n".to_vec()),
            Just(b"SET \"a b\" 'c'\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"*-1\r\n".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..8),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(stream in stream(), cuts in proptest::collection::vec(0usize..100, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&chunks), read(&[&stream]));
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(read(&bytes), read(&[&stream]));
        }

        #[test]
        fn what_was_written_is_read(words in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..6)) {
            let mut stream = format!("*{}\r\n", words.len()).into_bytes();
            for word in &words {
                stream.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                stream.extend_from_slice(word);
                stream.extend_from_slice(b"\r\n");
            }
            let (requests, error) = read(&[&stream]);
            prop_assert_eq!(error, None);
            prop_assert_eq!(requests, vec![words.into_iter().map(Bytes::from).collect::<Vec<_>>()]);
        }
    }
}
