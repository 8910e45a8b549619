//! What the text of the repository must be, apart from what it does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of code that is longer should be split by concept.
const LINES: usize = 700;

/// What was found.
#[derive(Default)]
pub struct Findings {
    /// These fail the build.
    pub errors: Vec<String>,
    /// These are only said.
    pub warnings: Vec<String>,
    /// How many checks were made.
    pub checks: usize,
}

struct Source {
    path: PathBuf,
    text: String,
}

/// Checks the text under `root`.
pub fn check(root: &Path) -> Result<Findings, String> {
    let mut sources = Vec::new();
    gather(root, root, &mut sources)?;
    let mut findings = Findings::default();
    for check in [unfinished, claims, length, layering, cards] {
        check(root, &sources, &mut findings);
        findings.checks += 1;
    }
    Ok(findings)
}

/// All files of text, with paths from the root.
fn gather(root: &Path, directory: &Path, sources: &mut Vec<Source>) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("cannot read {}: {error}", directory.display());
    let mut entries = fs::read_dir(directory).map_err(fail)?.collect::<Result<Vec<_>, _>>().map_err(fail)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            if !matches!(name.as_str(), "target" | ".git" | "quorate-data") {
                gather(root, &path, sources)?;
            }
        } else if name != "Cargo.lock"
            && matches!(path.extension().and_then(|e| e.to_str()), Some("rs" | "md" | "toml" | "txt"))
        {
            let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            sources.push(Source { path: path.strip_prefix(root).expect("found under the root").to_owned(), text });
        }
    }
    Ok(())
}

/// Words are put together here so that this file does not contain them.
fn unfinished(_root: &Path, sources: &[Source], findings: &mut Findings) {
    let words = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["to", "do!("].concat(),
        ["unimple", "mented!"].concat(),
        ["db", "g!("].concat(),
    ];
    for (source, number, line) in lines(sources) {
        for word in words.iter().filter(|word| contains_word(line, word)) {
            findings.errors.push(format!("{}:{number}: {word:?} is left", source.path.display()));
        }
    }
}

/// The one thing that is never claimed. To deny it is allowed.
fn claims(_root: &Path, sources: &[Source], findings: &mut Findings) {
    let claim = ["exactly", "-once delivery"].concat();
    for (source, number, line) in lines(sources) {
        let line = line.to_ascii_lowercase();
        let denied = ["not", "no ", "never", "nobody", "impossible"].iter().any(|word| line.contains(word));
        if line.contains(&claim) && !denied {
            findings.errors.push(format!("{}:{number}: {claim} is claimed", source.path.display()));
        }
    }
}

fn length(_root: &Path, sources: &[Source], findings: &mut Findings) {
    for source in sources.iter().filter(|source| is_code(&source.path)) {
        let count = source.text.lines().count();
        if count > LINES {
            findings.warnings.push(format!("{}: {count} lines; split it by concept", source.path.display()));
        }
    }
}

/// Rooms never import each other, floors never look up, and the lab knows nothing of the server.
fn layering(_root: &Path, sources: &[Source], findings: &mut Findings) {
    const ROOMS_ABOVE: &[&str] =
        &["crate::consensus", "crate::leaderless", "crate::paxos", "crate::state", "crate::node"];
    let rules: [(&str, &[&str]); 13] = [
        ("crates/core/src/state", &["crate::consensus", "crate::paxos", "crate::node"]),
        ("crates/core/src/consensus", &["crate::paxos", "crate::node"]),
        ("crates/core/src/leaderless", &["crate::consensus", "crate::state", "crate::node"]),
        ("crates/core/src/paxos", &["crate::consensus", "crate::state", "crate::node"]),
        ("crates/core/src/catalogue", ROOMS_ABOVE),
        ("crates/core/src/clock", ROOMS_ABOVE),
        ("crates/core/src/crdt", ROOMS_ABOVE),
        ("crates/core/src/detector", ROOMS_ABOVE),
        ("crates/core/src/guarantee", ROOMS_ABOVE),
        ("crates/core/src/placement", ROOMS_ABOVE),
        ("crates/core/src/quorum", ROOMS_ABOVE),
        ("crates/core", &["std::time", "std::net", "std::fs", "std::thread"]),
        ("crates/lab", &["quorate_server", "quorate-server"]),
    ];
    for (source, number, line) in lines(sources) {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for (place, words) in rules {
            if !source.path.starts_with(place) || source.path.starts_with("crates/core/tests") {
                continue;
            }
            for word in words.iter().filter(|word| contains_word(line, word)) {
                findings.errors.push(format!("{}:{number}: {place} must not know {word}", source.path.display()));
            }
        }
    }
}

/// The parts of a room card, each a heading or the bold start of a paragraph. Before them stands the idea.
const PARTS: [&str; 5] = ["promises", "not here", "on disk", "what breaks it", "read next"];
/// Directories of the core that are rooms.
const ROOMS: [&str; 9] =
    ["catalogue", "consensus", "state", "paxos", "clock", "crdt", "detector", "placement", "quorum"];

/// Every room opens with its card, and every promise on it names what tests it.
fn cards(root: &Path, sources: &[Source], findings: &mut Findings) {
    let names = names(sources);
    for room in ROOMS {
        let path = Path::new("crates/core/src").join(room).join("mod.rs");
        let Some(source) = sources.iter().find(|source| source.path == path) else {
            findings.errors.push(format!("{} is missing", path.display()));
            continue;
        };
        let card: Vec<&str> = source.text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
        for part in PARTS {
            if !card.iter().any(|line| part_of(line).is_some_and(|found| found.contains(part))) {
                findings.errors.push(format!("{}: the room card has no part {part:?}", path.display()));
            }
        }
        promises(root, &path, &card, &names, findings);
    }
}

/// The name of the part that a line opens, in lower case: `# Read next` and `**Read next.** …` are the same.
fn part_of(line: &str) -> Option<String> {
    let name = match line.strip_prefix("**") {
        Some(rest) => rest.split_once("**")?.0,
        None => line.strip_prefix("# ")?,
    };
    Some(name.to_lowercase())
}

/// A promise: its number, and the text that names its tests in backticks.
fn promises(root: &Path, path: &Path, card: &[&str], names: &BTreeSet<String>, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (id, text) in promised(card) {
        let place = format!("{}: promise {id}", path.display());
        let proofs: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
        if proofs.is_empty() {
            findings.errors.push(format!("{place} names no test"));
        }
        for proof in proofs {
            if !names.contains(proof) && !root.join(proof).exists() {
                findings.errors.push(format!("{place} names {proof:?}, which is no file, test, judge or mutant"));
            }
        }
        if !seen.insert(id) {
            findings.errors.push(format!("{place} is there twice"));
        }
    }
    if seen.is_empty() {
        findings.errors.push(format!("{}: the room card makes no promise", path.display()));
    }
}

/// Promises are items `- C1 What holds. (tests)`, or rows `| 1 | what holds | tests |` of a table.
fn promised(card: &[&str]) -> Vec<(String, String)> {
    let from_item = |item: String| {
        let id = promise_id(&item)?.to_owned();
        Some((id, item[item.rfind('(').unwrap_or(item.len())..].to_owned()))
    };
    let from_row = |line: &&str| {
        let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        let [id, _, tests, ..] = cells[..] else { return None };
        (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())).then(|| (id.to_owned(), tests.to_owned()))
    };
    items(card).into_iter().filter_map(from_item).chain(card.iter().filter_map(from_row)).collect()
}

/// List items of a card, with their continuation lines.
fn items(card: &[&str]) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    let mut open = false;
    for line in card {
        if let Some(start) = line.strip_prefix("- ") {
            items.push(start.to_owned());
            open = true;
        } else if line.is_empty() || line.starts_with("**") {
            open = false;
        } else if let (true, Some(last)) = (open, items.last_mut()) {
            last.push(' ');
            last.push_str(line);
        }
    }
    items
}

/// `C4` of `C4 An entry …`.
fn promise_id(item: &str) -> Option<&str> {
    let id = item.split(' ').next()?;
    let digits = id.trim_start_matches(|c: char| c.is_ascii_uppercase());
    (digits.len() < id.len() && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(id)
}

/// Names of functions and modules, and of mutants: what a promise may name as its test.
fn names(sources: &[Source]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in sources.iter().filter(|source| is_code(&source.path)) {
        for line in source.text.lines().map(str::trim_start) {
            for word in ["fn ", "mod "] {
                if let Some((_, rest)) = line.split_once(word) {
                    names.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
                }
            }
        }
        if source.path.ends_with("core/src/mutant.rs") {
            names.extend(source.text.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    names
}

fn lines(sources: &[Source]) -> impl Iterator<Item = (&Source, usize, &str)> {
    sources.iter().flat_map(|source| source.text.lines().enumerate().map(move |(at, line)| (source, at + 1, line)))
}

fn is_code(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// Does the line contain the word, with no letter before it or (if it ends in a letter) behind it?
fn contains_word(line: &str, word: &str) -> bool {
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let joined = word.ends_with(char::is_alphanumeric) && is_letter(line[at + word.len()..].chars().next());
        !joined && !is_letter(line[..at].chars().next_back())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    fn errors(check: fn(&Path, &[Source], &mut Findings), sources: &[Source]) -> Vec<String> {
        let mut findings = Findings::default();
        check(Path::new("/nowhere"), sources, &mut findings);
        findings.errors
    }

    #[test]
    fn what_is_unfinished_or_claimed_is_found() {
        let left = format!("fn f() {{ {}!() }} // {}: later", ["unimple", "mented"].concat(), ["TO", "DO"].concat());
        assert_eq!(errors(unfinished, &[source("a.rs", &left)]).len(), 2);
        assert!(errors(unfinished, &[source("a.rs", "fn todos() {}")]).is_empty());
        let claim = ["exactly", "-once delivery"].concat();
        assert_eq!(errors(claims, &[source("a.md", &format!("We give {claim}."))]).len(), 1);
        assert!(errors(claims, &[source("a.md", &format!("There is no {claim}."))]).is_empty());
    }

    #[test]
    fn a_room_that_imports_another_is_found() {
        let bad = source("crates/core/src/state/a.rs", "use crate::consensus::Log;");
        let good = source("crates/core/src/node/a.rs", "use crate::consensus::Log;");
        assert_eq!(errors(layering, &[bad]).len(), 1);
        assert!(errors(layering, &[good]).is_empty());
    }

    #[test]
    fn a_card_without_parts_or_with_untested_promises_is_found() {
        let card = |promise: &str| {
            let bold = PARTS.map(|part| format!("//! **{part}.** …\n")).concat();
            let heading = PARTS.map(|part| format!("//! # {part}\n")).concat();
            let room = |room: &str| {
                let card = match room {
                    "consensus" => format!("{bold}//! - C1 {promise}\n"),
                    "state" => format!("{heading}//! | 1 | what | {promise} |\n"),
                    _ => format!("{bold}//! - C1 It holds. (`one_leader`)\n"),
                };
                source(&format!("crates/core/src/{room}/mod.rs"), &card)
            };
            let others =
                [source("tests.rs", "fn one_leader() {}"), source("crates/core/src/mutant.rs", "\"vote-not-durable\"")];
            ROOMS.map(room).into_iter().chain(others).collect::<Vec<Source>>()
        };
        assert_eq!(errors(cards, &card("(`one_leader`, mutant `vote-not-durable`)")), Vec::<String>::new());
        assert_eq!(errors(cards, &card("One leader.")).len(), 2);
        assert_eq!(errors(cards, &card("(`no_such_test`)")).len(), 2);
        let none = "//! nothing";
        let bare = ROOMS.map(|room| source(&format!("crates/core/src/{room}/mod.rs"), none));
        assert_eq!(errors(cards, &bare).len(), ROOMS.len() * (PARTS.len() + 1));
    }
}
