//! Initial values: fans, bounds and deviations are PyTorch's (tests/fixtures/inits).

use serde_json::Value;
use spec::group::Group;
use spec::init::{Fan, Gain, InitRule, Kaiming, Nonlinearity, Values, fans};
use spec::model::LayerKind;

use super::{classes, conv, linear, planned, simple_cnn};
use crate::initial::initial;
use crate::{Error, Init, Plan, Rules};

fn fixture() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/inits/inits.json"
    );
    serde_json::from_slice(&std::fs::read(path).expect("a fixture")).expect("JSON")
}

fn extents(value: &Value) -> Vec<usize> {
    let extents = value.as_array().expect("a shape").iter();
    extents
        .map(|extent| extent.as_u64().expect("an extent") as usize)
        .collect()
}

/// What PyTorch drew from, as the plan has it.
fn assert_drawn(init: Init, drawn: &Value, what: &str) {
    let near = |got: f64, expected: &Value| {
        let expected = expected.as_f64().expect("a number");
        assert!(
            (got - expected).abs() <= 1e-15 * expected.abs().max(1.0),
            "{what}: {got} {expected}"
        );
    };
    match init {
        Init::Uniform { bound } => {
            near(-bound, &drawn["uniform"][0]);
            near(bound, &drawn["uniform"][1]);
        }
        Init::Normal { mean, std } => {
            near(mean, &drawn["normal"][0]);
            near(std, &drawn["normal"][1]);
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn fans_gains_bounds_and_deviations_are_pytorchs() {
    let fixture = fixture();
    for case in fixture["fans"].as_array().expect("a list") {
        let expected = extents(&case[1]);
        assert_eq!(
            fans(&extents(&case[0])).map(Vec::from),
            Some(expected),
            "{case}"
        );
    }
    assert_eq!(fans(&[7]), None);
    for (function, gain) in fixture["gains"].as_object().expect("a table") {
        let ours = Gain::Of(Nonlinearity::named(function).expect("a function")).factor();
        assert_eq!(Some(ours), gain.as_f64(), "{function}");
    }
    let named = fixture["named"].as_array().expect("a list");
    assert!(named.len() > 200);
    for case in named {
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        let gain = || Gain::Number(case["gain"].as_f64().expect("a gain"));
        let kaiming = || Kaiming {
            mode: if text("mode") == "fan_in" {
                Fan::In
            } else {
                Fan::Out
            },
            nonlinearity: Nonlinearity::named(text("nonlinearity")).expect("a function"),
            slope: case["slope"].as_f64().expect("a slope"),
        };
        let values = match text("name") {
            "xavier_uniform" => Values::XavierUniform { gain: gain() },
            "xavier_normal" => Values::XavierNormal { gain: gain() },
            "kaiming_uniform" => Values::KaimingUniform(kaiming()),
            _ => Values::KaimingNormal(kaiming()),
        };
        let init = initial(&values, &extents(&case["shape"])).expect("two extents");
        assert_drawn(init, &case["drawn"], &case.to_string());
    }
}

/// The default of each layer that is in the fixture under this name.
fn assert_default(plan: &Plan, layer: &str) {
    let fixture = fixture();
    let cases = fixture["defaults"].as_array().expect("a list").iter();
    let case = cases
        .into_iter()
        .find(|case| case["layer"] == layer)
        .expect("a layer");
    for (number, expected) in case["parameters"]
        .as_array()
        .expect("a list")
        .iter()
        .enumerate()
    {
        let parameter = &plan.parameters[number];
        let name = expected["name"].as_str().expect("a name");
        assert_eq!(parameter.name, format!("0.{name}"));
        assert_eq!(
            parameter.shape,
            extents(&expected["shape"]),
            "{layer}.{name}"
        );
        assert_drawn(
            parameter.init,
            &expected["drawn"],
            &format!("{layer}.{name}"),
        );
    }
}

#[test]
fn the_defaults_of_layers_are_pytorchs() {
    let plan = planned("7", vec![linear(5), classes()], |_| ()).unwrap();
    assert_default(&plan, "linear");
    let mut wide = conv(6, 3, 1, 0);
    if let LayerKind::Conv2d(conv) = &mut wide {
        conv.kernel.w = 5;
    }
    let plan = planned("3x8x8", vec![wide, LayerKind::Flatten, classes()], |_| ()).unwrap();
    assert_default(&plan, "conv2d");
}

fn ruled(rules: &[(&str, Values)]) -> Result<Plan, Error> {
    let rules: Vec<InitRule> = rules
        .iter()
        .map(|(pattern, values)| InitRule {
            patterns: vec![pattern.to_string()],
            values: *values,
        })
        .collect();
    let none: &'static [Group] = &[];
    planned("3x32x32", simple_cnn(), |request| {
        request.rules = Rules {
            groups: none,
            ema: None,
            // A test's own rules live as long as the test.
            init: Vec::leak(rules.clone()),
        };
    })
}

#[test]
fn the_first_rule_that_takes_a_parameter_decides_and_the_others_keep_their_default() {
    let one = Values::Constant { value: 1.0 };
    let normal = Values::Normal {
        mean: 0.0,
        std: 0.02,
    };
    let gain = Gain::Of(Nonlinearity::Tanh);
    let plan = ruled(&[("4.*", one), ("?.weight", normal), ("6.bias", one)]).unwrap();
    let inits: Vec<Init> = plan
        .parameters
        .iter()
        .map(|parameter| parameter.init)
        .collect();
    let (one, normal) = (
        Init::Constant { value: 1.0 },
        Init::Normal {
            mean: 0.0,
            std: 0.02,
        },
    );
    let default = Init::Uniform {
        bound: 1.0 / 27f64.sqrt(),
    };
    assert_eq!(inits, [normal, default, one, one, normal, one]);
    let plan = ruled(&[("4.weight", Values::Orthogonal { gain })]).unwrap();
    assert_eq!(
        plan.parameters[2].init,
        Init::Orthogonal { gain: 5.0 / 3.0 }
    );
}

#[test]
fn rules_that_cannot_be_are_refused_with_the_names_there_are() {
    let xavier = Values::XavierNormal {
        gain: Gain::Number(1.0),
    };
    for (rules, at, expected) in [
        (
            vec![("*.weight", xavier), ("fc*", xavier)],
            1,
            "training.init[1]: no parameter is called \"fc*\": there are 0.weight, 0.bias, 4.weight, 4.bias, 6.weight, 6.bias",
        ),
        (
            vec![("*.weight", xavier), ("4.weight", xavier)],
            1,
            "training.init[1]: those before it have already taken all that is called \"4.weight\": put it before them",
        ),
        (
            vec![("0.*", xavier)],
            0,
            "training.init[0]: xavier_normal needs parameters of two extents or more, but 0.bias has one: leave it out of the \
             pattern, as in \"*.weight\"",
        ),
    ] {
        let error = ruled(&rules).unwrap_err();
        assert_eq!(error.rule(), Some(("training.init", at)));
        assert_eq!(error.to_string(), expected);
    }
}
