use super::*;
use crate::reference::functions::Plain;

fn judged<T: Float>(loss: &Loss, target: Target<'_, T>, row: &mut [T]) -> Row {
    let judging = Judging {
        loss,
        weights: &[],
        gradient: true,
        ranks: true,
    };
    judge::<T, Plain>(&judging, target, row)
}

#[test]
fn the_loss_of_equal_logits_is_the_logarithm_of_their_number() {
    let mut row = [3.0f64; 4];
    let first = judged(&Loss::CROSS_ENTROPY, Target::Class(0), &mut row);
    assert!((first.loss - libm::log(4.0)).abs() < 1e-15);
    assert_eq!((first.answer, first.rank), (0, 0));
    assert_eq!(row, [-0.75, 0.25, 0.25, 0.25]);
    let third = judged(&Loss::CROSS_ENTROPY, Target::Class(2), &mut [3.0f64; 4]);
    assert_eq!((third.answer, third.rank), (0, 2));
}

#[test]
fn large_logits_do_not_overflow_and_nan_reaches_the_loss() {
    let class = |class, row: &mut [f32]| judged(&Loss::CROSS_ENTROPY, Target::Class(class), row);
    let far = class(1, &mut [1e4, -1e4]);
    assert_eq!((far.loss, far.answer, far.rank), (2e4, 0, 1));
    assert!(class(1, &mut [f32::NAN, 0.0]).loss.is_nan());
    assert!(class(0, &mut [0.0, f32::NAN]).loss.is_nan());
    for loss in [Loss::Mse, Loss::L1, Loss::Huber { delta: 1.0 }] {
        let row = judged(&loss, Target::Class(0), &mut [0.0, f32::NAN]);
        assert!(row.loss.is_nan(), "{loss:?}");
    }
}

#[test]
fn the_answer_is_the_first_of_the_largest_wherever_it_stands() {
    for length in [1, 2, 15, 16, 17, 40] {
        for place in 0..length {
            let mut row: Vec<f32> = (0..length).map(|index| -(index as f32)).collect();
            row[place] = 7.0;
            row[length - 1] = 7.0;
            let largest = largest(&row);
            assert_eq!((largest, position(&row, largest)), (7.0, place), "{length}");
            assert_eq!(rank(&row, place, place, true), 0);
        }
    }
    assert_eq!(rank(&[2.0f32, 3.0, 2.0, 1.0], 2, 1, true), 2);
    assert_eq!(rank(&[2.0f32, 3.0, 2.0, 1.0], 2, 1, false), 1);
}
