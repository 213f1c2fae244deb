//! Measures besom and its peers side by side and writes the report; `docs/benchmarks.md` explains it.

mod bars;
mod cli;
mod compile;
mod crates;
mod held;
mod install;
mod linked;
mod machine;
mod measure;
mod micro;
mod peers;
mod phases;
mod picture;
mod programs;
mod publish;
mod ratios;
mod report;
mod runner;
mod sections;
mod servers;
mod statistics;
mod table;
mod threads;
mod variants;
mod workload;

use clap::Parser;
use cli::{Family, Options, repository};
use compile::Tools;
use install::Missing;
use machine::Machine;
use measure::Warmth;
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use workload::{Subject, Suite, Workload};

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
    if options.list {
        return list(options);
    }
    let tools = Tools::build(programs_folder(), options.clock)?;
    let machine = Machine::look();
    let (mut allocators, mut missing) = peers::find(options, &machine.glibc);
    let (built, not_built) = crates::find(&tools.folder, options);
    allocators.extend(built);
    missing.extend(not_built);
    let preloaded = Suite {
        subjects: allocators.iter().map(|one| Subject { allocator: one.clone(), binary: None }).collect(),
        workloads: preload_workloads(&tools, options, &mut missing),
    };
    let linked = linked::suite(&tools, options, &mut missing);
    missing.iter().for_each(|one| println!("missing: {}: {}", one.name, one.reason));
    if options.prepare {
        println!("everything is built; the same command without --prepare measures");
        return Ok(());
    }
    let start = Instant::now();
    let suites = [preloaded, linked].into_iter().chain(variants::suites(&tools, options, &allocators));
    let rows: Vec<_> = suites.flat_map(|suite| runner::run(&suite, &tools, options, &mut missing)).collect();
    let report = Report {
        format: 2,
        machine,
        size: options.size(),
        seconds: start.elapsed().as_secs_f64(),
        rounds: options.rounds,
        statistic: options.statistic,
        clock: options.clock,
        allocators,
        missing,
        rows,
    };
    finish(&report, options)
}

/// Where built programs lie, of this bench and of the crates.
fn programs_folder() -> PathBuf {
    repository().join("target/bench/programs")
}

fn loops(tools: &Tools, options: &Options) -> Vec<Workload> {
    let mut workloads = micro::workloads(tools, options);
    workloads.extend(threads::workloads(tools, options.size()));
    workloads.extend(phases::workloads(tools, options));
    workloads
}

fn preload_workloads(tools: &Tools, options: &Options, missing: &mut Vec<Missing>) -> Vec<Workload> {
    let mut workloads = loops(tools, options);
    workloads.extend(programs::workloads(tools, options, missing));
    workloads
}

/// Prints all names; builds and installs nothing.
fn list(options: &Options) -> Result<(), String> {
    let tools = Tools { folder: programs_folder(), clock: options.clock, warmth: Warmth::default() };
    let loops = loops(&tools, options);
    let linked = linked::workloads(options.size());
    let variants = variants::workloads(&tools, options);
    loops
        .iter()
        .chain(&linked)
        .chain(&variants)
        .for_each(|one| println!("{}/{}", one.family.name(), one.name));
    programs::names(&tools, options).iter().for_each(|name| println!("{}/{name}", Family::Programs.name()));
    Ok(())
}

/// Prints the means and writes the report with its pictures.
fn finish(report: &Report, options: &Options) -> Result<(), String> {
    for family in Family::ALL {
        let rows = report.family(family);
        if !rows.is_empty() {
            table::print_means(family.name(), &rows);
        }
    }
    table::print_means("all", &report.compared());
    std::fs::create_dir_all(&options.out).map_err(|error| format!("{}: {error}", options.out.display()))?;
    let pictures = picture::draw(report, &options.out).map_err(|error| format!("pictures: {error}"))?;
    report.write(options, &pictures)?;
    println!("wrote {}/report.md, report.json and {} pictures", options.out.display(), pictures.len());
    if let Some(document) = &options.publish {
        publish::publish(document, &options.out, &pictures)?;
        println!("published into {}", document.display());
    }
    Ok(())
}
