//! Offers devices, starts and watches ranks; the rank's step loop.
