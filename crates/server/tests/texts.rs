//! Texts that editors write at several nodes: over the Redis protocol, and over HTTP as an editor would.
#![allow(clippy::unwrap_used)]

mod common;
mod http_support;

use common::{Client, configs, until};
use http_support::{Answer, Client as Http};
use quorate_server::server::Server;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{ClientID, Doc, GetString, OffsetKind, Options, ReadTxn, StateVector, Text, Transact, Update};

struct Nodes {
    servers: Vec<Server>,
    _directory: tempfile::TempDir,
}

impl Nodes {
    fn start(nodes: u16) -> Nodes {
        let directory = tempfile::tempdir().unwrap();
        let servers = configs(nodes, directory.path()).iter().map(|config| Server::start(config).unwrap()).collect();
        let nodes = Nodes { servers, _directory: directory };
        let replicas = nodes.servers.len();
        let create = format!("QTABLE CREATE notes shape leaderless cell text replicas {replicas}");
        until("the table", || nodes.resp(0).ask(&create).starts_with("+OK"));
        for node in 0..nodes.servers.len() {
            until("the text", || nodes.resp(node).ask("WITH table=notes TEXT.INSERT warm 0 up").starts_with(':'));
        }
        nodes
    }
    fn resp(&self, node: usize) -> Client {
        Client::connect(self.servers[node].resp)
    }
    fn http(&self, node: usize, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        Http::connect(self.servers[node].http).ask(method, &format!("/v1/tables/notes/keys/{path}"), headers, body)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for server in self.servers.drain(..) {
            server.handle.stop();
            server.join().unwrap();
        }
    }
}

/// An editor that speaks to one node.
struct Editor<'a> {
    nodes: &'a Nodes,
    node: usize,
    doc: Doc,
}

impl Editor<'_> {
    fn new(nodes: &Nodes, node: usize) -> Editor<'_> {
        let client = ClientID::new(node as u64 + 1);
        let doc = Doc::with_options(Options { offset_kind: OffsetKind::Utf16, ..Options::with_client_id(client) });
        Editor { nodes, node, doc }
    }
    fn write(&self, position: u32, text: &str) {
        let (shared, before) = (self.doc.get_or_insert_text("text"), self.doc.transact().state_vector());
        shared.insert(&mut self.doc.transact_mut(), position, text);
        let update = self.doc.transact().encode_diff_v1(&before);
        let answer = self.nodes.http(self.node, "POST", "page:update", &[], &update);
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    fn sync(&self) {
        let known = self.doc.transact().state_vector().encode_v1();
        let known: String = known.iter().map(|byte| format!("{byte:02x}")).collect();
        let answer = self.nodes.http(self.node, "GET", &format!("page?vector={known}"), &[], b"");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/octet-stream")));
        self.doc.transact_mut().apply_update(Update::decode_v1(&answer.body).unwrap()).unwrap();
    }
    fn text(&self) -> String {
        self.doc.get_or_insert_text("text").get_string(&self.doc.transact())
    }
}

#[test]
fn two_editors_at_two_nodes_and_a_client_by_position_write_one_text() {
    let nodes = Nodes::start(3);
    let (one, other) = (Editor::new(&nodes, 0), Editor::new(&nodes, 1));
    one.write(0, "Hello 😀");
    other.sync();
    assert_eq!(other.text(), "Hello 😀");
    // At once: neither heard of the other.
    one.write(5, ", world");
    other.write(8, "!");
    let mut client = nodes.resp(2);
    assert_eq!(client.ask("WITH table=notes TEXT.INSERT page 0 >"), ":17|");
    for editor in [&one, &other] {
        editor.sync();
        assert_eq!(editor.text(), ">Hello, world 😀!");
    }
    assert_eq!(client.ask("WITH table=notes TEXT.DELETE page 0 1"), ":16|");
    assert_eq!(client.ask("WITH table=notes TEXT.LENGTH page"), ":16|");
    for node in 0..3 {
        let answer = nodes.http(node, "GET", "page", &[], b"");
        let found = (answer.status, answer.header("content-type"), answer.text());
        assert_eq!(found, (200, Some("text/plain; charset=utf-8"), "Hello, world 😀!".to_string()));
        assert_eq!(nodes.resp(node).ask("WITH table=notes GET page"), "$18|Hello, world 😀!|");
    }
    // A new editor takes it all.
    let late = Doc::new();
    let answer = nodes.http(2, "GET", "page", &[("Accept", "application/octet-stream")], b"");
    late.transact_mut().apply_update(Update::decode_v1(&answer.body).unwrap()).unwrap();
    assert_eq!(late.get_or_insert_text("text").get_string(&late.transact()), "Hello, world 😀!");
    let vector = nodes.http(2, "GET", "page?vector=", &[], b"");
    assert_eq!(Update::decode_v1(&vector.body).unwrap().state_vector(), late.transact().state_vector());
    assert_ne!(late.transact().state_vector(), StateVector::default());
}

#[test]
fn what_is_no_text_or_update_is_refused() {
    let nodes = Nodes::start(1);
    nodes.http(0, "POST", "page:update", &[], b"nonsense").is_problem(422, "impossible", "no");
    nodes.http(0, "GET", "page", &[], b"").is_problem(404, "key-absent", "no");
    nodes.http(0, "GET", "warm?vector=0", &[], b"").is_problem(400, "malformed", "no");
    nodes.http(0, "GET", "warm?vector=01", &[], b"").is_problem(422, "impossible", "no");
    nodes.http(0, "PUT", "page", &[], b"v").is_problem(422, "impossible", "no");
    let mut client = nodes.resp(0);
    let refused = client.ask("WITH table=notes TEXT.INSERT warm 9 x");
    assert_eq!(refused, "-ERR applied: no; the text ends before that: it has 2 UTF-16 units|");
    // On a table with a log there are no texts.
    let refused = client.ask("TEXT.INSERT page 0 x");
    assert!(refused.starts_with("-ERR texts are cells of leaderless tables"), "{refused}");
    let answer = Http::connect(nodes.servers[0].http).ask("GET", "/v1/keys/page?vector=", &[], b"");
    answer.is_problem(400, "malformed", "no");
}
