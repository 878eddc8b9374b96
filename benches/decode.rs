//! What one accounting record costs between the socket and the engine's queue.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use relaywarden::config::{Client, Identity, Secret};
use relaywarden::radius::accounting::{self, Rules};
use relaywarden::radius::authenticator;
use relaywarden::radius::dictionary::Dictionary;
use relaywarden::radius::nas_clock::NasClocks;
use relaywarden::radius::packet::Packet;
use relaywarden::radius::text;
use relaywarden::session::identity::Canonical;
use relaywarden::session::{Name, Timestamp};

const SECRET: &[u8] = b"a secret of a usual length";

fn decode(c: &mut Criterion) {
    let dictionary = Dictionary::builtin();
    let sample = include_str!("../tests/data/samples/juniper-mx-pppoe-1-start.txt");
    let attributes = text::parse_attributes(sample, dictionary).expect("a sample that tests read too");
    let octets = text::encode_request(4, 1, &attributes, SECRET).expect("a sample fits a packet");
    let packet = Packet::decode(&octets).expect("what was encoded is a packet");
    let address = "192.0.2.1/32".parse().expect("a prefix");
    let client = Client {
        may_assign: vec!["203.0.0.0/16".parse().expect("a prefix")],
        ..Client::new(Name::from("bras1"), address, Secret::new(SECRET))
    };
    let chain = dictionary.id("User-Name").into_iter().collect();
    let identity = Identity::new(chain, Canonical { lowercase: true, ..Canonical::default() });
    let rules = Rules {
        client: &client,
        source: "192.0.2.1".parse().expect("an address"),
        identity: &identity,
        never: &[],
    };
    let now = Timestamp::from_seconds(1_800_000_000);
    let mut clocks = NasClocks::default();

    let mut group = c.benchmark_group("radius");
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode", |b| b.iter(|| Packet::decode(black_box(&octets))));
    group.bench_function("verify", |b| b.iter(|| authenticator::is_authentic(black_box(&packet), SECRET)));
    group.bench_function("record", |b| {
        b.iter(|| accounting::read(black_box(&packet), &rules, now, &mut clocks));
    });
    group.bench_function("response", |b| {
        b.iter(|| authenticator::accounting_response(black_box(&packet), SECRET));
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
