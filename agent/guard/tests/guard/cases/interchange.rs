//! Documents that are imported and exported.

use super::*;

fn import(document: Value, expect: &str) -> Step {
    Step::Import { document, expect: expect.into() }
}

/// A document of `jobs` and `nonces`, from a database that still signs.
fn document(jobs: Value, nonces: Value) -> Value {
    let pinned = pinned(Role::Operator);
    json!({
        "format": "headframe-guard", "version": 1, "chain_id": pinned.chain_id, "genesis": pinned.genesis,
        "contracts": pinned.addresses, "address": pinned.address, "role": "operator", "generation": 1, "final": false,
        "audit": {"entries": 0, "hash": B256::ZERO}, "nonce_floor": 0, "nonces": nonces, "jobs": jobs,
    })
}

fn with(mut document: Value, field: &str, value: Value) -> Value {
    *document.pointer_mut(field).unwrap() = value;
    document
}

fn statement(job: JobId, seq: u64) -> Value {
    let ReceiptRequest { order, order_signature, receipt, .. } = ask(job, seq);
    json!({
        "seq": seq, "src_root": order.src_root, "src_bytes": order.src_bytes, "duration_ms": order.duration_ms,
        "receipt": {
            "client_signature": order_signature, "out_root": receipt.out_root, "units": receipt.units,
            "out_bytes": receipt.out_bytes,
        },
    })
}

fn job(id: JobId, range: std::ops::Range<u64>, claims: Value, floor: u64) -> Value {
    let segments: Vec<Value> = range.map(|seq| statement(id, seq)).collect();
    json!({"job": id, "client": client_address(), "floor": floor, "segments": segments, "claims": claims})
}

fn kept_claim(first: u64, count: u32, nonce: u64) -> Value {
    let Action::Claim { root, units, .. } = claim(JOB, first, count) else { unreachable!() };
    json!({"first": first, "count": count, "root": root, "units": units, "nonce": nonce})
}

fn kept_nonce(action: &Action, nonce: u64) -> Value {
    let call = action.call(&addresses());
    let packed = [call.to.as_slice(), &call.value.0.to_be_bytes(), &call.input].concat();
    json!({"nonce": nonce, "call": alloy_primitives::keccak256(packed), "kind": action.kind()})
}

/// Receipts 0 to 5 and a claim of 0 to 3 under nonce 0.
fn worked() -> Value {
    let claims = json!([kept_claim(0, 4, 0)]);
    document(json!([job(JOB, 0..6, claims, 0)]), json!([kept_nonce(&claim(JOB, 0, 4), 0)]))
}

pub(super) fn cases(all: &mut Cases) {
    // Interchange.
    let whole = with(worked(), "/final", json!(true));
    all.add(
        "import-move",
        "a final export goes on elsewhere, and comes out as it went in",
        "operator",
        [
            vec![
                import(whole.clone(), "imported 6 1 1 1"),
                Step::Export { expect: with(whole.clone(), "/final", json!(false)) },
            ],
            run(vec![
                receipt(other_output(0), "G6"),
                receipt(ask(JOB, 6), "signed"),
                transaction(claim(JOB, 4, 3), 1, "signed"),
            ]),
        ]
        .concat(),
    );
    all.add(
        "import-not-final",
        "G12: after any other export more may have been signed, so its jobs are closed",
        "operator",
        [
            vec![import(worked(), "imported 6 1 1 2")],
            run(vec![
                receipt(ask(JOB, 0), "signed"),
                receipt(ask(JOB, 6), "G12"),
                transaction(claim(JOB, 4, 2), 1, "G1"),
                receipt(ask(JobId(8), 0), "signed"),
            ]),
        ]
        .concat(),
    );
    all.add(
        "import-again",
        "what is on record is not added again",
        "operator",
        [
            after(6, vec![first(), import(worked(), "imported 0 0 0 0"), import(worked(), "imported 0 0 0 0")]),
            run(vec![receipt(other_output(5), "G6")]),
        ]
        .concat(),
    );
    all.add(
        "import-stale",
        "an old export takes nothing away",
        "operator",
        [
            after(8, vec![first(), transaction(claim(JOB, 4, 4), 1, "signed"), import(worked(), "imported 0 0 0 0")]),
            run(vec![receipt(other_output(7), "G6"), transaction(claim(JOB, 6, 2), 2, "G1")]),
        ]
        .concat(),
    );
    all.add(
        "import-more",
        "what is missing is added",
        "operator",
        [
            after(2, vec![import(worked(), "imported 4 1 1 0")]),
            run(vec![receipt(other_output(5), "G6"), transaction(claim(JOB, 0, 4), 1, "G1")]),
        ]
        .concat(),
    );
    let one = |job: Value| document(json!([job]), json!([]));
    let differing = one(with(job(JOB, 0..1, json!([]), 0), "/segments/0/receipt/out_bytes", json!(1)));
    all.add(
        "import-other-receipt",
        "both were signed: no import mends that",
        "operator",
        after(1, vec![import(differing.clone(), "contradiction")]),
    );
    all.add(
        "import-other-nonce",
        "both were signed: no import mends that",
        "operator",
        run(vec![
            transaction(bond(1), 0, "signed"),
            import(document(json!([]), json!([kept_nonce(&bond(2), 0)])), "contradiction"),
        ]),
    );
    all.add(
        "import-other-claim",
        "both were signed: no import mends that",
        "operator",
        after(6, vec![transaction(claim(JOB, 0, 3), 1, "signed"), import(worked(), "contradiction")]),
    );
    all.add(
        "import-all-or-nothing",
        "a document that contradicts at its end has added nothing at its beginning",
        "operator",
        [
            after(
                1,
                vec![import(
                    document(json!([job(JobId(3), 0..2, json!([]), 0), differing["jobs"][0]]), json!([])),
                    "contradiction",
                )],
            ),
            run(vec![receipt(
                {
                    let mut ask = ask(JobId(3), 0);
                    ask.receipt.out_bytes = 1;
                    ask
                },
                "signed",
            )]),
        ]
        .concat(),
    );
    for (name, field, value) in [
        ("import-other-chain", "/chain_id", json!(1)),
        ("import-other-genesis", "/genesis", json!(B256::ZERO)),
        ("import-other-contract", "/contracts/book", json!(Address::ZERO)),
        ("import-other-key", "/address", json!(Address::ZERO)),
    ] {
        all.add(
            name,
            "G7: the document belongs elsewhere",
            "operator",
            run(vec![import(with(worked(), field, value), "unsafe G7")]),
        );
    }
    for (name, about, field, value) in [
        ("import-other-version", "only version 1 is known", "/version", json!(2)),
        ("import-other-format", "a document of another program", "/format", json!("slashing-protection")),
    ] {
        all.add(name, about, "operator", run(vec![import(with(worked(), field, value), "format")]));
    }
    let mut extra = worked();
    extra["comment"] = json!("none");
    all.add(
        "import-unknown-field",
        "what is not understood is not skipped",
        "operator",
        run(vec![import(extra, "format")]),
    );
    let swapped = document(json!([with(job(JOB, 0..2, json!([]), 0), "/segments/0", statement(JOB, 5))]), json!([]));
    for (name, about, document) in [
        ("import-unsorted", "segments rise", swapped),
        (
            "import-claim-without-receipts",
            "G2: a claim needs its receipts",
            document(
                json!([job(JOB, 0..3, json!([kept_claim(0, 4, 0)]), 0)]),
                json!([kept_nonce(&claim(JOB, 0, 4), 0)]),
            ),
        ),
        (
            "import-claim-without-nonce",
            "a claim needs its nonce",
            document(json!([job(JOB, 0..4, json!([kept_claim(0, 4, 0)]), 0)]), json!([])),
        ),
        (
            "import-other-root",
            "G2: a claim has the root of its receipts",
            with(worked(), "/jobs/0/claims/0/root", json!(B256::ZERO)),
        ),
        (
            "import-unsigned-order",
            "G2: every order is signed by the client",
            with(worked(), "/jobs/0/segments/1/receipt/client_signature", json!(Bytes::from_static(&[1; 65]))),
        ),
        (
            "import-number-too-large",
            "segment numbers have 32 bits",
            with(worked(), "/jobs/0/floor", json!(4_294_967_297u64)),
        ),
        (
            "import-role",
            "an operator's document has receipts",
            with(worked(), "/jobs/0/segments/0/receipt", json!(null)),
        ),
        ("import-no-client", "a job with segments has a client", with(worked(), "/jobs/0/client", json!(null))),
    ] {
        all.add(name, about, "operator", run(vec![import(document, "broken"), receipt(ask(JobId(8), 0), "request")]));
    }
    all.add(
        "import-floor",
        "G12: the higher floor counts",
        "operator",
        [
            after(
                2,
                vec![
                    import(one(job(JOB, 0..0, json!([]), 5)), "imported 0 0 0 1"),
                    import(one(job(JOB, 0..0, json!([]), 4)), "imported 0 0 0 0"),
                ],
            ),
            run(vec![
                receipt(ask(JOB, 4), "G12"),
                receipt(ask(JOB, 1), "signed"),
                receipt(ask(JOB, 5), "signed"),
                transaction(claim(JOB, 5, 1), 0, "signed"),
            ]),
        ]
        .concat(),
    );
    all.add(
        "import-nonce-floor",
        "G10: the higher floor of nonces counts",
        "operator",
        [
            run(vec![
                import(with(document(json!([]), json!([])), "/nonce_floor", json!(7)), "imported 0 0 0 1"),
                import(document(json!([]), json!([])), "imported 0 0 0 0"),
            ]),
            vec![
                step(&Request::Hello(hello(&[])), "admitted"),
                transaction(bond(1), 6, "G10"),
                transaction(bond(1), 7, "signed"),
            ],
        ]
        .concat(),
    );
    all.add(
        "import-below-floor",
        "what lies below a floor is not needed any more",
        "operator",
        run(vec![import(one(job(JOB, 0..0, json!([]), 6)), "imported 0 0 0 1"), import(worked(), "imported 0 0 1 0")]),
    );
    all.add(
        "lose-and-import",
        "G9: a lost database and an old export: what was signed between is closed",
        "operator",
        [
            after(8, vec![first(), Step::Lose, import(worked(), "imported 6 1 1 2")]),
            vec![
                step(&Request::Hello(hello(&[(JOB, 4)])), "admitted"),
                receipt(ask(JOB, 7), "G12"),
                receipt(other_output(0), "G6"),
            ],
        ]
        .concat(),
    );
}
