//! The sums behind mean and standard deviation, by channel. Bytes are summed as integers, exactly; floats as mean and
//! squared deviations from it, which neither cancel nor turn a constant channel into a nearly constant one.

use spec::dataset::Element;

use crate::error::Error;

/// Sums over some rows, by channel.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelSums {
    /// Values of each channel.
    count: u64,
    channels: Channels,
}

#[derive(Debug, Clone, PartialEq)]
enum Channels {
    U8(Vec<Integers>),
    F32(Vec<Moments>),
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Integers {
    sum: u64,
    squares: u128,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Moments {
    mean: f64,
    deviations: f64,
}

impl ChannelSums {
    /// The sums over rows, each the bytes of `channels` planes of equal length. Tokens are numbers of words, which have no
    /// mean: their sums count nothing.
    pub fn of<'a>(
        element: Element,
        channels: usize,
        rows: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Self {
        match element {
            Element::U8 => of_bytes(channels, rows),
            Element::F32 => of_floats(channels, rows),
            Element::U16 | Element::U32 => ChannelSums {
                count: 0,
                channels: Channels::F32(vec![Moments::default(); channels]),
            },
        }
    }

    /// The sums over the rows of both. Without rows, the other's pass through unchanged.
    ///
    /// # Errors
    /// Sums of different kinds of values or numbers of channels.
    pub fn merge(self, other: ChannelSums) -> Result<ChannelSums, Error> {
        let channels = match (self.channels, other.channels) {
            (Channels::U8(a), Channels::U8(b)) if a.len() == b.len() => Channels::U8(
                a.iter()
                    .zip(&b)
                    .map(|(a, b)| Integers {
                        sum: a.sum.wrapping_add(b.sum),
                        squares: a.squares.wrapping_add(b.squares),
                    })
                    .collect(),
            ),
            (Channels::F32(a), Channels::F32(b)) if a.len() == b.len() => Channels::F32(
                a.iter()
                    .zip(&b)
                    .map(|(a, b)| merge_moments((self.count, a), (other.count, b)))
                    .collect(),
            ),
            _ => return Err(Error::DifferentSums),
        };
        Ok(ChannelSums {
            count: self.count.wrapping_add(other.count),
            channels,
        })
    }

    /// The mean of each channel; 0 without values.
    pub fn mean(&self) -> Vec<f64> {
        match &self.channels {
            Channels::U8(channels) => channels
                .iter()
                .map(|channel| channel.sum as f64 / self.count.max(1) as f64)
                .collect(),
            Channels::F32(channels) => channels.iter().map(|channel| channel.mean).collect(),
        }
    }

    /// The biased standard deviation of each channel; 0 without values.
    pub fn std(&self) -> Vec<f64> {
        let count = self.count.max(1);
        match &self.channels {
            Channels::U8(channels) => channels
                .iter()
                .map(|channel| {
                    let sum = u128::from(channel.sum);
                    let spread =
                        (u128::from(count).wrapping_mul(channel.squares)).saturating_sub(sum * sum);
                    (spread as f64).sqrt() / count as f64
                })
                .collect(),
            Channels::F32(channels) => channels
                .iter()
                .map(|channel| (channel.deviations / count as f64).sqrt())
                .collect(),
        }
    }

    /// The bytes by which another rank gets these sums.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.count.to_le_bytes().to_vec();
        match &self.channels {
            Channels::U8(channels) => {
                bytes.push(0);
                for channel in channels {
                    bytes.extend_from_slice(&channel.sum.to_le_bytes());
                    bytes.extend_from_slice(&channel.squares.to_le_bytes());
                }
            }
            Channels::F32(channels) => {
                bytes.push(1);
                for channel in channels {
                    bytes.extend_from_slice(&channel.mean.to_le_bytes());
                    bytes.extend_from_slice(&channel.deviations.to_le_bytes());
                }
            }
        }
        bytes
    }

    /// The sums that another rank encoded.
    ///
    /// # Errors
    /// Bytes that are no sums.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let fault = || Error::NotSums { bytes: bytes.len() };
        let (count, rest) = bytes.split_first_chunk::<8>().ok_or_else(fault)?;
        let (kind, rest) = rest.split_first().ok_or_else(fault)?;
        let channels = match kind {
            0 => {
                let (words, []) = rest.as_chunks::<24>() else {
                    return Err(fault());
                };
                Channels::U8(words.iter().map(Integers::from_bytes).collect())
            }
            1 => {
                let (words, []) = rest.as_chunks::<16>() else {
                    return Err(fault());
                };
                Channels::F32(words.iter().map(Moments::from_bytes).collect())
            }
            _ => return Err(fault()),
        };
        Ok(ChannelSums {
            count: u64::from_le_bytes(*count),
            channels,
        })
    }
}

impl Integers {
    fn from_bytes(bytes: &[u8; 24]) -> Self {
        let [s0, s1, s2, s3, s4, s5, s6, s7, squares @ ..] = *bytes;
        Integers {
            sum: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
            squares: u128::from_le_bytes(squares),
        }
    }
}

impl Moments {
    fn from_bytes(bytes: &[u8; 16]) -> Self {
        let [m0, m1, m2, m3, m4, m5, m6, m7, deviations @ ..] = *bytes;
        Moments {
            mean: f64::from_le_bytes([m0, m1, m2, m3, m4, m5, m6, m7]),
            deviations: f64::from_le_bytes(deviations),
        }
    }
}

fn of_bytes<'a>(channels: usize, rows: impl Iterator<Item = &'a [u8]>) -> ChannelSums {
    let mut totals = vec![Integers::default(); channels];
    let mut count = 0;
    for row in rows {
        let plane = row.len() / channels;
        count += plane as u64;
        for (total, values) in totals.iter_mut().zip(row.chunks_exact(plane.max(1))) {
            // Pieces short enough that their sums fit 32 bits, which vectorise.
            for piece in values.chunks(1 << 15) {
                let (mut sum, mut squares) = (0u32, 0u32);
                for &value in piece {
                    sum += u32::from(value);
                    squares += u32::from(value) * u32::from(value);
                }
                total.sum += u64::from(sum);
                total.squares += u128::from(squares);
            }
        }
    }
    ChannelSums {
        count,
        channels: Channels::U8(totals),
    }
}

fn of_floats<'a>(channels: usize, rows: impl Iterator<Item = &'a [u8]> + Clone) -> ChannelSums {
    let mut totals = vec![Moments::default(); channels];
    let mut count = 0;
    // Summed as distances from the first value, so that the mean of a constant channel is that constant.
    let mut pivots = vec![0.0; channels];
    for (number, row) in rows.clone().enumerate() {
        let plane = row.len() / 4 / channels;
        count += plane as u64;
        for (channel, values) in row.chunks_exact(4 * plane.max(1)).enumerate() {
            if number == 0 {
                pivots[channel] = floats(values).next().unwrap_or(0.0);
            }
            totals[channel].mean += floats(values)
                .map(|value| value - pivots[channel])
                .sum::<f64>();
        }
    }
    for (total, pivot) in totals.iter_mut().zip(&pivots) {
        total.mean = pivot + total.mean / count.max(1) as f64;
    }
    for row in rows {
        let plane = row.len() / 4 / channels;
        for (total, values) in totals.iter_mut().zip(row.chunks_exact(4 * plane.max(1))) {
            let mean = total.mean;
            total.deviations += floats(values)
                .map(|value| (value - mean) * (value - mean))
                .sum::<f64>();
        }
    }
    ChannelSums {
        count,
        channels: Channels::F32(totals),
    }
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f64> + '_ {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| f64::from(f32::from_le_bytes(*word)))
}

/// The pairwise update of Chan, Golub and LeVeque, "Algorithms for computing the sample variance" (1983).
fn merge_moments((n, a): (u64, &Moments), (m, b): (u64, &Moments)) -> Moments {
    if n == 0 || m == 0 {
        return if n == 0 { *b } else { *a };
    }
    let weight = m as f64 / (n as f64 + m as f64);
    let delta = b.mean - a.mean;
    Moments {
        mean: a.mean + delta * weight,
        deviations: a.deviations + b.deviations + delta * delta * (n as f64 * weight),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sums(values: &[f32], channels: usize) -> ChannelSums {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        ChannelSums::of(Element::F32, channels, bytes.chunks_exact(4 * channels))
    }

    #[test]
    fn bytes_give_the_exact_mean_and_deviation() {
        let rows: [&[u8]; 2] = [&[1, 3, 255, 255], &[5, 7, 255, 255]];
        let sums = ChannelSums::of(Element::U8, 2, rows.into_iter());
        assert_eq!(sums.mean(), [4.0, 255.0]);
        assert_eq!(sums.std(), [5f64.sqrt(), 0.0]);
    }

    #[test]
    fn a_long_row_of_large_bytes_does_not_overflow() {
        let row = vec![255u8; 1 << 20];
        let sums = ChannelSums::of(Element::U8, 1, std::iter::once(row.as_slice()));
        assert_eq!((sums.mean(), sums.std()), (vec![255.0], vec![0.0]));
    }

    #[test]
    fn sums_of_different_data_are_not_added() {
        let bytes = ChannelSums::of(Element::U8, 1, std::iter::once([1u8].as_slice()));
        assert!(matches!(
            sums(&[1.0], 1).merge(bytes),
            Err(Error::DifferentSums)
        ));
        assert!(matches!(
            sums(&[1.0, 1.0], 2).merge(sums(&[1.0], 1)),
            Err(Error::DifferentSums)
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(sums) = ChannelSums::decode(&bytes) {
                let _ = (sums.mean(), sums.std(), sums.clone().merge(sums.clone()));
                prop_assert_eq!(sums.encode(), bytes);
            }
        }
    }
}
