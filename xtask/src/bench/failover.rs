//! From the loss of the leader to the next acknowledged write.

use super::QUORATE_PORTS;
use super::measure::middle;
use super::report::Report;
use super::systems::Quorate;
use quorate_client::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Writers on each node that survives.
const WRITERS: u16 = 2;

/// Kills and pauses the leader of a cluster under load, again and again.
pub fn measure(times: usize, report: &mut Report) -> Result<(), String> {
    let quorate = Quorate::start(3, 1, QUORATE_PORTS)?;
    for (name, hurt, mend, target) in
        [("kill -9 of the leader", "crash", "restart", 0.5), ("SIGSTOP of the leader", "pause", "resume", 1.5)]
    {
        let mut seconds = Vec::new();
        for time in 1..=times {
            println!("{name} … {time} of {times}");
            quorate.settle()?;
            let leader = quorate.leader().ok_or("quorate has no leader")?;
            seconds.push(outage(&quorate, leader, hurt)?);
            quorate.fault(&[mend, &leader.to_string()])?;
        }
        let longest = seconds.iter().copied().fold(0.0, f64::max);
        report.failovers.push((name, middle(seconds), longest, target));
    }
    Ok(())
}

/// The time from just before the leader is hurt to the first acknowledgement of a write that began when it was surely
/// hurt.
fn outage(quorate: &Quorate, leader: u16, hurt: &str) -> Result<f64, String> {
    let acknowledged: Mutex<Option<Instant>> = Mutex::new(None);
    let hurt_at: Mutex<Option<Instant>> = Mutex::new(None);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for node in (1..=3).filter(|node| *node != leader) {
            for writer in 0..WRITERS {
                let (acknowledged, hurt_at, stop) = (&acknowledged, &hurt_at, &stop);
                scope.spawn(move || {
                    let mut client = quorate.client(node, 30_000);
                    let key = format!("failover:{node}:{writer}");
                    while !stop.load(Ordering::Relaxed) {
                        let began = Instant::now();
                        // The deadline is short, so that a write that went to the old leader is soon given up.
                        let set = Command::new(["SET".to_owned(), key.clone(), "1".to_owned()]).with("deadline=200");
                        let done = client.call(&set).is_ok();
                        let after = hurt_at.lock().expect("no writer panics").is_some_and(|hurt| began >= hurt);
                        if done && after {
                            acknowledged.lock().expect("no writer panics").get_or_insert_with(Instant::now);
                        }
                    }
                });
            }
        }
        std::thread::sleep(Duration::from_millis(300));
        let start = Instant::now();
        let outcome = quorate.fault(&[hurt, &leader.to_string()]);
        *hurt_at.lock().expect("no writer panics") = Some(Instant::now());
        let deadline = start + Duration::from_secs(30);
        let end = loop {
            let end = *acknowledged.lock().expect("no writer panics");
            if end.is_some() || Instant::now() >= deadline {
                break end;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        stop.store(true, Ordering::Relaxed);
        outcome?;
        end.map(|end| (end - start).as_secs_f64()).ok_or_else(|| "no write was acknowledged within 30 s".to_owned())
    })
}
