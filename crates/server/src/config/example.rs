//! What `quorate node --print-config` shows.

/// A commented example. Lines that begin with `#` and a key show the default.
pub const EXAMPLE: &str = r#"# One node of a Quorate cluster: quorate node --config FILE

# This node's number among the members below.
node = 1

# The name of the cluster, the same on all members. Data, session tokens and peers are bound to it.
cluster = "example"

# The directory for data. It belongs to this node alone.
data = "./quorate-data/1"

# Begin without a vote and without data, and wait until `quorate member add` at another node lets this one in. For a node that is
# added, and for one whose disk was lost; it may stay here afterwards.
# join = false

# Consensus groups that share the keys of the sixteen databases. Keys of one command must be in one group:
# give them a common {tag}. The same on all members, and never changed.
# groups = 1

# Clients may injure the links to other nodes with QUORATE FAULTS. For test clusters only.
# faults_allowed = false

# Where this node listens. Anything but this machine's own addresses needs a password and a peer_secret.
[listen]
resp = "127.0.0.1:7379"
http = "127.0.0.1:7070"
peer = "127.0.0.1:7479"

# The members that begin the cluster, this node included. An odd number of them: 3 nodes survive the loss of 1, 5 of 2. Those that are
# added later need not be named here; one that joins names itself and these.
# `resp` and `http` are for people and may be left out.
[[members]]
node = 1
peer = "127.0.0.1:7479"
resp = "127.0.0.1:7379"

[[members]]
node = 2
peer = "127.0.0.1:7480"

[[members]]
node = 3
peer = "127.0.0.1:7481"

[security]
# What clients must give: AUTH in the Redis protocol, a bearer token in HTTP.
# password = "…"
# What members must prove that they know; it never crosses the wire. The same on all members.
# peer_secret = "…"
# Listen beyond this machine without the two above.
# insecure = false

[timing]
# A leader that has nothing to say says so this often; a follower that hears nothing for election_ms, and a random part
# of it more, asks for votes.
# heartbeat_ms = 100
# election_ms = 750
# The wall clock may be wrong by so much, to either side. Only expiry of keys depends on it.
# clock_uncertainty_ms = 250

[disk]
# How syncs run: on a "thread" beside the event loop, or "inline".
# sync = "thread"
# Writes that are kept in memory before they move to the base.
# overlay_bytes = 67108864
# The journal is cut when it is larger.
# journal_bytes = 268435456
# Memory for caching the base.
# cache_bytes = 67108864

[repair]
# One leaderless table is compared with one other node this often; 0 is never.
# compare_ms = 10000
# What is compared, moved to other nodes or deleted takes no more than this share of the time of disk and network while clients are
# served, in percent. Without clients it takes what it needs.
# share_percent = 25

[limits]
# Connections of clients, unanswered commands of one connection, and bytes of replies that a client has not read.
# connections = 10000
# pipeline = 1024
# output_bytes = 67108864

# Tables beyond the sixteen databases, with consensus groups of their own: SELECT 16, 17, … reaches them in order.
# [[tables]]
# name = "orders"
# groups = 4
"#;
