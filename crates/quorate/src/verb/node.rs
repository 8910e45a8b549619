//! `quorate node`

use crate::exit::{Exit, Failure, Outcome};
use clap::Args;
use quorate_server::config::Config;
use quorate_server::server::{Server, ServerError};
use std::io::{IsTerminal, Read};
use std::path::PathBuf;

/// Run one node, as its configuration says
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate node --print-config > quorate.toml
  quorate node --config quorate.toml

Stops in order at Ctrl-C or SIGTERM. Its log goes to standard error.")]
pub struct Node {
    /// The configuration file
    #[arg(long, value_name = "FILE", required_unless_present = "print_config")]
    config: Option<PathBuf>,
    /// Print an example of a configuration, with comments
    #[arg(long, conflicts_with = "config")]
    print_config: bool,
    /// Stop when standard input ends, as it does when the process that started this one is gone
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

impl Node {
    pub fn run(self) -> Outcome {
        let Some(path) = self.config else {
            print!("{}", Config::example());
            return Ok(Exit::Done);
        };
        let config = Config::read(&path).map_err(|error| {
            Failure::usage(error.to_string()).hint("`quorate node --print-config` prints an example with comments")
        })?;
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_max_level(tracing::Level::INFO)
            .init();
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let server = Server::start(&config)?;
        let handle = server.handle.clone();
        ctrlc::set_handler(move || handle.stop())
            .map_err(|error| Failure::machine(format!("cannot wait for signals: {error}")))?;
        if self.until_stdin_closes {
            let handle = server.handle.clone();
            std::thread::spawn(move || {
                // Whatever comes is of no interest; that nothing more can come is.
                while matches!(std::io::stdin().read(&mut [0; 64]), Ok(1..)) {}
                handle.stop();
            });
        }
        match server.join() {
            Ok(()) => Ok(Exit::Done),
            // The node's log, which is this very standard error, has said it at the time.
            Err(ServerError::Disk(_)) => Ok(Exit::Machine),
            Err(error) => Err(error.into()),
        }
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Failure {
        match error {
            ServerError::Config(error) => Failure::usage(error.to_string()),
            ServerError::Listen { .. }
            | ServerError::Open(_)
            | ServerError::System { .. }
            | ServerError::Disk(_)
            | ServerError::Defect => Failure::machine(error.to_string()),
        }
    }
}
