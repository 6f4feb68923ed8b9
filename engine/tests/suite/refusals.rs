//! What does not fit is an error with its facts, never a panic.

use engine::{Batch, Engine, Error, Samples, Targets};
use plan::Mode;

use crate::networks::{Network, classes, simple_cnn};

#[test]
fn samples_labels_slots_and_threads_that_do_not_fit_are_refused() {
    let network = simple_cnn([1, 4, 4], 2, 3, 4);
    let mut engine = network.engine::<f32>();
    engine.initialize(1);
    let (x, labels) = network.batch::<f32>(4, 1);
    let before = engine.slot_bytes(0).to_vec();
    assert!(matches!(
        engine.train(&Batch::classified(&x, &labels), 1),
        Err(Error::Slot { slot: 1, slots: 1 })
    ));
    assert!(matches!(
        engine.train(&Batch::classified(&x[1..], &labels), 0),
        Err(Error::Values {
            sample: 16,
            got: 63
        })
    ));
    assert!(matches!(
        engine.train(&Batch::classified(&x, &[0; 5]), 0),
        Err(Error::Targets {
            expected: 4,
            got: 5
        })
    ));
    let (more, five) = network.batch::<f32>(5, 1);
    assert!(matches!(
        engine.train(&Batch::classified(&more, &five), 0),
        Err(Error::Samples {
            samples: 5,
            microbatch: 4
        })
    ));
    let values = Batch {
        targets: Targets::Values(&x),
        ..Batch::classified(&x, &labels)
    };
    assert!(matches!(
        engine.train(&values, 0),
        Err(Error::Targets {
            expected: 40,
            got: 64
        })
    ));
    let error = engine
        .train(&Batch::classified(&x, &[0, 9, 10, 3]), 0)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "sample 2 of the microbatch has label 10, but there are 10 classes, 0 to 9"
    );
    assert!(matches!(
        engine.evaluate(&Batch::classified(&x, &[0, 1, 2, u32::MAX])),
        Err(Error::Label { position: 3, .. })
    ));
    assert!(matches!(
        engine.logits(Samples::Values(&x[1..])),
        Err(Error::Values { .. })
    ));
    assert_eq!(engine.slot_bytes(0), before);
    for threads in [0, 2] {
        let plan = network.plan(Mode::Train).unwrap();
        assert!(matches!(
            Engine::<f32>::new(plan, threads),
            Err(Error::Threads { planned: 1, .. })
        ));
    }
}

#[test]
fn a_plan_to_evaluate_evaluates_and_does_not_train() {
    let network = simple_cnn([3, 6, 6], 4, 5, 4);
    let mut trains = network.engine::<f32>();
    trains.initialize(3);
    let (x, labels) = network.batch::<f32>(3, 2);
    let mut evaluates = Engine::<f32>::new(network.plan(Mode::Evaluate).unwrap(), 1).unwrap();
    evaluates
        .parameters_mut()
        .copy_from_slice(trains.parameters());
    assert_eq!(
        evaluates.evaluate(&Batch::classified(&x, &labels)).unwrap(),
        trains.evaluate(&Batch::classified(&x, &labels)).unwrap()
    );
    assert_eq!(
        evaluates.logits(Samples::Values(&x)).unwrap(),
        trains.logits(Samples::Values(&x)).unwrap()
    );
    assert!(matches!(
        evaluates.train(&Batch::classified(&x, &labels), 0),
        Err(Error::NotTraining)
    ));
}

#[test]
fn more_memory_than_the_machine_has_is_refused() {
    let network = Network::new(&[1 << 20], 1 << 19, 1, vec![classes()]);
    let plan = network.plan(Mode::Train).unwrap();
    assert!(plan.arena_bytes > 1 << 42);
    assert!(matches!(
        Engine::<f32>::new(plan, 1),
        Err(Error::Memory { .. })
    ));
}
