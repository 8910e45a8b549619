//! One socket to or from a peer, with what is on its way in and out.

use super::frame;
use super::handshake::Handshake;
use mio::net::TcpStream;
use quorate_core::machine::{Mono, NodeId};
use quorate_core::node::Message;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};

/// Bytes that may wait for a peer that does not read. More are dropped, as messages may be.
pub const OUTPUT_BYTES: usize = 64 * 1024 * 1024;
/// Bytes read from one socket before others have their turn.
const READ_BYTES: usize = 1024 * 1024;
/// Least room for one read.
const READ_ROOM: usize = 64 * 1024;
/// An emptied buffer that is larger than this is given back.
const KEEP_BYTES: usize = 1024 * 1024;

/// How far a link has come.
#[derive(Debug)]
pub enum Stage {
    /// Both sides prove themselves, until this moment at the latest.
    Meeting(Handshake, Mono),
    /// Messages flow.
    Up,
}

/// What reading a socket gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// All there was.
    Everything,
    /// There may be more; others have their turn first.
    Enough,
    /// The other side has closed, or the network has.
    End,
}

/// A socket and its buffers.
#[derive(Debug)]
pub struct Link {
    /// The socket.
    pub socket: TcpStream,
    /// How far it has come.
    pub stage: Stage,
    /// The peer: dialed, or known since the handshake.
    pub peer: Option<NodeId>,
    /// We dialed it.
    pub dialed: bool,
    /// The peer's life, once known.
    pub incarnation: u64,
    /// Where the other side is.
    pub address: String,
    /// Room for what is read. `understood..filled` of it is read and not yet understood.
    input: Vec<u8>,
    understood: usize,
    filled: usize,
    /// What is to be sent.
    pub output: Vec<u8>,
    sent: usize,
    /// Frames that an injected fault holds back, with the moment when they go on.
    pub delayed: VecDeque<(Mono, Vec<u8>)>,
}

impl Link {
    /// A link on a fresh socket.
    pub fn new(socket: TcpStream, stage: Stage, peer: Option<NodeId>, address: String) -> Link {
        Link {
            socket,
            stage,
            peer,
            dialed: peer.is_some(),
            incarnation: 0,
            address,
            input: Vec::new(),
            understood: 0,
            filled: 0,
            output: Vec::new(),
            sent: 0,
            delayed: VecDeque::new(),
        }
    }

    /// Do messages flow?
    pub fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up)
    }

    /// Reads what there is, up to a bound. `closed` tells that the other side has closed, behind what is there.
    pub fn read(&mut self, closed: bool) -> Taken {
        let mut taken = 0;
        while taken < READ_BYTES {
            if self.input.len() - self.filled < READ_ROOM {
                self.input.resize((self.filled + READ_ROOM).max(self.filled * 2), 0);
            }
            let room = &mut self.input[self.filled..];
            let roomy = room.len();
            match self.socket.read(room) {
                Ok(0) => return Taken::End,
                Ok(bytes) => {
                    self.filled += bytes;
                    taken += bytes;
                    // A read that did not fill its room has emptied the socket; a later arrival is a new event.
                    if bytes < roomy && !closed {
                        return Taken::Everything;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Taken::Everything,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Taken::End,
            }
        }
        Taken::Enough
    }

    /// The next message of the input.
    pub fn next(&mut self) -> Result<Option<Message>, frame::Broken> {
        match frame::decode(&self.input[self.understood..self.filled])? {
            Some((message, bytes)) => {
                self.understood += bytes;
                Ok(Some(message))
            }
            None => {
                self.input.copy_within(self.understood..self.filled, 0);
                self.filled -= self.understood;
                self.understood = 0;
                if self.filled == 0 && self.input.len() > KEEP_BYTES {
                    self.input = Vec::new();
                }
                Ok(None)
            }
        }
    }

    /// Takes what was read and not understood.
    pub fn take_input(&mut self) -> Vec<u8> {
        let input = self.input[self.understood..self.filled].to_vec();
        (self.understood, self.filled) = (0, 0);
        input
    }

    /// Puts back what was not understood.
    pub fn put_back(&mut self, input: &[u8]) {
        self.input.splice(..0, input.iter().copied());
        self.filled += input.len();
    }

    /// Is there no room for another message?
    pub fn is_full(&self) -> bool {
        self.output.len() - self.sent > OUTPUT_BYTES
    }

    /// Writes what there is. False means that the link is broken.
    pub fn write(&mut self) -> bool {
        while self.sent < self.output.len() {
            match self.socket.write(&self.output[self.sent..]) {
                Ok(0) => return false,
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        if self.sent == self.output.len() {
            self.output.clear();
            self.output.shrink_to(KEEP_BYTES);
            self.sent = 0;
        } else if self.sent > KEEP_BYTES {
            self.output.drain(..self.sent);
            self.sent = 0;
        }
        true
    }

    /// Moves frames whose delay is over to the output.
    pub fn release(&mut self, now: Mono) {
        let due = self.delayed.iter().take_while(|(due, _)| *due <= now).count();
        self.delayed.drain(..due).for_each(|(_, frame)| self.output.extend_from_slice(&frame));
    }
}
