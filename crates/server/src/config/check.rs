//! Contradictions in a configuration, each with a sentence that says what to change.

use super::{Config, ConfigError};
use quorate_core::limits;
use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs};

impl Config {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_members()?;
        self.check_tables()?;
        self.check_timing()?;
        self.check_repair()?;
        self.check_limits()?;
        self.check_listen()
    }

    /// What is allowed and hardly meant.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let members = self.members.len();
        // Who joins knows the members that were, not those that will be.
        if members.is_multiple_of(2) && !self.join {
            warnings.push(format!(
                "{members} members survive the loss of no more nodes than {} do: an odd number is better",
                members - 1
            ));
        }
        if self.security.insecure {
            warnings.push("insecure = true: whoever reaches the ports may read and change everything".to_string());
        }
        if self.faults_allowed {
            warnings.push("faults_allowed = true: clients may cut this node off from the others".to_string());
        }
        warnings
    }

    fn check_members(&self) -> Result<(), ConfigError> {
        if self.cluster.is_empty() {
            return wrong("cluster needs a name");
        }
        if self.data.as_os_str().is_empty() {
            return wrong("data needs a directory");
        }
        let (mut nodes, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        for member in &self.members {
            if !(1..=limits::NODE_ID_MAX).contains(&member.node) {
                return wrong(format!(
                    "members: node {} is out of range; nodes are 1 to {}",
                    member.node,
                    limits::NODE_ID_MAX
                ));
            }
            if !nodes.insert(member.node) {
                return wrong(format!("members: node {} stands there twice", member.node));
            }
            let own = [Some(&member.peer), member.resp.as_ref(), member.http.as_ref()];
            for address in own.into_iter().flatten() {
                check_address("members", address)?;
                if !addresses.insert(address) {
                    return wrong(format!("members: the address {address} stands there twice"));
                }
            }
        }
        if !nodes.contains(&self.node) {
            return wrong(format!("node = {}, but members has no node {0}: add it, or correct the number", self.node));
        }
        if self.join && self.founders().is_empty() {
            return wrong("join = true, but members has no other node: name those of the cluster that this node joins");
        }
        Ok(())
    }

    fn check_tables(&self) -> Result<(), ConfigError> {
        let mut names = BTreeSet::new();
        for table in &self.tables {
            if table.name.is_empty() || !names.insert(&table.name) {
                return wrong(format!("tables: the name {:?} is empty or stands there twice", table.name));
            }
            if table.groups == 0 {
                return wrong(format!("tables: {} needs at least one group", table.name));
            }
        }
        if self.databases() as usize > limits::TABLES {
            return wrong(format!("tables: at most {} are possible besides the databases", limits::TABLES - 16));
        }
        let groups = self.tables.iter().map(|table| u32::from(table.groups)).sum::<u32>() + u32::from(self.groups);
        if self.groups == 0 || groups > u32::from(limits::GROUPS) {
            return wrong(format!("groups: 1 to {} in all are possible, these are {groups}", limits::GROUPS));
        }
        Ok(())
    }

    fn check_timing(&self) -> Result<(), ConfigError> {
        let timing = &self.timing;
        if timing.heartbeat_ms == 0 {
            return wrong("timing: heartbeat_ms must be at least 1");
        }
        if timing.election_ms <= timing.heartbeat_ms.saturating_mul(2) {
            return wrong(format!(
                "timing: election_ms = {} must be more than twice heartbeat_ms = {}, or followers rise against a leader that is well",
                timing.election_ms, timing.heartbeat_ms
            ));
        }
        if timing.election_ms > 600_000 || timing.clock_uncertainty_ms > 600_000 {
            return wrong("timing: more than ten minutes (600000) cannot be meant");
        }
        Ok(())
    }

    fn check_repair(&self) -> Result<(), ConfigError> {
        let repair = &self.repair;
        if !(1..=100).contains(&repair.share_percent) {
            return wrong(format!("repair: share_percent = {} must be 1 to 100", repair.share_percent));
        }
        if repair.compare_ms > 86_400_000 {
            return wrong("repair: compare_ms of more than a day (86400000) cannot be meant; 0 is never");
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        if limits.connections == 0 || limits.pipeline == 0 {
            return wrong("limits: connections and pipeline must be at least 1");
        }
        if limits.output_bytes < 1024 * 1024 {
            return wrong("limits: output_bytes must be at least 1048576, or ordinary replies close connections");
        }
        Ok(())
    }

    fn check_listen(&self) -> Result<(), ConfigError> {
        let listen = &self.listen;
        let all = [("listen.resp", &listen.resp), ("listen.http", &listen.http), ("listen.peer", &listen.peer)];
        let mut taken: Vec<(&str, &String)> = Vec::new();
        for (option, address) in all {
            check_address(option, address)?;
            if let Some((other, _)) = taken.iter().find(|(_, taken)| *taken == address && !address.ends_with(":0")) {
                return wrong(format!("{option} and {other} are the same address, {address}"));
            }
            taken.push((option, address));
        }
        if self.security.insecure {
            return Ok(());
        }
        for (option, address) in all {
            if is_loopback(address) {
                continue;
            }
            let (given, what) = match option {
                "listen.peer" => (self.security.peer_secret.as_deref(), "peer_secret"),
                _ => (self.security.password.as_deref(), "password"),
            };
            if given.is_none_or(str::is_empty) {
                return wrong(format!(
                    "{option} = \"{address}\" can be reached from other machines, and security.{what} is not set: set it, \
                     listen on 127.0.0.1, or write insecure = true under [security]"
                ));
            }
        }
        Ok(())
    }
}

fn check_address(option: &str, address: &str) -> Result<(), ConfigError> {
    let port = address.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>()));
    match port {
        Some(Ok(_)) => Ok(()),
        Some(Err(_)) | None => wrong(format!("{option}: {address:?} is no address; write host:port")),
    }
}

/// Can an address be reached from this machine alone? A name counts as what it means here.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => address.to_socket_addrs().is_ok_and(|mut all| all.all(|address| address.ip().is_loopback())),
    }
}

fn wrong<T>(text: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError(text.into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn example() -> Config {
        Config::parse(Config::example()).unwrap()
    }

    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = example();
        change(&mut config);
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn the_example_is_right_and_shows_the_defaults() {
        let config = example();
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.warnings(), Vec::<String>::new());
        let parsed = Config::parse(&config.to_text()).unwrap();
        assert_eq!(parsed, config);
        // Taking the comment off a default changes nothing.
        let keys = [
            "join", "groups", "faults", "insecure", "heart", "election", "clock", "sync", "over", "journ", "cache",
            "conn", "pipe", "output",
        ];
        let uncommented: Vec<String> = Config::example()
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.contains(" = ") && keys.iter().any(|key| rest.starts_with(key)) => rest.to_string(),
                _ => line.to_string(),
            })
            .collect();
        let at = uncommented.iter().position(|line| line.starts_with("# [[tables]]")).unwrap();
        assert_eq!(Config::parse(&uncommented[..at].join("\n")).unwrap(), config);
    }

    #[test]
    fn errors_name_the_line_and_the_key() {
        let text = Config::example().replace("[timing]", "[timing]\nheartbeet_ms = 5");
        let error = Config::parse(&text).unwrap_err().to_string();
        assert!(error.contains("line ") && error.contains("heartbeet_ms"), "{error}");
        let error = Config::parse("node = \"one\"").unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("node"), "{error}");
    }

    #[test]
    fn contradictions_are_refused() {
        for (text, part) in [
            (refused(|config| config.node = 4), "members has no node 4"),
            (refused(|config| config.members[1].node = 1), "node 1 stands there twice"),
            (refused(|config| config.members[1].node = 64), "nodes are 1 to 63"),
            (
                refused(|config| {
                    config.join = true;
                    config.members.truncate(1);
                }),
                "no other node",
            ),
            (
                refused(|config| config.members[1].peer = config.members[0].peer.clone()),
                "127.0.0.1:7479 stands there twice",
            ),
            (refused(|config| config.members[1].peer = "nowhere".to_string()), "is no address"),
            (refused(|config| config.timing.election_ms = 200), "more than twice"),
            (refused(|config| config.groups = 0), "1 to 256"),
            (refused(|config| config.listen.http = config.listen.resp.clone()), "the same address"),
            (refused(|config| config.listen.resp = "0.0.0.0:7379".to_string()), "security.password"),
            (refused(|config| config.listen.peer = "192.0.2.1:7479".to_string()), "security.peer_secret"),
            (refused(|config| config.repair.share_percent = 0), "share_percent"),
            (refused(|config| config.limits.output_bytes = 10), "output_bytes"),
        ] {
            assert!(text.contains(part), "{text:?} does not say {part:?}");
        }
    }

    #[test]
    fn open_ports_need_secrets_or_the_word() {
        let mut config = example();
        config.listen.resp = "0.0.0.0:7379".to_string();
        config.security.insecure = true;
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.warnings().len(), 1);
        config.security.insecure = false;
        config.security.password = Some("secret".to_string());
        assert_eq!(config.check(), Ok(()));
        assert!(!format!("{config:?}").contains("secret\""), "a password is never shown");
    }
}
