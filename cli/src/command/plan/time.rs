//! How long a job's steps will take, by the rates of the workers that would run it, or of this machine.

use std::collections::BTreeMap;

use plan::{Placement, Plan, Prediction, predict};
use serde::Serialize;
use spec::Job;
use spec::rates::Rates;

use crate::stop::{Code, Stop};
use crate::views::Worker;

/// A prediction, and whose rates it goes by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    /// The worker on which a step takes longest, or `this machine`.
    pub rates_of: String,
    #[serde(flatten)]
    pub prediction: Prediction,
}

/// Predicts by the workers: the gang lies on as few as can hold it, and the slowest of them decides.
///
/// # Errors
/// Why nothing can be said.
pub fn by_workers(job: &Job, plan: &Plan, workers: &[Worker]) -> Result<Told, String> {
    let (ranks, threads) = (job.resources.ranks, job.resources.threads.max(1));
    let mut connected: Vec<&Worker> = workers
        .iter()
        .filter(|worker| worker.state == "connected" && worker.threads >= threads)
        .collect();
    connected.sort_by(|a, b| b.threads.cmp(&a.threads).then_with(|| a.id.cmp(&b.id)));
    let mut left = ranks;
    let mut chosen: Vec<(&Worker, &Rates, u32)> = Vec::new();
    let mut unmeasured = false;
    for worker in connected {
        let Some(rates) = &worker.rates else {
            unmeasured = true;
            continue;
        };
        let here = left.min(worker.threads / threads);
        if here > 0 {
            chosen.push((worker, rates, here));
            left -= here;
        }
    }
    if left > 0 {
        return Err(match unmeasured {
            true => "the workers have not measured their rates yet: they do when idle for a moment"
                .to_string(),
            false => "no workers that could hold the gang are there".to_string(),
        });
    }
    // Workers of one machine share its cores.
    let mut together: BTreeMap<&str, u32> = BTreeMap::new();
    for (_, rates, here) in &chosen {
        *together.entry(&rates.machine).or_default() += here;
    }
    let mut slowest: Option<Told> = None;
    for (worker, rates, _) in chosen {
        let placement = Placement {
            ranks,
            together: together[&*rates.machine],
        };
        let prediction = predict(plan, job.training.batch_size, placement, rates)
            .map_err(|unmeasured| unmeasured.to_string())?;
        if slowest
            .as_ref()
            .is_none_or(|slowest| slowest.prediction.step_ms < prediction.step_ms)
        {
            slowest = Some(Told {
                rates_of: worker.name.clone(),
                prediction,
            });
        }
    }
    slowest.ok_or_else(|| "the gang has no ranks".to_string())
}

/// Predicts by this machine, whose rates are measured now.
///
/// # Errors
/// What keeps it from being measured.
pub fn by_this_machine(job: &Job, plan: &Plan) -> Result<Result<Told, String>, Stop> {
    let measured = worker::rates::measure(&|| true);
    let rates = measured.map_err(|failure| Stop::of(failure, Code::Failed))?;
    let Some(rates) = rates else {
        return Ok(Err("the measurement was stopped".to_string()));
    };
    let placement = Placement {
        ranks: job.resources.ranks,
        together: job.resources.ranks,
    };
    let told = predict(plan, job.training.batch_size, placement, &rates);
    Ok(told
        .map(|prediction| Told {
            rates_of: "this machine".to_string(),
            prediction,
        })
        .map_err(|unmeasured| unmeasured.to_string()))
}

#[cfg(test)]
mod tests {
    use spec::checkpoint::DataFacts;
    use spec::rates::{Kernel, Rate};

    use super::*;

    fn worker(name: &str, threads: u32, speed: Option<f64>, machine: &str) -> Worker {
        let rates = speed.map(|speed| Rates {
            machine: machine.to_string(),
            cores: 4,
            kernels: Kernel::ALL
                .into_iter()
                .map(|kernel| (kernel, Rate::from([1e-6 / speed, 1e-9 / speed, 0.0, 0.0])))
                .collect(),
            crowding: 2.0,
            ..Rates::default()
        });
        Worker {
            id: format!("worker-{name}"),
            name: name.to_string(),
            state: "connected".to_string(),
            device_class: "cpu/x".to_string(),
            threads,
            free_threads: threads,
            memory_bytes: 1 << 30,
            free_memory_bytes: 1 << 30,
            ranks: Vec::new(),
            rates,
        }
    }

    fn told(ranks: u32, workers: &[Worker]) -> Result<Told, String> {
        let text = format!(
            "name = \"small\"\n[data]\ntrain = \"d/train\"\n[model]\nlayers = [\"flatten\", {{ linear = \"classes\" }}]\n\
             [training]\nsteps = 1\nbatch_size = 64\n[resources]\nranks = {ranks}\n"
        );
        let job = spec::job_file::parse(&text).unwrap();
        let facts = DataFacts {
            shape: "1x8x8".parse().unwrap(),
            classes: vec!["a".into(), "b".into()],
            tokens: None,
        };
        let plan = plan::for_job(&job, &facts, &[]).unwrap();
        by_workers(&job, &plan, workers)
    }

    #[test]
    fn the_slowest_worker_of_the_gang_decides_and_neighbours_crowd() {
        let fast = worker("fast", 1, Some(2.0), "m1");
        let slow = worker("slow", 1, Some(1.0), "m2");
        assert_eq!(
            told(2, &[fast.clone(), slow.clone()]).unwrap().rates_of,
            "slow"
        );
        let apart = told(2, &[slow.clone(), worker("like", 1, Some(1.0), "m3")]).unwrap();
        let beside = told(2, &[slow.clone(), worker("near", 1, Some(1.0), "m2")]).unwrap();
        assert!(beside.prediction.step_ms > apart.prediction.step_ms);
        // One worker that holds both goes before two.
        let large = worker("large", 2, Some(1.0), "m4");
        assert_eq!(told(2, &[fast, large]).unwrap().rates_of, "large");
    }

    #[test]
    fn what_cannot_be_told_says_why() {
        let unmeasured = worker("new", 2, None, "m1");
        assert!(
            told(2, &[unmeasured])
                .unwrap_err()
                .contains("have not measured")
        );
        assert!(told(2, &[]).unwrap_err().contains("no workers"));
    }
}
