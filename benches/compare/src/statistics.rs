//! Medians, spreads, geometric means.

use crate::cli::Statistic;

/// Several measurements of one quantity.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Summary {
    /// What stands for all: the median or the smallest.
    pub value: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// Half the distance between the quartiles, as a part of the median.
    pub spread: f64,
}

impl Summary {
    /// Sums up at least one measurement; none gives none.
    pub fn of(values: &[f64], statistic: Statistic) -> Option<Summary> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let median = quantile(&sorted, 0.5);
        let value = match statistic {
            Statistic::Median => median,
            Statistic::Min => low,
        };
        let half = (quantile(&sorted, 0.75) - quantile(&sorted, 0.25)) / 2.0;
        Some(Summary { value, low, high, spread: if median > 0.0 { half / median } else { 0.0 } })
    }
}

/// The geometric mean of positive numbers; none for no numbers.
pub fn geometric_mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.into_iter().fold((0u32, 0.0), |(n, sum), value| (n + 1, sum + value.ln()));
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

/// Linear interpolation between the neighbours, as most tools do it.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let at = part * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_quartiles() {
        let summary = Summary::of(&[5.0, 1.0, 3.0, 2.0, 4.0], Statistic::Median).unwrap();
        assert_eq!((summary.value, summary.low, summary.high), (3.0, 1.0, 5.0));
        assert!((summary.spread - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(Summary::of(&[4.0, 2.0], Statistic::Min).unwrap().value, 2.0);
        assert_eq!(Summary::of(&[], Statistic::Min), None);
    }

    #[test]
    fn geometric_mean_of_a_ratio_and_its_inverse_is_one() {
        assert!((geometric_mean([0.5, 2.0]).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(geometric_mean([]), None);
    }
}
