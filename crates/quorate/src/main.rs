//! `quorate`: a replicated store to run, to talk to and to break. One file per verb.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

mod access;
mod answer;
mod cluster;
mod exit;
mod file;
mod load;
mod paint;
mod verb;

use exit::{Exit, Outcome};

/// A node's work is many small allocations of a few sizes that are freed out of order: with the allocator of the C library
/// a fifth of its time went there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A replicated store in which any operation can name its guarantee, with the lab that breaks it.
#[derive(Parser, Debug)]
#[command(name = "quorate", version, arg_required_else_help = true, after_help = format!("\
Examples:
  quorate up                          three nodes on this machine, data in ./quorate-data
  quorate put greeting hello          and:  quorate get greeting --receipt
  quorate fault partition 1/2,3       and:  quorate status, then  quorate fault heal
  quorate check history.edn --all     which consistency models did a recorded history keep?

{}", exit::TABLE))]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Up(verb::up::Up),
    Node(verb::node::Node),
    Get(verb::get::Get),
    Put(verb::put::Put),
    Del(verb::del::Del),
    Incr(verb::incr::Incr),
    Cas(verb::cas::Cas),
    Scan(verb::scan::Scan),
    Table(verb::table::Table),
    Member(verb::member::Member),
    Status(verb::status::Status),
    Repair(verb::repair::Repair),
    Fault(verb::fault::Fault),
    Bench(verb::bench::Bench),
    Check(verb::check::Check),
    Calc(verb::calc::Calc),
    Ring(verb::ring::RingVerb),
    #[cfg(feature = "lab")]
    Lab(verb::lab::Lab),
    Completions(verb::completions::Completions),
}

impl Verb {
    /// Does the command line ask for JSON? Then errors are JSON too.
    fn json(&self) -> bool {
        match self {
            Verb::Get(verb) => verb.access.json,
            Verb::Put(verb) => verb.access.json,
            Verb::Del(verb) => verb.access.json,
            Verb::Incr(verb) => verb.access.json,
            Verb::Cas(verb) => verb.access.json,
            Verb::Scan(verb) => verb.access.json,
            Verb::Table(verb) => verb.json(),
            Verb::Member(verb) => verb.json,
            Verb::Status(verb) => verb.json,
            Verb::Repair(verb) => verb.json,
            Verb::Fault(verb) => verb.json,
            Verb::Bench(verb) => verb.json,
            Verb::Check(verb) => verb.json,
            Verb::Calc(verb) => verb.json(),
            Verb::Ring(verb) => verb.json,
            #[cfg(feature = "lab")]
            Verb::Lab(verb) => verb.json(),
            Verb::Up(_) | Verb::Node(_) | Verb::Completions(_) => false,
        }
    }

    fn run(self) -> Outcome {
        match self {
            Verb::Up(verb) => verb.run(),
            Verb::Node(verb) => verb.run(),
            Verb::Get(verb) => verb.run(),
            Verb::Put(verb) => verb.run(),
            Verb::Del(verb) => verb.run(),
            Verb::Incr(verb) => verb.run(),
            Verb::Cas(verb) => verb.run(),
            Verb::Scan(verb) => verb.run(),
            Verb::Table(verb) => verb.run(),
            Verb::Member(verb) => verb.run(),
            Verb::Status(verb) => verb.run(),
            Verb::Repair(verb) => verb.run(),
            Verb::Fault(verb) => verb.run(),
            Verb::Bench(verb) => verb.run(),
            Verb::Check(verb) => verb.run(),
            Verb::Calc(verb) => verb.run(),
            Verb::Ring(verb) => verb.run(),
            #[cfg(feature = "lab")]
            Verb::Lab(verb) => verb.run(),
            Verb::Completions(verb) => verb.run(),
        }
    }
}

/// The exit code of a program that wrote to a pipe that nobody reads any more, as shells know it.
const PIPE_CLOSED: i32 = 141;

/// Ends quietly when whoever reads the output has read enough, as `head` does: printing panics then.
fn end_with_the_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>();
        if text.is_some_and(|text| text.starts_with("failed printing to stdout") && text.contains("Broken pipe")) {
            std::process::exit(PIPE_CLOSED);
        }
        usual(panic);
    }));
}

fn main() -> ExitCode {
    end_with_the_reader();
    let verb = match CommandLine::try_parse() {
        Ok(line) => line.verb,
        Err(error) => {
            let _ = error.print();
            // For `check`, the code 2 that clap gives means that there is no verdict.
            let checking = std::env::args().nth(1).is_some_and(|verb| verb == "check");
            let code = if checking && error.exit_code() != 0 { Exit::Unknown as i32 } else { error.exit_code() };
            return ExitCode::from(code as u8);
        }
    };
    let json = verb.json();
    match verb.run() {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.report(json);
            failure.exit.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_verb_has_an_example() {
        for verb in CommandLine::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{} has none", verb.get_name());
        }
    }
}
