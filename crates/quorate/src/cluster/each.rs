//! Asking every node at the same time.

use super::observe::Watcher;
use crate::access::Place;
use crate::exit::{Exit, Failure};
use quorate_client::Error;

/// The address of a node, and what it said or why it did not.
pub type Answer<T> = (String, Result<T, Error>);

/// Asks every node, each from a thread of its own; the answers are in the order of the addresses.
pub fn each<T: Send + 'static>(
    place: &Place,
    ask: impl Fn(&mut Watcher) -> Result<T, Error> + Clone + Send + 'static,
) -> Vec<Answer<T>> {
    let start = |address: String| {
        let (ask, password) = (ask.clone(), place.password());
        std::thread::spawn(move || {
            let answer = ask(&mut Watcher::new(address.clone(), password));
            (address, answer)
        })
    };
    let asked: Vec<_> = place.addresses().into_iter().map(start).collect();
    asked.into_iter().map(|thread| thread.join().expect("asking does not panic")).collect()
}

/// A failure if no node answered.
pub fn reachable<T>(answers: &[Answer<T>]) -> Result<(), Failure> {
    if answers.iter().any(|(_, answer)| answer.is_ok()) {
        return Ok(());
    }
    let Some((_, Err(error))) = answers.last() else { return Err(Failure::usage("no address was given")) };
    Err(Failure { exit: Exit::Unavailable, applied: None, ..Failure::from(error.clone()) })
}
