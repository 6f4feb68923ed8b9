//! Matrices with orthonormal columns: the Q of a QR decomposition by Householder's reflections (1958), in f64 and in one fixed
//! order, so that its bits are the same everywhere.

/// Makes the columns of a matrix orthonormal: what is left is Q of its QR decomposition, each column with the sign for which
/// R's diagonal is positive, which makes Q of a normal matrix uniformly distributed (Mezzadri 2007). `a: (rows, columns)`, row
/// after row, rows at least as many as columns.
pub(crate) fn orthonormal(a: &mut [f64], rows: usize, columns: usize) {
    // Columns lie one behind another, so that every sum runs along memory.
    let mut work: Vec<f64> = (0..columns)
        .flat_map(|column| (0..rows).map(move |row| (row, column)))
        .map(|(row, column)| a[row * columns + column])
        .collect();
    let mut signs = vec![1.0; columns];
    let mut scales = vec![0.0; columns];
    for pivot in 0..columns {
        let (before, after) = work.split_at_mut((pivot + 1) * rows);
        let reflector = &mut before[pivot * rows + pivot..];
        let norm = reflector.iter().map(|x| x * x).sum::<f64>().sqrt();
        let head = reflector[0];
        // The head moves away from 0, so that nothing cancels. R's diagonal is what the head becomes.
        let target = if head > 0.0 { -norm } else { norm };
        if target < 0.0 {
            signs[pivot] = -1.0;
        }
        reflector[0] = head - target;
        let length: f64 = reflector.iter().map(|x| x * x).sum();
        if length == 0.0 {
            continue;
        }
        scales[pivot] = 2.0 / length;
        for column in after.chunks_exact_mut(rows) {
            reflect(reflector, scales[pivot], &mut column[pivot..]);
        }
    }
    // Q's columns are the reflections of unit vectors, the last reflection first.
    for column in 0..columns {
        let mut unit = vec![0.0; rows];
        unit[column] = signs[column];
        for pivot in (0..=column).rev() {
            let reflector = &work[pivot * rows + pivot..(pivot + 1) * rows];
            reflect(reflector, scales[pivot], &mut unit[pivot..]);
        }
        for (row, value) in unit.into_iter().enumerate() {
            a[row * columns + column] = value;
        }
    }
}

/// `x -= scale (v · x) v`
fn reflect(v: &[f64], scale: f64, x: &mut [f64]) {
    let along = scale * v.iter().zip(&*x).map(|(v, x)| v * x).sum::<f64>();
    for (x, v) in x.iter_mut().zip(v) {
        *x -= along * v;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_orthonormal_and_span_what_the_first_columns_did() {
        let (rows, columns) = (7, 4);
        let a: Vec<f64> = (0..rows * columns)
            .map(|index| f64::from((index * index % 23) as u32) - 11.0)
            .collect();
        let mut q = a.clone();
        orthonormal(&mut q, rows, columns);
        let column = |of: &[f64], number: usize| -> Vec<f64> {
            of.chunks_exact(columns).map(|row| row[number]).collect()
        };
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        for i in 0..columns {
            for j in 0..columns {
                let expected = f64::from(u8::from(i == j));
                let found = dot(&column(&q, i), &column(&q, j));
                assert!((found - expected).abs() < 1e-14, "{i} {j}: {found}");
                // R = Qᵀ A has nothing below its diagonal, and a positive one.
                let r = dot(&column(&q, i), &column(&a, j));
                assert!(
                    if i > j {
                        r.abs() < 1e-12
                    } else {
                        i < j || r > 0.0
                    },
                    "{i} {j}: {r}"
                );
            }
        }
    }

    #[test]
    fn a_matrix_of_zeros_gives_unit_vectors() {
        let mut a = vec![0.0; 6];
        orthonormal(&mut a, 3, 2);
        assert_eq!(a, [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    }
}
