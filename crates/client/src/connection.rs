//! One connection: bytes out, replies in, both before a deadline.

use crate::command::Command;
use crate::error::{Error, Kind};
use crate::reply::{Malformed, Reply, parse};
use quorate_core::operation::Applied;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

const READ_BYTES: usize = 64 * 1024;

/// A connection to one node.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    taken: usize,
}

impl Connection {
    /// Connects to `HOST:PORT`, which may resolve to several addresses, and greets the server.
    ///
    /// # Errors
    /// `Unreachable`, `Denied` or `Protocol`; nothing was applied.
    pub fn open(address: &str, password: Option<&str>, deadline: Instant) -> Result<Connection, Error> {
        let mut connection = Connection { stream: dial(address, deadline)?, received: Vec::new(), taken: 0 };
        let mut hello = Command::new(["HELLO", "3"]);
        if let Some(password) = password {
            hello = hello.arg("AUTH").arg("default").arg(password.to_owned());
        }
        let greeted = connection.call(&hello, deadline).map_err(|error| Error { applied: Applied::No, ..error })?;
        if let Reply::Error(text) = greeted {
            return Err(Error::of_reply(&text));
        }
        Ok(connection)
    }

    /// Sends a command and waits for its reply. Error replies of the server come back as [`Reply::Error`].
    ///
    /// # Errors
    /// `Lost`, `Deadline` or `Protocol`, with what is known of the outcome. The connection is then of no more use.
    pub fn call(&mut self, command: &Command, deadline: Instant) -> Result<Reply, Error> {
        let mut out = Vec::with_capacity(128);
        command.encode(&mut out);
        self.send(&out, deadline)?;
        self.receive(deadline)
    }

    /// Sends bytes that are whole commands.
    ///
    /// # Errors
    /// `Lost` or `Deadline`: `applied` is no if no byte was handed over, else unknown.
    pub fn send(&mut self, mut bytes: &[u8], deadline: Instant) -> Result<(), Error> {
        let mut applied = Applied::No;
        while !bytes.is_empty() {
            let left = left(deadline).ok_or_else(|| late(applied))?;
            self.stream.set_write_timeout(Some(left)).map_err(|error| lost(&error, applied))?;
            match self.stream.write(bytes) {
                Ok(0) => return Err(lost(&ErrorKind::WriteZero.into(), applied)),
                Ok(count) => {
                    applied = Applied::Unknown;
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(late(applied)),
                Err(error) => return Err(lost(&error, applied)),
            }
        }
        Ok(())
    }

    /// Waits for the next reply. What the server says unasked is skipped.
    ///
    /// # Errors
    /// `Lost`, `Deadline` or `Protocol`, all with `applied: unknown`.
    pub fn receive(&mut self, deadline: Instant) -> Result<Reply, Error> {
        loop {
            match self.take() {
                Ok(Some(Reply::Push(_))) => {}
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => self.fill(deadline)?,
                Err(malformed) => return Err(Error::new(Kind::Protocol, Applied::Unknown, malformed.to_string())),
            }
        }
    }

    fn take(&mut self) -> Result<Option<Reply>, Malformed> {
        let Some((reply, length)) = parse(&self.received[self.taken..])? else { return Ok(None) };
        self.taken += length;
        if self.taken == self.received.len() {
            self.received.clear();
            self.taken = 0;
        }
        Ok(Some(reply))
    }

    fn fill(&mut self, deadline: Instant) -> Result<(), Error> {
        self.received.drain(..self.taken);
        self.taken = 0;
        let start = self.received.len();
        self.received.resize(start + READ_BYTES.max(start), 0);
        let outcome = loop {
            let Some(left) = left(deadline) else { break Err(late(Applied::Unknown)) };
            if let Err(error) = self.stream.set_read_timeout(Some(left)) {
                break Err(lost(&error, Applied::Unknown));
            }
            match self.stream.read(&mut self.received[start..]) {
                Ok(0) => break Err(lost(&ErrorKind::UnexpectedEof.into(), Applied::Unknown)),
                Ok(count) => break Ok(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => break Err(late(Applied::Unknown)),
                Err(error) => break Err(lost(&error, Applied::Unknown)),
            }
        };
        self.received.truncate(start + outcome.as_ref().copied().unwrap_or(0));
        outcome.map(|_| ())
    }
}

fn dial(address: &str, deadline: Instant) -> Result<TcpStream, Error> {
    let unreachable =
        |why: String| Error::new(Kind::Unreachable, Applied::No, format!("cannot reach {address}: {why}"));
    let resolved = address.to_socket_addrs().map_err(|error| unreachable(error.to_string()))?;
    let mut why = String::from("the name has no address");
    for socket in resolved {
        let Some(left) = left(deadline) else { return Err(unreachable("the deadline passed".into())) };
        match TcpStream::connect_timeout(&socket, left) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
                return Ok(stream);
            }
            Err(error) => why = error.to_string(),
        }
    }
    Err(unreachable(why))
}

fn left(deadline: Instant) -> Option<Duration> {
    deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn late(applied: Applied) -> Error {
    Error::new(Kind::Deadline, applied, "the deadline passed before the server answered")
}

fn lost(error: &std::io::Error, applied: Applied) -> Error {
    let what = match error.kind() {
        ErrorKind::UnexpectedEof => "the server closed the connection before it answered".to_owned(),
        _ => format!("the connection was lost before the server answered: {error}"),
    };
    Error::new(Kind::Lost, applied, what)
}
