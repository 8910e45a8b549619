//! Operations that one connection has in flight together take effect in the order in which they were sent, per group.

use quorate_core::guarantee::Position;

/// One operation of a pipeline, in the order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The pipeline.
    pub pipeline: u64,
    /// Does it write?
    pub write: bool,
    /// Where it is in the log, or for a read the position that it saw.
    pub position: Position,
}

/// The first two operations of one pipeline and group that took effect in the wrong order. A read sees the writes
/// before it and none after it; operations of which no effect is known are left out.
pub fn check(sent: &[Sent]) -> Option<(usize, usize)> {
    for (at, later) in sent.iter().enumerate() {
        let before = sent[..at].iter().rposition(|earlier| {
            let wrong = match (earlier.write, later.write) {
                (true, true) | (false, true) => earlier.position.index >= later.position.index,
                (true, false) => earlier.position.index > later.position.index,
                (false, false) => false,
            };
            earlier.pipeline == later.pipeline && earlier.position.group == later.position.group && wrong
        });
        if let Some(before) = before {
            return Some((before, at));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `1 w 0:5` is a write of pipeline 1 at index 5 of group 0.
    fn sent(text: &str) -> Vec<Sent> {
        let one = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (group, index) = words[2].split_once(':').expect("a group and an index");
            let number = |word: &str| word.parse::<u64>().expect("a number");
            let position = Position { group: number(group) as u16, term: 1, index: number(index) };
            Sent { pipeline: number(words[0]), write: words[1] == "w", position }
        };
        text.split("; ").map(one).collect()
    }

    #[test]
    fn order_is_per_pipeline_and_group() {
        for text in [
            "1 w 0:5; 1 w 0:6; 1 r 0:6; 1 r 0:9; 1 w 0:10",
            "1 w 0:5; 1 w 1:2; 1 r 1:2",
            "1 w 0:5; 2 w 0:4",
            "1 r 0:9; 1 r 0:8",
        ] {
            assert_eq!(check(&sent(text)), None, "{text}");
        }
        for text in ["1 w 0:5; 1 w 0:4", "1 w 0:5; 1 r 0:4", "1 r 0:5; 1 w 0:5", "1 w 0:5; 2 w 0:9; 1 w 1:1; 1 w 0:3"] {
            assert!(check(&sent(text)).is_some(), "{text}");
        }
    }
}
