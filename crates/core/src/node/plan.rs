//! From an operation to the way it takes. Pure: decides before anything starts, and refuses what cannot be given.

use super::Config;
use crate::catalogue::{CATALOGUE_GROUP, Catalogue, FIRST_TABLE, Shape};
use crate::guarantee::{Ack, Level, Quorum};
use crate::limits;
use crate::operation::{Guard, Operate, Refusal, TableId, Words};
use crate::placement::hash_of;
use crate::state;
use crate::state::command::{self, Spec};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use bytes::Bytes;

/// The way an operation takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// One entry in the log of a group.
    Write {
        /// The group.
        group: u16,
    },
    /// A read of the state of a group.
    Read {
        /// The group.
        group: u16,
        /// What it must not miss.
        level: Level,
    },
    /// The same command on every group of the table; the replies are put together.
    Gather(Gathering),
    /// An operation on a leaderless table, which one of the replicas coordinates.
    Replicas,
}

/// How the replies of several groups become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gathering {
    /// The groups, first and count, and what to do with their replies.
    All {
        /// The first group.
        first: u16,
        /// How many.
        groups: u16,
        /// How the replies become one.
        join: Join,
    },
    /// One piece of a scan that walks the groups one after the other.
    Scan {
        /// The first group.
        first: u16,
        /// How many.
        groups: u16,
        /// The group that the cursor names.
        group: u16,
        /// The cursor within the group.
        cursor: u64,
    },
}

/// How the replies of all groups become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Adds numbers.
    Sum,
    /// Appends lists.
    Concatenate,
    /// Takes one that is not nil.
    AnyOf,
    /// All must be the same, such as `OK`.
    Same,
}

/// The group of a key: the stable hash of its `{tag}`, or of all of it, over the groups of the table.
pub fn group_of(first: u16, groups: u16, key: &[u8]) -> u16 {
    if groups <= 1 {
        return first;
    }
    first + (hash_of(key) % u64::from(groups)) as u16
}

/// Decides the way of an operation. `pinned` is the group when that was decided before.
///
/// # Errors
/// Why it cannot be given. [`Refusal::Behind`] only if this node has not yet heard of the table.
pub fn plan(config: &Config, catalogue: &Catalogue, operate: &Operate, pinned: Option<u16>) -> Result<Plan, Refusal> {
    let batch = &operate.batch;
    let (single, several);
    let specs = match &batch.commands[..] {
        [words] => {
            single = [spec(words)?];
            &single[..]
        }
        commands => {
            several = specs(commands)?;
            &several[..]
        }
    };
    check_size(operate)?;
    if specs.iter().any(|spec| spec.family == state::TABLE_FAMILY) {
        of_a_log(operate)?;
        return plan_catalogue((config, catalogue), operate, specs, pinned);
    }
    let (first, groups) = match place_of(config, catalogue, batch.table)? {
        Place::Groups { first, groups } => (first, groups),
        Place::Replicas => return Ok(Plan::Replicas),
    };
    of_a_log(operate)?;
    let group = match group_of_batch(first, groups, operate, specs)? {
        Some(group) if pinned.is_some_and(|pinned| pinned != group) => return Err(Refusal::CrossGroup),
        Some(group) => Some(group),
        None => pinned,
    };
    let write = specs.iter().any(|spec| spec.write);
    if !write && (batch.idempotency.is_some() || !batch.guards.is_empty()) {
        return Err(Refusal::Impossible("idempotency keys and guards belong to writes".to_string()));
    }
    let Some(group) = group else {
        return gather(first, groups, &batch.commands, specs).map(Plan::Gather);
    };
    if !write {
        return Ok(Plan::Read { group, level: operate.want.level() });
    }
    let conditional = batch.idempotency.is_some() || !batch.guards.is_empty() || batch.transaction;
    let blind = !conditional && specs.iter().zip(&batch.commands).all(|(spec, words)| command::is_blind(spec, words));
    if operate.want.ack() < Ack::Majority && !blind {
        return Err(Refusal::AckNeedsBlindWrite);
    }
    Ok(Plan::Write { group })
}

/// Where the data of a table are.
enum Place {
    Groups { first: u16, groups: u16 },
    Replicas,
}

fn place_of(config: &Config, catalogue: &Catalogue, id: TableId) -> Result<Place, Refusal> {
    let configured = |at: usize| {
        let table = config.tables.get(at).ok_or(Refusal::UnknownTable)?;
        Ok(Place::Groups { first: table.first_group, groups: table.groups })
    };
    if id.0 < FIRST_TABLE {
        return configured(usize::from(id.0));
    }
    match catalogue.table(id).map(|spec| &spec.shape) {
        Some(Shape::Consensus) => configured(0),
        Some(Shape::Leaderless(_)) => Ok(Place::Replicas),
        None if catalogue.was_made(id) => Err(Refusal::UnknownTable),
        None => Err(Refusal::Behind),
    }
}

/// What only replicas without a leader can give is not taken for something else.
fn of_a_log(operate: &Operate) -> Result<(), Refusal> {
    if operate.want.quorum == Quorum::default() && operate.seen.is_none() {
        return Ok(());
    }
    let why = "r, w, sloppy, volatile and seen belong to leaderless tables; this one says level and ack";
    Err(Refusal::Impossible(why.to_string()))
}

/// The catalogue is state of one group, whatever the table of the call.
fn plan_catalogue(
    (config, catalogue): (&Config, &Catalogue),
    operate: &Operate,
    specs: &[&'static Spec],
    pinned: Option<u16>,
) -> Result<Plan, Refusal> {
    let batch = &operate.batch;
    let ([spec], [words]) = (specs, &batch.commands[..]) else { return Err(alone()) };
    if batch.transaction || !batch.guards.is_empty() {
        return Err(alone());
    }
    if !spec.write {
        return Ok(Plan::Read { group: CATALOGUE_GROUP, level: operate.want.level() });
    }
    // A client would speak for a node that it names. Nodes say the group with theirs, and clients cannot.
    if matches!(spec.name, "TABLE.LIFE" | "TABLE.CAUGHT") && pinned != Some(CATALOGUE_GROUP) {
        return Err(Refusal::UnknownCommand);
    }
    if operate.want.ack() < Ack::Majority {
        return Err(Refusal::AckNeedsBlindWrite);
    }
    let configured = |name: &Bytes| config.tables.iter().any(|table| table.name.as_bytes() == name);
    if spec.name == "TABLE.CREATE" && words.get(1).is_some_and(configured) {
        return Err(Refusal::Impossible("a table of the configuration has this name".to_string()));
    }
    let nodes = match catalogue.placing().len() {
        0 => config.members.len(),
        known => known,
    };
    if matches!(spec.name, "TABLE.CREATE" | "TABLE.ALTER")
        && let Some(replicas) = state::replicas_named(words)
        && usize::from(replicas) > nodes
    {
        return Err(Refusal::Impossible(format!(
            "a table of {replicas} replicas needs as many nodes; there are {nodes}"
        )));
    }
    Ok(Plan::Write { group: CATALOGUE_GROUP })
}

fn alone() -> Refusal {
    Refusal::Impossible("commands about tables come alone, without a transaction and without guards".to_string())
}

fn specs(commands: &[Words]) -> Result<Vec<&'static Spec>, Refusal> {
    if commands.is_empty() {
        return Err(Refusal::Impossible("a batch needs at least one command".to_string()));
    }
    commands.iter().map(spec).collect()
}

fn spec(words: &Words) -> Result<&'static Spec, Refusal> {
    words.first().and_then(|name| command::find(name)).ok_or(Refusal::UnknownCommand)
}

/// The one group that all keys of the batch belong to. `None` for a single command without keys on a table of several.
fn group_of_batch(first: u16, groups: u16, operate: &Operate, specs: &[&'static Spec]) -> Result<Option<u16>, Refusal> {
    if groups <= 1 {
        return Ok(Some(first));
    }
    let mut found = None;
    for (spec, words) in specs.iter().zip(&operate.batch.commands) {
        let mut keyed = false;
        for key in command::keys(spec, words) {
            keyed = true;
            let group = group_of(first, groups, key);
            if *found.get_or_insert(group) != group {
                return Err(Refusal::CrossGroup);
            }
        }
        if !keyed && (specs.len() > 1 || operate.batch.transaction || !operate.batch.guards.is_empty()) {
            return Err(Refusal::CrossGroup);
        }
    }
    // A guard sees only the group that it is checked in.
    let elsewhere = |guard: &Guard| match guard {
        Guard::Version { key, .. } | Guard::Absent { key } => found != Some(group_of(first, groups, key)),
    };
    if operate.batch.guards.iter().any(elsewhere) {
        return Err(Refusal::CrossGroup);
    }
    Ok(found)
}

fn gather(first: u16, groups: u16, commands: &[Words], specs: &[&'static Spec]) -> Result<Gathering, Refusal> {
    let join = match specs[0].name {
        "SCAN" => return scan(first, groups, &commands[0]),
        "DBSIZE" => Join::Sum,
        "KEYS" => Join::Concatenate,
        "RANDOMKEY" => Join::AnyOf,
        "FLUSHDB" | "FLUSHALL" => Join::Same,
        _ => return Err(Refusal::CrossGroup),
    };
    Ok(Gathering::All { first, groups, join })
}

/// A scan cursor over several groups is the cursor within the group, times the number of groups, plus the group.
fn scan(first: u16, groups: u16, words: &Words) -> Result<Gathering, Refusal> {
    let number =
        words.get(1).and_then(|word| core::str::from_utf8(word).ok()).and_then(|text| text.parse::<u64>().ok());
    let cursor = number.ok_or_else(|| Refusal::Impossible("invalid cursor".to_string()))?;
    let group = first + (cursor % u64::from(groups)) as u16;
    Ok(Gathering::Scan { first, groups, group, cursor: cursor / u64::from(groups) })
}

fn check_size(operate: &Operate) -> Result<(), Refusal> {
    let batch = &operate.batch;
    if batch.commands.len() > limits::BATCH_COMMANDS {
        return Err(Refusal::TooLarge(format!("a batch has at most {} commands", limits::BATCH_COMMANDS)));
    }
    let mut bytes = 0;
    for words in &batch.commands {
        if words.len() > limits::ARGUMENTS {
            return Err(Refusal::TooLarge(format!("a command has at most {} words", limits::ARGUMENTS)));
        }
        for word in words {
            bytes += word.len();
            if word.len() > limits::VALUE_BYTES {
                return Err(Refusal::TooLarge(format!("a value has at most {} bytes", limits::VALUE_BYTES)));
            }
        }
        if let Some(spec) = words.first().and_then(|name| command::find(name))
            && command::keys(spec, words).any(|key| key.len() > limits::KEY_BYTES)
        {
            return Err(Refusal::TooLarge(format!("a key has at most {} bytes", limits::KEY_BYTES)));
        }
    }
    if bytes > limits::REQUEST_BYTES {
        return Err(Refusal::TooLarge(format!("a request has at most {} bytes", limits::REQUEST_BYTES)));
    }
    if let Some(key) = &batch.idempotency
        && (key.0.is_empty() || key.0.len() > limits::IDEMPOTENCY_KEY_BYTES)
    {
        return Err(Refusal::TooLarge(format!("an idempotency key has 1 to {} bytes", limits::IDEMPOTENCY_KEY_BYTES)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_group_cannot_see_is_refused() {
        let config = Config::new(9, crate::machine::NodeId(1), alloc::vec![crate::machine::NodeId(1)], 4);
        let tables = Catalogue::default();
        let operate = |words: &[&'static str], transaction, guards| {
            let words = words.iter().map(|word| bytes::Bytes::from_static(word.as_bytes())).collect();
            let commands = alloc::vec![words];
            let table = crate::operation::TableId(0);
            let batch = crate::operation::Batch { table, guards, idempotency: None, commands, transaction };
            let (want, session) = Default::default();
            Operate { batch, want, session, seen: None, after_own_writes: false, deadline_ms: 1 }
        };
        let absent = |key: &'static str| alloc::vec![Guard::Absent { key: bytes::Bytes::from_static(key.as_bytes()) }];
        let set = ["SET", "{a}1", "v"];
        let foreign = |key: &&&str| group_of(0, 4, key.as_bytes()) != group_of(0, 4, b"a");
        let elsewhere = ["{b}2", "{c}2", "{d}2", "{e}2"].iter().find(foreign).expect("four keys do not share a group");
        assert!(plan(&config, &tables, &operate(&set, true, absent("{a}2")), None).is_ok());
        assert_eq!(plan(&config, &tables, &operate(&set, true, absent(elsewhere)), None), Err(Refusal::CrossGroup));
        assert!(plan(&config, &tables, &operate(&["FLUSHDB"], false, absent("{a}2")), None).is_err());
        assert!(matches!(
            plan(&config, &tables, &operate(&["DBSIZE"], false, alloc::vec![]), None),
            Ok(Plan::Gather(_))
        ));
        assert_eq!(plan(&config, &tables, &operate(&["DBSIZE"], true, alloc::vec![]), None), Err(Refusal::CrossGroup));
    }

    #[test]
    fn tables_of_the_catalogue_have_their_own_ways() {
        let config = Config::new(9, crate::machine::NodeId(1), alloc::vec![crate::machine::NodeId(1)], 4);
        let mut tables = Catalogue::default();
        let notes = tables.create("notes", Shape::Consensus).expect("it is free");
        let gone = tables.create("gone", Shape::Consensus).expect("it is free");
        tables.remove("gone").expect("it is there");
        let operate = |table, lines: &[&str]| {
            let word = |word: &str| bytes::Bytes::copy_from_slice(word.as_bytes());
            let commands = lines.iter().map(|line| line.split(' ').map(word).collect()).collect();
            let (guards, idempotency, transaction) = (Vec::new(), None, false);
            let batch = crate::operation::Batch { table, guards, idempotency, commands, transaction };
            let (want, session) = Default::default();
            Operate { batch, want, session, seen: None, after_own_writes: false, deadline_ms: 1 }
        };
        let plan = |table, lines: &[&str], pinned| super::plan(&config, &tables, &operate(table, lines), pinned);
        let group = group_of(0, 4, b"k");
        assert_eq!(plan(notes, &["SET k v"], None), Ok(Plan::Write { group }));
        assert_eq!(plan(gone, &["SET k v"], None), Err(Refusal::UnknownTable));
        assert_eq!(plan(TableId(gone.0 + 1), &["SET k v"], None), Err(Refusal::Behind), "not heard of yet");
        assert_eq!(plan(TableId(16), &["SET k v"], None), Err(Refusal::UnknownTable));

        let write = Ok(Plan::Write { group: CATALOGUE_GROUP });
        for table in [TableId(0), notes, gone] {
            assert_eq!(plan(table, &["TABLE.CREATE a"], None), write);
            let read = plan(table, &["TABLE.LIST"], None);
            assert_eq!(read, Ok(Plan::Read { group: CATALOGUE_GROUP, level: Level::Linearizable }));
        }
        assert!(matches!(plan(notes, &["SET k v", "TABLE.CREATE a"], None), Err(Refusal::Impossible(_))));
        assert!(matches!(plan(notes, &["TABLE.CREATE db3"], None), Err(Refusal::Impossible(_))), "configured");
        assert!(matches!(plan(notes, &["TABLE.CREATE a shape leaderless"], None), Err(Refusal::Impossible(_))));
        assert_eq!(plan(notes, &["TABLE.CREATE a shape leaderless replicas 1"], None), write);
        assert_eq!(plan(notes, &["TABLE.LIFE 1 1 0"], None), Err(Refusal::UnknownCommand), "from a client");
        assert_eq!(plan(notes, &["TABLE.LIFE 1 1 0"], Some(CATALOGUE_GROUP)), write);

        let mut operate = operate(notes, &["GET k"]);
        operate.want.quorum.read = 1;
        assert!(matches!(super::plan(&config, &tables, &operate, None), Err(Refusal::Impossible(_))));
    }

    #[test]
    fn a_tag_keeps_keys_together() {
        for groups in 1..9 {
            assert_eq!(group_of(2, groups, b"{x}1"), group_of(2, groups, b"2{x}"));
            assert!((2..2 + groups).contains(&group_of(2, groups, b"key")));
        }
    }
}
