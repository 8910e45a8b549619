//! One client: bytes in, questions and bytes out. It does no input or output of its own.
//!
//! A pipeline runs as if its commands came one by one: a read waits for what it must not miss, and a write waits for
//! the reads before it. Writes need not wait for writes, nor reads for reads.

use super::codec::{self, Parser, Protocol};
use super::failure;
use super::name::Name;
use super::own;
use super::render;
use super::shared::{Issue, Question, Shared};
use super::slot::{Kind, Ready, Render, Slots, Waiting};
use super::transaction;
use super::transaction::{Transaction, Watches};
use super::wish::{self, Wish};
use bytes::{Bytes, BytesMut};
use quorate_core::catalogue::FIRST_TABLE;
use quorate_core::guarantee::{Level, Session};
use quorate_core::operation::{Batch, Guard, IdempotencyKey, Operate, Reply, Request, TableId, Value, Words};
use quorate_core::state::command::{self, Spec};

/// The words of a request that is at least this large are not copied.
const SLICED_BYTES: usize = 16 * 1024;

/// The part of an issue's slot that names the place; the rest names the part of an answer that has several.
const SLOT: u64 = (1 << 48) - 1;

/// The state of one client.
#[derive(Debug)]
pub struct Connection {
    /// Names the connection in this life of the node.
    pub id: u64,
    /// Where the client is.
    pub address: String,
    /// When it connected, in microseconds since the start.
    pub since_us: u64,
    /// When it last sent something.
    pub active_us: u64,
    /// Its database.
    pub table: u16,
    /// The version of the protocol that it speaks.
    pub protocol: Protocol,
    /// It gave the password, or none is needed.
    pub authenticated: bool,
    /// The name it gave itself.
    pub name: Bytes,
    /// The name and version of its library.
    pub library: [Bytes; 2],
    /// What it has seen.
    pub session: Session,
    /// The last command.
    pub last: &'static str,
    pub(super) transaction: Option<Box<Transaction>>,
    /// Others were asked for a table by its name: what follows is for that table.
    pub(super) selecting: bool,
    pub(super) watches: Watches,
    pub(super) slots: Slots,
    parser: Parser,
    /// Bytes that are no whole command yet, or wait behind one that must wait.
    input: BytesMut,
    output: Vec<u8>,
    /// Output before this offset was sent.
    sent: usize,
    /// A command that waits for answers to those before it.
    held: Option<Words>,
    /// The client sends no more; what it sent is still to be answered.
    ended: bool,
    closing: bool,
}

/// What follows a command.
#[derive(Debug)]
pub(super) enum Flow {
    /// The next one.
    Next,
    /// This one must wait for answers to those before it.
    Hold(Words),
    /// The end, once all replies are out.
    Close,
}

impl Connection {
    /// A client that has just connected.
    pub fn new(id: u64, address: String, shared: &Shared) -> Connection {
        Connection {
            id,
            address,
            since_us: shared.now_us,
            active_us: shared.now_us,
            table: 0,
            protocol: Protocol::Two,
            authenticated: shared.password.is_none(),
            name: Bytes::new(),
            library: [Bytes::new(), Bytes::new()],
            session: Session::default(),
            last: "",
            transaction: None,
            selecting: false,
            watches: Watches::default(),
            slots: Slots::default(),
            parser: Parser::default(),
            input: BytesMut::new(),
            output: Vec::new(),
            sent: 0,
            held: None,
            ended: false,
            closing: false,
        }
    }

    /// Bytes arrived.
    pub fn receive(&mut self, mut chunk: &[u8], shared: &mut Shared, issues: &mut Vec<Issue>) {
        self.active_us = shared.now_us;
        if !self.input.is_empty() || self.held.is_some() {
            self.input.extend_from_slice(chunk);
            chunk = &[];
        }
        self.proceed(&mut chunk, shared, issues);
        if !self.closing {
            self.input.extend_from_slice(chunk);
        }
    }

    /// The client will send no more: the connection ends when all that it sent is answered.
    pub fn end(&mut self, shared: &mut Shared, issues: &mut Vec<Issue>) {
        self.ended = true;
        self.proceed(&mut &[][..], shared, issues);
    }

    /// An answer arrived.
    pub fn complete(&mut self, slot: u64, reply: Reply, shared: &mut Shared, issues: &mut Vec<Issue>) {
        let (slot, part) = (slot & SLOT, (slot >> SLOT.count_ones()) as u16);
        if let Some(Waiting { render: Render::Info(gathered), .. }) = self.slots.waiting(slot) {
            gathered.add(part, &reply);
            if !gathered.is_whole() {
                return;
            }
        }
        let Some(waiting) = self.slots.take(slot) else { return };
        self.selecting &= !matches!(waiting.render, Render::Select);
        let ready = render::render(self, waiting.render, reply, shared);
        self.slots.fill(slot, ready, &mut self.output);
        self.proceed(&mut &[][..], shared, issues);
    }

    /// An answer arrived that is not the machine's.
    pub fn complete_value(&mut self, slot: u64, value: Value, shared: &mut Shared, issues: &mut Vec<Issue>) {
        if self.slots.take(slot).is_some() {
            self.slots.fill(slot, Ready::Value(value), &mut self.output);
            self.proceed(&mut &[][..], shared, issues);
        }
    }

    /// Should more bytes be read? Not while a command waits, and not after the end.
    pub fn wants_input(&self) -> bool {
        self.held.is_none() && !self.ended && !self.closing
    }
    /// Bytes to send.
    pub fn output(&self) -> &[u8] {
        &self.output[self.sent..]
    }
    /// So many bytes were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent == self.output.len() {
            self.sent = 0;
            self.output.clear();
            self.output.shrink_to(1024);
        } else if self.sent > 1024 * 1024 {
            self.output.drain(..self.sent);
            self.sent = 0;
        }
    }
    /// Nothing is to come and nothing is owed: the connection can be closed once the output is sent.
    pub fn is_over(&self) -> bool {
        self.closing && self.slots.is_empty()
    }
    /// Bytes that are held for it.
    pub fn buffered(&self) -> [usize; 2] {
        [self.input.len(), self.output.len()]
    }

    /// Runs the commands in the input, then those in `chunk`, as far as it goes.
    fn proceed(&mut self, chunk: &mut &[u8], shared: &mut Shared, issues: &mut Vec<Issue>) {
        while !self.closing {
            let words = match self.held.take() {
                Some(words) => words,
                None => match self.next(chunk) {
                    Ok(Some(words)) => words,
                    Ok(None) => break,
                    Err(error) => {
                        self.reply(failure::error(format!("ERR {error}")));
                        self.closing = true;
                        break;
                    }
                },
            };
            if words.is_empty() {
                continue;
            }
            let flow = if self.slots.len() >= shared.bounds.pipeline || self.selecting {
                Flow::Hold(words)
            } else {
                self.execute(words, shared, issues)
            };
            match flow {
                Flow::Next => {}
                Flow::Hold(words) => {
                    self.held = Some(words);
                    break;
                }
                Flow::Close => self.closing = true,
            }
        }
        self.closing |= self.ended && self.held.is_none();
        if self.input.is_empty() && self.input.capacity() > 0 || self.closing {
            self.input = BytesMut::new();
        }
    }

    fn next(&mut self, chunk: &mut &[u8]) -> Result<Option<Words>, codec::ProtocolError> {
        let bounds = if self.authenticated { codec::Bounds::KNOWN } else { codec::Bounds::STRANGER };
        if self.input.is_empty() {
            let Some(end) = self.parser.find(chunk, &bounds)? else { return Ok(None) };
            let words = self.parser.take(&chunk[..end]);
            *chunk = &chunk[end..];
            Ok(Some(words))
        } else {
            let Some(end) = self.parser.find(&self.input, &bounds)? else { return Ok(None) };
            let request = self.input.split_to(end);
            Ok(Some(if end < SLICED_BYTES {
                self.parser.take(&request)
            } else {
                self.parser.take_slices(&request.freeze())
            }))
        }
    }

    /// Replies to the newest command.
    pub(super) fn reply(&mut self, value: Value) {
        self.slots.push(Ready::Value(value), self.protocol, &mut self.output);
    }
    /// Replies to the newest command with an error of a fixed text.
    pub(super) fn reply_error(&mut self, text: &'static str) {
        self.reply(Value::error(text));
    }
    /// Asks one more thing for the reply to the newest command, which waits for several answers.
    pub(super) fn ask_part(&mut self, part: u16, question: Question, issues: &mut Vec<Issue>) {
        let slot = self.slots.newest() | u64::from(part) << SLOT.count_ones();
        issues.push(Issue { slot, question });
    }
    /// Asks something whose answer is the reply to the newest command.
    pub(super) fn ask(&mut self, question: Question, render: Render, kind: Kind, issues: &mut Vec<Issue>) {
        let slot = self.slots.wait(Waiting { render, kind }, self.protocol);
        issues.push(Issue { slot, question });
    }

    fn execute(&mut self, words: Words, shared: &mut Shared, issues: &mut Vec<Issue>) -> Flow {
        let name = Name::of(&words[0]);
        if !self.authenticated && !own::for_strangers(name.as_bytes()) {
            self.reply_error("NOAUTH Authentication required.");
            return Flow::Next;
        }
        if let Some(spec) = command::find(name.as_bytes()) {
            return self.machine(spec, words, None, issues);
        }
        if !matches!(name.as_bytes(), b"WITH" | b"IDEM") {
            return own::execute(self, name.as_bytes(), words, Wish::default(), shared, issues);
        }
        self.execute_with(words, shared, issues)
    }

    fn execute_with(&mut self, words: Words, shared: &mut Shared, issues: &mut Vec<Issue>) -> Flow {
        let (wish, command) = match wish::take(words.clone(), shared) {
            Ok(taken) => taken,
            Err(error) => {
                transaction::spoil(self);
                self.reply(error);
                return Flow::Next;
            }
        };
        let name = Name::of(&command[0]);
        let flow = match command::find(name.as_bytes()) {
            Some(spec) => self.machine(spec, command, Some(wish), issues),
            None => own::execute(self, name.as_bytes(), command, wish, shared, issues),
        };
        match flow {
            Flow::Hold(_) => Flow::Hold(words),
            other => other,
        }
    }

    /// Runs a command that goes to the machine.
    pub(super) fn machine(
        &mut self,
        spec: &'static Spec,
        words: Words,
        wish: Option<Wish>,
        issues: &mut Vec<Issue>,
    ) -> Flow {
        let kind = if spec.write { Kind::Write } else { Kind::Read };
        let table = wish.as_ref().and_then(|wish| wish.table).unwrap_or(self.table);
        let level = match table {
            // What a leaderless table says by default may need what the session saw.
            FIRST_TABLE.. => Level::Session,
            _ => wish.as_ref().map_or(Level::default(), |wish| wish.want.level()),
        };
        if self.transaction.is_none() && self.must_hold(kind, level) {
            return Flow::Hold(words);
        }
        self.last = spec.name;
        let words = match prepare(spec, words) {
            Ok(words) => words,
            Err(error) => {
                transaction::spoil(self);
                self.reply(error);
                return Flow::Next;
            }
        };
        if self.transaction.is_some() {
            transaction::queue(self, spec, words, wish);
            return Flow::Next;
        }
        let (wish, guards) = match wish {
            None => (Wish::default(), Vec::new()),
            Some(wish) => match guards(&wish, spec, &words) {
                Ok(guards) => (wish, guards),
                Err(error) => {
                    self.reply(error);
                    return Flow::Next;
                }
            },
        };
        let render = Render::Value { receipt: wish.receipt };
        self.operate(vec![words], false, guards, wish, kind, render, issues);
        Flow::Next
    }

    /// Must a call of this kind wait for answers to calls before it?
    pub(super) fn must_hold(&self, kind: Kind, level: Level) -> bool {
        match kind {
            Kind::Write => self.slots.reads() > 0,
            Kind::Read => level != Level::Linearizable && self.slots.writes() > 0,
        }
    }

    /// Hands a batch to the machine.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn operate(
        &mut self,
        commands: Vec<Words>,
        transaction: bool,
        guards: Vec<Guard>,
        wish: Wish,
        kind: Kind,
        render: Render,
        issues: &mut Vec<Issue>,
    ) {
        let table = wish.table.unwrap_or(self.table);
        let session = match wish.want.level() {
            Level::Session | Level::Regular | Level::Atomic => self.session.clone(),
            Level::Linearizable | Level::Eventual if table >= FIRST_TABLE => self.session.clone(),
            Level::Linearizable | Level::Eventual => Session::default(),
        };
        let operate = Operate {
            batch: Batch {
                table: TableId(table),
                guards,
                idempotency: wish.idempotency.map(IdempotencyKey),
                commands,
                transaction,
            },
            want: wish.want,
            session,
            seen: wish.seen,
            after_own_writes: self.slots.writes() > 0,
            deadline_ms: wish.deadline_ms,
        };
        self.ask(Question::Machine(Request::Operate(operate)), render, kind, issues);
    }
}

/// Checks the arity and puts the name in upper case.
fn prepare(spec: &'static Spec, mut words: Words) -> Result<Words, Value> {
    if !spec.takes(words.len()) {
        return Err(failure::wrong_arity(spec.name.as_bytes()));
    }
    words[0] = Bytes::from_static(spec.name.as_bytes());
    Ok(words)
}

/// Does a number of words fit an arity?
pub(super) fn has_arity(arity: i32, words: usize) -> bool {
    if arity >= 0 { words == arity as usize } else { words >= arity.unsigned_abs() as usize }
}

/// The guards that a wish puts on the first key of a command.
fn guards(wish: &Wish, spec: &'static Spec, words: &Words) -> Result<Vec<Guard>, Value> {
    if wish.idempotency.is_some() && !spec.write {
        return Err(Value::error("ERR applied: no; an idempotency key needs a command that writes"));
    }
    if wish.if_version.is_none() && !wish.if_absent {
        return Ok(Vec::new());
    }
    if !spec.write {
        return Err(Value::error("ERR applied: no; if-version and if-absent need a command that writes"));
    }
    let key = command::keys(spec, words)
        .next()
        .ok_or(Value::error("ERR applied: no; if-version and if-absent need a command with a key"))?;
    let version = wish.if_version.map(|version| Guard::Version { key: key.clone(), version });
    let absent = wish.if_absent.then(|| Guard::Absent { key: key.clone() });
    Ok(version.into_iter().chain(absent).collect())
}
