//! Updates put together, without what is there twice, and without the content of what was deleted.

use super::Id;
use super::update::{Body, Content, Ranges, Run, Update, Vector, unite};
use alloc::vec::Vec;

impl<'a> Update<'a> {
    /// All that some of these have. Of units that several have, those of the first are taken: they are the same, or some of them
    /// are without the content that was deleted.
    pub fn join(updates: impl IntoIterator<Item = Update<'a>>) -> Update<'a> {
        let mut all = Update::default();
        for update in updates {
            for (client, runs) in update.runs {
                all.runs.entry(client).or_default().extend(runs);
            }
            for (client, ranges) in update.deleted {
                all.deleted.entry(client).or_default().extend(ranges);
            }
        }
        for (&client, runs) in &mut all.runs {
            take_once(client, runs);
        }
        all.deleted.values_mut().for_each(unite);
        all
    }

    /// Drops the content of what was deleted, and makes one run of those that follow each other as if they were one. Whoever
    /// joins it comes to the same text.
    pub fn compact(mut self) -> Update<'a> {
        for (&client, runs) in &mut self.runs {
            let mut kept = Vec::with_capacity(runs.len());
            let mut deleted = self.deleted.get(&client).map_or(&[][..], |ranges| ranges);
            for run in runs.drain(..) {
                drop_deleted(client, run, &mut deleted, &mut kept);
            }
            *runs = kept;
        }
        self
    }

    /// For each client the number of units that are here from the first on.
    pub fn vector(&self) -> Vector {
        let mut vector = Vector::new();
        for (&client, runs) in &self.runs {
            let end = runs.iter().fold(0, |end, run| if run.clock == end { run.end } else { end });
            if end > 0 {
                vector.insert(client, end);
            }
        }
        vector
    }

    /// What somebody who knows so much does not know, and all that was deleted.
    pub fn since(mut self, vector: &Vector) -> Update<'a> {
        for (&client, runs) in &mut self.runs {
            let known = vector.get(&client).copied().unwrap_or(0);
            runs.retain(|run| run.end > known);
            if let Some(first) = runs.first_mut().filter(|first| first.clock < known) {
                *first = first.split_off(client, known);
            }
        }
        self.runs.retain(|_, runs| !runs.is_empty());
        self
    }

    /// An update that only deletes.
    pub fn deletes(deleted: Ranges) -> Update<'static> {
        let mut deleted = deleted;
        deleted.values_mut().for_each(unite);
        Update { deleted, ..Update::default() }
    }
}

/// Puts runs of a client in order, each unit once.
fn take_once<'a>(client: u64, runs: &mut Vec<Run<'a>>) {
    runs.sort_by_key(|run| run.clock);
    let mut once: Vec<Run<'a>> = Vec::with_capacity(runs.len());
    for mut run in runs.drain(..) {
        let end = once.last().map_or(0, |last| last.end);
        if run.clock < end && run.end > end {
            run = run.split_off(client, end);
        }
        if run.clock >= end {
            once.push(run);
        }
    }
    *runs = once;
}

/// Keeps a run, in parts of which some are without their content. The ranges before it are taken off.
fn drop_deleted<'a>(client: u64, run: Run<'a>, deleted: &mut &[(u64, u64)], kept: &mut Vec<Run<'a>>) {
    let mut rest = run;
    loop {
        while let [(_, end), later @ ..] = *deleted
            && *end <= rest.clock
        {
            *deleted = later;
        }
        let droppable = matches!(&rest.body, Body::Item(item) if item.content.can_be_dropped());
        let &[(from, end), ..] = *deleted else { return keep(client, rest, kept) };
        if !droppable || from >= rest.end {
            return keep(client, rest, kept);
        }
        let cut = if from > rest.clock { from } else { end };
        let tail = (cut < rest.end).then(|| rest.split_off(client, cut));
        if let Body::Item(item) = &mut rest.body
            && from <= rest.clock
        {
            item.content = Content::Deleted;
        }
        keep(client, rest, kept);
        match tail {
            Some(tail) => rest = tail,
            None => return,
        }
    }
}

/// Keeps a run, as the end of the one before if the two are as one that was cut.
fn keep<'a>(client: u64, run: Run<'a>, kept: &mut Vec<Run<'a>>) {
    let Some(last) = kept.last_mut().filter(|last| last.end == run.clock) else { return kept.push(run) };
    match (&mut last.body, &run.body) {
        (Body::Gone, Body::Gone) => {}
        (Body::Item(before), Body::Item(item))
            if item.origin == Some(Id { client, clock: run.clock - 1 }) && item.right == before.right =>
        {
            match (&mut before.content, &item.content) {
                (Content::Deleted, Content::Deleted) => {}
                (Content::Text(text), Content::Text(more)) => text.to_mut().push_str(more),
                _ => return kept.push(run),
            }
        }
        _ => return kept.push(run),
    }
    last.end = run.end;
}
