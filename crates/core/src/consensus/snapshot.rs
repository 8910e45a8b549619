//! Snapshots: the state itself, for a follower that needs entries that are gone.
//!
//! The sender walks the state in key order while commands go on being applied. To send the state of one position, it
//! holds back the old value of every key ahead of the walk that is written meanwhile ([`Holding`]). The receiver fills
//! a new generation of the group's space and switches to it in one batch; the old generation is deleted bit by bit.

use super::message::{Body, Message, Point};
use super::replicate::Mode;
use super::{Applied, Cx, Group, Members, Part, log, space};
use crate::limits;
use crate::machine::NodeId;
use crate::mutant::Mutant;
use crate::state::{self, Space};
use crate::store::{Store, View, after_prefix};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;

/// Old values by key; `None` for a key that did not exist.
type Held = BTreeMap<Bytes, Option<Bytes>>;

/// Bytes that an old value costs in memory, roughly.
fn held_size(key: &[u8], value: Option<&Bytes>) -> usize {
    key.len() + value.map_or(0, Bytes::len) + 64
}

/// A snapshot on its way to one follower.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    at: Applied,
    members: Members,
    attempt: u64,
    /// The key after which the walk goes on; keys before and at it were sent.
    cursor: Option<Bytes>,
    /// Old values of keys ahead of the walk.
    held: Held,
    held_bytes: usize,
    /// The piece that is in flight, kept for sending it again.
    piece: Option<Piece>,
    next: u32,
    finished: bool,
    /// It waits for a heartbeat's time before the same piece is sent again.
    sent: bool,
}

/// One piece.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) at: Point,
    pub(super) times_ms: (u64, u64),
    pub(super) attempt: u64,
    pub(super) piece: u32,
    pub(super) pairs: Vec<(Bytes, Bytes)>,
    pub(super) done: bool,
    pub(super) members: Members,
}

/// A snapshot that is coming in.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    from: NodeId,
    at: Point,
    attempt: u64,
    next: u32,
    generation: u32,
}

impl Outgoing {
    pub(super) fn new(at: Applied, members: Members, attempt: u64) -> Outgoing {
        Outgoing {
            at,
            members,
            attempt,
            cursor: None,
            held: BTreeMap::new(),
            held_bytes: 0,
            piece: None,
            next: 0,
            finished: false,
            sent: false,
        }
    }

    pub(super) fn index(&self) -> u64 {
        self.at.at.index
    }

    fn hold(&mut self, key: &[u8], view: &dyn View, space: &Space) {
        let passed = self.finished || self.cursor.as_deref().is_some_and(|cursor| key <= cursor);
        if passed || self.held.contains_key(key) {
            return;
        }
        let old = view.get(&[space.as_slice(), key].concat());
        self.held_bytes += held_size(key, old.as_ref());
        self.held.insert(Bytes::copy_from_slice(key), old);
    }

    /// Cuts the next piece from the state as it was at the position.
    fn cut(&mut self, view: &dyn View, space: Space, forget_idempotency: bool) {
        let mut from = space.to_vec();
        if let Some(cursor) = &self.cursor {
            from.extend_from_slice(cursor);
            from.push(0);
        }
        let mut pairs: Vec<(Bytes, Bytes)> = Vec::new();
        let mut bytes = 0;
        let mut more = None;
        let (held, held_bytes) = (&mut self.held, &mut self.held_bytes);
        let mut next_held = |held: &mut Held| {
            let (key, value) = held.pop_first()?;
            *held_bytes -= held_size(&key, value.as_ref());
            value.map(|value| (key, value))
        };
        let mut take = |key: Bytes, value: Bytes, bytes: &mut usize| {
            *bytes += key.len() + value.len() + 16;
            if !(forget_idempotency && state::is_idempotency_record(&key)) {
                pairs.push((key, value));
            }
        };
        view.scan(&from, &after_prefix(&space), &mut |key, value| {
            let key = &key[space.len()..];
            while held.first_key_value().is_some_and(|(old, _)| old.as_ref() < key) {
                if let Some((old, value)) = next_held(held) {
                    take(old, value, &mut bytes);
                }
            }
            if bytes >= limits::SNAPSHOT_PIECE_BYTES {
                more = Some(());
                return false;
            }
            self.cursor = Some(Bytes::copy_from_slice(key));
            match held.first_key_value() {
                Some((old, _)) if old.as_ref() == key => {
                    if let Some((old, value)) = next_held(held) {
                        take(old, value, &mut bytes);
                    }
                }
                Some(_) | None => take(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value), &mut bytes),
            }
            true
        });
        if more.is_none() {
            while !held.is_empty() {
                if let Some((old, value)) = next_held(held) {
                    take(old, value, &mut bytes);
                }
            }
            self.finished = true;
        }
        self.piece = Some(Piece {
            at: self.at.at,
            times_ms: (self.at.time_ms, self.at.steady_ms),
            attempt: self.attempt,
            piece: self.next,
            pairs,
            done: self.finished,
            members: self.members,
        });
        self.sent = false;
    }
}

/// A store that holds back old values for the snapshots that are on their way. All writes to the state of a group go
/// through it.
pub struct Holding<'a> {
    store: &'a mut dyn Store,
    space: Space,
    outgoing: Vec<&'a mut Outgoing>,
}

impl View for Holding<'_> {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.store.get(key)
    }
    fn look(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) {
        self.store.look(key, visit);
    }
    fn scan(&self, from: &[u8], until: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        self.store.scan(from, until, visit);
    }
}

impl Store for Holding<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.hold(key);
        self.store.put(key, value);
    }
    fn delete(&mut self, key: &[u8]) {
        self.hold(key);
        self.store.delete(key);
    }
    fn as_view(&self) -> &dyn View {
        self
    }
}

impl Holding<'_> {
    fn hold(&mut self, key: &[u8]) {
        if let Some(key) = key.strip_prefix(self.space.as_slice()) {
            for outgoing in &mut self.outgoing {
                outgoing.hold(key, self.store.as_view(), &self.space);
            }
        }
    }
}

impl Group {
    /// The store through which the state of this group is written.
    pub fn holding<'a>(&'a mut self, store: &'a mut dyn Store) -> Holding<'a> {
        let space = self.space();
        let outgoing = match &mut self.part {
            Part::Leader(leading) => leading
                .followers
                .values_mut()
                .filter_map(|follower| match &mut follower.mode {
                    Mode::Snapshot(outgoing) => Some(&mut **outgoing),
                    Mode::Probe { .. } | Mode::Pipeline => None,
                })
                .collect(),
            Part::Follower | Part::PreCandidate { .. } | Part::Candidate { .. } => Vec::new(),
        };
        Holding { store, space, outgoing }
    }

    /// Sends the piece that is due to a follower, or the last one again when `again`.
    pub(super) fn send_snapshot(&mut self, cx: &mut Cx<'_>, peer: NodeId, again: bool) {
        let (space, applied, term) = (self.space(), self.applied, self.hard.term);
        let members = self.log.members_at(applied.at.index);
        let forget = self.config.mutants.has(Mutant::SnapshotForgetsIdempotency);
        let Part::Leader(leading) = &mut self.part else { return };
        let Some(follower) = leading.followers.get_mut(&peer) else { return };
        let Mode::Snapshot(outgoing) = &mut follower.mode else { return };
        if outgoing.held_bytes > limits::SNAPSHOT_HELD_BYTES {
            **outgoing = Outgoing::new(applied, members, outgoing.attempt.wrapping_add(1));
        }
        if outgoing.piece.is_none() {
            outgoing.cut(cx.view(), space, forget);
        }
        if outgoing.sent && !again {
            return;
        }
        outgoing.sent = true;
        if let Some(Piece { at, times_ms, attempt, piece, pairs, done, members }) = outgoing.piece.clone() {
            cx.send(
                peer,
                Message { term, body: Body::Snapshot { at, times_ms, attempt, piece, pairs, done, members } },
            );
        }
    }

    pub(super) fn on_snapshot_reply(&mut self, _cx: &mut Cx<'_>, from: NodeId, at: Point, attempt: u64, next: u32) {
        let Part::Leader(leading) = &mut self.part else { return };
        let Some(follower) = leading.followers.get_mut(&from) else { return };
        let Mode::Snapshot(outgoing) = &mut follower.mode else { return };
        if (outgoing.at.at, outgoing.attempt) != (at, attempt) {
            return;
        }
        if next == 0 && outgoing.next > 0 {
            // The follower restarted and lost what it had.
            let members = self.log.members_at(self.applied.at.index);
            **outgoing = Outgoing::new(self.applied, members, outgoing.attempt.wrapping_add(1));
        } else if next == outgoing.next + 1 {
            if outgoing.finished {
                let matched = at.index.max(follower.matched);
                follower.matched = matched;
                follower.stream_from(matched + 1);
                self.advance_commit();
            } else {
                outgoing.next = next;
                outgoing.piece = None;
            }
        }
        self.due = true;
    }

    pub(super) fn on_snapshot(&mut self, cx: &mut Cx<'_>, from: NodeId, piece: Piece) {
        let (at, attempt) = (piece.at, piece.attempt);
        if at.index <= self.commit {
            // Already there: what it brings is committed here.
            let commit = self.commit;
            self.drop_incoming();
            cx.send_synced(from, self.say(Body::Appended { matched: commit }));
            return;
        }
        let same = |incoming: &Incoming| (incoming.from, incoming.at, incoming.attempt) == (from, at, attempt);
        if !self.incoming.as_ref().is_some_and(same) && piece.piece == 0 {
            self.drop_incoming();
            let generation = self.garbage.new_generation();
            self.incoming = Some(Incoming { from, at, attempt, next: 0, generation });
        }
        let Some(incoming) = self.incoming.as_mut().filter(|incoming| same(incoming)) else {
            cx.send_synced(from, self.say(Body::SnapshotReply { at, attempt, next: 0 }));
            return;
        };
        if piece.piece == incoming.next {
            let space = space(self.config.group, incoming.generation);
            for (key, value) in &piece.pairs {
                cx.put(&[space.as_slice(), key].concat(), value);
            }
            incoming.next += 1;
            if piece.done {
                let generation = incoming.generation;
                self.install(cx, (at, piece.members), piece.times_ms, generation);
            }
        }
        if piece.piece < incoming_next(&self.incoming, piece.piece) {
            cx.send_synced(from, self.say(Body::SnapshotReply { at, attempt, next: piece.piece + 1 }));
        }
    }

    pub(super) fn drop_incoming(&mut self) {
        if self.incoming.take().is_some() {
            self.garbage.look_again = true;
        }
    }

    /// Deletes a bounded part of the generations that are neither the state nor coming in.
    pub(super) fn delete_garbage(&mut self, cx: &mut Cx<'_>) {
        let incoming = self.incoming.as_ref().map(|incoming| incoming.generation);
        self.garbage.delete_some(cx, incoming);
    }

    fn install(
        &mut self,
        cx: &mut Cx<'_>,
        (at, members): (Point, Members),
        (time_ms, steady_ms): (u64, u64),
        generation: u32,
    ) {
        // Of a log that is replaced, only what was committed is what the leader has, too.
        let agrees = self.log.term_at(at.index) == Some(at.term);
        let same = if agrees { self.log.last().index } else { self.commit };
        self.log.restart(cx, at, members);
        self.durable = self.durable.min(same);
        for (_, upto) in &mut self.appended {
            *upto = (*upto).min(same);
        }
        // The position of the state is held once this step is synced, no sooner.
        self.appended.push_back((cx.seq(), at.index));
        self.commit = at.index;
        self.garbage.active = generation;
        self.garbage.look_again = true;
        self.applied = Applied { at, time_ms, steady_ms, generation };
        self.incoming = None;
        let bytes = postcard::to_allocvec(&self.applied).expect("positions always encode");
        cx.put(&log::record_key(self.config.group, b'a'), &bytes);
    }
}

fn incoming_next(incoming: &Option<Incoming>, piece: u32) -> u32 {
    incoming.as_ref().map_or(piece + 1, |incoming| incoming.next)
}

/// Generations of a group's space that are no longer, or not yet, the state.
#[derive(Clone, Debug)]
pub(super) struct Garbage {
    group: u16,
    active: u32,
    newest: u32,
    look_again: bool,
}

impl Garbage {
    pub(super) fn boot(group: u16, active: u32, disk: &dyn View) -> Garbage {
        // The newest generation on disk: jump from each generation found to the next.
        let mut newest = active;
        let mut from = space(group, 0).to_vec();
        let end = after_prefix(&from[..3]);
        let mut others = false;
        loop {
            let mut found = None;
            disk.scan(&from, &end, &mut |key, _| {
                found = key[3..7].try_into().ok().map(u32::from_be_bytes);
                false
            });
            let Some(generation) = found else { break };
            newest = newest.max(generation);
            others |= generation != active;
            from = after_prefix(&space(group, generation));
        }
        Garbage { group, active, newest, look_again: others }
    }

    pub(super) fn any(&self) -> bool {
        self.look_again
    }

    fn new_generation(&mut self) -> u32 {
        self.newest += 1;
        self.newest
    }

    fn delete_some(&mut self, cx: &mut Cx<'_>, incoming: Option<u32>) {
        if !self.look_again {
            return;
        }
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let full = |keys: &Vec<Vec<u8>>| keys.len() >= limits::DELETE_PER_STEP;
        let mut collect = |from: &[u8], until: &[u8]| {
            cx.view().scan(from, until, &mut |key, _| {
                keys.push(key.to_vec());
                !full(&keys)
            });
        };
        collect(&space(self.group, 0), &space(self.group, self.active));
        let end = match incoming {
            Some(generation) => space(self.group, generation).to_vec(),
            None => after_prefix(&space(self.group, 0)[..3]),
        };
        collect(&after_prefix(&space(self.group, self.active)), &end);
        self.look_again = full(&keys);
        for key in keys {
            cx.delete(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn what_was_sent_is_no_longer_held() {
        let space = space(0, 0);
        let full = |key: &[u8]| [space.as_slice(), key].concat();
        let mut store = MemoryStore::default();
        let large = alloc::vec![7; limits::SNAPSHOT_PIECE_BYTES];
        [b"a", b"c", b"e"].iter().for_each(|key| store.put(&full(*key), &large));
        let mut outgoing = Outgoing::new(Applied::default(), Members::default(), 1);
        for key in [b"a", b"b", b"c", b"e"] {
            outgoing.hold(key, &store, &space);
        }
        store.put(&full(b"a"), b"new");
        store.put(&full(b"b"), b"new");
        store.delete(&full(b"c"));
        let mut sent = Vec::new();
        while !outgoing.finished {
            outgoing.cut(&store, space, false);
            let piece = outgoing.piece.take().expect("a piece was cut");
            sent.extend(piece.pairs.into_iter().map(|(key, value)| (key, value.len())));
            let held: usize = outgoing.held.iter().map(|(key, value)| held_size(key, value.as_ref())).sum();
            assert_eq!(outgoing.held_bytes, held);
        }
        let expected = [b"a", b"c", b"e"].map(|key| (Bytes::from_static(key), large.len()));
        assert_eq!((sent, outgoing.held_bytes), (expected.to_vec(), 0));
    }
}
