//! A text under the laws: whatever was put together by whom, it holds what no removal saw.

use super::super::*;
use super::subjects::{At, obeys};
use super::{Subject, Update, Updates, breaks, each, has};
use crate::clock::Actor;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;

/// What is done to a text. The letter that is written is the serial.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Edit {
    Write,
    /// Writes, and puts all that was seen together with it.
    PutTogether,
    Clear,
}

/// What a write puts in place of what: a rule that can be broken.
type Replace = fn(&Text, &Text) -> Context;

struct Texts {
    replaces: Replace,
}

/// The update that inserts a letter at the beginning.
fn letter(serial: usize) -> Bytes {
    let nobody = Text::default();
    let dot = Dot { actor: Actor { node: crate::machine::NodeId(1), incarnation: 1 }, count: serial as u64 };
    let edit = text::Edit::Insert { position: 0, text: String::from(char::from(b'a' + serial as u8)) };
    nobody.edit(dot, &edit).expect("there is a beginning").0
}

fn letters(history: &[Update<Edit>], updates: Updates) -> Updates {
    each(updates).fold(0, |all, at| {
        let more = if history[at].op == Edit::PutTogether { letters(history, history[at].seen) } else { 0 };
        all | 1 << at | more
    })
}

impl Subject for Texts {
    type State = At<Text>;
    type Op = Edit;
    fn ops(&self) -> Vec<Edit> {
        vec![Edit::Write, Edit::PutTogether, Edit::Clear]
    }
    fn act(&self, at: &mut At<Text>, by: (Actor, usize), op: Edit, observed: &At<Text>) -> Option<At<Text>> {
        let update = letter(by.1);
        match op {
            Edit::Write => Some(at.operate(by.0, |text, dot| text.add(dot, update).expect("it is short"))),
            Edit::PutTogether => {
                let (together, seen) =
                    (observed.cell.together_with(&update), (self.replaces)(&at.cell, &observed.cell));
                Some(at.operate(by.0, |text, dot| text.replace(dot, &seen, together)))
            }
            Edit::Clear => at.remove(&observed.cell.seen()),
        }
    }
    fn join(&self, at: &mut At<Text>, other: &At<Text>) {
        at.join(other);
    }
    fn read(&self, at: &At<Text>) -> String {
        let mut letters: Vec<char> = at.cell.show().expect("it is short").0.chars().collect();
        letters.sort_unstable();
        letters.into_iter().collect()
    }
    fn expect(&self, history: &[Update<Edit>], standing: Updates) -> String {
        let letters = letters(history, standing);
        (0..26u8).filter(|&at| has(letters, at.into())).map(|at| char::from(b'a' + at)).collect()
    }
    fn stands(&self, op: Edit) -> bool {
        op != Edit::Clear
    }
    fn ends(&self, op: Edit, _: Edit) -> bool {
        op != Edit::Write
    }
}

#[test]
fn a_text_is_what_its_updates_say() {
    obeys(&Texts { replaces: |_, observed| observed.seen() }, 4, 38_000);
}

/// Who puts together what a client saw and replaces what is here loses what came meanwhile.
#[test]
fn a_text_that_is_put_together_replaces_only_what_was_seen() {
    let broken = Texts { replaces: |here, _| here.seen() };
    assert!(breaks(&broken, "reads as the oracle says", 4));
}
