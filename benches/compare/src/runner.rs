//! The order of measuring: A B C A B C …, so that what disturbs the machine disturbs all alike.

use crate::cli::{Family, Options};
use crate::compile::Tools;
use crate::install::Missing;
use crate::measure::{Measurement, Task, Turn};
use crate::peers::{Allocator, BESOM};
use crate::statistics::Summary;
use crate::workload::{Subject, Suite, Workload};
use serde::Serialize;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

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
    /// How long measuring all of it took.
    pub seconds: f64,
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
            let start = Instant::now();
            let row = measure_row(workload, suite, tools, options, failures);
            let row = Row { seconds: start.elapsed().as_secs_f64(), ..row };
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
    tools.warmth.begin_row();
    let mut columns = columns(workload, &suite.subjects);
    for _ in 0..options.rounds {
        if workload.watched > 1 {
            measure_in_turns(&mut columns, workload, tools, failures);
        } else {
            columns.iter_mut().for_each(|column| column.measure(workload, tools, None, failures));
        }
        // A different one begins each round: none always follows the same neighbour's mess.
        if !columns.is_empty() {
            columns.rotate_left(1);
        }
    }
    columns.sort_by_key(|column| column.place);
    let cells = columns.into_iter().filter_map(|column| column.cell(options)).collect();
    let (family, curve) = (workload.family, workload.curve.clone());
    Row { family, workload: workload.name.clone(), curve, cells, seconds: 0.0 }
}

/// One round in which one computes while up to `watched` others are only watched for what they hold.
fn measure_in_turns(columns: &mut [Column], workload: &Workload, tools: &Tools, failures: &mut Vec<Missing>) {
    let turn = Turn::default();
    let failed = Mutex::new(failures);
    let queue = Mutex::new(columns.iter_mut());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..workload.watched {
            scope.spawn(|| {
                while let Some(column) = next() {
                    let mut own = Vec::new();
                    column.measure(workload, tools, Some(&turn), &mut own);
                    failed.lock().unwrap_or_else(PoisonError::into_inner).append(&mut own);
                }
            });
        }
    });
}

/// One allocator while its rounds are collected.
struct Column<'a> {
    place: usize,
    subject: Subject,
    bare: Option<&'a Task>,
    rounds: Vec<Measurement>,
    failed: bool,
}

fn columns<'a>(workload: &'a Workload, subjects: &[Subject]) -> Vec<Column<'a>> {
    let column = |place, subject, bare| Column { place, subject, bare, rounds: Vec::new(), failed: false };
    let wanted = subjects.iter().filter(|one| !workload.alone || one.allocator.name == BESOM);
    let mut columns: Vec<_> =
        wanted.enumerate().map(|(place, subject)| column(place, subject.clone(), None)).collect();
    if let Some(task) = &workload.bare {
        let allocator = Allocator::new(BARE, None, "");
        columns.push(column(columns.len(), Subject { allocator, binary: None }, Some(task)));
    }
    columns
}

impl Column<'_> {
    fn measure(
        &mut self,
        workload: &Workload,
        tools: &Tools,
        turn: Option<&Turn>,
        failures: &mut Vec<Missing>,
    ) {
        if self.failed {
            return;
        }
        let run = match self.bare {
            Some(task) => task.measure(tools, &self.subject.allocator),
            None => workload.run(tools, &self.subject, turn),
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
