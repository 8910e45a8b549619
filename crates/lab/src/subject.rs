//! The real node as the simulator and the judges see it.

use crate::simulator::Subject;
use quorate_core::consensus::Entry;
use quorate_core::limits;
use quorate_core::node::{Config, Node};
use quorate_core::store::{View, drawer};

impl Subject for Node {
    fn reborn(config: &Config, incarnation: u64) -> Config {
        Config { incarnation, ..config.clone() }
    }

    fn key_law(key: &[u8]) -> Option<String> {
        if matches!(key.first(), Some(&(drawer::LEADERLESS | drawer::NODE))) {
            return None;
        }
        let group = key.get(1..3).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
        match (key.first(), group) {
            (Some(&(drawer::CONSENSUS | drawer::STATE)), Some(group)) if group < limits::GROUPS => None,
            _ => Some(format!("the key {key:?} is in no drawer")),
        }
    }
}

/// The log entry of a group at an index, as a disk holds it.
pub fn entry_on_disk(disk: &dyn View, group: u16, index: u64) -> Option<Entry> {
    let [high, low] = group.to_be_bytes();
    let mut key = vec![drawer::CONSENSUS, high, low, b'l'];
    key.extend_from_slice(&index.to_be_bytes());
    let bytes = disk.get(&key)?;
    postcard::from_bytes(bytes.get(1..)?).ok()
}

/// The index up to which a group's log was compacted, as a disk holds it.
pub fn base_on_disk(disk: &dyn View, group: u16) -> u64 {
    let [high, low] = group.to_be_bytes();
    let base = disk.get(&[drawer::CONSENSUS, high, low, b'b']);
    base.and_then(|bytes| postcard::from_bytes::<quorate_core::consensus::Point>(&bytes).ok()).map_or(0, |at| at.index)
}
