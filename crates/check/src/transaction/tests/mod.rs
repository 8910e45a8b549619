#![allow(clippy::unwrap_used)]

mod brute;
mod make;
mod random;
mod told;
