//! What a receipt says, field by field, for every protocol that shows one.

use quorate_core::guarantee::{Ack, Level, Met, NodeSet, Receipt, Round, Session};

/// A field of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// A word or a token.
    Text(String),
    /// A number.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// Numbers of nodes.
    Nodes(NodeSet),
}

/// The fields in order. A position in a log stands only where there is a log, and a round of replicas only where there is
/// none. `seen` is what a read handed out for the next write of its key.
pub fn fields(receipt: &Receipt, session: &Session, cluster: u64, seen: Option<&[u8]>) -> Vec<(&'static str, Field)> {
    let (asked, met) = words(receipt);
    let text = |word: &str| Field::Text(word.to_string());
    let mut fields = vec![("asked", text(asked)), ("met", text(met)), ("path", text(receipt.path().word()))];
    match receipt.round() {
        None => {
            let position = receipt.position();
            fields.push(("group", Field::Number(position.group.into())));
            fields.push(("term", Field::Number(position.term)));
            fields.push(("index", Field::Number(position.index)));
        }
        Some(round) => fields.extend(of_round(&round)),
    }
    fields.push(("answered", Field::Nodes(receipt.answered())));
    fields.push(("durable", Field::Nodes(receipt.durable())));
    fields.push(("members", Field::Number(receipt.members().into())));
    fields.push(("served_by", Field::Number(receipt.served_by().0.into())));
    if receipt.round().is_none() {
        fields.push(("log_time_ms", Field::Number(receipt.log_time_ms())));
    }
    fields.push(("replayed", Field::Flag(receipt.replayed())));
    fields.push(("session", Field::Text(session.token(cluster))));
    fields.extend(seen.map(|seen| ("seen", Field::Text(hex(seen)))));
    fields
}

fn of_round(round: &Round) -> Vec<(&'static str, Field)> {
    let mut fields = vec![
        ("range", Field::Number(round.range.into())),
        ("epoch", Field::Number(round.epoch)),
        ("needed", Field::Number(round.needed.into())),
    ];
    fields.extend(round.dot.map(|dot| ("dot", Field::Text(dot.to_string()))));
    fields.push(("siblings", Field::Number(round.siblings.into())));
    fields.push(("stand_ins", Field::Nodes(round.stand_ins)));
    fields
}

/// What was asked and what was met. A leaderless table says for itself what is asked of it where the caller does not.
fn words(receipt: &Receipt) -> (&'static str, &'static str) {
    let (asked, leaderless) = (receipt.asked(), receipt.round().is_some());
    match receipt.met() {
        Met::Read(level) => {
            let table = if leaderless { "table" } else { Level::default().word() };
            (asked.level.map_or(table, Level::word), level.word())
        }
        Met::Write(ack) => {
            let table = if leaderless { "table" } else { Ack::default().word() };
            (asked.ack.map_or(table, Ack::word), ack.map_or("none", Ack::word))
        }
    }
}

/// How an operation fell short of what was asked.
pub fn shortfall(receipt: &Receipt) -> String {
    let (asked, met) = words(receipt);
    let (durable, members) = (receipt.durable().len(), receipt.members());
    match receipt.round() {
        None => format!("asked for ack {asked}, met {met}: {durable} of {members} nodes hold it durably"),
        Some(round) => format!("{} replicas were asked for, {durable} of {members} hold it durably", round.needed),
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits. `None` if they are none.
pub fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let pairs = digits.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?));
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::clock::{Actor, Dot};
    use quorate_core::guarantee::{Path, Position, Tally, Want};
    use quorate_core::machine::NodeId;

    fn shown(receipt: &Receipt, seen: Option<&[u8]>) -> String {
        let fields = fields(receipt, &Session::default(), 1, seen);
        let fields = fields.into_iter().filter(|(name, _)| *name != "session").map(|(name, field)| match field {
            Field::Text(text) => format!("{name}={text}"),
            Field::Number(number) => format!("{name}={number}"),
            Field::Flag(flag) => format!("{name}={flag}"),
            Field::Nodes(nodes) => format!("{name}={nodes:?}"),
        });
        fields.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_receipt_has_a_position_or_a_round() {
        let mut tally = Tally::default();
        [1, 2].into_iter().for_each(|node| tally.durable(NodeId(node)));
        let position = Position { group: 1, term: 2, index: 3 };
        let voters = [1, 2, 3].map(NodeId).into_iter().collect::<quorate_core::guarantee::NodeSet>().into();
        let receipt = tally.settle(Path::Log, position, NodeId(1), voters).receipt(Want::default(), 9);
        assert_eq!(
            shown(&receipt, None),
            "asked=majority met=majority path=log group=1 term=2 index=3 answered={1, 2} durable={1, 2} members=3 \
             served_by=1 log_time_ms=9 replayed=false"
        );
        let dot = Some(Dot { actor: Actor { node: NodeId(1), incarnation: 4 }, count: 7 });
        let round =
            Round { range: 5, epoch: 6, needed: 2, dot, stand_ins: NodeSet::only(NodeId(9)), ..Round::default() };
        let receipt = tally.settle_round(Path::QuorumWrite, round, NodeId(1), 3).receipt(Want::default(), 9);
        assert_eq!(
            shown(&receipt, Some(&[0xAB, 1])),
            "asked=table met=majority path=quorum-write range=5 epoch=6 needed=2 dot=1.4:7 siblings=0 stand_ins={9} \
             answered={1, 2} durable={1, 2} members=3 served_by=1 replayed=false seen=ab01"
        );
    }

    #[test]
    fn bytes_survive_hexadecimal() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(hex(&bytes).as_bytes()), Some(bytes));
        for bad in ["a", "0g", "+1", "abc"] {
            assert_eq!(from_hex(bad.as_bytes()), None, "{bad}");
        }
    }
}
