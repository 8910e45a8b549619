//! JSON: an array of operations, or one operation a line.

use super::build::{Builder, Close};
use super::draft::{Draft, Field, Names};
use super::place::{Next, Place};
use super::source::Source;
use super::{Problem, limits};
use crate::{Datum, Event};
use std::io::Read;

/// Reads operations.
pub(super) struct Json<R> {
    parser: Parser<R>,
    names: Names,
    place: Place,
}

/// Arrays in which operations may stand.
const ARRAYS: Place = Place::new("array", &[(b'[', b']')]);

impl<R: Read> Json<R> {
    pub(super) fn new(source: Source<R>) -> Json<R> {
        Json { parser: Parser::nesting(source, limits::DEPTH), names: Names::default(), place: ARRAYS }
    }

    /// The next operation.
    pub(super) fn event(&mut self) -> Option<Result<Event, Problem>> {
        self.step().transpose()
    }

    fn step(&mut self) -> Result<Option<Event>, Problem> {
        loop {
            self.parser.skip_space();
            match self.place.next(&mut self.parser.source)? {
                Next::End => return Ok(None),
                Next::Bracket => {}
                Next::Record { separated } => {
                    if separated {
                        self.parser.expect(b',')?;
                        self.parser.skip_space();
                    }
                    let event = self.operation()?;
                    self.place.pass();
                    return Ok(Some(event));
                }
            }
        }
    }

    fn operation(&mut self) -> Result<Event, Problem> {
        self.parser.source.begin_record();
        let mut draft = Draft::new(self.parser.source.line());
        self.parser.expect(b'{')?;
        self.parser.skip_space();
        if self.parser.source.peek() == Some(b'}') {
            self.parser.source.next();
            return draft.finish();
        }
        loop {
            self.parser.skip_space();
            let field = Field::of(self.parser.string()?.as_bytes());
            self.parser.skip_space();
            self.parser.expect(b':')?;
            self.parser.skip_space();
            match (field, self.parser.source.peek()) {
                (Field::Kind | Field::Function, Some(b'"')) => {
                    let name = self.parser.string()?;
                    draft.name(field, name, &mut self.names)?;
                }
                (_, _) => {
                    let value = self.parser.value()?;
                    draft.set(field, value, &mut self.names)?;
                }
            }
            self.parser.skip_space();
            match self.parser.source.next() {
                Some(b',') => {}
                Some(b'}') => return draft.finish(),
                Some(_) => return Err(self.parser.source.problem("',' or '}' was expected in an operation")),
                None => return Err(self.parser.source.problem("the file ends in an operation")),
            }
        }
    }
}

/// Reads values.
pub(super) struct Parser<R> {
    pub(super) source: Source<R>,
    builder: Builder,
    token: Vec<u8>,
    depth: usize,
}

impl<R: Read> Parser<R> {
    /// A parser of values that are nested at most so deep.
    pub(super) fn nesting(source: Source<R>, depth: usize) -> Parser<R> {
        Parser { source, builder: Builder::default(), token: Vec::new(), depth }
    }

    #[inline]
    pub(super) fn skip_space(&mut self) {
        self.source.skip_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    }

    /// Takes this byte.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Problem> {
        match self.source.peek() {
            Some(next) if next == byte => {
                self.source.next();
                Ok(())
            }
            Some(next) => Err(self.source.problem(format!("{:?} was expected, not {}", byte as char, show(next)))),
            None => Err(self.source.problem(format!("the file ends where {:?} was expected", byte as char))),
        }
    }

    /// A whole value. Objects are maps.
    pub(super) fn value(&mut self) -> Result<Datum, Problem> {
        self.builder.clear();
        // Is a value due, or what follows one?
        let mut due = true;
        loop {
            self.skip_space();
            let Some(byte) = self.source.peek() else {
                return Err(self.source.problem("the file ends in a value"));
            };
            let keys = self.builder.in_map();
            let done = match byte {
                b']' | b'}' if !due || self.builder.is_empty() => {
                    let closed = self.builder.close(byte);
                    let done = closed.map_err(|why| self.source.problem(why))?;
                    self.source.next();
                    due = false;
                    done
                }
                _ if !due => {
                    let between = if keys.is_some_and(|count| count % 2 == 1) { b':' } else { b',' };
                    self.expect(between)?;
                    due = true;
                    None
                }
                b'"' => {
                    due = false;
                    let text = Datum::text(self.string()?);
                    self.builder.add(text)
                }
                _ if keys.is_some_and(|count| count % 2 == 0) => {
                    return Err(self.source.problem(format!("a name in quotes was expected, not {}", show(byte))));
                }
                b'[' | b'{' => {
                    if self.builder.depth() >= self.depth {
                        return Err(self.source.problem(format!("brackets are nested deeper than {}", self.depth)));
                    }
                    self.source.next();
                    self.builder.open(if byte == b'[' { Close::Square } else { Close::Map });
                    None
                }
                _ => {
                    due = false;
                    let atom = self.atom()?;
                    self.builder.add(atom)
                }
            };
            if let Some(value) = done {
                return Ok(value);
            }
        }
    }

    fn atom(&mut self) -> Result<Datum, Problem> {
        self.token.clear();
        self.source.take_while(&mut self.token, |byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        match &self.token[..] {
            b"null" => Ok(Datum::Nil),
            b"true" => Ok(Datum::Bool(true)),
            b"false" => Ok(Datum::Bool(false)),
            [] => {
                let byte = self.source.peek().unwrap_or_default();
                Err(self.source.problem(format!("a value was expected, not {}", show(byte))))
            }
            token => match std::str::from_utf8(token).ok().and_then(number) {
                Some(number) => Ok(number),
                None => Err(self.source.problem(format!("{:?} is not a value", String::from_utf8_lossy(token)))),
            },
        }
    }

    /// A text in quotes.
    pub(super) fn string(&mut self) -> Result<&str, Problem> {
        self.expect(b'"')?;
        self.token.clear();
        loop {
            self.source.take_while(&mut self.token, |byte| byte >= b' ' && byte != b'"' && byte != b'\\');
            match self.source.peek() {
                Some(b'"') => {
                    self.source.next();
                    break;
                }
                Some(b'\\') => {
                    self.source.next();
                    let escaped = self.source.next();
                    let character = match escaped {
                        Some(b'n') => '\n',
                        Some(b't') => '\t',
                        Some(b'r') => '\r',
                        Some(b'b') => '\x08',
                        Some(b'f') => '\x0c',
                        Some(byte @ (b'"' | b'\\' | b'/')) => byte as char,
                        Some(b'u') => self.source.code_point()?,
                        Some(_) => return Err(self.source.problem("an unknown escape in a text")),
                        None => return Err(self.source.problem("the file ends in a text")),
                    };
                    self.token.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(byte) => return Err(self.source.problem(format!("{} in a text", show(byte)))),
                None => return Err(self.source.problem("the file ends in a text")),
            }
        }
        std::str::from_utf8(&self.token).map_err(|_| self.source.problem("bytes that are not UTF-8"))
    }
}

/// A number as JSON writes it.
pub(super) fn number(text: &str) -> Option<Datum> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = digits.len() - digits.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if whole == 0 || (whole > 1 && digits.starts_with('0')) {
        return None;
    }
    if whole == digits.len() {
        let number = if text == "-0" { None } else { text.parse().ok() };
        return Some(number.map_or_else(|| Datum::Number(text.into()), Datum::Integer));
    }
    let (fraction, exponent) = match digits[whole..].split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (&digits[whole..], None),
    };
    let all = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = fraction.is_empty() || fraction.strip_prefix('.').is_some_and(all);
    (fraction && exponent.is_none_or(all)).then(|| Datum::Number(text.into()))
}

fn show(byte: u8) -> String {
    if byte.is_ascii_graphic() { format!("{:?}", byte as char) } else { format!("the byte {byte:#04x}") }
}

impl<R: Read> Source<R> {
    /// What follows `\u`: four digits, and the other half if they are half a character. A half alone is replaced.
    pub(super) fn code_point(&mut self) -> Result<char, Problem> {
        let first = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        for byte in *b"\\u" {
            if self.peek() != Some(byte) {
                return Ok(char::REPLACEMENT_CHARACTER);
            }
            self.next();
        }
        let second = self.four_digits()?;
        let whole = second.checked_sub(0xdc00).filter(|low| *low < 0x400);
        let whole = whole.and_then(|low| char::from_u32(0x10000 + ((first - 0xd800) << 10) + low));
        Ok(whole.unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four_digits(&mut self) -> Result<u32, Problem> {
        let mut number = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| (byte as char).to_digit(16));
            let Some(digit) = digit else { return Err(self.problem("four hexadecimal digits belong behind \\u")) };
            number = number * 16 + digit;
            self.next();
        }
        Ok(number)
    }
}
