//! The constants by which values are normalised: none, by the declared maximum, or by mean and standard deviation of
//! the rows trained on.

use spec::checkpoint::Preprocessing;
use spec::job::Normalize;

use crate::error::Error;
use crate::folding::Folding;
use crate::rows::Rows;
use crate::sums::ChannelSums;

/// The constants for these rows; for tokens those that leave everything as it is. For `Normalize::Standard` all chunks are read; ranks that share that work call
/// [`Rows::chunk_sums`], [`ChannelSums::fold`] and [`preprocessing_standard`], and get the same bits.
///
/// # Errors
/// A chunk that cannot be read.
pub fn preprocessing(normalize: Normalize, rows: &Rows) -> Result<Preprocessing, Error> {
    if rows.tokens().is_some() {
        return Ok(preprocessing_none(rows.channels()));
    }
    match normalize {
        Normalize::None => Ok(preprocessing_none(rows.channels())),
        Normalize::Unit => Ok(preprocessing_unit(rows.channels(), rows.maximum())),
        Normalize::Standard => {
            let mut folding = Folding::default();
            for chunk in 0..rows.chunks() {
                folding.push(rows.chunk_sums(chunk)?)?;
            }
            Ok(folding.finish()?.map_or_else(
                || preprocessing_none(rows.channels()),
                |sums| preprocessing_standard(&sums),
            ))
        }
    }
}

/// The constants that leave every value as it is.
pub fn preprocessing_none(channels: usize) -> Preprocessing {
    Preprocessing {
        shift: vec![0.0; channels],
        scale: vec![1.0; channels],
    }
}

/// The constants that divide by the dataset's declared maximum.
pub fn preprocessing_unit(channels: usize, maximum: f64) -> Preprocessing {
    Preprocessing {
        shift: vec![0.0; channels],
        scale: vec![reciprocal(maximum); channels],
    }
}

/// The constants that subtract the mean of the rows that were summed, and divide by their standard deviation; by 1
/// where that is 0.
pub fn preprocessing_standard(sums: &ChannelSums) -> Preprocessing {
    Preprocessing {
        shift: sums.mean().iter().map(|&mean| mean as f32).collect(),
        scale: sums.std().iter().map(|&std| reciprocal(std)).collect(),
    }
}

fn reciprocal(value: f64) -> f32 {
    let scale = (1.0 / value) as f32;
    if scale.is_finite() { scale } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use spec::dataset::Element;

    use super::*;

    #[test]
    fn a_channel_without_deviation_is_only_shifted() {
        let row: [&[u8]; 2] = [&[5, 0], &[5, 2]];
        let constants = preprocessing_standard(&ChannelSums::of(Element::U8, 2, row.into_iter()));
        assert_eq!(
            constants,
            Preprocessing {
                shift: vec![5.0, 1.0],
                scale: vec![1.0, 1.0]
            }
        );
        assert_eq!(preprocessing_unit(1, 255.0).scale, [1.0 / 255.0]);
    }
}
