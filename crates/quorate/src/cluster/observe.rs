//! What nodes say of themselves, and threads that keep asking.

use quorate_client::{Applied, Command, Connection, Error, Kind, Reply};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A node's answer to `QUORATE STATUS`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Status {
    /// The node that answers.
    pub node: u16,
    /// Its life: rises with every start.
    pub incarnation: u64,
    /// The members.
    pub members: Vec<u16>,
    /// Its groups.
    pub groups: Vec<Group>,
    /// The others, as their beats show them.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// Its wall clock is out.
    #[serde(default)]
    pub clock_out: Option<ClockOut>,
    /// Its counters.
    #[serde(default)]
    pub metrics: Counters,
}

/// What a node knows of another by its beats.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Peer {
    /// The other node.
    pub node: u16,
    /// How suspicious its silence is.
    pub phi: Option<f64>,
    /// Milliseconds since its last beat.
    pub heard_ms: Option<u64>,
    /// A message there and one back, smoothed, in microseconds.
    pub round_trip_us: Option<u64>,
    /// How far its wall clock is ahead, in milliseconds.
    pub clock_ahead_ms: Option<i64>,
    /// How uncertain that is, in milliseconds.
    pub clock_give_or_take_ms: Option<u64>,
}

/// What a node says of its wall clock.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct ClockOut {
    /// What is wrong and what to do.
    pub sentence: String,
}

/// How a node sees one of its groups.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Group {
    /// The group.
    pub group: u16,
    /// `leader`, `follower`, `candidate` or `pre-candidate`.
    pub role: String,
    /// Its term.
    pub term: u64,
    /// The leader it knows.
    pub leader: Option<u16>,
    /// Last index in its log.
    pub last: u64,
    /// Last index that survives power loss here.
    pub durable: u64,
    /// Last index known to be committed.
    pub commit: u64,
    /// Last index applied.
    pub applied: u64,
    /// What a leader knows of its followers.
    #[serde(default)]
    pub followers: Vec<Follower>,
    /// The voters.
    #[serde(default)]
    pub voters: Vec<u16>,
    /// The voters that are left behind, while a change is on its way.
    #[serde(default)]
    pub outgoing: Vec<u16>,
    /// Those that get the log and do not vote.
    #[serde(default)]
    pub learners: Vec<u16>,
}

/// What a leader knows of a follower.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Follower {
    /// The follower.
    pub node: u16,
    /// It has not answered for a while.
    pub suspected: bool,
}

/// The counters that are shown. Missing ones count as 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Calls answered.
    pub answered: u64,
    /// Client connections that are open.
    pub connections: u64,
    /// Bytes written to the journal.
    pub journal_bytes: u64,
    /// Syncs of the journal.
    pub syncs: u64,
    /// Time of all syncs, in microseconds.
    pub sync_us_total: u64,
    /// The longest sync, in microseconds.
    pub sync_us_max: u64,
    /// Time since the start, in microseconds.
    pub uptime_us: u64,
}

impl Status {
    /// The leaders that this node knows, over its groups.
    pub fn leads_any(&self) -> bool {
        self.groups.iter().any(|group| group.role == "leader")
    }
    /// Does it know a leader for each of its groups?
    pub fn has_leaders(&self) -> bool {
        !self.groups.is_empty() && self.groups.iter().all(|group| group.leader.is_some())
    }
    /// Its highest term.
    pub fn term(&self) -> u64 {
        self.groups.iter().map(|group| group.term).max().unwrap_or(0)
    }
}

/// A connection for asking one node again and again.
pub struct Watcher {
    address: String,
    password: Option<String>,
    connection: Option<Connection>,
}

impl Watcher {
    /// Asks the node at this address.
    pub fn new(address: String, password: Option<String>) -> Watcher {
        Watcher { address, password, connection: None }
    }

    /// Makes one call within `patience`.
    pub fn call(&mut self, command: &Command, patience: Duration) -> Result<Reply, Error> {
        let deadline = Instant::now() + patience;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.address, self.password.as_deref(), deadline)?,
        };
        let reply = connection.call(command, deadline)?;
        self.connection = Some(connection);
        match reply {
            Reply::Error(text) => Err(Error::of_reply(&text)),
            reply => Ok(reply),
        }
    }

    /// Asks how the node sees itself and the others.
    pub fn status(&mut self, patience: Duration) -> Result<(Status, serde_json::Value), Error> {
        self.json(&Command::new(["QUORATE", "STATUS"]), patience)
    }

    /// Makes a call whose answer is JSON.
    pub fn json<T: DeserializeOwned>(
        &mut self,
        command: &Command,
        patience: Duration,
    ) -> Result<(T, serde_json::Value), Error> {
        let reply = self.call(command, patience)?;
        let foreign = || Error::new(Kind::Protocol, Applied::No, format!("{} is no node of Quorate", self.address));
        let json: serde_json::Value =
            serde_json::from_slice(reply.bytes().ok_or_else(foreign)?).map_err(|_| foreign())?;
        let known = T::deserialize(&json).map_err(|_| foreign())?;
        Ok((known, json))
    }
}

/// What was last seen of one node.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Its last answer; `None` when the last question was not answered.
    pub status: Option<Status>,
    /// Calls answered per second, between the last two answers.
    pub rate: f64,
}

/// Threads that ask each node again and again until the value is dropped.
pub struct Observer {
    seen: Vec<Arc<Mutex<Seen>>>,
}

/// A node that does not answer for this long is shown as silent.
const PATIENCE: Duration = Duration::from_millis(400);

impl Observer {
    /// Begins to ask the nodes at these addresses every `pause`.
    pub fn start(addresses: impl Iterator<Item = String>, password: Option<String>, pause: Duration) -> Observer {
        let start = |address| {
            let seen = Arc::new(Mutex::new(Seen::default()));
            let weak = Arc::downgrade(&seen);
            let mut watcher = Watcher::new(address, password.clone());
            let mut last: Option<(Instant, u64)> = None;
            std::thread::spawn(move || {
                while let Some(seen) = weak.upgrade() {
                    let status = watcher.status(PATIENCE).ok().map(|(status, _)| status);
                    let now = status.as_ref().map(|status| (Instant::now(), status.metrics.answered));
                    let rate = match (last, now) {
                        (Some((then, before)), Some((now, after))) => {
                            // One of them was our own question.
                            after.saturating_sub(before + 1) as f64 / (now - then).as_secs_f64()
                        }
                        _ => 0.0,
                    };
                    last = now;
                    *seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen { status, rate };
                    drop(seen);
                    std::thread::sleep(pause);
                }
            });
            seen
        };
        Observer { seen: addresses.map(start).collect() }
    }

    /// What was last seen of each node, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.iter().map(|seen| seen.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_and_unknown_fields_do_not_matter() {
        let json = r#"{"node":2,"incarnation":1,"members":[1,2,3],"calls":0,"novel":1,"groups":[{"group":0,"role":"leader",
            "term":7,"leader":2,"first":1,"last":9,"durable":9,"commit":9,"applied":9,"log_time_ms":1,
            "followers":[{"node":1,"matched":9,"suspected":true}]}],"metrics":{"answered":5,"syncs":3}}"#;
        let status: Status = serde_json::from_str(json).expect("a status");
        assert!(status.leads_any() && status.has_leaders());
        assert_eq!((status.term(), status.metrics.answered, status.metrics.sync_us_max), (7, 5, 0));
        assert!(status.groups[0].followers[0].suspected);
    }
}
