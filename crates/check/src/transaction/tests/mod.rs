#![allow(clippy::unwrap_used)]

mod brute;
mod labelled;
mod make;
mod random;
mod small;
mod told;
