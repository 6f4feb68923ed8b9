//! GFLOP/s of the products that networks are made of: `cargo bench -p engine --bench products`. Arguments are numbers of
//! threads.

use engine::{Layout, product_seconds};

/// Repeats of each product; the fastest counts.
const REPEATS: usize = 200;

/// What each shape is, and its rows, columns and depth in a forward pass.
const SHAPES: [(&str, [usize; 3]); 7] = [
    ("mlp, layer 1", [128, 512, 784]),
    ("mlp, layer 2", [128, 256, 512]),
    ("mlp, layer 3", [128, 10, 256]),
    ("lstm step, 64 x 256", [64, 1024, 256]),
    ("lstm step, 20 x 200", [20, 800, 200]),
    ("inputs of 64 steps", [4096, 1024, 64]),
    ("200 to 10,000 words", [700, 10_000, 200]),
];

fn main() {
    let arguments = std::env::args().skip(1);
    let threads: Vec<usize> = arguments.filter_map(|text| text.parse().ok()).collect();
    let threads = if threads.is_empty() {
        vec![1, 2]
    } else {
        threads
    };
    println!("{}", engine::device_class());
    println!(
        "SHAPE                THREADS  FORWARD  PACKED  WEIGHT GRADIENT  INPUT GRADIENT  (GFLOP/S)"
    );
    for threads in threads {
        for (name, [m, n, k]) in SHAPES {
            let repeats = (REPEATS * 1_000_000_000 / (20 * m * n * k)).clamp(10, 10 * REPEATS);
            let rate = |layout, shape: [usize; 3]| {
                let seconds = product_seconds(layout, shape, threads, repeats).expect("memory");
                2e-9 * shape.iter().product::<usize>() as f64 / seconds
            };
            println!(
                "{name:<20} {threads:>7}  {:>7.1}  {:>6.1}  {:>15.1}  {:>14.1}",
                rate(Layout::RightTransposed, [m, n, k]),
                rate(Layout::RightPacked, [m, n, k]),
                rate(Layout::LeftTransposed, [n, k, m]),
                rate(Layout::Plain, [m, k, n]),
            );
        }
    }
}
