//! Five nodes, each in a network of its own, on a switch that can be cut: packets vanish, and no connection is told. It needs Linux, `ip`
//! and user namespaces; where the machine does not allow them, the test says so and does nothing.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use quorate_client::{Client, Command as Words, Options};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::cluster::{signal, text};
use support::ledger::{KEYS, Load, judge, make_tables, member};
use support::wait;

/// Set for the copy of this test that runs in namespaces.
const INSIDE: &str = "QUORATE_TEST_INSIDE";
const NODES: u16 = 5;

/// A command in new namespaces, in which it is root and all that it starts ends with it.
fn apart() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    command
}

#[track_caller]
fn run(words: &str) {
    let mut words = words.split(' ');
    let output = Command::new(words.next().unwrap()).args(words.clone()).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
}

/// Two switches that are not connected: a node is on the left one, with the clients, or on the right one.
struct Network;

impl Network {
    fn new() -> Network {
        run("ip link set lo up");
        for switch in ["left", "right"] {
            run(&format!("ip link add name {switch} type bridge"));
            run(&format!("ip link set {switch} up"));
        }
        run("ip addr add 10.77.0.100/24 dev left");
        Network
    }

    fn cut(&self, nodes: &[u16]) {
        nodes.iter().for_each(|node| run(&format!("ip link set port{node} master right")));
    }

    fn heal(&self) {
        (1..=NODES).for_each(|node| run(&format!("ip link set port{node} master left")));
    }
}

/// A node with a network card of its own.
struct Host {
    node: u16,
    /// It keeps the network of the node alive, whatever becomes of the node.
    network: Child,
    process: Option<Child>,
}

fn address(node: u16) -> String {
    format!("10.77.0.{node}:7379")
}

impl Host {
    fn plug(node: u16) -> Host {
        let network = Command::new("unshare").args(["--net", "sleep", "infinity"]).spawn().unwrap();
        let network_of = |process: u32| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
        let own = network_of(std::process::id());
        wait("a network of its own", || network_of(network.id()).filter(|other| Some(other) != own.as_ref()));
        let process = network.id();
        run(&format!("ip link add name port{node} type veth peer name wire netns {process}"));
        for words in
            [&format!("ip addr add 10.77.0.{node}/24 dev wire")[..], "ip link set wire up", "ip link set lo up"]
        {
            run(&format!("nsenter --net=/proc/{process}/ns/net {words}"));
        }
        run(&format!("ip link set port{node} master left up"));
        Host { node, network, process: None }
    }

    /// Starts the node with the data that it has.
    fn start(&mut self, directory: &Path, joins: bool) {
        let node = self.node;
        let mut members: Vec<u16> = (1..=NODES).collect();
        members.extend((node > NODES).then_some(node));
        let members = members.iter().map(|node| format!("{{ node = {node}, peer = \"10.77.0.{node}:7479\" }}"));
        let members = members.collect::<Vec<_>>().join(", ");
        let at = directory.join(format!("node-{node}"));
        let config = format!(
            "node = {node}\ncluster = \"apart\"\njoin = {joins}\ndata = {:?}\nmembers = [{members}]\n\
             listen = {{ resp = \"10.77.0.{node}:7379\", http = \"10.77.0.{node}:7070\", peer = \"10.77.0.{node}:7479\" }}\n\
             security = {{ insecure = true }}\n",
            at.join("data")
        );
        std::fs::create_dir_all(&at).unwrap();
        std::fs::write(at.join("config.toml"), config).unwrap();
        let log = std::fs::File::create(at.join("log")).unwrap();
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.network.id()));
        command.arg(env!("CARGO_BIN_EXE_quorate")).arg("node").arg("--config").arg(at.join("config.toml"));
        self.process = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            signal(process.id(), "KILL");
            process.wait().unwrap();
        }
    }
}

fn answers(node: u16) -> bool {
    let options = Options { deadline: Duration::from_millis(500), retry: false, ..Options::default() };
    Client::new([address(node)], options).call(&Words::new(["PING"])).is_ok()
}

#[test]
fn five_nodes_on_networks_of_their_own() {
    if std::env::var_os(INSIDE).is_some() {
        return run_inside();
    }
    let probe = apart().args(["ip", "link", "add", "name", "probe", "type", "bridge"]).output();
    let why = match probe {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(text(&output.stderr)),
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = why {
        return eprintln!("not run: this machine allows no network namespaces: {}", why.trim());
    }
    let mut command = apart();
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "five_nodes_on_networks_of_their_own", "--nocapture"]).env(INSIDE, "yes");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

fn run_inside() {
    let directory = tempfile::tempdir().unwrap();
    let network = Network::new();
    let mut hosts: Vec<Host> = (1..=NODES).map(Host::plug).collect();
    hosts.iter_mut().for_each(|host| host.start(directory.path(), false));
    let mut addresses: Vec<String> = (1..=NODES).map(address).collect();
    make_tables(&addresses);
    let load = Load::start(&addresses);
    load.progress();

    // One node is cut off, then two; the second time the cluster goes on with the smallest majority.
    for side in [&[5][..], &[1, 4]] {
        network.cut(side);
        load.progress();
        assert!(side.iter().all(|&node| !answers(node)), "what is cut off is out of reach");
        network.heal();
        load.progress();
        wait("all are in reach", || side.iter().all(|&node| answers(node)).then_some(()));
    }

    // One is killed, and its disk is lost.
    hosts[2].kill();
    load.progress();
    member(&addresses, "set 3 --votes no --wait");
    std::fs::remove_dir_all(directory.path().join("node-3/data")).unwrap();
    hosts[2].start(directory.path(), true);
    member(&addresses, "set 3 --votes yes --wait");
    load.progress();

    // One is added, and one is removed.
    hosts.push(Host::plug(6));
    hosts[5].start(directory.path(), true);
    addresses.push(address(6));
    member(&addresses, "add 6 --address 10.77.0.6:7479 --wait");
    load.progress();
    member(&addresses, "remove 2 --wait");
    hosts[1].kill();
    addresses.remove(1);
    member(&addresses, "forget 2");
    load.progress();

    let ledger = load.end();
    assert!(ledger.members.len() as u64 == KEYS && ledger.increments.len() as u64 == 2 * KEYS);
    addresses.iter().for_each(|address| judge(&ledger, address).unwrap());
}
