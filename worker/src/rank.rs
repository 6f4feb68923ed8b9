//! A rank process: takes orders on its control pipe (stdin), reports on stdout, logs on stderr. It ends when the pipe
//! closes, and asks the kernel to be killed when its worker dies.

use std::io::{BufRead, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use collective::{Fence, Gang, tcp};
use rustix::process::{Signal, set_parent_process_death_signal};
use spec::rank::{Assignment, Failure, Go, Order, Report};
use tracing::{error, info, info_span};

use crate::client::Remote;
use crate::depot::{Depot, lasting, passing};
use crate::machine;
use crate::training::Training;

/// The exit status of a rank whose control pipe closed.
const ABANDONED: i32 = 3;

/// How long a rank waits for a coordinator that is started anew. Its peers wait longer for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long ranks that were told to go may take to find each other.
const MEETING: Duration = Duration::from_secs(30);

/// Runs this process as a rank.
pub fn main() -> ExitCode {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        error!(%error, "cannot ask to end with the worker");
        return ExitCode::FAILURE;
    }
    let orders = listen();
    let reports = Reports::default();
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| serve(&orders, &reports)));
    let result = told.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("without a message");
        Err(lasting(format!("the rank panicked: {text}")))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!(message = failure.message, "rank failed");
            reports.send(&Report::Failed(failure));
            ExitCode::FAILURE
        }
    }
}

/// Where reports go: one line each, in order, whichever thread sends them.
#[derive(Default, Clone)]
struct Reports(Arc<Mutex<()>>);

impl Reports {
    fn send(&self, report: &Report) {
        let mut line = serde_json::to_vec(report).expect("a report is JSON");
        line.push(b'\n');
        let _in_turn = self.0.lock();
        let mut out = std::io::stdout().lock();
        if out.write_all(&line).and_then(|()| out.flush()).is_err() {
            // Nobody listens any more.
            std::process::exit(ABANDONED);
        }
    }
}

/// Reads orders on a thread of its own, so that the closing of the pipe is seen whatever the rank is doing.
fn listen() -> Receiver<Order> {
    let (sender, orders) = channel();
    let read = move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            match serde_json::from_str(&line) {
                Ok(order) => drop(sender.send(order)),
                Err(error) => error!(%error, "a line that is no order"),
            }
        }
        std::process::exit(ABANDONED);
    };
    std::thread::Builder::new()
        .name("control".to_string())
        .spawn(read)
        .expect("a thread can be started");
    orders
}

/// The whole life of a rank.
fn serve(orders: &Receiver<Order>, reports: &Reports) -> Result<(), Failure> {
    let Order::Assign(assignment) = next(orders)? else {
        return Err(lasting("the first order was not an assignment"));
    };
    let Assignment {
        attempt,
        rank,
        job,
        coordinator,
        resume,
    } = *assignment;
    let _span = info_span!("rank", job = %attempt.job, attempt = attempt.number, rank).entered();
    let ranks = job.resources.ranks;
    let depot: Arc<dyn Depot> = Arc::new(Remote::new(&coordinator)?.patient(PATIENCE));
    let mut training = Training::prepare(
        &job,
        depot,
        rank as usize,
        resume.map(|digest| (attempt.job, digest)),
    )?;
    let listener = tcp::Listener::bind(own_address(&coordinator)?).map_err(passing)?;
    info!(memory = training.plan().memory.total, "prepared");
    reports.send(&Report::Ready {
        address: listener.address().to_string(),
    });

    let Order::Go(Go {
        generation,
        addresses,
    }) = next(orders)?
    else {
        return Err(lasting(
            "an order that has no place here: expected to be told to go",
        ));
    };
    let fence = Fence([attempt.job.0, u64::from(attempt.number), generation]);
    let addresses: Result<Vec<SocketAddr>, _> =
        addresses.iter().map(|address| address.parse()).collect();
    let addresses =
        addresses.map_err(|error| lasting(format!("a rank's address does not parse: {error}")))?;
    let table = listener
        .meet(rank as usize, &addresses, fence, MEETING)
        .map_err(passing)?;
    let record_bytes = training.plan().fold_bytes() as usize;
    // The gang stays connected until everything is durable: a peer may still read from it.
    let mut gang = Gang::new(
        Box::new(table),
        fence,
        record_bytes,
        job.training.microbatches,
    )
    .map_err(passing)?;
    info!(ranks, "met");
    let mut report = |report: Report| {
        reports.send(&report);
        Ok(())
    };
    let done = training.run(attempt, &mut gang, &mut report)?;
    info!(
        step = done.step,
        state_digest = done.state_digest,
        resident_peak_bytes = machine::resident().map(|resident| resident.peak),
        "done"
    );
    reports.send(&Report::Done {
        step: done.step,
        state_digest: done.state_digest,
    });

    match next(orders)? {
        Order::End => Ok(()),
        Order::Assign(_) | Order::Go(_) => Err(lasting(
            "an order that has no place here: expected to be told to end",
        )),
    }
}

/// The next order. Waits as long as the pipe is open: the coordinator has the deadline.
fn next(orders: &Receiver<Order>) -> Result<Order, Failure> {
    orders
        .recv()
        .map_err(|_| passing("the control pipe closed"))
}

/// The address of this machine that the coordinator's network sees.
fn own_address(coordinator: &str) -> Result<IpAddr, Failure> {
    let host = coordinator
        .split_once("://")
        .map_or(coordinator, |(_, host)| host);
    let host = host.split('/').next().unwrap_or(host);
    // Without a port it is that of http; any will do to find the way.
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let place = if has_port {
        host.to_string()
    } else {
        format!("{host}:80")
    };
    let addresses = place
        .to_socket_addrs()
        .map_err(|error| passing(format!("{coordinator}: {error}")))?;
    for address in addresses {
        let local = UdpSocket::bind(if address.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        })
        .and_then(|socket| socket.connect(address).and_then(|()| socket.local_addr()));
        if let Ok(local) = local {
            return Ok(local.ip());
        }
    }
    Ok(IpAddr::V4(Ipv4Addr::LOCALHOST))
}
