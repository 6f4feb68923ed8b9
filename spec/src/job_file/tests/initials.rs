use super::{SMALL, mistakes_of};
use crate::init::{Fan, Gain, Kaiming, Nonlinearity, Values};
use crate::job_file::{init_positions, parse};

#[test]
fn initial_values_are_a_word_or_a_table() {
    let values = |values: &str| {
        let text = format!("{SMALL}init = [{{ match = \"*\", values = {values} }}]\n");
        let init = parse(&text).expect("a job").training.init;
        assert_eq!(init_positions(&text), [(8, 9)]);
        init[0].values
    };
    let one = Gain::Number(1.0);
    let kaiming = |mode, nonlinearity, slope| Kaiming {
        mode,
        nonlinearity,
        slope,
    };
    assert_eq!(
        values("\"xavier_uniform\""),
        Values::XavierUniform { gain: one }
    );
    let tanh = Gain::Of(Nonlinearity::Tanh);
    assert_eq!(
        values("{ xavier_normal = { gain = \"tanh\" } }"),
        Values::XavierNormal { gain: tanh }
    );
    let default = kaiming(Fan::In, Nonlinearity::LeakyRelu, 0.0);
    assert_eq!(
        values("\"kaiming_uniform\""),
        Values::KaimingUniform(default)
    );
    assert_eq!(
        values("{ kaiming_normal = { mode = \"fan_out\", nonlinearity = \"relu\" } }"),
        Values::KaimingNormal(kaiming(Fan::Out, Nonlinearity::Relu, 0.0))
    );
    let half = Gain::Number(0.5);
    assert_eq!(
        values("{ orthogonal = { gain = 0.5 } }"),
        Values::Orthogonal { gain: half }
    );
    assert_eq!(
        values("\"normal\""),
        Values::Normal {
            mean: 0.0,
            std: 1.0
        }
    );
    assert_eq!(
        values("{ normal = { std = 0.02 } }"),
        Values::Normal {
            mean: 0.0,
            std: 0.02
        }
    );
    assert_eq!(
        values("\"uniform\""),
        Values::Uniform {
            low: 0.0,
            high: 1.0
        }
    );
    assert_eq!(values("\"zeros\""), Values::Constant { value: 0.0 });
    assert_eq!(values("\"ones\""), Values::Constant { value: 1.0 });
    assert_eq!(
        values("{ constant = { value = -2 } }"),
        Values::Constant { value: -2.0 }
    );
}

#[test]
fn initial_values_that_cannot_be_are_refused() {
    for (rule, expected) in [
        (
            "match = \"*\"",
            "9: missing key training.init[0].values: expected \"xavier_uniform\", \"xavier_normal\", \"kaiming_uniform\", \"kaiming_normal\", \"orthogonal\", \"normal\", \"uniform\", \"zeros\", \"ones\", \"constant\", or one of them with values, as { normal = { std = 0.02 } }",
        ),
        (
            "match = \"*\", values = \"xavier\"",
            "33: training.init[0].values: unknown word \"xavier\", expected \"xavier_uniform\", \"xavier_normal\", \"kaiming_uniform\", \"kaiming_normal\", \"orthogonal\", \"normal\", \"uniform\", \"zeros\", \"ones\" or \"constant\"",
        ),
        (
            "match = \"*\", values = { constant = {} }",
            "46: missing key training.init[0].values.constant.value: expected a number of at least -1000000.0 and at most 1000000.0",
        ),
        (
            "match = \"*\", values = { uniform = { low = 2 } }",
            "53: training.init[0].values.uniform.low: expected a number of at least -1000000.0 and at most 1.0, got 2",
        ),
    ] {
        assert_eq!(
            mistakes_of(&format!("{SMALL}init = [{{ {rule} }}]\n"), &[]),
            [format!("job.toml:8:{expected}")],
            "{rule}"
        );
    }
}
