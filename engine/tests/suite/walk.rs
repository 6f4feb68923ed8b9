//! A walk through all of PyTorch's reference networks, in the larger folder that the fixtures were taken from, where it is at hand.
//! A network that is new has an arm in `reference_networks::known`.

use serde_json::Value;

use crate::pytorch::{agrees, fast, plain, shared};

#[test]
fn every_network_of_the_reference_gives_pytorchs_numbers_where_they_are_at_hand() {
    let Some(folder) = shared() else { return };
    let manifest = std::fs::read(folder.join("manifest.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(cases.len(), 17);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        agrees::<f64>(&folder, name, fast);
        agrees::<f32>(&folder, name, plain);
        agrees::<f32>(&folder, name, fast);
    }
}
