//! The fold of chunk sums: a fixed tree on the chunk numbers, so that any division of the work gives the same bits.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::sums::ChannelSums;

impl ChannelSums {
    /// The sums over all chunks, folded by the tree whose nodes are the aligned ranges of chunk numbers
    /// [i·2^j, (i+1)·2^j); a number that is not there passes its sibling through. `None` without chunks; of two sums
    /// for one chunk the later counts.
    ///
    /// # Errors
    /// Sums of different kinds of values or numbers of channels.
    pub fn fold(chunks: Vec<(u32, ChannelSums)>) -> Result<Option<ChannelSums>, Error> {
        let mut chunks: Vec<_> = BTreeMap::from_iter(chunks)
            .into_iter()
            .map(|(n, sums)| (n, Some(sums)))
            .collect();
        fold_range(&mut chunks, 0, 1 << 32)
    }
}

fn fold_range(
    chunks: &mut [(u32, Option<ChannelSums>)],
    low: u64,
    width: u64,
) -> Result<Option<ChannelSums>, Error> {
    if chunks.len() <= 1 {
        return Ok(chunks.first_mut().and_then(|(_, sums)| sums.take()));
    }
    let middle = low + width / 2;
    let (left, right) =
        chunks.split_at_mut(chunks.partition_point(|(number, _)| u64::from(*number) < middle));
    match (
        fold_range(left, low, width / 2)?,
        fold_range(right, middle, width / 2)?,
    ) {
        (Some(left), Some(right)) => left.merge(right).map(Some),
        (left, right) => Ok(left.or(right)),
    }
}

/// The same fold, one chunk after the other from number 0 on, in memory for the logarithm of their number.
#[derive(Debug, Default)]
pub(crate) struct Folding {
    /// Complete nodes from left to right, each with its height.
    nodes: Vec<(u32, ChannelSums)>,
}

impl Folding {
    /// Takes the next chunk's sums.
    pub(crate) fn push(&mut self, sums: ChannelSums) -> Result<(), Error> {
        let mut node = (0, sums);
        while let Some((height, _)) = self.nodes.last()
            && *height == node.0
            && let Some((_, left)) = self.nodes.pop()
        {
            node = (node.0 + 1, left.merge(node.1)?);
        }
        self.nodes.push(node);
        Ok(())
    }

    /// The sums of all chunks; `None` without any.
    pub(crate) fn finish(self) -> Result<Option<ChannelSums>, Error> {
        let mut nodes = self.nodes.into_iter().rev();
        let Some((_, last)) = nodes.next() else {
            return Ok(None);
        };
        nodes
            .try_fold(last, |right, (_, left)| left.merge(right))
            .map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use spec::dataset::Element;

    use super::*;

    fn sums(values: &[f32], channels: usize) -> ChannelSums {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        ChannelSums::of(Element::F32, channels, bytes.chunks_exact(4 * channels))
    }

    #[test]
    fn a_constant_channel_has_no_deviation_whatever_the_constant_and_the_chunks() {
        let chunks = (0..7)
            .map(|number| (number, sums(&vec![0.1; 37 + number as usize], 1)))
            .collect();
        let all = ChannelSums::fold(chunks).unwrap().unwrap();
        assert_eq!(
            (all.mean(), all.std()),
            (vec![f64::from(0.1f32)], vec![0.0])
        );
    }

    proptest! {
        #[test]
        fn any_division_of_the_chunks_gives_the_same_bits(
            chunks in prop::collection::vec(prop::collection::vec(-1e3f32..1e3, 0..5), 1..40),
            rotation in 0usize..40,
        ) {
            let parts: Vec<_> = chunks.iter().enumerate().map(|(n, values)| (n as u32, sums(values, 1))).collect();
            let whole = ChannelSums::fold(parts.clone()).unwrap();
            let mut turned = parts.clone();
            turned.rotate_left(rotation % parts.len());
            prop_assert_eq!(&ChannelSums::fold(turned).unwrap(), &whole);
            let mut folding = Folding::default();
            for (_, part) in &parts {
                folding.push(ChannelSums::decode(&part.encode()).unwrap()).unwrap();
            }
            prop_assert_eq!(&folding.finish().unwrap(), &whole);

            let values: Vec<f64> = chunks.iter().flatten().map(|&value| f64::from(value)).collect();
            if let (Some(whole), false) = (whole, values.is_empty()) {
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / values.len() as f64;
                prop_assert!((whole.mean()[0] - mean).abs() < 1e-9);
                prop_assert!((whole.std()[0] - variance.sqrt()).abs() < 1e-6);
            }
        }
    }
}
