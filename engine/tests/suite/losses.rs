//! Losses and metrics: PyTorch's losses and gradients (tests/fixtures/gen_losses.py), scikit-learn's metrics, over whole and cut
//! batches, and what is left where nothing counts.

use std::path::{Path, PathBuf};

use engine::{Batch, Engine, Float, Moment, Samples, Tally, Targets};
use plan::Mode;
use serde_json::Value;
use spec::loss::{ClassWeights, CrossEntropy, Loss};
use spec::metric::Metric;
use spec::model::{LayerKind, Linear, Size};

use crate::networks::{Network, gradient};
use crate::pytorch::{F32_MULTIPLE, assert_close, largest};
use crate::tensors::Tensors;

/// f64 agrees to about this much, relative to the largest value: some hundred roundings, of sums of up to 83 terms.
const F64: f64 = 1e-13;

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/fixtures/{folder}"))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The loss that a job file of this text has.
fn loss(text: &str) -> Loss {
    let job = format!(
        "name = \"a\"\ndata.train = \"a\"\nmodel.layers = [\"flatten\"]\ntraining = {{ epochs = 1, loss = {text} }}"
    );
    let job = spec::job_file::parse(&job).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    job.training.loss
}

/// A network whose output is its weight: its rows are the columns of the unit matrix, so that the gradient of the weight is that of
/// the outputs, transposed.
struct Bare {
    network: Network,
    rows: usize,
    outputs: Vec<f64>,
}

impl Bare {
    fn new(outputs: Vec<f64>, classes: usize, loss: Loss) -> Bare {
        let rows = outputs.len() / classes;
        let head = LayerKind::Linear(Linear {
            units: Size::Classes,
            bias: false,
            tied: None,
        });
        let mut network = Network::new(&[rows], classes, rows, vec![head]);
        network.loss = loss;
        network.microbatches = 4;
        Bare {
            network,
            rows,
            outputs,
        }
    }

    fn engine<T: Float>(&self, plain: bool) -> Engine<T> {
        let plan = self.network.plan(Mode::Train).unwrap();
        let mut engine = if plain {
            Engine::reference(plan).unwrap()
        } else {
            Engine::new(plan, self.network.threads).unwrap()
        };
        let classes = self.network.classes;
        for (index, weight) in engine.parameters_mut().iter_mut().enumerate() {
            let (class, row) = (index / self.rows, index % self.rows);
            *weight = T::of(self.outputs[row * classes + class]);
        }
        engine
    }

    /// Loss and gradient of the outputs after a step over `cuts` microbatches.
    fn step<T: Float>(
        &self,
        engine: &mut Engine<T>,
        targets: Targets<'_, T>,
        cuts: usize,
    ) -> (Option<f64>, Vec<f64>) {
        let classes = self.network.classes;
        let size = self.rows.div_ceil(cuts);
        for number in 0..cuts {
            let range = (number * size).min(self.rows)..((number + 1) * size).min(self.rows);
            let mut x = vec![T::ZERO; range.len() * self.rows];
            for (sample, row) in range.clone().enumerate() {
                x[sample * self.rows + row] = T::ONE;
            }
            let targets = match targets {
                Targets::Classes(all) => Targets::Classes(&all[range]),
                Targets::Values(all) => {
                    Targets::Values(&all[range.start * classes..range.end * classes])
                }
            };
            let (samples, moment) = (Samples::Values(&x), Moment::default());
            let batch = Batch {
                samples,
                targets,
                moment,
            };
            engine.train(&batch, usize::from(number > 0)).unwrap();
            if number > 0 {
                engine.add(0, 1);
            }
        }
        let sums = gradient(engine, 0);
        let (slots, record) = engine.fold_views(&[0]);
        record.copy_from_slice(slots[0]);
        let tally = engine.tally();
        let normaliser = tally.normaliser();
        let of_output = |index: usize| {
            let (row, class) = (index / classes, index % classes);
            sums[class * self.rows + row] / normaliser
        };
        let gradient = (0..self.rows * classes).map(of_output).collect();
        (tally.loss(), gradient)
    }
}

#[test]
fn losses_and_gradients_are_those_of_pytorch() {
    let folder = fixtures("losses");
    let file = Tensors::open(&folder.join("losses.f64.safetensors"));
    let manifest = json(&folder.join("manifest.json"));
    let cases = manifest["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 52);
    for case in cases {
        let text = |key: &str| case[key].as_str().unwrap();
        let (shape, name) = (text("shape"), text("name"));
        let outputs = file.get(&format!("{shape}.outputs"));
        let classes = file.get(&format!("{shape}.weights")).len();
        let mut bare = Bare::new(outputs, classes, loss(text("loss")));
        let targets = file.get(&format!("{shape}.{}", text("targets")));
        let expected = ["loss", "grad"].map(|what| file.get(&format!("{shape}.{name}.{what}")));
        let apart =
            ["loss", "grad"].map(|what| case["f32_vs_f64_max_abs_diff"][what].as_f64().unwrap());
        for cuts in [1, 3] {
            let agrees = |what: &str, (loss, gradient): (Option<f64>, Vec<f64>), is_f32| {
                let what = format!("{shape} {name} {what} in {cuts}");
                let [expected_loss, expected_gradient] = &expected;
                for (got, expected, apart) in [
                    (&[loss.unwrap()][..], expected_loss, apart[0]),
                    (&gradient[..], expected_gradient, apart[1]),
                ] {
                    // PyTorch's f32 may have been lucky: a rounding of the largest value is always allowed.
                    let relative = largest(expected).max(1e-3);
                    let allowed = if is_f32 {
                        F32_MULTIPLE * apart.max(relative * f64::from(f32::EPSILON))
                    } else {
                        relative * F64
                    };
                    assert_close(&what, got, expected, allowed);
                }
            };
            let narrow: Vec<f32> = targets.iter().map(|&value| value as f32).collect();
            let labels: Vec<u32> = targets.iter().map(|&value| value as u32).collect();
            let is_class = text("targets") == "classes";
            let (wide, narrow) = if is_class {
                (Targets::Classes(&labels[..]), Targets::Classes(&labels[..]))
            } else {
                (Targets::Values(&targets[..]), Targets::Values(&narrow[..]))
            };
            let mut engine = bare.engine::<f64>(true);
            agrees("f64", bare.step(&mut engine, wide, cuts), false);
            let mut engine = bare.engine::<f32>(true);
            agrees("plain f32", bare.step(&mut engine, narrow, cuts), true);
            let mut engine = bare.engine::<f32>(false);
            let one = bare.step(&mut engine, narrow, cuts);
            agrees("fast f32", one.clone(), true);
            bare.network.threads = 2;
            let mut engine = bare.engine::<f32>(false);
            assert_eq!(
                bare.step(&mut engine, narrow, cuts),
                one,
                "{name} on 2 threads"
            );
            bare.network.threads = 1;
        }
    }
}

#[test]
fn where_nothing_counts_the_gradient_is_0_the_loss_absent_and_the_step_counts() {
    let ignored = Loss::CrossEntropy(CrossEntropy {
        ignore_index: Some(1),
        ..CrossEntropy::default()
    });
    let weightless = Loss::CrossEntropy(CrossEntropy {
        class_weights: Some(ClassWeights::Given(vec![1.0, 0.0, 2.0])),
        ..CrossEntropy::default()
    });
    for (loss, accuracy) in [(ignored, None), (weightless, Some(0.5))] {
        let bare = Bare::new(vec![0.5, 2.0, -1.0, f64::from(3.0f32), 1.0, 0.25], 3, loss);
        let mut engine = bare.engine::<f32>(false);
        let before = engine.parameters().to_vec();
        let (loss, _) = bare.step(&mut engine, Targets::Classes(&[1, 1]), 2);
        assert_eq!((loss, engine.tally().accuracy()), (None, accuracy));
        let result = engine.apply(0.1).unwrap();
        assert_eq!(
            (result.loss, result.gradient_norm, result.samples),
            (None, 0.0, 2)
        );
        // Weight decay goes on; nothing else moves.
        for (after, before) in engine.parameters().iter().zip(before) {
            assert!((after - before * (1.0 - 0.1 * 1e-4)).abs() < 1e-7);
        }
        assert_eq!(engine.step(), 1);
    }
}

#[test]
fn class_weights_that_are_no_numbers_yet_are_refused() {
    let balanced = Loss::CrossEntropy(CrossEntropy {
        class_weights: Some(ClassWeights::Balanced),
        ..CrossEntropy::default()
    });
    let bare = Bare::new(vec![0.0; 4], 2, balanced);
    let refused = Engine::<f32>::new(bare.network.plan(Mode::Train).unwrap(), 1).err();
    assert!(
        matches!(refused, Some(engine::Error::Unbalanced)),
        "{refused:?}"
    );
}

#[test]
fn metrics_are_those_of_scikit_learn_whether_pairs_or_classes_are_counted() {
    let file = json(&fixtures("metrics").join("classification.json"));
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let numbers = |value: &Value| -> Vec<f64> {
            let numbers = value.as_array().unwrap().iter();
            numbers.map(|number| number.as_f64().unwrap()).collect()
        };
        let logits: Vec<f64> = case["logits"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(numbers)
            .collect();
        let labels: Vec<u32> = numbers(&case["y_true"])
            .iter()
            .map(|&label| label as u32)
            .collect();
        let classes = case["labels"].as_array().unwrap().len();
        let mut bare = Bare::new(logits, classes, Loss::CROSS_ENTROPY);
        bare.network.metrics = vec![Metric::F1, Metric::Precision, Metric::Recall];
        let top = case["top2_accuracy"].as_f64();
        if top.is_some() {
            bare.network.metrics.insert(0, Metric::Top(2));
        }
        let confusion: Vec<Vec<u64>> =
            serde_json::from_value(case["confusion_matrix_rows_true"].clone()).unwrap();
        for pairs in [false, true] {
            bare.network.confusion = pairs;
            let mut engine = bare.engine::<f64>(false);
            bare.step(&mut engine, Targets::Classes(&labels), 4);
            let tally = engine.tally();
            let means = &case["prf_macro"];
            for (metric, expected) in [
                (Metric::Accuracy, case["accuracy"].as_f64()),
                (Metric::Top(2), top),
                (Metric::Precision, means["precision"].as_f64()),
                (Metric::Recall, means["recall"].as_f64()),
                (Metric::F1, means["f1"].as_f64()),
                (Metric::Perplexity, case["perplexity"].as_f64()),
            ] {
                let got = tally.measure(metric);
                assert_eq!(got.is_some(), expected.is_some(), "{metric}");
                if let (Some(got), Some(expected)) = (got, expected) {
                    assert!((got - expected).abs() < 1e-12, "{metric}: {got} {expected}");
                }
            }
            let log_loss = case["log_loss"].as_f64().unwrap();
            assert!((tally.loss().unwrap() - log_loss).abs() < 1e-12);
            assert_eq!(tally.confusion(), pairs.then(|| confusion.clone()));
        }
    }
}

#[test]
fn an_evaluation_counts_what_training_counts() {
    let mut network = Network::new(&[6], 5, 8, vec![crate::networks::classes()]);
    network.metrics = vec![Metric::Top(3), Metric::F1];
    let mut engine = network.engine::<f32>();
    engine.initialize(3);
    let (x, labels) = network.batch::<f32>(8, 4);
    let batch = Batch::classified(&x, &labels);
    engine.train(&batch, 0).unwrap();
    let (slots, record) = engine.fold_views(&[0]);
    record.copy_from_slice(slots[0]);
    engine.evaluate(&batch).unwrap();
    let evaluated = Tally::new(engine.plan(), engine.evaluated());
    assert_eq!(evaluated.sums(), engine.tally().sums());
    for metric in [
        Metric::Accuracy,
        Metric::Top(3),
        Metric::F1,
        Metric::Perplexity,
    ] {
        let measured = evaluated.measure(metric);
        assert!(measured.is_some_and(|value| value > 0.0), "{metric}");
        assert_eq!(measured, engine.tally().measure(metric), "{metric}");
    }
    assert_eq!(evaluated.measure(Metric::Top(4)), None);
}
