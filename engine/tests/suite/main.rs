//! The engine from outside: against PyTorch's numbers, against finite differences, against its own plain loops, and
//! against itself on other threads, slots and slicings.

#[cfg(test)]
mod differences;
#[cfg(test)]
mod dropout;
#[cfg(test)]
mod exactness;
#[cfg(test)]
mod fast;
#[cfg(test)]
mod given;
#[cfg(test)]
mod grouped;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod initials;
#[cfg(test)]
mod losses;
#[cfg(test)]
mod nested;
#[cfg(test)]
mod networks;
#[cfg(test)]
mod optimizers;
#[cfg(test)]
mod pytorch;
#[cfg(test)]
mod reference_networks;
mod refusals;
#[cfg(test)]
mod residuals;
#[cfg(test)]
mod running;
#[cfg(test)]
mod sequences;
#[cfg(test)]
mod sync_norms;
#[cfg(test)]
mod tensors;
