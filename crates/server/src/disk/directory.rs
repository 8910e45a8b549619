//! The data directory: whose it is, which life of the node this is, and the lock against a second process.

use super::error::OpenError;
use quorate_core::store::Seq;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The newest format of a data directory that this program reads, and the one that it writes.
pub const FORMAT: u64 = 1;

const IDENTITY: &str = "IDENTITY";
const IDENTITY_NEW: &str = "IDENTITY.new";
const LOCK: &str = "LOCK";
const TITLE: &str = "quorate data directory";

/// Whose data directory it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: u64,
    /// The node in it.
    pub node: u16,
}

/// An open and locked data directory. The lock ends with this value, or with the process.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    record: Record,
    before: Option<State>,
    _lock: File,
}

/// What the identity file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) identity: Identity,
    pub(super) incarnation: u64,
    /// Writes that are synced at least: those before the last close in order. It stays while the directory is open, so
    /// that a second attempt to open a damaged directory knows it too.
    pub(super) synced: Seq,
    pub(super) state: State,
}

/// Is the directory in use, or was it closed in order?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Closed,
}

impl DataDir {
    /// Opens a data directory, or creates it if it is missing or empty. The new incarnation is on stable storage when
    /// this returns.
    pub fn open(path: impl AsRef<Path>, identity: &Identity) -> Result<DataDir, OpenError> {
        let path = path.as_ref();
        create_directory(path)?;
        refuse_foreign(path)?;
        let lock = lock(path)?;
        let found = read_identity(path)?;
        if let Some(record) = &found {
            if record.identity.cluster != identity.cluster {
                let (theirs, ours) = (record.identity.cluster, identity.cluster);
                return Err(OpenError::OtherCluster { path: path.to_path_buf(), theirs, ours });
            }
            if record.identity.node != identity.node {
                let (theirs, ours) = (record.identity.node, identity.node);
                return Err(OpenError::OtherNode { path: path.to_path_buf(), theirs, ours });
            }
        }
        let record = Record {
            identity: *identity,
            incarnation: found.as_ref().map_or(0, |record| record.incarnation) + 1,
            synced: found.as_ref().map_or(Seq(0), |record| record.synced),
            state: State::Open,
        };
        write_identity(path, &record)?;
        Ok(DataDir { path: path.to_path_buf(), record, before: found.map(|record| record.state), _lock: lock })
    }

    /// Whose directory it is; `None` when it is missing or empty. Changes nothing and needs no lock.
    pub fn identity_of(path: impl AsRef<Path>) -> Result<Option<Identity>, OpenError> {
        let path = path.as_ref();
        match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::io(path, "looking at", error)),
            Ok(_) => refuse_foreign(path)?,
        }
        Ok(read_identity(path)?.map(|record| record.identity))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Whose it is.
    pub fn identity(&self) -> Identity {
        self.record.identity
    }
    /// Which life of the node this is: 1 for the first, and one more with every open.
    pub fn incarnation(&self) -> u64 {
        self.record.incarnation
    }
    /// True when the directory is new.
    pub fn is_new(&self) -> bool {
        self.before.is_none()
    }
    /// True when the last life of the node did not end with a clean close.
    pub fn was_unclean(&self) -> bool {
        self.before == Some(State::Open)
    }

    /// Writes up to here must be found.
    pub(super) fn synced(&self) -> Seq {
        self.record.synced
    }

    pub(super) fn close(mut self, last: Seq) -> Result<(), OpenError> {
        self.record.state = State::Closed;
        self.record.synced = last;
        write_identity(&self.path, &self.record)
    }
}

fn create_directory(path: &Path) -> Result<(), OpenError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(|error| OpenError::io(path, "creating the data directory", error))?;
    // Every directory that may be new is made durable in its parent.
    let full = fs::canonicalize(path).map_err(|error| OpenError::io(path, "looking at", error))?;
    for parent in full.ancestors().skip(1) {
        // A parent that we may not open was there before us.
        if sync_directory(parent).is_err() {
            break;
        }
    }
    Ok(())
}

/// Refuses a directory with somebody else's files, before anything is written into it.
fn refuse_foreign(path: &Path) -> Result<(), OpenError> {
    let listing = fs::read_dir(path).map_err(|error| OpenError::io(path, "listing", error))?;
    let mut foreign = None;
    for entry in listing {
        let name = entry.map_err(|error| OpenError::io(path, "listing", error))?.file_name();
        if name == OsStr::new(IDENTITY) {
            return Ok(());
        }
        // What is left of a first open that was interrupted, and what a new file system holds.
        if ![LOCK, IDENTITY_NEW, "lost+found"].iter().any(|ours| name == OsStr::new(ours)) {
            foreign = Some(name);
        }
    }
    match foreign {
        None => Ok(()),
        Some(name) => {
            let found = name.to_string_lossy().into_owned();
            Err(OpenError::NotOurs { path: path.to_path_buf(), found })
        }
    }
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let file = path.join(LOCK);
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&file)
        .map_err(|error| OpenError::io(&file, "opening", error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(OpenError::io(&file, "locking", error)),
    }
}

fn read_identity(path: &Path) -> Result<Option<Record>, OpenError> {
    let file = path.join(IDENTITY);
    match fs::read(&file) {
        Ok(bytes) => decode(path, &bytes).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::io(&file, "reading", error)),
    }
}

fn write_identity(path: &Path, record: &Record) -> Result<(), OpenError> {
    let new = path.join(IDENTITY_NEW);
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(encode(record).as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path.join(IDENTITY))?;
        sync_directory(path)
    };
    write().map_err(|error| OpenError::io(&new, "writing", error))
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

/// The identity file: lines of text, the last of them a checksum over the others. That line and the `format` line stay
/// as they are in every later format, so that an old program can tell a newer directory from a damaged one.
pub(super) fn encode(record: &Record) -> String {
    let state = match record.state {
        State::Open => "open",
        State::Closed => "closed",
    };
    let body = format!(
        "{TITLE}\nformat {FORMAT}\ncluster {:016x}\nnode {}\nincarnation {}\nsynced {}\nstate {state}\n",
        record.identity.cluster, record.identity.node, record.incarnation, record.synced.0
    );
    let sum = crc32c::crc32c(body.as_bytes());
    format!("{body}crc32c {sum:08x}\n")
}

pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Record, OpenError> {
    let file = path.join(IDENTITY);
    let damaged = |what: &str| OpenError::damaged(&file, 0, what);
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
    let (body, sum) = text.rsplit_once("crc32c ").ok_or_else(|| damaged("it has no checksum"))?;
    if sum != format!("{:08x}\n", crc32c::crc32c(body.as_bytes())) {
        return Err(damaged("its checksum does not fit"));
    }
    let mut lines = body.lines();
    let mut next = |word: &str| {
        let line = lines.next().unwrap_or_default();
        let rest = line.strip_prefix(word).map(str::trim_start);
        rest.ok_or_else(|| damaged(&format!("'{word}' is missing")))
    };
    next(TITLE)?;
    let number = |text: &str, radix| u64::from_str_radix(text, radix).map_err(|_| damaged("a number cannot be read"));
    let format = number(next("format")?, 10)?;
    if format > FORMAT {
        return Err(OpenError::Newer { path: path.to_path_buf(), format });
    }
    let cluster = number(next("cluster")?, 16)?;
    let node = u16::try_from(number(next("node")?, 10)?).map_err(|_| damaged("the node id is too large"))?;
    let incarnation = number(next("incarnation")?, 10)?;
    let synced = Seq(number(next("synced")?, 10)?);
    let state = match next("state")? {
        "open" => State::Open,
        "closed" => State::Closed,
        _ => return Err(damaged("its state cannot be read")),
    };
    Ok(Record { identity: Identity { cluster, node }, incarnation, synced, state })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GOLDEN: &str = "quorate data directory\nformat 1\ncluster 00000000deadbeef\nnode 2\nincarnation 7\n\
        synced 12345\nstate closed\ncrc32c 3eb3d888\n";

    fn record() -> Record {
        Record {
            identity: Identity { cluster: 0xdead_beef, node: 2 },
            incarnation: 7,
            synced: Seq(12345),
            state: State::Closed,
        }
    }

    #[test]
    fn the_identity_file_has_these_bytes() {
        assert_eq!(encode(&record()), GOLDEN);
        assert_eq!(decode(Path::new("/d"), GOLDEN.as_bytes()).unwrap(), record());
        let open = Record { state: State::Open, ..record() };
        assert_eq!(decode(Path::new("/d"), encode(&open).as_bytes()).unwrap(), open);
    }

    #[test]
    fn any_changed_or_missing_byte_of_the_identity_is_noticed() {
        for at in 0..GOLDEN.len() {
            let mut bytes = GOLDEN.as_bytes().to_vec();
            bytes[at] ^= 1;
            let error = decode(Path::new("/d"), &bytes).unwrap_err();
            assert!(matches!(error, OpenError::Damaged { .. }), "byte {at}: {error}");
            let error = decode(Path::new("/d"), &GOLDEN.as_bytes()[..at]).unwrap_err();
            assert!(matches!(error, OpenError::Damaged { .. }), "cut at {at}: {error}");
        }
    }
}
