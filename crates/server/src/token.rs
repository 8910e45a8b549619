//! What a readiness event is about.

use mio::Token;

/// The sources of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Another thread has something for the loop.
    Waker,
    /// A client knocks.
    ClientListener,
    /// A peer knocks.
    PeerListener,
    /// A client's socket, by its place in the table.
    Client(usize),
    /// A peer's socket, by its place in the table.
    Peer(usize),
}

const FIXED: usize = 3;

impl Source {
    /// As mio carries it.
    pub fn token(self) -> Token {
        Token(match self {
            Source::Waker => 0,
            Source::ClientListener => 1,
            Source::PeerListener => 2,
            Source::Client(at) => FIXED + at * 2,
            Source::Peer(at) => FIXED + at * 2 + 1,
        })
    }

    /// Back from mio.
    pub fn of(token: Token) -> Source {
        match token.0 {
            0 => Source::Waker,
            1 => Source::ClientListener,
            2 => Source::PeerListener,
            other if (other - FIXED).is_multiple_of(2) => Source::Client((other - FIXED) / 2),
            other => Source::Peer((other - FIXED) / 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_comes_back() {
        for source in [Source::Waker, Source::ClientListener, Source::PeerListener] {
            assert_eq!(Source::of(source.token()), source);
        }
        for at in 0..5 {
            assert_eq!(Source::of(Source::Client(at).token()), Source::Client(at));
            assert_eq!(Source::of(Source::Peer(at).token()), Source::Peer(at));
        }
    }
}
