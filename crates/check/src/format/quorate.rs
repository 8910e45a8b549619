//! Reads the format `quorate`, which `write` describes.

use super::source::Source;
use super::{Options, Problem, json, limits};
use crate::{Band, Datum, History, Key, Object, Operation, Recorder, Step, Value};
use std::io::Read;

/// The version that is read.
const VERSION: i64 = 1;
/// How deep brackets may be nested: a map within a map takes three, and the operation around it some more.
const DEPTH: usize = 3 * limits::DEPTH + 8;

/// Why something is not what it should be.
type Why = String;

/// Reads a history.
pub(super) fn read<R: Read>(source: Source<R>, options: &Options) -> Result<History, Problem> {
    let mut parser = json::Parser::nesting(source, DEPTH);
    parser.skip_space();
    let line = parser.source.line();
    if parser.source.peek().is_none() {
        return Err(parser.source.problem("there is no header in the file"));
    }
    let header = fields(parser.value()?).map_err(|why| Problem::at(line, why))?;
    let (mut reader, promised) = Reader::new(header, options).map_err(|why| Problem::at(line, why))?;
    loop {
        parser.skip_space();
        parser.source.begin_record();
        let line = parser.source.line();
        if parser.source.peek().is_none() {
            break;
        }
        let value = parser.value()?;
        reader.line(value, line).map_err(|why| Problem::at(line, why))?;
    }
    parser.source.failure()?;
    match promised {
        Some(promised) if promised != u64::from(reader.operations) => {
            let why = format!("the header promises {promised} operations, but {} follow", reader.operations);
            Err(Problem::at(parser.source.line(), why))
        }
        Some(_) | None => Ok(reader.recorder.finish()),
    }
}

type Fields = Vec<(Datum, Datum)>;

fn fields(value: Datum) -> Result<Fields, Why> {
    match value {
        Datum::Map(fields) => Ok(fields),
        other => Err(format!("an object in braces was expected, not {other}")),
    }
}

struct Reader {
    object: Object,
    recorder: Recorder,
    operations: u32,
    kept: u64,
    steps: Vec<Step>,
}

impl Reader {
    /// The reader for this header, and how many operations it promises.
    fn new(header: Fields, options: &Options) -> Result<(Reader, Option<u64>), Why> {
        let (mut version, mut object, mut promised, mut real_time) = (None, None, None, true);
        let (mut initial, mut initials) = (Datum::Nil, Datum::Nil);
        for (name, value) in header {
            match (name.name().unwrap_or_default(), value) {
                ("quorate-history", value) => version = value.integer(),
                ("object", value) => {
                    let found = value.name().and_then(Object::of_word);
                    object = Some(found.ok_or_else(|| format!("{value} is not an object"))?);
                }
                ("operations", value) => promised = Some(moment(&value)?),
                ("initial", value) => initial = meant(value)?,
                ("initials", value) => initials = value,
                ("real-time", Datum::Bool(truth)) => real_time = truth,
                (name, value) => return Err(format!("the header has no field {name:?} with the value {value}")),
            }
        }
        if version != Some(VERSION) {
            return Err(format!(
                "the first line is not the header of version {VERSION}: {{\"quorate-history\":{VERSION},...}}"
            ));
        }
        let Some(object) = object else { return Err("the header does not name the object".to_string()) };
        if let Some(said) = options.object.filter(|said| *said != object) {
            return Err(format!("the history is about {}, not {}", object.word(), said.word()));
        }
        let mut recorder = Recorder::new(object);
        if !real_time {
            recorder.without_real_time();
        }
        let of_all = recorder.value(&initial);
        recorder.initial_of_all(of_all);
        match initials {
            Datum::Nil => {}
            Datum::List(pairs) => {
                for pair in pairs {
                    let [key, value] = array(pair, "initials holds pairs [key, value]")?;
                    let (key, value) = (meant(key)?, meant(value)?);
                    let (key, value) = (recorder.key(&key), recorder.value(&value));
                    recorder.initial(key, value);
                }
            }
            other => return Err(format!("initials is a list, not {other}")),
        }
        if let Some(initial) = &options.initial {
            super::interpret::set_initial(&mut recorder, initial);
        }
        Ok((Reader { object, recorder, operations: 0, kept: 0, steps: Vec::new() }, promised))
    }

    fn line(&mut self, value: Datum, line: u32) -> Result<(), Why> {
        let fields = fields(value)?;
        if fields.iter().any(|(name, _)| name.name() == Some("band")) {
            return self.band(fields);
        }
        let (mut session, mut begin, mut end, mut outcome, mut time, mut steps) = (None, None, None, None, None, None);
        for (name, value) in fields {
            match (name.name().unwrap_or_default(), value) {
                ("session", value) => session = Some(meant(value)?),
                ("begin", value) => begin = Some(moment(&value)?),
                ("end", Datum::Nil) => end = None,
                ("end", value) => end = Some(moment(&value)?),
                ("outcome", Datum::Text(word)) => outcome = Some(word),
                ("time", value) => {
                    let [from, to] = array(value, "time is [begin, end]")?;
                    let to = if to == Datum::Nil { Operation::NEVER } else { moment(&to)? };
                    let from = moment(&from)?;
                    if to < from {
                        return Err(format!("the operation ends at {to} ns, before it begins at {from} ns"));
                    }
                    time = Some((from, to));
                }
                ("steps", Datum::List(list)) => steps = Some(list),
                (name, value) => return Err(format!("an operation has no field {name:?} with the value {value}")),
            }
        }
        let (Some(session), Some(begin), Some(list)) = (session, begin, steps) else {
            return Err("an operation has session, begin and steps".to_string());
        };
        if let Some(end) = end.filter(|end| *end < begin) {
            return Err(format!("the operation ends at {end}, before it begins at {begin}"));
        }
        self.steps.clear();
        for step in list {
            let step = self.step(step)?;
            self.steps.push(step);
        }
        self.operations += 1;
        self.kept += self.steps.len() as u64;
        if self.operations >= limits::OPERATIONS || self.kept > limits::STEPS {
            return Err("the history is too large: its numbers do not fit into 32 bits".to_string());
        }
        let session = self.recorder.session(&session);
        let ticket = self.recorder.begin(session, begin, line, &self.steps);
        match (outcome.as_deref(), end) {
            (Some("done"), end) => self.recorder.end(ticket, end.unwrap_or(Operation::NEVER), &self.steps),
            (Some("refused"), end) => self.recorder.refuse(ticket, end.unwrap_or(Operation::NEVER)),
            (Some("unknown"), _) | (None, None) => {}
            (None, Some(end)) => self.recorder.end(ticket, end, &self.steps),
            (Some(word), _) => return Err(format!("an outcome is done, unknown or refused, not {word:?}")),
        }
        if let Some((from, to)) = time {
            self.recorder.time_ns(ticket, from, to);
        }
        Ok(())
    }

    fn band(&mut self, fields: Fields) -> Result<(), Why> {
        let (mut what, mut from, mut to) = (None, None, None);
        for (name, value) in fields {
            match (name.name().unwrap_or_default(), value) {
                ("band", Datum::Text(text)) => what = Some(text.into_string()),
                ("from", value) => from = Some(moment(&value)?),
                ("to", value) => to = Some(moment(&value)?),
                (name, value) => return Err(format!("a band has no field {name:?} with the value {value}")),
            }
        }
        let (Some(what), Some(from), Some(to)) = (what, from, to) else {
            return Err("a band has band, from and to".to_string());
        };
        if to < from {
            return Err(format!("the band ends at {to}, before it begins at {from}"));
        }
        self.recorder.band(Band { what, from, to });
        Ok(())
    }

    fn step(&mut self, step: Datum) -> Result<Step, Why> {
        let Datum::List(list) = step else { return Err(format!("a step is a list, not {step}")) };
        let wrong = || format!("there is no such step: {}", Datum::List(list.clone()));
        let mut parts = list.iter();
        let name = parts.next().and_then(Datum::name).ok_or_else(wrong)?;
        let rest: Vec<&Datum> = parts.collect();
        let made = if name == "generate" {
            match rest[..] {
                [] => Step::Generate { value: None },
                [value] => Step::Generate { value: Some(self.value(value)?) },
                _ => return Err(wrong()),
            }
        } else {
            let Some((key, rest)) = rest.split_first() else { return Err(wrong()) };
            let key = self.key(key)?;
            self.step_of(name, key, rest)?.ok_or_else(wrong)?
        };
        if self.object.has(&made) { Ok(made) } else { Err(format!("a {} has no step {name}", self.object.word())) }
    }

    /// A step of a key by its name. `None` if there is none of that name with so many parts of these kinds.
    fn step_of(&mut self, name: &str, key: Key, rest: &[&Datum]) -> Result<Option<Step>, Why> {
        Ok(Some(match (name, rest) {
            ("read", []) => Step::Read { key, value: None },
            ("read", [value]) => Step::Read { key, value: Some(self.value(value)?) },
            ("write", [value]) => Step::Write { key, value: self.value(value)? },
            ("cas", [from, to]) => Step::Cas { key, from: self.value(from)?, to: self.value(to)?, took: None },
            ("cas", [from, to, Datum::Bool(took)]) => {
                Step::Cas { key, from: self.value(from)?, to: self.value(to)?, took: Some(*took) }
            }
            ("append", [value]) => Step::Append { key, value: self.value(value)? },
            ("read-list", []) => Step::ReadList { key, list: None },
            ("read-list", [Datum::List(items)]) => {
                self.kept += items.len() as u64;
                let items: Result<Vec<Value>, Why> = items.iter().map(|item| self.value(item)).collect();
                Step::ReadList { key, list: Some(self.recorder.list(&items?)) }
            }
            ("add", [Datum::Integer(by)]) => Step::Add { key, by: *by },
            ("count", []) => Step::Count { key, number: None },
            ("count", [Datum::Integer(number)]) => Step::Count { key, number: Some(*number) },
            ("insert", [value]) => Step::Insert { key, value: self.value(value)? },
            ("remove", [value]) => Step::Remove { key, value: self.value(value)? },
            ("contains", [value]) => Step::Contains { key, value: self.value(value)?, there: None },
            ("contains", [value, Datum::Bool(there)]) => {
                Step::Contains { key, value: self.value(value)?, there: Some(*there) }
            }
            ("take", []) => Step::Take { key, value: None },
            ("take", [value]) => Step::Take { key, value: Some(self.value(value)?) },
            ("acquire", []) => Step::Acquire { key, token: None },
            ("acquire", [Datum::Integer(token)]) => Step::Acquire { key, token: Some(*token) },
            ("release", []) => Step::Release { key, token: None },
            ("release", [Datum::Integer(token)]) => Step::Release { key, token: Some(*token) },
            ("guarded", [Datum::Integer(token)]) => Step::Guarded { key, token: *token },
            ("digest", [updates, state]) => {
                Step::Digest { key, updates: self.value(updates)?, state: self.value(state)? }
            }
            _ => return Ok(None),
        }))
    }

    fn value(&mut self, value: &Datum) -> Result<Value, Why> {
        match value {
            Datum::List(_) | Datum::Map(_) => Ok(self.recorder.value(&meant(value.clone())?)),
            plain => Ok(self.recorder.value(plain)),
        }
    }

    fn key(&mut self, key: &Datum) -> Result<Key, Why> {
        match key {
            Datum::List(_) | Datum::Map(_) => Ok(self.recorder.key(&meant(key.clone())?)),
            plain => Ok(self.recorder.key(plain)),
        }
    }
}

/// The value that the JSON means: objects stand for maps and odd numbers. Its depth is bounded by that of the file.
fn meant(value: Datum) -> Result<Datum, Why> {
    match value {
        Datum::List(list) => Ok(Datum::List(list.into_iter().map(meant).collect::<Result<_, _>>()?)),
        Datum::Map(fields) => match <[(Datum, Datum); 1]>::try_from(fields) {
            Ok([(name, Datum::Text(text))]) if name.name() == Some("number") => Ok(Datum::Number(text)),
            Ok([(name, Datum::List(list))]) if name.name() == Some("map") => {
                let mut pairs = Vec::with_capacity(list.len());
                for pair in list {
                    let [key, value] = array(pair, "a map holds pairs [key, value]")?;
                    pairs.push((meant(key)?, meant(value)?));
                }
                pairs.sort_by(|one: &(Datum, Datum), other| one.0.cmp(&other.0));
                match pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                    Some(pair) => Err(format!("a map has the key {} twice", pair[0].0)),
                    None => Ok(Datum::Map(pairs)),
                }
            }
            _ => Err("an object as a value is {\"map\":[[key,value],...]} or {\"number\":\"...\"}".to_string()),
        },
        plain => Ok(plain),
    }
}

fn array<const N: usize>(value: Datum, why: &str) -> Result<[Datum; N], Why> {
    let shown = || format!("{why}, which this is not");
    match value {
        Datum::List(list) => <[Datum; N]>::try_from(list).map_err(|_| shown()),
        _ => Err(shown()),
    }
}

/// A whole number from 0 that fits into 64 bits.
fn moment(value: &Datum) -> Result<u64, Why> {
    let number = match value {
        Datum::Integer(number) => u64::try_from(*number).ok(),
        Datum::Number(text) => text.parse().ok(),
        _ => None,
    };
    number
        .filter(|number| *number != Operation::NEVER)
        .ok_or_else(|| format!("a whole number from 0 was expected, not {value}"))
}
