//! The client: several addresses, one connection at a time, retries only where they are safe.
//!
//! A node that is cut off, or stands still, takes a call and does not answer in time. So a call that may be repeated
//! gives each address only a share of its deadline: reads, and writes under an idempotency key. Any other write has the
//! whole deadline at one address, because cut off early it could only turn a late yes into a doubt.

use crate::command::Command;
use crate::connection::Connection;
use crate::error::{Error, Kind};
use crate::reply::Reply;
use quorate_core::limits;
use quorate_core::operation::Applied;
use std::time::{Duration, Instant};

/// The pause before a retry, which doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(320);
/// The longest share of one address, while there is another to turn to. Several elections fit into it.
const SHARE_MAX: Duration = Duration::from_secs(1);
/// How much longer the client waits than it told the server to take, to hear what the server says at the end. After a
/// share it is a quarter of that at most, for what follows has the same deadline.
const GRACE: Duration = Duration::from_millis(250);

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long one call may take, retries included. The server is told what is left of it; its last word is waited
    /// for a quarter of a second longer.
    pub deadline: Duration,
    /// The longest time that one attempt to connect takes.
    pub connect: Duration,
    /// Sent when a connection opens.
    pub password: Option<String>,
    /// The number or the name of the table, chosen when a connection opens. Empty for the first.
    pub table: String,
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
            table: String::new(),
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

    /// Sends commands together and waits for all replies, in order. Error replies stay [`Reply::Error`]. What must reach
    /// one connection, such as MULTI and EXEC, belongs into one pipeline: the next call may go elsewhere.
    ///
    /// # Errors
    /// When the replies could not all be had; the error says what is known of the commands as a whole.
    pub fn pipeline(&mut self, commands: &[Command]) -> Result<Vec<Reply>, Error> {
        let mut left = Left { deadline: Instant::now() + self.options.deadline, failed: 0 };
        let reads = !commands.is_empty() && commands.iter().all(Command::is_read);
        let repeatable = reads || !commands.is_empty() && commands.iter().all(Command::has_idempotency_key);
        let mut pause = PAUSE;
        let mut known = Applied::No;
        loop {
            let began = Instant::now();
            let mut error = match self.attempt(commands, repeatable, &mut left) {
                Ok(replies) => match retryable(&replies, repeatable) {
                    Some(error) => error,
                    None => return Ok(replies),
                },
                Err(error) => {
                    self.connection = None;
                    error
                }
            };
            self.move_on();
            left.failed += 1;
            if reads {
                error.applied = Applied::No;
            }
            known = together(known, error.applied);
            let passing = matches!(error.kind, Kind::Lost | Kind::Deadline | Kind::Doubt);
            let safe = error.may_retry() || repeatable && passing;
            // What cannot be repeated from a doubt needs as long as this attempt took: less could turn a no into a doubt.
            let needs = if repeatable { Duration::ZERO } else { began.elapsed() };
            if !self.options.retry || !safe || Instant::now() + pause + needs >= left.deadline {
                return Err(Error { applied: known, ..error });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Turns to the next address, if there is another.
    fn move_on(&mut self) {
        if self.addresses.len() > 1 {
            self.at = (self.at + 1) % self.addresses.len();
            self.connection = None;
        }
    }

    fn attempt(&mut self, commands: &[Command], repeatable: bool, left: &mut Left) -> Result<Vec<Reply>, Error> {
        self.connect(left)?;
        let carry = self.options.carry_session;
        let among = if repeatable && self.options.retry { self.addresses.len() } else { 1 };
        let share = left.share(among);
        let grace = if among == 1 { GRACE } else { GRACE.min(share / 4) };
        let deadline = Instant::now() + share + grace;
        let connection = self.connection.as_mut().expect("connected above");
        let mut out = Vec::new();
        // In a transaction no single command can have a deadline.
        let told = commands.iter().all(Command::takes_deadline).then_some(milliseconds(share));
        commands.iter().for_each(|command| command.encode_within(told, &mut out));
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
    fn connect(&mut self, left: &mut Left) -> Result<(), Error> {
        if self.connection.is_some() {
            return Ok(());
        }
        let mut last = Error::new(Kind::Unreachable, Applied::No, "no address was given");
        for tried in 1..=self.addresses.len() {
            let soon = Instant::now() + left.share(self.addresses.len()).min(self.options.connect);
            match self.greet(soon) {
                Ok(connection) => {
                    self.connection = Some(connection);
                    return Ok(());
                }
                Err(error) if error.kind == Kind::Unreachable || error.kind == Kind::Lost => last = error,
                Err(error) if error.kind == Kind::Deadline => last = error,
                Err(error) => return Err(error),
            }
            // The caller moves on from the last.
            if tried < self.addresses.len() {
                left.failed += 1;
                self.move_on();
            }
        }
        if self.addresses.len() > 1 {
            last.message =
                format!("none of {} could be reached; the last: {}", self.addresses.join(", "), last.message);
        }
        Err(last)
    }

    fn greet(&self, soon: Instant) -> Result<Connection, Error> {
        let mut connection = Connection::open(self.address(), self.options.password.as_deref(), soon)?;
        let mut setup = Vec::new();
        if !self.options.table.is_empty() {
            setup.push(Command::new(["SELECT".to_owned(), self.options.table.clone()]));
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

/// What is left of a call.
struct Left {
    deadline: Instant,
    /// How many addresses failed it so far.
    failed: usize,
}

impl Left {
    /// The share of the next of this many addresses: an equal part of the time for each that this round has not tried,
    /// up to [`SHARE_MAX`], and all of it for the last.
    fn share(&self, addresses: usize) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match addresses.max(1) - self.failed % addresses.max(1) {
            1 => left,
            others => (left / others as u32).min(SHARE_MAX),
        }
    }
}

/// A time as the server takes it.
fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX).clamp(1, limits::DEADLINE_MAX_MS)
}

/// What is known after two attempts of one operation.
fn together(one: Applied, other: Applied) -> Applied {
    match (one, other) {
        (Applied::Yes, _) | (_, Applied::Yes) => Applied::Yes,
        (Applied::Unknown, _) | (_, Applied::Unknown) => Applied::Unknown,
        (Applied::No, Applied::No) => Applied::No,
    }
}

/// The error of the replies, if all commands can be repeated as a whole: each was refused for now, or, when they are
/// repeatable, is in doubt or met less than was asked.
fn retryable(replies: &[Reply], repeatable: bool) -> Option<Error> {
    let mut whole: Option<Error> = None;
    for reply in replies {
        let Reply::Error(text) = reply else { return None };
        let error = Error::of_reply(text);
        let safe = error.may_retry() || repeatable && error.kind == Kind::Doubt;
        if !safe {
            return None;
        }
        let applied = whole.map_or(error.applied, |whole| together(whole.applied, error.applied));
        whole = Some(Error { applied, ..error });
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_a_share_and_the_last_of_a_round_has_the_rest() {
        let share = |seconds, failed, addresses| {
            let left = Left { deadline: Instant::now() + Duration::from_secs(seconds), failed };
            left.share(addresses)
        };
        assert_eq!(share(60, 0, 3), SHARE_MAX);
        assert_eq!(share(60, 4, 3), SHARE_MAX);
        let near = |share: Duration, part: Duration| share <= part && part - share < Duration::from_millis(500);
        assert!(near(share(2, 0, 4), Duration::from_millis(500)));
        for (failed, addresses) in [(0, 1), (5, 1), (2, 3), (5, 3), (0, 0)] {
            assert!(near(share(60, failed, addresses), Duration::from_secs(60)), "{failed} of {addresses}");
        }
    }

    #[test]
    fn a_doubt_is_repeated_only_where_that_is_safe_and_weighs_more_than_a_refusal() {
        let refused = Reply::Error("CLUSTERDOWN applied: no; no leader".into());
        let unknown = Reply::Error("UNKNOWN applied: unknown; the leader was lost".into());
        let short = Reply::Error("SHORT applied: yes; only the leader holds it".into());
        let applied = |replies: &[&Reply], repeatable| {
            let replies: Vec<Reply> = replies.iter().copied().cloned().collect();
            retryable(&replies, repeatable).map(|error| error.applied)
        };
        assert_eq!(applied(&[&refused], false), Some(Applied::No));
        assert_eq!(applied(&[&unknown], false), None);
        assert_eq!(applied(&[&unknown, &refused], true), Some(Applied::Unknown));
        assert_eq!(applied(&[&refused, &unknown], true), Some(Applied::Unknown));
        assert_eq!(applied(&[&short], false), None);
        assert_eq!(applied(&[&short, &unknown], true), Some(Applied::Yes));
    }
}
