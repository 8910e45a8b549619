//! The order of a text: YATA, as Yjs has it (Nicolaescu, Jahns, Derntl and Klamma, "Near real-time peer-to-peer shared editing on
//! extensible data types", 2016).
//!
//! A piece goes behind the unit that stood before it when it was made. Of pieces made concurrently at one place, those of
//! the smaller client go first, and none comes between another and what was typed on behind it.

use super::update::{Body, Content, Item, Parent, Ranges, Run, Update, Vector, byte_of_unit, units};
use super::wire::NUMBER_END;
use super::{EditError, Id, ROOT, Tangled};
use crate::limits::TEXT_STEPS;
use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::iter::Peekable;
use core::ops::RangeInclusive;

/// A place in the arena.
type At = usize;

/// A piece at its place.
#[derive(Clone, Debug)]
struct Node<'a> {
    id: Id,
    end: u64,
    origin: Option<Id>,
    right: Option<Id>,
    /// None if it belongs to another part of the document.
    content: Option<Content<'a>>,
    deleted: bool,
    next: Option<At>,
}

/// The pieces of a document in their order. What it builds on must be there: what came without is left for later.
#[derive(Clone, Debug, Default)]
pub struct Sequence<'a> {
    nodes: Vec<Node<'a>>,
    places: BTreeMap<Id, At>,
    first: Option<At>,
    /// What stands, for each client from the first unit on.
    known: Vector,
    /// How many units of each client there are, those included that are left for later.
    ends: Vector,
    steps: u64,
}

impl<'a> Sequence<'a> {
    /// Puts the pieces of an update in order.
    ///
    /// # Errors
    /// If that takes more than [`TEXT_STEPS`].
    pub fn of(update: Update<'a>) -> Result<Sequence<'a>, Tangled> {
        let mut sequence = Sequence::default();
        let mut queues: BTreeMap<u64, Peekable<vec::IntoIter<Run<'a>>>> = BTreeMap::new();
        for (client, runs) in update.runs {
            sequence.ends.insert(client, runs.last().map_or(0, |run| run.end));
            queues.insert(client, runs.into_iter().peekable());
        }
        let mut ready: Vec<u64> = queues.keys().copied().collect();
        // Who waits for which unit: the unit, and then the client.
        let mut waiting: BTreeSet<(u64, u64, u64)> = BTreeSet::new();
        while let Some(client) = ready.pop() {
            let Some(queue) = queues.get_mut(&client) else { continue };
            while let Some(run) = queue.peek() {
                if let Some(missing) = sequence.missing(client, run) {
                    waiting.insert((missing.client, missing.clock, client));
                    break;
                }
                if let Some(run) = queue.next() {
                    sequence.put(client, run)?;
                }
            }
            let come = (client, sequence.known(client), 0);
            let woken: Vec<_> = waiting.range((client, 0, 0)..come).copied().collect();
            for wait in woken {
                waiting.remove(&wait);
                ready.push(wait.2);
            }
        }
        sequence.delete(&update.deleted);
        Ok(sequence)
    }

    fn known(&self, client: u64) -> u64 {
        self.known.get(&client).copied().unwrap_or(0)
    }

    /// A unit that must be there before this run, and is not.
    fn missing(&self, client: u64, run: &Run<'a>) -> Option<Id> {
        let known = self.known(client);
        if run.clock != known {
            return Some(Id { client, clock: known });
        }
        let Body::Item(item) = &run.body else { return None };
        let parent = match item.parent {
            Parent::Item(id) => Some(id),
            Parent::Root(_) | Parent::OfNeighbours => None,
        };
        item.origin.into_iter().chain(item.right).chain(parent).find(|id| id.clock >= self.known(id.client))
    }

    /// Puts a run at its place. All that it builds on is there.
    fn put(&mut self, client: u64, run: Run<'a>) -> Result<(), Tangled> {
        let id = Id { client, clock: run.clock };
        self.known.insert(client, run.end);
        let ours = match run.body {
            Body::Item(item) if self.is_ours(&item) => Some(item),
            Body::Item(_) | Body::Gone => None,
        };
        let Some(Item { origin, right, content, .. }) = ours else {
            self.add(Node { id, end: run.end, origin: None, right: None, content: None, deleted: false, next: None });
            return Ok(());
        };
        let left = origin.map(|origin| self.ending_at(origin));
        let stop = right.map(|right| self.beginning_at(right));
        let left = self.place(id, (origin, right), left, stop)?;
        let next = self.after(left);
        let at = self.add(Node { id, end: run.end, origin, right, content: Some(content), deleted: false, next });
        match left {
            Some(left) => self.nodes[left].next = Some(at),
            None => self.first = Some(at),
        }
        Ok(())
    }

    fn is_ours(&self, item: &Item<'a>) -> bool {
        match item.parent {
            Parent::Root(name) => name == ROOT && item.key.is_none(),
            Parent::Item(_) => false,
            Parent::OfNeighbours => {
                item.origin.into_iter().chain(item.right).all(|id| self.nodes[self.find(id)].content.is_some())
            }
        }
    }

    /// The node that a piece goes behind: the one before it when it was made, or one of those that were made there concurrently.
    fn place(
        &mut self,
        id: Id,
        (origin, right): (Option<Id>, Option<Id>),
        left: Option<At>,
        stop: Option<At>,
    ) -> Result<Option<At>, Tangled> {
        let (mut left, mut other) = (left, self.after(left));
        // Those passed, and those of them that may still come behind this one.
        let (mut passed, mut open) = (BTreeSet::new(), BTreeSet::new());
        while let Some(at) = other
            && other != stop
        {
            self.steps += 1;
            if self.steps > TEXT_STEPS {
                return Err(Tangled);
            }
            passed.insert(at);
            open.insert(at);
            let node = &self.nodes[at];
            let behind = if node.origin == origin {
                if node.id.client >= id.client && node.right == right {
                    break;
                }
                node.id.client < id.client
            } else {
                let Some(before) = node.origin.map(|origin| self.find(origin)).filter(|at| passed.contains(at)) else {
                    break;
                };
                !open.contains(&before)
            };
            if behind {
                left = Some(at);
                open.clear();
            }
            other = node.next;
        }
        Ok(left)
    }

    fn after(&self, left: Option<At>) -> Option<At> {
        left.map_or(self.first, |left| self.nodes[left].next)
    }
    fn add(&mut self, node: Node<'a>) -> At {
        let at = self.nodes.len();
        self.places.insert(node.id, at);
        self.nodes.push(node);
        at
    }
    /// The node of a unit that is there.
    fn find(&self, id: Id) -> At {
        let (_, &at) = self.places.range(..=id).next_back().expect("units that are known have a node");
        at
    }
    fn ending_at(&mut self, id: Id) -> At {
        let at = self.find(id);
        self.split(at, id.clock + 1);
        at
    }
    fn beginning_at(&mut self, id: Id) -> At {
        let at = self.find(id);
        self.split(at, id.clock)
    }
    /// Cuts a node before a unit, if that is within it. Gives the node that begins with the unit, if there is one.
    fn split(&mut self, at: At, clock: u64) -> At {
        let node = &mut self.nodes[at];
        if clock <= node.id.clock || clock >= node.end {
            return at;
        }
        let Node { id, end, right, deleted, next, .. } = *node;
        let content = node.content.as_mut().map(|content| content.split_off(clock - id.clock, end - id.clock));
        node.end = clock;
        let origin = Some(Id { client: id.client, clock: clock - 1 });
        let rest = self.add(Node { id: Id { clock, ..id }, end, origin, right, content, deleted, next });
        self.nodes[at].next = Some(rest);
        rest
    }

    fn delete(&mut self, deleted: &Ranges) {
        for (&client, ranges) in deleted {
            let known = self.known(client);
            for &(from, end) in ranges {
                let (mut clock, end) = (from, end.min(known));
                while clock < end {
                    let at = self.beginning_at(Id { client, clock });
                    self.split(at, end);
                    self.nodes[at].deleted = true;
                    clock = self.nodes[at].end;
                }
            }
        }
    }
}

/// A node that a reader sees, with its content.
type Seen<'s, 'a> = (&'s Node<'a>, &'s Content<'a>);

impl<'a> Sequence<'a> {
    fn seen(&self) -> impl Iterator<Item = Seen<'_, 'a>> {
        let all = core::iter::successors(self.first, |&at| self.nodes[at].next).map(|at| &self.nodes[at]);
        let seen = all.filter(|node| !node.deleted).filter_map(|node| Some((node, node.content.as_ref()?)));
        seen.filter(|(_, content)| content.counts())
    }

    /// The text. Objects that are embedded in it are left out.
    pub fn text(&self) -> String {
        self.seen()
            .filter_map(|(_, content)| match content {
                Content::Text(text) => Some(&text[..]),
                Content::Deleted | Content::List { .. } | Content::One { .. } => None,
            })
            .collect()
    }

    /// The length in UTF-16 units, as Yjs gives it: each embedded object counts for one.
    pub fn length(&self) -> u64 {
        self.seen().map(|(node, _)| node.end - node.id.clock).sum()
    }

    /// The update that puts a text at a position. It is made as a client out of `own`: as the one that made units in `last`, the
    /// newest update of the same writer, if it goes on where those end; and else as the last of `own`, which made none yet.
    ///
    /// # Errors
    /// If there is no such position, or somebody else made units in the name of `own`.
    pub fn insert(
        &self,
        position: u64,
        text: &'a str,
        own: RangeInclusive<u64>,
        last: Option<&Update<'_>>,
    ) -> Result<Update<'a>, EditError> {
        let (origin, right) = self.neighbours(position)?;
        let alone = origin.is_none() && right.is_none();
        let parent = if alone { Parent::Root(ROOT) } else { Parent::OfNeighbours };
        let content = Content::Text(Cow::Borrowed(text));
        let (before, fresh) = (last.and_then(|last| last.runs.range(own.clone()).next_back()), *own.end());
        let goes_on = before.filter(|(client, runs)| runs.last().map(|run| run.end) == self.ends.get(*client).copied());
        let mut clients = goes_on.map(|(&client, _)| client).into_iter().chain([fresh]);
        // What a client made stands, so that what it makes next does, too.
        let stands = |client: &u64| self.known(*client) == self.end(*client);
        let fits = |client: &u64| self.end(*client) + units(text) < NUMBER_END;
        let client = clients.find(|client| stands(client) && fits(client)).ok_or(EditError::Taken)?;
        let clock = self.end(client);
        let body = Body::Item(Item { origin, right, parent, key: None, content });
        let run = Run { clock, end: clock + units(text), body };
        Ok(Update { runs: BTreeMap::from([(client, vec![run])]), ..Update::default() })
    }

    fn end(&self, client: u64) -> u64 {
        self.ends.get(&client).copied().unwrap_or(0)
    }

    /// The units before and behind a position.
    fn neighbours(&self, position: u64) -> Result<(Option<Id>, Option<Id>), EditError> {
        let id = |at: At| self.nodes[at].id;
        if position == 0 {
            return Ok((None, self.first.map(id)));
        }
        let mut before = 0;
        for (node, content) in self.seen() {
            let length = node.end - node.id.clock;
            if position <= before + length {
                let within = position - before;
                check_whole(content, within, length)?;
                let clock = node.id.clock + within;
                let right = if within < length { Some(Id { clock, ..node.id }) } else { node.next.map(id) };
                return Ok((Some(Id { clock: clock - 1, ..node.id }), right));
            }
            before += length;
        }
        Err(EditError::Beyond { length: before })
    }

    /// The update that deletes so many units from a position on.
    ///
    /// # Errors
    /// If there are not so many.
    pub fn remove(&self, position: u64, length: u64) -> Result<Update<'static>, EditError> {
        let (mut begin, mut deleted) = (0, Ranges::new());
        let end = position.saturating_add(length);
        for (node, content) in self.seen() {
            let here = node.end - node.id.clock;
            let (from, to) = (position.max(begin), end.min(begin + here));
            if from < to {
                check_whole(content, from - begin, here)?;
                check_whole(content, to - begin, here)?;
                let clock = |at: u64| node.id.clock + (at - begin);
                deleted.entry(node.id.client).or_default().push((clock(from), clock(to)));
            }
            begin += here;
        }
        if end > begin { Err(EditError::Beyond { length: begin }) } else { Ok(Update::deletes(deleted)) }
    }
}

/// A position must not be in the middle of a character.
fn check_whole(content: &Content<'_>, at: u64, length: u64) -> Result<(), EditError> {
    match content {
        Content::Text(text) if byte_of_unit(text, at, length).1 => Err(EditError::Half),
        Content::Text(_) | Content::Deleted | Content::List { .. } | Content::One { .. } => Ok(()),
    }
}
