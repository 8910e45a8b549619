//! Members made known at run time: commands on the catalogue.

use super::cells::{Reader, Writer};
use super::failure::{Failure, Ran};
use super::table::{change, integer, load, once, refused, text};
use crate::catalogue::{Catalogue, Founders, MemberChange};
use crate::limits;
use crate::machine::NodeId;
use crate::operation::{TableId, Value};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// The word before what a node adds to a command that makes a table or is about members: who they are by its configuration.
pub const FOUNDERS: &[u8] = b"founders";

/// `MEMBER.SET node [weight n] [zone n] [votes yes|no] [address text] [lost yes] founders members voters`
pub fn set(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let node = node(&words[1])?;
    let (words, founders) = split_founders(&words[2..])?;
    let founders = said(founders)?;
    let asked = parse(words)?;
    change(writer, |catalogue| {
        catalogue.found(&founders);
        catalogue.set_member(node, asked).map_err(refused)
    })?;
    Ok(Value::OK)
}

/// `MEMBER.FORGET node founders members voters`
pub fn forget(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let node = node(&words[1])?;
    let founders = said(split_founders(&words[2..])?.1)?;
    change(writer, |catalogue| {
        catalogue.found(&founders);
        catalogue.forget_member(node).map_err(refused)
    })?;
    Ok(Value::OK)
}

/// `MEMBER.LIST`: the members that were made known; none as long as only the configuration says who they are.
pub fn list(reader: Reader<'_>, _words: &[Bytes]) -> Ran {
    let catalogue = load(reader.view, reader.scope.space);
    Ok(Value::Array(catalogue.members().keys().map(|&node| shown(&catalogue, node)).collect()))
}

/// `TABLE.LIFE node claim last`: a node asks for the life that it claims. The reply is the number of it.
pub fn life(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let last = number(&words[3]).and_then(|last| u32::try_from(last).ok());
    let (Some(claim), Some(last)) = (number(&words[2]), last) else {
        return Err(refused("a life takes a node, a number, and the life before"));
    };
    let node = node(&words[1])?;
    let number = change(writer, |catalogue| Ok(catalogue.begin_life(node, claim, last)))?;
    Ok(Value::Int(i64::from(number)))
}

/// `TABLE.CAUGHT table epoch node`: a replica has compared all that a movement asks of it.
pub fn caught(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let table = number(&words[1]).and_then(|table| u16::try_from(table).ok());
    let (Some(table), Some(epoch)) = (table, number(&words[2])) else {
        return Err(refused("who has compared says a table, an epoch and a node"));
    };
    let node = node(&words[3])?;
    change(writer, |catalogue| {
        catalogue.caught_up(TableId(table), epoch, node);
        Ok(())
    })?;
    Ok(Value::OK)
}

/// The nodes as one word.
pub fn nodes_word(nodes: &[NodeId]) -> Bytes {
    let words: Vec<String> = nodes.iter().map(|node| alloc::format!("{}", node.0)).collect();
    Bytes::from(words.join(","))
}

fn shown(catalogue: &Catalogue, node: NodeId) -> Value {
    let member = &catalogue.members()[&node];
    let votes: &[u8] = if member.votes { b"yes" } else { b"no" };
    let pairs = [
        ("node", Value::Int(i64::from(node.0))),
        ("weight", Value::Int(i64::from(member.weight))),
        ("zone", Value::Int(i64::from(member.zone))),
        ("votes", Value::bulk(votes)),
        ("address", Value::bulk(member.address.as_bytes())),
    ];
    Value::Map(pairs.into_iter().map(|(word, value)| (Value::bulk(word.as_bytes()), value)).collect())
}

/// What was asked, and who the members are by the configuration of the node that was asked, if it said so.
pub(super) fn split_founders(words: &[Bytes]) -> Result<(&[Bytes], Option<Founders>), Failure> {
    match words {
        [asked @ .., word, members, voters] if word == FOUNDERS => {
            Ok((asked, Some(Founders { members: nodes(members)?, voters: nodes(voters)? })))
        }
        asked => Ok((asked, None)),
    }
}

fn said(founders: Option<Founders>) -> Result<Founders, Failure> {
    founders.ok_or_else(|| refused("the node did not say who the members are"))
}

fn parse(mut words: &[Bytes]) -> Result<MemberChange, Failure> {
    let mut asked = MemberChange::default();
    while let [word, rest @ ..] = words {
        let word = &*String::from_utf8_lossy(word).to_ascii_lowercase();
        let [value, rest @ ..] = rest else {
            return Err(refused(alloc::format!("'{word}' needs a value, or is no word of a member")));
        };
        words = rest;
        let small = || Ok(integer(word, value)?.clamp(0, i64::from(u16::MAX)) as u16);
        match word {
            "weight" => once(&mut asked.weight, word, small()?)?,
            "zone" => once(&mut asked.zone, word, small()?)?,
            "votes" if value.eq_ignore_ascii_case(b"yes") => once(&mut asked.votes, word, true)?,
            "votes" if value.eq_ignore_ascii_case(b"no") => once(&mut asked.votes, word, false)?,
            "votes" => return Err(refused("votes are yes or no")),
            "lost" if value.eq_ignore_ascii_case(b"yes") => asked.lost = true,
            "lost" => return Err(refused("a disk that is not lost needs no word")),
            "address" => {
                let address = text(value).ok_or_else(|| refused("an address is text"))?;
                once(&mut asked.address, word, String::from(address))?;
            }
            _ => return Err(refused(alloc::format!("'{word}' is no word of a member"))),
        }
    }
    Ok(asked)
}

fn number(word: &[u8]) -> Option<u64> {
    text(word).and_then(|text| text.parse().ok())
}

fn node(word: &[u8]) -> Result<NodeId, Failure> {
    let node = text(word).and_then(|text| text.parse().ok()).filter(|node| (1..=limits::NODE_ID_MAX).contains(node));
    let unknown = || refused(alloc::format!("a node is a number from 1 to {}", limits::NODE_ID_MAX));
    node.map(NodeId).ok_or_else(unknown)
}

fn nodes(word: &[u8]) -> Result<Vec<NodeId>, Failure> {
    word.split(|&byte| byte == b',').filter(|word| !word.is_empty()).map(node).collect()
}
