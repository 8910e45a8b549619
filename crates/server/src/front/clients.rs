//! The sockets of the clients.

use super::client::line;
use super::connection::Connection;
use super::shared::{Issue, Shared};
use crate::slab::Slab;
use crate::token::Source;
use bytes::Bytes;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use quorate_core::machine::Mono;
use quorate_core::operation::{Reply, Value};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};

/// Bytes read from one client before others have their turn.
const READ_BYTES: usize = 64 * 1024;
/// Connections taken in one turn.
const ACCEPTS: usize = 256;
/// How long a closed connection may go on sending, so that the last reply reaches a client that is still sending.
const LINGER_MS: u64 = 1_000;

struct Client {
    socket: TcpStream,
    connection: Connection,
    /// The socket may have more to read.
    readable: bool,
    /// The other side has closed, behind what is there to read.
    closed: bool,
    /// In the list of those that need attention at the end of the turn.
    touched: bool,
    /// Its end was sent; what it still sends is dropped.
    lingering: bool,
}

/// An issue with the client that it comes from.
#[derive(Debug)]
pub struct Raised {
    /// The place of the client.
    pub client: usize,
    /// Its name.
    pub id: u64,
    /// What is asked.
    pub issue: Issue,
}

/// All clients of a node.
pub struct Clients {
    clients: Slab<Client>,
    listener: TcpListener,
    registry: Registry,
    next_id: u64,
    /// Room for one read, shared by all.
    room: Box<[u8]>,
    touched: Vec<usize>,
    /// Clients that may have more to read, for the next turn.
    unread: Vec<usize>,
    lingering: VecDeque<(Mono, usize, u64)>,
    issues: Vec<Issue>,
}

impl Clients {
    /// No clients yet.
    pub fn new(listener: std::net::TcpListener, registry: Registry) -> std::io::Result<Clients> {
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        registry.register(&mut listener, Source::ClientListener.token(), Interest::READABLE)?;
        Ok(Clients {
            clients: Slab::default(),
            listener,
            registry,
            next_id: 1,
            room: vec![0; READ_BYTES].into_boxed_slice(),
            touched: Vec::new(),
            unread: Vec::new(),
            lingering: VecDeque::new(),
            issues: Vec::new(),
        })
    }

    /// Takes new connections. True if more may be waiting.
    pub fn accept(&mut self, shared: &mut Shared) -> bool {
        for _ in 0..ACCEPTS {
            match self.listener.accept() {
                Ok((socket, address)) => self.seat(socket, address.to_string(), shared),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!("a client's connection could not be taken: {error}");
                    return false;
                }
            }
        }
        true
    }

    fn seat(&mut self, mut socket: TcpStream, address: String, shared: &mut Shared) {
        let _ = socket.set_nodelay(true);
        if self.clients.count() >= shared.bounds.connections {
            shared.metrics.connections_refused += 1;
            let _ = socket.write(b"-ERR max number of clients reached\r\n");
            return;
        }
        let token = Source::Client(self.clients.next()).token();
        if let Err(error) = self.registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE) {
            tracing::warn!("a client's connection could not be watched: {error}");
            return;
        }
        let connection = Connection::new(self.next_id, address, shared);
        self.next_id += 1;
        self.clients.insert(Client {
            socket,
            connection,
            readable: false,
            closed: false,
            touched: false,
            lingering: false,
        });
        shared.metrics.connections_total += 1;
        shared.metrics.connections = self.clients.count() as u64;
    }

    /// A socket may be readable or writable.
    pub fn ready(&mut self, at: usize, readable: bool, closed: bool, shared: &mut Shared, raised: &mut Vec<Raised>) {
        let Some(client) = self.clients.get_mut(at) else { return };
        client.readable |= readable;
        client.closed |= closed;
        self.touch(at);
        if readable {
            self.read(at, shared, raised);
        }
    }

    /// Reads on where a turn was not enough.
    pub fn read_on(&mut self, shared: &mut Shared, raised: &mut Vec<Raised>) {
        for at in std::mem::take(&mut self.unread) {
            self.touch(at);
            self.read(at, shared, raised);
        }
    }

    /// Has a client more to read than one turn takes?
    pub fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// When [`Clients::tick`] should be called next.
    pub fn wake_at(&self) -> Option<Mono> {
        self.lingering.front().map(|(until, _, _)| *until)
    }

    /// Ends connections that lingered long enough.
    pub fn tick(&mut self, now: Mono, shared: &mut Shared) {
        while let Some(&(until, at, id)) = self.lingering.front()
            && until <= now
        {
            self.lingering.pop_front();
            if self.clients.get(at).is_some_and(|client| client.connection.id == id) {
                self.close(at, shared);
            }
        }
    }

    /// The machine's answer to an issue.
    pub fn complete(
        &mut self,
        (at, id, slot): (usize, u64, u64),
        reply: Reply,
        shared: &mut Shared,
        raised: &mut Vec<Raised>,
    ) {
        let Some(client) = self.clients.get_mut(at).filter(|client| client.connection.id == id) else { return };
        client.connection.complete(slot, reply, shared, &mut self.issues);
        self.raise(at, id, raised);
        self.touch(at);
    }

    /// Any other answer to an issue.
    pub fn complete_value(
        &mut self,
        (at, id, slot): (usize, u64, u64),
        value: Value,
        shared: &mut Shared,
        raised: &mut Vec<Raised>,
    ) {
        let Some(client) = self.clients.get_mut(at).filter(|client| client.connection.id == id) else { return };
        client.connection.complete_value(slot, value, shared, &mut self.issues);
        self.raise(at, id, raised);
        self.touch(at);
    }

    /// The text of `CLIENT LIST`.
    pub fn list(&self, now_us: u64) -> Value {
        let lines: String = self.clients.iter().map(|(_, client)| line(&client.connection, now_us)).collect();
        Value::Bulk(Bytes::from(lines))
    }

    /// Writes what is to be sent, with one write for each client, and ends what is over.
    pub fn flush(&mut self, now: Mono, shared: &mut Shared) {
        let mut touched = std::mem::take(&mut self.touched);
        for at in touched.drain(..) {
            self.attend(at, now, shared);
        }
        self.touched = touched;
    }

    fn touch(&mut self, at: usize) {
        if let Some(client) = self.clients.get_mut(at)
            && !std::mem::replace(&mut client.touched, true)
        {
            self.touched.push(at);
        }
    }

    fn raise(&mut self, at: usize, id: u64, raised: &mut Vec<Raised>) {
        raised.extend(self.issues.drain(..).map(|issue| Raised { client: at, id, issue }));
    }

    /// Reads once, as much as the room takes.
    fn read(&mut self, at: usize, shared: &mut Shared, raised: &mut Vec<Raised>) {
        let Some(client) = self.clients.get_mut(at) else { return };
        if !client.readable || !(client.connection.wants_input() || client.lingering) {
            return;
        }
        match client.socket.read(&mut self.room) {
            Ok(0) if client.lingering => self.close(at, shared),
            Ok(0) => {
                (client.closed, client.readable) = (true, false);
                let id = client.connection.id;
                client.connection.end(shared, &mut self.issues);
                self.raise(at, id, raised);
            }
            Ok(bytes) => {
                // A read that did not fill the room has emptied the socket; a later arrival is a new event.
                client.readable = bytes == READ_BYTES || client.closed;
                shared.metrics.client_bytes_in += bytes as u64;
                let (id, again) = (client.connection.id, client.readable);
                if !client.lingering {
                    client.connection.receive(&self.room[..bytes], shared, &mut self.issues);
                    self.raise(at, id, raised);
                }
                if again {
                    self.unread.push(at);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => client.readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => self.unread.push(at),
            Err(_) => self.close(at, shared),
        }
    }

    fn attend(&mut self, at: usize, now: Mono, shared: &mut Shared) {
        let Some(client) = self.clients.get_mut(at) else { return };
        client.touched = false;
        let output = client.connection.output();
        if !output.is_empty() {
            match client.socket.write(output) {
                Ok(bytes) => {
                    shared.metrics.client_bytes_out += bytes as u64;
                    client.connection.sent(bytes);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => self.unread.push(at),
                Err(_) => return self.close(at, shared),
            }
        }
        let Some(client) = self.clients.get_mut(at) else { return };
        let waiting = client.connection.output().len();
        if waiting > shared.bounds.output_bytes {
            shared.metrics.connections_slow += 1;
            tracing::warn!(
                "client {} at {} does not read its replies and is closed",
                client.connection.id,
                client.connection.address
            );
            return self.close(at, shared);
        }
        if waiting > 0 {
            return;
        }
        if client.connection.is_over() && client.closed {
            self.close(at, shared);
        } else if client.connection.is_over() && !client.lingering {
            client.lingering = true;
            let _ = client.socket.shutdown(std::net::Shutdown::Write);
            self.lingering.push_back((now.after_ms(LINGER_MS), at, client.connection.id));
            self.unread.push(at);
        } else if client.readable && client.connection.wants_input() {
            self.unread.push(at);
        }
    }

    fn close(&mut self, at: usize, shared: &mut Shared) {
        if let Some(mut client) = self.clients.remove(at) {
            let _ = self.registry.deregister(&mut client.socket);
            shared.metrics.connections = self.clients.count() as u64;
        }
    }
}
