//! `quorate table`

use crate::access::{Place, random_key};
use crate::answer;
use crate::exit::{Exit, Failure, Outcome};
use crate::paint;
use clap::{Args, Subcommand};
use quorate_client::{Client, Command, Error, Options, Reply};
use std::time::Duration;

/// Make tables and see them
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate table create notes
  quorate table create carts --shape leaderless --cell set --preset balanced
  quorate table alter carts --read 1 --write 3
  quorate table list
  quorate put k v --table notes

A consensus table is in the logs of the cluster and can all that the first table can. A leaderless table is on R and W of N
replicas: it goes on without a leader, and what was written concurrently meets in its cells.")]
pub struct Table {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    place: Place,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,
    /// Give up after this many milliseconds
    #[arg(long, global = true, value_name = "MS", default_value_t = quorate_core::limits::DEADLINE_MS,
          value_parser = clap::value_parser!(u32).range(1..=quorate_core::limits::DEADLINE_MAX_MS as i64))]
    deadline_ms: u32,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Make a table
    Create {
        /// Its name: 1 to 64 letters, digits, '-', '_' and '.', beginning with a letter
        name: String,
        #[command(flatten)]
        policy: Policy,
    },
    /// Change what the options name
    Alter {
        /// Its name
        name: String,
        #[command(flatten)]
        policy: Policy,
    },
    /// Remove a table with all that it holds
    Drop {
        /// Its name
        name: String,
    },
    /// List the tables that were made
    List,
    /// Show a table
    Show {
        /// Its name
        name: String,
    },
}

/// What is said of a table.
#[derive(Args, Clone, Debug)]
struct Policy {
    /// consensus (the default) or leaderless
    #[arg(long)]
    shape: Option<String>,
    /// N: how many replicas there are [default: 3]
    #[arg(long, value_name = "COUNT")]
    replicas: Option<u8>,
    /// R: how many of them must answer a read
    #[arg(long, value_name = "COUNT")]
    read: Option<u8>,
    /// W: how many of them must hold a write
    #[arg(long, value_name = "COUNT")]
    write: Option<u8>,
    /// R and W by a name: fast-reads, fast-writes or balanced (the default)
    #[arg(long)]
    preset: Option<String>,
    /// What stands at each key: mv-register (the default), lww-register, set, counter, map, text and others
    #[arg(long, value_name = "KIND")]
    cell: Option<String>,
    /// What a bounded counter never falls below
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    bound: Option<i64>,
    /// Keep each key in so many parts, so that a busy one is spread over more nodes: counters, sets and maps [default: 1]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=quorate_core::catalogue::PARTS as i64))]
    split: Option<u8>,
    /// Divide the keys by their order: the first key of each range but the first [default: by hash]
    #[arg(long, value_name = "KEY", num_args = 1..)]
    ranges: Vec<String>,
}

impl Policy {
    fn words(&self) -> Vec<String> {
        let number = |number: Option<u8>| number.map(|number| number.to_string());
        let options = [
            ("shape", self.shape.clone()),
            ("replicas", number(self.replicas)),
            ("read", number(self.read)),
            ("write", number(self.write)),
            ("preset", self.preset.clone()),
            ("cell", self.cell.clone()),
            ("bound", self.bound.map(|bound| bound.to_string())),
            ("split", number(self.split)),
        ];
        let said = options.into_iter().filter_map(|(word, value)| Some([word.to_owned(), value?]));
        let ranges = if self.ranges.is_empty() { None } else { Some("ranges".to_owned()) };
        said.flatten().chain(ranges).chain(self.ranges.iter().cloned()).collect()
    }
}

impl Table {
    pub fn json(&self) -> bool {
        self.json
    }

    pub fn run(self) -> Outcome {
        let command = self.command();
        // Under a name of its own a change can be repeated at another node.
        let command = if command.is_read() { command } else { command.idempotency_key(random_key()?) };
        let options = Options {
            deadline: Duration::from_millis(u64::from(self.deadline_ms)),
            password: self.place.password(),
            ..Options::default()
        };
        let mut client = Client::new(self.place.addresses(), options);
        let reply = client.call(&command).map_err(|error| Failure::of(error, &command))?;
        if let Reply::Error(text) = &reply {
            return Err(Error::of_reply(text).into());
        }
        if self.json {
            println!("{}", self.as_json(&reply));
        } else {
            print!("{}", self.as_text(&reply));
        }
        Ok(Exit::Done)
    }

    fn command(&self) -> Command {
        let said = |name: &str, table: &str, rest: Vec<String>| {
            Command::new([name.to_owned(), table.to_owned()].into_iter().chain(rest))
        };
        match &self.what {
            What::Create { name, policy } => said("TABLE.CREATE", name, policy.words()),
            What::Alter { name, policy } => said("TABLE.ALTER", name, policy.words()),
            What::Drop { name } => said("TABLE.DROP", name, Vec::new()),
            What::List => Command::new(["TABLE.LIST"]),
            What::Show { name } => said("TABLE.SHOW", name, Vec::new()),
        }
    }

    fn as_json(&self, reply: &Reply) -> serde_json::Value {
        match &self.what {
            What::List => reply.items().unwrap_or_default().iter().map(one_as_json).collect(),
            What::Show { .. } => one_as_json(reply),
            What::Create { .. } | What::Alter { .. } | What::Drop { .. } => {
                serde_json::json!({ "value": answer::to_json(reply) })
            }
        }
    }

    fn as_text(&self, reply: &Reply) -> String {
        match &self.what {
            What::List => as_rows(reply.items().unwrap_or_default()),
            What::Show { .. } => {
                let known = FIELDS.iter().filter_map(|name| Some((name, reply.field(name)?)));
                known.map(|(name, value)| format!("{name:10}  {}\n", answer::inline(value))).collect()
            }
            What::Create { .. } | What::Alter { .. } | What::Drop { .. } => format!("{}\n", answer::inline(reply)),
        }
    }
}

/// What a table tells of itself, in this order.
const FIELDS: [&str; 12] =
    ["name", "id", "shape", "replicas", "read", "write", "cell", "bound", "split", "ranges", "epoch", "warning"];

/// A table as an object, whether the protocol gave pairs or a flat list.
fn one_as_json(table: &Reply) -> serde_json::Value {
    let known = FIELDS.iter().filter_map(|name| Some(((*name).to_owned(), answer::to_json(table.field(name)?))));
    serde_json::Value::Object(known.collect())
}

fn as_rows(tables: &[Reply]) -> String {
    if tables.is_empty() {
        return "no table was made; the configuration has its own\n".to_owned();
    }
    let columns = ["name", "id", "shape", "replicas", "read", "write", "cell"];
    let cell = |table: &Reply, name: &&str| table.field(name).map_or_else(|| "-".to_owned(), answer::inline);
    let row = |table: &Reply| columns.iter().map(|name| cell(table, name)).collect();
    let heading = columns.map(str::to_owned).to_vec();
    paint::table(&std::iter::once(heading).chain(tables.iter().map(row)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_the_words_of_the_command() {
        let policy = Policy {
            shape: Some("leaderless".to_owned()),
            replicas: Some(5),
            read: None,
            write: Some(2),
            preset: None,
            cell: Some("set".to_owned()),
            bound: Some(-3),
            split: Some(16),
            ranges: vec!["f".to_owned(), "p".to_owned()],
        };
        assert_eq!(
            policy.words().join(" "),
            "shape leaderless replicas 5 write 2 cell set bound -3 split 16 ranges f p"
        );
    }

    #[test]
    fn a_table_reads_as_a_row() {
        let pair = |name: &'static str, value: Reply| [Reply::Bulk(name.into()), value];
        let flat = [pair("name", Reply::Bulk("notes".into())), pair("id", Reply::Int(256))].concat();
        let rows = as_rows(&[Reply::Array(flat)]);
        assert!(rows.contains("notes  256  -"), "{rows}");
    }
}
