//! The client: several addresses, one connection at a time, retries only where they are safe.

use crate::command::Command;
use crate::connection::Connection;
use crate::error::{Applied, Error, Kind};
use crate::reply::Reply;
use std::time::{Duration, Instant};

/// The pause before a retry, which doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(320);

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The longest time that one call takes, retries included.
    pub deadline: Duration,
    /// The longest time that one attempt to connect takes.
    pub connect: Duration,
    /// Sent when a connection opens.
    pub password: Option<String>,
    /// The number of the table, chosen when a connection opens.
    pub table: u16,
    /// Carry the session token from reply to reply and from connection to connection. Costs one small command more in
    /// the pipeline of each call.
    pub carry_session: bool,
    /// Repeat what is safe to repeat until the deadline.
    pub retry: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            deadline: Duration::from_secs(5),
            connect: Duration::from_secs(1),
            password: None,
            table: 0,
            carry_session: false,
            retry: true,
        }
    }
}

/// A client of a cluster. It keeps one connection and moves on to the next address when that is lost.
#[derive(Debug)]
pub struct Client {
    addresses: Vec<String>,
    at: usize,
    connection: Option<Connection>,
    options: Options,
    session: Option<String>,
}

impl Client {
    /// A client of the nodes at these addresses, each `HOST:PORT`. Connects at the first call.
    pub fn new<A: Into<String>>(addresses: impl IntoIterator<Item = A>, options: Options) -> Client {
        let addresses = addresses.into_iter().map(Into::into).collect();
        Client { addresses, at: 0, connection: None, options, session: None }
    }

    /// The address that the next call goes to.
    pub fn address(&self) -> &str {
        self.addresses.get(self.at).map_or("", String::as_str)
    }
    /// What this session has seen, as the token of its last reply. Only known when the session is carried.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }
    /// Goes on from what another session saw.
    pub fn set_session(&mut self, token: impl Into<String>) {
        self.session = Some(token.into());
        self.connection = None;
    }

    /// Makes a call and waits for its reply.
    ///
    /// # Errors
    /// Error replies come back as errors too. The error says whether the command was applied.
    pub fn call(&mut self, command: &Command) -> Result<Reply, Error> {
        let mut replies = self.pipeline(std::slice::from_ref(command))?;
        match replies.pop().expect("one command has one reply") {
            Reply::Error(text) => Err(Error::of_reply(&text)),
            reply => Ok(reply),
        }
    }

    /// Sends commands together and waits for all replies, in order. Error replies stay [`Reply::Error`].
    ///
    /// # Errors
    /// When the replies could not all be had; the error says what is known of the commands as a whole.
    pub fn pipeline(&mut self, commands: &[Command]) -> Result<Vec<Reply>, Error> {
        let deadline = Instant::now() + self.options.deadline;
        let keyed = !commands.is_empty() && commands.iter().all(Command::has_idempotency_key);
        let mut pause = PAUSE;
        let mut doubt = Applied::No;
        loop {
            let began = Instant::now();
            let error = match self.attempt(commands, deadline) {
                Ok(replies) => match retryable(&replies) {
                    Some(error) => error,
                    None => return Ok(replies),
                },
                Err(error) => {
                    self.connection = None;
                    self.at = (self.at + 1) % self.addresses.len().max(1);
                    error
                }
            };
            if error.applied != Applied::No {
                doubt = error.applied;
            }
            let safe = error.may_retry() || keyed && matches!(error.kind, Kind::Lost | Kind::Deadline | Kind::Doubt);
            // The next attempt may take as long as this one: one that would be cut off turns a clear no into a doubt.
            let in_time = Instant::now() + pause + began.elapsed() < deadline;
            if !self.options.retry || !safe || !in_time {
                let applied = if error.applied == Applied::No { doubt } else { error.applied };
                return Err(Error { applied, ..error });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn attempt(&mut self, commands: &[Command], deadline: Instant) -> Result<Vec<Reply>, Error> {
        self.connect(deadline)?;
        let carry = self.options.carry_session;
        let connection = self.connection.as_mut().expect("connected above");
        let mut out = Vec::new();
        commands.iter().for_each(|command| command.encode(&mut out));
        if carry {
            Command::new(["QUORATE", "SESSION"]).encode(&mut out);
        }
        connection.send(&out, deadline)?;
        let replies = commands.iter().map(|_| connection.receive(deadline)).collect::<Result<_, _>>()?;
        if carry {
            match connection.receive(deadline) {
                Ok(Reply::Error(_)) | Err(_) => self.connection = None,
                Ok(token) => self.session = token.text().or(self.session.take()),
            }
        }
        Ok(replies)
    }

    /// Connects to the first address, from the current one on, that can be reached.
    fn connect(&mut self, deadline: Instant) -> Result<(), Error> {
        if self.connection.is_some() {
            return Ok(());
        }
        let mut last = Error::new(Kind::Unreachable, Applied::No, "no address was given");
        for _ in 0..self.addresses.len() {
            match self.greet(deadline) {
                Ok(connection) => {
                    self.connection = Some(connection);
                    return Ok(());
                }
                Err(error) if error.kind == Kind::Unreachable || error.kind == Kind::Lost => last = error,
                Err(error) if error.kind == Kind::Deadline => last = error,
                Err(error) => return Err(error),
            }
            self.at = (self.at + 1) % self.addresses.len();
        }
        if self.addresses.len() > 1 {
            last.message =
                format!("none of {} could be reached; the last: {}", self.addresses.join(", "), last.message);
        }
        Err(last)
    }

    fn greet(&self, deadline: Instant) -> Result<Connection, Error> {
        let soon = deadline.min(Instant::now() + self.options.connect);
        let mut connection = Connection::open(self.address(), self.options.password.as_deref(), soon)?;
        let mut setup = Vec::new();
        if self.options.table != 0 {
            setup.push(Command::new(["SELECT".to_owned(), self.options.table.to_string()]));
        }
        if let Some(token) = &self.session {
            setup.push(Command::new(["QUORATE".to_owned(), "SESSION".to_owned(), token.clone()]));
        }
        for command in setup {
            let reply = connection.call(&command, soon).map_err(|error| Error { applied: Applied::No, ..error })?;
            if let Reply::Error(text) = reply {
                return Err(Error { kind: Kind::Rejected, applied: Applied::No, ..Error::of_reply(&text) });
            }
        }
        Ok(connection)
    }
}

/// The error of the replies, if all commands were refused for now and can be repeated as a whole.
fn retryable(replies: &[Reply]) -> Option<Error> {
    let mut last = None;
    for reply in replies {
        let Reply::Error(text) = reply else { return None };
        let error = Error::of_reply(text);
        if !error.may_retry() {
            return None;
        }
        last = Some(error);
    }
    last
}
