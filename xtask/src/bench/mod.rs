//! `cargo xtask bench`.

/// Measures.
pub fn bench(_words: &[&str]) -> Result<(), String> {
    Err("not there yet".to_owned())
}
