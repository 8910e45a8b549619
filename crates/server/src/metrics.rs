//! Counters that the event loop keeps and `/metrics`, `INFO` and `status` show.

/// A copy of the counters at one moment. Times are in microseconds, sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Metrics {
    /// Steps of the machine.
    pub steps: u64,
    /// Calls answered.
    pub answered: u64,
    /// Calls answered with `Refused`.
    pub refused: u64,
    /// Calls answered with `Unknown` or `Short`.
    pub uncertain: u64,
    /// Client connections that are open.
    pub connections: u64,
    /// Client connections since the start.
    pub connections_total: u64,
    /// Client connections refused because there were too many.
    pub connections_refused: u64,
    /// Client connections closed because the client did not read its replies.
    pub connections_slow: u64,
    /// Bytes received from clients.
    pub client_bytes_in: u64,
    /// Bytes sent to clients.
    pub client_bytes_out: u64,
    /// Peers with a working link.
    pub peers_connected: u64,
    /// Messages received from peers.
    pub peer_messages_in: u64,
    /// Messages sent to peers.
    pub peer_messages_out: u64,
    /// Messages to peers that were dropped: no link, a full one, or an injected fault.
    pub peer_messages_dropped: u64,
    /// Bytes written to the journal.
    pub journal_bytes: u64,
    /// Bytes that the store holds in memory before they reach its base.
    pub overlay_bytes: u64,
    /// Syncs of the journal.
    pub syncs: u64,
    /// Time of all syncs.
    pub sync_us_total: u64,
    /// The longest sync.
    pub sync_us_max: u64,
    /// Time since the start.
    pub uptime_us: u64,
}
