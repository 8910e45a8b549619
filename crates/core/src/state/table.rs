//! Tables made at run time: commands on the catalogue, which is one record beside the data of the first group.

use super::cells::{Reader, Writer};
use super::failure::{Failure, Ran};
use super::member::split_founders;
use super::{Space, layout, number};
use crate::catalogue::{Catalogue, LeaderlessSpec, Shape, TableError, TableSpec};
use crate::crdt::Kind;
use crate::operation::{TableId, Value};
use crate::placement::Division;
use crate::quorum::{Preset, Rule};
use crate::store::View;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::str;

/// Replicas of a leaderless table that names no number.
const REPLICAS: u8 = 3;

/// The family of these commands: they go to the group of the catalogue, whatever their table.
pub const FAMILY: &str = "table";

/// The catalogue as it stands in the state of a group; empty if there is none.
pub fn load(view: &dyn View, space: Space) -> Catalogue {
    let mut found = None;
    view.look(&layout::plain_key(space, layout::CATALOGUE, b""), &mut |value| {
        found = Some(Catalogue::decode(value).expect("a catalogue of an unknown format"));
    });
    found.unwrap_or_default()
}

pub fn create(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let (asked, founders) = split_founders(&words[2..])?;
    let shape = Asked::parse(asked)?.to_create()?;
    change(writer, |catalogue| {
        let reply = made(&shape);
        if let Some(founders) = founders.filter(|_| shape.leaderless().is_some()) {
            catalogue.found(&founders);
        }
        catalogue.create(name(words)?, shape).map_err(refused)?;
        Ok(reply)
    })
}

pub fn alter(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let asked = Asked::parse(&words[2..])?;
    change(writer, |catalogue| {
        let shape = asked.to_alter(&find(catalogue, words)?.1.shape)?;
        let reply = made(&shape);
        catalogue.alter(name(words)?, shape).map_err(refused)?;
        Ok(reply)
    })
}

pub fn drop(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    change(writer, |catalogue| catalogue.remove(name(words)?).map_err(refused))?;
    Ok(Value::OK)
}

pub fn list(reader: Reader<'_>, _words: &[Bytes]) -> Ran {
    let catalogue = load(reader.view, reader.scope.space);
    Ok(Value::Array(catalogue.tables().map(|(id, spec)| shown(id, spec)).collect()))
}

pub fn show(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    let catalogue = load(reader.view, reader.scope.space);
    let (id, spec) = find(&catalogue, words)?;
    Ok(shown(id, spec))
}

/// Replicas of the table that these words would make or alter, so that there are never more than nodes. None if they say nothing of that.
pub fn replicas_named(words: &[Bytes]) -> Option<u8> {
    let (asked, _) = split_founders(words.get(2..)?).ok()?;
    let asked = Asked::parse(asked).ok()?;
    let made = || asked.to_create().ok()?.leaderless().map(|spec| spec.rule.replicas());
    asked.replicas.or_else(made)
}

/// Changes the catalogue, unless that fails.
pub(super) fn change<T>(
    writer: &mut Writer<'_>,
    run: impl FnOnce(&mut Catalogue) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let space = writer.scope.space;
    let mut catalogue = load(writer.reader().view, space);
    let version = catalogue.version();
    let result = run(&mut catalogue)?;
    if catalogue.version() != version {
        writer.store().put(&layout::plain_key(space, layout::CATALOGUE, b""), &catalogue.encode());
    }
    Ok(result)
}

pub(super) fn refused(why: impl fmt::Display) -> Failure {
    Failure::told(format!("ERR applied: no; {why}"))
}

pub(super) fn text(word: &[u8]) -> Option<&str> {
    str::from_utf8(word).ok()
}

fn name(words: &[Bytes]) -> Result<&str, Failure> {
    text(&words[1]).ok_or_else(|| refused(TableError::Name))
}

fn find<'a>(catalogue: &'a Catalogue, words: &[Bytes]) -> Result<(TableId, &'a TableSpec), Failure> {
    text(&words[1]).and_then(|name| catalogue.find(name)).ok_or_else(|| refused(TableError::Unknown))
}

/// `OK`, and what whoever made such a table should know.
fn made(shape: &Shape) -> Value {
    match shape.warning() {
        None => Value::OK,
        Some(warning) => Value::Status(Bytes::from(format!("OK, but {warning}"))),
    }
}

/// A table as pairs.
fn shown(id: TableId, spec: &TableSpec) -> Value {
    let number = |number: u8| Value::Int(i64::from(number));
    let mut pairs = alloc::vec![
        ("name", Value::bulk(spec.name.as_bytes())),
        ("id", Value::Int(i64::from(id.0))),
        ("shape", Value::bulk(spec.shape.word().as_bytes())),
        ("epoch", Value::Int(spec.epoch as i64)),
    ];
    if let Shape::Leaderless(policy) = &spec.shape {
        pairs.extend([
            ("replicas", number(policy.rule.replicas())),
            ("read", number(policy.rule.read())),
            ("write", number(policy.rule.write())),
            ("cell", Value::bulk(policy.kind.word().as_bytes())),
        ]);
        if policy.kind == Kind::Bounded {
            pairs.push(("bound", Value::Int(policy.bound)));
        }
        if policy.parts > 1 {
            pairs.push(("split", number(policy.parts)));
        }
        if let Division::Order(bounds) = &policy.division {
            pairs.push(("ranges", Value::Array(bounds.iter().cloned().map(Value::Bulk).collect())));
        }
    }
    if let Some(moving) = &spec.placed.moving {
        let awaited = moving.awaited.iter().map(|node| Value::Int(i64::from(node.0)));
        pairs.push(("awaited", Value::Array(awaited.collect())));
    }
    if let Some(warning) = spec.shape.warning() {
        pairs.push(("warning", Value::bulk(warning.as_bytes())));
    }
    Value::Map(pairs.into_iter().map(|(word, value)| (Value::bulk(word.as_bytes()), value)).collect())
}

/// What the words of a command name of a table.
#[derive(Default)]
struct Asked {
    leaderless: Option<bool>,
    replicas: Option<u8>,
    read: Option<u8>,
    write: Option<u8>,
    preset: Option<Preset>,
    kind: Option<Kind>,
    bound: Option<i64>,
    division: Option<Division>,
    parts: Option<u8>,
    /// The first word that only a leaderless table knows.
    policy: Option<String>,
}

impl Asked {
    fn parse(mut words: &[Bytes]) -> Result<Asked, Failure> {
        let mut asked = Asked::default();
        while let [word, rest @ ..] = words {
            let word = &*String::from_utf8_lossy(word).to_ascii_lowercase();
            let [value, rest @ ..] = rest else {
                return Err(refused(format!("'{word}' needs a value, or is no word of a table")));
            };
            words = rest;
            match word {
                "shape" => once(&mut asked.leaderless, word, is_leaderless(value)?)?,
                "replicas" => once(&mut asked.replicas, word, small(word, value)?)?,
                "read" => once(&mut asked.read, word, small(word, value)?)?,
                "write" => once(&mut asked.write, word, small(word, value)?)?,
                "bound" => once(&mut asked.bound, word, integer(word, value)?)?,
                "split" => once(&mut asked.parts, word, small(word, value)?)?,
                "preset" => {
                    let known = |preset: &Preset| value.eq_ignore_ascii_case(preset.word().as_bytes());
                    let preset = Preset::ALL.into_iter().find(known);
                    let preset = preset.ok_or_else(|| refused("a preset is fast-reads, fast-writes or balanced"))?;
                    once(&mut asked.preset, word, preset)?;
                }
                "cell" => {
                    let kind = Kind::from_word(&String::from_utf8_lossy(value).to_ascii_lowercase());
                    once(&mut asked.kind, word, kind.ok_or_else(unknown_kind)?)?;
                }
                "ranges" => {
                    let bounds = [core::slice::from_ref(value), core::mem::take(&mut words)].concat();
                    asked.division = Some(Division::Order(bounds));
                }
                _ => return Err(refused(format!("'{word}' is no word of a table"))),
            }
            if word != "shape" {
                asked.policy.get_or_insert_with(|| String::from(word));
            }
        }
        if asked.preset.is_some() && (asked.read.is_some() || asked.write.is_some()) {
            return Err(refused("a preset says what read and write are; name one or the other"));
        }
        Ok(asked)
    }

    fn to_create(&self) -> Result<Shape, Failure> {
        if self.leaderless != Some(true) {
            return self.without_policy();
        }
        let rule = Preset::Balanced.rule(self.replicas.unwrap_or(REPLICAS)).map_err(refused)?;
        self.with_policy(&LeaderlessSpec { rule, kind: Kind::Register, bound: 0, division: Division::Hash, parts: 1 })
    }

    fn to_alter(&self, before: &Shape) -> Result<Shape, Failure> {
        let leaderless = before.leaderless();
        if self.leaderless.is_some_and(|asked| asked != leaderless.is_some()) {
            return Err(refused(TableError::Fixed("shape")));
        }
        leaderless.map_or_else(|| self.without_policy(), |policy| self.with_policy(policy))
    }

    fn without_policy(&self) -> Result<Shape, Failure> {
        match &self.policy {
            None => Ok(Shape::Consensus),
            Some(word) => Err(refused(format!("a consensus table has no {word}; a table of 'shape leaderless' has"))),
        }
    }

    fn with_policy(&self, before: &LeaderlessSpec) -> Result<Shape, Failure> {
        let replicas = self.replicas.unwrap_or(before.rule.replicas());
        let rule = match self.preset {
            Some(preset) => preset.rule(replicas),
            None => {
                let (read, write) = (before.rule.read(), before.rule.write());
                Rule::new(replicas, self.read.unwrap_or(read), self.write.unwrap_or(write))
            }
        };
        Ok(Shape::Leaderless(LeaderlessSpec {
            rule: rule.map_err(refused)?,
            kind: self.kind.unwrap_or(before.kind),
            bound: self.bound.unwrap_or(before.bound),
            division: self.division.clone().unwrap_or_else(|| before.division.clone()),
            parts: self.parts.unwrap_or(before.parts),
        }))
    }
}

pub(super) fn once<T>(field: &mut Option<T>, word: &str, value: T) -> Result<(), Failure> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(refused(format!("'{word}' is said twice"))),
    }
}

fn is_leaderless(value: &[u8]) -> Result<bool, Failure> {
    if value.eq_ignore_ascii_case(b"leaderless") {
        Ok(true)
    } else if value.eq_ignore_ascii_case(b"consensus") {
        Ok(false)
    } else {
        Err(refused("a shape is consensus or leaderless"))
    }
}

pub(super) fn integer(word: &str, value: &[u8]) -> Result<i64, Failure> {
    number::integer(value).ok_or_else(|| refused(format!("'{word}' needs an integer of 64 bits")))
}

/// A number of replicas, or of parts. One that is out of bounds stays so.
fn small(word: &str, value: &[u8]) -> Result<u8, Failure> {
    Ok(integer(word, value)?.clamp(0, i64::from(u8::MAX)) as u8)
}

fn unknown_kind() -> Failure {
    let words: Vec<&str> = Kind::ALL.iter().map(|(_, word)| *word).collect();
    refused(format!("a cell is one of {}", words.join(", ")))
}
