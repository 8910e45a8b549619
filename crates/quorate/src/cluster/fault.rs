//! The words of `quorate fault`, and what they do to links.

use quorate_server::fault::{LinkRule, LinkRules};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The longest delay that may be asked for, in milliseconds.
const DELAY_MAX_MS: u32 = 60_000;

/// Something that is broken on purpose, or made whole again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nodes on different sides cannot talk. A node on no side keeps its links.
    Partition(Vec<Vec<u16>>),
    /// What the first say does not reach the second; the way back works.
    Oneway(Vec<u16>, Vec<u16>),
    /// Of a thousand messages between the two sides, in either direction, this many are lost.
    Drop(Vec<u16>, Vec<u16>, u16),
    /// Messages between the two sides, in either direction, arrive this many milliseconds later.
    Delay(Vec<u16>, Vec<u16>, u32),
    /// The processes stand still.
    Pause(Vec<u16>),
    /// Paused processes go on.
    Resume(Vec<u16>),
    /// The processes are killed.
    Crash(Vec<u16>),
    /// The processes start again; those that run are killed first.
    Restart(Vec<u16>),
    /// All links are whole and all paused processes go on. Crashed ones stay down until `restart`.
    Heal,
    /// Nothing changes; what is broken is told.
    Show,
}

/// The forms, as usage errors name them.
pub const FORMS: &str = "partition 1,2/3 · oneway 1/2 · drop 1/2 10% · delay 1/2 50ms · pause 2 · resume 2 · crash 3 · restart 3 · heal · show";

impl Fault {
    /// Reads the words of a fault, for a cluster of these members.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(words: &[String], members: &[u16]) -> Result<Fault, String> {
        let (verb, rest) = words.split_first().ok_or_else(|| format!("no fault was named; there are: {FORMS}"))?;
        let two = |text: &str| match sides(text, members)?.as_mut_slice() {
            [a, b] => Ok((std::mem::take(a), std::mem::take(b))),
            found => Err(format!("{verb} wants two sides, as in {verb} 1/2, and {text:?} has {}", found.len())),
        };
        let joined = rest.concat();
        let fault = match (verb.to_ascii_lowercase().as_str(), rest) {
            ("partition", [_, ..]) => Fault::Partition(sides(&joined, members)?),
            ("oneway", [_, ..]) => two(&joined).map(|(from, to)| Fault::Oneway(from, to))?,
            ("drop", [links @ .., amount]) if !links.is_empty() => {
                let (a, b) = two(&links.concat())?;
                Fault::Drop(a, b, per_mille(amount)?)
            }
            ("delay", [links @ .., amount]) if !links.is_empty() => {
                let (a, b) = two(&links.concat())?;
                Fault::Delay(a, b, milliseconds(amount)?)
            }
            ("pause", [_, ..]) => Fault::Pause(side(&joined, members)?),
            ("resume", [_, ..]) => Fault::Resume(side(&joined, members)?),
            ("crash", [_, ..]) => Fault::Crash(side(&joined, members)?),
            ("restart", [_, ..]) => Fault::Restart(side(&joined, members)?),
            ("heal", []) => Fault::Heal,
            ("show", []) => Fault::Show,
            ("heal" | "show", _) => return Err(format!("{verb} takes no more words")),
            ("partition" | "oneway" | "drop" | "delay" | "pause" | "resume" | "crash" | "restart", _) => {
                return Err(format!("{verb} wants more words; the forms are: {FORMS}"));
            }
            _ => return Err(format!("there is no fault {verb:?}; there are: {FORMS}")),
        };
        Ok(fault)
    }
}

/// Sides between slashes, at least two, that share no node.
fn sides(text: &str, members: &[u16]) -> Result<Vec<Vec<u16>>, String> {
    let sides = text.split('/').map(|part| side(part, members)).collect::<Result<Vec<_>, _>>()?;
    if sides.len() < 2 {
        return Err(format!("{text:?} has one side; put a slash between the sides, as in 1,2/3"));
    }
    let mut seen = BTreeSet::new();
    match sides.iter().flatten().find(|node| !seen.insert(**node)) {
        Some(node) => Err(format!("node {node} cannot be on two sides")),
        None => Ok(sides),
    }
}

/// Nodes between commas; each may be written `2` or `n2`.
fn side(text: &str, members: &[u16]) -> Result<Vec<u16>, String> {
    let node = |word: &str| {
        let word = word.trim();
        let digits = word.strip_prefix(['n', 'N']).unwrap_or(word);
        let id = digits.parse::<u16>().map_err(|_| format!("{word:?} is no node; nodes are numbers, as in 1,2/3"))?;
        if members.contains(&id) {
            Ok(id)
        } else {
            Err(format!("there is no node {id}; the nodes are {}", list(members)))
        }
    };
    let mut nodes = text.split(',').map(node).collect::<Result<Vec<_>, _>>()?;
    nodes.sort_unstable();
    nodes.dedup();
    Ok(nodes)
}

fn per_mille(text: &str) -> Result<u16, String> {
    let wrong = || format!("{text:?} is no share; write 0% to 100%, as in drop 1/2 10%");
    let percent = text.strip_suffix('%').ok_or_else(wrong)?.parse::<f64>().map_err(|_| wrong())?;
    if (0.0..=100.0).contains(&percent) { Ok((percent * 10.0).round() as u16) } else { Err(wrong()) }
}

fn milliseconds(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is no delay; write 0ms to {DELAY_MAX_MS}ms, as in delay 1/2 50ms");
    let (digits, unit) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix('s').ok_or_else(wrong)?, 1_000),
    };
    let delay = digits.parse::<u32>().ok().and_then(|count| count.checked_mul(unit)).ok_or_else(wrong)?;
    if delay <= DELAY_MAX_MS { Ok(delay) } else { Err(wrong()) }
}

/// Nodes for people: `1, 2 and 3`.
pub fn list(nodes: &[u16]) -> String {
    match nodes {
        [] => "none".to_owned(),
        [one] => one.to_string(),
        [most @ .., last] => {
            format!("{} and {last}", most.iter().map(u16::to_string).collect::<Vec<_>>().join(", "))
        }
    }
}

/// The rules of all links, by who speaks and who listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links(BTreeMap<(u16, u16), LinkRule>);

impl Links {
    /// Does to the links what a fault says. Faults of processes change nothing here.
    pub fn apply(&mut self, fault: &Fault) {
        match fault {
            Fault::Partition(sides) => {
                let side_of = |node: u16| sides.iter().position(|side| side.contains(&node));
                let named: Vec<u16> = sides.iter().flatten().copied().collect();
                for (from, to) in pairs(&named, &named) {
                    self.change(from, to, |rule| rule.cut = side_of(from) != side_of(to));
                }
            }
            Fault::Oneway(from, to) => {
                pairs(from, to).for_each(|(from, to)| self.change(from, to, |rule| rule.cut = true))
            }
            Fault::Drop(a, b, per_mille) => {
                for (from, to) in pairs(a, b).chain(pairs(b, a)) {
                    self.change(from, to, |rule| rule.drop_per_mille = *per_mille);
                }
            }
            Fault::Delay(a, b, delay_ms) => {
                for (from, to) in pairs(a, b).chain(pairs(b, a)) {
                    self.change(from, to, |rule| rule.delay_ms = *delay_ms);
                }
            }
            Fault::Heal => self.0.clear(),
            Fault::Pause(_) | Fault::Resume(_) | Fault::Crash(_) | Fault::Restart(_) | Fault::Show => {}
        }
    }

    /// The rules of one node's outgoing links.
    pub fn of(&self, node: u16) -> LinkRules {
        LinkRules(self.0.iter().filter(|((from, _), _)| *from == node).map(|((_, to), rule)| (*to, *rule)).collect())
    }

    /// One line per broken link, for people.
    pub fn describe(&self) -> String {
        let mut out = String::new();
        for ((from, to), rule) in &self.0 {
            let mut what = Vec::new();
            if rule.cut {
                what.push("cut".to_owned());
            }
            if rule.drop_per_mille > 0 {
                what.push(format!("loses {}%", f64::from(rule.drop_per_mille) / 10.0));
            }
            if rule.delay_ms > 0 {
                what.push(format!("late by {} ms", rule.delay_ms));
            }
            let _ = writeln!(out, "  {from} -> {to}: {}", what.join(", "));
        }
        out
    }

    fn change(&mut self, from: u16, to: u16, change: impl FnOnce(&mut LinkRule)) {
        let rule = self.0.entry((from, to)).or_default();
        change(rule);
        if *rule == LinkRule::default() {
            self.0.remove(&(from, to));
        }
    }
}

fn pairs<'a>(from: &'a [u16], to: &'a [u16]) -> impl Iterator<Item = (u16, u16)> + 'a {
    from.iter().flat_map(move |&from| to.iter().map(move |&to| (from, to))).filter(|(from, to)| from != to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Fault, String> {
        Fault::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>(), &[1, 2, 3])
    }

    #[test]
    fn every_form_is_read() {
        for (line, fault) in [
            ("partition 1,2/3", Fault::Partition(vec![vec![1, 2], vec![3]])),
            ("partition n1, n2 / n3", Fault::Partition(vec![vec![1, 2], vec![3]])),
            ("partition 1/2/3", Fault::Partition(vec![vec![1], vec![2], vec![3]])),
            ("oneway 1/2", Fault::Oneway(vec![1], vec![2])),
            ("drop 1/2,3 12.5%", Fault::Drop(vec![1], vec![2, 3], 125)),
            ("delay 1/2 50ms", Fault::Delay(vec![1], vec![2], 50)),
            ("delay 1/2 2s", Fault::Delay(vec![1], vec![2], 2_000)),
            ("pause 2", Fault::Pause(vec![2])),
            ("resume 2", Fault::Resume(vec![2])),
            ("crash 3,3", Fault::Crash(vec![3])),
            ("restart 3", Fault::Restart(vec![3])),
            ("HEAL", Fault::Heal),
            ("show", Fault::Show),
        ] {
            assert_eq!(parse(line), Ok(fault), "{line}");
        }
    }

    #[test]
    fn nonsense_gets_a_sentence_that_names_it() {
        for (line, part) in [
            ("", "no fault was named"),
            ("melt 1", "no fault \"melt\""),
            ("partition", "wants more words"),
            ("partition 1,2", "one side"),
            ("partition 1,2/2", "node 2 cannot be on two sides"),
            ("partition 1/4", "no node 4"),
            ("partition 1/", "\"\" is no node"),
            ("oneway 1/2/3", "wants two sides"),
            ("drop 1/2", "wants more words"),
            ("drop 1/2 10", "is no share"),
            ("drop 1/2 101%", "is no share"),
            ("drop 1/2 NaN%", "is no share"),
            ("delay 1/2 50", "is no delay"),
            ("delay 1/2 -5ms", "is no delay"),
            ("delay 1/2 99999999s", "is no delay"),
            ("pause x", "\"x\" is no node"),
            ("heal 1", "takes no more words"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn a_partition_cuts_between_sides_and_mends_within_them() {
        let mut links = Links::default();
        links.apply(&parse("partition 1/2,3").expect("a form"));
        assert_eq!(links.of(1).0.len(), 2);
        assert_eq!(links.of(2).0.keys().copied().collect::<Vec<_>>(), [1]);
        links.apply(&parse("partition 1,2/3").expect("a form"));
        assert_eq!(links.of(1).0.keys().copied().collect::<Vec<_>>(), [3]);
        links.apply(&Fault::Heal);
        assert_eq!(links, Links::default());
    }

    #[test]
    fn rules_of_one_link_add_up_and_a_healthy_rule_vanishes() {
        let mut links = Links::default();
        for line in ["oneway 1/2", "drop 1/2 10%", "delay 1/2 50ms"] {
            links.apply(&parse(line).expect("a form"));
        }
        assert_eq!(links.of(1).0[&2], LinkRule { cut: true, drop_per_mille: 100, delay_ms: 50 });
        assert_eq!(links.of(2).0[&1], LinkRule { cut: false, drop_per_mille: 100, delay_ms: 50 });
        assert_eq!(links.describe(), "  1 -> 2: cut, loses 10%, late by 50 ms\n  2 -> 1: loses 10%, late by 50 ms\n");
        links.apply(&parse("drop 1/2 0%").expect("a form"));
        links.apply(&parse("delay 1/2 0ms").expect("a form"));
        assert_eq!(links.of(2).0.len(), 0);
    }
}
