//! The network between the hosts: late, lossy, doubling, reordering, and cut along any line.

use quorate_core::machine::NodeId;
use quorate_core::random::Random;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How every link behaves when no rule says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weather {
    /// The least delay, in microseconds.
    pub delay_us: u64,
    /// Up to this much more, evenly.
    pub jitter_us: u64,
    /// This many of a thousand messages are much later.
    pub spike_per_mille: u64,
    /// Up to this much later.
    pub spike_us: u64,
    /// This many of a thousand messages are lost.
    pub loss_per_mille: u64,
    /// This many of a thousand messages arrive twice.
    pub double_per_mille: u64,
    /// This many of a thousand messages come once more, long after: leaders and lives may have changed meanwhile.
    #[serde(default)]
    pub late_copy_per_mille: u64,
    /// Up to this much later.
    #[serde(default)]
    pub late_copy_us: u64,
    /// Messages of one link arrive in the order of sending (a second copy may still be late).
    pub ordered: bool,
    /// Arrivals are rounded up to a multiple of this, so that several fall on one instant. At least 1.
    pub grain_us: u64,
}

impl Default for Weather {
    fn default() -> Weather {
        Weather {
            delay_us: 100,
            jitter_us: 400,
            spike_per_mille: 0,
            spike_us: 0,
            loss_per_mille: 0,
            double_per_mille: 0,
            late_copy_per_mille: 0,
            late_copy_us: 0,
            ordered: true,
            grain_us: 1,
        }
    }
}

/// What a fault does to one direction of one link, on top of the weather.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkRule {
    /// Nothing gets through.
    pub cut: bool,
    /// This many of a thousand messages are lost.
    pub drop_per_mille: u16,
    /// Messages arrive this much later, in microseconds.
    pub delay_us: u64,
}

/// All links. A link is one direction between two hosts.
#[derive(Clone, Debug)]
pub struct Network {
    /// How every link behaves when no rule says otherwise.
    pub weather: Weather,
    rules: BTreeMap<(NodeId, NodeId), LinkRule>,
    last_arrival: BTreeMap<(NodeId, NodeId), u64>,
    random: Random,
}

/// When the copies of a message arrive: none if it is lost.
pub type Arrivals = [Option<u64>; 2];

impl Network {
    /// A network with its own stream of randomness.
    pub fn new(random: Random, weather: Weather) -> Network {
        Network { weather, rules: BTreeMap::new(), last_arrival: BTreeMap::new(), random }
    }
    /// Changes the rule of a link.
    pub fn link(&mut self, from: NodeId, to: NodeId) -> &mut LinkRule {
        self.rules.entry((from, to)).or_default()
    }
    /// Is nothing getting through?
    pub fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.rules.get(&(from, to)).is_some_and(|rule| rule.cut)
    }
    /// Forgets all rules.
    pub fn heal(&mut self) {
        self.rules.clear();
    }
    /// Decides when the copies of a message that is sent now arrive.
    pub fn carry(&mut self, now_us: u64, from: NodeId, to: NodeId) -> Arrivals {
        let rule = self.rules.get(&(from, to)).copied().unwrap_or_default();
        let weather = &self.weather;
        if rule.cut
            || (weather.loss_per_mille > 0 && self.random.chance(weather.loss_per_mille))
            || (rule.drop_per_mille > 0 && self.random.chance(u64::from(rule.drop_per_mille)))
        {
            return [None, None];
        }
        let doubled = weather.double_per_mille > 0 && self.random.chance(weather.double_per_mille);
        let mut first = self.arrival(now_us, rule);
        let mut second = doubled.then(|| self.arrival(now_us, rule));
        if self.weather.ordered {
            let last = self.last_arrival.entry((from, to)).or_default();
            first = first.max(*last);
            *last = first;
            second = second.map(|second| second.max(first));
        }
        if self.weather.late_copy_per_mille > 0 && self.random.chance(self.weather.late_copy_per_mille) {
            second = Some(first + self.random.below(self.weather.late_copy_us.max(1)));
        }
        [Some(first), second]
    }

    fn arrival(&mut self, now_us: u64, rule: LinkRule) -> u64 {
        let weather = &self.weather;
        let mut at = now_us + rule.delay_us + weather.delay_us;
        if weather.jitter_us > 0 {
            at += self.random.below(weather.jitter_us);
        }
        if weather.spike_per_mille > 0 && self.random.chance(weather.spike_per_mille) {
            at += self.random.below(weather.spike_us.max(1));
        }
        at.next_multiple_of(weather.grain_us.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    #[test]
    fn a_cut_has_a_direction() {
        let mut network = Network::new(Random::new(1), Weather::default());
        network.link(A, B).cut = true;
        assert_eq!(network.carry(0, A, B), [None, None]);
        assert_ne!(network.carry(0, B, A), [None, None]);
        network.heal();
        assert_ne!(network.carry(0, A, B), [None, None]);
    }

    #[test]
    fn ordered_links_keep_order_and_others_do_not() {
        let arrivals = |ordered| {
            let weather = Weather { jitter_us: 10_000, ordered, ..Weather::default() };
            let mut network = Network::new(Random::new(3), weather);
            (0..100).filter_map(|i| network.carry(i, A, B)[0]).collect::<Vec<_>>()
        };
        assert!(arrivals(true).is_sorted());
        assert!(!arrivals(false).is_sorted());
    }

    #[test]
    fn loss_and_doubling_happen_about_as_often_as_asked() {
        let weather = Weather { loss_per_mille: 100, double_per_mille: 200, ..Weather::default() };
        let mut network = Network::new(Random::new(9), weather);
        let copies: Vec<usize> = (0..10_000).map(|i| network.carry(i, A, B).iter().flatten().count()).collect();
        let count = |n| copies.iter().filter(|&&copies| copies == n).count();
        assert!((800..1200).contains(&count(0)), "{}", count(0));
        assert!((1600..2000).contains(&count(2)), "{}", count(2));
    }
}
