//! What a workload is.

use crate::cli::Family;
use crate::compile::Tools;
use crate::measure::{Measurement, Task, Turn};
use crate::peers::Allocator;
use std::path::PathBuf;

/// Measures one run; for what does not fit in a single command (a server and its client).
pub type Script = Box<dyn Fn(&Tools, &Allocator) -> Result<Measurement, String> + Sync>;

/// How a workload is run.
pub enum Action {
    /// One command under LD_PRELOAD.
    Command(Task),
    /// A subcommand of the binary that the allocator was linked into.
    Linked(Vec<String>),
    /// Several processes.
    Script(Script),
}

/// One row of the report.
pub struct Workload {
    /// The part of the report it belongs to.
    pub family: Family,
    /// Its name, unique.
    pub name: String,
    /// How it is run.
    pub action: Action,
    /// The same accesses without an allocator, where that says something.
    pub bare: Option<Task>,
    /// How many may be watched at once while another one runs; 1 where nothing is watched.
    pub watched: usize,
    /// Whether the peers are left out: such a row is about besom and its control.
    pub alone: bool,
    /// The curve and the place on it, where it is a point of one: `("churn", 1000.0)`.
    pub curve: Option<(String, f64)>,
}

impl Workload {
    /// A command under preload.
    pub fn command(family: Family, name: impl Into<String>, task: Task) -> Workload {
        Workload::new(family, name, Action::Command(task))
    }

    /// Any action.
    pub fn new(family: Family, name: impl Into<String>, action: Action) -> Workload {
        Workload { family, name: name.into(), action, bare: None, curve: None, watched: 1, alone: false }
    }

    /// Of several processes.
    pub fn script(name: &str, script: Script) -> Workload {
        Workload::new(Family::Programs, name, Action::Script(script))
    }

    /// In turns: up to `count` are watched while another one runs.
    pub fn watched(mut self, count: usize) -> Workload {
        self.watched = count.max(1);
        self
    }

    /// Without the peers.
    pub fn alone(mut self) -> Workload {
        self.alone = true;
        self
    }

    /// With its control.
    pub fn bare(mut self, task: Task) -> Workload {
        self.bare = Some(task);
        self
    }

    /// As a point of a curve.
    pub fn on_curve(mut self, curve: &str, at: usize) -> Workload {
        self.curve = Some((curve.into(), at as f64));
        self
    }

    /// One run under one allocator. Of several at a time, `turn` says who may go on.
    pub fn run(&self, tools: &Tools, subject: &Subject, turn: Option<&Turn>) -> Result<Measurement, String> {
        match &self.action {
            Action::Command(task) => match turn {
                Some(turn) => task.measure_in_turns(tools, &subject.allocator, turn),
                None => task.measure(tools, &subject.allocator),
            },
            Action::Script(script) => script(tools, &subject.allocator),
            Action::Linked(arguments) => {
                let binary = subject.binary.as_ref().ok_or("no binary was built for it")?;
                Task::new(binary, arguments).measure(tools, &subject.allocator)
            }
        }
    }
}

/// An allocator together with the binary it is linked into, if any.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The allocator.
    pub allocator: Allocator,
    /// The Rust programs built with it.
    pub binary: Option<PathBuf>,
}

/// Workloads that are run under the same allocators.
pub struct Suite {
    /// Who is compared.
    pub subjects: Vec<Subject>,
    /// On what.
    pub workloads: Vec<Workload>,
}
