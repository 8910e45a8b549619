//! An editor of the Yjs family: the crate yrs.

use quorate_core::random::Random;
use std::cell::RefCell;
use yrs::types::Attrs;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Any, ClientID, Doc, GetString, OffsetKind, Options, ReadTxn, StateVector, Text, TextRef, Transact, Update};

pub struct Editor {
    doc: Doc,
    text: TextRef,
    /// What it told before.
    told: RefCell<StateVector>,
}

impl Editor {
    pub fn new(client: u64) -> Editor {
        let options = Options { offset_kind: OffsetKind::Utf16, ..Options::with_client_id(ClientID::new(client)) };
        let doc = Doc::with_options(options);
        let text = doc.get_or_insert_text("text");
        Editor { doc, text, told: RefCell::default() }
    }
    /// Gives the update that an editor would send.
    pub fn insert(&self, position: u32, text: &str) -> Vec<u8> {
        let mut transaction = self.doc.transact_mut();
        self.text.insert(&mut transaction, position, text);
        transaction.encode_update_v1()
    }
    /// As [`Editor::insert`].
    pub fn remove(&self, position: u32, length: u32) -> Vec<u8> {
        let mut transaction = self.doc.transact_mut();
        self.text.remove_range(&mut transaction, position, length);
        transaction.encode_update_v1()
    }
    /// Something that a writer does.
    pub fn edit(&self, random: &mut Random, words: &[&str]) {
        let length = self.length();
        let position = random.below(u64::from(length) + 1) as u32;
        let some = |random: &mut Random| 1 + random.below(u64::from(length - position).min(3)) as u32;
        match random.below(10) {
            0..=2 if position < length => drop(self.remove(position, some(random))),
            3 if position < length => {
                let bold = if random.below(2) == 0 { Any::Bool(true) } else { Any::Null };
                let length = some(random);
                let bold = Attrs::from([("bold".into(), bold)]);
                self.text.format(&mut self.doc.transact_mut(), position, length, bold);
            }
            4 => drop(self.text.insert_embed(&mut self.doc.transact_mut(), position, Any::from("picture"))),
            _ => drop(self.insert(position, words[random.below(words.len() as u64) as usize])),
        }
    }
    /// What it knows and did not tell.
    pub fn news(&self) -> Vec<u8> {
        let transaction = self.doc.transact();
        let told = self.told.replace(transaction.state_vector());
        transaction.encode_diff_v1(&told)
    }
    pub fn whole(&self) -> Vec<u8> {
        self.doc.transact().encode_state_as_update_v1(&StateVector::default())
    }
    pub fn vector(&self) -> Vec<u8> {
        self.doc.transact().state_vector().encode_v1()
    }
    pub fn apply(&self, update: &[u8]) {
        let update = Update::decode_v1(update).expect("it is an update");
        self.doc.transact_mut().apply_update(update).expect("it applies");
    }
    pub fn text(&self) -> String {
        self.text.get_string(&self.doc.transact())
    }
    pub fn length(&self) -> u32 {
        self.text.len(&self.doc.transact())
    }
}
