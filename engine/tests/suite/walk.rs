//! A walk through all of PyTorch's reference networks, in the larger folder that the fixtures were taken from, where it is at hand.
//! A network that is new has an arm in `pytorch::known`, and is struck from the list below.

use serde_json::Value;

use crate::pytorch::{agrees, fast, known, plain, shared};

/// The networks some of whose layers are not there yet.
const MISSING: [&str; 11] = [
    "embedding_pad0",
    "embedding_nopad",
    "rnn_1l",
    "rnn_2l",
    "lstm_1l",
    "lstm_2l",
    "gru_1l",
    "gru_2l",
    "text_classifier",
    "char_lm_lstm",
    "char_lm_gru",
];

#[test]
fn every_network_of_the_reference_gives_pytorchs_numbers_where_they_are_at_hand() {
    let Some(folder) = shared() else { return };
    let manifest = std::fs::read(folder.join("manifest.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(cases.len(), 17);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let is_missing = MISSING.contains(&name);
        assert_eq!(
            known(name).is_none(),
            is_missing,
            "{name} is walked, or named as missing"
        );
        if !is_missing {
            agrees::<f64>(&folder, name, fast);
            agrees::<f32>(&folder, name, plain);
            agrees::<f32>(&folder, name, fast);
        }
    }
}
