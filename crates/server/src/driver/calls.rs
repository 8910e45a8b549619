//! Who waits for which call.

use quorate_core::machine::CallId;
use quorate_core::operation::Reply;
use tokio::sync::oneshot;

/// Who asked.
#[derive(Debug)]
pub enum Owner {
    /// A client of the Redis protocol.
    Client {
        /// Its place in the table of clients.
        client: usize,
        /// Its name, since places are used again.
        id: u64,
        /// The place among its replies.
        slot: u64,
    },
    /// Another thread.
    Thread(oneshot::Sender<Reply>),
    /// The loop itself, for the log.
    Watch,
}

#[derive(Debug)]
struct Place {
    /// Rises whenever the place is used again, so that no two calls of a life have the same name.
    generation: u32,
    owner: Option<Owner>,
}

/// The calls in flight.
#[derive(Debug, Default)]
pub struct Calls {
    places: Vec<Place>,
    free: Vec<u32>,
}

impl Calls {
    /// Names a call.
    pub fn begin(&mut self, owner: Owner) -> CallId {
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.places.push(Place { generation: 0, owner: None });
                self.places.len() as u32 - 1
            }
        };
        let place = &mut self.places[at as usize];
        place.generation = place.generation.wrapping_add(1);
        place.owner = Some(owner);
        CallId(u64::from(place.generation) << 32 | u64::from(at))
    }

    /// A call is answered: who asked.
    pub fn end(&mut self, call: CallId) -> Option<Owner> {
        let (generation, at) = ((call.0 >> 32) as u32, call.0 as u32);
        let place = self.places.get_mut(at as usize).filter(|place| place.generation == generation)?;
        let owner = place.owner.take()?;
        self.free.push(at);
        Some(owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_used_once() {
        let mut calls = Calls::default();
        let owner = |slot| Owner::Client { client: 0, id: 1, slot };
        let first = calls.begin(owner(1));
        assert!(matches!(calls.end(first), Some(Owner::Client { slot: 1, .. })));
        let second = calls.begin(owner(2));
        assert_ne!(first, second);
        assert!(calls.end(first).is_none());
        assert!(matches!(calls.end(second), Some(Owner::Client { slot: 2, .. })));
        assert!(calls.end(second).is_none());
    }
}
