//! Replies in the order of the commands, however the answers arrive.

use super::codec::{Protocol, encode, null_array};
use super::info::Gathered;
use bytes::Bytes;
use quorate_core::operation::Value;
use std::collections::VecDeque;

/// A reply that can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// A value.
    Value(Value),
    /// The nil of EXEC.
    NullArray,
}

/// What becomes of an answer.
#[derive(Debug)]
pub enum Render {
    /// The value, or the value with its receipt.
    Value {
        /// Is the receipt asked for?
        receipt: bool,
    },
    /// The values of a transaction.
    Exec {
        /// Is the receipt asked for?
        receipt: bool,
        /// Versions that the first values must be equal to: a transaction that only reads has no guards.
        versions: Vec<u64>,
        /// One for each command of the transaction, in order.
        entries: Vec<Entry>,
    },
    /// The versions of watched keys.
    Watch(Vec<Bytes>),
    /// The table that SELECT names.
    Select,
    /// The node's status as JSON.
    Status,
    /// INFO, which several answers make.
    Info(Box<Gathered>),
}

/// A command of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The machine answers.
    Machine,
    /// The front has answered.
    Answered(Value),
}

/// Whether a call can change state. A connection's calls are put in order by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It cannot.
    Read,
    /// It can.
    Write,
}

/// An answer that is awaited.
#[derive(Debug)]
pub struct Waiting {
    /// What becomes of it.
    pub render: Render,
    /// Reading or writing.
    pub kind: Kind,
}

#[derive(Debug)]
enum State {
    Waiting(Waiting),
    Taken,
    Ready(Ready),
}

#[derive(Debug)]
struct Slot {
    state: State,
    /// The version of the protocol when the command was read.
    protocol: Protocol,
}

/// The unanswered commands of one connection.
#[derive(Debug, Default)]
pub struct Slots {
    first: u64,
    slots: VecDeque<Slot>,
    reads: usize,
    writes: usize,
}

impl Slots {
    /// Commands that are not answered yet.
    pub fn len(&self) -> usize {
        self.slots.len()
    }
    /// Is everything answered?
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
    /// Reads that are not answered yet.
    pub fn reads(&self) -> usize {
        self.reads
    }
    /// Writes that are not answered yet.
    pub fn writes(&self) -> usize {
        self.writes
    }

    /// Keeps a place for an answer.
    pub fn wait(&mut self, waiting: Waiting, protocol: Protocol) -> u64 {
        match waiting.kind {
            Kind::Read => self.reads += 1,
            Kind::Write => self.writes += 1,
        }
        self.slots.push_back(Slot { state: State::Waiting(waiting), protocol });
        self.newest()
    }

    /// The place of the newest command that waits.
    pub fn newest(&self) -> u64 {
        self.first + self.slots.len() as u64 - 1
    }

    /// A reply to the newest command.
    pub fn push(&mut self, ready: Ready, protocol: Protocol, out: &mut Vec<u8>) {
        if self.slots.is_empty() {
            write(&ready, protocol, out);
        } else {
            self.slots.push_back(Slot { state: State::Ready(ready), protocol });
        }
    }

    /// What waits at a place, for those that need several answers.
    pub fn waiting(&mut self, slot: u64) -> Option<&mut Waiting> {
        let slot = self.slots.get_mut(usize::try_from(slot.checked_sub(self.first)?).ok()?)?;
        match &mut slot.state {
            State::Waiting(waiting) => Some(waiting),
            State::Taken | State::Ready(_) => None,
        }
    }

    /// The answer for a place is here: what was waiting for it. Must be followed by [`Slots::fill`].
    pub fn take(&mut self, slot: u64) -> Option<Waiting> {
        let slot = self.slots.get_mut(usize::try_from(slot.checked_sub(self.first)?).ok()?)?;
        match std::mem::replace(&mut slot.state, State::Taken) {
            State::Waiting(waiting) => {
                match waiting.kind {
                    Kind::Read => self.reads -= 1,
                    Kind::Write => self.writes -= 1,
                }
                Some(waiting)
            }
            other => {
                slot.state = other;
                None
            }
        }
    }

    /// Fills a place that was taken, and writes every reply whose turn it is.
    pub fn fill(&mut self, slot: u64, ready: Ready, out: &mut Vec<u8>) {
        let at = (slot - self.first) as usize;
        if at == 0 {
            if let Some(slot) = self.slots.pop_front() {
                write(&ready, slot.protocol, out);
                self.first += 1;
            }
        } else if let Some(slot) = self.slots.get_mut(at) {
            slot.state = State::Ready(ready);
            return;
        }
        while let Some(Slot { state: State::Ready(ready), protocol }) = self.slots.front() {
            write(ready, *protocol, out);
            self.slots.pop_front();
            self.first += 1;
        }
        if self.slots.is_empty() && self.slots.capacity() > 64 {
            self.slots = VecDeque::new();
        }
    }
}

fn write(ready: &Ready, protocol: Protocol, out: &mut Vec<u8>) {
    match ready {
        Ready::Value(value) => encode(value, protocol, out),
        Ready::NullArray => null_array(protocol, out),
    }
}
