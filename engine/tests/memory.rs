//! Resident memory against the plan's figure, in a process of its own.
#![cfg(target_os = "linux")]

#[cfg(test)]
#[path = "suite/networks.rs"]
#[allow(dead_code)]
mod networks;

#[cfg(test)]
mod tests {
    use spec::model::LayerKind::{Flatten, Relu};

    use crate::networks::{Network, classes, conv, linear, pool, simple_cnn, step};

    /// A line of /proc/self/status, in bytes.
    fn status(key: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .expect("a line of this key");
        line.trim_matches([':', ' ', '\t', 'k', 'B'])
            .parse::<u64>()
            .unwrap()
            * 1024
    }

    /// Peak above what was resident before, and the plan's figure.
    fn peak(network: &Network) -> (u64, u64) {
        let samples = network.microbatch;
        let (x, labels) = network.batch::<f32>(samples, 1);
        let planned = network.plan(plan::Mode::Train).unwrap().memory.total;
        let before = status("VmRSS");
        let mut engine = network.engine::<f32>();
        engine.initialize(1);
        for _ in 0..3 {
            step(&mut engine, &x, &labels, 0.01);
        }
        let early = status("VmRSS");
        for _ in 0..20 {
            step(&mut engine, &x, &labels, 0.01);
        }
        assert!(
            status("VmRSS") <= early + (256 << 10),
            "memory between steps does not grow"
        );
        (status("VmHWM") - before, planned)
    }

    #[test]
    fn peak_memory_is_the_plans_figure_within_a_twentieth_and_four_mebibytes() {
        let same = |filters| conv(filters, [3, 3], [1, 1], [1, 1]);
        let half = pool([2, 2], [2, 2], [0, 0]);
        let kinds = vec![
            same(32),
            Relu,
            half.clone(),
            same(64),
            Relu,
            half,
            Flatten,
            linear(128),
            Relu,
            classes(),
        ];
        // The larger one last: a high-water mark never falls.
        for mut network in [
            simple_cnn([3, 32, 32], 12, 64, 64),
            Network::new(&[1, 28, 28], 10, 256, kinds),
        ] {
            network.threads = 2;
            let (peak, planned) = peak(&network);
            assert!(
                peak <= planned + planned / 20 + (4 << 20),
                "{peak} above {planned}"
            );
            assert!(
                peak >= planned / 2,
                "{peak} far below {planned}: a figure without meaning"
            );
        }
    }
}
