//! Texts against the crate yrs, which Yjs editors use too: what they and several replicas write must be one text.

mod text {
    pub mod editor;
}

use bytes::Bytes;
use quorate_core::clock::{Actor, Context};
use quorate_core::crdt::text::{Edit, decode_vector};
use quorate_core::crdt::{Cell, Text};
use quorate_core::machine::NodeId;
use quorate_core::random::Random;
use text::editor::Editor;

const WORDS: [&str; 7] = ["a", "bc", "def ", "\n", "é", "漢字", "a longer piece"];

/// A replica of the text that also edits by position.
struct Replica {
    actor: Actor,
    text: Text,
    context: Context,
}

impl Replica {
    fn new(node: u16) -> Replica {
        let actor = Actor { node: NodeId(node), incarnation: 1 };
        Replica { actor, text: Text::default(), context: Context::default() }
    }
    fn take(&mut self, update: Bytes) {
        let dot = self.context.advance(self.actor);
        self.text.add(dot, update).expect("it is short");
    }
    fn edit(&mut self, random: &mut Random) {
        let (_, length) = self.text.show().expect("it is short");
        let position = random.below(length + 1);
        let edit = match random.below(3) {
            0 if length > position => Edit::Delete { position, length: 1 + random.below((length - position).min(4)) },
            _ => Edit::Insert { position, text: WORDS[random.below(WORDS.len() as u64) as usize].to_string() },
        };
        let dot = self.context.advance(self.actor);
        let (update, _) = self.text.edit(dot, &edit).expect("there is such a place");
        self.text.add(dot, update).expect("it is short");
    }
    fn put_together(&mut self) {
        let (together, seen) = (self.text.together_with(&[0, 0]), self.text.seen());
        let dot = self.context.advance(self.actor);
        self.text.replace(dot, &seen, together);
    }
    fn join(&mut self, other: &Replica) {
        self.text.join(&self.context, &other.text, &other.context);
        self.context.join(&other.context);
    }
    fn teach(&self, editor: &Editor) {
        let known = decode_vector(&editor.vector()).expect("yrs wrote it");
        editor.apply(&self.text.state(&known));
    }
}

#[test]
fn texts_are_those_of_yrs() {
    let mut longest = 0;
    for seed in 0..300 {
        let random = &mut Random::new(seed);
        let editors: Vec<Editor> = (0..3).map(|at| Editor::new(random.below(1 << 32) + at)).collect();
        let mut replicas = [1, 2].map(Replica::new);
        for _ in 0..10 + random.below(120) {
            let (editor, at) = (&editors[random.below(3) as usize], random.below(2) as usize);
            match random.below(20) {
                0..=8 => {
                    editor.edit(random, &WORDS);
                    if random.below(3) > 0 {
                        replicas[at].take(Bytes::from(editor.news()));
                    }
                }
                9..=13 => replicas[at].edit(random),
                14..=16 => replicas[at].teach(editor),
                17 => replicas[at].put_together(),
                _ => {
                    let [one, other] = &mut replicas;
                    if at == 0 { one.join(other) } else { other.join(one) }
                }
            }
        }
        editors.iter().for_each(|editor| replicas[0].take(Bytes::from(editor.news())));
        let [one, other] = &mut replicas;
        one.join(other);
        other.join(one);
        assert_eq!(one.text, other.text, "seed {seed}");
        let (shown, length) = one.text.show().expect("it is short");
        for editor in &editors {
            one.teach(editor);
            assert_eq!((editor.text(), u64::from(editor.length())), (shown.clone(), length), "seed {seed}");
        }
        // One who comes late, and gets it all at once.
        let late = Editor::new(5);
        one.put_together();
        one.teach(&late);
        assert_eq!((late.text(), u64::from(late.length())), (shown, length), "seed {seed}");
        assert_eq!(decode_vector(&late.vector()), decode_vector(&one.text.vector()), "seed {seed}");
        longest = longest.max(length);
    }
    assert!(longest > 150, "{longest}");
}

/// What `bench/TEXT.md` tells: `cargo test --release -p quorate-core --test text -- --ignored --nocapture`
#[test]
#[ignore = "it measures"]
fn what_a_long_session_costs() {
    use std::time::Instant;
    const EDITS: usize = 100_000;
    let random = &mut Random::new(1);
    let (editor, mut replica) = (Editor::new(7), Replica::new(1));
    let (mut cursor, mut sent, mut spent, mut slowest, mut most) = (0, 0, 0, 0, 0);
    let mut burst = 0;
    for at in 1..=EDITS {
        // As people write: some words on, some letters back, and now and then on somewhere else.
        if burst == 0 {
            burst = if random.below(100) < 65 { 1 + random.below(40) as i64 } else { -1 - random.below(12) as i64 };
            if random.below(10) == 0 {
                cursor = random.below(u64::from(editor.length()) + 1) as u32;
            }
        }
        let update = if burst < 0 && cursor > 0 {
            (cursor, burst) = (cursor - 1, burst + 1);
            editor.remove(cursor, 1)
        } else {
            (cursor, burst) = (cursor + 1, burst.abs() - 1);
            editor.insert(cursor - 1, ["e", "t", "a", "o", "n", " "][random.below(6) as usize])
        };
        let update = Bytes::from(update);
        sent += update.len();
        let begun = Instant::now();
        replica.take(update);
        let took = begun.elapsed().as_nanos() as u64;
        (spent, slowest, most) = (spent + took, slowest.max(took), most.max(replica.text.bytes()));
        if at % (EDITS / 4) == 0 {
            println!(
                "{at:>7} edits: text {:>6} bytes, kept {:>6} in {:>2} updates, {:>4} ns for an update, {:>6} us the slowest",
                editor.length(),
                replica.text.bytes(),
                replica.text.updates().count(),
                spent / at as u64,
                slowest / 1_000,
            );
        }
    }
    println!("sent {sent} bytes, kept at most {most}; yrs keeps {}", editor.whole().len());
    replica.put_together();
    println!("put together: {} bytes", replica.text.bytes());
    let begun = Instant::now();
    let shown = replica.text.show().expect("it is not tangled").0;
    println!("reading it: {} us", begun.elapsed().as_micros());
    assert_eq!(shown, editor.text());
    let begun = Instant::now();
    (0..100).for_each(|_| replica.edit(random));
    println!("an edit by position: {} us", begun.elapsed().as_micros() / 200);
}
