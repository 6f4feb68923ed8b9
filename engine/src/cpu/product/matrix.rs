//! The sides of a product as they lie in memory, and the matrix that it writes.

use std::marker::PhantomData;
use std::ops::Range;

/// A matrix to read: the value of row `r` and column `c` stands at `r · steps[0] + c · steps[1]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    steps: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// `rows` rows of `columns` values, one row after another.
    ///
    /// # Panics
    /// If `values` is shorter.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Matrix::pitched(values, rows, columns, columns)
    }

    /// The same with `pitch` words from one row to the next.
    ///
    /// # Panics
    /// If `values` is shorter.
    pub fn pitched(values: &'a [f32], rows: usize, columns: usize, pitch: usize) -> Self {
        assert!(
            rows == 0 || columns == 0 || (rows - 1) * pitch + columns <= values.len(),
            "{rows} rows of {columns} values, {pitch} words apart, lie inside {} words",
            values.len()
        );
        Matrix {
            values,
            rows,
            columns,
            steps: [pitch, 1],
        }
    }

    /// Some rows and columns of it.
    ///
    /// # Panics
    /// If the part is not inside.
    #[cfg(test)]
    pub fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        assert!(columns.start <= columns.end && columns.end <= self.columns);
        let first = rows.start * self.steps[0] + columns.start * self.steps[1];
        Matrix {
            values: self.values.get(first..).unwrap_or_default(),
            rows: rows.len(),
            columns: columns.len(),
            steps: self.steps,
        }
    }

    /// Rows as columns; nothing is moved.
    pub fn transposed(self) -> Self {
        let [row, column] = self.steps;
        Matrix {
            rows: self.columns,
            columns: self.rows,
            steps: [column, row],
            ..self
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Words from one row to the next, and from one column to the next; one of them is 1.
    pub(super) fn steps(&self) -> [usize; 2] {
        self.steps
    }

    /// Where the value of a row and a column stands.
    ///
    /// # Panics
    /// If it lies past the last row or column.
    pub(super) fn at(&self, row: usize, column: usize) -> *const f32 {
        assert!(row < self.rows && column < self.columns);
        self.values[row * self.steps[0] + column * self.steps[1]..].as_ptr()
    }
}

/// A matrix to write, row by row, which several threads may share out among themselves.
#[derive(Clone, Copy)]
pub(crate) struct Out<'a> {
    start: *mut f32,
    rows: usize,
    columns: usize,
    pitch: usize,
    borrowed: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for the slice that it borrows; parts of it are handed out by `part` alone, whose caller keeps them
// disjoint.
unsafe impl Send for Out<'_> {}
// SAFETY: as above.
unsafe impl Sync for Out<'_> {}

impl<'a> Out<'a> {
    /// `rows` rows of `columns` values, one row after another.
    ///
    /// # Panics
    /// If `values` is shorter.
    pub fn new(values: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Out::pitched(values, rows, columns, columns)
    }

    /// The same with `pitch` words from one row to the next; what lies between the rows is left alone.
    ///
    /// # Panics
    /// If `values` is shorter, or rows overlap.
    pub fn pitched(values: &'a mut [f32], rows: usize, columns: usize, pitch: usize) -> Self {
        assert!(
            rows == 0 || columns <= pitch && (rows - 1) * pitch + columns <= values.len(),
            "{rows} rows of {columns} values, {pitch} words apart, lie inside {} words",
            values.len()
        );
        Out {
            start: values.as_mut_ptr(),
            rows,
            columns,
            pitch,
            borrowed: PhantomData,
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Some rows and columns of it.
    ///
    /// # Safety
    /// No two parts that are written at once overlap.
    ///
    /// # Panics
    /// If the part is not inside.
    pub unsafe fn part(&self, rows: Range<usize>, columns: Range<usize>) -> Out<'a> {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        assert!(columns.start <= columns.end && columns.end <= self.columns);
        Out {
            start: self
                .start
                .wrapping_add(rows.start * self.pitch + columns.start),
            rows: rows.len(),
            columns: columns.len(),
            ..*self
        }
    }

    /// Where a value stands.
    pub(super) fn at(&self, row: usize, column: usize) -> *mut f32 {
        debug_assert!(row < self.rows && column < self.columns);
        self.start.wrapping_add(row * self.pitch + column)
    }
}
