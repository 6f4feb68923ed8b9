//! The dataset that is compiled in, so that a first training needs no file. Licence and authors: `data/digits/README.md`.

/// The UCI handwritten digits as gzipped CSV: 1,797 rows, 64 pixels of 0 to 16 (8x8) and a `label` column of 0 to 9.
pub const DIGITS_CSV_GZ: &[u8] = include_bytes!("../digits/digits.csv.gz");
