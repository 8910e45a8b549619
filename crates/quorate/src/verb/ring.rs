//! `quorate ring`

use crate::access::Place;
use crate::cluster::observe::Status;
use crate::exit::{Exit, Failure, Outcome};
use crate::paint;
use clap::Args;
use quorate_client::{Client, Command, Error, Options, Reply};
use quorate_core::limits;
use quorate_core::machine::NodeId;
use quorate_core::placement::{Division, Member, Movement, POINTS, Placement, Range, Ring};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Draw which node holds what of a leaderless table, or would, and preview what a change of nodes would move
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate ring --nodes 1,2,3
  quorate ring --nodes 1-5 --add 6                  what would move, and to whom
  quorate ring --nodes 1-5 --remove 2 --json
  quorate ring --nodes 1x2@a,2@a,3@b,4@b            node 1 with twice the weight; zones a and b
  quorate ring --nodes 1-5 --key cart:7             where one key would live
  quorate ring --table carts                        who holds what of a table, in the cluster that is up
  quorate ring --table carts --add 4 --weigh 1x2    and what such a change would move
  quorate ring --addr 127.0.0.1:7379 --add 4        the nodes of a cluster, whatever its tables

With --table or --addr the nodes are those of the cluster. Nothing is changed: all changes are previews. A node is written NUMBER, NUMBERxWEIGHT, NUMBER@ZONE or NUMBERxWEIGHT@ZONE; a node without a zone is a zone of its own.")]
pub struct RingVerb {
    /// The nodes
    #[arg(long, value_name = "NODES", default_value = "1-3", conflicts_with_all = ["table", "addresses"])]
    nodes: String,
    /// Ask the cluster who holds what of this leaderless table
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    #[command(flatten)]
    place: Place,
    /// How many nodes hold each range
    #[arg(long, value_name = "N", default_value_t = 3, conflicts_with = "table",
          value_parser = clap::value_parser!(u8).range(1..=15))]
    replicas: u8,
    /// Points on the ring for each unit of weight
    #[arg(long, value_name = "POINTS", default_value_t = POINTS, conflicts_with_all = ["table", "addresses"],
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    points: u32,
    /// Nodes that join
    #[arg(long, value_name = "NODES")]
    add: Option<String>,
    /// Nodes that leave
    #[arg(long, value_name = "NODES")]
    remove: Option<String>,
    /// Nodes that get another weight
    #[arg(long, value_name = "NODES")]
    weigh: Option<String>,
    /// Tell where this key would live
    #[arg(long)]
    key: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Names of zones, by number.
#[derive(Default)]
struct Zones(Vec<String>);

impl Zones {
    fn number(&mut self, name: &str) -> u16 {
        let at = self.0.iter().position(|known| known == name).unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        });
        at as u16
    }

    fn members(&mut self, text: &str) -> Result<Vec<Member>, Failure> {
        let mut members: Vec<Member> = Vec::new();
        for word in text.split(',').map(str::trim) {
            let wrong = || Failure::usage(format!("{word:?} is not a node: write 3, 3x2, 3@zone or 1-5"));
            let (rest, zone) = word.split_once('@').map_or((word, None), |(rest, zone)| (rest, Some(zone)));
            let (numbers, weight) = match rest.split_once('x') {
                Some((numbers, weight)) => (numbers, weight.parse().ok().filter(|&weight| weight <= WEIGHT_MAX)),
                None => (rest, Some(1)),
            };
            let weight = weight.ok_or_else(wrong)?;
            let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
            let number =
                |text: &str| text.parse::<u16>().ok().filter(|number| (1..=limits::NODE_ID_MAX).contains(number));
            let (first, last) = number(first).zip(number(last)).ok_or_else(wrong)?;
            if first > last || zone == Some("") {
                return Err(wrong());
            }
            for node in first..=last {
                let zone = self.number(&zone.map_or_else(|| format!("node {node}"), str::to_owned));
                if members.iter().any(|member| member.node == NodeId(node)) {
                    return Err(Failure::usage(format!("node {node} is there twice")));
                }
                members.push(Member { node: NodeId(node), weight, zone });
            }
        }
        Ok(members)
    }
}

/// The most weight of a node.
const WEIGHT_MAX: u16 = 100;
/// Cells of a bar for a node that holds every range.
const BAR: usize = 40;

/// What is placed, and where.
struct Known {
    /// The members of the cluster, if it was asked.
    nodes: Option<String>,
    division: Division,
    replicas: u8,
}

/// What one node holds.
#[derive(Clone, Copy, Default)]
struct Held {
    first: usize,
    replicas: usize,
}

fn held(placement: &Placement) -> BTreeMap<NodeId, Held> {
    let mut all: BTreeMap<NodeId, Held> = BTreeMap::new();
    for (_, nodes) in placement.iter() {
        for (place, &node) in nodes.iter().enumerate() {
            let held = all.entry(node).or_default();
            held.first += usize::from(place == 0);
            held.replicas += 1;
        }
    }
    all
}

impl RingVerb {
    pub fn run(self) -> Outcome {
        let mut zones = Zones::default();
        let known = self.known()?;
        let members = zones.members(known.nodes.as_ref().unwrap_or(&self.nodes))?;
        let Known { division, replicas, .. } = &known;
        let place =
            |members: &[Member]| Placement::new(&Ring::new(members, self.points), division, usize::from(*replicas));
        let now = place(&members);
        let after = self.after(&members, &mut zones)?;
        let next = after.as_ref().map(|members| place(members));
        let key = self.key.as_ref().map(|key| (key, division.range_of(key.as_bytes())));
        if self.json {
            println!("{}", as_json(&members, &now, next.as_ref(), key));
            return Ok(Exit::Done);
        }
        println!(
            "{} ranges, {} replicas each, on {} nodes with {} points for each unit of weight",
            now.iter().count(),
            usize::from(*replicas).min(members.iter().filter(|member| member.weight > 0).count()),
            members.len(),
            self.points
        );
        print!("\n{}", bars(&members, &zones, &now));
        if let Some((key, range)) = key {
            println!("\n{key} is in range {}: {}", range.0, nodes(now.replicas(range)));
        }
        if let (Some(after), Some(next)) = (after, next) {
            print!("\n{}\n\n{}\n{}", paint::bold("After the change"), bars(&after, &zones, &next), moved(&now, &next));
            if let Some((key, range)) = key {
                println!("\n{key} is then on {}", nodes(next.replicas(range)));
            }
        }
        Ok(Exit::Done)
    }

    /// The members after the change, if one is asked for.
    fn after(&self, members: &[Member], zones: &mut Zones) -> Result<Option<Vec<Member>>, Failure> {
        if self.add.is_none() && self.remove.is_none() && self.weigh.is_none() {
            return Ok(None);
        }
        let mut after = members.to_vec();
        if let Some(remove) = &self.remove {
            for gone in zones.members(remove)? {
                let at = after.iter().position(|member| member.node == gone.node);
                after.remove(at.ok_or_else(|| Failure::usage(format!("node {} is not there", gone.node.0)))?);
            }
        }
        if let Some(weigh) = &self.weigh {
            for new in zones.members(weigh)? {
                let old = after.iter_mut().find(|member| member.node == new.node);
                old.ok_or_else(|| Failure::usage(format!("node {} is not there", new.node.0)))?.weight = new.weight;
            }
        }
        if let Some(add) = &self.add {
            for new in zones.members(add)? {
                if after.iter().any(|member| member.node == new.node) {
                    return Err(Failure::usage(format!("node {} is there already", new.node.0)));
                }
                after.push(new);
            }
        }
        if after.is_empty() {
            return Err(Failure::usage("no node would be left"));
        }
        Ok(Some(after))
    }

    /// What the cluster knows, if it is asked, or the command line.
    fn known(&self) -> Result<Known, Failure> {
        if self.table.is_none() && self.place.addresses.is_empty() {
            return Ok(Known { nodes: None, division: Division::Hash, replicas: self.replicas });
        }
        let options = Options { password: self.place.password(), ..Options::default() };
        let mut client = Client::new(self.place.addresses(), options);
        let mut ask = |words: &[&str]| {
            let reply = client.call(&Command::new(words.iter().map(|word| (*word).to_owned())))?;
            if let Reply::Error(text) = &reply { Err(Failure::from(Error::of_reply(text))) } else { Ok(reply) }
        };
        let status = ask(&["QUORATE", "STATUS"])?;
        let status: Status = status
            .bytes()
            .and_then(|bytes| serde_json::from_slice(bytes).ok())
            .ok_or_else(|| Failure::usage("what answers there is no node of Quorate"))?;
        let numbers: Vec<String> = status.members.iter().map(u16::to_string).collect();
        let nodes = Some(numbers.join(","));
        let Some(name) = &self.table else {
            return Ok(Known { nodes, division: Division::Hash, replicas: self.replicas });
        };
        let shown = ask(&["TABLE.SHOW", name])?;
        let number = |field: &str| match shown.field(field) {
            Some(Reply::Int(number)) => u8::try_from(*number).ok(),
            _ => None,
        };
        let replicas = number("replicas").ok_or_else(|| {
            Failure::usage(format!("{name} is in the logs of the cluster: every member holds all of it"))
                .hint("`quorate ring` draws leaderless tables; `quorate status` shows the logs")
        })?;
        let bounds = shown.field("ranges").and_then(Reply::items).unwrap_or_default();
        let bounds: Vec<_> = bounds.iter().filter_map(|bound| Some(bound.bytes()?.to_vec().into())).collect();
        let division = if bounds.is_empty() { Division::Hash } else { Division::Order(bounds) };
        Ok(Known { nodes, division, replicas })
    }
}

fn nodes(nodes: &[NodeId]) -> String {
    let words: Vec<String> = nodes.iter().map(|node| node.0.to_string()).collect();
    match &words[..] {
        [] => "no node".to_owned(),
        [one] => format!("node {one}"),
        [first @ .., last] => format!("nodes {} and {last}", first.join(", ")),
    }
}

fn percent(part: usize, of: usize) -> String {
    format!("{:.1} %", 100.0 * part as f64 / of.max(1) as f64)
}

fn bars(members: &[Member], zones: &Zones, placement: &Placement) -> String {
    let (held, ranges) = (held(placement), placement.iter().count());
    let heading = ["node", "zone", "weight", "first of", "holds", ""].map(str::to_owned).to_vec();
    let mut rows = vec![heading];
    for member in members {
        let mine = held.get(&member.node).copied().unwrap_or_default();
        let cells = (mine.replicas * BAR).div_ceil(ranges.max(1));
        rows.push(vec![
            member.node.0.to_string(),
            zones.0[usize::from(member.zone)].clone(),
            member.weight.to_string(),
            percent(mine.first, ranges),
            percent(mine.replicas, ranges),
            format!("{}{}", "█".repeat(cells), "·".repeat(BAR.saturating_sub(cells))),
        ]);
    }
    paint::table(&rows)
}

fn moved(now: &Placement, next: &Placement) -> String {
    let movement = Movement::between(now, next);
    let mut text = format!(
        "{} of {} replicas would be copied ({}); everything else stays where it is\n",
        movement.moves.len(),
        movement.replicas,
        percent(movement.moves.len(), movement.replicas)
    );
    for (node, count) in movement.received() {
        text.push_str(&format!("  node {} receives {count}\n", node.0));
    }
    text
}

fn as_json(members: &[Member], now: &Placement, next: Option<&Placement>, key: Option<(&String, Range)>) -> Value {
    let numbers = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect::<Vec<u16>>();
    let nodes = |placement: &Placement| -> Vec<Value> {
        let one = |(node, held): (NodeId, Held)| json!({ "node": node.0, "first_of_ranges": held.first, "holds_ranges": held.replicas });
        held(placement).into_iter().map(one).collect()
    };
    let mut all = json!({ "ranges": now.iter().count(), "members": members.len(), "nodes": nodes(now) });
    if let Some((key, range)) = key {
        all["key"] = json!({ "key": key, "range": range.0, "nodes": numbers(now.replicas(range)) });
    }
    if let Some(next) = next {
        let movement = Movement::between(now, next);
        let moves: Vec<Value> = movement
            .moves
            .iter()
            .map(|one| json!({ "range": one.range.0, "from": numbers(&one.from), "to": one.to.0 }))
            .collect();
        all["after"] = json!({ "nodes": nodes(next), "copied_share": movement.share(), "copied": moves });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_written_with_weight_and_zone() {
        let mut zones = Zones::default();
        let members = zones.members("1x2@a,2@a,4-5").expect("four nodes");
        let found: Vec<(u16, u16, u16)> =
            members.iter().map(|member| (member.node.0, member.weight, member.zone)).collect();
        assert_eq!(found, [(1, 2, 0), (2, 1, 0), (4, 1, 1), (5, 1, 2)]);
        for wrong in ["", "x", "0", "64", "3-2", "1,1", "1@", "1x101", "1xx", "-", "1-"] {
            assert!(Zones::default().members(wrong).is_err(), "{wrong:?}");
        }
    }
}
