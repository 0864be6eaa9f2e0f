//! The signer as the roles use it: started here unless systemd runs one, asked on threads where waiting is fine, and
//! watched.

use crate::chain_view::ChainView;
use crate::config::Config;
use crate::delivery::SegmentOrder;
use crate::shutdown::Stage;
use crate::wiring::Unsafe;
use anyhow::Context;
use headframe_chain::{SignError, Signed, TxFields, TxSigner};
use headframe_guard::client::{self, Client};
use headframe_guard::protocol::{ReceiptRequest, TransactionRequest};
use headframe_guard::spawn::{Arguments, Signer, SpawnError};
use headframe_guard::{EXIT_CONFIG, EXIT_UNSAFE, Hello, Sight, signer_program};
use headframe_market::machine::claim::Evidence;
use headframe_market::{Action, Address, Bid, JobId, Receipt, Role, Segment, SegmentNo, Signature, Wei};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A connection to the signer. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SignerHandle {
    client: Arc<Client>,
}

/// Why there is no signature.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum SignerError {
    /// A rule forbids it, now and later.
    #[error("{reason}")]
    Refused { rule: String, reason: String },
    /// Nothing may be signed any more.
    #[error("{0}")]
    Unsafe(String),
    /// Try again.
    #[error("{0}")]
    Unavailable(String),
}

impl From<client::Error> for SignerError {
    fn from(error: client::Error) -> Self {
        match error {
            client::Error::Refused { rule, reason } => Self::Refused { rule: rule.to_string(), reason },
            client::Error::Unsafe { reason } => Self::Unsafe(reason),
            client::Error::Unavailable { .. } => Self::Unavailable(error.to_string()),
        }
    }
}

impl SignerHandle {
    /// Starts the signer when no socket is configured, and shows it where we are and what the chain knows of its key.
    pub(crate) async fn start(
        config: &Config,
        role: Role,
        chain: &ChainView,
        stage: &Stage,
        fatal: mpsc::Sender<anyhow::Error>,
    ) -> anyhow::Result<Self> {
        let socket = if config.signer.socket.as_os_str().is_empty() {
            let arguments = arguments(config, role)?;
            let socket = arguments.socket.clone();
            let signer = spawn(arguments.clone()).await?;
            stage.tasks.spawn(supervise(signer, arguments, stage.stop.clone(), fatal));
            socket
        } else {
            config.signer.socket.clone()
        };
        let identity = blocking({
            let socket = socket.clone();
            move || client::identify(&socket)
        });
        let identity = identity.await.context("the signer does not answer")?;
        if identity.role != role {
            let (has, wants) = (identity.role, role);
            return Err(Unsafe(format!("the signer's key is for role {has:?}, and this process is {wants:?}")).into());
        }
        let hello = hello(chain, identity.address, role).await?;
        let connected = blocking(move || Client::connect(&socket, hello)).await;
        match connected {
            Ok(client) => Ok(Self { client: Arc::new(client) }),
            Err(SignerError::Unsafe(reason)) => Err(Unsafe(reason).into()),
            Err(error) => Err(anyhow::Error::new(error).context("the signer does not let us in")),
        }
    }

    /// Tells what the chain shows of the key.
    pub(crate) async fn see(&self, sight: Sight) -> Result<(), SignerError> {
        let signer = self.client.clone();
        blocking(move || signer.see(&sight)).await
    }

    /// The key's account.
    pub(crate) fn address(&self) -> Address {
        self.client.identity().address
    }

    /// Signs a receipt for `order`, recorded before it is signed.
    pub(crate) async fn sign_receipt(
        &self,
        order: &SegmentOrder,
        client: Address,
        receipt: &Receipt,
    ) -> Result<Signature, SignerError> {
        let request = ReceiptRequest {
            order: order.segment.clone(),
            order_signature: order.signature.as_bytes().into(),
            client,
            receipt: receipt.clone(),
        };
        let signer = self.client.clone();
        blocking(move || signer.sign_receipt(request)).await
    }

    /// Signs an order for a segment.
    pub(crate) async fn sign_segment(&self, segment: &Segment) -> Result<Signature, SignerError> {
        let (signer, segment) = (self.client.clone(), segment.clone());
        blocking(move || signer.sign_segment(segment)).await
    }

    /// Signs an offer.
    pub(crate) async fn sign_bid(&self, bid: Bid) -> Result<Signature, SignerError> {
        let signer = self.client.clone();
        blocking(move || signer.sign_bid(bid)).await
    }

    /// Kept receipts of `job` from segment `from` on, at most `limit`.
    pub(crate) async fn receipts(&self, job: JobId, from: SegmentNo, limit: u32) -> Result<Vec<Evidence>, SignerError> {
        let signer = self.client.clone();
        blocking(move || signer.receipts(job, from, limit)).await
    }

    /// Whether it answers and sees nothing unsafe.
    pub(crate) async fn is_healthy(&self) -> bool {
        let signer = self.client.clone();
        blocking(move || signer.status()).await.is_ok_and(|status| status.healthy)
    }
}

impl TxSigner for SignerHandle {
    fn address(&self) -> Address {
        Self::address(self)
    }

    fn sign(&self, action: &Action, tx: &TxFields) -> Result<Signed, SignError> {
        let request = TransactionRequest {
            action: action.clone(),
            nonce: tx.nonce,
            gas_limit: tx.gas_limit,
            max_fee_per_gas: Wei(tx.max_fee),
            max_priority_fee_per_gas: Wei(tx.max_priority),
        };
        let signed = self.client.sign_transaction(request).map_err(|error| match SignerError::from(error) {
            SignerError::Refused { reason, .. } => SignError::Refused(reason),
            SignerError::Unsafe(reason) => SignError::Unsafe(reason),
            SignerError::Unavailable(reason) => SignError::Unavailable(reason),
        })?;
        Ok(Signed { raw: signed.raw, hash: signed.hash })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, client::Error> + Send + 'static,
) -> Result<T, SignerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(SignerError::from),
        Err(ended) => Err(SignerError::Unavailable(format!("the signing task ended: {ended}"))),
    }
}

/// What the chain shows of this key's past, for the guard to compare with what it remembers.
pub(crate) async fn hello(chain: &ChainView, me: Address, role: Role) -> anyhow::Result<Hello> {
    let head = chain.rpc().head().await?.number;
    let jobs = match role {
        Role::Operator => chain.jobs_taken(me, chain.since, head).await?,
        Role::Client => chain.jobs_opened(me, chain.since, head).await?.into_iter().map(|(job, _)| job).collect(),
    };
    let mut claims_on_chain = Vec::with_capacity(jobs.len());
    for job in jobs {
        claims_on_chain.push((job, chain.job(job).await?.next_seq));
    }
    let pin = chain.rpc().pin();
    Ok(Hello { chain_id: pin.chain_id, genesis: pin.genesis, addresses: chain.at, claims_on_chain })
}

fn arguments(config: &Config, role: Role) -> anyhow::Result<Arguments> {
    std::fs::create_dir_all(&config.state_dir)
        .with_context(|| format!("cannot make the state folder {}", config.state_dir.display()))?;
    Ok(Arguments {
        keystore: config.signer.keystore.clone(),
        password_file: config.signer.password_file.clone(),
        database: config.state_dir.join("guard.db"),
        socket: socket_path(&config.state_dir),
        role,
        max_fee: Some(config.signer.max_fee),
        owner: config.signer.owner,
    })
}

/// Beside the state; a deep folder's path may not fit into a socket address, then under the temporary folder.
fn socket_path(state: &Path) -> PathBuf {
    let beside = state.join("signer.sock");
    if beside.as_os_str().len() < 100 {
        return beside;
    }
    std::env::temp_dir().join(format!("headframe-signer-{}.sock", std::process::id()))
}

async fn spawn(arguments: Arguments) -> anyhow::Result<Signer> {
    let started = tokio::task::spawn_blocking(move || Signer::spawn(&signer_program(), &arguments)).await?;
    started.map_err(fatal_spawn)
}

fn fatal_spawn(error: SpawnError) -> anyhow::Error {
    match error.exit_code() {
        EXIT_UNSAFE => Unsafe(error.to_string()).into(),
        EXIT_CONFIG => crate::config::ConfigError::Invalid(vec![error.to_string()]).into(),
        _ => error.into(),
    }
}

/// Starts the signer again when it dies; ends the process when it says that running is unsafe.
async fn supervise(
    mut signer: Signer,
    arguments: Arguments,
    stop: CancellationToken,
    fatal: mpsc::Sender<anyhow::Error>,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(Duration::from_millis(250)) => {}
        }
        let status = match signer.ended() {
            Ok(None) => continue,
            Ok(Some(status)) => status,
            Err(error) => {
                tracing::error!(%error, "the signer cannot be watched");
                continue;
            }
        };
        if status.code() == Some(i32::from(EXIT_UNSAFE)) {
            let reason = "the signer ended with code 79; its log above says why".to_owned();
            let _ = fatal.send(Unsafe(reason).into()).await; // nobody listens any more only when we stop anyway
            return;
        }
        tracing::error!(%status, "the signer died; starting it again");
        match spawn(arguments.clone()).await {
            Ok(again) => signer = again,
            Err(error) => {
                let _ = fatal.send(error).await; // as above
                return;
            }
        }
    }
    let stopped = tokio::task::spawn_blocking(move || signer.stop()).await;
    if let Ok(Err(error)) = stopped {
        tracing::warn!(%error, "the signer did not stop cleanly; it keeps everything it acknowledged");
    }
}
