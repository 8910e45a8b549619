//! How far the cluster is from where its members say that it is to be.

use super::each::{Answer, each};
use super::observe::{Group, Status};
use crate::access::Place;
use quorate_client::{Client, Command, Error, Reply};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A member, as the catalogue says or, before anybody said it there, the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub node: u16,
    /// How much data of leaderless tables it is to hold, compared with the others.
    pub weight: u16,
    /// Nodes of one zone fail together.
    pub zone: u16,
    /// It is to vote in every group.
    pub votes: bool,
    /// Where other nodes reach it; empty if the configuration says so.
    pub address: String,
}

/// A table whose data move, as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Moving {
    /// Its name.
    pub name: String,
    /// Nodes that may lack data.
    pub awaited: Vec<u16>,
    /// Ranges that the node has compared.
    pub compared: u64,
    /// Ranges that it must compare.
    pub to_compare: u64,
    /// Ranges that it hands over before it deletes them.
    pub leaving: u64,
}

/// What a node's answer to `QUORATE REPAIR STATUS` says of movement.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Tables {
    /// The version of the catalogue that it knows.
    pub catalogue: u64,
    /// It does not know yet whether its disk was lost.
    pub waits_for_life: bool,
    /// Tables whose data move.
    pub moving: Vec<Moving>,
}

/// The members, and what each node that answers says.
pub struct Look {
    /// The members.
    pub members: Vec<Member>,
    /// They are only in the configuration.
    pub founders_only: bool,
    /// The nodes by address.
    pub answers: Vec<Answer<(Status, Tables)>>,
}

impl Look {
    /// Looks at the members first, so that no node that answers later can be behind what is waited for without telling.
    ///
    /// # Errors
    /// If nobody tells who the members are.
    pub fn take(client: &mut Client, place: &Place) -> Result<Look, Error> {
        let reply = client.call(&Command::new(["MEMBER.LIST"]))?;
        if let Reply::Error(text) = &reply {
            return Err(Error::of_reply(text));
        }
        let known: Vec<Member> = reply.items().unwrap_or_default().iter().filter_map(Member::read).collect();
        let answers = each(place, |watcher| {
            let (status, _) = watcher.status(PATIENCE)?;
            let (tables, _) = watcher.json(&Command::new(["QUORATE", "REPAIR", "STATUS"]), PATIENCE)?;
            Ok((status, tables))
        });
        let mut look = Look { founders_only: known.is_empty(), members: known, answers };
        if look.founders_only {
            look.members = look.founders();
        }
        Ok(look)
    }

    fn founders(&self) -> Vec<Member> {
        let Some((status, _)) = self.reports().next() else { return Vec::new() };
        let votes = |node| status.groups.first().is_some_and(|group| group.voters.contains(&node));
        let member = |&node: &u16| Member { node, weight: 1, zone: node, votes: votes(node), address: String::new() };
        status.members.iter().map(member).collect()
    }

    fn reports(&self) -> impl Iterator<Item = &(Status, Tables)> {
        self.answers.iter().filter_map(|(_, answer)| answer.as_ref().ok())
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.reports().flat_map(|(status, _)| &status.groups).map(|group| group.group).collect::<BTreeSet<_>>().len()
    }

    /// The groups as their leaders see them, if those answer.
    pub fn led(&self) -> Vec<&Group> {
        let mut led: BTreeMap<u16, &Group> = BTreeMap::new();
        for group in self.reports().flat_map(|(status, _)| &status.groups).filter(|group| group.role == "leader") {
            let known = led.entry(group.group).or_insert(group);
            if group.term > known.term {
                *known = group;
            }
        }
        led.into_values().collect()
    }

    /// In how many groups a node is what it is to be.
    pub fn settled(&self, member: &Member) -> usize {
        let settled = |group: &&&Group| {
            let joint = !group.outgoing.is_empty();
            let outside = !group.learners.contains(&member.node);
            !joint && outside && group.voters.contains(&member.node) == member.votes
        };
        self.led().iter().filter(settled).count()
    }

    /// What a node has to do for its tables yet, each in a few words.
    pub fn tables(&self, node: u16) -> Vec<String> {
        let newest = self.reports().max_by_key(|(_, tables)| tables.catalogue);
        let own = self.reports().find(|(status, _)| status.node == node);
        let mut left = Vec::new();
        for moving in
            newest.iter().flat_map(|(_, tables)| &tables.moving).filter(|moving| moving.awaited.contains(&node))
        {
            let known = own.and_then(|(_, tables)| tables.moving.iter().find(|own| own.name == moving.name));
            left.push(match known.filter(|known| known.to_compare > 0) {
                Some(known) => format!("{}: {} of {} ranges compared", moving.name, known.compared, known.to_compare),
                None => format!("{}: to compare", moving.name),
            });
        }
        if own.is_some_and(|(_, tables)| tables.waits_for_life) {
            left.push("waits for its life".to_owned());
        }
        let leaving = own.iter().flat_map(|(_, tables)| &tables.moving).filter(|moving| moving.leaving > 0);
        left.extend(leaving.map(|moving| format!("{}: {} ranges to hand over", moving.name, moving.leaving)));
        left
    }

    /// Does the leader of every group answer? Without them nobody knows who votes.
    pub fn sees_leaders(&self) -> bool {
        self.groups() > 0 && self.led().len() == self.groups()
    }

    /// Is everything where the members say, as far as the nodes that answer know?
    pub fn is_over(&self) -> bool {
        let groups = self.groups();
        let newest = self.reports().map(|(_, tables)| tables.catalogue).max();
        let settled = |(_, tables): &(Status, Tables)| {
            tables.moving.is_empty() && !tables.waits_for_life && Some(tables.catalogue) == newest
        };
        self.sees_leaders()
            && self.led().iter().all(|group| group.learners.is_empty())
            && self.members.iter().all(|member| self.settled(member) == groups)
            && self.reports().all(settled)
    }
}

impl Member {
    fn read(reply: &Reply) -> Option<Member> {
        let number = |name| u16::try_from(reply.field(name)?.number()?).ok();
        Some(Member {
            node: number("node")?,
            weight: number("weight")?,
            zone: number("zone")?,
            votes: reply.field("votes")?.text()? == "yes",
            address: reply.field("address")?.text()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_client::{Applied, Kind};

    fn member(node: u16, votes: bool) -> Member {
        Member { node, weight: 1, zone: node, votes, address: String::new() }
    }
    fn group(role: &str, voters: &[u16], outgoing: &[u16], learners: &[u16]) -> Group {
        let (voters, outgoing, learners) = (voters.to_vec(), outgoing.to_vec(), learners.to_vec());
        Group { role: role.into(), term: 1, voters, outgoing, learners, ..Group::default() }
    }
    fn answer(node: u16, group: Group, catalogue: u64, moving: Vec<Moving>) -> Answer<(Status, Tables)> {
        let status = Status { node, groups: vec![group], ..Status::default() };
        (format!("a:{node}"), Ok((status, Tables { catalogue, waits_for_life: false, moving })))
    }
    fn look(answers: Vec<Answer<(Status, Tables)>>) -> Look {
        Look { members: vec![member(1, true), member(4, true)], founders_only: false, answers }
    }

    #[test]
    fn it_is_over_when_groups_and_tables_are_where_the_members_say() {
        let follower = || answer(4, group("follower", &[1, 4], &[], &[]), 7, vec![]);
        let seen = |leader: Group, catalogue| look(vec![answer(1, leader, catalogue, vec![]), follower()]);
        assert!(seen(group("leader", &[1, 4], &[], &[]), 7).is_over());
        assert!(!seen(group("leader", &[1, 4], &[1], &[]), 7).is_over(), "two majorities decide yet");
        assert!(!seen(group("leader", &[1], &[], &[4]), 7).is_over(), "it learns");
        assert!(!seen(group("leader", &[1, 4], &[], &[]), 8).is_over(), "one node has not heard of the newest members");
        assert!(!seen(group("follower", &[1, 4], &[], &[]), 7).is_over(), "no leader answers");
        let error = Error::new(Kind::Unreachable, Applied::No, "cannot reach a:1");
        assert!(!look(vec![("a:1".into(), Err(error)), follower()]).is_over());
    }

    #[test]
    fn what_a_node_has_to_do_is_told_as_it_sees_it_itself() {
        let carts = |compared, to_compare, leaving| Moving {
            name: "carts".into(),
            awaited: vec![4, 5],
            compared,
            to_compare,
            leaving,
        };
        let leader = answer(1, group("leader", &[1, 4], &[], &[]), 7, vec![carts(0, 0, 12)]);
        let seen = look(vec![leader, answer(4, Group::default(), 6, vec![carts(3, 1_024, 0)])]);
        assert_eq!(seen.tables(4), ["carts: 3 of 1024 ranges compared"]);
        assert_eq!(seen.tables(5), ["carts: to compare"], "it does not answer");
        assert_eq!(seen.tables(1), ["carts: 12 ranges to hand over"]);
        assert!(!seen.is_over());
    }
}
