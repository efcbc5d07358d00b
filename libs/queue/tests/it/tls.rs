//! Redis behind TLS: a real server with a certificate of an authority made here.

use crate::server::Server;
use crate::support::{Act, Bench, Carry, Probe, until};
use carrel_domain::job::{JobSpec, JobState};
use carrel_queue::{RedisOptions, Transport};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// An authority's certificate, and settings of a server that it vouches for; the files lie in `folder`.
fn certificates(folder: &std::path::Path) -> (String, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let issuer = Issuer::new(authority, authority_key);
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let place = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let settings = format!(
        "tls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\ntls-auth-clients no\nrequirepass secret\n",
        place("server.pem", &certificate.pem()),
        place("server.key", &key.serialize_pem()),
        place("authority.pem", &authority_certificate),
    );
    (authority_certificate, settings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_carried_over_tls_from_a_server_whose_authority_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, settings) = certificates(folder.path());
    let server = Server::start_tls(&settings);
    let address = |host: &str| format!("rediss://:secret@{host}:{}/", server.port);

    let bench = Bench::new(Carry::Redis).await;
    let probe = Probe::new();
    let known = RedisOptions { authority: Some(authority), ..RedisOptions::new(address("localhost")) };
    let running = Bench::start(bench.builder(&probe).transport(Transport::Redis(known)));
    until("Redis carries", async || (running.health.report().redis == Some(true)).then_some(())).await;
    let jobs: Vec<JobSpec> = (0..30).map(|_| Act::Complete.spec()).collect();
    for id in bench.enqueue(&jobs).await {
        bench.until_state(id, JobState::Completed).await;
    }
    assert_eq!(running.health.report().redis, Some(true), "Redis still carries");
    running.stop().await;

    // A server of an unknown authority is not talked to, and jobs go on without it.
    let running =
        Bench::start(bench.builder(&probe).transport(Transport::Redis(RedisOptions::new(address("127.0.0.1")))));
    let jobs: Vec<JobSpec> = (0..10).map(|_| Act::Complete.spec()).collect();
    for id in bench.enqueue(&jobs).await {
        bench.until_state(id, JobState::Completed).await;
    }
    assert_ne!(running.health.report().redis, Some(true), "an unknown authority is not believed");
    assert_eq!(probe.total_runs(), 40);
    running.stop().await;
    bench.finish().await;
}
