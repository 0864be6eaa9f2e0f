//! Who may be proposed as the owner of stake and fees.

use crate::support::*;
use headframe_guard::protocol::{Request, Response};
use headframe_guard::rules::Rule;
use headframe_guard::server::{Config, Guard};
use headframe_market::{Action, Address, Role};

const COLD: Address = Address::repeat_byte(0xc0);

/// What a signer started with `--owner OWNER` says to a proposal of `owner`.
fn proposed(allowed: Option<Address>, owner: Address) -> Response {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("guard.db");
    let config = Config {
        key: Box::new(rig_key()),
        role: Role::Operator,
        database,
        max_fee: CAP,
        owner: allowed,
        ballast: false,
    };
    let (guard, mut session) = (Guard::open(config).unwrap(), None);
    assert!(matches!(guard.answer(&mut session, Request::Hello(hello(&[]))), Response::Identity(_)));
    assert!(matches!(guard.answer(&mut session, Request::See(sight(0))), Response::Seen));
    let operator = rig_key().address();
    guard.answer(&mut session, Request::SignTransaction(send(Action::ProposeOwner { operator, owner, nth: 0 }, 0)))
}

#[test]
fn only_the_configured_owner_is_ever_proposed() {
    assert!(matches!(proposed(Some(COLD), COLD), Response::Transaction(_)));
    for (allowed, owner) in [(None, COLD), (Some(COLD), Address::repeat_byte(0xc1)), (Some(COLD), rig_key().address())]
    {
        let Response::Refused { rule, reason } = proposed(allowed, owner) else { panic!("{owner} was proposed") };
        assert_eq!(rule, Rule::Owner);
        assert!(reason.contains("--owner"), "{reason}");
    }
}

#[test]
fn the_real_signer_takes_the_owner_from_its_arguments() {
    let mut home = Home::new(Role::Operator);
    home.arguments.owner = Some(COLD);
    let _signer = home.spawn();
    let (client, operator) = (home.client(), rig_key().address());
    let propose = |owner| client.sign_transaction(send(Action::ProposeOwner { operator, owner, nth: 0 }, 0));
    let refused = propose(operator).unwrap_err().to_string();
    assert!(refused.contains(&COLD.to_string()), "{refused}");
    propose(COLD).unwrap();
}
