//! The shape of one sample, without the batch dimension.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The extents of one sample, outermost first: `[C, H, W]` for images, `[F]` for features. No extent is 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<usize>", into = "Vec<usize>")]
pub struct Shape(Vec<usize>);

/// Why a list of extents or a text is no shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A text that is not extents joined by `x`.
    #[error("\"{text}\" is not a shape: expected extents joined by x, as in 1x28x28")]
    Text {
        /// The text that was given.
        text: String,
    },
    /// No extents, more than 4, one that is 0, or a product above 2^40.
    #[error(
        "{extents:?} is not a shape: expected 1 to 4 extents of at least 1 whose product is at most 2^40"
    )]
    Extents {
        /// The extents that were given.
        extents: Vec<usize>,
    },
}

impl Shape {
    /// A shape of these extents.
    ///
    /// # Errors
    /// No extents, more than 4, one that is 0, or a product above 2^40.
    pub fn new(extents: Vec<usize>) -> Result<Self, ShapeError> {
        let elements = extents.iter().try_fold(1usize, |product, &extent| {
            product
                .checked_mul(extent)
                .filter(|&product| product <= 1 << 40)
        });
        match elements {
            Some(elements) if elements > 0 && (1..=4).contains(&extents.len()) => {
                Ok(Shape(extents))
            }
            _ => Err(ShapeError::Extents { extents }),
        }
    }

    /// The extents, outermost first.
    pub fn extents(&self) -> &[usize] {
        &self.0
    }

    /// How many values a sample has.
    pub fn elements(&self) -> usize {
        self.0.iter().product()
    }

    /// The outermost extent: the number of channels that normalisation treats apart.
    pub fn channels(&self) -> usize {
        self.0[0]
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&texts.join("x"))
    }
}

impl FromStr for Shape {
    type Err = ShapeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let extents: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
        Shape::new(extents.map_err(|_| ShapeError::Text {
            text: text.to_string(),
        })?)
    }
}

impl TryFrom<Vec<usize>> for Shape {
    type Error = ShapeError;

    fn try_from(extents: Vec<usize>) -> Result<Self, Self::Error> {
        Shape::new(extents)
    }
}

impl From<Shape> for Vec<usize> {
    fn from(shape: Shape) -> Self {
        shape.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_reads_its_own_text() {
        let shape: Shape = "1x28x28".parse().expect("a shape");
        assert_eq!(shape.extents(), [1, 28, 28]);
        assert_eq!(shape.to_string(), "1x28x28");
        assert_eq!(shape.elements(), 784);
    }

    #[test]
    fn zero_empty_and_huge_shapes_are_refused() {
        for text in ["0x3", "", "axb", "1x2x3x4x5", "1099511627776x2"] {
            assert!(text.parse::<Shape>().is_err(), "{text}");
        }
    }
}
