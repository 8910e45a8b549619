//! Running other programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the workspace.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask lies in the workspace").to_owned()
}

/// Cargo, in the root of the workspace.
pub fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words).current_dir(root());
    command
}

/// Runs a command that a person watches.
pub fn shown(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed: {status}", line(command))) }
}

/// Runs a command and gives what it printed on both streams, in order; an error holds that too.
pub fn captured(command: &mut Command, log: &Path) -> Result<String, String> {
    let fail = |what: std::io::Error| format!("cannot write {}: {what}", log.display());
    let file = std::fs::File::create(log).map_err(fail)?;
    command.stdin(Stdio::null()).stdout(file.try_clone().map_err(fail)?).stderr(file);
    let status = command.status().map_err(|error| format!("cannot run {}: {error}", line(command)))?;
    let text = String::from_utf8_lossy(&std::fs::read(log).map_err(fail)?).into_owned();
    if status.success() { Ok(text) } else { Err(format!("{text}\n{} failed: {status}", line(command))) }
}

/// What a command prints, or nothing when it cannot be run.
pub fn output(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).current_dir(root()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command as a person would type it.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
