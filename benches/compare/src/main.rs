//! Measures besom and its peers side by side and writes the report; `docs/benchmarks.md` explains it.

mod cli;
mod compile;
mod held;
mod install;
mod machine;
mod measure;
mod micro;
mod peers;
mod phases;
mod picture;
mod ratios;
mod report;
mod runner;
mod statistics;
mod table;
mod threads;
mod workload;

use clap::Parser;
use cli::{Family, Options, repository};
use compile::Tools;
use machine::Machine;
use report::Report;
use std::process::ExitCode;
use workload::{Subject, Suite};

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("compare: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let tools = Tools::build(repository().join("target/bench/programs"))?;
    let mut workloads = micro::workloads(&tools, options.quick);
    workloads.extend(threads::workloads(&tools, options.quick));
    workloads.extend(phases::workloads(&tools, options.quick));
    if options.list {
        workloads.iter().for_each(|workload| println!("{}/{}", workload.family.name(), workload.name));
        return Ok(());
    }
    let machine = Machine::look();
    let (allocators, mut missing) = peers::find(options, &machine.glibc);
    for absent in &missing {
        println!("missing: {}: {}", absent.name, absent.reason);
    }
    let names: Vec<_> = allocators.iter().map(|allocator| allocator.name.clone()).collect();
    let subjects = allocators.iter().map(|one| Subject { allocator: one.clone(), binary: None }).collect();
    table::print_heading(&names);
    let rows = runner::run(&Suite { subjects, workloads }, &tools, options, &mut missing);
    let report = Report {
        format: 1,
        machine,
        quick: options.quick,
        rounds: options.rounds,
        statistic: options.statistic,
        allocators,
        missing,
        rows,
    };
    finish(&report, options, &names)
}

/// Prints the means and writes the report with its pictures.
fn finish(report: &Report, options: &Options, names: &[String]) -> Result<(), String> {
    for family in Family::ALL {
        let rows = report.family(family);
        if !rows.is_empty() {
            table::print_means(family.name(), &rows, names);
        }
    }
    table::print_means("all", &report.rows.iter().collect::<Vec<_>>(), names);
    std::fs::create_dir_all(&options.out).map_err(|error| format!("{}: {error}", options.out.display()))?;
    let pictures = picture::draw(report, &options.out).map_err(|error| format!("pictures: {error}"))?;
    report.write(options, &pictures)?;
    println!("wrote {}/report.md, report.json and {} pictures", options.out.display(), pictures.len());
    Ok(())
}
