//! The order of measuring: A B C A B C …, so that what disturbs the machine disturbs all alike.

use crate::cli::{Family, Options};
use crate::compile::Tools;
use crate::install::Missing;
use crate::measure::{Measurement, Task};
use crate::peers::Allocator;
use crate::statistics::Summary;
use crate::workload::{Subject, Suite, Workload};
use serde::Serialize;

/// The name of the control: the workload's own accesses, no allocator.
pub const BARE: &str = "bare";

/// What one allocator did on one workload.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The allocator's name, or `bare`.
    pub allocator: String,
    /// Nanoseconds per operation.
    pub time: Summary,
    /// Peak memory in KiB.
    pub peak: Summary,
    /// CPU time in nanoseconds, of the whole process.
    pub cpu: Summary,
    /// Minor page faults.
    pub faults: Summary,
    /// Every round, in the order measured.
    pub rounds: Vec<Measurement>,
}

/// One workload with all its allocators.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The part of the report.
    pub family: Family,
    /// The workload's name.
    pub workload: String,
    /// The curve it is a point of.
    pub curve: Option<(String, f64)>,
    /// One per allocator that went through all rounds.
    pub cells: Vec<Cell>,
}

impl Row {
    /// The cell of an allocator.
    pub fn cell(&self, allocator: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.allocator == allocator)
    }
}

/// Measures all workloads of a suite; a failed run becomes a line in `failures` and ends that pair.
pub fn run(suite: &Suite, tools: &Tools, options: &Options, failures: &mut Vec<Missing>) -> Vec<Row> {
    let mut rows = Vec::new();
    let names: Vec<_> = suite.subjects.iter().map(|subject| subject.allocator.name.as_str()).collect();
    let mut family = None;
    for workload in &suite.workloads {
        if options.wants(workload.family, &workload.name) {
            if family.replace(workload.family) != Some(workload.family) {
                crate::table::print_heading(workload.family.name(), &names);
            }
            let row = measure_row(workload, suite, tools, options, failures);
            crate::table::print_row(&row, &names);
            rows.push(row);
        }
    }
    rows
}

fn measure_row(
    workload: &Workload,
    suite: &Suite,
    tools: &Tools,
    options: &Options,
    failures: &mut Vec<Missing>,
) -> Row {
    let mut columns = columns(workload, &suite.subjects);
    for round in 0..options.rounds as usize {
        // A different one begins each round: none always follows the same neighbour's mess.
        let count = columns.len().max(1);
        for step in 0..columns.len() {
            let column = &mut columns[(round + step) % count];
            column.measure(workload, tools, failures);
        }
    }
    let cells = columns.into_iter().filter_map(|column| column.cell(options)).collect();
    Row { family: workload.family, workload: workload.name.clone(), curve: workload.curve.clone(), cells }
}

/// One allocator while its rounds are collected.
struct Column<'a> {
    subject: Subject,
    bare: Option<&'a Task>,
    rounds: Vec<Measurement>,
    failed: bool,
}

fn columns<'a>(workload: &'a Workload, subjects: &[Subject]) -> Vec<Column<'a>> {
    let column = |subject, bare| Column { subject, bare, rounds: Vec::new(), failed: false };
    let mut columns: Vec<_> = subjects.iter().map(|subject| column(subject.clone(), None)).collect();
    if let Some(task) = &workload.bare {
        let allocator = Allocator { name: BARE.into(), library: None, version: String::new() };
        columns.push(column(Subject { allocator, binary: None }, Some(task)));
    }
    columns
}

impl Column<'_> {
    fn measure(&mut self, workload: &Workload, tools: &Tools, failures: &mut Vec<Missing>) {
        if self.failed {
            return;
        }
        let run = match self.bare {
            Some(task) => task.measure(tools, &self.subject.allocator),
            None => workload.run(tools, &self.subject),
        };
        match run {
            Ok(measurement) => self.rounds.push(measurement),
            Err(reason) => {
                eprintln!("compare: {} under {}: {reason}", workload.name, self.subject.allocator.name);
                failures.push(Missing::new(
                    format!("{} under {}", workload.name, self.subject.allocator.name),
                    reason,
                ));
                self.failed = true;
            }
        }
    }

    fn cell(self, options: &Options) -> Option<Cell> {
        if self.failed {
            return None;
        }
        let summary = |quantity: fn(&Measurement) -> f64| {
            Summary::of(&self.rounds.iter().map(quantity).collect::<Vec<_>>(), options.statistic)
        };
        Some(Cell {
            time: summary(|round| round.ns_per_op)?,
            peak: summary(|round| round.peak_kib)?,
            cpu: summary(|round| round.cpu_ns)?,
            faults: summary(|round| round.faults)?,
            allocator: self.subject.allocator.name,
            rounds: self.rounds,
        })
    }
}
