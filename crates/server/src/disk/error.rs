//! What can go wrong with the disk, in sentences for the person who must act.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Why a data directory cannot be opened. Nothing in it was changed, except where `Io` says that a write failed.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it open.
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// It is not empty and not a data directory.
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Something that was found in it.
        found: String,
    },
    /// It belongs to another cluster.
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// The cluster that it belongs to.
        theirs: u64,
        /// The cluster that was asked for.
        ours: u64,
    },
    /// It belongs to another node.
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// The node that it belongs to.
        theirs: u16,
        /// The node that was asked for.
        ours: u16,
    },
    /// A newer version of the program wrote it.
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its format.
        format: u64,
    },
    /// Something in it is not as it was written.
    Damaged {
        /// The file or directory.
        file: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The operating system refused something.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What it said.
        error: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(path: &Path, doing: &'static str, error: io::Error) -> OpenError {
        OpenError::Io { path: path.to_path_buf(), doing, error }
    }

    pub(super) fn damaged(file: &Path, offset: u64, what: impl Into<String>) -> OpenError {
        OpenError::Damaged { file: file.to_path_buf(), offset, what: what.into() }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Locked { path } => write!(
                f,
                "the data directory {} is in use by another process: stop that one, or give this node its own directory",
                path.display()
            ),
            OpenError::NotOurs { path, found } => write!(
                f,
                "{} is not a data directory of Quorate and not empty (it holds {found}): name an empty or a new directory",
                path.display()
            ),
            OpenError::OtherCluster { path, theirs, ours } => write!(
                f,
                "the data directory {} belongs to cluster {theirs:016x}, not to {ours:016x}: \
                 correct the cluster or the directory in the configuration",
                path.display()
            ),
            OpenError::OtherNode { path, theirs, ours } => write!(
                f,
                "the data directory {} belongs to node {theirs}, not to node {ours}: \
                 correct the node or the directory in the configuration",
                path.display()
            ),
            OpenError::Newer { path, format } => write!(
                f,
                "the data directory {} has format {format}, and this program knows formats up to {}: \
                 run the version that wrote it, or a later one",
                path.display(),
                super::directory::FORMAT
            ),
            OpenError::Damaged { file, offset, what } => write!(
                f,
                "{} is damaged at byte {offset}: {what}. Nothing was changed. Acknowledged writes may be missing here, so this \
                 node must not vote with it: keep a copy, check the hardware, and restore the directory from a backup or \
                 replace this node by a new one that copies its data from the others",
                file.display()
            ),
            OpenError::Io { path, doing, error } => write!(f, "{doing} {} failed: {error}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::Io { error, .. } => Some(error),
            OpenError::Locked { .. }
            | OpenError::NotOurs { .. }
            | OpenError::OtherCluster { .. }
            | OpenError::OtherNode { .. }
            | OpenError::Newer { .. }
            | OpenError::Damaged { .. } => None,
        }
    }
}

/// The disk has failed and stays failed: what it was told since its last sync may or may not survive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskError {
    /// What failed first, and how.
    pub what: Arc<str>,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: this node has stopped using its disk; operations that were not yet acknowledged are in doubt, \
             acknowledged ones are safe. Remove the cause (see the message) and restart the node",
            self.what
        )
    }
}

impl std::error::Error for DiskError {}

/// The first failure, shared by the threads of a disk. After a failed sync the kernel may call dirty pages clean, so
/// that a later sync succeeds and proves nothing: only a new start, which reads what is really there, can go on.
#[derive(Clone, Debug, Default)]
pub(super) struct Poison(Arc<OnceLock<DiskError>>);

impl Poison {
    pub(super) fn check(&self) -> Result<(), DiskError> {
        match self.0.get() {
            None => Ok(()),
            Some(error) => Err(error.clone()),
        }
    }

    /// Fails the disk for good. The first cause is kept and returned; whoever stops because of it says so. Later ones may
    /// follow from the first, and are told here.
    pub(super) fn set(&self, doing: &str, path: &Path, error: &dyn fmt::Display) -> DiskError {
        let what = format!("{doing} {} failed: {error}", path.display());
        let what: Arc<str> = what.into();
        let first = self.0.get_or_init(|| DiskError { what: Arc::clone(&what) });
        if !Arc::ptr_eq(&first.what, &what) {
            tracing::warn!("after the disk failed: {what}");
        }
        first.clone()
    }
}
