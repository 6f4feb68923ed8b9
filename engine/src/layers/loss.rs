//! The loss, the last of all stages: each row is judged by itself, and the sums go to a record's tail in the order of the rows.

use plan::{ByClass, ROW_BYTES, Tail};
use spec::loss::{ClassWeights, Loss, PosWeight};

use crate::backend::{Backend, LossOperands, RowTargets, View};
use crate::error::Error;
use crate::float::Float;
use crate::layers::views::Views;
use crate::reference::loss::Row;

/// What a microbatch brings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub samples: usize,
    pub tokens: usize,
}

/// Writes what each class or output weighs.
pub(crate) fn weigh<T: Float>(loss: &Loss, weights: &mut [T]) -> Result<(), Error> {
    let given = match loss {
        Loss::CrossEntropy(loss) => match &loss.class_weights {
            Some(ClassWeights::Given(given)) => given,
            Some(ClassWeights::Balanced) => return Err(Error::Unbalanced),
            None => return Ok(()),
        },
        Loss::BceWithLogits {
            pos_weight: Some(PosWeight::Each(given)),
        } => given,
        Loss::BceWithLogits {
            pos_weight: Some(PosWeight::All(weight)),
        } => {
            weights.fill(T::of(*weight));
            return Ok(());
        }
        _ => return Ok(()),
    };
    for (place, &weight) in weights.iter_mut().zip(given) {
        *place = T::of(weight);
    }
    Ok(())
}

/// Judges the rows of the output, with their gradient where the plan trains and it is asked for; says where what it found lies.
pub(crate) fn judge(
    device: &mut dyn Backend,
    views: &Views,
    targets: RowTargets<'_>,
    rows: usize,
    gradient: bool,
) -> View {
    let plan = &views.plan;
    let words = |buffer| views.words(buffer, rows * plan.classes);
    let at = LossOperands {
        outputs: words(plan.places.logits),
        features: plan.classes,
        weights: views.loss_weights(),
        gradient: plan.places.logits_gradient.filter(|_| gradient).map(words),
        rows: View {
            bytes: rows * ROW_BYTES,
            ..views.buffer(plan.places.rows)
        },
        ranks: !plan.tail.tops.is_empty(),
    };
    device.loss(&plan.loss, targets, at);
    at.rows
}

/// Assigns the sums of rows, in their order, to the words of a tail.
pub(crate) fn sum(
    layout: &Tail,
    rows: &[Row],
    targets: RowTargets<'_>,
    counts: Counts,
    tail: &mut [u64],
) {
    tail.fill(0);
    tail[Tail::SAMPLES] = counts.samples as u64;
    tail[Tail::PAIRED] = if counts.samples > 1 {
        counts.samples as u64
    } else {
        0
    };
    tail[Tail::TOKENS] = counts.tokens as u64;
    let (mut loss, mut weight) = (0.0, 0.0);
    let (tops, by_class) = (Tail::TOPS, layout.classes_at());
    for (number, row) in rows.iter().enumerate() {
        if row.answer == Row::IGNORED {
            continue;
        }
        loss += row.loss;
        weight += row.weight;
        tail[Tail::ROWS] += 1;
        let RowTargets::Classes(classes) = targets else {
            continue;
        };
        let (class, answer) = (classes[number] as usize, row.answer as usize);
        tail[Tail::JUDGED] += 1;
        tail[Tail::CORRECT] += u64::from(row.rank == 0);
        for (place, &top) in layout.tops.iter().enumerate() {
            tail[tops + place] += u64::from(row.rank < top);
        }
        match layout.by_class {
            ByClass::Nothing => {}
            ByClass::Counts => {
                tail[by_class + class] += u64::from(row.rank == 0);
                tail[by_class + layout.classes + answer] += 1;
                tail[by_class + 2 * layout.classes + class] += 1;
            }
            ByClass::Pairs => tail[by_class + class * layout.classes + answer] += 1,
        }
    }
    tail[Tail::LOSS] = loss.to_bits();
    tail[Tail::WEIGHT] = weight.to_bits();
}
