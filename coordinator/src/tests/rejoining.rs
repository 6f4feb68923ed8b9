//! Streams that break and come back.

use proto::RankReport;
use spec::rank::{Failure, FailureKind};

use super::*;

#[tokio::test]
async fn a_worker_that_comes_back_is_told_what_it_missed() {
    let (rig, client) = rig().await;
    let mut one = Machine::join(&client, "one").await.expect("it may join");
    let mut two = Machine::join(&client, "two").await.expect("it may join");
    client.submit(&job_file("tiny", 2)).await.expect("accepted");
    let run = attempt(1, 1);
    for rank in 0..2 {
        started(&mut one, run, rank).await;
    }
    let sequence = one.report(run, 0, ready()).await;
    one.acknowledged(sequence).await;
    drop(one);
    client.until_worker("one", "away").await;
    // Rank 1 became ready while there was no stream: its hello says so.
    let address = "127.0.0.1:1".to_string();
    let ranks = vec![
        has(
            run,
            0,
            Progress::Ready {
                address: address.clone(),
            },
        ),
        has(run, 1, Progress::Ready { address }),
    ];
    let mut one = Machine::join_as(&client, "one", "first", ranks, 1)
        .await
        .expect("it may join");
    told(&mut one, run, 0, go(2)).await;
    told(&mut one, run, 1, go(2)).await;
    // Go is lost with another stream, and said again.
    drop(one);
    client.until_worker("one", "away").await;
    let address = "127.0.0.1:1".to_string();
    let ranks = vec![
        has(run, 0, Progress::Running),
        has(run, 1, Progress::Ready { address }),
    ];
    let mut one = Machine::join_as(&client, "one", "first", ranks, 1)
        .await
        .expect("it may join");
    told(&mut one, run, 1, go(2)).await;
    client
        .submit(&job_file("other", 1))
        .await
        .expect("accepted");
    started(&mut two, attempt(2, 1), 0).await;
    rig.stop().await.expect("it ends well");
}

#[tokio::test]
async fn how_a_rank_ended_is_heard_after_its_worker_is_back() {
    let (rig, client) = rig().await;
    client.submit(&job_file("tiny", 1)).await.expect("accepted");
    let mut machine = Machine::join(&client, "m").await.expect("it may join");
    let run = attempt(1, 1);
    set_off(&mut machine, run).await;
    drop(machine);
    client.until_worker("m", "away").await;
    // It failed and ended meanwhile. The reports follow the hello, which lists it until they are acknowledged.
    let ranks = vec![has(run, 0, Progress::Running)];
    let mut machine = Machine::join_as(&client, "m", "first", ranks, 1)
        .await
        .expect("it may join");
    let failure = Failure {
        kind: FailureKind::Lasting,
        message: "the chunk is bad".to_string(),
    };
    machine.report(run, 0, Report::Failed(failure)).await;
    machine.report(run, 0, exited("exit status 1")).await;
    let job = client.until("job-1", |job| job.state == "failed").await;
    assert!(job.reason.contains("the chunk is bad"), "{}", job.reason);
    assert_eq!(job.attempts, 1);
    rig.stop().await.expect("it ends well");
}

#[tokio::test]
async fn a_lost_acknowledgement_leaves_no_rank_behind() {
    let (rig, client) = rig().await;
    client.submit(&job_file("tiny", 1)).await.expect("accepted");
    let mut machine = Machine::join(&client, "m").await.expect("it may join");
    let run = attempt(1, 1);
    set_off(&mut machine, run).await;
    machine.report(run, 0, Report::Row(Box::new(row(1)))).await;
    bring_home(&mut machine, run).await;
    client.until("job-1", |job| job.state == "succeeded").await;
    drop(machine);
    client.until_worker("m", "away").await;
    // To the worker nothing was acknowledged: it lists the rank, is told to stop it, and sends all again.
    let ranks = vec![has(
        run,
        0,
        Progress::Done {
            step: 3,
            state_digest: "d".to_string(),
        },
    )];
    let mut machine = Machine::join_as(&client, "m", "first", ranks, 4)
        .await
        .expect("it may join");
    let again = [
        ready(),
        Report::Row(Box::new(row(1))),
        done(),
        exited("exit status 0"),
    ];
    for (sequence, report) in (1..).zip(again) {
        let report = RankReport {
            sequence,
            attempt: run,
            rank: 0,
            report,
        };
        machine.send(report).await;
    }
    told(&mut machine, run, 0, RankOrder::Stop).await;
    // The worker is free again.
    client.submit(&job_file("next", 1)).await.expect("accepted");
    started(&mut machine, attempt(2, 1), 0).await;
    assert_eq!(client.rows("job-1").await, [row(1)]);
    assert_eq!(
        client.show("job-1").await.expect("known").state,
        "succeeded"
    );
    rig.stop().await.expect("it ends well");
}

#[tokio::test]
async fn a_second_stream_of_a_process_takes_the_place_of_the_first() {
    let (rig, client) = rig().await;
    client.submit(&job_file("tiny", 1)).await.expect("accepted");
    let mut first = Machine::join(&client, "m").await.expect("it may join");
    let run = attempt(1, 1);
    set_off(&mut first, run).await;
    let ranks = vec![has(run, 0, Progress::Running)];
    let mut second = Machine::join_as(&client, "m", "first", ranks, 1)
        .await
        .expect("it may join");
    assert_eq!(first.next().await, None, "the first stream is closed");
    bring_home(&mut second, run).await;
    client.until("job-1", |job| job.state == "succeeded").await;
    assert_eq!(client.workers().await.len(), 1);
    rig.stop().await.expect("it ends well");
}

#[tokio::test]
async fn a_rank_of_a_process_that_is_gone_is_lost_and_its_job_goes_on_from_its_checkpoint() {
    let (rig, client) = rig().await;
    client.submit(&job_file("tiny", 1)).await.expect("accepted");
    let mut machine = Machine::join(&client, "m").await.expect("it may join");
    let run = attempt(1, 1);
    set_off(&mut machine, run).await;
    machine.report(run, 0, Report::Row(Box::new(row(1)))).await;
    let (manifest, chunk) = checkpoint(1, 1);
    let digest = client.save(run, &[&chunk], &manifest).await.expect("kept");
    let last = machine
        .report(run, 0, Report::Checkpoint { step: 1, digest })
        .await;
    machine.acknowledged(last).await;
    drop(machine);
    client.until_worker("m", "away").await;
    let mut machine = Machine::join_as(&client, "m", "second", Vec::new(), 0)
        .await
        .expect("it may join");
    let next = attempt(1, 2);
    assert_eq!(set_off(&mut machine, next).await, Some(digest));

    // What the old attempt still says is refused or dropped.
    let (manifest, chunk) = checkpoint(1, 2);
    let (code, sentence) = client
        .save(run, &[&chunk], &manifest)
        .await
        .expect_err("stale");
    assert_eq!(code, tonic::Code::Aborted);
    assert!(
        sentence.contains("job-1#1 is not the current attempt"),
        "{sentence}"
    );
    let stale = machine.report(run, 0, Report::Row(Box::new(row(3)))).await;
    machine.acknowledged(stale).await;
    assert_eq!(client.rows("job-1").await, [row(1)]);
    assert_eq!(client.checkpoints("job-1").await, [1]);
    rig.stop().await.expect("it ends well");
}

#[tokio::test]
async fn a_step_that_an_attempt_computes_otherwise_than_the_one_before_fails_the_job_by_name() {
    let (rig, client) = rig().await;
    client.submit(&job_file("tiny", 1)).await.expect("accepted");
    let mut machine = Machine::join(&client, "m").await.expect("it may join");
    set_off(&mut machine, attempt(1, 1)).await;
    machine
        .report(attempt(1, 1), 0, Report::Row(Box::new(row(1))))
        .await;
    machine
        .report(attempt(1, 1), 0, exited("signal 9 (SIGKILL)"))
        .await;
    let next = attempt(1, 2);
    set_off(&mut machine, next).await;
    let mut other = row(1);
    other.exact.loss = Some(0.75);
    machine.report(next, 0, Report::Row(Box::new(other))).await;
    machine.report(next, 0, exited("exit status 1")).await;
    let job = client.until("job-1", |job| job.state == "failed").await;
    assert!(
        job.reason.contains("determinism failure at step 1"),
        "{}",
        job.reason
    );
    assert_eq!(client.rows("job-1").await, [row(1)]);
    rig.stop().await.expect("it ends well");
}
