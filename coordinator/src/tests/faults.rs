//! What must be refused, and what cannot be survived.

use std::sync::atomic::{AtomicBool, Ordering};

use store::{Batch, ChunkDigest, Collected, Pin, Record, Store, Usage};
use tonic::Code;

use super::*;
use crate::error::Error;

/// A store whose disk fills up when told to.
struct Filling {
    inner: Memory,
    full: AtomicBool,
}

impl Store for Filling {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, store::Error> {
        self.inner.get(key)
    }
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Record>, store::Error> {
        self.inner.scan(prefix, after, limit)
    }
    fn last(&self, prefix: &[u8]) -> Result<Option<Record>, store::Error> {
        self.inner.last(prefix)
    }
    fn commit(&self, batch: Batch) -> Result<(), store::Error> {
        if self.full.load(Ordering::SeqCst) {
            let path = "/full".into();
            return Err(store::Error::DiskFull { path });
        }
        self.inner.commit(batch)
    }
    fn put_chunk(&self, bytes: &[u8]) -> Result<Pin, store::Error> {
        if self.full.load(Ordering::SeqCst) {
            let path = "/full".into();
            return Err(store::Error::DiskFull { path });
        }
        self.inner.put_chunk(bytes)
    }
    fn pin(&self, digest: &ChunkDigest) -> Result<Option<Pin>, store::Error> {
        self.inner.pin(digest)
    }
    fn chunk(&self, digest: &ChunkDigest) -> Result<Vec<u8>, store::Error> {
        self.inner.chunk(digest)
    }
    fn contains(&self, digest: &ChunkDigest) -> Result<bool, store::Error> {
        self.inner.contains(digest)
    }
    fn collect(&self) -> Result<Collected, store::Error> {
        self.inner.collect()
    }
    fn usage(&self) -> Result<Usage, store::Error> {
        self.inner.usage()
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_written_ends_the_coordinator_with_its_reason() {
    let store = Arc::new(Filling {
        inner: Memory::new(),
        full: AtomicBool::new(false),
    });
    let rig = Rig::start(store.clone()).await;
    let client = rig.client().await;
    client
        .import("tiny", &[ROWS, LABELS], Some(&dataset(ROWS)))
        .await
        .expect("it is taken in");
    client.submit(&job_file("tiny", 1)).await.expect("accepted");
    let mut watch = client.watch("tiny", 0).await;
    let mut machine = Machine::join(&client, "m").await.expect("it may join");
    set_off(&mut machine, attempt(1, 1)).await;
    store.full.store(true, Ordering::SeqCst);
    machine
        .report(attempt(1, 1), 0, Report::Row(Box::new(row(1))))
        .await;
    // Not acknowledged: the stream ends without.
    assert_eq!(machine.next().await, None);
    let ended = rig.end().await;
    assert!(
        matches!(ended, Err(Error::Store(store::Error::DiskFull { .. }))),
        "{ended:?}"
    );
    let (code, _) = loop {
        match watch.next().await {
            Ok(seen) => assert!(seen.is_some(), "the job has not ended"),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(code, Code::Unavailable);
    assert_eq!(store.get(b"row/").expect("readable"), None);
}

#[tokio::test]
async fn a_disk_without_room_for_a_checkpoint_ends_the_coordinator_and_not_the_job() {
    let store = Arc::new(Filling {
        inner: Memory::new(),
        full: AtomicBool::new(false),
    });
    let rig = Rig::start(store.clone()).await;
    let client = rig.client().await;
    client
        .import("tiny", &[ROWS, LABELS], Some(&dataset(ROWS)))
        .await
        .expect("it is taken in");
    client.submit(&job_file("tiny", 1)).await.expect("accepted");
    let mut machine = Machine::join(&client, "m").await.expect("it may join");
    set_off(&mut machine, attempt(1, 1)).await;
    store.full.store(true, Ordering::SeqCst);
    // An import is refused, and all goes on.
    let refused = client.import("other", &[ROWS], None).await;
    let (code, sentence) = refused.expect_err("there is no room");
    assert_eq!(code, Code::Internal);
    assert!(sentence.contains("is full"), "{sentence}");
    assert_eq!(client.show("tiny").await.expect("known").state, "running");
    // A checkpoint is not: the rank is to try again when the coordinator is back.
    let (manifest, chunk) = checkpoint(1, 1);
    let refused = client.save(attempt(1, 1), &[&chunk], &manifest).await;
    assert_eq!(refused.expect_err("there is no room").0, Code::Unavailable);
    let ended = rig.end().await;
    assert!(
        matches!(ended, Err(Error::Store(store::Error::DiskFull { .. }))),
        "{ended:?}"
    );
    let state = crate::ledger::Ledger::new(store).state(JobId(1));
    assert_eq!(
        state.expect("readable").state,
        spec::state::JobState::Running
    );
}

#[tokio::test]
async fn a_stream_must_begin_with_a_hello_and_make_sense() {
    let (rig, client) = rig().await;
    let refused = Machine::join_without_hello(&client).await.map(|_| ());
    let (code, sentence) = refused.expect_err("no hello");
    assert_eq!(
        (code, sentence.as_str()),
        (
            Code::InvalidArgument,
            "a worker's first message must be its hello"
        )
    );
    let refused = Machine::join(&client, "Not A Name").await.map(|_| ());
    assert_eq!(refused.expect_err("no name").0, Code::InvalidArgument);
    // Nonsense ends the stream that brought it and nothing else.
    let mut machine = Machine::join(&client, "m").await.expect("it may join");
    machine.send_nonsense().await;
    assert_eq!(machine.next().await, None);
    client.submit(&job_file("tiny", 1)).await.expect("accepted");
    let mut other = Machine::join(&client, "n").await.expect("it may join");
    started(&mut other, attempt(1, 1), 0).await;
    rig.stop().await.expect("it ends well");
}

#[tokio::test]
async fn an_import_is_there_whole_or_not_at_all() {
    let (rig, client) = rig().await;
    let (code, sentence) = client
        .import("other", &[ROWS], None)
        .await
        .expect_err("no manifest");
    assert_eq!(code, Code::InvalidArgument);
    assert!(sentence.contains("nothing was kept"), "{sentence}");
    let unsent = dataset(b"a chunk that was not sent");
    let (_, sentence) = client
        .import("other", &[LABELS], Some(&unsent))
        .await
        .expect_err("a chunk is missing");
    assert!(sentence.contains("which was not sent"), "{sentence}");
    let mut twice = dataset(ROWS);
    twice.splits.push(twice.splits[0].clone());
    let refused = client.import("other", &[ROWS, LABELS], Some(&twice)).await;
    assert_eq!(
        refused.expect_err("two splits of one name").0,
        Code::InvalidArgument
    );
    let refused = client
        .import("Other", &[ROWS, LABELS], Some(&dataset(ROWS)))
        .await;
    assert_eq!(refused.expect_err("no name").0, Code::InvalidArgument);
    assert_eq!(client.datasets().await, 1, "only the one that was there");
    rig.stop().await.expect("it ends well");
}

#[tokio::test]
async fn what_nobody_knows_is_not_found() {
    let (rig, client) = rig().await;
    for reference in ["job-7", "nobody", "", "job-99999999999999999999"] {
        assert_eq!(
            client.show(reference).await.expect_err(reference).0,
            Code::NotFound
        );
        assert_eq!(
            client.cancel(reference).await.expect_err(reference).0,
            Code::NotFound
        );
    }
    let unknown = Digest::of(b"unknown").to_string();
    assert_eq!(
        client.chunk(&unknown).await.expect_err("unknown").0,
        Code::DataLoss
    );
    assert_eq!(
        client.chunk("xyz").await.expect_err("no digest").0,
        Code::InvalidArgument
    );
    let (manifest, chunk) = checkpoint(7, 1);
    let refused = client.save(attempt(7, 1), &[&chunk], &manifest).await;
    assert_eq!(refused.expect_err("unknown").0, Code::NotFound);
    let (code, sentence) = client
        .submit(&job_file("tiny", 1).replace("tiny/train", "large/train"))
        .await
        .expect_err("unknown");
    assert_eq!(code, Code::NotFound);
    assert!(sentence.contains("there are tiny"), "{sentence}");
    let (code, sentence) = client.submit("name = 1").await.expect_err("no job");
    assert_eq!(code, Code::InvalidArgument);
    assert!(sentence.contains("mistakes"), "{sentence}");
    rig.stop().await.expect("it ends well");
}

#[tokio::test]
async fn a_checkpoint_of_another_job_or_without_its_chunks_is_refused() {
    let (rig, client) = rig().await;
    client.submit(&job_file("tiny", 1)).await.expect("accepted");
    client.submit(&job_file("tiny", 1)).await.expect("accepted");
    let mut machine = Machine::join(&client, "m").await.expect("it may join");
    for job in 1..=2 {
        started(&mut machine, attempt(job, 1), 0).await;
    }
    let (manifest, chunk) = checkpoint(2, 1);
    let refused = client.save(attempt(1, 1), &[&chunk], &manifest).await;
    assert_eq!(refused.expect_err("of another job").0, Code::Aborted);
    let (unsent, _) = checkpoint(2, 2);
    let refused = client.save(attempt(2, 1), &[], &unsent).await;
    refused.expect_err("its chunk was not sent");
    assert!(client.checkpoints("").await.is_empty());
    client
        .save(attempt(2, 1), &[&chunk], &manifest)
        .await
        .expect("kept");
    // The same once more is the same.
    client
        .save(attempt(2, 1), &[&chunk], &manifest)
        .await
        .expect("known");
    assert_eq!(client.checkpoints("").await, [1]);
    rig.stop().await.expect("it ends well");
}
