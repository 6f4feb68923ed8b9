//! What goes over the wire comes back as it was, and no bytes do harm.

use proptest::prelude::*;
use prost::Message;
use spec::job::Device;
use spec::metric::{Exact, Measures, Metric, MetricRow, Rows, Timing};
use spec::offer::Offer;
use spec::rank::{Exit, Failure, FailureKind, Go, Progress, Report};
use spec::{AttemptId, Digest, JobId};

use crate::{
    Command, Error, RankOrder, RankReport, RankStatus, decode_checkpoint, decode_dataset, v1,
};

const JOB: &str = "name = \"j\"\n[data]\ntrain = \"d/train\"\n[model]\nlayers = [\"flatten\", { linear = \"classes\" }]\n\
                   [training]\nepochs = 1\nbatch_size = 8\nmicrobatches = 1\n";

fn attempt() -> impl Strategy<Value = AttemptId> {
    (any::<u64>(), any::<u32>()).prop_map(|(job, number)| AttemptId {
        job: JobId(job),
        number,
    })
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("a number", |value| value.is_finite())
}

fn row() -> impl Strategy<Value = MetricRow> {
    let counts = (any::<u64>(), 1u64.., any::<u64>(), any::<u64>());
    let maybe = || proptest::option::of(finite());
    let measured = (maybe(), maybe(), maybe(), maybe(), maybe());
    let times = proptest::array::uniform6(finite());
    let rows = prop_oneof![Just(Rows::Step), Just(Rows::Validation)];
    let metric = prop_oneof![
        Just(Metric::F1),
        Just(Metric::Perplexity),
        (2u32..=1_000_000).prop_map(Metric::Top)
    ];
    let measures = proptest::collection::btree_map((rows, metric), maybe(), 0..4);
    let parts = (counts, measured, times, finite(), ".*", measures);
    parts.prop_map(
        |(counts, measured, times, rate, digest, measures)| MetricRow {
            exact: Exact {
                epoch: counts.0,
                step: counts.1,
                samples: counts.2,
                tokens: counts.3,
                loss: measured.0,
                accuracy: measured.1,
                learning_rate: rate,
                gradient_norm: measured.2,
                parameters_digest: digest,
                validation_loss: measured.3,
                validation_accuracy: measured.4,
                measures: Measures(measures),
            },
            timing: Timing {
                samples_per_s: times[0],
                data_ms: times[1],
                forward_ms: times[2],
                backward_ms: times[3],
                reduce_ms: times[4],
                update_ms: times[5],
            },
        },
    )
}

fn report() -> impl Strategy<Value = Report> {
    let kind = prop_oneof![Just(FailureKind::Passing), Just(FailureKind::Lasting)];
    prop_oneof![
        ".*".prop_map(|address| Report::Ready { address }),
        row().prop_map(|row| Report::Row(Box::new(row))),
        (any::<u64>(), digest()).prop_map(|(step, digest)| Report::Checkpoint { step, digest }),
        (any::<u64>(), ".*").prop_map(|(step, state_digest)| Report::Done { step, state_digest }),
        (kind, ".*").prop_map(|(kind, message)| Report::Failed(Failure { kind, message })),
        (".*", any::<bool>(), proptest::collection::vec(".*", 0..4)).prop_map(
            |(status, clean, last_lines)| Report::Exited(Exit {
                status,
                clean,
                last_lines
            })
        ),
    ]
}

fn progress() -> impl Strategy<Value = Progress> {
    prop_oneof![
        Just(Progress::Starting),
        ".*".prop_map(|address| Progress::Ready { address }),
        Just(Progress::Running),
        (any::<u64>(), ".*").prop_map(|(step, state_digest)| Progress::Done { step, state_digest }),
    ]
}

fn order() -> impl Strategy<Value = RankOrder> {
    let job = spec::job_file::parse(JOB).expect("a job");
    prop_oneof![
        proptest::option::of(digest()).prop_map(move |resume| RankOrder::Start {
            job: Box::new(job.clone()),
            resume
        }),
        (any::<u64>(), proptest::collection::vec(".*", 0..4)).prop_map(
            |(generation, addresses)| {
                RankOrder::Go(Go {
                    generation,
                    addresses,
                })
            }
        ),
        Just(RankOrder::End),
        Just(RankOrder::Stop),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        (".*", any::<u64>()).prop_map(|(worker, heartbeat_ms)| Command::Welcome {
            worker,
            heartbeat_ms
        }),
        any::<u64>().prop_map(|sequence| Command::Ack { sequence }),
        (attempt(), any::<u32>(), order()).prop_map(|(attempt, rank, order)| Command::Rank {
            attempt,
            rank,
            order
        }),
    ]
}

/// Through the bytes of the wire.
fn carried<M: Message + Default>(message: M) -> M {
    M::decode(message.encode_to_vec().as_slice()).expect("what was encoded")
}

proptest! {
    #[test]
    fn a_report_comes_back_as_it_was(sequence: u64, rank: u32, attempt in attempt(), report in report()) {
        let report = RankReport { sequence, attempt, rank, report };
        let back = RankReport::try_from(carried(v1::RankReport::from(report.clone())));
        prop_assert_eq!(back.expect("it is whole"), report);
    }

    #[test]
    fn a_status_comes_back_as_it_was(rank: u32, attempt in attempt(), progress in progress()) {
        let status = RankStatus { attempt, rank, progress };
        let back = RankStatus::try_from(carried(v1::RankStatus::from(status.clone())));
        prop_assert_eq!(back.expect("it is whole"), status);
    }

    #[test]
    fn a_command_comes_back_as_it_was(command in command()) {
        let back = Command::try_from(carried(v1::CoordinatorMessage::from(command.clone())));
        prop_assert_eq!(back.expect("it is whole"), command);
    }

    #[test]
    fn an_offer_comes_back_as_it_was(device_class: String, threads: u32, memory_bytes: u64) {
        let offer = Offer { device: Device::Cpu, device_class, threads, memory_bytes };
        let back = Offer::try_from(carried(v1::Offer::from(offer.clone())));
        prop_assert_eq!(back.expect("it is whole"), offer);
    }

    /// Whatever a stranger sends is decoded or refused.
    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), text: String) {
        if let Ok(message) = v1::RankReport::decode(bytes.as_slice()) {
            let _ = RankReport::try_from(message);
        }
        if let Ok(message) = v1::RankStatus::decode(bytes.as_slice()) {
            let _ = RankStatus::try_from(message);
        }
        if let Ok(message) = v1::CoordinatorMessage::decode(bytes.as_slice()) {
            let _ = Command::try_from(message);
        }
        prop_assert!(decode_dataset(&text).is_err());
        prop_assert!(decode_checkpoint(&text).is_err());
        prop_assert!(crate::decode_job(&text).is_err());
    }

    #[test]
    fn an_id_or_digest_that_does_not_parse_is_named(text in "[^0-9#]*") {
        let wire = |attempt: String, digest: String| v1::RankReport {
            sequence: 1,
            attempt,
            rank: 0,
            report: Some(v1::rank_report::Report::Checkpoint(v1::CheckpointSaved { step: 1, digest })),
        };
        let whole = Digest::of(b"").to_string();
        let refused = RankReport::try_from(wire(text.clone(), whole)).map_err(|error| error.to_string());
        prop_assert!(refused.expect_err("no attempt").starts_with("attempt does not parse"));
        let refused = RankReport::try_from(wire("job-1#1".to_string(), text)).map_err(|error| error.to_string());
        prop_assert!(refused.expect_err("no digest").starts_with("checkpoint.digest does not parse"));
    }
}

#[test]
fn numbers_that_a_record_cannot_keep_are_refused_or_absent() {
    let whole = v1::MetricRow {
        step: 1,
        loss: Some(f64::NAN),
        gradient_norm: Some(f64::INFINITY),
        ..v1::MetricRow::default()
    };
    let row = MetricRow::try_from(whole.clone()).expect("what may be absent is");
    assert_eq!((row.exact.loss, row.exact.gradient_norm), (None, None));
    let json = serde_json::to_string(&row).expect("JSON");
    assert_eq!(
        serde_json::from_str::<MetricRow>(&json).expect("readable"),
        row
    );
    for broken in [
        v1::MetricRow {
            step: 0,
            ..whole.clone()
        },
        v1::MetricRow {
            learning_rate: f64::NAN,
            ..whole.clone()
        },
        v1::MetricRow {
            samples_per_s: f64::INFINITY,
            ..whole.clone()
        },
        v1::MetricRow {
            update_ms: f64::NEG_INFINITY,
            ..whole
        },
    ] {
        assert!(matches!(
            MetricRow::try_from(broken),
            Err(Error::Unreadable { .. })
        ));
    }
}

#[test]
fn a_dataset_whose_numbers_contradict_each_other_is_refused() {
    let digest = Digest::of(b"");
    let whole = format!(
        r#"{{"kind":"csv","shape":[2],"element":"u8","maximum":1.0,"classes":["a","b"],"splits":[{{"name":"train","rows":4,
        "chunks":[{{"digest":"{digest}","rows":4}}],"labels":"{digest}","class_counts":[2,2],"mean":[0.0,0.0],"std":[1.0,1.0]}}]}}"#
    );
    decode_dataset(&whole).expect("it is whole");
    for (part, other) in [
        (r#""rows":4,"#, r#""rows":5,"#),
        (r#""rows":4}"#, r#""rows":0}"#),
        ("[2,2]", "[2,3]"),
        ("[2,2]", "[4]"),
        ("[2,2]", "[18446744073709551615,5]"),
        (r#""maximum":1.0"#, r#""maximum":0.0"#),
        (r#""maximum":1.0"#, r#""maximum":1e999"#),
        (r#""mean":[0.0,0.0]"#, r#""mean":[0.0]"#),
        (r#""shape":[2]"#, r#""shape":[0]"#),
        (r#""name":"train""#, r#""name":"""#),
        (r#""name":"train""#, r#""name":"a/b""#),
    ] {
        let text = whole.replace(part, other);
        assert_ne!(text, whole, "{part}");
        assert!(decode_dataset(&text).is_err(), "{part} to {other}");
    }
    let start = whole.find("[{\"name\"").expect("splits");
    let split = &whole[start + 1..whole.len() - 2];
    let twice = whole.replace(split, &format!("{split},{split}"));
    assert!(decode_dataset(&twice).is_err());
    assert!(decode_dataset(&whole.replace(split, "")).is_err());
}

#[test]
fn tokens_that_contradict_each_other_are_refused() {
    let digest = Digest::of(b"");
    let stream = format!(
        r#"{{"kind":"text","shape":[1],"element":"u16","maximum":9.0,"classes":[],
        "tokens":{{"form":"stream","tokenizer":"{digest}","vocabulary":9}},"splits":[{{"name":"train","rows":8,
        "tokens":{{"count":8}},"chunks":[{{"digest":"{digest}","rows":8}}],"class_counts":[],"mean":[],"std":[]}}]}}"#
    );
    let lengths =
        format!(r#""lengths":{{"chunk":"{digest}","shortest":2,"median":4,"p95":6,"longest":6}}"#);
    let sequences = stream
        .replace("stream", "sequences")
        .replace(r#""rows":8,"#, r#""rows":2,"#)
        .replace(r#""count":8"#, &format!(r#""count":8,{lengths}"#))
        .replace(r#""classes":[]"#, r#""classes":["a","b"]"#)
        .replace(
            r#""class_counts":[]"#,
            &format!(r#""labels":"{digest}","class_counts":[1,1]"#),
        );
    for (whole, part, other) in [
        (&stream, "\"stream\"", "\"sequences\""),
        (&stream, r#""vocabulary":9"#, r#""vocabulary":0"#),
        (&stream, r#""element":"u16""#, r#""element":"f32""#),
        (&stream, r#""count":8"#, r#""count":9"#),
        (&stream, r#""rows":8,"#, r#""rows":2,"#),
        (&stream, r#""classes":[]"#, r#""classes":["a"]"#),
        (&stream, r#""mean":[]"#, r#""mean":[0.0]"#),
        (&sequences, "\"sequences\"", "\"stream\""),
        (&sequences, r#""shortest":2"#, r#""shortest":0"#),
        (&sequences, r#""median":4"#, r#""median":1"#),
        (
            &sequences,
            r#""p95":6,"longest":6"#,
            r#""p95":3,"longest":3"#,
        ),
        (
            &sequences,
            r#""class_counts":[1,1]"#,
            r#""class_counts":[1,2]"#,
        ),
        (&sequences, &format!(r#""labels":"{digest}","#), ""),
    ] {
        decode_dataset(whole).expect("it is whole");
        let text = whole.replace(part, other);
        assert_ne!(&text, whole, "{part}");
        assert!(decode_dataset(&text).is_err(), "{part} to {other}");
    }
}
