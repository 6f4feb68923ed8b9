//! Layers with windows that slide over height and width.

use crate::job_file::expected::Expected;
use crate::job_file::field::Field;
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::mistake::Wrong;
use crate::job_file::tree::{Place, Value};
use crate::model::{AvgPool2d, Conv2d, MaxPool2d, Pair};

/// The largest number of filters.
const MOST_FILTERS: u32 = 1 << 20;
/// The largest extent of a window, step, padding or dilation.
const LARGEST_EXTENT: u32 = 1024;

/// The values of a convolution.
pub(super) fn conv2d(field: &Field<'_>, found: &mut Found) -> Option<Conv2d> {
    let Value::Table(_) = field.node.value else {
        field.count(MOST_FILTERS, found);
        let (key, expected) = (format!("{}.kernel", field.key), window());
        found.add(field.place(), Wrong::Missing { key, expected });
        return None;
    };
    let section = field.section(keys::CONV2D, found)?;
    let count = Expected::Whole {
        from: 1,
        to: u64::from(MOST_FILTERS),
    };
    let filters = section
        .required("filters", count, found)
        .and_then(|field| field.count(MOST_FILTERS, found));
    let kernel = section
        .required("kernel", window(), found)
        .and_then(|field| field.pair(1, LARGEST_EXTENT, found));
    let stride = section.or("stride", Pair::both(1), found, |field, found| {
        field.pair(1, LARGEST_EXTENT, found)
    });
    let padding = section.or("padding", Pair::both(0), found, |field, found| {
        field.pair(0, LARGEST_EXTENT, found)
    });
    let dilation = section.or("dilation", Pair::both(1), found, |field, found| {
        field.pair(1, LARGEST_EXTENT, found)
    });
    let groups = section.or("groups", 1, found, |field, found| {
        field.count(MOST_FILTERS, found)
    });
    let bias = section.or("bias", true, found, Field::flag);
    Some(Conv2d {
        filters: filters?,
        kernel: kernel?,
        stride: stride?,
        padding: padding?,
        dilation: dilation?,
        groups: groups?,
        bias: bias?,
    })
}

/// The values of a max pooling.
pub(super) fn max_pool2d(field: &Field<'_>, found: &mut Found) -> Option<MaxPool2d> {
    let [kernel, stride, padding] = pooling(field, found)?;
    Some(MaxPool2d {
        kernel,
        stride,
        padding,
    })
}

/// The values of an average pooling.
pub(super) fn avg_pool2d(field: &Field<'_>, found: &mut Found) -> Option<AvgPool2d> {
    let [kernel, stride, padding] = pooling(field, found)?;
    Some(AvgPool2d {
        kernel,
        stride,
        padding,
    })
}

/// Kernel, stride and padding of a pooling.
fn pooling(field: &Field<'_>, found: &mut Found) -> Option<[Pair; 3]> {
    let Value::Table(_) = field.node.value else {
        let kernel = field.pair(1, LARGEST_EXTENT, found)?;
        return Some([kernel, kernel, Pair::both(0)]);
    };
    let section = field.section(keys::POOL2D, found)?;
    let kernel = section
        .required("kernel", window(), found)
        .and_then(|field| field.pair(1, LARGEST_EXTENT, found));
    let stride = section.or(
        "stride",
        kernel.unwrap_or(Pair::both(1)),
        found,
        |field, found| field.pair(1, LARGEST_EXTENT, found),
    );
    let padding = section.or("padding", Pair::both(0), found, |field, found| {
        field.pair(0, LARGEST_EXTENT, found)
    });
    let (kernel, padding) = (kernel?, padding?);
    if let Some((padding, kernel)) = [(padding.h, kernel.h), (padding.w, kernel.w)]
        .into_iter()
        .find(|(padding, kernel)| *padding > kernel / 2)
    {
        let place = section
            .get("padding")
            .map_or(Place::Nowhere, |field| field.place());
        found.add(
            place,
            Wrong::TooMuchPadding {
                key: format!("{}.padding", field.key),
                padding,
                kernel,
            },
        );
        return None;
    }
    Some([kernel, stride?, padding])
}

fn window() -> Expected {
    Expected::Pair {
        from: 1,
        to: LARGEST_EXTENT,
    }
}
