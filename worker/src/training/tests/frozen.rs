//! Frozen parameters of embeddings, recurrent layers and tied weights: they never move, and change nothing about the first
//! update of the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use spec::{CheckpointManifest, Job, pattern};

use super::kept::Kept;
use super::train;
use crate::depot::Depot;
use crate::training::Training;

/// A language model whose last layer shares the table of its first.
const TIED: &str = r#"[
  { embedding = 6, name = "table" }, { lstm = { hidden = 6, layers = 2 }, name = "cells" },
  { linear = { units = "vocabulary", tied = "table" }, name = "head" },
]"#;

/// One with a weight of its own behind two kinds of recurrent layers.
const APART: &str = r#"[
  { embedding = 5, name = "table" }, { gru = { hidden = 7 }, name = "gates" }, { rnn = { hidden = 4 }, name = "plain" },
  { linear = "vocabulary", name = "head" },
]"#;

/// A model, and the patterns of what is frozen.
const CASES: [(&str, &[&str]); 9] = [
    (APART, &["table.*"]),
    (APART, &["gates.*"]),
    (APART, &["gates.weight_hh*", "plain.bias*"]),
    (APART, &["table.*", "gates.*", "plain.*"]),
    (APART, &["head.*", "plain.weight_ih*"]),
    (TIED, &["table.*"]),
    (TIED, &["cells.*_l0"]),
    (TIED, &["cells.*"]),
    (TIED, &["head.bias", "cells.weight_hh*"]),
];

/// SGD, so that the first update of a parameter tells its gradient.
fn job(layers: &str, frozen: &[&str], ranks: u32) -> Job {
    let groups = match frozen {
        [] => String::new(),
        _ => format!("groups = [{{ match = {frozen:?}, frozen = true }}]"),
    };
    let text = format!(
        r#"
name = "frozen"
[data]
train = "text/train"
sequence_length = 9
[model]
layers = {layers}
[training]
steps = 5
batch_size = 11
microbatches = 4
optimizer = {{ sgd = {{ lr = 0.5 }} }}
{groups}
[checkpoint]
every_steps = 1
keep_last = 100
[resources]
ranks = {ranks}
"#
    );
    spec::job_file::parse(&text).expect("a job")
}

/// The bits of each parameter of a checkpoint by its name; what is trained lies first, so that offsets differ.
fn parameters(kept: &Kept, manifest: &CheckpointManifest) -> BTreeMap<String, Vec<u32>> {
    let section = &manifest.sections[0];
    assert_eq!(section.name, "parameters");
    let bytes: Vec<u8> = section
        .chunks
        .iter()
        .flat_map(|digest| kept.chunk(digest).expect("kept"))
        .collect();
    let words: Vec<u32> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| u32::from_le_bytes(*bytes))
        .collect();
    let plan = plan::to_evaluate(&manifest.job, &manifest.data, 1, 1, false).expect("a plan");
    let named = plan.parameters.iter().map(|parameter| {
        let words = words[parameter.words()].to_vec();
        (parameter.name.clone(), words)
    });
    named.collect()
}

/// The parameters that a job begins with.
fn initial(kept: &Arc<Kept>, job: &Job) -> BTreeMap<String, Vec<u32>> {
    let depot: Arc<dyn Depot> = kept.clone();
    let training = Training::prepare(job, depot, 0, None).expect("it can be prepared");
    let (manifest, chunks) = training.checkpoint(None);
    let run = super::RUN;
    kept.save(run, &chunks, &manifest).expect("kept");
    parameters(kept, &manifest)
}

#[test]
fn what_is_frozen_never_moves_and_the_first_update_of_the_rest_is_as_without() {
    for (layers, frozen) in CASES {
        let kept = Kept::new();
        let start = initial(&kept, &job(layers, frozen, 1));
        assert_eq!(start, initial(&Kept::new(), &job(layers, &[], 1)));
        let whole = Kept::new();
        train(&whole, &job(layers, &[], 1), None);
        let whole = parameters(&whole, &whole.checkpoint(1));
        let trained = train(&kept, &job(layers, frozen, 1), None);

        let is_frozen = |name: &str| frozen.iter().any(|each| pattern::matches(each, name));
        let still = start.keys().filter(|name| is_frozen(name)).count();
        assert!(still >= 1 && still < start.len(), "{frozen:?}: {still}");
        let (first, last) = (
            parameters(&kept, &kept.checkpoint(1)),
            parameters(&kept, &kept.checkpoint(5)),
        );
        for (name, before) in &start {
            let what = format!("{name} with {frozen:?} frozen");
            if is_frozen(name) {
                assert_eq!(&last[name], before, "{what}");
                assert_ne!(&whole[name], before, "{what}: it would have moved");
            } else {
                assert_eq!(first[name], whole[name], "{what}");
                assert_ne!(&first[name], before, "{what}");
                assert_ne!(last[name], first[name], "{what}");
            }
        }
        for ranks in 2..=3 {
            let other = train(&Kept::new(), &job(layers, frozen, ranks), None);
            assert_eq!(other, trained, "{frozen:?} on {ranks} ranks");
        }
    }
}
