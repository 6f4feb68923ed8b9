//! Measures how fast this machine is: real kernels in small networks, the fold over loopback, and a whole training of next to
//! nothing. Takes well under two seconds. Whatever else the machine does only ever adds time, so the least of several
//! repeats counts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use collective::{Fence, Gang, Node, tcp};
use engine::{Engine, Synthetic};
use plan::Plan;
use spec::rank::Failure;
use spec::rates::{Kernel, Rates};

use crate::depot::lasting;
use crate::machine;

mod fit;
mod probes;
mod step;

use fit::{Measured, fit};
use probes::{NETWORKS, OPTIMIZERS, Probe, UPDATED, UPDATED_SMALL};

/// How long one thing is repeated, and the fewest and most repeats.
const MEASURE: Duration = Duration::from_millis(20);
const REPEATS: (usize, usize) = (4, 200);

/// What is measured by both counts with the lesser: one is finer, the other does not see what else runs.
const CLOCKS: [fn() -> Duration; 2] = [machine::clock, machine::thread_time];

/// Words of the two buffers that are added to see how fast memory is: no cache holds them.
const FAR_WORDS: usize = 6 << 20;

/// Bytes of the records that two ranks fold.
const FOLDED: [usize; 2] = [4 << 10, 1 << 20];

/// How long ranks of this process may take to meet, and a fold to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The optimizer of the networks whose stages are timed.
const PLAIN: &str = "sgd = { lr = 0.01 }";

/// Measures this machine. `go_on` is asked between measurements; `None` once it has said no.
///
/// # Errors
/// No memory, no threads, no loopback: what a rank would meet too.
pub fn measure(go_on: &dyn Fn() -> bool) -> Result<Option<Rates>, Failure> {
    let cores = machine::cores();
    let mut seen: Vec<(Kernel, Measured)> = Vec::new();
    for network in NETWORKS {
        if !go_on() {
            return Ok(None);
        }
        network_stages(network, &mut seen)?;
    }
    for optimizer in OPTIMIZERS {
        for network in [&UPDATED_SMALL, &UPDATED] {
            if !go_on() {
                return Ok(None);
            }
            updates(network, optimizer, &mut seen)?;
        }
    }
    let mut rates = Rates {
        machine: machine::identity(),
        cores,
        far_byte_s: far_byte(),
        crowding: 1.0,
        ..Rates::default()
    };
    for kernel in Kernel::ALL {
        let of = seen.iter().filter(|(seen, _)| *seen == kernel);
        let measured: Vec<Measured> = of.map(|&(_, measured)| measured).collect();
        if !measured.is_empty() {
            rates.kernels.insert(kernel, fit(&measured));
        }
    }
    if cores > 1 {
        if !go_on() {
            return Ok(None);
        }
        let alone = pass(cores, 1, 1)?;
        rates.crowding = (pass(cores, 1, cores)? / alone).max(1.0);
        let together = pass(cores, cores, 1)?;
        rates.thread_gain = ((alone / together - 1.0) / f64::from(cores - 1)).clamp(0.0, 1.0);
    }
    if !go_on() {
        return Ok(None);
    }
    (rates.fold_s, rates.fold_byte_s) = fold()?;
    rates.step_s = step::measure(|plan| kernels_of(&rates, plan))?;
    Ok(Some(rates))
}

/// Times the stages, the loss and the digest of a network.
fn network_stages(network: &Probe, seen: &mut Vec<(Kernel, Measured)>) -> Result<(), Failure> {
    let plan = network.plan(PLAIN, 1)?;
    let samples = network.samples as usize;
    let work = plan.stage_work(samples);
    let mut engine = engine(plan)?;
    let made_up = Synthetic::new(engine.plan(), samples);
    let mut least: Option<engine::StageTimes> = None;
    for clock in CLOCKS {
        engine.time_stages(clock);
        repeat(|| {
            engine
                .train(&made_up.batch(), 0)
                .map_err(|error| lasting(error.to_string()))?;
            let now = engine.stage_times().expect("stages are timed");
            let Some(least) = &mut least else {
                least = Some(now.clone());
                return Ok(());
            };
            least.loss = least.loss.min(now.loss);
            let lists = [
                (&mut least.forward, &now.forward),
                (&mut least.backward, &now.backward),
            ];
            for (least, now) in lists {
                let both = least.iter_mut().zip(now);
                both.for_each(|(least, now)| *least = (*least).min(*now));
            }
            Ok(())
        })?;
    }
    let least = least.expect("it ran");
    let mut note = |kernel, work, took: Duration| {
        let seconds = took.as_secs_f64().max(1e-9);
        seen.push((kernel, Measured { work, seconds }));
    };
    for ((work, &forward), &backward) in work.iter().zip(&least.forward).zip(&least.backward) {
        note(work.forward.0, work.forward.1, forward);
        if let Some((kernel, work)) = work.backward {
            note(kernel, work, backward);
        }
    }
    note(Kernel::Loss, engine.plan().loss_work(samples), least.loss);
    Ok(())
}

/// Times the update of a network by an optimizer, the digest, and the sum of two records.
fn updates(
    network: &Probe,
    optimizer: &str,
    seen: &mut Vec<(Kernel, Measured)>,
) -> Result<(), Failure> {
    let mut engine = engine(network.plan(optimizer, 1)?)?;
    let made_up = Synthetic::new(engine.plan(), 1);
    engine
        .train(&made_up.batch(), 0)
        .map_err(|error| lasting(error.to_string()))?;
    let (mut update, mut digest, mut add) = (f64::INFINITY, f64::INFINITY, f64::INFINITY);
    let slots = engine.plan().slots;
    for clock in CLOCKS {
        repeat(|| {
            let (sums, record) = engine.fold_views(&[0]);
            record.copy_from_slice(sums[0]);
            let began = clock();
            // With a rate of 0 the parameters stay, and the work is the same.
            engine
                .apply(0.0)
                .map_err(|error| lasting(error.to_string()))?;
            least(&mut update, clock() - began);
            let began = clock();
            std::hint::black_box(engine.parameters_digest());
            least(&mut digest, clock() - began);
            if slots > 1 {
                let began = clock();
                engine.add(1, 0);
                least(&mut add, clock() - began);
            }
            Ok(())
        })?;
    }
    let plan = engine.plan();
    let (kernel, work) = plan.update_work();
    let all = [
        (kernel, work, update),
        (Kernel::Digest, plan.digest_work(), digest),
        (Kernel::Add, plan.add_work(), add),
    ];
    let measured = all
        .into_iter()
        .filter(|(_, _, seconds)| seconds.is_finite());
    seen.extend(measured.map(|(kernel, work, seconds)| (kernel, Measured { work, seconds })));
    Ok(())
}

fn least(so_far: &mut f64, took: Duration) {
    *so_far = so_far.min(took.as_secs_f64().max(1e-9));
}

/// The seconds of a training pass on `threads` threads, while so many engines run at once; the least of each, of the
/// slowest engine.
fn pass(cores: u32, threads: u32, engines: u32) -> Result<f64, Failure> {
    let network = &NETWORKS[1];
    let mut workers = Vec::new();
    for _ in 0..engines.min(cores) {
        let engine = engine(network.plan(PLAIN, threads)?)?;
        let made_up = Synthetic::new(engine.plan(), network.samples as usize);
        workers.push((engine, made_up));
    }
    // What a thread computes says nothing of the others that help it.
    let clocks = if threads > 1 { &CLOCKS[..1] } else { &CLOCKS };
    let run = |(engine, made_up): &mut (Engine<f32>, Synthetic)| {
        let mut best = f64::INFINITY;
        for clock in clocks {
            repeat(|| {
                let began = clock();
                engine
                    .train(&made_up.batch(), 0)
                    .map_err(|error| lasting(error.to_string()))?;
                least(&mut best, clock() - began);
                Ok(())
            })?;
        }
        Ok(best)
    };
    let times: Result<Vec<f64>, Failure> = std::thread::scope(|scope| {
        let running: Vec<_> = workers
            .iter_mut()
            .map(|worker| scope.spawn(|| run(worker)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<f64, Failure>>| {
            thread
                .join()
                .unwrap_or_else(|_| Err(lasting("a measurement panicked")))
        };
        running.into_iter().map(join).collect()
    });
    Ok(times?.into_iter().fold(0.0, f64::max))
}

fn engine(plan: Plan) -> Result<Engine<f32>, Failure> {
    let threads = plan.threads;
    let mut engine = Engine::new(plan, threads).map_err(|error| lasting(error.to_string()))?;
    engine.initialize(1);
    Ok(engine)
}

/// Repeats something for as long as a measurement takes.
fn repeat(mut once: impl FnMut() -> Result<(), Failure>) -> Result<(), Failure> {
    let began = Instant::now();
    let mut repeats = 0;
    while repeats < REPEATS.0 || (began.elapsed() < MEASURE && repeats < REPEATS.1) {
        once()?;
        repeats += 1;
    }
    Ok(())
}

/// Seconds of a byte read or written where no cache holds it.
fn far_byte() -> f64 {
    let from = vec![1f32; FAR_WORDS];
    let mut into = vec![1f32; FAR_WORDS];
    let mut best = f64::INFINITY;
    for clock in CLOCKS.into_iter().cycle().take(4) {
        let began = clock();
        let pairs = into.iter_mut().zip(&from);
        pairs.for_each(|(into, from)| *into += from);
        std::hint::black_box(&mut into);
        least(&mut best, clock() - began);
    }
    // Two are read and one is written.
    best / (3 * 4 * FAR_WORDS) as f64
}

/// Seconds of a fold between two ranks over loopback, and of each byte of its record.
fn fold() -> Result<(f64, f64), Failure> {
    let failed = |error: collective::Error| lasting(error.to_string());
    let fence = Fence([0; 3]);
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let doors = [
        tcp::Listener::bind(local).map_err(failed)?,
        tcp::Listener::bind(local).map_err(failed)?,
    ];
    let addresses: Vec<SocketAddr> = doors.iter().map(tcp::Listener::address).collect();
    let largest = FOLDED[1];
    let sit = |rank: usize, door: tcp::Listener| -> Result<[f64; 2], Failure> {
        let table = door
            .meet(rank, &addresses, fence, PATIENCE)
            .map_err(failed)?;
        let mut gang = Gang::new(Box::new(table), fence, largest, 2).map_err(failed)?;
        let node = Node {
            level: 0,
            index: rank as u32,
        };
        let (sums, mut record) = (vec![0u8; largest], vec![0u8; largest]);
        let add = |offset: usize, into: &mut [u8], from: &[u8]| {
            engine::add_record(largest, offset, into, from)
        };
        let mut operation = 0;
        let mut best = [f64::INFINITY; 2];
        for (best, bytes) in best.iter_mut().zip(FOLDED) {
            for _ in 0..12 {
                operation += 1;
                let began = Instant::now();
                gang.fold(
                    operation,
                    2,
                    &[(node, &sums[..bytes])],
                    &mut record[..bytes],
                    &add,
                    PATIENCE,
                )
                .map_err(failed)?;
                least(best, began.elapsed());
            }
        }
        Ok(best)
    };
    let times = std::thread::scope(|scope| {
        let [first, second] = doors;
        let other = scope.spawn(|| sit(1, second));
        let mine = sit(0, first);
        let other = other
            .join()
            .unwrap_or_else(|_| Err(lasting("a measurement panicked")));
        mine.and_then(|mine| Ok([mine, other?]))
    })?;
    let [small, large] = [0, 1].map(|size| times[0][size].max(times[1][size]));
    let byte_s = (large - small).max(0.0) / (FOLDED[1] - FOLDED[0]) as f64;
    Ok(((small - byte_s * FOLDED[0] as f64).max(0.0), byte_s))
}

/// The share of a step that kernels do not take, for [`step`].
fn kernels_of(rates: &Rates, plan: &Plan) -> f64 {
    let without = Rates {
        step_s: 0.0,
        ..rates.clone()
    };
    let alone = plan::Placement {
        ranks: 1,
        together: 1,
    };
    let told = plan::predict(plan, 1, alone, &without);
    told.map_or(0.0, |told| told.step_ms / 1e3)
}

/// A rate of nothing, for kernels that no network uses.
#[cfg(test)]
fn is_free(rate: &spec::rates::Rate) -> bool {
    rate.prices().iter().all(|price| *price == 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_is_measured_and_none_is_free() {
        let rates = measure(&|| true).unwrap().expect("nobody stopped it");
        for kernel in Kernel::ALL {
            let rate = rates
                .kernels
                .get(&kernel)
                .unwrap_or_else(|| panic!("no rate of {}", kernel.word()));
            assert!(!is_free(rate), "{}", kernel.word());
        }
        assert!(rates.are_sane(), "{rates:?}");
        assert!(rates.crowding >= 1.0 && rates.far_byte_s > 0.0 && rates.fold_s > 0.0);
        // What was measured can be priced: every network, with every optimizer.
        for network in NETWORKS {
            for optimizer in OPTIMIZERS {
                let plan = network.plan(optimizer, 1).unwrap();
                assert!(kernels_of(&rates, &plan) > 0.0);
            }
        }
    }

    #[test]
    fn a_measurement_ends_when_it_is_told_to() {
        let asked = std::cell::Cell::new(0);
        let go_on = || {
            asked.set(asked.get() + 1);
            asked.get() < 2
        };
        assert_eq!(measure(&go_on).unwrap(), None);
        assert_eq!(asked.get(), 2);
    }
}
