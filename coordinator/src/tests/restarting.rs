//! Another coordinator on the same store.

use super::*;
use crate::service::rig::Seen;

#[tokio::test]
async fn a_restart_goes_on_with_what_ran_and_what_waited() {
    let store = Arc::new(Memory::new());
    let rig = Rig::start(store.clone()).await;
    let client = rig.client().await;
    client
        .import("tiny", &[ROWS, LABELS], Some(&dataset(ROWS)))
        .await
        .expect("it is taken in");
    let mut machine = Machine::join(&client, "m").await.expect("it may join");
    client.submit(&job_file("one", 2)).await.expect("accepted");
    client.submit(&job_file("two", 1)).await.expect("accepted");
    let run = attempt(1, 1);
    for rank in 0..2 {
        started(&mut machine, run, rank).await;
        machine.report(run, rank, ready()).await;
    }
    told(&mut machine, run, 0, go(2)).await;
    told(&mut machine, run, 1, go(2)).await;
    let last = machine.report(run, 0, Report::Row(Box::new(row(1)))).await;
    machine.acknowledged(last).await;
    rig.stop().await.expect("it ends well");
    assert_eq!(machine.next().await, None);

    let rig = Rig::start(store).await;
    let client = rig.client().await;
    assert_eq!(client.show("one").await.expect("known").state, "running");
    let watch = client.watch("one", 1).await;
    let ranks = (0..2)
        .map(|rank| has(run, rank, Progress::Running))
        .collect();
    let mut machine = Machine::join_as(&client, "m", "first", ranks, 3)
        .await
        .expect("it may join");
    for step in 2..=3 {
        machine
            .report(run, 0, Report::Row(Box::new(row(step))))
            .await;
    }
    for rank in 0..2 {
        machine.report(run, rank, done()).await;
    }
    for rank in 0..2 {
        told(&mut machine, run, rank, RankOrder::End).await;
        machine.report(run, rank, exited("exit status 0")).await;
    }
    // What waited is started from its record: this coordinator has not seen it submitted.
    assert_eq!(set_off(&mut machine, attempt(2, 1)).await, None);
    let rows: Vec<Seen> = watch
        .all()
        .await
        .into_iter()
        .filter(|seen| matches!(seen, Seen::Row(_)))
        .collect();
    assert_eq!(rows, [Seen::Row(2), Seen::Row(3)]);
    assert_eq!(client.show("one").await.expect("known").attempts, 1);
    let third = client
        .submit(&job_file("three", 1))
        .await
        .expect("accepted");
    assert_eq!(third.id, "job-3");
    rig.stop().await.expect("it ends well");
}

#[tokio::test]
async fn history_goes_on_after_a_restart() {
    let store = Arc::new(Memory::new());
    let rig = Rig::start(store.clone()).await;
    let client = rig.client().await;
    client
        .import("tiny", &[ROWS, LABELS], Some(&dataset(ROWS)))
        .await
        .expect("it is taken in");
    client.submit(&job_file("tiny", 1)).await.expect("accepted");
    let before = client.show("tiny").await.expect("known").history;
    rig.stop().await.expect("it ends well");
    let rig = Rig::start(store).await;
    let client = rig.client().await;
    client.cancel("tiny").await.expect("known");
    let after = client.show("tiny").await.expect("known").history;
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.len(), before.len() + 1, "{after:?}");
    rig.stop().await.expect("it ends well");
}

/// The farewell of the rig is ten minutes: a stop that waited for anybody would be seen.
#[tokio::test]
async fn a_stop_waits_neither_for_workers_nor_for_watchers() {
    let (rig, client) = rig().await;
    client.submit(&job_file("tiny", 1)).await.expect("accepted");
    let mut watch = client.watch("tiny", 0).await;
    let mut machine = Machine::join(&client, "m").await.expect("it may join");
    set_off(&mut machine, attempt(1, 1)).await;
    rig.stop().await.expect("it ends well");
    assert_eq!(machine.next().await, None);
    let (code, _) = loop {
        match watch.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the job has not ended"),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(code, tonic::Code::Unavailable);
}
