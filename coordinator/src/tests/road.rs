//! From submit to success.

use super::*;
use crate::service::rig::Seen;

#[tokio::test]
async fn a_job_walks_from_submit_to_success_and_its_watcher_sees_all_of_it() {
    let (rig, client) = rig().await;
    let submitted = client.submit(&job_file("tiny", 1)).await.expect("accepted");
    assert_eq!(
        (submitted.id.as_str(), submitted.state.as_str()),
        ("job-1", "queued")
    );
    assert!(
        submitted
            .job_toml
            .contains(&dataset(ROWS).digest().to_string()),
        "the dataset is resolved: {}",
        submitted.job_toml
    );
    let watch = client.watch("tiny", 0).await;

    let mut machine = Machine::join(&client, "m").await.expect("it may join");
    let run = attempt(1, 1);
    assert_eq!(set_off(&mut machine, run).await, None);
    assert_eq!(client.show("job-1").await.expect("known").ranks_running, 1);
    for step in 1..=3 {
        machine
            .report(run, 0, Report::Row(Box::new(row(step))))
            .await;
        let (manifest, chunk) = checkpoint(1, step);
        let digest = client.save(run, &[&chunk], &manifest).await.expect("kept");
        assert_eq!(digest, manifest.digest());
        machine
            .report(run, 0, Report::Checkpoint { step, digest })
            .await;
    }
    bring_home(&mut machine, run).await;

    let seen = watch.all().await;
    let rows: Vec<&Seen> = seen
        .iter()
        .filter(|seen| matches!(seen, Seen::Row(_)))
        .collect();
    assert_eq!(rows, [&Seen::Row(1), &Seen::Row(2), &Seen::Row(3)]);
    assert_eq!(seen.last(), Some(&Seen::State("succeeded".to_string())));
    assert_eq!(client.rows("job-1").await, [row(1), row(2), row(3)]);
    assert_eq!(client.checkpoints("tiny").await, [2, 3], "keep_last = 2");
    let job = client.show("tiny").await.expect("known");
    assert_eq!((job.step, job.attempts, job.ranks_running), (3, 1, 0));
    rig.stop().await.expect("it ends well");
}

#[tokio::test]
async fn what_is_acknowledged_is_durable() {
    let store = Arc::new(Memory::new());
    let rig = Rig::start(store.clone()).await;
    let client = rig.client().await;
    client
        .import("tiny", &[ROWS, LABELS], Some(&dataset(ROWS)))
        .await
        .expect("it is taken in");
    client.submit(&job_file("tiny", 1)).await.expect("accepted");
    let mut machine = Machine::join(&client, "m").await.expect("it may join");
    set_off(&mut machine, attempt(1, 1)).await;
    let mut last = 0;
    for step in 1..=2 {
        last = machine
            .report(attempt(1, 1), 0, Report::Row(Box::new(row(step))))
            .await;
    }
    machine.acknowledged(last).await;
    let ledger = crate::ledger::Ledger::new(store);
    assert_eq!(ledger.row(JobId(1), 2).expect("readable"), Some(row(2)));
    rig.stop().await.expect("it ends well");
}

#[tokio::test]
async fn a_gang_goes_when_all_of_its_ranks_are_ready() {
    let (rig, client) = rig().await;
    let mut one = Machine::join(&client, "one").await.expect("it may join");
    let mut two = Machine::join(&client, "two").await.expect("it may join");
    // Two jobs of two ranks with two slots on each machine: the first fills one of them.
    client
        .submit(&job_file("first", 2))
        .await
        .expect("accepted");
    let run = attempt(1, 1);
    for rank in 0..2 {
        started(&mut one, run, rank).await;
    }
    client
        .submit(&job_file("second", 2))
        .await
        .expect("accepted");
    for rank in 0..2 {
        started(&mut two, attempt(2, 1), rank).await;
    }
    one.report(run, 1, ready()).await;
    one.report(run, 0, ready()).await;
    told(&mut one, run, 0, go(2)).await;
    told(&mut one, run, 1, go(2)).await;
    let workers = client.workers().await;
    assert_eq!(
        workers[0],
        (
            "one".to_string(),
            "connected".to_string(),
            vec!["job-1#1/0".to_string(), "job-1#1/1".to_string()]
        )
    );
    rig.stop().await.expect("it ends well");
}

#[tokio::test]
async fn a_cancelled_job_ends_when_its_rank_has() {
    let (rig, client) = rig().await;
    client.submit(&job_file("tiny", 1)).await.expect("accepted");
    let mut machine = Machine::join(&client, "m").await.expect("it may join");
    set_off(&mut machine, attempt(1, 1)).await;
    let watch = client.watch("job-1", 0).await;
    assert_eq!(
        client.cancel("job-1").await.expect("known").state,
        "running"
    );
    told(&mut machine, attempt(1, 1), 0, RankOrder::Stop).await;
    machine
        .report(attempt(1, 1), 0, exited("signal 9 (SIGKILL)"))
        .await;
    assert_eq!(
        watch.all().await.last(),
        Some(&Seen::State("cancelled".to_string()))
    );
    // Whoever begins to watch later sees the same end.
    let later = client.watch("job-1", 0).await.all().await;
    assert_eq!(later, [Seen::State("cancelled".to_string())]);
    rig.stop().await.expect("it ends well");
}

#[tokio::test]
async fn a_worker_that_says_goodbye_gives_its_name_back_at_once() {
    let (rig, client) = rig().await;
    let machine = Machine::join(&client, "m").await.expect("it may join");
    let (code, sentence) = Machine::join_as(&client, "m", "second", Vec::new(), 0)
        .await
        .map(|_| ())
        .expect_err("the name is taken");
    assert_eq!(code, tonic::Code::AlreadyExists);
    assert!(
        sentence.contains("\"m\" is connected already"),
        "{sentence}"
    );
    machine.goodbye().await;
    Machine::join_as(&client, "m", "second", Vec::new(), 0)
        .await
        .expect("the name is free");
    rig.stop().await.expect("it ends well");
}
