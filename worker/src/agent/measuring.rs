//! Measures this machine's rates while its worker has nothing else to do: a rank that starts stops the measurement, which is
//! begun anew once the worker has been idle for a while. Workers that share a data directory take turns.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use spec::rates::Rates;
use tokio::sync::mpsc;
use tracing::warn;

use crate::rates;

/// How long a worker must have been idle.
const IDLE: Duration = Duration::from_secs(2);

/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// A measurement on a thread of its own. Dropping it ends the thread.
pub(super) struct Measuring {
    results: mpsc::Receiver<Rates>,
    idle: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Measuring {
    /// Starts it.
    pub fn start(data_dir: &Path) -> Self {
        let (found, results) = mpsc::channel(1);
        let measuring = Measuring {
            results,
            idle: Arc::new(AtomicBool::new(true)),
            ended: Arc::new(AtomicBool::new(false)),
        };
        let (idle, ended) = (measuring.idle.clone(), measuring.ended.clone());
        let turn = data_dir.join("rates.lock");
        let run = move || {
            while wait(&idle, &ended) {
                let _turn = take_turn(&turn);
                let go_on = || idle.load(Ordering::Relaxed) && !ended.load(Ordering::Relaxed);
                match rates::measure(&go_on) {
                    Ok(None) => {}
                    Ok(Some(rates)) => {
                        // An agent that has ended wants no rates.
                        let _ = found.blocking_send(rates);
                        return;
                    }
                    Err(failure) => {
                        warn!(
                            reason = failure.message,
                            "cannot measure this machine's rates"
                        );
                        return;
                    }
                }
            }
        };
        if let Err(error) = std::thread::Builder::new()
            .name("rates".to_string())
            .spawn(run)
        {
            warn!(%error, "cannot measure this machine's rates");
        }
        measuring
    }

    /// The rates, once; never after that.
    pub async fn measured(&mut self) -> Option<Rates> {
        self.results.recv().await
    }

    /// Whether the worker has nothing else to do.
    pub fn may_go_on(&self, idle: bool) {
        self.idle.store(idle, Ordering::Relaxed);
    }
}

impl Drop for Measuring {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Waits until the worker has been idle for long enough; false if it has ended.
fn wait(idle: &AtomicBool, ended: &AtomicBool) -> bool {
    let mut quiet = Duration::ZERO;
    while quiet < IDLE {
        std::thread::sleep(LOOK);
        if ended.load(Ordering::Relaxed) {
            return false;
        }
        quiet = if idle.load(Ordering::Relaxed) {
            quiet + LOOK
        } else {
            Duration::ZERO
        };
    }
    true
}

/// Waits for this worker's turn, which lasts as long as the file is open. Without such a file everybody measures at once,
/// which is less exact.
fn take_turn(path: &PathBuf) -> Option<File> {
    let file = File::create(path).ok()?;
    flock(&file, FlockOperation::LockExclusive).ok()?;
    Some(file)
}
