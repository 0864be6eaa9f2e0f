//! The files of a deployment and of its parameters.
#![allow(clippy::unwrap_used)]

use alloy::primitives::Address;
use headframe_contracts::{Deployment, DeploymentFileError, Params};

#[test]
fn a_deployment_file_survives_and_a_broken_one_is_named() {
    let dir = std::env::temp_dir().join(format!("headframe-deployment-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("deployment.json");
    let missing = Deployment::load(&path).unwrap_err();
    assert!(missing.to_string().contains("deployment.json"), "{missing}");
    let at = Address::repeat_byte;
    let deployment = Deployment {
        token: at(1),
        registry: at(2),
        market: at(3),
        router: at(4),
        profiles: at(10),
        book: at(11),
        challenges: at(12),
        game: at(13),
        jury: at(14),
        rewards: at(5),
        votes: at(6),
        governor: at(7),
        timelock: at(8),
        guardian: at(9),
        chain_id: 31337,
        block: 4,
    };
    deployment.save(&path).unwrap();
    assert_eq!(Deployment::load(&path).unwrap(), deployment);
    std::fs::write(&path, "{}").unwrap();
    assert!(matches!(Deployment::load(&path), Err(DeploymentFileError::Parse { .. })));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn the_built_in_parameters_survive_writing() {
    assert_ne!(Params::devnet(), Params::mainnet());
    for params in [Params::devnet(), Params::mainnet()] {
        assert_eq!(params.registry.min_self, 1000 * 10u128.pow(18));
        let text = serde_json::to_string(&params).unwrap();
        assert_eq!(serde_json::from_str::<Params>(&text).unwrap(), params);
    }
}

#[test]
fn unknown_fields_and_bare_numbers_are_refused() {
    let text = serde_json::to_string(&Params::devnet()).unwrap();
    for (good, bad) in [("slots", "slotz"), ("\"10000000000000000000\"", "10")] {
        assert!(text.contains(good), "{text}");
        assert!(serde_json::from_str::<Params>(&text.replace(good, bad)).is_err());
    }
}
