//! Connections that always have a full pipeline in flight, and what they measure.

use super::Histogram;
use super::record::{Asked, Record, Recorded};
use super::template::{MEMBERS, Operation, Template};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use quorate_check::History;
use quorate_client::{Command, frame};
use quorate_core::guarantee::{Ack, Level};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A connection that was lost is opened again after this long.
const RECONNECT: Duration = Duration::from_millis(20);
const READ_BYTES: usize = 32 * 1024;

/// What to do, how often and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The nodes; connections are spread over them.
    pub addresses: Vec<SocketAddr>,
    /// Sent first on each connection.
    pub password: Option<String>,
    /// Selected first on each connection: a name or a number.
    pub table: Option<String>,
    /// What each request does.
    pub operation: Operation,
    /// Connections.
    pub clients: usize,
    /// Requests in flight on each connection.
    pub pipeline: usize,
    /// How long.
    pub duration: Duration,
    /// Bytes of a value.
    pub size: usize,
    /// How many different keys.
    pub keys: u64,
    /// The level of reads.
    pub level: Option<Level>,
    /// The ack of writes.
    pub ack: Option<Ack>,
    /// Replicas that must answer a read of a leaderless table.
    pub read: Option<u8>,
    /// Replicas that must hold a write to one.
    pub write: Option<u8>,
    /// Whether, and how, what is asked and heard is recorded. Each write then has a value of its own, and the run ends early when
    /// there is no room for more.
    pub recorded: Option<Recorded>,
}

/// What was measured.
#[derive(Default)]
pub struct Report {
    /// Latencies of the requests that succeeded, in nanoseconds.
    pub latency: Histogram,
    /// How many failed, by the first word of the error, or by what became of the connection.
    pub errors: BTreeMap<String, u64>,
    /// How long it took.
    pub elapsed: Duration,
    /// What was asked and heard, if that was recorded.
    pub history: Option<History>,
    /// It ended early, as no more could be recorded.
    pub full: bool,
}

/// What all connections share.
struct Work<'a> {
    plan: &'a Plan,
    templates: Vec<Template>,
    random: u64,
    scratch: Vec<u8>,
    record: Option<Record>,
    next_stamp: u64,
    /// Nothing more can be recorded.
    full: bool,
}

struct Peer {
    stream: Option<TcpStream>,
    address: SocketAddr,
    /// Replies that are awaited but not measured: those of AUTH and SELECT.
    greeting: usize,
    in_flight: usize,
    /// The requests in flight, if they are recorded.
    asked: VecDeque<Asked>,
    sent_at: Instant,
    reopen_at: Instant,
    out: Vec<u8>,
    written: usize,
    received: Vec<u8>,
    blocked: bool,
}

/// Runs the plan. `progress` is called about once a second with the time passed and the operations done so far.
///
/// # Errors
/// When no connection at all can be opened at the start.
pub fn run(plan: &Plan, mut progress: impl FnMut(Duration, u64)) -> io::Result<Report> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut report = Report::default();
    // One connection is tried in the open, so that a wrong address is an error and not a number.
    for address in &plan.addresses {
        drop(std::net::TcpStream::connect_timeout(address, Duration::from_secs(2))?);
    }
    let start = Instant::now();
    let end = start + plan.duration;
    let mut work = Work {
        plan,
        templates: plan.operation.parts().iter().map(|&part| Template::new(plan, part)).collect(),
        random: 0x9E37_79B9_7F4A_7C15,
        scratch: vec![0; READ_BYTES],
        record: plan.recorded.as_ref().map(|recorded| Record::new(start, plan.size, recorded.limit)),
        next_stamp: 1,
        full: false,
    };
    let mut peers: Vec<Peer> = (0..plan.clients).map(|at| Peer::new(plan, at, start)).collect();
    let mut lost = plan.clients;
    let mut next_progress = start + Duration::from_secs(1);
    loop {
        let now = Instant::now();
        if now >= end || work.full {
            break;
        }
        if now >= next_progress {
            progress(now - start, report.latency.count());
            next_progress += Duration::from_secs(1);
        }
        if lost > 0 {
            for (at, peer) in peers.iter_mut().enumerate() {
                if peer.stream.is_none() && now >= peer.reopen_at && peer.open(plan, &poll, at).is_ok() {
                    lost -= 1;
                }
            }
        }
        let pause = if lost > 0 { RECONNECT } else { next_progress - now };
        match poll.poll(&mut events, Some(pause.min(end - now))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            let at = event.token().0;
            let peer = &mut peers[at];
            if let Err(error) = peer.ready(at, &mut work, &mut report) {
                *report.errors.entry(connection_error(&error)).or_default() += peer.in_flight.max(1) as u64;
                peer.close();
                lost += 1;
            }
        }
    }
    report.elapsed = start.elapsed();
    report.full = work.full;
    report.history = work.record.map(Record::finish);
    Ok(report)
}

fn connection_error(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "connection lost".to_owned(),
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::Other => error.to_string(),
        kind => kind.to_string(),
    }
}

impl Peer {
    fn new(plan: &Plan, at: usize, now: Instant) -> Peer {
        Peer {
            stream: None,
            address: plan.addresses[at % plan.addresses.len()],
            greeting: 0,
            in_flight: 0,
            asked: VecDeque::new(),
            sent_at: now,
            reopen_at: now,
            out: Vec::new(),
            written: 0,
            received: Vec::new(),
            blocked: false,
        }
    }

    fn open(&mut self, plan: &Plan, poll: &Poll, at: usize) -> io::Result<()> {
        self.reopen_at = Instant::now() + RECONNECT;
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        poll.registry().register(&mut stream, Token(at), Interest::READABLE | Interest::WRITABLE)?;
        self.stream = Some(stream);
        self.out.clear();
        self.received.clear();
        (self.written, self.in_flight, self.greeting, self.blocked) = (0, 0, 0, false);
        if let Some(password) = &plan.password {
            Command::new(["AUTH".to_owned(), password.clone()]).encode(&mut self.out);
            self.greeting += 1;
        }
        if let Some(table) = &plan.table {
            Command::new(["SELECT".to_owned(), table.clone()]).encode(&mut self.out);
            self.greeting += 1;
        }
        Ok(())
    }

    fn close(&mut self) {
        self.stream = None;
        self.in_flight = 0;
        self.asked.clear();
        self.reopen_at = Instant::now() + RECONNECT;
    }

    /// Reads what is there, counts it, and fills the pipeline again when it is empty.
    fn ready(&mut self, at: usize, work: &mut Work, report: &mut Report) -> io::Result<()> {
        if self.stream.is_none() {
            return Ok(());
        }
        self.flush()?;
        loop {
            if self.in_flight == 0 && self.greeting == 0 && !self.blocked {
                self.fill(at, work);
                self.flush()?;
            }
            let Some(count) = self.read(&mut work.scratch)? else { return Ok(()) };
            self.take(&work.scratch[..count], &mut work.record, report)?;
            // A short read emptied the socket; what comes later is a new event.
            if count < READ_BYTES && self.in_flight > 0 {
                return Ok(());
            }
        }
    }

    fn fill(&mut self, at: usize, work: &mut Work) {
        work.full |= work.record.as_ref().is_some_and(|record| !record.has_room(work.plan.pipeline));
        if work.full {
            return;
        }
        for place in 0..work.plan.pipeline {
            work.random ^= work.random << 13;
            work.random ^= work.random >> 7;
            work.random ^= work.random << 17;
            // The low bits choose the key.
            let template = &work.templates[(work.random >> 40) as usize % work.templates.len()];
            let key = work.random % work.plan.keys;
            let stamp = match template.operation {
                Operation::Sadd => (work.random >> 20) % MEMBERS,
                Operation::Set | Operation::Get | Operation::Incr | Operation::Mixed => work.next_stamp,
            };
            work.next_stamp += 1;
            template.write(key, stamp, &mut self.out);
            if let (Some(record), Some(what)) = (&mut work.record, template.operation.recorded(stamp)) {
                self.asked.push_back(record.begin(at, place, &template.key(key), what));
            }
        }
        self.in_flight = work.plan.pipeline;
        self.sent_at = Instant::now();
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        self.blocked = false;
        while self.written < self.out.len() {
            match stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    self.blocked = true;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// How many bytes were read; `None` when there is nothing to read now.
    fn read(&mut self, scratch: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        loop {
            match stream.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, bytes: &[u8], record: &mut Option<Record>, report: &mut Report) -> io::Result<()> {
        if self.received.is_empty() {
            let taken = self.count(bytes, record, report)?;
            self.received.extend_from_slice(&bytes[taken..]);
        } else {
            let mut received = std::mem::take(&mut self.received);
            received.extend_from_slice(bytes);
            let taken = self.count(&received, record, report)?;
            received.drain(..taken);
            self.received = received;
        }
        Ok(())
    }

    /// Counts the whole replies at the start of `bytes`; how many bytes they take.
    fn count(&mut self, bytes: &[u8], record: &mut Option<Record>, report: &mut Report) -> io::Result<usize> {
        let mut at = 0;
        let latency = self.sent_at.elapsed().as_nanos() as u64;
        let malformed = |_| io::Error::from(ErrorKind::InvalidData);
        while let Some(length) = frame(&bytes[at..]).map_err(malformed)? {
            let reply = &bytes[at..at + length];
            at += length;
            let failed = matches!(reply[0], b'-' | b'!');
            if failed {
                let end = reply.iter().position(|byte| b" \r".contains(byte)).unwrap_or(length);
                *report.errors.entry(String::from_utf8_lossy(&reply[1..end]).into_owned()).or_default() += 1;
            }
            if self.greeting > 0 {
                // What follows would go to another table.
                if failed {
                    return Err(io::Error::other("AUTH or SELECT refused"));
                }
                self.greeting -= 1;
                continue;
            }
            self.in_flight = self.in_flight.saturating_sub(1);
            if let (Some(record), Some(asked)) = (record.as_mut(), self.asked.pop_front()) {
                record.end(asked, reply);
            }
            if !failed {
                report.latency.record(latency);
            }
        }
        Ok(at)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::net::TcpListener;

    pub(in super::super) fn plan(address: SocketAddr, operation: Operation, pipeline: usize) -> Plan {
        Plan {
            addresses: vec![address],
            password: None,
            table: None,
            operation,
            clients: 2,
            pipeline,
            duration: Duration::from_millis(200),
            size: 3,
            keys: 1_000,
            level: None,
            ack: None,
            read: None,
            write: None,
            recorded: None,
        }
    }

    /// Answers each command with `reply` and closes every connection after `per_connection` of them.
    fn server(reply: &'static str, per_connection: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || answer(stream, reply, per_connection));
            }
        });
        address
    }

    fn answer(mut stream: std::net::TcpStream, reply: &str, mut left: usize) {
        let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            bytes.extend_from_slice(&chunk[..count]);
            while let Ok(Some(length)) = frame(&bytes) {
                bytes.drain(..length);
                if left == 0 || stream.write_all(reply.as_bytes()).is_err() {
                    return;
                }
                left -= 1;
            }
        }
    }

    #[test]
    fn every_reply_is_counted_once() {
        for pipeline in [1, 16] {
            let report = run(&plan(server("+OK\r\n", usize::MAX), Operation::Set, pipeline), |_, _| {});
            let report = report.expect("it connects");
            assert!(report.latency.count() > 0 && report.errors.is_empty(), "{:?}", report.errors);
        }
    }

    #[test]
    fn errors_are_counted_by_kind_and_not_as_successes() {
        let address = server("-CLUSTERDOWN applied: no; no leader\r\n", usize::MAX);
        let report = run(&plan(address, Operation::Incr, 1), |_, _| {}).expect("it connects");
        assert_eq!(report.latency.count(), 0);
        assert_eq!(report.errors.keys().collect::<Vec<_>>(), ["CLUSTERDOWN"]);
    }

    #[test]
    fn nothing_is_asked_of_another_table() {
        let address = server("-ERR applied: no; there is no table of this name\r\n", usize::MAX);
        let carts = Plan { table: Some("carts".to_owned()), ..plan(address, Operation::Set, 1) };
        let report = run(&carts, |_, _| {}).expect("it connects");
        assert_eq!(report.latency.count(), 0);
        assert_eq!(report.errors.keys().collect::<Vec<_>>(), ["AUTH or SELECT refused", "ERR"]);
    }

    #[test]
    fn a_lost_connection_is_counted_and_opened_again() {
        let report = run(&plan(server("$-1\r\n", 3), Operation::Get, 1), |_, _| {}).expect("it connects");
        assert_eq!(report.errors.keys().collect::<Vec<_>>(), ["connection lost"]);
        assert!(report.latency.count() > 6, "only {} were answered", report.latency.count());
    }

    #[test]
    fn every_recorded_operation_has_ended_or_was_in_flight() {
        let plan = Plan { recorded: recorded(1_000_000), ..plan(server("$-1\r\n", 50), Operation::Get, 4) };
        let report = run(&plan, |_, _| {}).expect("it connects");
        assert!(!report.full);
        let history = report.history.expect("it was asked for");
        let done = history.operations().iter().filter(|operation| operation.outcome == quorate_check::Outcome::Done);
        assert_eq!(done.count() as u64, report.latency.count());
        assert!(report.latency.count() > 0 && history.len() as u64 > report.latency.count(), "{}", history.len());
    }

    #[test]
    fn a_run_ends_when_no_more_can_be_recorded() {
        let long =
            Plan { duration: Duration::from_secs(600), ..plan(server("+OK\r\n", usize::MAX), Operation::Mixed, 3) };
        let report = run(&Plan { recorded: recorded(100), ..long }, |_, _| {}).expect("it connects");
        assert!(report.full);
        assert_eq!(report.history.expect("it was asked for").len(), 99);
    }

    pub(in super::super) fn recorded(limit: u64) -> Option<Recorded> {
        Some(Recorded { name: "run".into(), limit })
    }
}
