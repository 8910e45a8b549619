//! What survives of a host, and what ends with one life of its process.

use super::{Clock, Disk, Subject};
use quorate_core::machine::{CallId, Input, NodeId};
use quorate_core::random::Random;
use quorate_core::store::Seq;
use std::collections::VecDeque;

pub(super) struct Host<M: Subject> {
    pub config: M::Config,
    pub disk: Disk,
    /// An earlier state of the disk, as a backup has it.
    pub copy: Option<Disk>,
    pub clock: Clock,
    /// Decides how long syncs take.
    pub random: Random,
    /// How many lives there were.
    pub incarnation: u64,
    /// `None` while the host is down.
    pub life: Option<Life<M>>,
    pub paused: bool,
    /// What arrived during the pause.
    pub waiting: Vec<Input<M::Request, M::Message>>,
    pub slow_us: u64,
    pub stalled_until: u64,
    /// When it last consumed an input.
    pub stepped_us: Option<u64>,
}

/// One life of the process.
pub(super) struct Life<M: Subject> {
    pub machine: M,
    pub random: Random,
    pub held_sends: VecDeque<(Seq, NodeId, M::Message)>,
    pub held_answers: VecDeque<(Seq, CallId, M::Reply)>,
    pub syncing: bool,
    /// Somebody asked for a sync while one was under way.
    pub hurry_again: bool,
    /// The true time of the wake that is planned.
    pub wake_at: Option<u64>,
    pub wakes_in_a_row: u32,
    pub first_wake_us: u64,
}

/// So many wakes within a second without any other input between them are a machine that spins.
const WAKES_IN_A_ROW: u32 = 20_000;

impl<M: Subject> Host<M> {
    pub fn new(config: M::Config, clock: Clock, random: Random) -> Host<M> {
        Host {
            config,
            disk: Disk::default(),
            copy: None,
            clock,
            random,
            incarnation: 0,
            life: None,
            paused: false,
            waiting: Vec::new(),
            slow_us: 0,
            stalled_until: 0,
            stepped_us: None,
        }
    }
}

impl<M: Subject> Life<M> {
    pub fn new(machine: M, random: Random) -> Life<M> {
        Life {
            machine,
            random,
            held_sends: VecDeque::new(),
            held_answers: VecDeque::new(),
            syncing: false,
            hurry_again: false,
            wake_at: None,
            wakes_in_a_row: 0,
            first_wake_us: 0,
        }
    }
    /// Counts wakes between other inputs. True once when they are so many that the machine must be spinning.
    pub fn count_wake(&mut self, is_wake: bool, now_us: u64) -> bool {
        if !is_wake || now_us > self.first_wake_us + 1_000_000 {
            self.wakes_in_a_row = 0;
            self.first_wake_us = now_us;
        }
        self.wakes_in_a_row += u32::from(is_wake);
        self.wakes_in_a_row == WAKES_IN_A_ROW
    }
}
