//! Rooms of several nodes on a network that loses, doubles and reorders, with disks that lose what was not synced.

use super::*;

pub(super) struct Host {
    pub(super) room: Leaderless,
    pub(super) store: MemoryStore,
    /// What survives power loss.
    pub(super) durable: MemoryStore,
    pub(super) written: Seq,
    /// Messages that leave once the disk is synced.
    pub(super) held: Vec<(Seq, Send<Message>)>,
    pub(super) up: bool,
    pub(super) incarnation: u64,
    /// The disk was lost, and the catalogue was not told yet.
    pub(super) wiped: bool,
}

pub(super) struct Net {
    pub(super) hosts: Vec<Host>,
    pub(super) catalogue: Catalogue,
    pub(super) now_ms: u64,
    pub(super) random: Random,
    /// On their way.
    pub(super) messages: Vec<(NodeId, NodeId, Message)>,
    /// Pairs that hear nothing of each other.
    pub(super) cut: BTreeSet<(u16, u16)>,
    pub(super) settled: Vec<Settled>,
    pub(super) next_token: u64,
    pub(super) mutants: Mutants,
}

pub(super) const TABLE: &str = "t";

pub(super) fn members(count: u16) -> Vec<Member> {
    (1..=count).map(|node| Member { node: NodeId(node), weight: 1, zone: node }).collect()
}

pub(super) fn boot(node: u16, incarnation: u64, now_ms: u64, mutants: Mutants, disk: &MemoryStore) -> Leaderless {
    let config = Config {
        node: NodeId(node),
        incarnation,
        mend_reads: true,
        hints: true,
        compare_ms: COMPARE_MS,
        share_percent: 25,
        mutants,
    };
    Leaderless::boot(config, Mono(now_ms * 1_000), disk)
}

/// Long, so that only tests that want comparisons see them.
pub(super) const COMPARE_MS: u64 = 60_000;

impl Net {
    pub(super) fn new(
        count: u16,
        kind: Kind,
        (replicas, read, write): (u8, u8, u8),
        mutants: Mutants,
        seed: u64,
    ) -> Net {
        let mut catalogue = Catalogue::default();
        let rule = Rule::new(replicas, read, write).expect("it is one");
        let spec = LeaderlessSpec { rule, kind, bound: 0, division: Division::Hash, parts: 1 };
        catalogue.create(TABLE, Shape::Leaderless(spec)).expect("it can be given");
        Net::of(count, catalogue, mutants, seed)
    }

    pub(super) fn of(count: u16, catalogue: Catalogue, mutants: Mutants, seed: u64) -> Net {
        let host = |_| Host {
            room: boot(0, 0, 0, mutants, &MemoryStore::default()),
            store: MemoryStore::default(),
            durable: MemoryStore::default(),
            written: Seq(0),
            held: Vec::new(),
            up: false,
            incarnation: 0,
            wiped: false,
        };
        let mut net = Net {
            hosts: (0..count).map(host).collect(),
            catalogue,
            now_ms: 1_000,
            random: Random::new(seed),
            messages: Vec::new(),
            cut: BTreeSet::new(),
            settled: Vec::new(),
            next_token: 0,
            mutants,
        };
        (1..=count).for_each(|node| net.start(node));
        net
    }

    pub(super) fn table(&self) -> TableId {
        self.catalogue.find(TABLE).expect("it was made").0
    }

    /// Starts a node on what survived, in a new life.
    pub(super) fn start(&mut self, node: u16) {
        let (mutants, now_ms) = (self.mutants, self.now_ms);
        let host = &mut self.hosts[usize::from(node) - 1];
        host.incarnation += 1;
        host.up = true;
        host.store = host.durable.clone();
        host.held.clear();
        host.room = boot(node, host.incarnation, now_ms, mutants, &host.store);
        let claim = host.incarnation;
        let wiped = core::mem::take(&mut self.hosts[usize::from(node) - 1].wiped);
        let last = self.catalogue.life(NodeId(node)).filter(|_| !wiped).unwrap_or(0);
        self.catalogue.begin_life(NodeId(node), claim, last);
        self.tell_catalogue(node);
    }

    pub(super) fn tell_catalogue(&mut self, node: u16) {
        let catalogue = self.catalogue.clone();
        let members = members(self.hosts.len() as u16);
        self.step(node, |room, cx, claim| {
            let actor = catalogue.actor(NodeId(node), claim);
            room.learn(cx.now().mono, &catalogue, &members, actor);
        });
    }

    pub(super) fn crash(&mut self, node: u16) {
        self.hosts[usize::from(node) - 1].up = false;
    }

    /// Its disk is lost.
    pub(super) fn wipe(&mut self, node: u16) {
        self.crash(node);
        let host = &mut self.hosts[usize::from(node) - 1];
        (host.durable, host.wiped) = (MemoryStore::default(), true);
    }

    pub(super) fn step<T>(&mut self, node: u16, run: impl FnOnce(&mut Leaderless, &mut Cx<'_>, u64) -> T) -> T {
        let ms = self.now_ms;
        let now = Now { mono: Mono(ms * 1_000), wall: Wall { earliest_ms: ms, latest_ms: ms } };
        let mut random = Random::new(self.random.next());
        let host = &mut self.hosts[usize::from(node) - 1];
        let mut turn = Turn::default();
        let result = {
            let mut cx = Step::open(now, host.written, &mut host.store, &mut random, &mut turn);
            run(&mut host.room, &mut cx, host.incarnation)
        };
        if turn.wrote {
            host.written.0 += 1;
        }
        for send in turn.sends {
            assert_ne!(send.to, NodeId(node), "a node says something to itself");
            match send.leave {
                Leave::Now => self.messages.push((NodeId(node), send.to, send.message)),
                Leave::AfterSync => host.held.push((turn.after, send)),
            }
        }
        self.settled.extend(host.room.take_settled());
        result
    }

    pub(super) fn sync(&mut self, node: u16) {
        let host = &mut self.hosts[usize::from(node) - 1];
        if !host.up {
            return;
        }
        host.durable = host.store.clone();
        let upto = host.written;
        let sends = core::mem::take(&mut host.held);
        self.messages.extend(sends.into_iter().map(|(_, send)| (NodeId(node), send.to, send.message)));
        self.step(node, |room, cx, _| room.synced(cx, upto));
    }

    pub(super) fn deliver(&mut self, at: usize, remove: bool) {
        let (from, to, message) = if remove { self.messages.swap_remove(at) } else { self.messages[at].clone() };
        let cut = self.cut.contains(&(from.0, to.0));
        if !cut && self.hosts[usize::from(to.0) - 1].up {
            self.step(to.0, |room, cx, _| room.message(cx, from, message));
        }
    }

    /// Fewer messages than that arrive, in any order. One in so many arrives again later, and one in so many never.
    pub(super) fn deliver_some(&mut self, random: &mut Random, most: u64, (again, never): (u64, u64)) {
        for _ in 0..random.below(most) {
            if !self.messages.is_empty() {
                let which = random.below(self.messages.len() as u64) as usize;
                let keeps = random.below(again) == 0;
                if random.below(never) == 0 {
                    self.messages.swap_remove(which);
                } else {
                    self.deliver(which, !keeps);
                }
            }
        }
    }

    /// Everything arrives and is synced, until nothing happens any more.
    pub(super) fn calm(&mut self) {
        for _ in 0..10_000 {
            (1..=self.hosts.len() as u16).for_each(|node| self.sync(node));
            let counts = self.count_on();
            if self.messages.is_empty() && !counts {
                return;
            }
            if self.messages.is_empty() {
                continue;
            }
            let at = self.random.below(self.messages.len() as u64) as usize;
            self.deliver(at, true);
        }
        panic!("it never ends");
    }

    /// Comparisons that need nobody else go on. False if there are none.
    pub(super) fn count_on(&mut self) -> bool {
        let now = Mono(self.now_ms * 1_000);
        let due = |host: &Host| host.up && host.room.pace_wake().is_some_and(|wake| wake.at <= now);
        let nodes = (1..=self.hosts.len() as u16).filter(|&node| due(&self.hosts[usize::from(node) - 1]));
        let nodes: Vec<u16> = nodes.collect();
        nodes.iter().for_each(|&node| self.step(node, |room, cx, _| room.pace_all(cx)));
        !nodes.is_empty()
    }

    /// Time passes for all that is up.
    pub(super) fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        for node in 1..=self.hosts.len() as u16 {
            if self.hosts[usize::from(node) - 1].up {
                self.step(node, |room, cx, _| room.wake(cx));
            }
        }
    }

    pub(super) fn begin(
        &mut self,
        node: u16,
        want: Want,
        session: &Session,
        words: &str,
        seen: Option<Bytes>,
    ) -> Option<u64> {
        self.next_token += 1;
        let token = self.next_token;
        let words = words.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        let until = Mono((self.now_ms + 1_000) * 1_000);
        let job = Job { token, table: self.table(), words, want, session: session.clone(), seen, once: None, until };
        match self.step(node, |room, cx, _| room.begin(cx, job, false)) {
            Begun::Here => Some(token),
            Begun::Pass { .. } | Begun::Refused(_) => None,
        }
    }

    pub(super) fn outcome(&mut self, token: u64) -> Option<Settled> {
        let at = self.settled.iter().position(|settled| settled.token == token)?;
        Some(self.settled.swap_remove(at))
    }

    /// One operation from begin to end, with nothing in its way but what is cut and down.
    pub(super) fn ask(&mut self, node: u16, want: Want, session: &mut Session, words: &str) -> Outcome {
        let token = self.begin(node, want, session, words, None).expect("the node is a replica");
        for _ in 0..40 {
            self.calm();
            if let Some(settled) = self.outcome(token) {
                session.merge(&settled.session);
                return settled.outcome.expect("no table moved");
            }
            self.pass(50);
        }
        panic!("no outcome");
    }

    pub(super) fn get(&mut self, node: u16, words: &str) -> Value {
        match self.ask(node, Want::default(), &mut Session::default(), words) {
            Outcome::Done { value, .. } => value,
            other => panic!("{other:?}"),
        }
    }

    /// What one replica holds of the key `k`.
    pub(super) fn ask_alone(&mut self, node: u16) -> Value {
        let bound = 0;
        super::look::read(&super::look::Look::Get, &self.state(node, b"k").cell, bound).0
    }

    pub(super) fn done(&mut self, node: u16, words: &str) {
        let outcome = self.ask(node, Want::default(), &mut Session::default(), words);
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    }

    pub(super) fn state(&self, node: u16, key: &[u8]) -> State {
        let host = &self.hosts[usize::from(node) - 1];
        host.room.peek(host.store.as_view(), self.table(), key).expect("the table is known")
    }

    pub(super) fn isolate(&mut self, node: u16) {
        let count = self.hosts.len() as u16;
        for other in (1..=count).filter(|&other| other != node) {
            self.cut.insert((node, other));
            self.cut.insert((other, node));
        }
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    /// All links are whole and all nodes are up, and know which lives there are.
    pub(super) fn recover(&mut self) {
        self.heal();
        for node in 1..=self.hosts.len() as u16 {
            if !self.hosts[usize::from(node) - 1].up {
                self.start(node);
            }
        }
        (1..=self.hosts.len() as u16).for_each(|node| self.tell_catalogue(node));
    }
}

pub(super) fn with(read: u8, write: u8) -> Want {
    Want { quorum: Quorum { read, write, ..Quorum::default() }, ..Want::default() }
}

pub(super) fn bulk(text: &str) -> Value {
    Value::bulk(text.as_bytes())
}

pub(super) fn net(kind: Kind) -> Net {
    Net::new(3, kind, (3, 2, 2), Mutants::none(), 1)
}

pub(super) const KEYS: [&str; 3] = ["{r}1", "{r}2", "other"];

pub(super) fn storm(net: &mut Net, kind: Kind, steps: usize) {
    let mut random = Random::new(net.random.next());
    for at in 0..steps {
        let node = 1 + random.below(3) as u16;
        let up = net.hosts[usize::from(node) - 1].up;
        match random.below(12) {
            0..=3 if up => {
                let key = KEYS[random.below(3) as usize];
                let words = words(kind, key, at, &mut random);
                let _ = net.begin(node, with(1 + random.below(2) as u8, 1), &Session::default(), &words, None);
            }
            4..=7 => net.deliver_some(&mut random, 6, (6, 8)),
            8 => net.sync(node),
            9 => net.pass(40),
            10 if random.below(3) == 0 => {
                if up {
                    net.crash(node);
                } else {
                    net.start(node);
                }
            }
            11 => {
                if random.below(2) == 0 {
                    net.isolate(node)
                } else {
                    net.heal()
                }
            }
            _ => {}
        }
    }
}

pub(super) fn words(kind: Kind, key: &str, at: usize, random: &mut Random) -> String {
    let member = random.below(3);
    match (kind, random.below(4)) {
        (Kind::Register | Kind::Latest, 0) | (Kind::Counter, 0) => alloc::format!("DEL {key}"),
        (Kind::Register | Kind::Latest, _) => alloc::format!("SET {key} {at}"),
        (Kind::Counter, _) => alloc::format!("INCRBY {key} {}", 1 + member),
        (Kind::Text, 0) => alloc::format!("TEXT.DELETE {key} 0 1"),
        (Kind::Text, 1) if at.is_multiple_of(8) => alloc::format!("DEL {key}"),
        (Kind::Text, _) => alloc::format!("TEXT.INSERT {key} 0 {at}"),
        (Kind::Set, 0) => alloc::format!("SREM {key} m{member}"),
        (Kind::Set, 1) => alloc::format!("DEL {key}"),
        (Kind::Set, _) => alloc::format!("SADD {key} m{member} m{at}"),
        (_, 0) => alloc::format!("HDEL {key} f{member}"),
        (_, 1) => alloc::format!("HINCRBY {key} n{member} 2"),
        (_, _) => alloc::format!("HSET {key} f{member} {at}"),
    }
}

impl Net {
    /// Comparisons of all with all, each to its end.
    pub(super) fn compare(&mut self) {
        for node in 1..=self.hosts.len() as u16 {
            for (table, with) in self.hosts[usize::from(node) - 1].room.pairs() {
                self.step(node, |room, cx, _| room.compare(cx, table, with));
                self.calm();
            }
        }
    }

    pub(super) fn contexts(&self, key: &[u8]) -> Vec<Context> {
        let place = self.hosts[0].room.tables[&self.table()].place(self.table(), key);
        self.hosts.iter().map(|host| record::read_context(host.store.as_view(), place)).collect()
    }
}
