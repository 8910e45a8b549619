//! Links to the other nodes.
//!
//! Each pair of nodes shares one connection, which the one with the lower number dials: so acknowledgements of the
//! network ride on messages, and there is one socket per peer to watch. A node that joins dials whatever its number, as the
//! others may not know where it is. A message to a peer without a link, or with a full one, is dropped: the protocols
//! above allow for it.

pub mod frame;
pub mod handshake;
mod link;

use crate::fault::LinkRules;
use crate::metrics::Metrics;
use crate::slab::Slab;
use crate::token::Source;
use handshake::{Handshake, Identity, Progress};
use link::{Link, Stage, Taken};
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use quorate_core::machine::{Mono, NodeId};
use quorate_core::node::Message;
use quorate_core::random::Random;
use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// How long a handshake may take.
const MEETING_MS: u64 = 2_000;
/// Strangers in a handshake at once.
const STRANGERS: usize = 64;
/// The first pause before dialing again, and the longest.
const PAUSE_MS: (u64, u64) = (20, 500);
/// A connection whose bytes are not acknowledged for so long is given up.
const SILENCE_MS: u32 = 5_000;

/// What peers give to the machine.
#[derive(Debug)]
// Nearly all arrivals are messages: a box would only cost.
#[allow(clippy::large_enum_variant)]
pub enum Arrival {
    /// A message.
    Message(NodeId, Message),
    /// A connection has ended, so perhaps the peer's process has.
    Lost(NodeId),
}

#[derive(Debug)]
struct Peer {
    /// Empty if only the peer knows it: then it dials.
    address: String,
    /// The configuration or the catalogue names it. Another is kept while its link lasts: it waits to be let in.
    named: bool,
    /// The place of its link, up or being dialed.
    link: Option<usize>,
    /// We dial it.
    dials: bool,
    dial_at: Mono,
    pause_ms: u64,
    /// Its name is being looked up.
    resolving: bool,
    /// The last thing that was wrong, so that it is told once.
    complaint: String,
}

impl Peer {
    fn new(address: &str, dials: bool) -> Peer {
        Peer {
            address: address.to_string(),
            named: true,
            link: None,
            dials,
            dial_at: Mono(0),
            pause_ms: PAUSE_MS.0,
            resolving: false,
            complaint: String::new(),
        }
    }
}

/// All links of a node.
pub struct Peers {
    identity: Identity,
    /// Where the configuration says that the others are.
    configured: BTreeMap<NodeId, String>,
    /// This node waited, or waits, to be let in: it dials all.
    joins: bool,
    peers: BTreeMap<NodeId, Peer>,
    links: Slab<Link>,
    listener: Option<TcpListener>,
    registry: Registry,
    waker: Arc<mio::Waker>,
    rules: LinkRules,
    random: Random,
    /// Links with something to send.
    touched: Vec<usize>,
    /// Links with more to read than one turn takes.
    unread: Vec<(usize, bool)>,
    resolved: (Sender<Resolved>, Receiver<Resolved>),
    stranger_complaint: String,
}

type Resolved = (NodeId, Result<SocketAddr, String>);

impl Peers {
    /// The links of a node to the others, none of them up. `configured` are their addresses, and whether this node joins them.
    pub fn new(
        identity: Identity,
        (configured, joins): (BTreeMap<NodeId, String>, bool),
        listener: Option<std::net::TcpListener>,
        registry: Registry,
        waker: Arc<mio::Waker>,
        seed: u64,
    ) -> std::io::Result<Peers> {
        let listener = match listener {
            None => None,
            Some(listener) => {
                listener.set_nonblocking(true)?;
                let mut listener = TcpListener::from_std(listener);
                registry.register(&mut listener, Source::PeerListener.token(), Interest::READABLE)?;
                Some(listener)
            }
        };
        let own = identity.node;
        let configured: BTreeMap<NodeId, String> = configured.into_iter().filter(|(node, _)| *node != own).collect();
        let peer = |(&node, address): (&NodeId, &String)| (node, Peer::new(address, joins || own < node));
        Ok(Peers {
            identity,
            peers: configured.iter().map(peer).collect(),
            configured,
            joins,
            links: Slab::default(),
            listener,
            registry,
            waker,
            rules: LinkRules::default(),
            random: Random::new(seed),
            touched: Vec::new(),
            unread: Vec::new(),
            resolved: channel(),
            stranger_complaint: String::new(),
        })
    }

    /// Injects faults into what is sent from now on.
    pub fn set_rules(&mut self, rules: LinkRules) {
        tracing::info!("faults on links: {rules:?}");
        self.rules = rules;
    }

    /// The catalogue names these members, and where they are if it is not where the configuration says. No member at all means that the
    /// configuration alone says who they are.
    pub fn follow<'a>(
        &mut self,
        members: impl Iterator<Item = (NodeId, &'a str)>,
        now: Mono,
        arrivals: &mut Vec<Arrival>,
    ) {
        let members: BTreeMap<NodeId, &str> = members.collect();
        if members.is_empty() {
            return;
        }
        let gone: Vec<NodeId> = self
            .peers
            .iter()
            .filter(|(node, peer)| peer.named && !members.contains_key(node))
            .map(|(&node, _)| node)
            .collect();
        for node in gone {
            tracing::info!("node {} is no member any more", node.0);
            let link = self.peers.get_mut(&node).and_then(|peer| {
                (peer.named, peer.dials) = (false, false);
                peer.link
            });
            match link {
                Some(at) => self.close(at, now, arrivals),
                None => drop(self.peers.remove(&node)),
            }
        }
        for (node, said) in members.into_iter().filter(|(node, _)| *node != self.identity.node) {
            let address = if said.is_empty() { self.configured.get(&node).map_or("", String::as_str) } else { said };
            let dials = !address.is_empty() && (self.joins || self.identity.node < node);
            match self.peers.get_mut(&node) {
                // A link that is up stays: it leads to the node, wherever that is.
                Some(peer) => {
                    (peer.named, peer.dials) = (true, dials);
                    if peer.address != address {
                        (peer.address, peer.dial_at, peer.pause_ms) = (address.to_string(), now, PAUSE_MS.0);
                    }
                }
                None => drop(self.peers.insert(node, Peer::new(address, dials))),
            }
        }
    }

    /// How many peers have a working link.
    pub fn connected(&self) -> usize {
        self.links.iter().filter(|(_, link)| link.is_up()).count()
    }

    /// When [`Peers::tick`] should be called next.
    pub fn wake_at(&self) -> Option<Mono> {
        let dials = self.peers.values().filter(|peer| peer.dials && peer.link.is_none() && !peer.resolving);
        let dials = dials.map(|peer| peer.dial_at);
        let links = self.links.iter().filter_map(|(_, link)| match &link.stage {
            Stage::Meeting(_, until) => Some(*until),
            Stage::Up => link.delayed.front().map(|(due, _)| *due),
        });
        dials.chain(links).min()
    }

    /// Takes new connections.
    pub fn accept(&mut self, now: Mono) {
        let Some(listener) = &self.listener else { return };
        let mut sockets = Vec::new();
        loop {
            match listener.accept() {
                Ok((socket, address)) => sockets.push((socket, address)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!("a connection of a peer could not be taken: {error}");
                    break;
                }
            }
        }
        for (socket, address) in sockets {
            if self.links.iter().filter(|(_, link)| link.peer.is_none()).count() >= STRANGERS {
                continue;
            }
            let handshake = Handshake::accept(self.nonce());
            let stage = Stage::Meeting(handshake, now.after_ms(MEETING_MS));
            self.seat(Link::new(socket, stage, None, address.to_string()));
        }
    }

    /// A socket may be readable or writable.
    pub fn ready(&mut self, at: usize, closed: bool, now: Mono, arrivals: &mut Vec<Arrival>, metrics: &mut Metrics) {
        let Some(link) = self.links.get_mut(at) else { return };
        let mut taken = link.read(closed);
        if let Stage::Meeting(..) = link.stage {
            match self.meet(at, now, arrivals) {
                Ok(true) => {}
                Ok(false) => taken = Taken::End,
                Err(why) => {
                    self.complain(at, &why);
                    taken = Taken::End;
                }
            }
        }
        if let Err(why) = self.understand(at, arrivals, metrics) {
            self.complain(at, &why);
            taken = Taken::End;
        }
        match taken {
            Taken::End => self.close(at, now, arrivals),
            Taken::Enough => {
                self.unread.push((at, closed));
                self.touched.push(at);
            }
            Taken::Everything => self.touched.push(at),
        }
    }

    /// Has a link more to read than one turn takes?
    pub fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Reads on where a turn was not enough.
    pub fn read_on(&mut self, now: Mono, arrivals: &mut Vec<Arrival>, metrics: &mut Metrics) {
        for (at, closed) in std::mem::take(&mut self.unread) {
            self.ready(at, closed, now, arrivals, metrics);
        }
    }

    /// Puts a message on its way, or drops it.
    pub fn send(&mut self, to: NodeId, message: &Message, now: Mono, metrics: &mut Metrics) {
        let rule = self.rules.to(to);
        let place = self.peers.get(&to).and_then(|peer| peer.link);
        let injured = rule.cut || (rule.drop_per_mille > 0 && self.random.chance(u64::from(rule.drop_per_mille)));
        let link = place.and_then(|at| self.links.get_mut(at)).filter(|link| link.is_up() && !link.is_full());
        let (Some(link), Some(at), false) = (link, place, injured) else {
            metrics.peer_messages_dropped += 1;
            return;
        };
        metrics.peer_messages_out += 1;
        if rule.delay_ms > 0 {
            let due = now.after_ms(u64::from(rule.delay_ms));
            link.delayed.push_back((due, frame::encode(message, Vec::new())));
            return;
        }
        if link.output.is_empty() {
            self.touched.push(at);
        }
        link.output = frame::encode(message, std::mem::take(&mut link.output));
    }

    /// Writes what is to be sent, with one write for each link.
    pub fn flush(&mut self, now: Mono, arrivals: &mut Vec<Arrival>) {
        let mut touched = std::mem::take(&mut self.touched);
        for at in touched.drain(..) {
            if self.links.get_mut(at).is_some_and(|link| !link.write()) {
                self.close(at, now, arrivals);
            }
        }
        self.touched = touched;
    }

    /// Dials, gives up handshakes that take too long, and lets delayed messages go.
    pub fn tick(&mut self, now: Mono, arrivals: &mut Vec<Arrival>) {
        while let Ok((node, result)) = self.resolved.1.try_recv() {
            self.resolution(node, result, now);
        }
        let due = |peer: &Peer| peer.dials && peer.link.is_none() && !peer.resolving && peer.dial_at <= now;
        let dials: Vec<NodeId> = self.peers.iter().filter(|(_, peer)| due(peer)).map(|(node, _)| *node).collect();
        for node in dials {
            self.dial(node, now);
        }
        let mut late = Vec::new();
        for (at, link) in self.links.iter_mut() {
            match &link.stage {
                Stage::Meeting(_, until) if *until <= now => late.push(at),
                Stage::Meeting(..) => {}
                Stage::Up if link.delayed.front().is_some_and(|(due, _)| *due <= now) => {
                    link.release(now);
                    self.touched.push(at);
                }
                Stage::Up => {}
            }
        }
        for at in late {
            self.complain(at, &"it did not finish the handshake in time");
            self.close(at, now, arrivals);
        }
    }

    /// Goes on with a handshake. False if the connection is one too many.
    fn meet(&mut self, at: usize, now: Mono, arrivals: &mut Vec<Arrival>) -> Result<bool, String> {
        let Some(link) = self.links.get_mut(at) else { return Ok(true) };
        let mut input = link.take_input();
        let Stage::Meeting(handshake, _) = &mut link.stage else { return Ok(true) };
        let progress = handshake.receive(&self.identity, &mut input, &mut link.output);
        link.put_back(&input);
        match progress {
            // An honest side waits for the other, so it cannot have sent more than this.
            Ok(Progress::More) if input.len() > handshake::MOST_BYTES => Err("it sends too much".to_string()),
            Ok(Progress::More) => Ok(true),
            Ok(Progress::Done { peer, incarnation }) => Ok(self.up(at, (peer, incarnation), now, arrivals)),
            Err(why) => {
                link.write();
                Err(why.to_string())
            }
        }
    }

    /// Both sides have proved themselves. A new connection of a peer replaces an older one, which must be dead, unless both sides dialed at
    /// once: then both keep the one that the lower number dialed. False if the new one is therefore one too many.
    fn up(&mut self, at: usize, (node, incarnation): (NodeId, u64), now: Mono, arrivals: &mut Vec<Arrival>) -> bool {
        let lower_dialed = |link: &Link| link.dialed == (self.identity.node < node);
        let older = self.peers.get(&node).and_then(|peer| peer.link).filter(|older| *older != at);
        let stays = |link: &&Link| link.is_up() && link.incarnation == incarnation && lower_dialed(link);
        let kept = older.and_then(|older| self.links.get(older)).filter(stays).is_some();
        if kept && self.links.get(at).is_some_and(|link| !lower_dialed(link)) {
            return false;
        }
        let Some(link) = self.links.get_mut(at) else { return true };
        link.stage = Stage::Up;
        link.peer = Some(node);
        link.incarnation = incarnation;
        let address = link.address.clone();
        if let Some(older) = older {
            let met = self.links.get(older).is_some_and(Link::is_up);
            if let Some(peer) = self.peers.get_mut(&node).filter(|_| !met) {
                // Both dialed, and this was sooner.
                peer.link = None;
            }
            self.close(older, now, arrivals);
        }
        let peer = self.peers.entry(node).or_insert_with(|| Peer { named: false, ..Peer::new("", false) });
        peer.link = Some(at);
        peer.pause_ms = PAUSE_MS.0;
        peer.complaint.clear();
        tracing::info!("node {} is connected at {address} (incarnation {incarnation})", node.0);
        true
    }

    fn understand(&mut self, at: usize, arrivals: &mut Vec<Arrival>, metrics: &mut Metrics) -> Result<(), String> {
        let Some(link) = self.links.get_mut(at) else { return Ok(()) };
        let (Stage::Up, Some(peer)) = (&link.stage, link.peer) else { return Ok(()) };
        while let Some(message) = link.next().map_err(|broken| broken.to_string())? {
            metrics.peer_messages_in += 1;
            arrivals.push(Arrival::Message(peer, message));
        }
        Ok(())
    }

    fn close(&mut self, at: usize, now: Mono, arrivals: &mut Vec<Arrival>) {
        let Some(mut link) = self.links.remove(at) else { return };
        let _ = self.registry.deregister(&mut link.socket);
        let Some((node, peer)) = link.peer.and_then(|node| Some((node, self.peers.get_mut(&node)?))) else { return };
        if peer.link != Some(at) {
            return;
        }
        peer.link = None;
        if !link.is_up() && peer.dials && peer.complaint.is_empty() {
            peer.complaint = "it cannot be reached".to_string();
            tracing::info!("node {} at {} cannot be reached yet", node.0, link.address);
        }
        if link.is_up() {
            tracing::info!("the connection with node {} has ended", node.0);
            arrivals.push(Arrival::Lost(node));
            peer.pause_ms = PAUSE_MS.0;
        }
        if !peer.named {
            self.peers.remove(&node);
        }
        self.pause(node, now);
    }

    /// Lets some time pass before a peer is dialed again: longer each time, and not in step with others.
    fn pause(&mut self, node: NodeId, now: Mono) {
        let jitter = self.random.below(250);
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.dial_at = now.after_us(peer.pause_ms * (1000 + jitter));
            peer.pause_ms = (peer.pause_ms * 2).min(PAUSE_MS.1);
        }
    }

    fn dial(&mut self, node: NodeId, now: Mono) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if let Ok(address) = peer.address.parse() {
            self.connect(node, address, now);
            return;
        }
        // Looking up a name may take seconds, which the loop must not wait for.
        peer.resolving = true;
        let (name, results, waker) = (peer.address.clone(), self.resolved.0.clone(), self.waker.clone());
        let look_up = move || {
            let found = name.to_socket_addrs().map_err(|error| error.to_string());
            let first = found.and_then(|mut all| all.next().ok_or_else(|| "the name has no address".to_string()));
            let _ = results.send((node, first));
            let _ = waker.wake();
        };
        if let Err(error) = std::thread::Builder::new().name("look-up".into()).spawn(look_up) {
            self.resolution(node, Err(error.to_string()), now);
        }
    }

    fn resolution(&mut self, node: NodeId, result: Result<SocketAddr, String>, now: Mono) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        peer.resolving = false;
        match result {
            Ok(address) => self.connect(node, address, now),
            Err(why) => {
                if peer.complaint != why {
                    tracing::warn!("node {} cannot be reached: looking up {} failed: {why}", node.0, peer.address);
                    peer.complaint = why;
                }
                self.pause(node, now);
            }
        }
    }

    fn connect(&mut self, node: NodeId, address: SocketAddr, now: Mono) {
        let socket = match TcpStream::connect(address) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::debug!("node {} at {address} cannot be reached: {error}", node.0);
                self.pause(node, now);
                return;
            }
        };
        let (mut hello, nonce) = (Vec::new(), self.nonce());
        let handshake = Handshake::dial(&self.identity, node, nonce, &mut hello);
        let mut link =
            Link::new(socket, Stage::Meeting(handshake, now.after_ms(MEETING_MS)), Some(node), address.to_string());
        link.output = hello;
        match self.seat(link) {
            Some(at) => {
                if let Some(peer) = self.peers.get_mut(&node) {
                    peer.link = Some(at);
                }
            }
            None => self.pause(node, now),
        }
    }

    fn seat(&mut self, mut link: Link) -> Option<usize> {
        let _ = link.socket.set_nodelay(true);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&link.socket, SILENCE_MS);
        let token = Source::Peer(self.links.next()).token();
        if let Err(error) = self.registry.register(&mut link.socket, token, Interest::READABLE | Interest::WRITABLE) {
            tracing::warn!("a connection with {} could not be watched: {error}", link.address);
            return None;
        }
        Some(self.links.insert(link))
    }

    /// Tells what is wrong with a link, once for each peer and reason.
    fn complain(&mut self, at: usize, why: &dyn std::fmt::Display) {
        let Some(link) = self.links.get(at) else { return };
        let why = why.to_string();
        match link.peer.and_then(|node| Some((node, self.peers.get_mut(&node)?))) {
            Some((node, peer)) => {
                if peer.complaint != why {
                    tracing::warn!("the connection with node {} at {} is refused: {why}", node.0, link.address);
                    peer.complaint = why;
                }
            }
            None => {
                if self.stranger_complaint != why {
                    tracing::warn!("a connection from {} is refused: {why}", link.address);
                    self.stranger_complaint = why;
                }
            }
        }
    }

    fn nonce(&mut self) -> [u8; 16] {
        let mut nonce = [0; 16];
        if getrandom::fill(&mut nonce).is_err() {
            // Without a source of randomness nobody could be told apart from a recording.
            panic!("the operating system gives no random numbers");
        }
        nonce
    }
}
