use proptest::prelude::*;
use pulp::Simd;

use super::dots::Dots;
use super::rows::{Columns, PanelHeight, Rows, Start};
use super::{Steps, pack};

/// A call of one inner loop.
enum Task<'a> {
    Height(usize, &'a mut usize),
    Rows(Rows<'a>),
    Dots(Dots<'a>),
}

fn on<S: Simd>(simd: S, task: Task) {
    match task {
        Task::Height(rows, height) => *height = simd.vectorize(PanelHeight { rows }),
        Task::Rows(rows) => simd.vectorize(rows),
        Task::Dots(dots) => simd.vectorize(dots),
    }
}

/// Calls `test` with every instruction set that this machine has, the narrowest first.
fn on_every_set(test: impl Fn(&str, &dyn Fn(Task))) {
    test("scalar", &|task| on(pulp::Scalar, task));
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if let Some(simd) = pulp::x86::V3::try_new() {
            test("v3", &|task| on(simd, task));
        }
        if let Some(simd) = pulp::x86::V4::try_new() {
            test("v4", &|task| on(simd, task));
        }
    }
}

fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn assert_close(set: &str, got: f32, expected: f64) {
    assert!(
        (f64::from(got) - expected).abs() < 1e-4,
        "{set}: {got} {expected}"
    );
}

proptest! {
    #[test]
    fn rows_times_shifted_views_are_the_product_on_every_instruction_set(
        rows in 1usize..30, channels in 1usize..4, tall in 1usize..4, wide in 1usize..4, tiles in 1usize..4,
        missing in 0usize..32, split in 0usize..40, seed: u32,
    ) {
        let (columns, pitch) = (32 * tiles, 41);
        let count = columns - missing;
        let steps = Steps { counts: [channels, tall, wide], strides: [200, pitch, 1] };
        let depth = steps.rows();
        let split = split.min(depth);
        let (left, right) = (values(rows * depth, seed), values(steps.end(columns), seed ^ 1));
        let bias = values(rows, seed ^ 2);
        on_every_set(|set, arch| {
            let mut height = 0;
            arch(Task::Height(rows, &mut height));
            let mut packed = vec![0.0; rows * depth];
            pack(height, rows, depth, &mut packed, |row, column| left[row * depth + column]);
            let run = |start, relu, skipped, right: &[f32], steps, out: &mut [f32]| {
                let out = Columns::all(out, count);
                arch(Task::Rows(Rows { rows, left: &packed, skipped, right, steps, start, relu, columns, out }));
            };
            let mut plain = vec![7.0; rows * count];
            run(Start::Bias(&bias), false, [0, 0], &right, steps, &mut plain);
            let mut cut = vec![7.0; rows * count];
            run(Start::Bias(&bias), true, [0, 0], &right, steps, &mut cut);
            for (row, bias) in bias.iter().enumerate() {
                for column in 0..count {
                    let expected = (0..depth).fold(f64::from(*bias), |sum, k| {
                        sum + f64::from(left[row * depth + k]) * f64::from(right[steps.offset(k) + column])
                    });
                    assert_close(set, plain[row * count + column], expected);
                    assert_eq!(cut[row * count + column], plain[row * count + column].max(0.0));
                }
            }
            // The same rows copied out: the same bits. In two runs, each of some columns of the left side: their sum.
            let dense: Vec<f32> = (0..depth).flat_map(|k| right[steps.offset(k)..][..columns].to_vec()).collect();
            let part = |from: usize, to: usize| Steps { counts: [1, 1, to - from], strides: [0, 0, columns] };
            let mut copied = vec![7.0; rows * count];
            run(Start::Bias(&bias), false, [0, 0], &dense, part(0, depth), &mut copied);
            assert_eq!(copied, plain, "{set}");
            if split > 0 && split < depth {
                let mut pieces = [vec![7.0; rows * count], vec![7.0; rows * count]];
                run(Start::Bias(&bias), false, [0, depth - split], &dense, part(0, split), &mut pieces[0]);
                run(Start::Zero, false, [split, 0], &dense[split * columns..], part(split, depth), &mut pieces[1]);
                for (at, &plain) in plain.iter().enumerate() {
                    assert_close(set, pieces[0][at] + pieces[1][at], f64::from(plain));
                }
            }
        });
    }

    #[test]
    fn dots_over_samples_are_the_product_on_every_instruction_set(
        rows in 1usize..14, rights in 1usize..20, columns in 1usize..70, samples in 0usize..4, seed: u32,
    ) {
        let (left_pitch, right_pitch) = (columns + 3, columns + 1);
        let steps = Steps { counts: [1, 1, rights], strides: [0, 0, right_pitch] };
        let (left_sample, right_sample) = (rows * left_pitch + 5, rights * right_pitch);
        let left = values(samples * left_sample, seed);
        let right = values(samples * right_sample, seed ^ 1);
        on_every_set(|set, arch| {
            let mut out = vec![0.5; rows * rights];
            for (add, doubled) in [(false, 1.0), (true, 2.0)] {
                arch(Task::Dots(Dots {
                    rows, left: &left, left_pitch, right: &right, steps, columns,
                    samples: [samples, left_sample, right_sample], add, out: &mut out,
                }));
                for (at, &got) in out.iter().enumerate() {
                    let (row, right_row) = (at / rights, at % rights);
                    let expected: f64 = (0..samples).flat_map(|sample| (0..columns).map(move |column| (sample, column)))
                        .map(|(sample, column)| {
                            f64::from(left[sample * left_sample + row * left_pitch + column])
                                * f64::from(right[sample * right_sample + right_row * right_pitch + column])
                        })
                        .sum();
                    assert_close(set, got, doubled * expected);
                }
            }
        });
    }
}

#[test]
fn a_value_does_not_depend_on_the_rows_beside_it() {
    let (columns, rights) = (300, 11);
    let steps = Steps {
        counts: [1, 1, rights],
        strides: [0, 0, columns],
    };
    let (left, right) = (values(20 * columns, 3), values(rights * columns, 4));
    on_every_set(|set, arch| {
        let run = |rows: usize| {
            let mut out = vec![0.0; rows * rights];
            arch(Task::Dots(Dots {
                rows,
                left: &left,
                left_pitch: columns,
                right: &right,
                steps,
                columns,
                samples: [1, 0, 0],
                add: false,
                out: &mut out,
            }));
            out
        };
        let all = run(20);
        for rows in 1..20 {
            assert_eq!(run(rows), all[..rows * rights], "{set}");
        }
    });
}
