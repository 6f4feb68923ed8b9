//! Work and predicted time of plans.

use spec::job::Optimizer;
use spec::model::LayerKind::{Flatten, Relu};
use spec::model::{self, LayerKind};
use spec::rates::{Kernel, Rate, Rates};

use super::{batch_norm, classes, conv, linear, planned, simple_cnn};
use crate::{Placement, Plan, Prediction, Unmeasured, predict};

const ALONE: Placement = Placement {
    ranks: 1,
    together: 1,
};

/// Every kernel at the same prices.
fn rates() -> Rates {
    let rate = Rate::from([1e-6, 1e-11, 1e-10, 1e-10]);
    Rates {
        machine: "here".to_string(),
        cores: 4,
        kernels: Kernel::ALL
            .into_iter()
            .map(|kernel| (kernel, rate))
            .collect(),
        thread_gain: 0.75,
        crowding: 1.5,
        far_byte_s: 1e-9,
        fold_s: 1e-4,
        fold_byte_s: 1e-9,
        step_s: 1e-5,
    }
}

fn cnn(samples: usize, microbatches: u32) -> Plan {
    planned("3x32x32", simple_cnn(), |request| {
        request.microbatch = samples;
        request.microbatches = microbatches;
    })
    .unwrap()
}

fn step(plan: &Plan, placement: Placement) -> Prediction {
    let batch = plan.microbatch as u32 * plan.microbatches;
    predict(plan, batch, placement, &rates()).unwrap()
}

#[test]
fn the_work_of_known_layers_is_exact() {
    let kinds = vec![
        conv(8, 3, 1, 1),
        Flatten,
        linear(5),
        batch_norm(),
        Relu,
        classes(),
    ];
    let plan = planned("2x4x4", kinds, |request| request.microbatch = 3).unwrap();
    let work = plan.stage_work(3);
    let (kernel, first) = work[0].forward;
    assert_eq!(kernel, Kernel::ConvForward);
    // 3 samples, 8 filters of 18 values and a bias on 16 places.
    assert_eq!(first.flops, f64::from(3 * 16 * 8 * (2 * 18 + 1)));
    assert_eq!(first.bytes, f64::from(3 * 4 * (32 + 128)));
    assert_eq!(first.weight_bytes, f64::from(4 * (8 * 18 + 8)));
    // The gradient of the data is not needed: one product, and parameters that are not read.
    let (kernel, back) = work[0].backward.unwrap();
    assert_eq!((kernel, back.flops), (Kernel::ConvBackward, first.flops));
    assert_eq!(back.weight_bytes, first.weight_bytes);
    let (kernel, second) = work[1].backward.unwrap();
    assert_eq!(kernel, Kernel::LinearBackward);
    assert_eq!(second.flops, f64::from(3 * (2 * 2 * 128 * 5 + 5)));
    assert_eq!(second.weight_bytes, f64::from(2 * 4 * (128 * 5 + 5)));
    assert_eq!(work[2].forward.0, Kernel::BatchNormForward);
    assert_eq!(work[3].forward.0, Kernel::Pass);
    assert_eq!(plan.update_work().0, Kernel::Sgd);
    let passes = 6.0 * 4.0;
    assert_eq!(
        plan.update_work().1.weight_bytes,
        passes * plan.parameter_count as f64
    );
}

#[test]
fn a_step_is_the_sum_of_its_parts_and_a_pass_the_sum_of_its_stages() {
    let plan = cnn(8, 4);
    let told = step(&plan, ALONE);
    let parts =
        told.forward_ms + told.backward_ms + told.reduce_ms + told.update_ms + told.other_ms;
    assert!((parts - told.step_ms).abs() < 1e-9);
    let backward: f64 = told.stages.iter().map(|stage| stage.backward_ms).sum();
    assert!((4.0 * backward - told.backward_ms).abs() < 1e-9);
    let forward: f64 = told.stages.iter().map(|stage| stage.forward_ms).sum();
    let loss = 1e3 * rates().kernels[&Kernel::Loss].seconds(plan.loss_work(8));
    assert!((4.0 * (forward + loss) - told.forward_ms).abs() < 1e-9);
    assert_eq!(told.stages[0].layers, ["0", "1", "2"]);
    assert!((told.samples_per_s * told.step_ms / 1e3 - 32.0).abs() < 1e-9);
}

#[test]
fn more_samples_take_longer_and_more_ranks_and_threads_less() {
    let mut before = 0.0;
    for samples in [1, 2, 7, 8, 64] {
        let now = step(&cnn(samples, 4), ALONE).step_ms;
        assert!(now > before);
        before = now;
    }
    let on = |ranks, together| step(&cnn(64, 8), Placement { ranks, together });
    assert!(on(2, 1).step_ms < on(1, 1).step_ms);
    assert!(
        on(2, 2).forward_ms > on(2, 1).forward_ms,
        "one machine is more crowded"
    );
    assert!(
        (on(8, 8).forward_ms / on(8, 4).forward_ms - 2.0).abs() < 1e-9,
        "8 ranks take turns on 4 cores"
    );
    // 8 microbatches over 3 ranks: the longest share has 3 of them.
    assert!((on(3, 1).forward_ms * 8.0 / 3.0 - on(1, 1).forward_ms).abs() < 1e-9);
    let mut plan = cnn(64, 8);
    plan.threads = 2;
    let slow = 1.0 + 0.5 / 3.0;
    let expected = on(1, 1).forward_ms * slow / 1.75;
    assert!((step(&plan, ALONE).forward_ms - expected).abs() < 1e-9);
}

#[test]
fn passes_over_what_no_cache_holds_take_as_long_as_memory_does() {
    let of = |units| {
        let kinds = vec![Flatten, linear(units), Relu, classes()];
        planned("1x32x32", kinds, |request| request.microbatch = 1).unwrap()
    };
    let (near, far) = (of(64), of(4096));
    let bytes = |plan: &Plan| plan.update_work().1.weight_bytes + plan.digest_work().weight_bytes;
    let update = |plan: &Plan| step(plan, ALONE).update_ms / 1e3;
    assert!(update(&near) < 1e-5 + 1e-10 * bytes(&near));
    assert!(update(&far) >= 1e-9 * far.update_work().1.weight_bytes);
}

#[test]
fn a_kernel_without_a_rate_is_named() {
    let mut rates = rates();
    rates.kernels.remove(&Kernel::Adam);
    let adam = Optimizer::Adam {
        lr: 0.1,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.0,
    };
    let mut plan = cnn(8, 1);
    plan.optimizer = adam;
    assert_eq!(
        predict(&plan, 8, ALONE, &rates),
        Err(Unmeasured(Kernel::Adam))
    );
    plan.optimizer = super::MOMENTUM;
    assert!(predict(&plan, 8, ALONE, &rates).is_ok());
}

#[test]
fn norms_over_all_samples_cost_two_folds_more_each_where_there_are_several_ranks() {
    let told = |sync, ranks| {
        let norm = LayerKind::BatchNorm(model::BatchNorm {
            eps: 1e-5,
            momentum: 0.1,
            sync,
        });
        let plan = planned("7", vec![linear(5), norm, classes()], |request| {
            (request.microbatch, request.microbatches) = (8, 4);
            request.share = 4;
        });
        step(&plan.unwrap(), Placement { ranks, together: 1 })
    };
    assert_eq!(told(true, 1).reduce_ms, told(false, 1).reduce_ms);
    let more = told(true, 2).reduce_ms - told(false, 2).reduce_ms;
    // Each rank sends one half of 32 and of 16 bytes a channel twice.
    let expected = 1e3 * (2.0 * 1e-4 + f64::from(5 * (32 + 16)) * 1e-9);
    assert!((more - expected).abs() < 1e-9, "{more} {expected}");
}
