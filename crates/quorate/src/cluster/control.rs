//! The way from `quorate fault` to `quorate up`: one line of JSON each way over a socket in the data directory.

use super::layout;
use crate::exit::{Exit, Failure};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// Longest line that is read, in bytes.
const LINE_BYTES: u64 = 64 * 1024;
/// How long `fault` waits for `up` to do what it asked.
const PATIENCE: Duration = Duration::from_secs(30);

/// What `fault` asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ask {
    /// The words of the fault.
    pub words: Vec<String>,
}

/// What `up` says to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// What was done, for people.
    Done(String),
    /// The words made no sense; nothing was done.
    Nonsense(String),
    /// It could not be done, or not all of it.
    Failed(String),
}

/// An ask with the way back.
pub struct Asked {
    /// What is asked.
    pub ask: Ask,
    /// Where the answer goes.
    pub answer: mpsc::Sender<Told>,
}

/// Listens in the data directory, and passes on what is asked until `asks` is closed.
pub fn listen(directory: &Path, asks: impl Fn(Asked) -> bool + Send + Clone + 'static) -> Result<(), Failure> {
    let path = layout::socket(directory);
    let failed = |error: std::io::Error| {
        Failure::machine(format!("cannot listen on {}: {error}", path.display()))
            .hint("a shorter --data path may help: a socket's path has at most 107 bytes")
    };
    // The lock on the directory is ours, so a socket that is still there belongs to nobody.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).map_err(failed)?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let asks = asks.clone();
            std::thread::spawn(move || {
                let _ = serve(stream, &asks);
            });
        }
    });
    Ok(())
}

fn serve(mut stream: UnixStream, asks: &impl Fn(Asked) -> bool) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.try_clone()?.take(LINE_BYTES)).read_line(&mut line)?;
    let told = match serde_json::from_str(&line) {
        Err(error) => Told::Nonsense(format!("the question makes no sense: {error}")),
        Ok(ask) => {
            let (answer, told) = mpsc::channel();
            let asked = asks(Asked { ask, answer });
            let told = if asked { told.recv().ok() } else { None };
            told.unwrap_or_else(|| Told::Failed("the cluster is stopping".to_owned()))
        }
    };
    let mut line = serde_json::to_vec(&told)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Asks the `up` that runs on a data directory.
pub fn ask(directory: &Path, ask: &Ask) -> Result<String, Failure> {
    let path = layout::socket(directory);
    let nobody = |error: std::io::Error| {
        Failure {
            exit: Exit::Unavailable,
            ..Failure::usage(format!("no cluster is up in {}: {error}", directory.display()))
        }
        .hint("start one with `quorate up`, or name its directory with --data DIR")
    };
    let mut stream = UnixStream::connect(path).map_err(nobody)?;
    let lost = |error: std::io::Error| Failure::machine(format!("`quorate up` did not answer: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).map_err(lost)?;
    let mut line = serde_json::to_vec(ask).map_err(|error| lost(error.into()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(lost)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(lost)?;
    match serde_json::from_str(&answer).map_err(|error| lost(error.into()))? {
        Told::Done(what) => Ok(what),
        Told::Nonsense(what) => Err(Failure::usage(what)),
        Told::Failed(what) => Err(Failure::machine(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ask_comes_back_with_what_was_told() {
        let directory = tempfile::tempdir().expect("a directory");
        listen(directory.path(), |asked: Asked| {
            let told = match asked.ask.words.len() {
                0 => Told::Nonsense("no words".to_owned()),
                count => Told::Done(format!("{count} words")),
            };
            asked.answer.send(told).is_ok()
        })
        .expect("it listens");
        let words = |count| Ask { words: vec!["w".to_owned(); count] };
        assert_eq!(ask(directory.path(), &words(2)), Ok("2 words".to_owned()));
        assert_eq!(ask(directory.path(), &words(0)), Err(Failure::usage("no words")));
    }

    #[test]
    fn no_cluster_is_said_so() {
        let directory = tempfile::tempdir().expect("a directory");
        let failure = ask(directory.path(), &Ask { words: vec![] }).expect_err("nobody listens");
        assert_eq!(failure.exit, Exit::Unavailable);
    }
}
