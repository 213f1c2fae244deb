//! The pictures, as SVG.

use crate::cli::Family;
use crate::ratios::Quantity;
use crate::report::{Report, names};
use crate::runner::{BARE, Cell, Row};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws everything the report has data for and gives the files' names.
pub fn draw(report: &Report, folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for family in Family::ALL {
        let rows = report.family(family);
        for quantity in [Quantity::Time, Quantity::Peak] {
            let file = format!("{}-{}.svg", quantity.name().replace(' ', "-"), family.name());
            if !rows.is_empty() && family != Family::Options {
                dots(&rows, quantity, family, &folder.join(&file))?;
                files.push(file);
            }
        }
    }
    for curve in curves(report) {
        let file = format!("curve-{}.svg", file_name(&curve));
        scaling(report, &curve, &folder.join(&file))?;
        files.push(file);
    }
    for row in report.rows.iter().filter(|row| row.family == Family::Fragmentation) {
        let file = format!("memory-{}.svg", file_name(&row.workload));
        memory_over_time(row, &folder.join(&file))?;
        files.push(file);
    }
    Ok(files)
}

fn file_name(text: &str) -> String {
    text.replace(|c: char| !c.is_alphanumeric(), "-").replace("--", "-")
}

/// The same colour for the same place in the legend, besom always the first and strongest.
fn colour(index: usize) -> RGBColor {
    const COLOURS: [RGBColor; 10] = [
        RGBColor(214, 39, 40),
        RGBColor(90, 90, 90),
        RGBColor(31, 119, 180),
        RGBColor(44, 160, 44),
        RGBColor(255, 127, 14),
        RGBColor(148, 103, 189),
        RGBColor(140, 86, 75),
        RGBColor(23, 190, 207),
        RGBColor(188, 189, 34),
        RGBColor(227, 119, 194),
    ];
    COLOURS[index % COLOURS.len()]
}

fn contenders(rows: &[&Row]) -> Vec<String> {
    names(rows).into_iter().filter(|name| name != BARE).collect()
}

/// One line per workload, one dot per allocator, at its multiple of the best in the row; logarithmic.
fn dots(rows: &[&Row], quantity: Quantity, family: Family, file: &Path) -> Result<()> {
    let names = contenders(rows);
    let multiple = |row: &Row, cell: &Cell| {
        let all = row.cells.iter().filter(|cell| cell.allocator != BARE).map(|cell| quantity.of(cell).value);
        quantity.of(cell).value / all.fold(f64::INFINITY, f64::min)
    };
    let largest = rows
        .iter()
        .flat_map(|row| {
            row.cells.iter().filter(|cell| cell.allocator != BARE).map(|cell| multiple(row, cell))
        })
        .fold(2.0, f64::max);
    let height = 110 + 22 * rows.len() as u32;
    let area = SVGBackend::new(file, (960, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let title = format!("{}, {}: multiple of the best (1 = best)", family.name(), quantity.name());
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(180)
        .build_cartesian_2d((0.9..largest * 4.0).log_scale(), -0.7..rows.len() as f64 - 0.3)?;
    let label = |y: &f64| {
        let near = y.round();
        let row = rows.len().checked_sub(1 + near.max(0.0) as usize).and_then(|at| rows.get(at));
        if (y - near).abs() < 0.01 {
            row.map_or(String::new(), |row| row.workload.clone())
        } else {
            String::new()
        }
    };
    chart
        .configure_mesh()
        .y_labels(2 * rows.len() + 2)
        .y_label_formatter(&label)
        .x_labels(12)
        .light_line_style(WHITE)
        .draw()?;
    let points = |index: usize, name: &str| -> Vec<_> {
        let place = |(y, row): (usize, &&Row)| {
            let cell = row.cell(name)?;
            Some(Circle::new((multiple(row, cell), y as f64), 5, colour(index).filled()))
        };
        rows.iter().rev().enumerate().filter_map(place).collect()
    };
    for (index, name) in names.iter().enumerate() {
        chart
            .draw_series(points(index, name))?
            .label(name)
            .legend(move |(x, y)| Circle::new((x + 8, y), 5, colour(index).filled()));
    }
    // The first is besom: once more, on top.
    if let Some(first) = names.first() {
        chart.draw_series(points(0, first))?;
    }
    legend(&mut chart)?;
    Ok(area.present()?)
}

fn legend<'a, X, Y>(chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>) -> Result<()>
where
    X: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
{
    let labels = chart.configure_series_labels();
    let mut labels = labels;
    labels
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3));
    labels.draw()?;
    Ok(())
}

fn curves(report: &Report) -> Vec<String> {
    let mut curves: Vec<String> = Vec::new();
    for (curve, _) in report.rows.iter().filter_map(|row| row.curve.as_ref()) {
        if !curves.contains(curve) {
            curves.push(curve.clone());
        }
    }
    curves
}

/// Time per operation along one quantity (threads, live objects, bytes), both axes logarithmic.
fn scaling(report: &Report, curve: &str, file: &Path) -> Result<()> {
    let rows: Vec<(&Row, f64)> = report
        .rows
        .iter()
        .filter_map(|row| row.curve.as_ref().filter(|(name, _)| name == curve).map(|(_, at)| (row, *at)))
        .collect();
    let only: Vec<&Row> = rows.iter().map(|(row, _)| *row).collect();
    let times = || only.iter().flat_map(|row| row.cells.iter().map(|cell| cell.time.value));
    let (low, high) = (times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max));
    let (from, to) = rows.iter().fold((f64::INFINITY, 0.0f64), |(a, b), (_, x)| (a.min(*x), b.max(*x)));
    let area = SVGBackend::new(file, (800, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    // Room for the legend on the right.
    let x = (from * 0.9..to * (to / from).powf(0.3)).log_scale().base(2.0);
    let mut chart = axes(&area, &format!("ns per operation: {curve}"))
        .build_cartesian_2d(x, (whole_power(low, f64::floor)..whole_power(high, f64::ceil)).log_scale())?;
    chart.configure_mesh().x_desc(curve).y_desc("ns per operation").light_line_style(WHITE).draw()?;
    for (index, name) in names(&only).iter().enumerate() {
        let points: Vec<_> =
            rows.iter().filter_map(|(row, x)| Some((*x, row.cell(name)?.time.value))).collect();
        let style = if name == BARE { BLACK.mix(0.5).stroke_width(1) } else { colour(index).stroke_width(2) };
        chart
            .draw_series(LineSeries::new(points, style).point_size(3))?
            .label(name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], style));
    }
    legend(&mut chart)?;
    Ok(area.present()?)
}

/// The next power of ten below or above: logarithmic axes are labelled at whole powers only.
fn whole_power(value: f64, round: fn(f64) -> f64) -> f64 {
    10f64.powf(round(value.max(1e-3).log10()))
}

fn axes<'a, 'b>(area: &'a Area<'b>, title: &str) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder.caption(title, ("sans-serif", 18)).margin(12).x_label_area_size(40).y_label_area_size(70);
    builder
}

/// Live and held bytes over the time of the first round.
fn memory_over_time(row: &Row, file: &Path) -> Result<()> {
    const MIB: f64 = 1024.0 * 1024.0;
    let runs: Vec<_> = row.cells.iter().filter_map(|cell| Some((cell, cell.rounds.first()?))).collect();
    let samples = || runs.iter().flat_map(|(_, round)| &round.samples);
    let end = samples().map(|sample| sample[0]).fold(0.1, f64::max);
    let top = samples().map(|sample| sample[2].max(sample[1])).fold(MIB, f64::max) / MIB;
    let area = SVGBackend::new(file, (900, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let title = format!("{}: MiB held over time (dotted: bytes alive under the first)", row.workload);
    let mut chart = axes(&area, &title).build_cartesian_2d(0.0..end * 1.2, 0.0..top * 1.1)?;
    chart.configure_mesh().x_desc("seconds").y_desc("MiB").light_line_style(WHITE).draw()?;
    for (index, (cell, round)) in runs.iter().enumerate() {
        let held = round.samples.iter().map(|sample| (sample[0], sample[2] / MIB));
        let style = colour(index).stroke_width(2);
        chart
            .draw_series(LineSeries::new(held, style))?
            .label(&cell.allocator)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], style));
    }
    // The same for all, but for how fast they got there.
    if let Some((_, round)) = runs.first() {
        let live = round.samples.iter().map(|sample| (sample[0], sample[1] / MIB));
        chart.draw_series(DashedLineSeries::new(live, 3, 4, BLACK.mix(0.6).stroke_width(1)))?;
    }
    legend(&mut chart)?;
    Ok(area.present()?)
}
