//! Replicated state: what a batch does to data, by log time.
//!
//! A batch is one log entry: guards, then commands in order, as words of the Redis protocol. [`apply`] is a pure function
//! of state, stamp and batch, so replicas that applied the same log hold the same bytes. There is no clock in it: a key
//! is absent once its expiry is at or before the log time of the entry, for every command at once. What is absent is
//! removed later, in bounded pieces, by [`sweep`](fn@sweep), which no reply can notice. One table of commands ([`command`]) names
//! for each its arity, its keys and the function that runs it; one file per family holds those functions. They see keys
//! through a reader and a writer (`cells`) that alone know the layout and keep counts and indexes right. An idempotency
//! key stores the reply beside the data in the same batch, so a retry hears it again and changes nothing.
//!
//! # Promises
//!
//! | | promise | test |
//! |---|---|---|
//! | 1 | the same log gives the same bytes | `apply_is_a_function_of_state_stamp_and_batch` |
//! | 2 | guards are checked against the state before; if one fails, nothing is applied | `guards_are_checked_before_anything_is_applied` |
//! | 3 | a command that fails changes nothing, and its neighbours in a transaction stay | `a_command_that_fails_changes_nothing`, `a_failing_command_leaves_its_neighbours_alone` |
//! | 4 | a batch applied twice under one idempotency key is applied once, and errors are replayed too | `a_batch_twice_under_one_key_is_a_batch_once`, `errors_are_replayed_too` |
//! | 5 | an expired key is absent for every command, an expired record for every batch | `a_key_that_expired_is_absent_for_every_command`, `an_idempotency_record_ends_by_log_time_swept_or_not` |
//! | 6 | a sweep changes no reply, and does a bounded amount of work | `a_sweep_changes_no_reply`, `what_is_dropped_leaves_nothing_behind` |
//! | 7 | counts, indexes and elements agree with the keys; nothing is orphaned | `counts_and_indexes_agree_with_the_cells` |
//! | 8 | a read says what the log would say, and writes nothing | `reads_say_what_the_log_would_say_and_write_nothing` |
//! | 9 | a scan tells exactly once what is there throughout | `a_scan_tells_once_what_is_there_throughout` |
//! | 10 | every element is drawn with equal chance | `every_element_is_drawn_equally_often` |
//! | 11 | groups in one store do not touch each other | `groups_share_a_store_and_nothing_else` |
//! | 12 | replies and error texts are those of Redis 7.0, but for the table below | `replies_are_those_of_redis`, `patterns_mean_what_they_mean_in_redis` |
//! | 13 | tables are made, changed and removed as the catalogue allows; no flush touches it | `tables_are_made_changed_and_removed`, `what_is_no_table_is_refused_in_words`, `no_flush_touches_the_catalogue` |
//! | 14 | the format on disk does not change unnoticed | `the_format_on_disk_is_this` |
//!
//! # Where replies differ from Redis on purpose
//!
//! | | Redis 7.0 | here |
//! |---|---|---|
//! | SPOP, SRANDMEMBER, RANDOMKEY, HRANDFIELD | a random number generator of the process | drawn from the log position (reads: from the time), so that replicas agree |
//! | INCRBYFLOAT, HINCRBYFLOAT | 64 binary digits: 150 + 0.1 is 150.10000000000000001; hexadecimal is read | exact decimals: 150.1; hexadecimal is refused |
//! | SCAN family | an element may be told twice; the cursor is 64 bits | told once; the cursor is below 2^48 and any replica continues it |
//! | SRANDMEMBER and HRANDFIELD, count below -1,000,000 | as many as asked for | `ERR value is out of range` |
//! | size of a string | 512 MiB, `(proto-max-bulk-len)` | [`crate::limits::VALUE_BYTES`], named in the text |
//! | DBSIZE | counts keys that expired and are not yet removed | does not count them |
//! | FLUSHDB, FLUSHALL SYNC | return when memory is free | return when the keys are absent; the rest is swept |
//! | COPY from a table to another, FLUSHALL | all data of the server | all data of the group: the node spreads and joins |
//!
//! Our own: `CAS key expected new` sets a string if it is as expected, 1 or 0, and keeps its expiry. `VERSION key` is the
//! log index of its last change, 0 if it is absent. `ESCROW.GIVE` and `ESCROW.RIGHTS` are for bounded counters of leaderless
//! tables.
//!
//! # Not here
//!
//! LCS, OBJECT, SORT and the commands on bits. Who may lead, what is committed, which group holds a key, connections and
//! MULTI are left to the node and the fronts. Limits on the size of keys, values and requests are checked before a
//! command enters the log; here only strings that grow are. A guard on an absent key (version 0) cannot see that the key
//! came and went in between.
//!
//! # Keys on disk
//!
//! The table at the top of `layout.rs`. All begin with the [`Space`] of the group.
//!
//! # What breaks it
//!
//! `WallClockInApply` makes expiry ask [`Stamp`]'s `wall_ms` (`a_wall_clock_in_apply_makes_replicas_differ`).
//! `SnapshotForgetsIdempotency` leaves out what [`is_idempotency_record`] names; the node does that.
//!
//! # Read next
//!
//! `cells.rs`, then `string.rs`. A new family is one file beside it, a type in `layout.rs` if it has one, and its lines in
//! the table of `command.rs`.

mod cells;
pub mod command;
mod escrow;
mod expiry;
mod failure;
mod hash;
mod idempotency;
mod key;
mod layout;
mod member;
mod number;
mod pattern;
mod sample;
mod scan;
mod server;
mod set;
mod string;
mod sweep;
mod table;
#[cfg(test)]
mod tests;
mod text;

use crate::guarantee::Position;
use crate::mutant::{Mutant, Mutants};
use crate::operation::{Batch, Guard, TableId, Value, Words};
use crate::store::{Store, View};
use alloc::format;
use alloc::vec::Vec;
use cells::{Reader, Scope, Writer};
use command::{Run, Spec};
use failure::{Failure, Ran};
pub use member::{FOUNDERS, nodes_word};
pub use number::{DECIMAL_BYTES, decimal};
pub use table::{FAMILY as TABLE_FAMILY, load as catalogue, replicas_named};
pub use text::FAMILY as TEXT_FAMILY;

/// Where the state of a group lives in the store: every key of it begins with this.
/// `[drawer::STATE, group: u16 BE, generation: u32 BE]`; a snapshot that is installed gets a new generation.
pub type Space = [u8; 7];

/// When and where in the log a batch is applied. The only time that apply knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The entry.
    pub position: Position,
    /// Log time: stamped by the leader, never falls, in milliseconds since 1970.
    pub time_ms: u64,
    /// Log time in which no gap between two entries counts for more than a minute: what a leader whose clock jumps
    /// cannot hurry. Idempotency records are kept by it.
    pub steady_ms: u64,
    /// The replica's own clock, which only the mutant `WallClockInApply` looks at.
    #[cfg(feature = "lab")]
    pub wall_ms: u64,
}

impl Stamp {
    /// A stamp. `wall_ms` is the replica's own clock: nothing looks at it, unless the lab breaks that rule.
    pub fn new(position: Position, time_ms: u64, wall_ms: u64) -> Stamp {
        let _ = wall_ms;
        Stamp {
            position,
            time_ms,
            steady_ms: time_ms,
            #[cfg(feature = "lab")]
            wall_ms,
        }
    }
    /// The same stamp with another steady time than its log time.
    pub fn with_steady(self, steady_ms: u64) -> Stamp {
        Stamp { steady_ms, ..self }
    }
    /// The time by which keys expire.
    fn time_ms(&self, mutants: Mutants) -> u64 {
        #[cfg(feature = "lab")]
        if mutants.has(Mutant::WallClockInApply) {
            return self.wall_ms;
        }
        let _ = mutants.has(Mutant::WallClockInApply);
        self.time_ms
    }
}

/// What applying a batch gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The reply.
    pub value: Value,
    /// Where the batch was first applied, when an idempotency key replayed its reply.
    pub replay_of: Option<Position>,
}

/// Applies one batch. Deterministic: a function of the state, the stamp and the batch.
pub fn apply(store: &mut dyn Store, space: Space, stamp: Stamp, batch: &Batch, mutants: Mutants) -> Applied {
    let time_ms = stamp.time_ms(mutants);
    let Some(key) = &batch.idempotency else {
        return Applied { value: run(store, space, stamp, (time_ms, mutants), batch), replay_of: None };
    };
    let by_log_time = mutants.has(Mutant::IdempotencyByLogTime);
    let stamp = if by_log_time { stamp.with_steady(stamp.time_ms) } else { stamp };
    if let Some(replayed) = idempotency::replay(store.as_view(), space, stamp, key, batch)
        && !forgotten(&replayed, stamp, mutants)
    {
        return replayed;
    }
    let value = run(store, space, stamp, (time_ms, mutants), batch);
    idempotency::record(store, space, stamp, key, (batch, &value));
    Applied { value, replay_of: None }
}

/// With a broken rule, what was kept under an earlier leader is not known to the next.
fn forgotten(replayed: &Applied, stamp: Stamp, mutants: Mutants) -> bool {
    mutants.has(Mutant::IdempotencyForgottenByNewLeader)
        && replayed.replay_of.is_some_and(|first| first.term != stamp.position.term)
}

fn run(store: &mut dyn Store, space: Space, stamp: Stamp, (time_ms, mutants): (u64, Mutants), batch: &Batch) -> Value {
    let seed = stamp.position.index ^ stamp.position.term.rotate_left(40) ^ u64::from(stamp.position.group) << 48;
    let scope = Scope::new(store.as_view(), space, batch.table, time_ms, time_ms, seed);
    let mut writer = Writer::new(store, scope, stamp.position.index);
    if let Some(failure) = batch.guards.iter().find_map(|guard| violated(writer.reader(), guard, mutants)) {
        return failure.into();
    }
    let mut failed = false;
    let value = replies(&batch.commands, batch.transaction, |ordinal, words| {
        writer.scope.ordinal = ordinal;
        if failed && mutants.has(Mutant::FailureEndsTransaction) {
            return Ok(Value::OK);
        }
        let ran = match known(words)?.run {
            Run::Read(run) => run(writer.reader(), words),
            Run::Write(run) => run(&mut writer, words),
        };
        failed |= ran.is_err();
        ran
    });
    writer.close();
    value
}

/// Evaluates reading commands. `time_ms` is the log time of the applied position: a key whose expiry is at or before
/// it is absent. `display_ms` is the local clock, only for replies that tell a remaining time. A command that writes
/// is answered with an error.
pub fn read(
    view: &dyn View,
    space: Space,
    table: TableId,
    commands: &[Words],
    transaction: bool,
    time_ms: u64,
    display_ms: u64,
) -> Value {
    let seed = time_ms ^ display_ms.rotate_left(32);
    let mut scope = Scope::new(view, space, table, time_ms, display_ms, seed);
    replies(commands, transaction, |ordinal, words| {
        scope.ordinal = ordinal;
        match known(words)?.run {
            Run::Read(run) => run(Reader { view, scope: &scope }, words),
            Run::Write(_) => Err(Failure::new("ERR this command writes and was sent as a read; nothing was applied")),
        }
    })
}

/// The reply of one command, or the array of the replies of all.
fn replies(commands: &[Words], transaction: bool, mut run: impl FnMut(u64, &Words) -> Ran) -> Value {
    let mut reply = |(ordinal, words)| run(ordinal, words).unwrap_or_else(Value::from);
    match commands {
        [words] if !transaction => reply((0, words)),
        _ => Value::Array((0..).zip(commands).map(reply).collect::<Vec<_>>()),
    }
}

fn known(words: &Words) -> Result<&'static Spec, Failure> {
    let spec = words.first().and_then(|name| command::find(name)).ok_or_else(|| Failure::unknown_command(words))?;
    if spec.takes(words.len()) { Ok(spec) } else { Err(Failure::arity(&words[0])) }
}

fn violated(reader: Reader<'_>, guard: &Guard, mutants: Mutants) -> Option<Failure> {
    use alloc::string::String;
    match guard {
        Guard::Version { .. } if mutants.has(Mutant::GuardVersionIgnored) => None,
        Guard::Absent { .. } if mutants.has(Mutant::GuardAbsentIgnored) => None,
        Guard::Version { key, version } => {
            let found = reader.cell(key).map_or(0, |cell| cell.version);
            let name = String::from_utf8_lossy(key);
            (found != *version).then(|| Failure::told(format!("GUARD key {name} is at version {found}, not {version}")))
        }
        Guard::Absent { key } => {
            let name = String::from_utf8_lossy(key);
            reader.cell(key).map(|_| Failure::told(format!("GUARD key {name} exists")))
        }
    }
}

/// The log time at which `sweep` next has work: when the next key or record expires, or 0 if something was dropped
/// whose removal is not finished.
pub fn next_expiry(view: &dyn View, space: Space) -> Option<u64> {
    sweep::next_due(view, space)
}

/// Removes keys and records that expired at or before `stamp.time_ms`, at most `limits::EXPIRE_PER_STEP`, and goes on
/// with the removal of dropped collections and tables. Called when an entry of kind tick is applied. True if more is due.
pub fn sweep(store: &mut dyn Store, space: Space, stamp: Stamp) -> bool {
    sweep::run(store, space, stamp)
}

/// Is this key, taken after its [`Space`], part of an idempotency record?
pub fn is_idempotency_record(space_relative_key: &[u8]) -> bool {
    idempotency::is_record(space_relative_key)
}

/// The tables from this one on that hold keys in a group, expired ones included.
pub fn tables_with_keys(view: &dyn View, space: Space, from: TableId) -> Vec<TableId> {
    let (_, until) = layout::kind_range(space, layout::TABLE);
    let mut found = Vec::new();
    view.scan(&layout::Table::key(space, from), &until, &mut |key, value| {
        let id = TableId(u16::from_be_bytes([key[layout::KIND], key[layout::KIND + 1]]));
        if layout::Table::decode(id, Some(value)).cells > 0 {
            found.push(id);
        }
        true
    });
    found
}
