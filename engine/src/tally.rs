//! What the sums of a record's tail come to: the division after the fold.

use plan::{ByClass, Plan, Tail};
use spec::loss::{CrossEntropy, Loss};
use spec::metric::Metric;

/// Sums over the rows of a microbatch, a step or an evaluation. A *row* is what has one target: a sample, or a time step of one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sums {
    /// Of the losses.
    pub loss: f64,
    /// Of the weights of the rows, where classes have weights; else of 1 for each row.
    pub weight: f64,
    /// Of the samples.
    pub samples: u64,
    /// Of the samples of microbatches of at least two.
    pub paired: u64,
    /// Of the tokens that came in.
    pub tokens: u64,
    /// Of the rows that count.
    pub rows: u64,
    /// Of the rows that count and have a class.
    pub judged: u64,
    /// Of the rows whose largest output stands at their class.
    pub correct: u64,
}

/// The words of a tail and what they mean.
#[derive(Debug, Clone, Copy)]
pub struct Tally<'a> {
    plan: &'a Plan,
    words: &'a [u64],
}

impl<'a> Tally<'a> {
    /// Of the words of a tail of `plan`, as [`plan::Tail`] lays them out.
    ///
    /// # Panics
    /// If there are fewer than the layout has.
    pub fn new(plan: &'a Plan, words: &'a [u64]) -> Self {
        assert!(words.len() >= plan.tail.words(), "a whole tail");
        Tally { plan, words }
    }

    /// The sums that every tail has.
    pub fn sums(&self) -> Sums {
        let word = |at: usize| self.words[at];
        Sums {
            loss: f64::from_bits(word(Tail::LOSS)),
            weight: f64::from_bits(word(Tail::WEIGHT)),
            samples: word(Tail::SAMPLES),
            paired: word(Tail::PAIRED),
            tokens: word(Tail::TOKENS),
            rows: word(Tail::ROWS),
            judged: word(Tail::JUDGED),
            correct: word(Tail::CORRECT),
        }
    }

    /// What loss and gradient are divided by, PyTorch's of `reduction = "mean"`: rows that count, the sum of their weights where
    /// classes have weights, or elements.
    pub fn normaliser(&self) -> f64 {
        let Sums { rows, weight, .. } = self.sums();
        match &self.plan.loss {
            Loss::CrossEntropy(CrossEntropy {
                class_weights: Some(_),
                ..
            }) => weight,
            Loss::CrossEntropy(_) => rows as f64,
            _ => (rows * self.plan.classes as u64) as f64,
        }
    }

    /// The loss; none where the normaliser is 0.
    pub fn loss(&self) -> Option<f64> {
        share(self.sums().loss, self.normaliser())
    }

    /// Share of the rows with a class whose largest output stands there; none where there are no such rows.
    pub fn accuracy(&self) -> Option<f64> {
        self.measure(Metric::Accuracy)
    }

    /// The value of a metric; none where there are no rows for it, or the plan does not count what it needs. Means over classes
    /// are those of scikit-learn's `average="macro"`, `zero_division=0`: over the classes that occur as class or answer.
    pub fn measure(&self, metric: Metric) -> Option<f64> {
        let Sums {
            judged, correct, ..
        } = self.sums();
        match metric {
            Metric::Accuracy => share(correct as f64, judged as f64),
            Metric::Top(top) => {
                let place = self.plan.tail.tops.iter().position(|&other| other == top)?;
                share(self.words[Tail::TOPS + place] as f64, judged as f64)
            }
            Metric::Precision => self.mean_over_classes(|class| share(class.hits, class.answers)),
            Metric::Recall => self.mean_over_classes(|class| share(class.hits, class.members)),
            Metric::F1 => self
                .mean_over_classes(|class| share(2.0 * class.hits, class.answers + class.members)),
            Metric::Perplexity => self.loss().map(libm::exp),
        }
    }

    /// Rows by class and, inside it, by answer, where the plan counts them.
    pub fn confusion(&self) -> Option<Vec<Vec<u64>>> {
        let classes = self.plan.classes;
        let pairs = self.pairs()?.chunks_exact(classes);
        Some(pairs.map(<[u64]>::to_vec).collect())
    }

    fn pairs(&self) -> Option<&[u64]> {
        let (tail, classes) = (&self.plan.tail, self.plan.classes);
        let pairs = tail.classes_at()..tail.classes_at() + classes * classes;
        (tail.by_class == ByClass::Pairs).then(|| &self.words[pairs])
    }

    /// The mean of a value over the classes that occur; a value that there is not counts 0.
    fn mean_over_classes(&self, value: impl Fn(Class) -> Option<f64>) -> Option<f64> {
        let count = self.plan.classes;
        let (mut sum, mut occur) = (0.0, 0.0);
        for number in 0..count {
            let class = self.class(number)?;
            if class.answers + class.members > 0.0 {
                sum += value(class).unwrap_or(0.0);
                occur += 1.0;
            }
        }
        share(sum, occur)
    }

    fn class(&self, number: usize) -> Option<Class> {
        let (tail, classes) = (&self.plan.tail, self.plan.classes);
        let [hits, answers, members] = match tail.by_class {
            ByClass::Nothing => return None,
            ByClass::Counts => {
                [0, 1, 2].map(|what| self.words[tail.classes_at() + what * classes + number])
            }
            ByClass::Pairs => {
                let pairs = self.pairs()?;
                let answers = pairs.iter().skip(number).step_by(classes).sum();
                let row = &pairs[number * classes..(number + 1) * classes];
                [row[number], answers, row.iter().sum()]
            }
        };
        Some(Class {
            hits: hits as f64,
            answers: answers as f64,
            members: members as f64,
        })
    }
}

/// The rows of one class, the answers that name it, and those that are both.
struct Class {
    hits: f64,
    answers: f64,
    members: f64,
}

fn share(sum: f64, of: f64) -> Option<f64> {
    (of > 0.0).then_some(sum / of)
}
