//! What can go wrong, in the words of the command line: `partition 1,2/3`, `crash 2`, `skew 1 -500ms`.

use quorate_core::machine::NodeId;
use std::fmt;
use std::str::FromStr;

/// Nodes, in the text `1,2,3`.
pub type Nodes = Vec<NodeId>;

/// One thing that goes wrong, or is mended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Nothing gets through between the sides. Nodes that are on no side are not affected.
    Partition(Vec<Nodes>),
    /// Nothing gets through from the first nodes to the second; the other direction works.
    Oneway(Nodes, Nodes),
    /// This many of a thousand messages between the two sides are lost.
    Drop(Nodes, Nodes, u16),
    /// Messages between the two sides take this many microseconds more.
    Delay(Nodes, Nodes, u64),
    /// A node stops for so many microseconds, then gets all that arrived, late. Without a time, until it is resumed.
    Pause(NodeId, Option<u64>),
    /// A paused node goes on.
    Resume(NodeId),
    /// The power of a node goes. The first so many batches that were not synced survive by luck.
    Crash(NodeId, usize),
    /// A crashed node starts again from its disk.
    Restart(NodeId),
    /// The disk of a crashed node is lost: it starts again with an empty one.
    Lose(NodeId),
    /// What is on the disk of a node is copied aside, as far as it would survive if the power went now.
    Backup(NodeId),
    /// A crashed node gets the copy in place of its disk. Without one, nothing happens.
    Restore(NodeId),
    /// The wall clock of a node jumps, in milliseconds.
    Skew(NodeId, i64),
    /// Both clocks of a node run so many parts in a million too fast.
    Drift(NodeId, i64),
    /// Each sync of a node takes so many microseconds more.
    SlowDisk(NodeId, u64),
    /// No sync of a node ends for so many microseconds.
    StallDisk(NodeId, u64),
    /// The first node is told, wrongly, that the process of the second has ended.
    Hint(NodeId, NodeId),
    /// Links, disks and clocks work again. Crashed nodes stay down.
    Heal,
}

impl Fault {
    /// The class of this fault.
    pub fn class(&self) -> &'static str {
        match self {
            Fault::Partition(_) => "partition",
            Fault::Oneway(..) => "oneway",
            Fault::Drop(..) => "drop",
            Fault::Delay(..) => "delay",
            Fault::Pause(..) => "pause",
            Fault::Resume(_) => "resume",
            Fault::Crash(..) => "crash",
            Fault::Restart(_) => "restart",
            Fault::Lose(_) => "lose",
            Fault::Backup(_) => "backup",
            Fault::Restore(_) => "restore",
            Fault::Skew(..) => "skew",
            Fault::Drift(..) => "drift",
            Fault::SlowDisk(..) => "slowdisk",
            Fault::StallDisk(..) => "stalldisk",
            Fault::Hint(..) => "hint",
            Fault::Heal => "heal",
        }
    }
}

fn names(nodes: &[NodeId]) -> String {
    nodes.iter().map(|node| node.0.to_string()).collect::<Vec<_>>().join(",")
}

/// Microseconds as text: `50ms` or `120us`.
pub fn time_text(us: u64) -> String {
    if us.is_multiple_of(1000) { format!("{}ms", us / 1000) } else { format!("{us}us") }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = self.class();
        match self {
            Fault::Partition(sides) => {
                let sides: Vec<String> = sides.iter().map(|side| names(side)).collect();
                write!(f, "{class} {}", sides.join("/"))
            }
            Fault::Oneway(from, to) => write!(f, "{class} {}/{}", names(from), names(to)),
            Fault::Drop(a, b, per_mille) => {
                write!(f, "{class} {}/{} {}.{}%", names(a), names(b), per_mille / 10, per_mille % 10)
            }
            Fault::Delay(a, b, us) => write!(f, "{class} {}/{} {}", names(a), names(b), time_text(*us)),
            Fault::Pause(node, None) => write!(f, "{class} {}", node.0),
            Fault::Pause(node, Some(us)) => write!(f, "{class} {} {}", node.0, time_text(*us)),
            Fault::Crash(node, 0) => write!(f, "{class} {}", node.0),
            Fault::Crash(node, keep) => write!(f, "{class} {} keep {keep}", node.0),
            Fault::Resume(node)
            | Fault::Restart(node)
            | Fault::Lose(node)
            | Fault::Backup(node)
            | Fault::Restore(node) => write!(f, "{class} {}", node.0),
            Fault::Skew(node, ms) => write!(f, "{class} {} {ms}ms", node.0),
            Fault::Drift(node, ppm) => write!(f, "{class} {} {ppm}ppm", node.0),
            Fault::SlowDisk(node, us) | Fault::StallDisk(node, us) => {
                write!(f, "{class} {} {}", node.0, time_text(*us))
            }
            Fault::Hint(node, peer) => write!(f, "{class} {} {}", node.0, peer.0),
            Fault::Heal => f.write_str(class),
        }
    }
}

fn node(word: &str) -> Result<NodeId, String> {
    word.parse().map(NodeId).map_err(|_| format!("{word:?} is not a node; write a number such as 2"))
}

/// Nodes from `1,2,3`.
pub fn nodes(word: &str) -> Result<Nodes, String> {
    word.split(',').map(node).collect()
}

fn sides(word: &str) -> Result<Vec<Nodes>, String> {
    word.split('/').map(nodes).collect()
}

fn two_sides(word: &str) -> Result<(Nodes, Nodes), String> {
    match <[Nodes; 2]>::try_from(sides(word)?) {
        Ok([a, b]) => Ok((a, b)),
        Err(_) => Err(format!("{word:?} does not name two sides; write them as 1,2/3")),
    }
}

/// Microseconds from `50ms`, `2s` or `120us`.
pub fn parse_time(word: &str) -> Result<u64, String> {
    let wrong = || format!("{word:?} is not a time; write 50ms, 2s or 120us");
    let (number, scale) = match word {
        _ if word.ends_with("ms") => (&word[..word.len() - 2], 1000),
        _ if word.ends_with("us") => (&word[..word.len() - 2], 1),
        _ if word.ends_with('s') => (&word[..word.len() - 1], 1_000_000),
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(scale)).ok_or_else(wrong)
}

fn per_mille(word: &str) -> Result<u16, String> {
    let wrong = || format!("{word:?} is not a share; write 10% or 2.5%");
    let number = word.strip_suffix('%').ok_or_else(wrong)?;
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    let (whole, tenth): (u16, u16) = (whole.parse().map_err(|_| wrong())?, tenth.parse().map_err(|_| wrong())?);
    if tenth > 9 || whole > 100 || whole * 10 + tenth > 1000 { Err(wrong()) } else { Ok(whole * 10 + tenth) }
}

fn signed(word: &str, unit: &str) -> Result<i64, String> {
    let number = word.strip_suffix(unit).and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("{word:?} is not a number of {unit}"))
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Fault, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        Ok(match words.as_slice() {
            ["partition", groups] => Fault::Partition(sides(groups)?),
            ["oneway", pair] => two_sides(pair).map(|(from, to)| Fault::Oneway(from, to))?,
            ["drop", pair, share] => {
                let (a, b) = two_sides(pair)?;
                Fault::Drop(a, b, per_mille(share)?)
            }
            ["delay", pair, time] => {
                let (a, b) = two_sides(pair)?;
                Fault::Delay(a, b, parse_time(time)?)
            }
            ["pause", who] => Fault::Pause(node(who)?, None),
            ["pause", who, time] => Fault::Pause(node(who)?, Some(parse_time(time)?)),
            ["resume", who] => Fault::Resume(node(who)?),
            ["crash", who] => Fault::Crash(node(who)?, 0),
            ["crash", who, "keep", count] => {
                Fault::Crash(node(who)?, count.parse().map_err(|_| format!("{count:?} is not a number of batches"))?)
            }
            ["restart", who] => Fault::Restart(node(who)?),
            ["lose", who] => Fault::Lose(node(who)?),
            ["backup", who] => Fault::Backup(node(who)?),
            ["restore", who] => Fault::Restore(node(who)?),
            ["skew", who, ms] => Fault::Skew(node(who)?, signed(ms, "ms")?),
            ["drift", who, ppm] => Fault::Drift(node(who)?, signed(ppm, "ppm")?),
            ["slowdisk", who, time] => Fault::SlowDisk(node(who)?, parse_time(time)?),
            ["stalldisk", who, time] => Fault::StallDisk(node(who)?, parse_time(time)?),
            ["hint", who, peer] => Fault::Hint(node(who)?, node(peer)?),
            ["heal"] => Fault::Heal,
            _ => return Err(format!("{text:?} is not a fault; an example is: partition 1,2/3")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_as_they_are_written() {
        for text in [
            "partition 1,2/3",
            "partition 1/2/3,4",
            "oneway 1/2,3",
            "drop 1/2 2.5%",
            "delay 1,3/2 50ms",
            "pause 2",
            "pause 2 1500us",
            "resume 2",
            "crash 3",
            "crash 3 keep 2",
            "restart 3",
            "lose 3",
            "backup 3",
            "restore 3",
            "skew 2 -500ms",
            "drift 1 250ppm",
            "slowdisk 2 20ms",
            "stalldisk 2 400ms",
            "hint 1 2",
            "heal",
        ] {
            assert_eq!(text.parse::<Fault>().expect("valid").to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_sentence() {
        for text in [
            "",
            "partition",
            "partition 1,x/2",
            "oneway 1/2/3",
            "drop 1/2 200%",
            "drop 1/2 5",
            "pause 2 5",
            "skew 1 5s",
            "melt 3",
        ] {
            let error = text.parse::<Fault>().expect_err(text);
            assert!(!error.is_empty());
        }
    }
}
