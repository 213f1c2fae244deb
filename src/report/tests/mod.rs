//! Tests of the whole way from addresses to a report.

mod corrupt;
mod formats;
mod programs;
mod symbolizer;
mod units;
mod whole;
