//! EDN, the notation of Clojure, as far as histories use it.

use super::build::{Builder, Close};
use super::draft::{Draft, Field, Names};
use super::place::{Next, Place};
use super::source::Source;
use super::{Problem, limits};
use crate::{Datum, Event};
use std::io::Read;

/// Reads operations from a list of maps, or from maps one after another.
pub(super) struct Edn<R> {
    parser: Parser<R>,
    names: Names,
    place: Place,
}

/// Lists in which operations may stand.
const LISTS: Place = Place::new("list", &[(b'[', b']'), (b'(', b')')]);

impl<R: Read> Edn<R> {
    pub(super) fn new(source: Source<R>) -> Edn<R> {
        Edn { parser: Parser::new(source), names: Names::default(), place: LISTS }
    }

    /// The next operation.
    pub(super) fn event(&mut self) -> Option<Result<Event, Problem>> {
        self.step().transpose()
    }

    fn step(&mut self) -> Result<Option<Event>, Problem> {
        loop {
            self.parser.skip_space()?;
            let line = self.parser.source.line();
            match self.place.next(&mut self.parser.source)? {
                Next::End => return Ok(None),
                Next::Bracket => {}
                Next::Record { .. } => {
                    self.parser.source.begin_record();
                    if let Some(event) = self.item(line)? {
                        self.place.pass();
                        return Ok(Some(event));
                    }
                }
            }
        }
    }

    /// A map, perhaps behind tags, or something that is to be left out.
    fn item(&mut self, line: u32) -> Result<Option<Event>, Problem> {
        loop {
            self.parser.skip_space()?;
            match self.parser.source.peek() {
                Some(b'{') => {
                    self.parser.source.next();
                    return self.operation(line).map(Some);
                }
                Some(b'#') => {
                    self.parser.source.next();
                    if self.parser.source.peek() == Some(b'_') {
                        self.parser.source.next();
                        self.parser.value()?;
                        return Ok(None);
                    }
                    self.parser.token();
                    if self.parser.token.is_empty() {
                        return Err(self.parser.source.problem("a map of an operation was expected behind #"));
                    }
                }
                Some(byte) => {
                    let why = format!("a map of an operation was expected, not {}", show(byte));
                    return Err(self.parser.source.problem(why));
                }
                None => return Err(self.parser.source.problem("the file ends where an operation was expected")),
            }
        }
    }

    /// The rest of a map.
    fn operation(&mut self, line: u32) -> Result<Event, Problem> {
        let mut draft = Draft::new(line);
        loop {
            self.parser.skip_space()?;
            let field = match self.parser.source.peek() {
                Some(b'}') => {
                    self.parser.source.next();
                    return draft.finish();
                }
                Some(b':') => {
                    self.parser.token();
                    Field::of(&self.parser.token[1..])
                }
                Some(b'#') => {
                    self.parser.source.next();
                    if self.parser.source.next() != Some(b'_') {
                        return Err(self.parser.source.problem("the name of a field was expected, not #"));
                    }
                    self.parser.value()?;
                    continue;
                }
                Some(_) => match self.parser.value()? {
                    Datum::Text(text) => Field::of(text.as_bytes()),
                    _ => Field::Other,
                },
                None => return Err(self.parser.source.problem("the file ends in an operation")),
            };
            self.parser.skip_space()?;
            match (field, self.parser.source.peek()) {
                (Field::Kind | Field::Function, Some(b':')) => {
                    self.parser.token();
                    let name = self.parser.text(1)?;
                    draft.name(field, name, &mut self.names)?;
                }
                (Field::Other, Some(byte)) if byte.is_ascii_alphanumeric() => {
                    self.parser.token();
                    self.parser.text(0)?;
                }
                (_, Some(b'}') | None) => return Err(self.parser.source.problem("a field has no value")),
                (_, Some(_)) => {
                    let value = self.parser.value()?;
                    draft.set(field, value, &mut self.names)?;
                }
            }
        }
    }
}

fn show(byte: u8) -> String {
    if byte.is_ascii_graphic() { format!("{:?}", byte as char) } else { format!("the byte {byte:#04x}") }
}

/// Reads values.
pub(super) struct Parser<R> {
    pub(super) source: Source<R>,
    builder: Builder,
    token: Vec<u8>,
}

const SPACE: u8 = 1;
const END: u8 = 2;

/// What a byte means to a token.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let (space, end) = (b" \t\n\r,\x0b\x0c", b"()[]{}\";");
    let mut at = 0;
    while at < space.len() {
        class[space[at] as usize] = SPACE;
        at += 1;
    }
    at = 0;
    while at < end.len() {
        class[end[at] as usize] = END;
        at += 1;
    }
    class
};

impl<R: Read> Parser<R> {
    pub(super) fn new(source: Source<R>) -> Parser<R> {
        Parser { source, builder: Builder::default(), token: Vec::new() }
    }

    /// White space, commas and comments.
    #[inline]
    pub(super) fn skip_space(&mut self) -> Result<(), Problem> {
        loop {
            self.source.skip_while(|byte| CLASS[byte as usize] == SPACE);
            if self.source.peek() != Some(b';') {
                return Ok(());
            }
            self.comment()?;
        }
    }

    fn comment(&mut self) -> Result<(), Problem> {
        self.token.clear();
        self.source.take_while(&mut self.token, |byte| byte != b'\n');
        self.text(0).map(|_| ())
    }

    /// A whole value.
    pub(super) fn value(&mut self) -> Result<Datum, Problem> {
        self.builder.clear();
        loop {
            self.skip_space()?;
            let Some(byte) = self.source.peek() else {
                return Err(self.source.problem("the file ends where a value was expected"));
            };
            let done = match byte {
                b'[' | b'(' => self.open(if byte == b'[' { Close::Square } else { Close::Round })?,
                b'{' => self.open(Close::Map)?,
                b']' | b')' | b'}' => {
                    let closed = self.builder.close(byte);
                    let done = closed.map_err(|why| self.source.problem(why))?;
                    self.source.next();
                    done
                }
                b'#' => self.dispatch()?,
                b'^' => {
                    self.source.next();
                    self.hold(|builder| builder.discard())?
                }
                b'"' => {
                    let text = self.string()?;
                    self.builder.add(text)
                }
                b'\\' => {
                    let text = self.character()?;
                    self.builder.add(text)
                }
                _ => {
                    let atom = self.atom()?;
                    self.builder.add(atom)
                }
            };
            if let Some(value) = done {
                return Ok(value);
            }
        }
    }

    fn open(&mut self, close: Close) -> Result<Option<Datum>, Problem> {
        self.source.next();
        self.hold(|builder| builder.open(close))
    }

    /// Something that waits for its end.
    fn hold(&mut self, what: impl FnOnce(&mut Builder)) -> Result<Option<Datum>, Problem> {
        if self.builder.depth() >= limits::DEPTH {
            return Err(self.source.problem(format!("brackets are nested deeper than {}", limits::DEPTH)));
        }
        what(&mut self.builder);
        Ok(None)
    }

    /// What begins with `#`: sets, tags, what is to be left out, symbolic numbers, patterns, and objects that cannot be read back.
    fn dispatch(&mut self) -> Result<Option<Datum>, Problem> {
        self.source.next();
        match self.source.peek() {
            Some(b'{') => self.open(Close::Set),
            Some(b'_') => {
                self.source.next();
                self.hold(|builder| builder.discard())
            }
            Some(b'"') => {
                let text = self.string()?;
                Ok(self.builder.add(text))
            }
            Some(b'#') => {
                self.source.next();
                self.token();
                let name = self.text(0)?;
                if !matches!(name, "Inf" | "-Inf" | "NaN") {
                    let why = format!("##{name} is not a number");
                    return Err(self.source.problem(why));
                }
                let number = Datum::Number(name.into());
                Ok(self.builder.add(number))
            }
            Some(b'<') => {
                let text = self.unreadable()?;
                Ok(self.builder.add(text))
            }
            Some(byte) if CLASS[byte as usize] == 0 => {
                self.token();
                self.text(0)?;
                self.hold(|builder| builder.tag())
            }
            Some(_) | None => Err(self.source.problem("nothing that is known follows #")),
        }
    }

    /// `#<...>`, as old versions print objects.
    fn unreadable(&mut self) -> Result<Datum, Problem> {
        self.token.clear();
        let mut depth = 0;
        while let Some(byte) = self.source.next() {
            self.token.push(byte);
            match byte {
                b'<' => depth += 1,
                b'>' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return self.text(0).map(Datum::text);
            }
        }
        Err(self.source.problem("the file ends in #<"))
    }

    /// Takes a token: everything up to white space or a bracket.
    fn token(&mut self) {
        self.token.clear();
        self.source.take_while(&mut self.token, |byte| CLASS[byte as usize] == 0);
    }

    /// The token from this byte on.
    fn text(&self, from: usize) -> Result<&str, Problem> {
        let text = std::str::from_utf8(&self.token[from..]);
        text.map_err(|_| self.source.problem("bytes that are not UTF-8"))
    }

    fn atom(&mut self) -> Result<Datum, Problem> {
        self.token();
        let Some(&first) = self.token.first() else {
            let byte = self.source.peek().unwrap_or_default();
            return Err(self.source.problem(format!("a value was expected, not {}", show(byte))));
        };
        let digit = match first {
            b'+' | b'-' => self.token.get(1).copied().unwrap_or_default(),
            _ => first,
        };
        if digit.is_ascii_digit() {
            let number = number(&self.token);
            return number.ok_or_else(|| {
                let text = String::from_utf8_lossy(&self.token);
                self.source.problem(format!("{text:?} is not a number"))
            });
        }
        match (first, &self.token[..]) {
            (_, b"nil") => Ok(Datum::Nil),
            (_, b"true") => Ok(Datum::Bool(true)),
            (_, b"false") => Ok(Datum::Bool(false)),
            (b':', [_]) => Err(self.source.problem("a keyword without a name")),
            (b':', _) => self.text(1).map(Datum::text),
            (_, _) => self.text(0).map(Datum::text),
        }
    }

    fn string(&mut self) -> Result<Datum, Problem> {
        self.source.next();
        self.token.clear();
        loop {
            self.source.take_while(&mut self.token, |byte| !matches!(byte, b'"' | b'\\' | b'\n'));
            match self.source.next() {
                Some(b'"') => return self.text(0).map(Datum::text),
                Some(b'\\') => {
                    let escaped = self.source.next();
                    let character = match escaped {
                        Some(b'n') => '\n',
                        Some(b't') => '\t',
                        Some(b'r') => '\r',
                        Some(b'b') => '\x08',
                        Some(b'f') => '\x0c',
                        Some(b'0') => '\0',
                        Some(byte @ (b'"' | b'\\' | b'/' | b'\'')) => byte as char,
                        Some(b'u') => self.source.code_point()?,
                        Some(_) => return Err(self.source.problem("an unknown escape in a text")),
                        None => return Err(self.source.problem("the file ends in a text")),
                    };
                    self.token.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(byte) => self.token.push(byte),
                None => return Err(self.source.problem("the file ends in a text")),
            }
        }
    }

    fn character(&mut self) -> Result<Datum, Problem> {
        self.source.next();
        let first = self.source.next();
        self.token();
        self.token.splice(0..0, first);
        let text = self.text(0)?;
        let code = text.strip_prefix('u').filter(|rest| rest.len() == 4);
        let named = match text {
            "newline" => Some('\n'),
            "space" => Some(' '),
            "tab" => Some('\t'),
            "return" => Some('\r'),
            "formfeed" => Some('\x0c'),
            "backspace" => Some('\x08'),
            _ => code.and_then(|code| char::from_u32(u32::from_str_radix(code, 16).ok()?)),
        };
        let mut characters = text.chars();
        match (named, characters.next(), characters.next()) {
            (Some(named), _, _) => Ok(Datum::text(named.encode_utf8(&mut [0; 4]))),
            (None, Some(one), None) => Ok(Datum::text(one.encode_utf8(&mut [0; 4]))),
            (None, _, _) => Err(self.source.problem("a character without a name")),
        }
    }
}

/// What a token that begins like a number is.
fn number(token: &[u8]) -> Option<Datum> {
    if let Some(number) = small(token) {
        return Some(Datum::Integer(number));
    }
    let text = std::str::from_utf8(token).ok()?;
    let (sign, digits) = match text.as_bytes()[0] {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    if let Some(hexadecimal) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        let number = i64::from_str_radix(&format!("{sign}{hexadecimal}"), 16);
        let all = !hexadecimal.is_empty() && hexadecimal.bytes().all(|byte| byte.is_ascii_hexdigit());
        return all.then(|| number.map_or_else(|_| Datum::Number(text.into()), Datum::Integer));
    }
    let whole = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let stripped = digits.strip_suffix('N').unwrap_or(digits);
    if whole(stripped) {
        let number = format!("{sign}{stripped}");
        return Some(number.parse().map_or_else(|_| Datum::Number(number.into()), Datum::Integer));
    }
    if let Some((above, below)) = digits.split_once('/') {
        return (whole(above) && whole(below)).then(|| Datum::Number(text.into()));
    }
    let decimal = digits.strip_suffix('M').unwrap_or(digits);
    let plain = decimal.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    (plain && decimal.parse::<f64>().is_ok()).then(|| Datum::Number(text.into()))
}

/// A whole number, of any size.
pub(super) fn whole(token: &[u8]) -> Option<Datum> {
    let digits = token.strip_prefix(b"-").unwrap_or(token);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    small(token).map(Datum::Integer).or_else(|| number(token))
}

/// A whole number of at most 18 digits.
#[inline]
fn small(token: &[u8]) -> Option<i64> {
    let (negative, digits) = match token {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, token),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut number = 0;
    for byte in digits {
        number = number * 10 + i64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
    }
    Some(if negative { -number } else { number })
}
