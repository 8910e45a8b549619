//! From the rows of a log to a history.

use super::bands::Bands;
use super::function::{Phrase, Style, answers, token};
use super::initial::{Accounts, Registers};
use super::lanes::Lanes;
use super::object::{Evidence, Verb, admits, widened};
use super::{Format, Options, Problem, limits};
use crate::event::{Event, Kind, Process};
use crate::{Datum, History, Object, Recorder, Session, Step, Ticket, Value};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Takes rows one by one. They wait until it is clear what the history is about.
pub(super) struct Interpreter {
    format: Format,
    options: Options,
    evidence: Evidence,
    waiting: Vec<Event>,
    writer: Option<Writer>,
    line: u32,
}

impl Interpreter {
    pub(super) fn new(format: Format, options: &Options) -> Interpreter {
        let mut evidence = Evidence::new(options.object);
        match format {
            Format::PorcupineKv => {
                evidence.object.get_or_insert(Object::Kv);
                evidence.pairs = Some(false);
            }
            Format::JepsenLog => evidence.pairs = Some(false),
            Format::JepsenEdn | Format::Json | Format::Plume | Format::Awdit | Format::Quorate => {}
        }
        Interpreter { format, options: options.clone(), evidence, waiting: Vec::new(), writer: None, line: 1 }
    }

    /// The next row.
    pub(super) fn event(&mut self, event: Event) -> Result<(), Problem> {
        self.line = event.line;
        if let Some(writer) = &mut self.writer {
            return writer.event(event);
        }
        let were_pairs_known = self.evidence.pairs.is_some();
        self.evidence.look_for_pairs(&event);
        if self.evidence.pairs.is_some() {
            if !were_pairs_known {
                self.waiting.iter().for_each(|event| self.evidence.look_for_object(event));
            }
            self.evidence.look_for_object(&event);
        }
        let (line, is_unknown) = (event.line, is_unknown(&event));
        self.waiting.push(event);
        if is_unknown {
            return self.start();
        }
        if self.waiting.len() > limits::WAITING {
            let why =
                format!("after {} rows it is not clear what the history is about; name the object", limits::WAITING);
            return Err(Problem::at(line, why));
        }
        if self.evidence.pairs.is_some() && self.evidence.object.is_some() { self.start() } else { Ok(()) }
    }

    fn start(&mut self) -> Result<(), Problem> {
        let pairs = self.evidence.settle_pairs();
        self.waiting.iter().for_each(|event| self.evidence.look_for_object(event));
        let object = self.evidence.settle_object();
        let mut writer = Writer::new(self.format, object, pairs, &self.options);
        std::mem::take(&mut self.waiting).into_iter().try_for_each(|event| writer.event(event))?;
        self.writer = Some(writer);
        Ok(())
    }

    /// There are no more rows.
    pub(super) fn finish(mut self) -> Result<History, Problem> {
        let line = self.line;
        if self.writer.is_none() {
            if self.waiting.is_empty() {
                return Err(Problem::at(line, "there is no operation in the file"));
            }
            self.start()?;
        }
        match self.writer {
            Some(writer) => writer.finish(),
            None => Err(Problem::at(line, "there is no operation in the file")),
        }
    }
}

/// A function that nobody knows ends the wait: the writer will say so.
fn is_unknown(event: &Event) -> bool {
    matches!(event.process, Process::Client(_)) && Verb::of(&event.function, &event.value).is_none()
}

/// Writes rows into a recorder.
struct Writer {
    recorder: Recorder,
    object: Object,
    /// Did the caller say what it is about?
    fixed: bool,
    style: Style,
    pairs: bool,
    processes: FxHashMap<Datum, Client>,
    lanes: Lanes,
    bands: Bands,
    registers: Option<Registers>,
    /// Do transactions say `read` instead of `r`?
    says_read: bool,
    accounts: Option<Accounts>,
    /// The number of the row.
    moment: u64,
    steps: Vec<Step>,
    operations: u32,
    kept: u64,
    draining: u32,
}

struct Client {
    session: Session,
    /// How often it did not hear the end of an operation.
    retired: u32,
    /// Does the session end there?
    stale: bool,
    open: Option<Open>,
}

/// An operation that has begun.
struct Open {
    /// A drain has none: it becomes one operation for each element.
    ticket: Option<Ticket>,
    verb: Verb,
    function: Arc<str>,
    key: Datum,
    begin: u64,
    time_ns: Option<u64>,
    line: u32,
}

impl Writer {
    fn new(format: Format, object: Object, pairs: bool, options: &Options) -> Writer {
        let mut recorder = Recorder::new(object);
        let jepsen = matches!(format, Format::JepsenEdn | Format::Json);
        let is_store = format == Format::PorcupineKv;
        let style = Style {
            nothing_is_unknown: jepsen,
            nothing_is_empty: is_store,
            failed_cas_saw: format == Format::JepsenLog,
        };
        let unsaid = options.initial.is_none();
        match &options.initial {
            Some(initial) => set_initial(&mut recorder, initial),
            None if is_store => {
                let empty = recorder.value(&Datum::text(""));
                recorder.initial_of_all(empty);
            }
            None => {}
        }
        let registers = matches!(object, Object::Register | Object::CasRegister | Object::RwRegister);
        Writer {
            recorder,
            object,
            fixed: options.object.is_some(),
            style,
            pairs,
            processes: FxHashMap::default(),
            lanes: Lanes::default(),
            bands: Bands::default(),
            registers: (unsaid && jepsen && registers).then(Registers::default),
            says_read: false,
            accounts: (unsaid && object == Object::Bank).then(Accounts::default),
            moment: 0,
            steps: Vec::new(),
            operations: 0,
            kept: 0,
            draining: 0,
        }
    }

    fn event(&mut self, mut event: Event) -> Result<(), Problem> {
        self.moment += 1;
        let line = event.line;
        if event.process == Process::Client(Datum::Nil) {
            let lane = match event.kind {
                Kind::Invoke => Ok(self.lanes.begin(&event.function)),
                Kind::Ok | Kind::Fail | Kind::Info => self.lanes.end(&event.function),
            };
            event.process = Process::Client(lane.map_err(|why| Problem::at(line, why))?);
        }
        match (&event.process, event.kind) {
            (Process::Nemesis, _) => {
                self.bands.row(&event, self.moment);
                return Ok(());
            }
            (Process::Client(_), Kind::Invoke) => self.invoke(event),
            (Process::Client(_), Kind::Ok | Kind::Fail | Kind::Info) => self.complete(event),
        }
        .map_err(|why| Problem::at(line, why))?;
        if self.operations >= limits::OPERATIONS || self.kept > limits::STEPS {
            return Err(Problem::at(line, "the history is too large: its numbers do not fit into 32 bits"));
        }
        Ok(())
    }

    fn invoke(&mut self, event: Event) -> Result<(), String> {
        let Process::Client(name) = event.process else { return Ok(()) };
        let (key, value) = split(self.pairs, event.key, event.value)?;
        let key = key.unwrap_or(Datum::Nil);
        let verb = self.verb(&event.function, &value)?;
        if verb == Verb::Transaction && !self.says_read && says_read(&value) {
            self.says_read = true;
        }
        let recorder = &mut self.recorder;
        let client = self.processes.entry(name.clone()).or_insert_with_key(|name| {
            let session = recorder.session(name);
            Client { session, retired: 0, stale: false, open: None }
        });
        if let Some(open) = &client.open {
            return Err(format!(
                "the process begins {:?}, but {:?}, which it began in line {}, has not ended",
                event.function, open.function, open.line
            ));
        }
        if std::mem::take(&mut client.stale) {
            client.session = recorder.session(&Datum::List(vec![name, i64::from(client.retired).into()]));
        }
        let session = client.session;
        let ticket = if verb == Verb::Drain {
            self.draining += 1;
            None
        } else {
            self.steps.clear();
            say(recorder, self.object, self.style, (&key, &value), false, (verb, &mut self.steps, &mut self.kept))?;
            let ticket = recorder.begin(session, self.moment, event.line, &self.steps);
            if let Some(time) = event.time_ns {
                recorder.time_ns(ticket, time, crate::Operation::NEVER);
            }
            self.operations += 1;
            self.kept += self.steps.len() as u64;
            if let Some(registers) = &mut self.registers {
                registers.begin(&self.steps);
            }
            if let Some(accounts) = &mut self.accounts {
                accounts.begin(&self.steps, self.moment);
            }
            Some(ticket)
        };
        let (function, time_ns, line) = (event.function, event.time_ns, event.line);
        client.open = Some(Open { ticket, verb, function, key, begin: self.moment, time_ns, line });
        Ok(())
    }

    /// The verb of a function, if the object has it. The object may widen.
    fn verb(&mut self, function: &str, value: &Datum) -> Result<Verb, String> {
        let Some(verb) = Verb::of(function, value) else {
            return Err(match function {
                "" => "the operation does not say its function (f)".to_string(),
                _ => format!("the function {function:?} is not known"),
            });
        };
        // A set that is written to, as in Jepsen's comments, must be named by the caller.
        let is_written_set = self.fixed && (self.object, verb) == (Object::Set, Verb::Write);
        if admits(self.object, verb) || is_written_set {
            return Ok(verb);
        }
        match widened(self.object, verb) {
            Some(object) if !self.fixed => {
                self.object = object;
                self.recorder.becomes(object);
                if object == Object::Kv {
                    self.registers = None;
                }
                Ok(verb)
            }
            Some(_) | None => Err(format!("{} has no operation {function:?}", self.object.word())),
        }
    }

    fn complete(&mut self, event: Event) -> Result<(), String> {
        let Process::Client(name) = &event.process else { return Ok(()) };
        let ended = self.processes.get_mut(name).and_then(|client| Some((client.session, client.open.take()?)));
        let Some((session, open)) = ended else {
            return Err(format!("{} ends an operation that the process {name} did not begin", event.kind.word()));
        };
        if !event.function.is_empty() && event.function != open.function {
            let (function, line) = (&open.function, open.line);
            return Err(format!("{:?} ends here, but {function:?} began in line {line}", event.function));
        }
        if let (Some(begin), Some(end)) = (open.time_ns, event.time_ns)
            && end < begin
        {
            return Err(format!("the operation ends {} ns before it begins in line {}", begin - end, open.line));
        }
        match event.kind {
            Kind::Ok => self.took_place(event, open, session),
            Kind::Fail if self.style.failed_cas_saw && open.verb == Verb::Cas => {
                self.steps.clear();
                if let Some(ticket) = open.ticket {
                    self.steps.extend_from_slice(self.recorder.steps(ticket));
                }
                self.steps.iter_mut().for_each(|step| settle(step, false));
                self.end(&open, event.time_ns);
                Ok(())
            }
            Kind::Fail => {
                if let Some(ticket) = open.ticket {
                    self.recorder.refuse(ticket, self.moment);
                    self.time(&open, event.time_ns);
                    if let Some(registers) = &mut self.registers {
                        registers.refuse(self.recorder.steps(ticket));
                    }
                    if let Some(accounts) = &mut self.accounts {
                        accounts.refuse(self.recorder.steps(ticket), self.moment);
                    }
                } else {
                    self.draining -= 1;
                }
                Ok(())
            }
            Kind::Info | Kind::Invoke if open.ticket.is_none() => {
                Err("nobody knows what a drain whose end is not known took; such a history cannot be judged"
                    .to_string())
            }
            Kind::Info | Kind::Invoke => {
                // Whatever the process does next belongs to another session, since this operation may take place at any later time.
                if let Some(client) = self.processes.get_mut(name) {
                    client.stale = true;
                    client.retired += 1;
                }
                Ok(())
            }
        }
    }

    fn took_place(&mut self, event: Event, mut open: Open, session: Session) -> Result<(), String> {
        let nothing = event.value == Datum::Nil;
        let (key, value) = split(self.pairs && !nothing, event.key, event.value)?;
        if open.verb == Verb::Digest {
            // Whose digest it is may be told with the digest.
            open.key = key.unwrap_or(open.key);
        } else if let Some(key) = key.filter(|key| *key != open.key) {
            return Err(format!(
                "the operation ends with the key {key}, but began in line {} with {}",
                open.line, open.key
            ));
        }
        let Some(ticket) = open.ticket else {
            self.draining -= 1;
            return self.drained(&value, &open, session);
        };
        self.steps.clear();
        let bare = match (open.verb, &value) {
            (Verb::Contains, Datum::Bool(there)) => Some(*there),
            (verb, Datum::Nil) if verb.is_request() => Some(true),
            _ => None,
        };
        if let Some(took) = bare {
            self.steps.extend_from_slice(self.recorder.steps(ticket));
            self.steps.iter_mut().for_each(|step| settle(step, took));
        } else {
            let said = (open.verb, &mut self.steps, &mut self.kept);
            say(&mut self.recorder, self.object, self.style, (&open.key, &value), true, said)?;
            let asked = self.recorder.steps(ticket);
            let free = matches!(open.verb, Verb::Digest) || (open.verb == Verb::Read && self.object == Object::Bank);
            let same = asked.len() == self.steps.len()
                && asked.iter().zip(&self.steps).all(|(one, other)| answers(one, other));
            if !same && !free {
                let function = if open.function.is_empty() { "txn" } else { &*open.function };
                return Err(format!(
                    "{function} ends with {value}, which is not what it began with in line {}",
                    open.line
                ));
            }
            if self.object == Object::Mutex && !self.fixed && token(&value).is_some() {
                self.object = Object::FencedLock;
                self.recorder.becomes(self.object);
            }
            self.kept += if free { self.steps.len() as u64 } else { 0 };
        }
        self.end(&open, event.time_ns);
        Ok(())
    }

    /// The operation has ended with `self.steps`.
    fn end(&mut self, open: &Open, time_ns: Option<u64>) {
        let Some(ticket) = open.ticket else { return };
        self.recorder.end(ticket, self.moment, &self.steps);
        self.time(open, time_ns);
        if let Some(registers) = &mut self.registers {
            registers.end(&self.steps, open.begin, self.moment);
        }
        if let Some(accounts) = &mut self.accounts {
            accounts.end(&self.steps, open.begin, self.moment);
        }
    }

    fn time(&mut self, open: &Open, time_ns: Option<u64>) {
        if let (Some(ticket), Some(begin), Some(end)) = (open.ticket, open.time_ns, time_ns) {
            self.recorder.time_ns(ticket, begin, end);
        }
    }

    /// A drain takes elements one after another until it finds the queue empty.
    fn drained(&mut self, value: &Datum, open: &Open, session: Session) -> Result<(), String> {
        let elements: &[Datum] = match value {
            Datum::Nil => &[],
            Datum::List(elements) => elements,
            other => return Err(format!("a drain gives a list, not {other}")),
        };
        let left = u64::from(limits::OPERATIONS - self.operations);
        if elements.len() as u64 >= left {
            return Err("the history is too large: its numbers do not fit into 32 bits".to_string());
        }
        let key = self.recorder.key(&open.key);
        for element in elements.iter().map(Some).chain([None]) {
            if element == Some(&Datum::Nil) {
                return Err("nil cannot be an element".to_string());
            }
            let value = element.map_or(Value::NIL, |element| self.recorder.value(element));
            let step = [Step::Take { key, value: Some(value) }];
            let ticket = self.recorder.begin(session, open.begin, open.line, &step);
            self.recorder.end(ticket, self.moment, &step);
            self.operations += 1;
            self.kept += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<History, Problem> {
        if self.draining > 0 {
            let open = self.processes.values().filter_map(|client| client.open.as_ref());
            let line = open.filter(|open| open.ticket.is_none()).map(|open| open.line).min().unwrap_or_default();
            let why = "nobody knows what a drain that did not end took; such a history cannot be judged";
            return Err(Problem::at(line, why));
        }
        self.bands.finish(&mut self.recorder, self.moment);
        if let Some(registers) = self.registers.filter(|_| self.object != Object::RwRegister || self.says_read) {
            registers.finish(&mut self.recorder);
        }
        if let Some(accounts) = self.accounts {
            accounts.finish(&mut self.recorder);
        }
        Ok(self.recorder.finish())
    }
}

/// Has a transaction a step `read`?
fn says_read(transaction: &Datum) -> bool {
    let steps = transaction.list().unwrap_or_default();
    steps.iter().any(|step| step.list().and_then(<[Datum]>::first).and_then(Datum::name) == Some("read"))
}

/// Key and value of an event.
fn split(pairs: bool, key: Option<Datum>, value: Datum) -> Result<(Option<Datum>, Datum), String> {
    if !pairs {
        return Ok((key, value));
    }
    match value {
        Datum::List(list) => match <[Datum; 2]>::try_from(list) {
            Ok([key, value]) => Ok((Some(key), value)),
            Err(list) => Err(format!("values are pairs [key value] in this history, but not {}", Datum::List(list))),
        },
        other => Err(format!("values are pairs [key value] in this history, but not {other}")),
    }
}

fn say(
    recorder: &mut Recorder,
    object: Object,
    style: Style,
    (key, value): (&Datum, &Datum),
    answered: bool,
    (verb, steps, elements): (Verb, &mut Vec<Step>, &mut u64),
) -> Result<(), String> {
    Phrase { recorder, object, style, key, value, answered, steps, elements }.say(verb)
}

/// Fills in the answer of a step that has one.
fn settle(step: &mut Step, yes: bool) {
    match step {
        Step::Cas { took, .. } => *took = Some(yes),
        Step::Contains { there, .. } => *there = Some(yes),
        _ => {}
    }
}

/// What keys hold at first, as the caller says: one value for all, or a map.
pub(super) fn set_initial(recorder: &mut Recorder, initial: &Datum) {
    match initial {
        Datum::Map(pairs) => {
            for (key, value) in pairs {
                let (key, value) = (recorder.key(key), recorder.value(value));
                recorder.initial(key, value);
            }
        }
        value => {
            let value = recorder.value(value);
            recorder.initial_of_all(value);
        }
    }
}
