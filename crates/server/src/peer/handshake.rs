//! How two nodes learn that they belong together, before either believes a word of the other.
//!
//! The dialer says hello, the acceptor says hello, the dialer proves that it knows the shared secret, the acceptor proves
//! it too. A proof is HMAC-SHA256 under the secret over both hellos, so it depends on a fresh random number of each side
//! and cannot be used again; the secret never crosses the wire. What follows is neither encrypted nor signed.

use hmac::{Hmac, KeyInit, Mac};
use quorate_core::limits;
use quorate_core::machine::NodeId;
use quorate_core::node::wire;
use sha2::Sha256;
use std::fmt;

const MAGIC: [u8; 4] = *b"QRTP";
const HELLO_BYTES: usize = 41;
const PROOF_BYTES: usize = 33;
/// Most bytes that a side may send before it must wait for the other.
pub const MOST_BYTES: usize = HELLO_BYTES + PROOF_BYTES;

/// Who we are to the other nodes.
#[derive(Clone)]
pub struct Identity {
    /// The cluster.
    pub cluster: u64,
    /// The node.
    pub node: NodeId,
    /// Its life.
    pub incarnation: u64,
    /// What all nodes of the cluster know and nobody else.
    pub secret: Vec<u8>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} of cluster {:016x}, incarnation {}", self.node.0, self.cluster, self.incarnation)
    }
}

/// Why the other side is no peer of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not speak this protocol.
    Garbage,
    /// It speaks another version.
    Version(u8),
    /// It belongs to another cluster.
    Cluster(u64),
    /// Its number is none of a node, or not the one that it should have.
    Member(u16),
    /// It wanted to talk to another node.
    Addressee(u16),
    /// It does not know the secret.
    Secret,
    /// It refused us, for the reason with this number.
    Theirs(u8),
}

impl Refusal {
    /// What is told to the other side. 0 is kept for a proof.
    fn code(&self) -> u8 {
        match self {
            Refusal::Garbage => 1,
            Refusal::Version(_) => 2,
            Refusal::Cluster(_) => 3,
            Refusal::Member(_) => 4,
            Refusal::Addressee(_) => 5,
            Refusal::Secret => 6,
            Refusal::Theirs(_) => 7,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Garbage => f.write_str("it does not speak the protocol between nodes"),
            Refusal::Version(theirs) => {
                write!(
                    f,
                    "it speaks version {theirs} of the protocol between nodes, this node version {}",
                    wire::VERSION
                )
            }
            Refusal::Cluster(theirs) => write!(f, "it belongs to another cluster ({theirs:016x})"),
            Refusal::Member(theirs) => {
                write!(
                    f,
                    "it says that it is node {theirs}, which it cannot be: compare the numbers and addresses in both configurations"
                )
            }
            Refusal::Addressee(meant) => {
                write!(
                    f,
                    "it wanted to reach node {meant}: compare the addresses of the members in both configurations"
                )
            }
            Refusal::Secret => f.write_str("it does not know the peer_secret of this cluster"),
            Refusal::Theirs(code) => {
                let why = match code {
                    1 => "it does not understand us",
                    2 => "it speaks another version",
                    3 => "it belongs to another cluster",
                    4 => "our number is not the one that it expects",
                    5 => "we meant another node",
                    6 => "its peer_secret is another",
                    _ => "for a reason that we do not know",
                };
                write!(f, "it refused this node: {why}")
            }
        }
    }
}

/// What follows bytes of the other side.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes must come.
    More,
    /// Both sides have proved themselves.
    Done {
        /// The peer.
        peer: NodeId,
        /// Its life.
        incarnation: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hello {
    from: NodeId,
    /// Node 0 when the sender is not the one that chose.
    to: NodeId,
    cluster: u64,
    incarnation: u64,
    nonce: [u8; 16],
}

#[derive(Debug)]
enum Stage {
    Hello,
    Proof { peer: NodeId, incarnation: u64, transcript: Vec<u8> },
    Over,
}

/// One side of a handshake. It does no input or output of its own.
#[derive(Debug)]
pub struct Handshake {
    /// The node that was dialed; `None` on the accepting side.
    dialed: Option<NodeId>,
    nonce: [u8; 16],
    stage: Stage,
    ours: Vec<u8>,
}

impl Handshake {
    /// The side that dials `peer`. `nonce` is fresh and random.
    pub fn dial(identity: &Identity, peer: NodeId, nonce: [u8; 16], out: &mut Vec<u8>) -> Handshake {
        let ours = hello_bytes(identity, peer, nonce);
        out.extend_from_slice(&ours);
        Handshake { dialed: Some(peer), nonce, stage: Stage::Hello, ours }
    }

    /// The side that was dialed.
    pub fn accept(nonce: [u8; 16]) -> Handshake {
        Handshake { dialed: None, nonce, stage: Stage::Hello, ours: Vec::new() }
    }

    /// Consumes what it can of the other side's bytes. After an error, what is in `out` should be sent and the
    /// connection be closed.
    pub fn receive(
        &mut self,
        identity: &Identity,
        input: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Progress, Refusal> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Hello => {
                    let seen = input.len().min(MAGIC.len());
                    if input[..seen] != MAGIC[..seen] {
                        return Err(Refusal::Garbage);
                    }
                    let Some(theirs) = take::<HELLO_BYTES>(input) else {
                        // The version is judged as soon as it is there: another one may have a shorter hello.
                        if let Some(&version) = input.get(MAGIC.len())
                            && version != wire::VERSION
                        {
                            return Err(Refusal::Version(version));
                        }
                        self.stage = Stage::Hello;
                        return Ok(Progress::More);
                    };
                    self.hello(identity, &theirs, out)?;
                }
                Stage::Proof { peer, incarnation, transcript } => {
                    let Some(proof) = take::<PROOF_BYTES>(input) else {
                        self.stage = Stage::Proof { peer, incarnation, transcript };
                        return Ok(Progress::More);
                    };
                    return self.proof(identity, peer, incarnation, &transcript, &proof, out);
                }
                Stage::Over => return Err(Refusal::Garbage),
            }
        }
    }

    fn hello(&mut self, identity: &Identity, theirs: &[u8; HELLO_BYTES], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let judged = read_hello(theirs).and_then(|hello| self.judge(identity, &hello).map(|()| hello));
        if self.dialed.is_none() {
            let to = judged.as_ref().map_or(NodeId(0), |hello| hello.from);
            self.ours = hello_bytes(identity, to, self.nonce);
            out.extend_from_slice(&self.ours);
        }
        let hello = judged.inspect_err(|why| refuse(why, out))?;
        let transcript = match self.dialed {
            Some(_) => [&self.ours[..], theirs].concat(),
            None => [theirs, &self.ours[..]].concat(),
        };
        if self.dialed.is_some() {
            prove(identity, b"dialer", &transcript, out);
        }
        self.stage = Stage::Proof { peer: hello.from, incarnation: hello.incarnation, transcript };
        Ok(())
    }

    fn judge(&self, identity: &Identity, hello: &Hello) -> Result<(), Refusal> {
        if hello.cluster != identity.cluster {
            return Err(Refusal::Cluster(hello.cluster));
        }
        let expected = match self.dialed {
            Some(dialed) => hello.from == dialed,
            // Who will be let in may knock before this node has heard of it: the secret decides, not a list.
            None => hello.from != identity.node && (1..=limits::NODE_ID_MAX).contains(&hello.from.0),
        };
        if !expected {
            return Err(Refusal::Member(hello.from.0));
        }
        if hello.to != identity.node {
            return Err(Refusal::Addressee(hello.to.0));
        }
        Ok(())
    }

    fn proof(
        &self,
        identity: &Identity,
        peer: NodeId,
        incarnation: u64,
        transcript: &[u8],
        proof: &[u8; PROOF_BYTES],
        out: &mut Vec<u8>,
    ) -> Result<Progress, Refusal> {
        if proof[0] != 0 {
            return Err(Refusal::Theirs(proof[0]));
        }
        let label: &[u8] = if self.dialed.is_some() { b"acceptor" } else { b"dialer" };
        if mac(identity, label, transcript).verify_slice(&proof[1..]).is_err() {
            refuse(&Refusal::Secret, out);
            return Err(Refusal::Secret);
        }
        if self.dialed.is_none() {
            prove(identity, b"acceptor", transcript, out);
        }
        Ok(Progress::Done { peer, incarnation })
    }
}

fn take<const N: usize>(input: &mut Vec<u8>) -> Option<[u8; N]> {
    let taken = *input.first_chunk::<N>()?;
    input.drain(..N);
    Some(taken)
}

fn mac(identity: &Identity, label: &[u8], transcript: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&identity.secret).expect("HMAC takes keys of any length");
    mac.update(label);
    mac.update(transcript);
    mac
}

fn prove(identity: &Identity, label: &[u8], transcript: &[u8], out: &mut Vec<u8>) {
    out.push(0);
    out.extend_from_slice(&mac(identity, label, transcript).finalize().into_bytes());
}

fn refuse(why: &Refusal, out: &mut Vec<u8>) {
    out.push(why.code());
    out.extend_from_slice(&[0; PROOF_BYTES - 1]);
}

fn hello_bytes(identity: &Identity, to: NodeId, nonce: [u8; 16]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HELLO_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.push(wire::VERSION);
    bytes.extend_from_slice(&identity.cluster.to_le_bytes());
    bytes.extend_from_slice(&identity.node.0.to_le_bytes());
    bytes.extend_from_slice(&to.0.to_le_bytes());
    bytes.extend_from_slice(&identity.incarnation.to_le_bytes());
    bytes.extend_from_slice(&nonce);
    bytes
}

fn read_hello(bytes: &[u8; HELLO_BYTES]) -> Result<Hello, Refusal> {
    let number = |from: usize| u64::from_le_bytes(std::array::from_fn(|at| bytes[from + at]));
    let small = |from: usize| u16::from_le_bytes([bytes[from], bytes[from + 1]]);
    if bytes[..4] != MAGIC {
        return Err(Refusal::Garbage);
    }
    if bytes[4] != wire::VERSION {
        return Err(Refusal::Version(bytes[4]));
    }
    Ok(Hello {
        cluster: number(5),
        from: NodeId(small(13)),
        to: NodeId(small(15)),
        incarnation: number(17),
        nonce: std::array::from_fn(|at| bytes[25 + at]),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn identity(node: u16) -> Identity {
        Identity { cluster: 7, node: NodeId(node), incarnation: u64::from(node) * 10, secret: b"secret".to_vec() }
    }

    type Side = Result<Progress, Refusal>;

    /// Lets both sides talk until neither has anything to say; gives how it ended for each.
    fn meet(dialer: &Identity, acceptor: &Identity, wanted: u16, step: usize) -> (Side, Side) {
        let (mut to_acceptor, mut to_dialer) = (Vec::new(), Vec::new());
        let mut one = Handshake::dial(dialer, NodeId(wanted), [1; 16], &mut to_acceptor);
        let mut two = Handshake::accept([2; 16]);
        let (mut at_one, mut at_two) = (Vec::new(), Vec::new());
        let (mut first, mut second) = (Ok(Progress::More), Ok(Progress::More));
        while !to_acceptor.is_empty() || !to_dialer.is_empty() {
            let piece = to_acceptor.drain(..step.min(to_acceptor.len())).collect::<Vec<u8>>();
            at_two.extend(piece);
            if second == Ok(Progress::More) {
                second = two.receive(acceptor, &mut at_two, &mut to_dialer);
            }
            let piece = to_dialer.drain(..step.min(to_dialer.len())).collect::<Vec<u8>>();
            at_one.extend(piece);
            if first == Ok(Progress::More) {
                first = one.receive(dialer, &mut at_one, &mut to_acceptor);
            }
        }
        (first, second)
    }

    #[test]
    fn members_meet_whatever_the_chunks() {
        for step in [1, 7, 41, 1000] {
            let (first, second) = meet(&identity(1), &identity(2), 2, step);
            assert_eq!(first, Ok(Progress::Done { peer: NodeId(2), incarnation: 20 }));
            assert_eq!(second, Ok(Progress::Done { peer: NodeId(1), incarnation: 10 }));
        }
    }

    #[test]
    fn a_node_that_nobody_has_heard_of_is_let_in_by_the_secret() {
        let (first, second) = meet(&identity(9), &identity(2), 2, 1000);
        assert_eq!(first, Ok(Progress::Done { peer: NodeId(2), incarnation: 20 }));
        assert_eq!(second, Ok(Progress::Done { peer: NodeId(9), incarnation: 90 }));
    }

    #[test]
    fn strangers_are_refused_by_both_sides() {
        let with = |change: fn(&mut Identity)| {
            let mut changed = identity(1);
            change(&mut changed);
            meet(&changed, &identity(2), 2, 1000)
        };
        let foreign = with(|identity| identity.cluster = 8);
        assert_eq!(foreign, (Err(Refusal::Cluster(7)), Err(Refusal::Cluster(8))));
        let secret = with(|identity| identity.secret = b"other".to_vec());
        assert_eq!(secret, (Err(Refusal::Theirs(6)), Err(Refusal::Secret)));
        for number in [0, 64] {
            let mut nobody = identity(1);
            nobody.node = NodeId(number);
            assert_eq!(meet(&nobody, &identity(2), 2, 1000).1, Err(Refusal::Member(number)));
        }
        let oneself = with(|identity| identity.node = NodeId(2));
        assert_eq!(oneself.1, Err(Refusal::Member(2)));
        let addressee = meet(&identity(1), &identity(2), 3, 1000);
        assert_eq!(addressee, (Err(Refusal::Member(2)), Err(Refusal::Addressee(3))));
    }

    #[test]
    fn an_acceptor_without_the_secret_is_refused() {
        let mut thief = identity(2);
        thief.secret = b"guess".to_vec();
        let (mut wire, mut out, mut answer) = (Vec::new(), Vec::new(), Vec::new());
        let mut dialer = Handshake::dial(&identity(1), NodeId(2), [1; 16], &mut wire);
        let mut acceptor = Handshake::accept([2; 16]);
        acceptor.receive(&thief, &mut wire, &mut answer).unwrap();
        dialer.receive(&identity(1), &mut answer, &mut out).unwrap();
        // It skips the check and sends some proof.
        let mut forged = vec![0; PROOF_BYTES];
        assert_eq!(dialer.receive(&identity(1), &mut forged, &mut out), Err(Refusal::Secret));
        // A proof of the dialer, reflected, is none of the acceptor.
        let mut dialer = Handshake::dial(&identity(1), NodeId(2), [1; 16], &mut wire);
        let mut hello = hello_bytes(&identity(2), NodeId(1), [2; 16]);
        let mut proof = Vec::new();
        dialer.receive(&identity(1), &mut hello, &mut proof).unwrap();
        assert_eq!(dialer.receive(&identity(1), &mut proof, &mut out), Err(Refusal::Secret));
    }

    #[test]
    fn garbage_and_other_versions_are_known_early() {
        let receive =
            |bytes: &[u8]| Handshake::accept([0; 16]).receive(&identity(1), &mut bytes.to_vec(), &mut Vec::new());
        assert_eq!(receive(b"GET / HTTP/1.1"), Err(Refusal::Garbage));
        assert_eq!(receive(b"QRTP\x63"), Err(Refusal::Version(0x63)));
        assert_eq!(receive(b"QR"), Ok(Progress::More));
    }
}
