//! Which rows of a split are trained or validated on. A fraction is taken from every class alike, by a shuffle keyed
//! by the dataset's digest alone: the same rows for every seed, batch size and job. Of a stream it is the end, so that
//! what is validated on lies apart from what is trained on.

use std::sync::Arc;

use spec::Digest;
use spec::job::{Data, SplitRef, Validation};
use spec::random::{Purpose, Stream};

use crate::layout::Layout;

/// Which rows of a split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Selection {
    /// All rows.
    All,
    /// The rows trained on when this fraction is validated on.
    TrainedOn(f64),
    /// The rows validated on when that is this fraction: of each class of `n >= 2` rows `round(fraction · n)`, at
    /// least 1 and at most `n - 1`; none of a class of one row. Of the windows of a stream so many of the last.
    ValidatedOn(f64),
}

impl Selection {
    /// The rows of the training split that a job trains on.
    pub fn trained_on(data: &Data) -> Self {
        match data.validation {
            Some(Validation::Fraction(fraction)) => Selection::TrainedOn(fraction),
            _ => Selection::All,
        }
    }

    /// The split and rows of it that a job validates on, if any.
    pub fn validated_on(data: &Data) -> Option<(&SplitRef, Self)> {
        match data.validation.as_ref()? {
            Validation::Split(split) => Some((split, Selection::All)),
            Validation::Fraction(fraction) => {
                Some((&data.train, Selection::ValidatedOn(*fraction)))
            }
        }
    }

    /// The fraction validated on, if there is one.
    pub fn fraction(&self) -> Option<f64> {
        match *self {
            Selection::All => None,
            Selection::TrainedOn(fraction) | Selection::ValidatedOn(fraction) => Some(fraction),
        }
    }
}

/// The rows that a selection chose from a split, in row order. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Chosen {
    layout: Arc<Layout>,
    subset: Option<Arc<Subset>>,
}

#[derive(Debug)]
struct Subset {
    rows: Vec<u32>,
    /// Where each chunk's rows begin in `rows`, and their end.
    starts: Vec<u32>,
}

impl Chosen {
    /// What `selection` chooses from a split of this layout, with these labels, in the dataset of this digest. A stream has
    /// no labels.
    pub fn new(
        layout: Arc<Layout>,
        selection: Selection,
        labels: Option<&[u32]>,
        dataset: &Digest,
    ) -> Self {
        let (fraction, validated) = match selection {
            Selection::All => {
                return Chosen {
                    layout,
                    subset: None,
                };
            }
            Selection::TrainedOn(fraction) => (fraction, false),
            Selection::ValidatedOn(fraction) => (fraction, true),
        };
        let rows: Vec<u32> = match labels {
            Some(labels) => {
                let held_out = held_out(labels, fraction, dataset);
                (0..layout.rows())
                    .filter(|&row| held_out[row as usize] == validated)
                    .collect()
            }
            None => {
                let rows = layout.rows();
                let end = rows - spec::dataset::held_out(u64::from(rows), fraction) as u32;
                if validated { end..rows } else { 0..end }.collect()
            }
        };
        let starts = (0..layout.chunks())
            .map(|chunk| layout.rows_of(chunk).start)
            .chain(std::iter::once(layout.rows()))
            .map(|start| rows.partition_point(|&row| row < start) as u32)
            .collect();
        Chosen {
            layout,
            subset: Some(Arc::new(Subset { rows, starts })),
        }
    }

    /// How the split's rows lie in its chunks.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How many rows are chosen.
    pub fn rows(&self) -> u32 {
        match &self.subset {
            None => self.layout.rows(),
            Some(subset) => subset.rows.len() as u32,
        }
    }

    /// How many rows of a chunk are chosen.
    pub fn rows_in(&self, chunk: u32) -> u32 {
        match &self.subset {
            None => self.layout.rows_of(chunk).len() as u32,
            Some(subset) => subset.starts[chunk as usize + 1] - subset.starts[chunk as usize],
        }
    }

    /// Appends the chosen rows of a chunk, in row order.
    pub fn append_rows_of(&self, chunk: u32, out: &mut Vec<u32>) {
        match &self.subset {
            None => out.extend(self.layout.rows_of(chunk)),
            Some(subset) => {
                let (start, end) = (
                    subset.starts[chunk as usize],
                    subset.starts[chunk as usize + 1],
                );
                out.extend_from_slice(&subset.rows[start as usize..end as usize]);
            }
        }
    }

    /// The chosen row at a position of the plain row order.
    pub fn row(&self, position: u32) -> u32 {
        match &self.subset {
            None => position,
            Some(subset) => subset.rows[position as usize],
        }
    }
}

/// The 64 bits of a dataset's digest that key what it decides.
pub(crate) fn key(dataset: &Digest) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = dataset.0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// For each row whether it is validated on.
fn held_out(labels: &[u32], fraction: f64, dataset: &Digest) -> Vec<bool> {
    let mut by_class: Vec<Vec<u32>> = Vec::new();
    for (row, &label) in labels.iter().enumerate() {
        if by_class.len() <= label as usize {
            by_class.resize(label as usize + 1, Vec::new());
        }
        by_class[label as usize].push(row as u32);
    }
    let mut held_out = vec![false; labels.len()];
    for (class, rows) in by_class
        .iter_mut()
        .enumerate()
        .filter(|(_, rows)| rows.len() >= 2)
    {
        let wanted = (fraction * rows.len() as f64).round() as usize;
        Stream::new(key(dataset), Purpose::Stratification, class as u64).shuffle(rows);
        for &row in &rows[..wanted.clamp(1, rows.len() - 1)] {
            held_out[row as usize] = true;
        }
    }
    held_out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use spec::dataset::ChunkRef;

    use super::*;

    fn layout(chunk_rows: &[u32]) -> Arc<Layout> {
        let chunks: Vec<_> = chunk_rows
            .iter()
            .map(|&rows| ChunkRef {
                digest: Digest([0; 32]),
                rows,
            })
            .collect();
        Arc::new(
            Layout::new(
                &chunks,
                chunk_rows.iter().map(|&rows| u64::from(rows)).sum(),
                1,
            )
            .unwrap(),
        )
    }

    fn all(chosen: &Chosen) -> Vec<u32> {
        (0..chosen.rows())
            .map(|position| chosen.row(position))
            .collect()
    }

    proptest! {
        #[test]
        fn the_sides_of_a_fraction_are_disjoint_complete_and_proportioned(
            chunk_rows in prop::collection::vec(1u32..30, 1..20),
            classes in 1u32..7,
            fraction in 0.01f64..0.99,
        ) {
            let layout = layout(&chunk_rows);
            let labels: Vec<u32> = (0..layout.rows()).map(|row| row * row % 11 % classes).collect();
            let dataset = Digest([5; 32]);
            let training = Chosen::new(layout.clone(), Selection::TrainedOn(fraction), Some(&labels), &dataset);
            let validation = Chosen::new(layout.clone(), Selection::ValidatedOn(fraction), Some(&labels), &dataset);
            let mut union = [all(&training), all(&validation)].concat();
            union.sort_unstable();
            prop_assert_eq!(union, (0..layout.rows()).collect::<Vec<_>>());
            for class in 0..classes {
                let of = |rows: &[u32]| rows.iter().filter(|&&row| labels[row as usize] == class).count();
                let (trained, validated) = (of(&all(&training)), of(&all(&validation)));
                let count = trained + validated;
                let wanted = (fraction * count as f64).round() as usize;
                let expected = if count >= 2 { wanted.clamp(1, count - 1) } else { 0 };
                prop_assert_eq!(validated, expected);
            }
            for chosen in [training, validation] {
                let mut rows = Vec::new();
                for chunk in 0..layout.chunks() {
                    let before = rows.len();
                    chosen.append_rows_of(chunk, &mut rows);
                    prop_assert_eq!(rows.len() - before, chosen.rows_in(chunk) as usize);
                    prop_assert!(rows[before..].iter().all(|row| layout.rows_of(chunk).contains(row)));
                }
                prop_assert_eq!(rows, all(&chosen));
            }
        }
    }

    #[test]
    fn the_dataset_alone_decides_which_rows_are_held_out() {
        let labels = vec![0; 100];
        let chosen = |byte| {
            all(&Chosen::new(
                layout(&[100]),
                Selection::ValidatedOn(0.2),
                Some(&labels),
                &Digest([byte; 32]),
            ))
        };
        assert_eq!(chosen(1), chosen(1));
        assert_ne!(chosen(1), chosen(2));
        assert_eq!(chosen(1).len(), 20);
    }

    #[test]
    fn the_end_of_a_stream_is_validated_on() {
        let side = |selection| {
            all(&Chosen::new(
                layout(&[4, 6]),
                selection,
                None,
                &Digest([1; 32]),
            ))
        };
        assert_eq!(side(Selection::TrainedOn(0.25)), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(side(Selection::ValidatedOn(0.25)), [7, 8, 9]);
    }
}
