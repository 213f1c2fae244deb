//! Tests of the whole way from addresses to a report.
