//! Witnesses: re-checked by a second opinion, told in words, and drawn.

mod cycle;
mod forced;
mod html;
mod layout;
mod missing;
mod svg;
mod text;
mod verify;

pub use html::html;
pub use svg::svg;
pub use text::text;
pub use verify::{Checked, verify, verify_alone};

use crate::{Edge, Finding, History, Model, Verdict, Why, Witness};

/// Each witness once, with the weakest model that it breaks, weaker models first.
pub fn distinct(findings: &[Finding]) -> Vec<(Model, &Witness)> {
    let own = findings.iter().rev().filter(|finding| finding.by.is_none());
    own.filter_map(|finding| match &finding.verdict {
        Verdict::Invalid(witness) => Some((finding.model, witness)),
        Verdict::Valid | Verdict::Unknown(_) => None,
    })
    .collect()
}

/// Why the operations must stand in the offending order, one sentence for each edge, with the numbers of the picture.
pub fn reasons(history: &History, witness: &Witness) -> Vec<String> {
    let number = |id| witness.operations.iter().position(|&known| known == id).map_or(0, |at| at + 1);
    let sentence = |edge: &Edge| {
        let (from, to) = (number(edge.from), number(edge.to));
        let key = |key| match history.key(key) {
            crate::Datum::Nil => String::new(),
            name => format!(" of {name}"),
        };
        match edge.why {
            Why::Session => format!("{from} comes before {to} in their session."),
            Why::RealTime => format!("{from} had ended before {to} began."),
            Why::ReadsFrom(of) => format!("{to} read the value{} that {from} wrote (wr).", key(of)),
            Why::Overwrites(of) => format!("{to} overwrote the value{} that {from} wrote (ww).", key(of)),
            Why::Overtaken(of) => format!("{from} read a state{} that {to} overwrote (rw).", key(of)),
            Why::Forced(of) => format!("{from} must come before {to}: no other order explains the values{}.", key(of)),
        }
    };
    let mut sentences: Vec<String> = witness.edges.iter().map(sentence).collect();
    let closes = witness.edges.first().zip(witness.edges.last()).is_some_and(|(first, last)| last.to == first.from);
    if closes && sentences.len() > 1 {
        sentences.push("So each of them must come before itself.".to_string());
    }
    sentences
}
