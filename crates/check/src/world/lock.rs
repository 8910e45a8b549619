//! Locks, with and without fencing tokens.

use super::{State, Table};
use crate::Step;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Lock {
    holder: Option<u32>,
    /// The token of the holder, if it is known.
    token: Option<i64>,
    /// The newest token that was granted.
    granted: Option<i64>,
    /// The newest token that was granted or accepted.
    newest: Option<i64>,
}

#[derive(Default)]
pub(super) struct Locks {
    table: Table<Lock>,
}

impl Locks {
    pub(super) fn bytes(&self) -> u64 {
        self.table.len() as u64 * 128
    }

    pub(super) fn first(&mut self) -> State {
        self.table.name(Lock::default())
    }

    pub(super) fn step(&mut self, state: State, step: &Step, session: u32, open: bool) -> Option<State> {
        let lock = *self.table.of(state);
        let next = match *step {
            Step::Acquire { token, .. } => {
                let token = token.filter(|_| !open);
                let greater = token.is_none_or(|token| lock.granted.is_none_or(|granted| token > granted));
                let (granted, newest) = (token.or(lock.granted), lock.newest.max(token));
                let held = Lock { holder: Some(session), token, granted, newest };
                (lock.holder.is_none() && greater).then_some(held)
            }
            Step::Release { token, .. } => {
                let same = lock.token.is_none() || token.is_none() || lock.token == token;
                let free = Lock { holder: None, token: None, ..lock };
                (lock.holder == Some(session) && same).then_some(free)
            }
            Step::Guarded { token, .. } => {
                let current = lock.newest.is_none_or(|newest| token >= newest);
                current.then_some(Lock { newest: Some(token), ..lock })
            }
            _ => None,
        };
        next.map(|next| self.table.name(next))
    }
}
