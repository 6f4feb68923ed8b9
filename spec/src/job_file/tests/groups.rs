use super::{SMALL, mistakes_of};
use crate::ema::Ema;
use crate::group::GroupRate;
use crate::job_file::{group_positions, parse};

#[test]
fn averages_are_a_decay_or_a_table() {
    let ema = |value: &str| {
        let text = format!("{SMALL}ema = {value}\n");
        parse(&text).expect("a job").training.ema
    };
    let read = |decay, start_step, every_steps| {
        Some(Ema {
            decay,
            start_step,
            every_steps,
        })
    };
    assert_eq!(ema("0.999"), read(0.999, 1, 1));
    assert_eq!(ema("{ decay = 0.5 }"), read(0.5, 1, 1));
    assert_eq!(ema("{ decay = 0.5, every_steps = 9 }"), read(0.5, 1, 9));
}

#[test]
fn groups_may_be_tables_of_their_own_and_stand_where_they_are_written() {
    let text = format!(
        "{SMALL}[[training.groups]]\nmatch = \"*.bias\"\nlr = 0.5\n[[training.groups]]\nmatch = [\"*\"]\n"
    );
    let groups = parse(&text).expect("a job").training.groups;
    let rates: Vec<GroupRate> = groups.iter().map(|group| group.rate).collect();
    assert_eq!(rates, [GroupRate::Own(0.5), GroupRate::Same]);
    assert_eq!(groups[0].patterns, ["*.bias"]);
    assert_eq!(group_positions(&text), [(8, 1), (11, 1)]);
    assert_eq!(group_positions(SMALL), []);
}

#[test]
fn groups_and_averages_that_cannot_be_are_refused() {
    for (line, expected) in [
        (
            "groups = { match = \"*\" }",
            "10: training.groups: expected a list of at most 32 groups of parameters, as [{ match = \"*.bias\", weight_decay = 0.0 }], got a table",
        ),
        (
            "groups = [{ lr = 0.1 }]",
            "11: missing key training.groups[0].match: expected a pattern of the names of parameters, as \"*.bias\", of at most 256 characters, or a list of 1 to 32",
        ),
        (
            "groups = [{ match = [] }]",
            "21: training.groups[0].match: expected a pattern of the names of parameters, as \"*.bias\", of at most 256 characters, or a list of 1 to 32, got an empty list",
        ),
        (
            "groups = [{ match = \"*\", lr = 0.1, lr_scale = 2 }]",
            "36: training.groups[0].lr and training.groups[0].lr_scale exclude each other: keep one of them",
        ),
        (
            "groups = [{ match = \"*\", frozen = true, lr = 1 }]",
            "41: training.groups[0].frozen and training.groups[0].lr exclude each other: keep one of them",
        ),
        (
            "groups = [{ match = \"*\", lr_scale = 0 }]",
            "37: training.groups[0].lr_scale: expected a number above 0.0 and at most 1000000.0, got 0",
        ),
        (
            "groups = [{ match = \"*\", decay = 0 }]",
            "26: unknown key \"decay\" in training.groups[0], did you mean \"training.ema.decay\"? (known: match, lr, lr_scale, weight_decay, frozen)",
        ),
        (
            "ema = 1",
            "7: training.ema: expected a number above 0.0 and below 1.0, got 1",
        ),
        (
            "ema = true",
            "7: training.ema: expected a number above 0.0 and below 1.0, or a table, as { decay = 0.999, start_step = 100 }, got true",
        ),
        (
            "ema = { start_step = 5 }",
            "7: missing key training.ema.decay: expected a number above 0.0 and below 1.0",
        ),
    ] {
        assert_eq!(
            mistakes_of(&format!("{SMALL}{line}\n"), &[]),
            [format!("job.toml:8:{expected}")],
            "{line}"
        );
    }
}
