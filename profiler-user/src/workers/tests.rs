//! Questions to real workers: this program is also their forker and the workers.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use super::forker::start_forker;

use super::stream::{receive, send};
use super::ticket::MAX_BYTES;
use super::{Culprit, Pool, Role, Tenant, Ticket, Unanswered};
use crate::clock::own_cpu_time;

/// What comes before the name of a role when a test starts a worker.
pub(super) const ARGUMENTS: [&str; 3] = [
    "workers::tests::this_program_is_a_worker_when_a_test_asks_for_it",
    "--exact",
    "--nocapture",
];

#[test]
fn this_program_is_a_worker_when_a_test_asks_for_it() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((role, before)) = arguments.split_last() else {
        return;
    };
    if before != ARGUMENTS {
        return;
    }
    let mut roles = crate::roles::ROLES.iter().chain(&[OBEDIENT, DEAF]);
    if let Some(role) = roles.find(|known| known.name == role) {
        let _ = crate::roles::serve(role);
    }
    // The test's own verdict goes nowhere.
    std::process::exit(0);
}

/// A worker that does as it is told.
const OBEDIENT: Role = Role {
    name: "obedient",
    serve: obey,
};

/// A worker that never answers.
pub(crate) const DEAF: Role = Role {
    name: "deaf",
    serve: |_| loop {
        std::thread::sleep(Duration::from_secs(600));
    },
};

fn obey(stream: &UnixStream) -> io::Result<()> {
    while let Some((message, _)) = receive(stream, MAX_BYTES)? {
        let (ticket, order) = message.split_at(8);
        match order {
            b"hang" => std::thread::sleep(Duration::from_secs(600)),
            b"burn" => loop {
                std::hint::spin_loop();
            },
            b"work" => {
                let started = own_cpu_time();
                while own_cpu_time().saturating_sub(started) < Duration::from_millis(2) {}
            }
            b"die" => std::process::exit(3),
            b"nonsense" => send(stream, &[1, 2, 3], MAX_BYTES, None)?,
            b"nap" => std::thread::sleep(Duration::from_millis(60)),
            _ => {}
        }
        send(stream, &[ticket, b"done ", order].concat(), MAX_BYTES, None)?;
    }
    Ok(())
}

/// Somebody of this host.
fn user(user: u32) -> Culprit {
    Culprit {
        user: Some(user),
        container: None,
        tenant: Tenant::User(user),
    }
}

/// A pool; odd process ids are of user 1, even ones of user 2.
fn pool() -> Pool {
    let culprit = |pid| user(if pid % 2 == 1 { 1 } else { 2 });
    Pool::new(start_forker(), OBEDIENT.name, Box::new(culprit))
}

/// Waits for as long as it takes, which is seconds at most.
fn outcome(pool: &mut Pool, ticket: Ticket) -> Result<String, Unanswered> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        pool.pump();
        if let Some(outcome) = pool.take(ticket) {
            return outcome.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        }
        assert!(Instant::now() < end, "no outcome of {ticket:?}: {pool:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn ask(pool: &mut Pool, pid: u32, order: &str) -> Ticket {
    pool.ask(pid, true, order.as_bytes().to_vec())
}

#[test]
fn questions_are_answered_by_one_worker_in_order() {
    let mut pool = pool();
    let tickets: Vec<Ticket> = (0..100).map(|n| ask(&mut pool, 1, &n.to_string())).collect();
    pool.wait_for_all(Instant::now() + Duration::from_secs(20));
    for (n, ticket) in tickets.into_iter().enumerate() {
        assert_eq!(outcome(&mut pool, ticket), Ok(format!("done {n}")));
    }
    assert_eq!(pool.workers(), 1);
    assert_eq!(pool.next_check(), None);
}

#[test]
fn a_worker_that_hangs_delays_nobody_and_is_given_up_after_a_second_try() {
    let mut pool = pool();
    let ready = ask(&mut pool, 2, "ready");
    assert!(outcome(&mut pool, ready).is_ok());
    let hanging = ask(&mut pool, 1, "hang");
    let behind = ask(&mut pool, 2, "behind");
    let started = Instant::now();
    assert!(!pool.wait_for(hanging) && started.elapsed() < Duration::from_millis(100));
    assert_eq!(outcome(&mut pool, behind).as_deref(), Ok("done behind"));
    assert!(pool.take(hanging).is_none(), "it has a second");
    assert_eq!(outcome(&mut pool, hanging), Err(Unanswered::Lost));
    let again = ask(&mut pool, 1, "anything");
    assert_eq!(
        outcome(&mut pool, again),
        Err(Unanswered::Lost),
        "not a third try"
    );
    pool.renew(1);
    let again = ask(&mut pool, 1, "another program");
    assert!(outcome(&mut pool, again).is_ok());
}

#[test]
fn ten_hung_processes_of_one_user_refuse_nobody_else() {
    let mut pool = pool();
    let hung: Vec<Ticket> = (0..10).map(|n| ask(&mut pool, 2 * n + 1, "hang")).collect();
    let started = Instant::now();
    for pid in 1..20 {
        let ticket = ask(&mut pool, 2 * pid, "innocent");
        assert_eq!(outcome(&mut pool, ticket).as_deref(), Ok("done innocent"));
    }
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    let outcomes: Vec<_> = hung
        .into_iter()
        .map(|ticket| outcome(&mut pool, ticket))
        .collect();
    let lost = outcomes
        .iter()
        .filter(|outcome| **outcome == Err(Unanswered::Lost));
    assert_eq!(lost.count(), 2, "{outcomes:?}");
    let refused = Err(Unanswered::Refused(user(1)));
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == refused).count(), 8);
    let innocent = ask(&mut pool, 40, "innocent");
    assert!(outcome(&mut pool, innocent).is_ok());
}

#[test]
fn hung_processes_of_many_users_refuse_nobody_else() {
    let culprit = |pid| user(pid / 2);
    let mut pool = Pool::new(start_forker(), OBEDIENT.name, Box::new(culprit));
    let hung: Vec<Ticket> = (0..40).map(|pid| ask(&mut pool, pid, "hang")).collect();
    let innocent = ask(&mut pool, 1000, "innocent");
    assert_eq!(outcome(&mut pool, innocent).as_deref(), Ok("done innocent"));
    for ticket in hung {
        assert_eq!(outcome(&mut pool, ticket), Err(Unanswered::Lost));
        let innocent = ask(&mut pool, 1000, "innocent");
        assert_eq!(outcome(&mut pool, innocent).as_deref(), Ok("done innocent"));
    }
}

#[test]
fn a_tenant_that_makes_up_a_user_and_a_container_for_each_process_costs_few_workers() {
    let culprit = |pid: u32| Culprit {
        user: Some(100_000 + pid),
        container: Some(pid.to_string()),
        tenant: Tenant::User(if pid < 1_000 { 1 } else { 2 }),
    };
    let mut pool = Pool::new(start_forker(), OBEDIENT.name, Box::new(culprit));
    let hung: Vec<Ticket> = (0..40).map(|pid| ask(&mut pool, pid, "hang")).collect();
    let outcomes: Vec<_> = hung
        .into_iter()
        .map(|ticket| outcome(&mut pool, ticket))
        .collect();
    let lost = outcomes
        .iter()
        .filter(|outcome| **outcome == Err(Unanswered::Lost));
    assert_eq!(lost.count(), 6, "{outcomes:?}");
    let refused = Err(Unanswered::RefusedOf(Tenant::User(1)));
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == refused).count(), 34);
    let innocent = ask(&mut pool, 1_000, "innocent");
    assert_eq!(outcome(&mut pool, innocent).as_deref(), Ok("done innocent"));
}

#[test]
fn a_worker_that_is_let_go_and_ends_is_not_left_behind() {
    let forker = start_forker();
    let hanging = super::worker::Worker::start(&forker, DEAF.name).expect("a forker");
    drop(hanging);
    let end = Instant::now() + Duration::from_secs(20);
    // Other tests let workers go, too.
    while forker.left_behind() > 0 {
        assert!(Instant::now() < end, "{} are left", forker.left_behind());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_worker_that_computes_without_end_dies_or_talks_nonsense_is_replaced() {
    for order in ["burn", "die", "nonsense"] {
        let mut pool = pool();
        let bad = ask(&mut pool, 1, order);
        let good = ask(&mut pool, 2, "good");
        assert_eq!(outcome(&mut pool, good).as_deref(), Ok("done good"), "{order}");
        assert_eq!(outcome(&mut pool, bad), Err(Unanswered::Lost), "{order}");
    }
}

#[test]
fn a_host_without_a_free_cpu_costs_nobody_an_answer() {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut burning: Vec<_> = (0..12 * cpus)
        .map(|_| {
            Command::new("sh")
                .args(["-c", "while :; do :; done"])
                .spawn()
                .expect("a shell")
        })
        .collect();
    let mut pool = pool();
    let tickets: Vec<Ticket> = (0..100).map(|pid| ask(&mut pool, pid, "work")).collect();
    let outcomes: Vec<_> = tickets
        .into_iter()
        .map(|ticket| outcome(&mut pool, ticket))
        .collect();
    for child in &mut burning {
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
    }
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

#[test]
fn what_is_given_to_a_worker_is_kept_by_nobody_else() {
    let mut pool = pool();
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let hanging = ask(&mut pool, 1, "hang");
    assert_eq!(outcome(&mut pool, hanging), Err(Unanswered::Lost));
    let given = pool.give(1, b"take".to_vec(), theirs.into());
    assert_eq!(
        outcome(&mut pool, given).as_deref(),
        Ok("done take"),
        "whatever became of others about the process"
    );
    ours.set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a socket");
    assert_eq!((&ours).read(&mut [0]).expect("it is closed"), 0);
}

#[test]
fn an_answer_that_comes_late_counts() {
    let mut pool = pool();
    let late = ask(&mut pool, 1, "nap");
    let forgotten = ask(&mut pool, 1, "nap");
    pool.forget(forgotten);
    assert_eq!(outcome(&mut pool, late).as_deref(), Ok("done nap"));
    pool.wait_for_all(Instant::now() + Duration::from_secs(20));
    assert_eq!(pool.take(forgotten), None);
}

#[test]
fn without_workers_every_question_has_an_outcome() {
    let mut pool = Pool::new(start_forker(), "no such role", Box::new(user));
    for pid in 0..20 {
        let ticket = ask(&mut pool, pid, "anything");
        assert!(outcome(&mut pool, ticket).is_err());
    }
}
