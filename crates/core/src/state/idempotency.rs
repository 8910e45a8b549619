//! What was replied under an idempotency key, kept so that a retry changes nothing and hears the same.

use super::layout::{self, Due, u64_at};
use super::{Applied, Space, Stamp};
use crate::guarantee::Position;
use crate::limits;
use crate::operation::{Batch, IdempotencyKey, Value};
use crate::store::{Store, View};
use alloc::vec::Vec;

const FORMAT: u8 = 1;
const HEAD: usize = 1 + 8 + 8 + 2 + 8 + 8;

/// The reply to a batch whose key was used before: the first reply, or an error if the first batch was another.
pub fn replay(view: &dyn View, space: Space, time_ms: u64, key: &IdempotencyKey, batch: &Batch) -> Option<Applied> {
    let record = view.get(&layout::plain_key(space, layout::IDEMPOTENCY, &key.0))?;
    assert!(record.len() >= HEAD && record[0] == FORMAT, "an idempotency record of an unknown format");
    if u64_at(&record, 9) <= time_ms {
        return None;
    }
    let group = u16::from_be_bytes([record[17], record[18]]);
    let position = Position { group, term: u64_at(&record, 19), index: u64_at(&record, 27) };
    if u64_at(&record, 1) != fingerprint(batch) {
        return Some(Applied { value: Value::error("IDEMPOTENCY key was used with another command"), replay_of: None });
    }
    let value = postcard::from_bytes(&record[HEAD..]).expect("a record holds the reply that was written");
    Some(Applied { value, replay_of: Some(position) })
}

/// Keeps the reply to a batch.
pub fn record(
    store: &mut dyn Store,
    space: Space,
    stamp: Stamp,
    time_ms: u64,
    key: &IdempotencyKey,
    kept: (&Batch, &Value),
) {
    let (batch, value) = kept;
    let name = layout::plain_key(space, layout::IDEMPOTENCY, &key.0);
    if let Some(expired) = store.get(&name) {
        store.delete(&Due::Record.key(space, u64_at(&expired, 9), &key.0));
    }
    let expiry = time_ms.saturating_add(limits::IDEMPOTENCY_KEEP_MS);
    let mut out = Vec::with_capacity(HEAD + 16);
    out.push(FORMAT);
    out.extend_from_slice(&fingerprint(batch).to_be_bytes());
    out.extend_from_slice(&expiry.to_be_bytes());
    out.extend_from_slice(&stamp.position.group.to_be_bytes());
    out.extend_from_slice(&stamp.position.term.to_be_bytes());
    out.extend_from_slice(&stamp.position.index.to_be_bytes());
    let out = postcard::to_extend(value, out).expect("values always encode");
    store.put(&name, &out);
    store.put(&Due::Record.key(space, expiry, &key.0), b"");
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
