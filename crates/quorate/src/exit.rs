//! How a verb ends: the table of exit codes, and failures with what a person needs to know.

use crate::paint;
use quorate_client::{Applied, Command, Error, Kind};
use std::fmt;
use std::process::ExitCode;

/// How a verb ended. The numbers are part of the command line's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, as asked. The experiment held. The history is valid.
    Done = 0,
    /// The answer is no: nothing was applied. The experiment was violated. The history is invalid.
    No = 1,
    /// The command line or a file is wrong, or there is no verdict.
    Usage = 2,
    /// It is not known whether the operation was applied. For `check`: the command line or the history is wrong.
    Unknown = 3,
    /// No node could serve it now; nothing was applied.
    Unavailable = 4,
    /// Applied, with a weaker guarantee than asked.
    Short = 5,
    /// Something on this machine failed.
    Machine = 6,
}

/// The table, as `quorate --help` prints it.
pub const TABLE: &str = "\
Exit codes:
  0  done as asked; the experiment held
  1  the answer is no: the key is not there, the condition was false, the operation was refused for what it is;
     nothing was applied; the experiment was violated
  2  the command line or a file is wrong; the experiment reached no verdict
  3  unknown: the operation may have been applied, or may yet be
  4  unavailable: no node could serve the operation now; nothing was applied; try again
  5  short: applied, with a weaker guarantee than asked
  6  something on this machine failed: a port in use, a file, a process
  `quorate check` has its own: 0 valid, 1 invalid, 2 unknown (the budget was spent), 3 the input is wrong";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a verb failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What happened.
    pub what: String,
    /// Was the operation applied? `None` for verbs that apply nothing.
    pub applied: Option<Applied>,
    /// What to do.
    pub hint: Option<String>,
    /// The idempotency key under which it was tried.
    pub idempotency_key: Option<String>,
}

/// What verbs return.
pub type Outcome = Result<Exit, Failure>;

impl Failure {
    /// The command line or a file is wrong.
    pub fn usage(what: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, what: what.into(), applied: None, hint: None, idempotency_key: None }
    }
    /// Something on this machine failed.
    pub fn machine(what: impl Into<String>) -> Failure {
        Failure { exit: Exit::Machine, what: what.into(), applied: None, hint: None, idempotency_key: None }
    }
    /// Says what to do.
    pub fn hint(self, hint: impl Into<String>) -> Failure {
        Failure { hint: Some(hint.into()), ..self }
    }

    /// The failure of a command. A write under a key that was applied, or may have been, is told how to be repeated.
    pub fn of(error: Error, command: &Command) -> Failure {
        let failure = Failure { idempotency_key: command.idempotency(), ..Failure::from(error) };
        let Some(key) = &failure.idempotency_key else { return failure };
        let repeat = format!("repeat it with --idempotency-key {key}");
        match failure.applied {
            Some(Applied::Unknown) => failure.hint(format!("{repeat}: it is applied at most once")),
            Some(Applied::Yes) => failure.hint(format!("{repeat} to wait again: it is not applied again")),
            Some(Applied::No) | None => failure,
        }
    }

    /// Tells a person, or with `json` a program, on standard error.
    pub fn report(&self, json: bool) {
        if json {
            let object = serde_json::json!({
                "error": self.what,
                "applied": self.applied.map(Applied::word),
                "hint": self.hint,
                "idempotency_key": self.idempotency_key,
                "exit": self.exit as u8,
            });
            eprintln!("{object}");
        } else {
            eprintln!("{self}");
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", paint::error("error:"), self.what)?;
        if let Some(applied) = self.applied {
            write!(f, "\n  applied: {}", applied.word())?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  to do: {hint}")?;
        }
        Ok(())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let exit = match (error.kind, error.applied) {
            (_, Applied::Unknown) => Exit::Unknown,
            (_, Applied::Yes) => Exit::Short,
            (Kind::Unreachable | Kind::Lost | Kind::Deadline | Kind::Unavailable | Kind::Doubt, Applied::No) => {
                Exit::Unavailable
            }
            (Kind::Protocol, Applied::No) => Exit::Usage,
            (Kind::Denied | Kind::Rejected, Applied::No) => Exit::No,
        };
        let hint = match (error.kind, error.applied) {
            (_, Applied::Unknown) => Some("read the state before you repeat it"),
            (_, Applied::Yes) => Some("see what was met with --receipt; a retry would apply it again"),
            (Kind::Unreachable, _) => Some("start a cluster with `quorate up`, or name a node with --addr HOST:PORT"),
            (Kind::Denied, _) => Some("give the password with --password or in QUORATE_PASSWORD"),
            (Kind::Protocol, _) => Some("--addr wants the port of the Redis protocol (7379 by default), not HTTP"),
            (Kind::Lost | Kind::Deadline | Kind::Unavailable, _) => Some("try again; `quorate status` shows the nodes"),
            (Kind::Rejected | Kind::Doubt, _) => None,
        };
        let (applied, hint) = (Some(error.applied), hint.map(str::to_owned));
        Failure { exit, what: error.message, applied, hint, idempotency_key: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_of_an_error_follows_what_is_known_of_its_outcome() {
        for (kind, applied, exit) in [
            (Kind::Unreachable, Applied::No, Exit::Unavailable),
            (Kind::Lost, Applied::Unknown, Exit::Unknown),
            (Kind::Deadline, Applied::Unknown, Exit::Unknown),
            (Kind::Doubt, Applied::Yes, Exit::Short),
            (Kind::Rejected, Applied::No, Exit::No),
            (Kind::Protocol, Applied::No, Exit::Usage),
        ] {
            assert_eq!(Failure::from(Error::new(kind, applied, "x")).exit, exit, "{kind:?} {applied:?}");
        }
    }

    #[test]
    fn a_write_of_unknown_outcome_is_told_the_key_to_repeat_it_with() {
        let unknown = || Error::new(Kind::Deadline, Applied::Unknown, "x");
        let keyed = Failure::of(unknown(), &Command::new(["INCR", "n"]).idempotency_key("once"));
        assert!(keyed.to_string().contains("--idempotency-key once"), "{keyed}");
        let plain = Failure::of(unknown(), &Command::new(["SET", "k", "v"]));
        assert!(plain.to_string().contains("read the state"), "{plain}");
    }

    #[test]
    fn every_exit_code_is_in_the_table() {
        for exit in [Exit::Done, Exit::No, Exit::Usage, Exit::Unknown, Exit::Unavailable, Exit::Short, Exit::Machine] {
            assert!(TABLE.contains(&format!("\n  {}  ", exit as u8)), "{exit:?}");
        }
    }
}
