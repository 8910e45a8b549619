//! The busiest keys: counted where clients ask, so that an operation that is passed on counts once.

use super::Node;
use crate::hot;
use crate::machine::Mono;
use crate::operation::{Batch, HotStatus, HotTable, TableId};
use crate::state::command;
use alloc::string::String;
use alloc::vec::Vec;

impl Node {
    pub(super) fn count_keys(&mut self, now: Mono, batch: &Batch) {
        for words in &batch.commands {
            let Some(spec) = words.first().and_then(|name| command::find(name)) else { continue };
            for key in command::keys(spec, words) {
                self.hot.count(now, batch.table, key);
            }
        }
    }

    pub(super) fn hot_status(&mut self, now: Mono) -> HotStatus {
        self.hot.pass(now);
        let tables: Vec<(TableId, u64)> = self.hot.tables().collect();
        let known = |(table, operations)| {
            let name = self.table_name(table)?;
            let (missed, keys) = (self.hot.missed(table), self.hot.busiest(table, hot::KEYS));
            Some(HotTable { table, name, operations, missed, keys })
        };
        let tables = tables.into_iter().filter_map(known).collect();
        HotStatus { node: self.config.node, window_ms: self.hot.window_ms(now), tables }
    }

    /// The name of a table, if there is one.
    fn table_name(&self, table: TableId) -> Option<String> {
        let configured = self.config.tables.get(usize::from(table.0)).map(|table| table.name.clone());
        configured.or_else(|| self.tables.catalogue.table(table).map(|spec| spec.name.clone()))
    }
}
