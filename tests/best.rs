//! The best checkpoint of a job: kept, listed and found by name.

use serde_json::{Value, json};

use crate::main_road::column;
use crate::yard::{Yard, repository};

#[test]
fn the_best_checkpoint_is_kept_listed_and_evaluates_to_its_row_also_after_the_coordinator_was_away()
{
    let mut yard = Yard::with_digits(&[1, 1]);
    let set = [
        "training.epochs=8",
        "training.optimizer.adam.lr=0.1",
        "checkpoint.every_steps=10",
        "checkpoint.keep_last=1",
        "resources.ranks=2",
    ];
    let id = yard.submit(&repository("jobs/digits-cnn.toml"), &set);
    yard.succeeded(&id);
    let rows = yard.exact_rows(&id);
    let losses: Vec<(f64, usize)> = (1..)
        .zip(&rows)
        .filter(|(_, row)| row.contains("validation_loss"))
        .map(|(step, row)| {
            (
                column(row, "validation_loss").parse().expect("a number"),
                step,
            )
        })
        .collect();
    let first_of_least = |best: (f64, usize), one: &(f64, usize)| {
        if one.0 < best.0 { *one } else { best }
    };
    let (loss, step) = losses.iter().fold(losses[0], first_of_least);
    assert_ne!(step, rows.len(), "the last is not the best: {losses:?}");
    yard.stop_coordinator();
    yard.start_coordinator();

    let kept = yard.list(&["checkpoint", "list", &id]);
    let kept: Vec<[&Value; 3]> = kept
        .iter()
        .map(|one| ["step", "monitored", "best"].map(|key| &one[key]))
        .collect();
    let last = losses.last().expect("it is validated").0;
    let expected = [
        [json!(step), json!(loss), json!(true)],
        [json!(rows.len()), json!(last), json!(false)],
    ];
    assert_eq!(json!(kept), json!(expected));
    let table = yard.run(&["checkpoint", "list", &id]).done();
    let mark = format!("validation_loss {loss:.4}, best");
    assert!(table[1].ends_with(&mark), "{table:?}");
    assert!(!table[2].contains("best"), "{table:?}");

    let best = format!("{id}@best");
    assert_eq!(yard.json(&["checkpoint", "show", &best])["step"], step);
    yard.json(&["checkpoint", "verify", &best]);
    let evaluated = yard
        .run(&["model", "evaluate", &best, "--json"])
        .done()
        .remove(0);
    let (loss, accuracy) = (
        column(&rows[step - 1], "validation_loss"),
        column(&rows[step - 1], "validation_accuracy"),
    );
    let expected = format!("{{\"loss\":{loss},\"accuracy\":{accuracy},\"samples\":359}}");
    assert_eq!(evaluated, expected);
    assert_eq!(yard.json(&["checkpoint", "delete", &best])["step"], step);
    assert_eq!(
        yard.json(&["checkpoint", "show", &best])["step"],
        rows.len()
    );
}
