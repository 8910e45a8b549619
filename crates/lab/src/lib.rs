//! The lab: a deterministic simulator around any machine, faults, judges outside the node, and mutants that prove that
//! the judges notice.
//!
//! Everything is a function of a seed. A seed is a bug report.
//!
//! ```
//! use quorate_lab::check::quorate_check::{Budget, Meter, Model, Verdict, check};
//! use quorate_lab::vopr::{Plan, run_plan};
//!
//! let report = run_plan(&Plan::draw(7), true);
//! assert_eq!(report.failure, None);
//!
//! // The same judge that anybody's histories go to, over what the clients of this run heard.
//! let history = report.recording.history();
//! let verdict = check(&history, Model::Linearizable, &mut Meter::new(Budget::DEFAULT)).expect("it applies");
//! assert_eq!(verdict, Verdict::Valid);
//! ```
//!
//! To feed it events of your own, see [`check::quorate_check`]; here is the short way for a register, good and stale:
//!
//! ```
//! use quorate_lab::check::quorate_check::Anomaly;
//! use quorate_lab::check::register::{BUDGET, Verdict, check};
//! use quorate_lab::check::{Action, Answer, Operation, Outcome};
//!
//! let operation = |action, answer, start| Operation {
//!     client: 0,
//!     key: "k".into(),
//!     action,
//!     outcome: Outcome::Done(answer),
//!     start,
//!     end: start + 5,
//! };
//! let write = operation(Action::Write("v".into()), Answer::Written, 0);
//! let fresh = operation(Action::Read, Answer::Value(Some("v".into())), 10);
//! assert_eq!(check(&[write.clone(), fresh], BUDGET), Verdict::Valid);
//!
//! let stale = operation(Action::Read, Answer::Value(None), 10);
//! let Verdict::Invalid(witness) = check(&[write, stale], BUDGET) else { panic!("the write had ended") };
//! assert_eq!(witness.anomaly, Anomaly::StaleRead);
//! ```

pub mod check;
pub mod digest;
pub mod experiment;
pub mod failure;
pub mod fault;
pub mod judge;
pub mod laws;
pub mod lesson;
pub mod mutant;
pub mod recording;
pub mod replicas;
pub mod script;
pub mod simulator;
pub mod subject;
pub mod vopr;
pub mod workload;
pub mod world;
