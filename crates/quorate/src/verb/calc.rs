//! `quorate calc`

use crate::exit::{Exit, Failure, Outcome};
use crate::paint;
use clap::{Args, Subcommand};
use quorate_core::quorum::{Preset, Rule};
use serde_json::json;

/// Work something out without a cluster: what a quorum promises
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate calc quorum --replicas 3 --read 2 --write 2
  quorate calc quorum --replicas 5 --preset fast-reads")]
pub struct Calc {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    Quorum(Quorum),
}

/// What reads and writes promise that wait for R and W of N replicas
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate calc quorum --replicas 3 --read 2 --write 2
  quorate calc quorum --replicas 5 --preset fast-writes
  quorate calc quorum --replicas 3 --read 1 --write 1 --json")]
struct Quorum {
    /// N: how many replicas a key has
    #[arg(long, short = 'n', value_name = "N", default_value_t = 3)]
    replicas: u8,
    /// R: how many of them a read waits for
    #[arg(long, short, value_name = "R", required_unless_present = "preset")]
    read: Option<u8>,
    /// W: how many of them a write waits for
    #[arg(long, short, value_name = "W", required_unless_present = "preset")]
    write: Option<u8>,
    /// R and W by name
    #[arg(long, conflicts_with_all = ["read", "write"], value_parser = preset)]
    preset: Option<Preset>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

fn preset(word: &str) -> Result<Preset, String> {
    Preset::ALL.into_iter().find(|preset| preset.word() == word).ok_or_else(|| {
        let words: Vec<&str> = Preset::ALL.iter().map(|preset| preset.word()).collect();
        format!("the presets are {}", words.join(", "))
    })
}

impl Calc {
    pub fn json(&self) -> bool {
        let What::Quorum(quorum) = &self.what;
        quorum.json
    }

    pub fn run(self) -> Outcome {
        let What::Quorum(quorum) = self.what;
        quorum.run()
    }
}

impl Quorum {
    fn run(self) -> Outcome {
        let rule = match (self.preset, self.read, self.write) {
            (Some(preset), _, _) => preset.rule(self.replicas),
            (None, Some(read), Some(write)) => Rule::new(self.replicas, read, write),
            (None, _, _) => return Err(Failure::usage("--read and --write, or --preset, are needed")),
        };
        let rule = rule.map_err(|error| Failure::usage(error.to_string()))?;
        if self.json {
            println!("{}", as_json(rule));
        } else {
            print!("{}", as_text(rule));
        }
        Ok(Exit::Done)
    }
}

/// The preset that is this rule, if there is one.
fn name(rule: Rule) -> Option<&'static str> {
    Preset::ALL.into_iter().find(|preset| preset.rule(rule.replicas()) == Ok(rule)).map(Preset::word)
}

/// The level of plain reads.
const fn level(rule: Rule) -> &'static str {
    if rule.overlap() > 0 { "regular" } else { "eventual" }
}

fn chance(rule: Rule) -> f64 {
    let (stale, all) = rule.stale_reads();
    stale as f64 / all as f64
}

fn as_json(rule: Rule) -> serde_json::Value {
    json!({
        "replicas": rule.replicas(),
        "read": rule.read(),
        "write": rule.write(),
        "preset": name(rule),
        "overlap": rule.overlap(),
        "write_overlap": rule.write_overlap(),
        "reads_survive": rule.reads_survive(),
        "writes_survive": rule.writes_survive(),
        "chance_of_stale_read": chance(rule),
        "level": level(rule),
    })
}

fn as_text(rule: Rule) -> String {
    let (n, r, w) = (rule.replicas(), rule.read(), rule.write());
    let mut text = paint::bold(&format!("N = {n}, R = {r}, W = {w}"));
    text.push_str(&name(rule).map_or(String::new(), |name| format!("  ({name})")));
    // The write is drawn from the left, the read from the right: that is where they meet least.
    let boxes = |is_in: &dyn Fn(u8) -> bool| -> String {
        let one = |at| if is_in(at) { "■" } else { "□" };
        (0..n).map(one).collect::<Vec<_>>().join(" ")
    };
    text.push_str(&format!("\n\n  write  {}\n  read   {}\n\n", boxes(&|at| at < w), boxes(&|at| at >= n - r)));
    let meet = |overlap: u8, sum: &str| match overlap {
        0 => paint::bad(&format!("no: {sum} is not greater than N")),
        1 => paint::good("yes, in at least 1 replica"),
        more => paint::good(&format!("yes, in at least {more} replicas")),
    };
    let down = |count: u8| match count {
        0 => paint::bad("not with any replica down"),
        1 => "with 1 replica down".to_owned(),
        more => format!("with {more} replicas down"),
    };
    let (stale, all) = rule.stale_reads();
    let stale = match stale {
        0 => "none".to_owned(),
        _ => format!("{stale} in {all} ({:.1} %), while only W replicas have the write", 100.0 * chance(rule)),
    };
    for (what, answer) in [
        ("a read meets the last write", meet(rule.overlap(), "R + W")),
        ("two writes meet", meet(rule.write_overlap(), "2 W")),
        ("reads go on", down(rule.reads_survive())),
        ("writes go on", down(rule.writes_survive())),
        ("chance of a stale read", stale),
    ] {
        text.push_str(&format!("  {what:<28} {answer}\n"));
    }
    text.push('\n');
    text.push_str(match (rule.overlap() > 0, rule.write_overlap() > 0) {
        (true, true) => {
            "Reads are regular: they miss no write that was acknowledged before they began. They are not linearizable: while a\n\
             write is on its way, one read may see it and a later one not, unless reads write back what they saw.\n"
        }
        (true, false) => {
            "Reads are regular: they miss no write that was acknowledged before they began. But two writes may both be\n\
             acknowledged and not know of each other: keep siblings or merge; a last-write-wins register drops one.\n"
        }
        (false, _) => {
            "Reads are eventual: they may miss writes that were acknowledged. Repair makes the time short, not zero.\n"
        }
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_the_rule_says() {
        let text = as_text(Rule::new(3, 2, 2).expect("in bounds"));
        assert!(text.contains("(balanced)") && text.contains("write  ■ ■ □") && text.contains("read   □ ■ ■"));
        assert!(text.contains("yes, in at least 1 replica\n") && text.contains("not linearizable"));
        let text = as_text(Rule::new(5, 2, 2).expect("in bounds"));
        assert!(text.contains("3 in 10 (30.0 %)") && text.contains("no: R + W is not greater than N"));
        let text = as_text(Preset::FastWrites.rule(3).expect("in bounds"));
        assert!(text.contains("not with any replica down") && text.contains("drops one"));
    }
}
