use plan::packed_words;
use proptest::prelude::*;

use super::*;

/// Every instruction set that this machine has, the narrowest first.
fn every_set() -> Vec<Arch> {
    let mut sets = vec![Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    {
        sets.extend(pulp::x86::V3::try_new().map(Arch::V3));
        sets.extend(pulp::x86::V4::try_new().map(Arch::V4));
    }
    sets
}

fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A matrix of its own memory, with words between its rows that no product may touch.
struct Side {
    values: Vec<f32>,
    rows: usize,
    columns: usize,
    turned: bool,
}

impl Side {
    const GAP: usize = 3;

    fn new(rows: usize, columns: usize, turned: bool, seed: u32) -> Side {
        let mut side = Side {
            values: vec![f32::NAN; rows * columns + (rows + columns) * Side::GAP],
            rows,
            columns,
            turned,
        };
        let given = values(rows * columns, seed);
        for row in 0..rows {
            for column in 0..columns {
                let place = side.place(row, column);
                side.values[place] = given[row * columns + column];
            }
        }
        side
    }

    fn place(&self, row: usize, column: usize) -> usize {
        if self.turned {
            column * (self.rows + Side::GAP) + row
        } else {
            row * (self.columns + Side::GAP) + column
        }
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        f64::from(self.values[self.place(row, column)])
    }

    fn matrix(&self) -> Matrix<'_> {
        let (rows, columns) = (self.rows, self.columns);
        if self.turned {
            Matrix::pitched(&self.values, columns, rows, rows + Side::GAP).transposed()
        } else {
            Matrix::pitched(&self.values, rows, columns, columns + Side::GAP)
        }
    }
}

fn run(gemm: &Gemm, arch: Arch, threads: usize, before: &[f32], [m, n]: [usize; 2]) -> Vec<f32> {
    let pool = Pool::new(threads).unwrap();
    let mut work = vec![f32::NAN; threads * GEMM_WORDS];
    let mut out = before.to_vec();
    gemm.run(arch, &pool, &mut work, Out::pitched(&mut out, m, n, n + 1));
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_product_is_the_sum_of_products_on_every_instruction_set_and_in_every_layout(
        m in 1usize..40, n in 1usize..80, k in prop_oneof![0usize..40, 250usize..262, 500usize..530],
        turned: [bool; 2], add: bool, biased: bool, relu: bool, seed: u32,
    ) {
        let left = Side::new(m, k, turned[0], seed);
        let right = Side::new(k, n, turned[1], seed ^ 1);
        let (bias, before) = (values(n, seed ^ 2), values(m * (n + 1), seed ^ 3));
        let gemm = Gemm {
            left: left.matrix(),
            right: Right::Plain(right.matrix()),
            add,
            bias: biased.then_some(&bias[..]),
            relu,
        };
        for arch in every_set() {
            let got = run(&gemm, arch, 1, &before, [m, n]);
            for row in 0..m {
                for (column, bias) in bias.iter().enumerate() {
                    let place = row * (n + 1) + column;
                    let mut expected: f64 = (0..k).map(|i| left.at(row, i) * right.at(i, column)).sum();
                    expected += if add { f64::from(before[place]) } else { 0.0 };
                    expected += if biased { f64::from(*bias) } else { 0.0 };
                    let expected = if relu { expected.max(0.0) } else { expected };
                    prop_assert!(
                        (f64::from(got[place]) - expected).abs() < 1e-4,
                        "{arch:?}, row {row}, column {column}: {} {expected}", got[place]
                    );
                }
                let gap = row * (n + 1) + n;
                prop_assert_eq!(got[gap], before[gap]);
            }
        }
    }

    #[test]
    fn bits_depend_on_no_layout_no_packing_no_cut_and_no_thread(
        m in 1usize..70, n in 1usize..200, k in prop_oneof![1usize..40, 250usize..300], add: bool, seed: u32,
        row in 0usize..70, column in 0usize..200,
    ) {
        let (row, column) = (row % m, column % n);
        let sides = |turned| (Side::new(m, k, turned, seed), Side::new(k, n, turned, seed ^ 1));
        let (straight, turned) = (sides(false), sides(true));
        let before = values(m * (n + 1), seed ^ 3);
        for arch in every_set() {
            let straight = (straight.0.matrix(), straight.1.matrix());
            let turned = (turned.0.matrix(), turned.1.matrix());
            let product = |left, right| Gemm { left, right, add, bias: None, relu: false };
            let plain = product(straight.0, Right::Plain(straight.1));
            let whole = run(&plain, arch, 1, &before, [m, n]);
            let other = product(turned.0, Right::Plain(turned.1));
            prop_assert_eq!(&run(&other, arch, 1, &before, [m, n]), &whole);
            prop_assert_eq!(&run(&plain, arch, 3, &before, [m, n]), &whole);
            let pool = Pool::new(2).unwrap();
            let mut words = vec![f32::NAN; packed_words(k, n).unwrap()];
            let packed = Packed::new(arch, &pool, &turned.1, &mut words);
            let again = product(straight.0, Right::Packed(packed));
            prop_assert_eq!(&run(&again, arch, 2, &before, [m, n]), &whole);
            let alone = product(
                turned.0.part(row..row + 1, 0..k),
                Right::Plain(straight.1.part(0..k, column..column + 1)),
            );
            let place = row * (n + 1) + column;
            prop_assert_eq!(run(&alone, arch, 1, &before[place..place + 1], [1, 1])[0], whole[place]);
        }
    }
}

#[test]
fn a_product_over_nothing_is_its_bias_and_one_of_no_rows_writes_nothing() {
    for arch in every_set() {
        let bias = values(5, 1);
        let gemm = Gemm {
            left: Matrix::new(&[], 2, 0),
            right: Right::Plain(Matrix::new(&[], 0, 5)),
            add: false,
            bias: Some(&bias),
            relu: false,
        };
        let out = run(&gemm, arch, 2, &[7.0; 12], [2, 5]);
        assert_eq!(out[..5], bias);
        assert_eq!(out[6..11], bias);
        let gemm = Gemm::plain(Matrix::new(&[], 0, 3), Matrix::new(&[1.0; 6], 3, 2));
        assert_eq!(run(&gemm, arch, 2, &[7.0; 4], [0, 2]), [7.0; 4]);
    }
}

#[test]
#[should_panic(expected = "the sides fit each other")]
fn sides_that_do_not_fit_are_refused() {
    let gemm = Gemm::plain(Matrix::new(&[0.0; 6], 2, 3), Matrix::new(&[0.0; 8], 4, 2));
    run(&gemm, Arch::Scalar, 1, &[0.0; 6], [2, 2]);
}
