//! Measures besom and its peers side by side and writes the report; `docs/benchmarks.md` explains it.

mod cli;
mod compile;
mod install;
mod machine;
mod measure;
mod micro;
mod peers;
mod phases;
mod ratios;
mod runner;
mod statistics;
mod table;
mod threads;
mod workload;

use clap::Parser;
use cli::{Options, repository};
use compile::Tools;
use machine::Machine;
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
    let subjects = allocators.into_iter().map(|allocator| Subject { allocator, binary: None }).collect();
    table::print_heading(&names);
    let rows = runner::run(&Suite { subjects, workloads }, &tools, options, &mut missing);
    table::print_means("all", &rows.iter().collect::<Vec<_>>(), &names);
    Ok(())
}
