//! `quorate fault`

use crate::cluster::control::{self, Ask};
use crate::cluster::fault;
use crate::exit::{Exit, Failure, Outcome};
use clap::Args;
use std::path::PathBuf;

/// Break links and processes of a cluster that `quorate up` started, and mend them
#[derive(Args, Debug)]
#[command(after_help = "\
The faults:
  partition 1,2/3     nodes on different sides cannot talk; a node on no side keeps its links
  oneway 1/2          what 1 says does not reach 2
  drop 1/2 10%        a tenth of the messages between 1 and 2 is lost; 0% ends it
  delay 1/2 50ms      messages between 1 and 2 arrive later; 0ms ends it
  pause 2             the process of node 2 stands still; resume 2 lets it go on
  crash 3             the process of node 3 is killed; restart 3 starts it again, with its links as broken as before
  heal                all links are whole and paused nodes go on; crashed ones stay down
  show                what is broken now

Examples:
  quorate fault partition 1,2/3
  quorate fault heal")]
pub struct Fault {
    /// The fault and its words
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
    /// The data directory of the cluster
    #[arg(long, value_name = "DIR", default_value = "./quorate-data")]
    data: PathBuf,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

impl Fault {
    pub fn run(self) -> Outcome {
        // Forms that no cluster would take are told apart before one is asked.
        let any: Vec<u16> = (1..=quorate_core::limits::NODE_ID_MAX).collect();
        fault::Fault::parse(&self.words, &any).map_err(Failure::usage)?;
        let told = control::ask(&self.data, &Ask { words: self.words })?;
        if self.json {
            println!("{}", serde_json::json!({ "told": told }));
        } else {
            println!("{told}");
        }
        Ok(Exit::Done)
    }
}
