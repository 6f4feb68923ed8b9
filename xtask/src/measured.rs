//! Repeated measurements of one thing.

/// Measurements, at least one.
#[derive(Debug, Clone, Default)]
pub struct Measured(Vec<f64>);

impl Measured {
    /// Adds one.
    pub fn push(&mut self, value: f64) {
        let at = self
            .0
            .partition_point(|other| other.total_cmp(&value).is_lt());
        self.0.insert(at, value);
    }

    /// The smallest that at least this share of all, in (0, 1], do not exceed.
    pub fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or(f64::NAN)
    }

    /// The middle one; of an even number the mean of the middle two.
    pub fn median(&self) -> f64 {
        let half = self.0.len() / 2;
        if self.0.len().is_multiple_of(2) && half > 0 {
            (self.0[half - 1] + self.0[half]) / 2.0
        } else {
            self.quantile(0.5)
        }
    }

    /// The smallest.
    pub fn least(&self) -> f64 {
        self.quantile(0.0)
    }

    /// The largest.
    pub fn most(&self) -> f64 {
        self.quantile(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_measurements_and_the_median_lies_in_the_middle() {
        let mut measured = Measured::default();
        assert!(measured.median().is_nan());
        for value in [3.0, 1.0, 4.0, 1.0, 5.0] {
            measured.push(value);
        }
        let seen = [
            measured.least(),
            measured.median(),
            measured.quantile(0.95),
            measured.most(),
        ];
        assert_eq!(seen, [1.0, 3.0, 5.0, 5.0]);
        measured.push(4.0);
        assert_eq!((measured.median(), measured.quantile(0.5)), (3.5, 3.0));
    }
}
