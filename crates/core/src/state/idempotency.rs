//! What was replied under an idempotency key, kept so that a retry changes nothing and hears the same.

use super::layout::{self, Due, u64_at};
use super::{Applied, Space, Stamp};
use crate::guarantee::Position;
use crate::limits;
use crate::operation::{Batch, IdempotencyKey, Value};
use crate::store::{Store, View};
use alloc::vec::Vec;

const FORMAT: u8 = 1;
/// Format, fingerprint, steady time at which the record ends, log time of its entry in the index of due work, and the
/// position of the first application: group, term, index. The reply follows.
const HEAD: usize = 1 + 8 + 8 + 8 + 2 + 8 + 8;
const ENDS: usize = 9;
const DUE: usize = 17;

/// The reply to a batch whose key was used before: the first reply, or an error if the first batch was another.
pub fn replay(view: &dyn View, space: Space, stamp: Stamp, key: &IdempotencyKey, batch: &Batch) -> Option<Applied> {
    let record = view.get(&layout::plain_key(space, layout::IDEMPOTENCY, &key.0))?;
    assert!(record.len() >= HEAD && record[0] == FORMAT, "an idempotency record of an unknown format");
    if u64_at(&record, ENDS) <= stamp.steady_ms {
        return None;
    }
    let group = u16::from_be_bytes([record[25], record[26]]);
    let position = Position { group, term: u64_at(&record, 27), index: u64_at(&record, 35) };
    if u64_at(&record, 1) != fingerprint(batch) {
        return Some(Applied { value: Value::error("IDEMPOTENCY key was used with another command"), replay_of: None });
    }
    let value = postcard::from_bytes(&record[HEAD..]).expect("a record holds the reply that was written");
    Some(Applied { value, replay_of: Some(position) })
}

/// Keeps the reply to a batch.
pub fn record(store: &mut dyn Store, space: Space, stamp: Stamp, key: &IdempotencyKey, kept: (&Batch, &Value)) {
    let (batch, value) = kept;
    let name = layout::plain_key(space, layout::IDEMPOTENCY, &key.0);
    if let Some(expired) = store.get(&name) {
        store.delete(&Due::Record.key(space, u64_at(&expired, DUE), &key.0));
    }
    let ends = stamp.steady_ms.saturating_add(limits::IDEMPOTENCY_KEEP_MS);
    let due = stamp.time_ms.saturating_add(limits::IDEMPOTENCY_KEEP_MS);
    let mut out = Vec::with_capacity(HEAD + 16);
    out.push(FORMAT);
    out.extend_from_slice(&fingerprint(batch).to_be_bytes());
    out.extend_from_slice(&ends.to_be_bytes());
    out.extend_from_slice(&due.to_be_bytes());
    out.extend_from_slice(&stamp.position.group.to_be_bytes());
    out.extend_from_slice(&stamp.position.term.to_be_bytes());
    out.extend_from_slice(&stamp.position.index.to_be_bytes());
    let out = postcard::to_extend(value, out).expect("values always encode");
    store.put(&name, &out);
    store.put(&Due::Record.key(space, due, &key.0), b"");
}

/// Removes a record whose entry in the index of due work is `entry`, or puts it off when log time got there faster than
/// steady time.
pub fn sweep(store: &mut dyn Store, space: Space, stamp: Stamp, entry: &[u8], key: &[u8]) {
    let name = layout::plain_key(space, layout::IDEMPOTENCY, key);
    let record = store.get(&name).filter(|record| u64_at(record, ENDS) > stamp.steady_ms);
    store.delete(entry);
    match record {
        None => store.delete(&name),
        Some(record) => {
            let due = stamp.time_ms.saturating_add(u64_at(&record, ENDS) - stamp.steady_ms);
            let mut record = record.to_vec();
            record[DUE..DUE + 8].copy_from_slice(&due.to_be_bytes());
            store.put(&name, &record);
            store.put(&Due::Record.key(space, due, key), b"");
        }
    }
}

/// What distinguishes one batch from another, its idempotency key apart.
fn fingerprint(batch: &Batch) -> u64 {
    let said = (batch.table, &batch.guards, &batch.commands, batch.transaction);
    xxhash_rust::xxh3::xxh3_64(&postcard::to_allocvec(&said).expect("batches always encode"))
}

/// Is this key, taken after its space, part of an idempotency record?
pub fn is_record(space_relative_key: &[u8]) -> bool {
    space_relative_key.first() == Some(&layout::IDEMPOTENCY) || Due::is_of_record(space_relative_key)
}

#[cfg(test)]
mod tests {
    use crate::guarantee::Position;
    use crate::limits::IDEMPOTENCY_KEEP_MS;
    use crate::mutant::Mutants;
    use crate::operation::{Batch, IdempotencyKey, TableId, Value};
    use crate::state::{Space, Stamp, apply, sweep};
    use crate::store::MemoryStore;
    use bytes::Bytes;

    const SPACE: Space = [2, 0, 0, 0, 0, 0, 0];

    #[test]
    fn a_clock_that_jumps_does_not_end_a_record() {
        let mut store = MemoryStore::default();
        let words = ["INCR", "n"].map(|word| Bytes::from_static(word.as_bytes())).to_vec();
        let batch = Batch {
            table: TableId(0),
            guards: alloc::vec![],
            idempotency: Some(IdempotencyKey(Bytes::from_static(b"once"))),
            commands: alloc::vec![words],
            transaction: false,
        };
        let mut at = |time_ms: u64, steady_ms: u64| {
            let position = Position { group: 0, term: 1, index: time_ms };
            let stamp = Stamp::new(position, time_ms, 0).with_steady(steady_ms);
            while sweep(&mut store, SPACE, stamp) {}
            apply(&mut store, SPACE, stamp, &batch, Mutants::none()).value
        };
        let jump = 40 * IDEMPOTENCY_KEEP_MS;
        assert_eq!(at(1_000, 1_000), Value::Int(1));
        assert_eq!(at(jump, 2_000), Value::Int(1));
        assert_eq!(at(jump + IDEMPOTENCY_KEEP_MS - 1_001, IDEMPOTENCY_KEEP_MS + 999), Value::Int(1));
        assert_eq!(at(jump + IDEMPOTENCY_KEEP_MS, IDEMPOTENCY_KEEP_MS + 2_000), Value::Int(2));
    }
}
