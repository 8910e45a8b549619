//! QMEMBER: who the members are, and what they are to do.

use super::connection::{Connection, Flow};
use super::failure::unknown_subcommand;
use super::shared::Issue;
use super::tables::of_catalogue;
use super::wish::Wish;
use bytes::Bytes;
use quorate_core::operation::{Value, Words};

/// `QMEMBER LIST | SET | FORGET | HELP`: the commands of the log that begin with `MEMBER.`.
pub(super) fn qmember(connection: &mut Connection, words: Words, wish: Wish, issues: &mut Vec<Issue>) -> Flow {
    let name = match &words[1].to_ascii_uppercase()[..] {
        b"LIST" => "MEMBER.LIST",
        b"SET" => "MEMBER.SET",
        b"FORGET" => "MEMBER.FORGET",
        b"HELP" if words.len() == 2 => {
            connection.reply(help());
            return Flow::Next;
        }
        _ => {
            connection.reply(unknown_subcommand("QMEMBER", &words[1]));
            return Flow::Next;
        }
    };
    of_catalogue(connection, name, words, wish, issues)
}

fn help() -> Value {
    let lines = [
        "QMEMBER <subcommand>. Subcommands are:",
        "LIST -- the members that were made known; none as long as only the configuration says who they are.",
        "SET <node> [weight N] [zone N] [votes yes|no] [address HOST:PORT] [lost yes] -- add a member, or change what the words name.",
        "    A member that is added has weight 1, a zone of its own and a vote. Weight 0 takes all data of leaderless tables off",
        "    it, and votes no takes it out of the consensus groups. Lost says that its disk is gone for good.",
        "FORGET <node> -- a member that neither votes nor holds data.",
        "QUORATE REPAIR STATUS tells which data still move, and QUORATE STATUS who votes.",
    ];
    Value::Array(lines.into_iter().map(|line| Value::Status(Bytes::from_static(line.as_bytes()))).collect())
}
