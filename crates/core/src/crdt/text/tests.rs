//! Updates recorded from Yjs, bytes that are none, names of units, and what takes too long.

use super::update::{Body, Content, Item, Parent, Run};
use super::*;
use crate::machine::NodeId;
use crate::random::Random;
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec;

const A: Actor = Actor { node: NodeId(1), incarnation: 3 };
const B: Actor = Actor { node: NodeId(2), incarnation: 1 };

#[derive(Debug, Default)]
struct Session {
    updates: Vec<Bytes>,
    text: String,
    length: u64,
    vector: Bytes,
}

fn bytes(hex: &str) -> Bytes {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("it is hexadecimal");
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// Made by `recorded/record.mjs` with Yjs 13.6.33.
fn sessions() -> Vec<Session> {
    let (mut all, mut session) = (Vec::new(), Session::default());
    for line in include_str!("recorded/sessions.txt").lines() {
        match line.split_once(' ').expect("a letter and what it is") {
            ("u", hex) => session.updates.push(bytes(hex)),
            ("t", hex) => session.text = String::from_utf8(bytes(hex).to_vec()).expect("it is UTF-8"),
            ("l", number) => session.length = number.parse().expect("it is a number"),
            ("v", hex) => {
                session.vector = bytes(hex);
                all.push(core::mem::take(&mut session));
            }
            (other, _) => panic!("what is {other}?"),
        }
    }
    all
}

fn of(updates: impl IntoIterator<Item = Bytes>) -> Text {
    let (mut text, mut context) = (Text::default(), Context::default());
    for update in updates {
        let dot = context.advance(A);
        text.replace(dot, &Context::default(), update);
    }
    text
}

#[test]
fn updates_recorded_from_yjs_are_read_as_yjs_reads_them() {
    let mut random = Random::new(1);
    let sessions = sessions();
    assert_eq!(sessions.len(), 12);
    for session in sessions {
        let Session { mut updates, text, length, vector } = session;
        for _ in 0..20 {
            let read = of(updates.clone());
            assert_eq!(read.show(), Ok((text.clone(), length)));
            assert_eq!(decode_vector(&read.vector()), decode_vector(&vector));
            // Some put together, some without content that was deleted: it is the same text.
            let some = of(updates.iter().take(random.below(9) as usize).cloned());
            let folded = of([some.together_with(&updates[0])].into_iter().chain(updates.clone()));
            assert_eq!(folded.show(), Ok((text.clone(), length)));
            let end = updates.len() as u64;
            (0..end).for_each(|at| updates.swap(at as usize, random.below(end) as usize));
        }
    }
}

#[test]
fn what_was_read_is_written_as_it_was() {
    for update in sessions().iter().flat_map(|session| &session.updates) {
        let read = Update::decode(update).expect("Yjs wrote it");
        let written = read.encode();
        assert_eq!(Update::decode(&written), Ok(read));
    }
}

#[test]
fn arbitrary_bytes_are_refused_or_read() {
    let mut random = Random::new(7);
    let sessions = sessions();
    let (mut read, mut refused) = (0, 0);
    for round in 0..40_000 {
        let session = &sessions[round % sessions.len()];
        let mut bytes = session.updates[random.below(session.updates.len() as u64) as usize].to_vec();
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(4) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes.insert(at, random.next() as u8),
                _ => bytes[at] = random.next() as u8,
            }
        }
        let _ = decode_vector(&bytes);
        if Update::decode(&bytes).is_err() {
            refused += 1;
            continue;
        }
        read += 1;
        let text = of([session.updates[0].clone(), Bytes::from(bytes)]);
        let together = of([text.together_with(&[0, 0])]);
        assert_eq!(together.updates().filter(|update| Update::decode(update).is_err()).count(), 0);
        let edit = Edit::Delete { position: 1, length: 2 };
        let _ =
            (text.show(), together.show(), text.edit(Dot { actor: A, count: 9 }, &edit), text.state(&Vector::new()));
    }
    assert!(read > 5_000 && refused > 5_000, "{read} read, {refused} refused");
}

#[test]
fn what_is_no_update_is_refused_in_words() {
    let deep = [&[1, 1, 1, 0, 8, 1, 1, b't', 1][..], &[117, 1].repeat(65), &[126, 0]].concat();
    for (bytes, expected) in [
        (&[][..], Malformed::Short),
        (&[0], Malformed::Short),
        (&[0, 0, 0], Malformed::Long),
        (&[1, 1, 1, 0, 4, 1, 1, b't', 1, 0xFF, 0], Malformed::NotText),
        (&[1, 1, 1, 0, 11, 1, 1, b't', 0], Malformed::Kind),
        (&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], Malformed::Number),
        (&[1, 2, 1, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0, 1, 0], Malformed::Number),
        (&[2, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 0], Malformed::Twice),
        (&deep, Malformed::Nested),
    ] {
        assert_eq!(Update::decode(bytes), Err(expected), "{bytes:?}");
    }
    assert_eq!(Update::decode(&[0, 0]), Ok(Update::default()));
}

/// Each piece must scan past all those before it, because each client goes behind the smaller ones and waits for them.
#[test]
fn what_is_too_tangled_is_refused() {
    let tangled = |clients: u64| {
        let item = |parent, content| Item { origin: None, right: None, parent, key: None, content };
        let mut update = Update::default();
        for client in 1..=clients {
            let before = Parent::Item(Id { client: client - 1, clock: 1 });
            let waits = item(if client == 1 { Parent::Root("other") } else { before }, Content::Deleted);
            let stands = item(Parent::Root(ROOT), Content::Text(Cow::Borrowed("x")));
            let run = |clock, item| Run { clock, end: clock + 1, body: Body::Item(item) };
            update.runs.insert(client, vec![run(0, waits), run(1, stands)]);
        }
        of([Bytes::from(update.encode())])
    };
    assert_eq!(tangled(2_000).show(), Ok(("x".repeat(2_000), 2_000)));
    assert_eq!(tangled(3_000).show(), Err(Tangled));
    assert_eq!(tangled(3_000).vector(), encode_vector(&(1..=3_000).map(|client| (client, 2)).collect()));
}

fn insert(position: u64, text: &str) -> Edit {
    Edit::Insert { position, text: text.to_string() }
}

/// A replica that edits as one actor.
struct Writer {
    actor: Actor,
    text: Text,
    context: Context,
}

impl Writer {
    fn new(actor: Actor) -> Writer {
        Writer { actor, text: Text::default(), context: Context::default() }
    }
    fn edit(&mut self, edit: &Edit) -> Delta<Text> {
        let dot = self.context.advance(self.actor);
        let (update, length) = self.text.edit(dot, edit).expect("there is such a place");
        let delta = self.text.add(dot, update).expect("it is short");
        assert_eq!(self.text.show().map(|(_, length)| length), Ok(length));
        delta
    }
    fn join(&mut self, delta: &Delta<Text>) {
        self.text.join(&self.context, &delta.cell, &delta.context);
        self.context.join(&delta.context);
    }
    fn shown(&self) -> String {
        self.text.show().expect("it is short").0
    }
}

#[test]
fn an_edit_says_where_in_units_of_editors() {
    let mut writer = Writer::new(A);
    writer.edit(&insert(0, "héllo 😀!"));
    writer.edit(&insert(8, "?"));
    writer.edit(&insert(6, "→"));
    assert_eq!(writer.shown(), "héllo →😀?!");
    let refused = |edit| writer.text.edit(Dot { actor: A, count: 9 }, &edit).map(drop);
    assert_eq!(refused(insert(8, "x")), Err(EditError::Half));
    assert_eq!(refused(insert(12, "x")), Err(EditError::Beyond { length: 11 }));
    assert_eq!(refused(Edit::Delete { position: 7, length: 1 }), Err(EditError::Half));
    assert_eq!(refused(Edit::Delete { position: 10, length: 2 }), Err(EditError::Beyond { length: 11 }));
    writer.edit(&Edit::Delete { position: 6, length: 4 });
    assert_eq!(writer.shown(), "héllo !");
}

#[test]
fn many_edits_of_one_writer_become_few_pieces() {
    let mut writer = Writer::new(A);
    let mut expected = String::new();
    for count in 0..1_000 {
        let word = count.to_string();
        writer.edit(&insert(expected.len() as u64, &word));
        expected.push_str(&word);
        assert!(writer.text.updates().count() <= TEXT_UPDATES);
    }
    assert_eq!(writer.shown(), expected);
    let whole = writer.text.together_with(&[0, 0]);
    // One client, one piece: its bytes are those of the text and its frame.
    assert!(whole.len() < expected.len() + 30, "{} bytes for a text of {}", whole.len(), expected.len());
}

#[test]
fn a_text_has_an_end() {
    let mut writer = Writer::new(A);
    let half = "x".repeat(TEXT_BYTES / 2);
    writer.edit(&insert(0, &half));
    let dot = writer.context.next(A);
    let (update, _) = writer.text.edit(dot, &insert(0, &half)).expect("there is such a place");
    assert_eq!(writer.text.clone().add(dot, update), Err(Refused::Long));
    // What was deleted does not count once the pieces are put together.
    writer.edit(&Edit::Delete { position: 0, length: half.len() as u64 - 1 });
    writer.edit(&insert(0, &half));
    assert_eq!(writer.text.updates().count(), 1);
}

fn names(delta: &Delta<Text>) -> Vec<(u64, u64, u64)> {
    let update = delta.cell.document();
    update.runs.iter().flat_map(|(&client, runs)| runs.iter().map(move |run| (client, run.clock, run.end))).collect()
}

/// An editor that was open before the removal must not take a new unit for one that it has.
#[test]
fn a_name_of_a_unit_is_not_given_again() {
    let mut writer = Writer::new(A);
    let first = names(&writer.edit(&insert(0, "first")));
    let second = names(&writer.edit(&insert(5, "second")));
    assert_eq!((first[0].0, first[0].2), (second[0].0, second[0].1), "it goes on as the same client");
    let removed = writer.text.remove(&writer.text.seen()).expect("texts are removed");
    writer.context.join(&removed.context);
    let third = names(&writer.edit(&insert(0, "third")));
    assert_ne!(third[0].0, first[0].0);

    // Another replica put together what was written first, and did not see the removal of all that it had seen by then.
    let (mut a, mut b) = (Writer::new(A), Writer::new(B));
    let first = a.edit(&insert(0, "first"));
    b.join(&first);
    let dot = b.context.advance(B);
    let (together, seen) = (b.text.together_with(&[0, 0]), b.text.seen());
    let together = b.text.replace(dot, &seen, together);
    let second = names(&a.edit(&insert(5, "second")));
    let removed = a.text.remove(&a.text.seen()).expect("texts are removed");
    a.context.join(&removed.context);
    a.join(&together);
    assert_eq!(a.shown(), "first");
    let third = names(&a.edit(&insert(5, "third")));
    assert_ne!(third[0].0, second[0].0, "units of this client were named that are no longer known");

    // Those of another node and of another life are others.
    let clients =
        |node, incarnation, count| clients_of(Dot { actor: Actor { node: NodeId(node), incarnation }, count });
    assert_eq!(clients(63, u32::MAX, u64::MAX).end(), &((1 << 53) - 1));
    assert!(clients(1, 0, 0).start() > &u64::from(u32::MAX));
    assert!(clients(1, 1, 1 << 26).end() < clients(1, 2, 1).start());
}

/// Somebody made units in the name of a node: an edit that would not be seen, or not be read, is refused.
#[test]
fn names_that_somebody_took_are_not_used() {
    let mut writer = Writer::new(A);
    let client = *clients_of(Dot { actor: A, count: 2 }).end();
    let taken = |clock, end| {
        let content = Content::Text(Cow::Borrowed("x"));
        let item = Item { origin: None, right: None, parent: Parent::Root(ROOT), key: None, content };
        let body = if end == clock + 1 { Body::Item(item) } else { Body::Gone };
        let runs = BTreeMap::from([(client, vec![Run { clock, end, body }])]);
        Bytes::from(Update { runs, ..Update::default() }.encode())
    };
    for (update, refused) in [(taken(0, 1), false), (taken(5, 6), true), (taken(0, (1 << 53) - 1), true)] {
        let text = of([update]);
        let edited = text.edit(Dot { actor: A, count: 2 }, &insert(0, "y")).map(drop);
        assert_eq!(edited, if refused { Err(EditError::Taken) } else { Ok(()) });
    }
    writer.edit(&insert(0, "y"));
    assert_eq!(writer.shown(), "y");
}

/// Whatever stands between two writers, what both wrote stands behind each other and unmixed.
#[test]
fn what_is_written_at_once_in_one_place_is_not_mixed() {
    let (mut a, mut b) = (Writer::new(A), Writer::new(B));
    let base = a.edit(&insert(0, "<>"));
    b.join(&base);
    let (mut from_a, mut from_b) = (Vec::new(), Vec::new());
    for (at, (left, right)) in "hello".chars().zip("WORLD".chars()).enumerate() {
        from_a.push(a.edit(&insert(1 + at as u64, &left.to_string())));
        from_b.push(b.edit(&insert(1 + at as u64, &right.to_string())));
    }
    from_b.iter().for_each(|delta| a.join(delta));
    from_a.iter().rev().for_each(|delta| b.join(delta));
    assert_eq!((a.shown(), b.shown()), ("<helloWORLD>".to_string(), "<helloWORLD>".to_string()));
}

#[test]
fn an_editor_gets_what_it_lacks() {
    let mut writer = Writer::new(A);
    writer.edit(&insert(0, "one 😀 two"));
    let known: BTreeMap<u64, u64> = decode_vector(&writer.text.vector()).expect("it is one");
    writer.edit(&insert(10, " three"));
    let state = writer.text.state(&known);
    assert!(!state.windows(3).any(|bytes| bytes == b"one") && state.windows(5).any(|bytes| bytes == b"three"));
    let half = known.keys().map(|&client| (client, 5)).collect();
    let state = writer.text.state(&half);
    let rest = of([Bytes::from(state)]);
    assert_eq!(rest.show(), Ok((String::new(), 0)), "what it builds on is not there");
}
