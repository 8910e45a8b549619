//! Files that verbs write.

use crate::exit::Failure;
use quorate_check::{History, format};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The file could not be written.
pub fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::machine(format!("cannot write {}: {error}", path.display()))
}

/// Writes a history for `quorate check`.
pub fn write_history(path: &Path, history: &History) -> Result<(), Failure> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        format::write(history, &mut file)?;
        file.flush()
    };
    write().map_err(|error| cannot_write(path, &error))
}
