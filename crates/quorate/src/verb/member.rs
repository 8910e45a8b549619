//! `quorate member`

use crate::access::{Place, random_key};
use crate::cluster::each::reachable;
use crate::cluster::movement::{Look, Member as Known};
use crate::exit::{Exit, Failure, Outcome};
use crate::paint;
use clap::{Args, Subcommand};
use quorate_client::{Client, Command, Error, Options, Reply};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Add, change and remove nodes while the cluster runs, and see how far that is
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate member list
  quorate member add 4 --address 127.0.0.1:8382 --wait     start node 4 first, with join = true
  quorate member set 4 --weight 2 --zone 7
  quorate member remove 2 --wait                then stop node 2, and:  quorate member forget 2

Adding and removing take effect at once and go on by themselves; --wait stays until all groups and tables are where the members say,
as far as the nodes at --addr know. Exits with 4 when no node answers, and --wait also when the leader of a group does not for 30
seconds.

A node whose disk was lost comes back in three steps: `set N --votes no --wait`, start it with an empty directory and join = true, and
`set N --votes yes --wait`.")]
pub struct Member {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    place: Place,
    /// Stay until all groups and tables are where the members say
    #[arg(long, global = true)]
    wait: bool,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// Give the change itself up after this many milliseconds
    #[arg(long, global = true, value_name = "MS", default_value_t = quorate_core::limits::DEADLINE_MS,
          value_parser = clap::value_parser!(u32).range(1..=quorate_core::limits::DEADLINE_MAX_MS as i64))]
    deadline_ms: u32,
}

#[derive(Subcommand, Debug)]
enum What {
    /// List the members: what each is to do, and what is left to do for it
    List,
    /// Add a node that runs with join = true
    Add {
        #[arg(value_name = "NODE", value_parser = number())]
        node: u16,
        /// Where the other nodes reach it
        #[arg(long, value_name = "HOST:PORT")]
        address: String,
        /// How much data of leaderless tables it is to hold, compared with the others
        #[arg(long, default_value_t = 1)]
        weight: u16,
        /// Nodes of one zone fail together [default: a zone of its own]
        #[arg(long)]
        zone: Option<u16>,
        /// It gets no vote in the consensus groups: calls for them are passed on
        #[arg(long)]
        no_vote: bool,
    },
    /// Take all data of leaderless tables and the vote from a node
    Remove {
        #[arg(value_name = "NODE", value_parser = number())]
        node: u16,
        /// Its disk is gone for good: what only it held is lost, and no movement waits for it
        #[arg(long)]
        lost: bool,
    },
    /// Change what the options name
    #[command(arg_required_else_help = true)]
    Set {
        #[arg(value_name = "NODE", value_parser = number())]
        node: u16,
        /// How much data of leaderless tables it is to hold, compared with the others; 0 is none
        #[arg(long)]
        weight: Option<u16>,
        /// Nodes of one zone fail together
        #[arg(long)]
        zone: Option<u16>,
        /// yes or no: it votes in the consensus groups
        #[arg(long, value_parser = ["yes", "no"])]
        votes: Option<String>,
        /// Where the other nodes reach it
        #[arg(long, value_name = "HOST:PORT")]
        address: Option<String>,
    },
    /// Forget a node that was removed
    Forget {
        #[arg(value_name = "NODE", value_parser = number())]
        node: u16,
    },
}

fn number() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=i64::from(quorate_core::limits::NODE_ID_MAX))
}

/// Between two looks at what is waited for.
const PAUSE: Duration = Duration::from_millis(200);
/// Waiting ends when the leaders were not heard of for so long.
const UNLED: Duration = Duration::from_secs(30);

impl What {
    fn command(&self) -> Option<Command> {
        let text = |number: Option<u16>| number.map(|number| number.to_string());
        let (node, options) = match self {
            What::List => return None,
            What::Forget { node } => return Some(Command::new(["MEMBER.FORGET".to_owned(), node.to_string()])),
            What::Add { node, address, weight, zone, no_vote } => {
                let votes = if *no_vote { "no" } else { "yes" };
                (node, [text(Some(*weight)), text(*zone), Some(votes.to_owned()), Some(address.clone()), None])
            }
            What::Remove { node, lost } => {
                let lost = lost.then(|| "yes".to_owned());
                (node, [text(Some(0)), None, Some("no".to_owned()), None, lost])
            }
            What::Set { node, weight, zone, votes, address } => {
                (node, [text(*weight), text(*zone), votes.clone(), address.clone(), None])
            }
        };
        let words = ["weight", "zone", "votes", "address", "lost"].into_iter().zip(options);
        let said = words.filter_map(|(word, value)| Some([word.to_owned(), value?])).flatten();
        Some(Command::new(["MEMBER.SET".to_owned(), node.to_string()].into_iter().chain(said)))
    }
}

impl Member {
    pub fn run(self) -> Outcome {
        let options = Options {
            deadline: Duration::from_millis(u64::from(self.deadline_ms)),
            password: self.place.password(),
            ..Options::default()
        };
        let mut client = Client::new(self.place.addresses(), options);
        if let What::Set { weight: None, zone: None, votes: None, address: None, .. } = &self.what {
            return Err(Failure::usage("nothing is to be changed").hint("name --weight, --zone, --votes or --address"));
        }
        if let Some(command) = self.what.command() {
            // Under a name of its own a change can be repeated at another node.
            let command = command.idempotency_key(random_key()?);
            let reply = client.call(&command).map_err(|error| Failure::of(error, &command))?;
            if let Reply::Error(text) = &reply {
                return Err(Error::of_reply(text).into());
            }
            if !self.wait {
                println!("{}", if self.json { json!({ "value": "OK" }).to_string() } else { "OK".to_owned() });
                return Ok(Exit::Done);
            }
        }
        let look = if self.wait { self.wait(&mut client)? } else { Look::take(&mut client, &self.place)? };
        reachable(&look.answers)?;
        if self.json {
            println!("{}", as_json(&look));
        } else {
            print!("{}", as_text(&look));
        }
        Ok(Exit::Done)
    }

    /// Looks again until everything is where the members say.
    fn wait(&self, client: &mut Client) -> Result<Look, Failure> {
        let live = !self.json && std::io::stderr().is_terminal();
        let mut led = Instant::now();
        loop {
            // A leader may just be elected: who waits is patient.
            let look = Look::take(client, &self.place);
            let seen = look.as_ref().is_ok_and(Look::sees_leaders);
            if seen {
                led = Instant::now();
            }
            if live {
                eprint!("\r\x1b[K{}", look.as_ref().map_or_else(|error| error.message.clone(), left));
                let _ = std::io::stderr().flush();
            }
            match look {
                Ok(look) if look.is_over() => {
                    if live {
                        eprint!("\r\x1b[K");
                    }
                    return Ok(look);
                }
                Err(error) if led.elapsed() > UNLED => return Err(error.into()),
                Ok(look) if led.elapsed() > UNLED => {
                    reachable(&look.answers)?;
                    let what = "the leader of a group is at none of these addresses, so nobody here knows who votes";
                    return Err(Failure { exit: Exit::Unavailable, ..Failure::machine(what) }
                        .hint("name all nodes with --addr; the change itself was taken and goes on"));
                }
                Ok(_) | Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }
}

/// One line of what goes on.
fn left(look: &Look) -> String {
    let groups = look.groups();
    let settled = look.members.iter().map(|member| look.settled(member)).min().unwrap_or(0);
    let tables = look.members.iter().flat_map(|member| {
        look.tables(member.node).into_iter().map(|table| format!("; node {}: {table}", member.node))
    });
    format!("groups {settled} of {groups}{}", tables.collect::<String>())
}

fn as_json(look: &Look) -> Value {
    let member = |member: &Known| {
        let Known { node, weight, zone, votes, address } = member;
        let (settled, tables) = (look.settled(member), look.tables(*node));
        json!({
            "node": node, "weight": weight, "zone": zone, "votes": votes, "address": address,
            "groups_settled": settled, "tables_left": tables,
        })
    };
    let unreachable = look.answers.iter().filter_map(|(address, answer)| Some((address, answer.as_ref().err()?)));
    json!({
        "members": look.members.iter().map(member).collect::<Vec<_>>(),
        "groups": look.groups(),
        "over": look.is_over(),
        "unreachable": unreachable.map(|(address, _)| address).collect::<Vec<_>>(),
    })
}

fn as_text(look: &Look) -> String {
    let mut rows = vec![["node", "weight", "zone", "votes", "groups", "tables", "address"].map(str::to_owned).to_vec()];
    let led = look.sees_leaders();
    for member in &look.members {
        let tables = look.tables(member.node);
        rows.push(vec![
            member.node.to_string(),
            member.weight.to_string(),
            member.zone.to_string(),
            if member.votes { "yes" } else { "no" }.to_owned(),
            if led { format!("{} of {}", look.settled(member), look.groups()) } else { "?".to_owned() },
            if tables.is_empty() { "done".to_owned() } else { tables.join(", ") },
            if member.address.is_empty() { "by configuration".to_owned() } else { member.address.clone() },
        ]);
    }
    let mut text = paint::table(&rows);
    text.push('\n');
    for (address, answer) in &look.answers {
        if let Err(error) = answer {
            text += &format!("{} is unreachable: {}\n", paint::bad(address), error.message);
        }
    }
    if look.founders_only {
        text +=
            "Only the configuration says who the members are; `quorate member add` or `set` puts them into the log.\n";
    }
    text += match (look.is_over(), led) {
        (true, _) => "All groups and tables are where the members say, as far as these nodes know.\n",
        (false, true) => "Groups or tables are on their way; `quorate member list --wait` waits for them.\n",
        (false, false) => "The leader of a group is at none of these addresses; name all nodes with --addr.\n",
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(what: &What) -> Vec<String> {
        let mut bytes = Vec::new();
        what.command().expect("a change").encode(&mut bytes);
        let text = String::from_utf8(bytes).expect("words");
        text.lines().filter(|line| !line.starts_with(['*', '$'])).map(str::to_owned).collect()
    }

    #[test]
    fn what_is_asked_becomes_words() {
        let add = |zone, no_vote| What::Add { node: 4, address: "h:1".to_owned(), weight: 1, zone, no_vote };
        assert_eq!(said(&add(None, false)).join(" "), "MEMBER.SET 4 weight 1 votes yes address h:1");
        assert_eq!(said(&add(Some(2), true)).join(" "), "MEMBER.SET 4 weight 1 zone 2 votes no address h:1");
        assert_eq!(said(&What::Remove { node: 2, lost: false }).join(" "), "MEMBER.SET 2 weight 0 votes no");
        assert_eq!(said(&What::Remove { node: 2, lost: true }).join(" "), "MEMBER.SET 2 weight 0 votes no lost yes");
        assert_eq!(said(&What::Forget { node: 2 }).join(" "), "MEMBER.FORGET 2");
        let set = What::Set { node: 3, weight: Some(2), zone: None, votes: None, address: None };
        assert_eq!(said(&set).join(" "), "MEMBER.SET 3 weight 2");
    }
}
