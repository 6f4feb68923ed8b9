//! What a job minimises. Each loss is PyTorch's of the same name with `reduction = "mean"`: the sum over a step divided by
//! its normaliser, which is rows, unignored rows, a sum of class weights, or elements.

use serde::{Deserialize, Serialize};

/// What is minimised. A *row* is what has one target: a sample, or a time step of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// `-log softmax(outputs)[class]` of each row.
    CrossEntropy(CrossEntropy),
    /// `(output - target)²` of each element.
    Mse,
    /// `|output - target|` of each element.
    L1,
    /// `d² / 2` of each element's distance d to its target up to `delta`, beyond it `delta (|d| - delta / 2)` (Huber 1964).
    Huber {
        /// Where the parabola ends, above 0.
        delta: f64,
    },
    /// `-(p t log σ(x) + (1 - t) log(1 - σ(x)))` of each output x with target t, where p is the weight of positive targets.
    BceWithLogits {
        /// What positive targets weigh; 1 if absent.
        pos_weight: Option<PosWeight>,
    },
}

/// How a cross entropy differs from the plain one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CrossEntropy {
    /// The share of each target that is spread evenly over all classes, in [0, 1) (Szegedy et al. 2016).
    pub label_smoothing: f64,
    /// Rows of this class count for nothing.
    pub ignore_index: Option<u32>,
    /// What each class weighs in loss and normaliser.
    pub class_weights: Option<ClassWeights>,
}

/// What each class weighs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// [`balanced`] over the rows trained on. Admission writes the numbers in its place.
    Balanced,
    /// One each, at least 0, by class number.
    Given(Vec<f64>),
}

/// What positive targets weigh.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PosWeight {
    /// The same for every output.
    All(f64),
    /// One each, by output.
    Each(Vec<f64>),
}

impl Loss {
    /// The plain cross entropy.
    pub const CROSS_ENTROPY: Loss = Loss::CrossEntropy(CrossEntropy {
        label_smoothing: 0.0,
        ignore_index: None,
        class_weights: None,
    });

    /// What it is called in a job file.
    pub fn word(&self) -> &'static str {
        match self {
            Loss::CrossEntropy(_) => "cross_entropy",
            Loss::Mse => "mse",
            Loss::L1 => "l1",
            Loss::Huber { .. } => "huber",
            Loss::BceWithLogits { .. } => "bce_with_logits",
        }
    }

    /// Writes numbers in place of `balanced`, for rows trained on of which each class has so many.
    ///
    /// # Errors
    /// The number of a class without rows, which has no balanced weight; none where there are no counts.
    pub fn balance(&mut self, counts: &[u64]) -> Result<(), Option<usize>> {
        if let Loss::CrossEntropy(CrossEntropy { class_weights, .. }) = self
            && *class_weights == Some(ClassWeights::Balanced)
        {
            if counts.is_empty() {
                return Err(None);
            }
            if let Some(class) = counts.iter().position(|&count| count == 0) {
                return Err(Some(class));
            }
            *class_weights = Some(ClassWeights::Given(balanced(counts)));
        }
        Ok(())
    }
}

/// `rows / (classes · rows of the class)` of each class, as scikit-learn's `"balanced"` (King and Zeng 2001).
pub fn balanced(counts: &[u64]) -> Vec<f64> {
    let rows: u64 = counts.iter().sum();
    let classes = counts.len() as f64;
    let weight = |&count: &u64| rows as f64 / (classes * count as f64);
    counts.iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_weights_are_those_of_scikit_learn() {
        // compute_class_weight("balanced", classes=[0, 1, 2], y=[0] * 1 + [1] * 3 + [2] * 8)
        assert_eq!(balanced(&[1, 3, 8]), [4.0, 12.0 / 9.0, 0.5]);
        let mut loss = Loss::CrossEntropy(CrossEntropy {
            class_weights: Some(ClassWeights::Balanced),
            ..CrossEntropy::default()
        });
        assert_eq!(loss.balance(&[3, 0, 8]), Err(Some(1)));
        assert_eq!(loss.balance(&[]), Err(None));
        assert_eq!(loss.balance(&[2, 2]), Ok(()));
        let Loss::CrossEntropy(CrossEntropy { class_weights, .. }) = &loss else {
            panic!("{loss:?}");
        };
        assert_eq!(*class_weights, Some(ClassWeights::Given(vec![1.0, 1.0])));
    }
}
