#![allow(clippy::unwrap_used)]

mod labelled;
mod make;
mod random;
mod small;
mod told;
