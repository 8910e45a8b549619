//! The process of one node.

use super::layout::Member;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A log that grows beyond this is moved aside to `log.1`, in bytes.
const LOG_BYTES: u64 = 8 * 1024 * 1024;
/// How much of the end of a log is read to find its last line, in bytes.
const TAIL_BYTES: u64 = 4 * 1024;

/// A node that was started.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a node of this very program. Its standard input is a pipe that we hold: when we are gone, however we
    /// went, the node reads its end and stops.
    pub fn start(member: &Member) -> io::Result<Process> {
        let log = OpenOptions::new().create(true).append(true).open(member.log())?;
        let child = Command::new(std::env::current_exe()?)
            .arg("node")
            .arg("--config")
            .arg(member.config())
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        Ok(Process { child })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
    /// Sends a signal. A process that is gone hears nothing, and that is no error.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }
    /// Kills it, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a process ended, for people.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "ended in order".to_owned(),
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Moves a log aside when it has grown too long. The node keeps writing to the same file, which is cut to nothing.
pub fn bound_log(path: &Path) {
    let too_long = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > LOG_BYTES);
    if too_long && std::fs::copy(path, path.with_extension("1")).is_ok() {
        let _ = OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(0));
    }
}

/// The last line of a log, if there is one.
pub fn last_line(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).ok()?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail).into_owned();
    tail.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_last_that_says_something() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        assert_eq!(last_line(&path), None);
        std::fs::write(&path, format!("{}\nthe end\n\n", "x".repeat(10_000))).expect("written");
        assert_eq!(last_line(&path).as_deref(), Some("the end"));
    }

    #[test]
    fn a_long_log_is_moved_aside_and_stays_open_for_its_writer() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let mut writer = OpenOptions::new().create(true).append(true).open(&path).expect("opened");
        io::Write::write_all(&mut writer, &vec![b'x'; LOG_BYTES as usize + 1]).expect("written");
        bound_log(&path);
        io::Write::write_all(&mut writer, b"later\n").expect("written");
        assert_eq!(std::fs::read(&path).expect("read"), b"later\n");
        assert_eq!(std::fs::metadata(path.with_extension("1")).expect("moved").len(), LOG_BYTES + 1);
    }
}
