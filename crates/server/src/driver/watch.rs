//! What the log says without being asked: the loop asks the machine how it is, and tells people what they should see to.

use quorate_core::machine::Mono;
use quorate_core::operation::Reply;

/// How often the machine is asked, in milliseconds.
const EVERY_MS: u64 = 1_000;

/// What was said last.
#[derive(Debug, Default)]
pub struct Watch {
    next: Mono,
    clock_is_out: bool,
}

/// A line for the log.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Something is wrong.
    Wrong(String),
    /// It is well again.
    Well(String),
}

impl Watch {
    /// Is it time to ask? Then not again for a while.
    pub fn is_due(&mut self, now: Mono) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now.after_ms(EVERY_MS);
        }
        due
    }

    /// What is new in a status.
    pub fn see(&mut self, reply: &Reply) -> Option<Line> {
        let Reply::Status(status) = reply else { return None };
        let was_out = std::mem::replace(&mut self.clock_is_out, status.clock_out.is_some());
        match &status.clock_out {
            Some(out) if !was_out => Some(Line::Wrong(out.sentence())),
            None if was_out => Some(Line::Well("the clock of this node agrees with those of the others again".into())),
            Some(_) | None => None,
        }
    }
}

impl Line {
    /// Writes it.
    pub fn log(&self) {
        match self {
            Line::Wrong(text) => tracing::warn!("{text}"),
            Line::Well(text) => tracing::info!("{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::clock::ClockOut;
    use quorate_core::machine::NodeId;
    use quorate_core::operation::Status;

    #[test]
    fn each_change_is_said_once() {
        let out = ClockOut { ahead_ms: 900, against: vec![NodeId(2), NodeId(3)], bound_ms: 500 };
        let status = |clock_out: Option<&ClockOut>| {
            Reply::Status(Status {
                node: NodeId(1),
                incarnation: 1,
                members: Vec::new(),
                calls: 0,
                groups: Vec::new(),
                peers: Vec::new(),
                clock_out: clock_out.cloned(),
            })
        };
        let mut watch = Watch::default();
        assert_eq!(watch.see(&status(None)), None);
        assert_eq!(watch.see(&status(Some(&out))), Some(Line::Wrong(out.sentence())));
        assert_eq!(watch.see(&status(Some(&out))), None);
        assert!(matches!(watch.see(&status(None)), Some(Line::Well(_))));
        assert_eq!(watch.see(&status(None)), None);
    }

    #[test]
    fn it_is_asked_once_in_a_while() {
        let mut watch = Watch::default();
        let due: Vec<bool> = [0, 10, 999, 1_000, 1_001].map(|ms| watch.is_due(Mono(ms * 1_000))).to_vec();
        assert_eq!(due, [true, false, false, true, false]);
    }
}
