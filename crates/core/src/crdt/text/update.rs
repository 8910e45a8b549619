//! Updates as Yjs encodes them (v1): what clients made, each piece with its neighbours at that moment, and what was deleted.
//!
//! Everything is named by who made it and the how-manieth it was, so updates can be joined without knowing the order of the
//! text. What is no text (formats, embedded objects, other types of the same document) is carried as it is.

use super::wire::{NUMBER_END, Reader, put_bytes, put_number};
use super::{Id, Malformed};
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

const GONE: u8 = 0;
const DELETED: u8 = 1;
const JSON: u8 = 2;
const BINARY: u8 = 3;
const STRING: u8 = 4;
const EMBED: u8 = 5;
const FORMAT: u8 = 6;
const TYPE: u8 = 7;
const ANY: u8 = 8;
const DOCUMENT: u8 = 9;
const SKIP: u8 = 10;
/// The part of the first byte that says what it is; the others say what stands before the content.
const KIND: u8 = 0x1F;
const HAS_ORIGIN: u8 = 0x80;
const HAS_RIGHT: u8 = 0x40;
const HAS_KEY: u8 = 0x20;

/// What was put into a document. Lengths are in units: UTF-16 for text, as editors count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// What was deleted, and dropped.
    Deleted,
    /// Text.
    Text(Cow<'a, str>),
    /// Values, one unit each, as they are encoded.
    List { kind: u8, values: Vec<&'a [u8]> },
    /// One unit, as it is encoded.
    One { kind: u8, bytes: &'a [u8] },
}

/// What a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent<'a> {
    /// The same as its neighbours.
    OfNeighbours,
    /// A named part of the document.
    Root(&'a str),
    /// A type that stands in the document.
    Item(Id),
}

/// A piece with the units that stood beside it when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    pub origin: Option<Id>,
    pub right: Option<Id>,
    pub parent: Parent<'a>,
    pub key: Option<&'a str>,
    pub content: Content<'a>,
}

/// Units that one client made one after the other: from a number on, up to but not including another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    pub clock: u64,
    pub end: u64,
    pub body: Body<'a>,
}

/// What the units of a run are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// Deleted with the type that it stood in: not even the place is kept.
    Gone,
    Item(Item<'a>),
}

/// Numbers of units: from, and up to but not including.
pub type Ranges = BTreeMap<u64, Vec<(u64, u64)>>;

/// For each client the number of units that are known from the first on.
pub type Vector = BTreeMap<u64, u64>;

/// An update, or all that is known of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update<'a> {
    /// For each client its runs, in order and without overlap; there may be gaps.
    pub runs: BTreeMap<u64, Vec<Run<'a>>>,
    /// What was deleted: in order, without overlap.
    pub deleted: Ranges,
}

impl<'a> Update<'a> {
    /// Reads an update.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn decode(bytes: &'a [u8]) -> Result<Update<'a>, Malformed> {
        let (mut reader, mut update) = (Reader::new(bytes), Update::default());
        for _ in 0..reader.number()? {
            let count = reader.number()?;
            let client = reader.number()?;
            let mut clock = reader.number()?;
            let mut runs = Vec::new();
            for _ in 0..count {
                let (body, length) = read_body(&mut reader)?;
                let end = after(clock, length)?;
                if let Some(body) = body.filter(|_| length > 0) {
                    runs.push(Run { clock, end, body });
                }
                clock = end;
            }
            if update.runs.insert(client, runs).is_some() {
                return Err(Malformed::Twice);
            }
        }
        update.runs.retain(|_, runs| !runs.is_empty());
        for _ in 0..reader.number()? {
            let client = reader.number()?;
            let ranges = update.deleted.entry(client).or_default();
            for _ in 0..reader.number()? {
                let from = reader.number()?;
                ranges.push((from, after(from, reader.number()?)?));
            }
        }
        update.deleted.values_mut().for_each(unite);
        update.deleted.retain(|_, ranges| !ranges.is_empty());
        if reader.is_empty() { Ok(update) } else { Err(Malformed::Long) }
    }

    /// The update as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_number(&mut out, self.runs.len() as u64);
        // Yjs writes the greatest client first.
        for (&client, runs) in self.runs.iter().rev() {
            let gaps = runs.windows(2).filter(|pair| pair[0].end < pair[1].clock).count();
            let first = runs.first().map_or(0, |run| run.clock);
            put_number(&mut out, (runs.len() + gaps) as u64);
            put_number(&mut out, client);
            put_number(&mut out, first);
            let mut clock = first;
            for run in runs {
                if clock < run.clock {
                    out.push(SKIP);
                    put_number(&mut out, run.clock - clock);
                }
                run.encode(&mut out);
                clock = run.end;
            }
        }
        put_number(&mut out, self.deleted.len() as u64);
        for (&client, ranges) in self.deleted.iter().rev() {
            put_number(&mut out, client);
            put_number(&mut out, ranges.len() as u64);
            for &(from, end) in ranges {
                put_number(&mut out, from);
                put_number(&mut out, end - from);
            }
        }
        out
    }
}

/// The number after so many more.
fn after(clock: u64, length: u64) -> Result<u64, Malformed> {
    let end = clock + length;
    if end < NUMBER_END { Ok(end) } else { Err(Malformed::Number) }
}

/// Puts ranges in order, and joins those that touch.
pub fn unite(ranges: &mut Vec<(u64, u64)>) {
    ranges.sort_unstable();
    let mut united: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for &(from, end) in ranges.iter().filter(|(from, end)| from < end) {
        match united.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(end),
            _ => united.push((from, end)),
        }
    }
    *ranges = united;
}

/// A run without its number, none if it only leaves a gap; and how many units it spans.
fn read_body<'a>(reader: &mut Reader<'a>) -> Result<(Option<Body<'a>>, u64), Malformed> {
    let info = reader.byte()?;
    match info & KIND {
        GONE => return Ok((Some(Body::Gone), reader.number()?)),
        SKIP => return Ok((None, reader.number()?)),
        _ => {}
    }
    let mut id_if = |flag| if info & flag != 0 { Id::read(reader).map(Some) } else { Ok(None) };
    let (origin, right) = (id_if(HAS_ORIGIN)?, id_if(HAS_RIGHT)?);
    let alone = origin.is_none() && right.is_none();
    let parent = match alone {
        false => Parent::OfNeighbours,
        true if reader.number()? == 1 => Parent::Root(reader.string()?),
        true => Parent::Item(Id::read(reader)?),
    };
    let key = if alone && info & HAS_KEY != 0 { Some(reader.string()?) } else { None };
    let (content, length) = Content::read(info & KIND, reader)?;
    Ok((Some(Body::Item(Item { origin, right, parent, key, content })), length))
}

impl Id {
    fn read(reader: &mut Reader<'_>) -> Result<Id, Malformed> {
        Ok(Id { client: reader.number()?, clock: reader.number()? })
    }
    fn write(self, out: &mut Vec<u8>) {
        put_number(out, self.client);
        put_number(out, self.clock);
    }
}

impl<'a> Content<'a> {
    /// The content, and how many units it is.
    fn read(kind: u8, reader: &mut Reader<'a>) -> Result<(Content<'a>, u64), Malformed> {
        let skip_string = |reader: &mut Reader<'a>| reader.string().map(drop);
        let bytes = match kind {
            DELETED => return Ok((Content::Deleted, reader.number()?)),
            STRING => {
                let text = reader.string()?;
                return Ok((Content::Text(Cow::Borrowed(text)), units(text)));
            }
            JSON | ANY => {
                let mut values = Vec::new();
                for _ in 0..reader.number()? {
                    values.push(if kind == JSON { reader.over(skip_string)? } else { reader.over(Reader::any)? });
                }
                let length = values.len() as u64;
                return Ok((Content::List { kind, values }, length));
            }
            BINARY => reader.over(|reader| reader.bytes().map(drop))?,
            EMBED => reader.over(skip_string)?,
            FORMAT => reader.over(|reader| reader.string().and(reader.string()).map(drop))?,
            TYPE => reader.over(|reader| match reader.number()? {
                // An array, a map, a text, a fragment and a text of XML.
                0 | 1 | 2 | 4 | 6 => Ok(()),
                // An element and a hook of XML, with their names.
                3 | 5 => reader.string().map(drop),
                _ => Err(Malformed::Kind),
            })?,
            DOCUMENT => reader.over(|reader| {
                reader.string()?;
                reader.any()
            })?,
            _ => return Err(Malformed::Kind),
        };
        Ok((Content::One { kind, bytes }, 1))
    }
    fn kind(&self) -> u8 {
        match self {
            Content::Deleted => DELETED,
            Content::Text(_) => STRING,
            Content::List { kind, .. } | Content::One { kind, .. } => *kind,
        }
    }
    fn write(&self, length: u64, out: &mut Vec<u8>) {
        match self {
            Content::Deleted => put_number(out, length),
            Content::Text(text) => put_bytes(out, text.as_bytes()),
            Content::List { values, .. } => {
                put_number(out, length);
                values.iter().for_each(|value| out.extend_from_slice(value));
            }
            Content::One { bytes, .. } => out.extend_from_slice(bytes),
        }
    }
    /// Do its units count when positions are counted? A format is a mark between them.
    pub fn counts(&self) -> bool {
        !matches!(self, Content::Deleted | Content::One { kind: FORMAT, .. })
    }
    /// Can it be dropped once it is deleted? A type is needed by what stands in it, and a format by nothing that is long.
    pub fn can_be_dropped(&self) -> bool {
        match self {
            Content::Text(_) | Content::List { .. } => true,
            Content::One { kind, .. } => matches!(*kind, BINARY | EMBED),
            Content::Deleted => false,
        }
    }
    /// Cuts it after so many of its units, more than none and fewer than all.
    pub fn split_off(&mut self, at: u64, length: u64) -> Content<'a> {
        match self {
            Content::Deleted => Content::Deleted,
            Content::Text(text) => {
                let (left, right) = split_text(text, at, length);
                *self = Content::Text(left);
                Content::Text(right)
            }
            Content::List { kind, values } => Content::List { kind: *kind, values: values.split_off(at as usize) },
            Content::One { kind, .. } => unreachable!("a unit of kind {kind} is not cut"),
        }
    }
}

/// How many UTF-16 units a text is.
pub fn units(text: &str) -> u64 {
    if text.is_ascii() { text.len() as u64 } else { text.encode_utf16().count() as u64 }
}

/// The byte at which a unit of a text begins, and whether the unit is the second half of a character. A half begins after
/// its character.
pub fn byte_of_unit(text: &str, unit: u64, length: u64) -> (usize, bool) {
    if text.len() as u64 == length {
        // A byte for each unit.
        return (unit as usize, false);
    }
    let mut units = 0;
    for (byte, character) in text.char_indices() {
        if units >= unit {
            return (byte, units > unit);
        }
        units += character.len_utf16() as u64;
    }
    (text.len(), units > unit)
}

/// Cuts a text. Each half of a character that is cut in two becomes U+FFFD, as in Yjs.
fn split_text<'a>(text: &Cow<'a, str>, at: u64, length: u64) -> (Cow<'a, str>, Cow<'a, str>) {
    let (byte, within) = byte_of_unit(text, at, length);
    if within {
        let begin = text[..byte].char_indices().next_back().map_or(0, |(begin, _)| begin);
        let (left, right) = ([&text[..begin], "\u{FFFD}"].concat(), ["\u{FFFD}", &text[byte..]].concat());
        return (Cow::Owned(left), Cow::Owned(right));
    }
    match text {
        Cow::Borrowed(text) => (Cow::Borrowed(&text[..byte]), Cow::Borrowed(&text[byte..])),
        Cow::Owned(text) => (Cow::Owned(String::from(&text[..byte])), Cow::Owned(String::from(&text[byte..]))),
    }
}

impl<'a> Run<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        let length = self.end - self.clock;
        let item = match &self.body {
            Body::Gone => {
                out.push(GONE);
                return put_number(out, length);
            }
            Body::Item(item) => item,
        };
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.push(
            item.content.kind()
                | flag(item.origin.is_some(), HAS_ORIGIN)
                | flag(item.right.is_some(), HAS_RIGHT)
                | flag(item.key.is_some(), HAS_KEY),
        );
        item.origin.into_iter().chain(item.right).for_each(|id| id.write(out));
        match item.parent {
            Parent::OfNeighbours => {}
            Parent::Root(name) => {
                put_number(out, 1);
                put_bytes(out, name.as_bytes());
            }
            Parent::Item(id) => {
                put_number(out, 0);
                id.write(out);
            }
        }
        if let Some(key) = item.key {
            put_bytes(out, key.as_bytes());
        }
        item.content.write(length, out);
    }
    /// Cuts it before one of its units but the first: what follows stood behind what goes before.
    pub fn split_off(&mut self, client: u64, clock: u64) -> Run<'a> {
        let body = match &mut self.body {
            Body::Gone => Body::Gone,
            Body::Item(item) => {
                let origin = Some(Id { client, clock: clock - 1 });
                let content = item.content.split_off(clock - self.clock, self.end - self.clock);
                Body::Item(Item { origin, right: item.right, parent: Parent::OfNeighbours, key: None, content })
            }
        };
        let end = core::mem::replace(&mut self.end, clock);
        Run { clock, end, body }
    }
}

/// Reads what an editor says that it knows.
///
/// # Errors
/// What is wrong with the bytes.
pub fn decode_vector(bytes: &[u8]) -> Result<Vector, Malformed> {
    let (mut reader, mut vector) = (Reader::new(bytes), Vector::new());
    for _ in 0..reader.number()? {
        let client = reader.number()?;
        vector.insert(client, reader.number()?);
    }
    if reader.is_empty() { Ok(vector) } else { Err(Malformed::Long) }
}

/// A vector as bytes, the greatest client first, as Yjs writes it.
pub fn encode_vector(vector: &Vector) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, vector.len() as u64);
    for (&client, &clock) in vector.iter().rev() {
        put_number(&mut out, client);
        put_number(&mut out, clock);
    }
    out
}
