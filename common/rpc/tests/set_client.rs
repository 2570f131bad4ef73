//! A client of a replica set against fake members on real sockets: it finds the primary from any seed, follows elections, takes
//! broken connections as such at once, waits a bounded time, and sends nothing twice that may have been done.

#![allow(clippy::unwrap_used)]

mod support;

use bson::{Document, RawDocumentBuf, doc};
use command::Request;
use rpc::{Ask, MemberKind, Pool, Repeat, SetAddress, SetClient};
use runtime::Tasks;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use support::{Member, elect, set};
use types::{Code, Fault, MemberChoice};

/// Whatever should happen at once happens within this, on a busy machine too.
const SOON: Duration = Duration::from_secs(2);

fn client(pool: &Pool, hosts: &[&str]) -> SetClient {
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    pool.set(&SetAddress { name: "rs".to_owned(), hosts }).unwrap()
}

fn request(body: Document) -> Request {
    Request::from_body(RawDocumentBuf::try_from(&body).unwrap())
}

async fn run(client: &SetClient, body: Document, repeat: Repeat) -> Result<String, Fault> {
    let request = request(body);
    let choice = MemberChoice::of_command(&request.body).unwrap();
    let ask = Ask { request: &request, routing: None, deadline: None, choice: &choice, repeat, killed: None };
    Ok(client.run(ask).await?.host.to_string())
}

async fn write(client: &SetClient, repeat: Repeat) -> Result<String, Fault> {
    run(client, doc! { "insert": "c", "$db": "d" }, repeat).await
}

fn executed(members: &[Arc<Member>]) -> Vec<u64> {
    members.iter().map(|member| member.executed.load(Ordering::Relaxed)).collect()
}

/// Waits until the client sees the set so.
async fn until(client: &SetClient, what: &str, is_so: impl Fn(&rpc::Topology) -> bool) {
    let mut changes = client.changes();
    let wait = async {
        while !is_so(&client.topology()) {
            changes.changed().await.unwrap();
        }
    };
    let outcome = tokio::time::timeout(SOON, wait).await;
    assert!(outcome.is_ok(), "{what}: {}", client.topology());
}

fn kinds(topology: &rpc::Topology, kind: MemberKind) -> usize {
    topology.members().iter().filter(|member| member.kind == kind).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_seed_leads_to_the_primary_and_elections_are_followed() {
    let (members, tasks) = (set(3).await, Tasks::new());
    let pool = Pool::new(&tasks);
    let client = client(&pool, &[&members[2].host]);
    assert_eq!(write(&client, Repeat::IfRefused).await.unwrap(), members[0].host);
    until(&client, "all members", |topology| kinds(topology, MemberKind::Secondary) == 2).await;
    // Heard because the members say so, not because somebody asks.
    let begin = Instant::now();
    elect(&members, 1, 2);
    until(&client, "the next primary", |topology| {
        topology.primary().is_some_and(|place| *topology.members()[place].host == *members[1].host)
    })
    .await;
    assert!(begin.elapsed() < SOON);
    assert_eq!(write(&client, Repeat::IfRefused).await.unwrap(), members[1].host);
    // A member that goes on believing is not believed.
    members[0].say(|said| {
        said.role = "primary";
        said.election = 1;
    });
    for _ in 0..20 {
        assert_eq!(write(&client, Repeat::IfRefused).await.unwrap(), members[1].host);
    }
    assert_eq!(executed(&members), [1, 21, 0]);
    // A member that joined is found, one that left is forgotten.
    let fourth = Member::start(0).await;
    let hosts = vec![members[1].host.clone(), fourth.host.clone()];
    fourth.say(|said| said.hosts.clone_from(&hosts));
    members[1].say(|said| said.hosts.clone_from(&hosts));
    until(&client, "the new member", |topology| {
        topology.members().len() == 2 && kinds(topology, MemberKind::Secondary) == 1
    })
    .await;
    assert!(tasks.stop(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_is_known_at_once_and_writes_wait_for_the_next_primary() {
    let (members, tasks) = (set(3).await, Tasks::new());
    let pool = Pool::new(&tasks);
    let client = client(&pool, &[&members[0].host]);
    write(&client, Repeat::IfRefused).await.unwrap();
    until(&client, "all members", |topology| kinds(topology, MemberKind::Secondary) == 2).await;
    members[0].stop().await;
    until(&client, "the loss", |topology| topology.primary().is_none()).await;
    // Nothing can have been done: even a write without a number waits for the next primary.
    let election = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        elect(&members[1..], 1, 2);
    };
    let begin = Instant::now();
    let (outcome, ()) = futures::future::join(write(&client, Repeat::IfRefused), election).await;
    assert_eq!(outcome.unwrap(), members[2].host);
    assert!(begin.elapsed() < SOON);
    members[0].say(|said| said.role = "secondary");
    members[0].restart().await;
    until(&client, "the old one back", |topology| kinds(topology, MemberKind::Secondary) == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_primary_is_bounded_and_says_what_is_known() {
    let (members, tasks) = (set(2).await, Tasks::new());
    let pool = Pool::new(&tasks);
    pool.set_selection_timeout(Duration::from_millis(300));
    members[0].say(|said| said.role = "secondary");
    let client = client(&pool, &[&members[0].host, "127.0.0.1:1"]);
    let begin = Instant::now();
    let fault = write(&client, Repeat::Numbered).await.unwrap_err();
    assert_eq!(fault.code, Code::FailedToSatisfyReadPreference);
    assert!(fault.message.contains("set rs") && fault.message.contains("is secondary"), "{fault}");
    assert!((300..2000).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
    // The deadline of the operation is nearer.
    pool.set_selection_timeout(Duration::from_secs(60));
    let begin = Instant::now();
    let deadline = Some(Instant::now() + Duration::from_millis(200));
    let fault = client.primary(deadline).await.unwrap_err();
    assert_eq!(fault.code, Code::FailedToSatisfyReadPreference);
    assert!(begin.elapsed() < SOON);
    // A read that may go to a secondary does not wait.
    let read = doc! { "find": "c", "$db": "d", "$readPreference": { "mode": "primaryPreferred" } };
    assert!(run(&client, read, Repeat::Once).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_twice_that_may_have_been_done() {
    let (members, tasks) = (set(2).await, Tasks::new());
    let pool = Pool::new(&tasks);
    let client = client(&pool, &[&members[0].host]);
    write(&client, Repeat::IfRefused).await.unwrap();
    until(&client, "all members", |topology| kinds(topology, MemberKind::Secondary) == 1).await;
    for (code, repeat, expected) in [
        // Executed, then the step-down: only what is numbered goes on.
        (Code::PrimarySteppedDown, Repeat::IfRefused, None),
        (Code::InterruptedDueToReplStateChange, Repeat::IfRefused, None),
        (Code::PrimarySteppedDown, Repeat::Numbered, Some(1)),
        (Code::InterruptedDueToReplStateChange, Repeat::Once, Some(1)),
        (Code::DuplicateKey, Repeat::Numbered, None),
    ] {
        elect(&members, 0, 1);
        members[0].say(|said| said.fault_after = Some(code));
        until(&client, "the first as primary", |topology| {
            topology.primary().is_some_and(|place| *topology.members()[place].host == *members[0].host)
        })
        .await;
        let before = executed(&members);
        let election = async {
            while executed(&members)[0] == before[0] {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // Elections are numbered on, or the first member's would be stale the next time: same number, other member.
            elect(&members, 1, 1);
        };
        let (outcome, ()) = futures::future::join(write(&client, repeat), election).await;
        let after = executed(&members);
        assert_eq!(after[0] - before[0], 1, "{code} {repeat:?}");
        match expected {
            None => {
                assert_eq!(outcome.unwrap_err().code, code);
                assert_eq!(after[1], before[1], "{code} {repeat:?}");
            }
            Some(count) => {
                assert_eq!(outcome.unwrap(), members[1].host);
                assert_eq!(after[1] - before[1], count);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_primary_is_left_when_another_is_elected() {
    let (members, tasks) = (set(2).await, Tasks::new());
    let pool = Pool::new(&tasks);
    let client = client(&pool, &[&members[0].host]);
    write(&client, Repeat::Numbered).await.unwrap();
    until(&client, "all members", |topology| kinds(topology, MemberKind::Secondary) == 1).await;
    members[0].say(|said| said.hangs = true);
    let election = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        members[1].say(|said| {
            said.role = "primary";
            said.election = 2;
        });
    };
    let begin = Instant::now();
    let (outcome, ()) = futures::future::join(write(&client, Repeat::Numbered), election).await;
    assert_eq!(outcome.unwrap(), members[1].host);
    assert!(begin.elapsed() < SOON);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_to_members_in_turn_and_by_tags() {
    let (members, tasks) = (set(3).await, Tasks::new());
    members[2].say(|said| said.tags = doc! { "dc": "x" });
    let pool = Pool::new(&tasks);
    let client = client(&pool, &[&members[0].host]);
    write(&client, Repeat::IfRefused).await.unwrap();
    until(&client, "all members", |topology| kinds(topology, MemberKind::Secondary) == 2).await;
    let find = |preference: Document| doc! { "find": "c", "$db": "d", "$readPreference": preference };
    for _ in 0..10 {
        run(&client, find(doc! { "mode": "secondary" }), Repeat::Once).await.unwrap();
    }
    // Both, unless one seemed far away just now.
    let counts = executed(&members);
    assert!(counts[0] == 1 && counts[1] + counts[2] == 10, "{counts:?}");
    assert!(counts[1] == 5 || counts[1] == 0 || counts[2] == 0, "{counts:?}");
    for _ in 0..10 {
        run(&client, find(doc! { "mode": "nearest", "tags": [{ "dc": "x" }] }), Repeat::Once).await.unwrap();
    }
    assert_eq!(executed(&members), [1, counts[1], counts[2] + 10]);
    // A secondary that goes away in the middle costs a read nothing but a second try.
    members[1].stop().await;
    for _ in 0..10 {
        run(&client, find(doc! { "mode": "secondary" }), Repeat::Once).await.unwrap();
    }
    assert_eq!(executed(&members), [1, counts[1], counts[2] + 20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_not_asked_more_often_than_needed() {
    let (members, tasks) = (set(3).await, Tasks::new());
    let pool = Pool::new(&tasks);
    let clients: Vec<SetClient> = (0..5).map(|_| client(&pool, &[&members[0].host])).collect();
    for client in &clients {
        write(client, Repeat::IfRefused).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for member in &members {
        let hellos = member.hellos.load(Ordering::Relaxed);
        assert!(hellos <= 12, "{hellos} hellos in half a second for one set with five users");
    }
    drop(clients);
    let before: u64 = members.iter().map(|member| member.hellos.load(Ordering::Relaxed)).sum();
    elect(&members, 1, 2);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let after: u64 = members.iter().map(|member| member.hellos.load(Ordering::Relaxed)).sum();
    assert_eq!(before, after, "a set that nobody uses is still followed");
}
