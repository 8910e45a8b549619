//! The loop of `quorate up`: it watches the nodes, obeys `fault`, and shows how things stand.

use super::child::{self, Process};
use super::control::{Ask, Asked, Told};
use super::fault::{Fault, Links, list};
use super::layout::{Layout, Member};
use super::observe::{Observer, Seen, Watcher};
use super::show::{Face, Line};
use crate::exit::{Exit, Failure};
use quorate_client::Command;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often the loop looks at the processes.
const TICK: Duration = Duration::from_millis(50);
/// How long the nodes have to be ready at the start.
const START: Duration = Duration::from_secs(30);
/// How long the nodes have to stop before they are killed.
const STOP: Duration = Duration::from_secs(10);
/// How long one call to a node may take.
const CALL: Duration = Duration::from_millis(500);
/// How long a fault waits until every node that runs has its link rules.
const RULES: Duration = Duration::from_secs(10);

/// What reaches the loop from other threads.
pub enum Event {
    /// Ctrl-C, or a signal that asks to end. The first one stops the nodes in order, the second one at once.
    Stop,
    /// `quorate fault` asks for something.
    Asked(Asked),
}

/// What the loop knows of a node's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It stands still, because `fault pause` said so.
    Paused,
    /// It is down, because `fault crash` said so.
    Crashed,
    /// It went down by itself.
    Died,
}

/// How the nodes stopped.
enum Stopped {
    /// Each by itself.
    InOrder,
    /// Some were killed, because a second signal asked for it.
    AtOnce,
    /// Some failed to stop, or failed while they did.
    Badly,
}

struct Node {
    member: Member,
    process: Option<Process>,
    state: State,
    watcher: Watcher,
}

/// The nodes of one cluster.
pub struct Supervisor {
    nodes: Vec<Node>,
    links: Links,
    /// Nodes whose link rules are not the ones they should have.
    stale: BTreeSet<u16>,
    events: Receiver<Event>,
    observer: Observer,
    line: Line,
}

impl Supervisor {
    /// Starts all nodes and waits until each of them knows a leader.
    ///
    /// # Errors
    /// When a node ends at once or the nodes do not find a leader; all are stopped then.
    pub fn start(layout: &Layout, events: Receiver<Event>) -> Result<Supervisor, Failure> {
        let node = |member: &Member| Node {
            member: member.clone(),
            process: None,
            state: State::Crashed,
            watcher: Watcher::new(member.address(), None),
        };
        let addresses = layout.members.iter().map(Member::address);
        let mut supervisor = Supervisor {
            nodes: layout.members.iter().map(node).collect(),
            links: Links::default(),
            stale: BTreeSet::new(),
            events,
            observer: Observer::start(addresses, None, Duration::from_millis(20)),
            line: Line::new(std::io::stdout().is_terminal()),
        };
        let ready = supervisor.nodes.iter_mut().try_for_each(Node::start).and_then(|()| supervisor.wait_ready());
        if let Err(failure) = ready {
            supervisor.nodes.iter_mut().for_each(Node::kill);
            return Err(failure);
        }
        let addresses = layout.members.iter().map(Member::address);
        supervisor.observer = Observer::start(addresses, None, Duration::from_secs(1));
        Ok(supervisor)
    }

    /// The process ids, in the order of the nodes.
    pub fn processes(&self) -> Vec<Option<u32>> {
        self.nodes.iter().map(|node| node.process.as_ref().map(Process::id)).collect()
    }

    /// Watches, obeys and shows until it is told to stop, then stops the nodes.
    pub fn run(mut self) -> Exit {
        let mut checked = Instant::now();
        loop {
            match self.events.recv_timeout(TICK) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Event::Asked(asked)) => {
                    let told = self.obey(&asked.ask);
                    // A `fault` that did not wait for its answer has what it asked all the same.
                    let _ = asked.answer.send(told);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.notice_deaths();
            self.push_rules();
            if checked.elapsed() > Duration::from_secs(1) {
                checked = Instant::now();
                self.nodes.iter().for_each(|node| child::bound_log(&node.member.log()));
            }
            let faces = self.faces();
            self.line.show(&faces);
        }
        self.line.say("stopping the nodes in order; Ctrl-C again stops them at once");
        let (exit, last) = match self.stop() {
            Stopped::InOrder => (Exit::Done, "stopped; the data stays"),
            Stopped::AtOnce => {
                (Exit::Done, "stopped at once, as asked twice; the data stays: what was acknowledged was synced before")
            }
            Stopped::Badly => (
                Exit::Machine,
                "stopped, but not every node in order; the data stays: what was acknowledged was synced before",
            ),
        };
        self.line.say(last);
        exit
    }

    fn wait_ready(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + START;
        loop {
            let is_ready = |seen: &Seen| seen.status.as_ref().is_some_and(|status| status.has_leaders());
            if self.observer.seen().iter().all(is_ready) {
                return Ok(());
            }
            for node in &mut self.nodes {
                if let Some(status) = node.process.as_mut().and_then(Process::ended) {
                    let log = node.member.log();
                    let last = child::last_line(&log).unwrap_or_else(|| "it left no word".to_owned());
                    let what = format!("node {} {} at the start: {last}", node.member.id, child::describe(status));
                    return Err(Failure::machine(what).hint(format!("see {}", log.display())));
                }
            }
            if matches!(self.events.recv_timeout(Duration::from_millis(5)), Ok(Event::Stop)) {
                return Err(Failure::machine("stopped before the nodes were ready"));
            }
            if Instant::now() >= deadline {
                let what = format!("the nodes found no leader within {} seconds", START.as_secs());
                return Err(Failure::machine(what).hint("see the file log in the directory of each node"));
            }
        }
    }

    fn obey(&mut self, ask: &Ask) -> Told {
        let members: Vec<u16> = self.nodes.iter().map(|node| node.member.id).collect();
        let fault = match Fault::parse(&ask.words, &members) {
            Ok(fault) => fault,
            Err(sentence) => return Told::Nonsense(sentence),
        };
        if fault != Fault::Show {
            self.line.say(&format!("fault: {}", ask.words.join(" ")));
        }
        match self.change(&fault) {
            Ok(()) => Told::Done(self.describe()),
            Err(sentence) => Told::Failed(sentence),
        }
    }

    fn change(&mut self, fault: &Fault) -> Result<(), String> {
        match fault {
            Fault::Pause(ids) => self.each(ids, Node::pause)?,
            Fault::Resume(ids) => self.each(ids, Node::resume)?,
            Fault::Crash(ids) => self.each(ids, Node::crash)?,
            Fault::Restart(ids) => {
                self.each(ids, Node::restart)?;
                self.stale.extend(ids);
            }
            Fault::Heal => self.nodes.iter_mut().for_each(|node| drop(node.resume())),
            Fault::Partition(_) | Fault::Oneway(..) | Fault::Drop(..) | Fault::Delay(..) | Fault::Show => {}
        }
        let before = self.links.clone();
        self.links.apply(fault);
        for node in &self.nodes {
            if before.of(node.member.id) != self.links.of(node.member.id) {
                self.stale.insert(node.member.id);
            }
        }
        self.settle()
    }

    /// Waits until every node that runs has its link rules.
    fn settle(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + RULES;
        loop {
            self.notice_deaths();
            self.push_rules();
            let running =
                |id: &&u16| self.nodes.iter().any(|node| node.member.id == **id && node.state == State::Running);
            let late: Vec<u16> = self.stale.iter().filter(running).copied().collect();
            if late.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(format!("node {} does not answer; it gets its link rules when it does", list(&late)));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Tells nodes that run the rules of their links, where they do not have them. A node that does not answer is asked
    /// again at the next tick.
    fn push_rules(&mut self) {
        for node in &mut self.nodes {
            let id = node.member.id;
            if node.state != State::Running || !self.stale.contains(&id) {
                continue;
            }
            let rules = serde_json::to_string(&self.links.of(id)).expect("numbers become JSON");
            let command = Command::new(["QUORATE".to_owned(), "FAULTS".to_owned(), rules]);
            if node.watcher.call(&command, CALL).is_ok() {
                self.stale.remove(&id);
            }
        }
    }

    fn each(&mut self, ids: &[u16], act: impl Fn(&mut Node) -> Result<(), String>) -> Result<(), String> {
        self.nodes.iter_mut().filter(|node| ids.contains(&node.member.id)).try_for_each(act)
    }

    fn notice_deaths(&mut self) {
        for node in &mut self.nodes {
            let Some(status) = node.process.as_mut().and_then(Process::ended) else { continue };
            node.process = None;
            node.state = State::Died;
            let last = child::last_line(&node.member.log()).map(|line| format!("; its last word: {line}"));
            self.line.say(&format!(
                "node {} {}{}; the others go on; `quorate fault restart {}` starts it again",
                node.member.id,
                child::describe(status),
                last.unwrap_or_default(),
                node.member.id
            ));
        }
    }

    fn faces(&self) -> Vec<Face> {
        let face = |(node, seen): (&Node, Seen)| Face { id: node.member.id, state: node.state.clone(), seen };
        self.nodes.iter().zip(self.observer.seen()).map(face).collect()
    }

    /// What is broken now, for people.
    fn describe(&self) -> String {
        let mut out = String::new();
        for (state, words) in [(State::Paused, "paused"), (State::Crashed, "crashed"), (State::Died, "died by itself")]
        {
            let ids: Vec<u16> =
                self.nodes.iter().filter(|node| node.state == state).map(|node| node.member.id).collect();
            if !ids.is_empty() {
                out.push_str(&format!("  node {}: {words}\n", list(&ids)));
            }
        }
        out.push_str(&self.links.describe());
        if out.is_empty() { "nothing is broken".to_owned() } else { format!("broken now:\n{}", out.trim_end()) }
    }

    /// Asks all nodes to stop, and waits until they have, are out of time, or are to be stopped at once.
    fn stop(&mut self) -> Stopped {
        for node in &mut self.nodes {
            if let Some(process) = &node.process {
                process.signal(Signal::TERM);
                process.signal(Signal::CONT);
            }
        }
        let deadline = Instant::now() + STOP;
        let mut stopped = Stopped::InOrder;
        loop {
            for node in &mut self.nodes {
                if let Some(status) = node.process.as_mut().and_then(Process::ended) {
                    node.process = None;
                    if !status.success() {
                        stopped = Stopped::Badly;
                    }
                    self.line.say(&format!("node {} {}", node.member.id, child::describe(status)));
                }
            }
            if self.nodes.iter().all(|node| node.process.is_none()) {
                return stopped;
            }
            if matches!(self.events.recv_timeout(Duration::from_millis(10)), Ok(Event::Stop)) {
                self.kill_rest("asked twice");
                return Stopped::AtOnce;
            }
            if Instant::now() >= deadline {
                self.kill_rest(&format!("not stopped after {} seconds", STOP.as_secs()));
                return Stopped::Badly;
            }
        }
    }

    fn kill_rest(&mut self, why: &str) {
        let rest: Vec<u16> =
            self.nodes.iter().filter(|node| node.process.is_some()).map(|node| node.member.id).collect();
        self.line.say(&format!("{why}: killing node {}", list(&rest)));
        self.nodes.iter_mut().for_each(Node::kill);
    }
}

impl Node {
    fn start(&mut self) -> Result<(), Failure> {
        let process = Process::start(&self.member);
        let id = self.member.id;
        self.process = Some(process.map_err(|error| Failure::machine(format!("cannot start node {id}: {error}")))?);
        self.state = State::Running;
        Ok(())
    }

    fn kill(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill();
        }
        self.process = None;
        self.state = State::Crashed;
    }

    fn pause(&mut self) -> Result<(), String> {
        let process = self.process.as_ref().ok_or_else(|| self.is_down())?;
        process.signal(Signal::STOP);
        self.state = State::Paused;
        Ok(())
    }

    fn resume(&mut self) -> Result<(), String> {
        let process = self.process.as_ref().ok_or_else(|| self.is_down())?;
        process.signal(Signal::CONT);
        self.state = State::Running;
        Ok(())
    }

    fn crash(&mut self) -> Result<(), String> {
        if self.process.is_none() {
            return Err(self.is_down());
        }
        self.kill();
        Ok(())
    }

    fn restart(&mut self) -> Result<(), String> {
        self.kill();
        self.start().map_err(|failure| failure.what)
    }

    fn is_down(&self) -> String {
        format!("node {} is down; `quorate fault restart {}` starts it", self.member.id, self.member.id)
    }
}
