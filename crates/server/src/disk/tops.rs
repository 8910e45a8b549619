//! The greatest key that older layers hold under each prefix: a key above it is certainly not in them.
//!
//! Logs are written upwards and deleted from below, so most of their entries are put and deleted within one layer, and
//! need no tombstone there; and a lookup or a scan at the end of a log need not ask the base.

use super::base::Base;
use std::cell::RefCell;
use std::collections::HashMap;

/// Bytes of a prefix. A log of one group is `[drawer, group, group, kind]`.
const PREFIX_BYTES: usize = 4;
/// Prefixes that are tracked. Under others every key may be in an older layer.
const PREFIXES: usize = 4096;

type Prefix = [u8; PREFIX_BYTES];

#[derive(Debug, Default)]
struct Top {
    /// No key under the prefix in an older layer is greater. Empty: there is none.
    older: Vec<u8>,
    /// The same for the layer that takes writes.
    active: Vec<u8>,
}

#[derive(Debug, Default)]
pub(super) struct Tops {
    by_prefix: RefCell<HashMap<Prefix, Top>>,
}

impl Tops {
    /// Is the key certainly in no older layer?
    pub(super) fn is_above(&self, key: &[u8], base: &Base) -> Result<bool, fjall::Error> {
        self.with(key, base, |top| key > top.older.as_slice())
    }

    /// As [`Tops::is_above`], for a key that is about to enter the active layer.
    pub(super) fn enter(&self, key: &[u8], base: &Base) -> Result<bool, fjall::Error> {
        self.with(key, base, |top| {
            if key > top.active.as_slice() {
                top.active.clear();
                top.active.extend_from_slice(key);
            }
            key > top.older.as_slice()
        })
    }

    /// Are all keys of the range certainly in no older layer?
    pub(super) fn is_range_above(&self, from: &[u8], until: &[u8], base: &Base) -> Result<bool, fjall::Error> {
        let (Some(first), Some(last)) = (from.first_chunk::<PREFIX_BYTES>(), until.first_chunk::<PREFIX_BYTES>())
        else {
            return Ok(false);
        };
        // `until` is under the same prefix, or is the first key behind it.
        let next = u32::from_be_bytes(*first).checked_add(1).map(u32::to_be_bytes);
        let one_prefix = first == last || until.len() == PREFIX_BYTES && next.as_ref() == Some(last);
        Ok(one_prefix && self.is_above(from, base)?)
    }

    /// The active layer becomes an older one.
    pub(super) fn freeze(&mut self) {
        for top in self.by_prefix.get_mut().values_mut() {
            if top.active > top.older {
                std::mem::swap(&mut top.older, &mut top.active);
            }
            top.active.clear();
        }
    }

    fn with(&self, key: &[u8], base: &Base, ask: impl FnOnce(&mut Top) -> bool) -> Result<bool, fjall::Error> {
        let Some(prefix) = key.first_chunk::<PREFIX_BYTES>() else { return Ok(false) };
        let mut tops = self.by_prefix.borrow_mut();
        if let Some(top) = tops.get_mut(prefix) {
            return Ok(ask(top));
        }
        if tops.len() >= PREFIXES {
            return Ok(false);
        }
        let older = base.greatest(prefix)?.unwrap_or_default();
        Ok(ask(tops.entry(*prefix).or_insert(Top { older, active: Vec::new() })))
    }
}
