//! `headframe guard`: a person's work on the guard database, with the signer stopped. What each command protects from is in
//! docs/slashing-protection.md.

use super::how::{Care, NOBODY};
use crate::chain_view::ChainView;
use crate::config::{Config, ConfigError};
use crate::wiring::Unsafe;
use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use headframe_chain::Rpc;
use headframe_chain::provider::views::{Agreed, Nonces};
use headframe_contracts::Deployment;
use headframe_guard::interchange::{Document, ImportError};
use headframe_guard::rules::{self, NotSafe, Pinned};
use headframe_guard::store::{Imported, Store};
use headframe_market::machine::JobState;
use headframe_market::{Address, JobId, Role};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Subcommand, Debug)]
pub(super) enum GuardCommand {
    /// Write all that the key has signed as JSON, to a new file or to standard output
    Export {
        #[command(flatten)]
        database: Database,
        /// The database moves elsewhere: nothing is signed from here after this export, ever
        #[arg(long = "move")]
        retire: bool,
        /// Where to write; it must not exist
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Take over what an export says, all of it or nothing
    ///
    /// Into a database: what is missing there, and the higher of two floors. Where there is none, a new one is made. An
    /// export without --move does not know what was signed after it, so a new database made of one signs nothing more for
    /// the jobs in it.
    Import {
        #[command(flatten)]
        database: Database,
        /// The export
        #[arg(value_name = "FILE")]
        from: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a new database in place of one that is lost, with what the chain knows of the key
    ///
    /// Nothing more is signed for any job that the key had: what was signed for it is unknown. Unclaimed work is lost, and
    /// so is the collateral of claims that are not answered yet, unless --from has their receipts.
    Rebuild(Rebuild),
    /// Copy the database to a new file. The copy, put back in its place, is known to be old
    Backup {
        #[command(flatten)]
        database: Database,
        /// The copy; it must not exist
        #[arg(value_name = "FILE")]
        to: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the whole database: file, rules, audit chain and every record
    Check {
        #[command(flatten)]
        database: Database,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Close the jobs that are over on chain for ever, and delete their records. It cannot be undone
    Forget(Forget),
}

#[derive(Args, Debug)]
pub(super) struct Database {
    /// The guard database. The signer must be stopped
    #[arg(
        long,
        env = "HEADFRAME_SIGNER_DATABASE",
        default_value = "/var/lib/headframe-signer/guard.sqlite",
        value_name = "FILE"
    )]
    database: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct Forget {
    #[command(flatten)]
    database: Database,
    /// The configuration file, for chain.rpc and chain.deployment
    #[arg(short, long, env = "HEADFRAME_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    care: Care,
}

#[derive(Args, Debug)]
pub(super) struct Rebuild {
    #[command(flatten)]
    database: Database,
    /// The configuration file, for chain.rpc and chain.deployment
    #[arg(short, long, env = "HEADFRAME_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The key's address. Typing it says: nothing else signs with this key, and nothing else ever will
    #[arg(long, value_name = "ADDRESS")]
    only_signer_of: Address,
    /// What the key does
    #[arg(long, value_enum, default_value_t = RoleName::Operator)]
    role: RoleName,
    /// The newest export, if there is one: its receipts can still answer for open claims
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// One provider is enough, because it is a node of our own. Without this two have to agree
    #[arg(long)]
    own_node: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    Operator,
    Client,
}

pub(super) async fn run(command: GuardCommand) -> anyhow::Result<()> {
    match command {
        GuardCommand::Export { database, retire, output } => export(&database.open_moved()?, retire, output.as_deref()),
        GuardCommand::Import { database, from, json } => import(&database.database, &from, json),
        GuardCommand::Rebuild(rebuild) => rebuild.run().await,
        GuardCommand::Backup { database, to, json } => {
            database.open()?.backup(&to).map_err(fail)?;
            match json {
                true => println!("{}", json!({ "backup": to })),
                false => println!("{}", to.display()),
            }
            eprintln!(
                "It is old from now on: put it back only if nothing newer is left, and never beside a running signer."
            );
            Ok(())
        }
        GuardCommand::Check { database, json } => check(&database.open()?, json),
        GuardCommand::Forget(forget) => forget.run().await,
    }
}

impl Database {
    fn open(&self) -> anyhow::Result<Store> {
        Store::inspect(&self.database).map_err(fail)?.ok_or_else(|| self.missing())
    }

    fn open_moved(&self) -> anyhow::Result<Store> {
        Store::inspect_moved(&self.database).map_err(fail)?.ok_or_else(|| self.missing())
    }

    fn missing(&self) -> anyhow::Error {
        let shown = self.database.display();
        Unsafe(format!("there is no guard database at {shown}; see headframe guard rebuild --help")).into()
    }
}

/// What the guard says is unsafe ends with exit code 79 here, too.
fn fail(error: NotSafe) -> anyhow::Error {
    match error {
        NotSafe::Unsafe(reason) => Unsafe(reason).into(),
        other => other.into(),
    }
}

fn fail_import(error: ImportError) -> anyhow::Error {
    match error {
        ImportError::NotSafe(error) => fail(error),
        ImportError::Contradiction(_) => Unsafe(error.to_string()).into(),
        other => other.into(),
    }
}

fn export(store: &Store, retire: bool, output: Option<&Path>) -> anyhow::Result<()> {
    anyhow::ensure!(!retire || output.is_some(), "--move needs --output: what is written to a pipe may be lost");
    // The file first, so that a name that cannot be written retires nothing. Writing may fail after it: then once more.
    let file = match output {
        Some(path) => {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            Some(file.with_context(|| format!("cannot write {}", path.display()))?)
        }
        None => None,
    };
    if retire {
        store.retire().map_err(fail)?;
    }
    let document = store.export().map_err(fail)?;
    match &file {
        Some(file) => {
            write(file, &document)?;
            file.sync_all()?;
        }
        None => write(std::io::stdout().lock(), &document)?,
    }
    if document.is_final {
        eprintln!("This database signs nothing more. Import the file where the key works next, and nowhere else.");
    }
    Ok(())
}

fn write(to: impl Write, document: &Document) -> anyhow::Result<()> {
    let mut to = BufWriter::new(to);
    serde_json::to_writer_pretty(&mut to, document)?;
    writeln!(to)?;
    Ok(to.flush()?)
}

fn read(path: &Path) -> anyhow::Result<Document> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Document::read(BufReader::new(file)).map_err(fail_import)
}

fn import(database: &Path, from: &Path, as_json: bool) -> anyhow::Result<()> {
    let document = read(from)?;
    let (store, made) = match Store::inspect(database).map_err(fail)? {
        Some(store) => (store, false),
        None => (Store::create(database, document.pinned()).map_err(fail)?, true),
    };
    let closing = made && !document.is_final;
    let done = store.import(&document, closing).map_err(|error| {
        if made {
            let _ = std::fs::remove_file(database); // it was empty, and nothing was signed from it
        }
        fail_import(error)
    })?;
    told(&done, as_json, closing);
    Ok(())
}

fn told(done: &Imported, as_json: bool, closed: bool) {
    let Imported { segments, claims, nonces, floors } = done;
    if as_json {
        println!(
            "{}",
            json!({"segments": segments, "claims": claims, "nonces": nonces, "floors": floors, "closed": closed})
        );
        return;
    }
    println!("new here: {segments} segments, {claims} claims, {nonces} nonces, {floors} floors");
    if closed {
        println!(
            "The jobs in it are closed for this key, because what was signed after the export is not known: release them."
        );
    }
}

fn check(store: &Store, as_json: bool) -> anyhow::Result<()> {
    let head = store.audit().map_err(fail)?;
    let head = head.map_err(|reason| {
        let shown = store.path().display();
        let help = "do not delete it: copy it away and put the newest intact copy back; if there is none: headframe guard \
            rebuild";
        Unsafe(format!("guard database {shown}: {reason} ({help})"))
    })?;
    let (counts, settings, pinned) = (store.counts(), store.settings().map_err(fail)?, store.pinned());
    let generation = store.generation().map_err(fail)?;
    if as_json {
        let settings: serde_json::Map<_, _> =
            settings.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let report = json!({
            "database": store.path(), "address": pinned.address, "chain_id": pinned.chain_id, "generation": generation,
            "segments": counts.segments, "claims": counts.claims, "nonces": counts.nonces,
            "audit": head, "settings": settings,
        });
        println!("{report:#}");
        return Ok(());
    }
    println!("ok: every record is as it was signed");
    println!("key {} on chain {}, generation {generation}", pinned.address, pinned.chain_id);
    println!("{} segments, {} claims, {} nonces", counts.segments, counts.claims, counts.nonces);
    println!("audit chain: {} entries, head {}", head.entries, head.hash);
    Ok(())
}

impl Forget {
    async fn run(self) -> anyhow::Result<()> {
        let store = self.database.open()?;
        // Before anything is asked, of the chain too: without a person and without --yes nothing can come of it.
        anyhow::ensure!(self.care.dry_run || self.care.can_confirm(), NOBODY);
        let over = over(&store, self.config.as_deref()).await?;
        if self.care.dry_run || over.is_empty() {
            self.told(&over, false);
            return Ok(());
        }
        let named: Vec<String> = over.iter().map(|(id, _)| id.to_string()).collect();
        let question = format!("Delete what was signed for jobs {}? It cannot be undone.", named.join(", "));
        self.care.confirm(&question)?;
        let mut gone = Vec::new();
        for (id, _) in over {
            gone.push((id, store.forget(id).map_err(fail)?));
        }
        self.told(&gone, true);
        Ok(())
    }

    /// Each job with how many records it has, or had.
    fn told(&self, jobs: &[(JobId, u64)], deleted: bool) {
        if self.json {
            let line = |(job, records): &(JobId, u64)| json!({ "job": job, "records": records });
            println!("{}", json!({ "deleted": deleted, "jobs": jobs.iter().map(line).collect::<Vec<_>>() }));
            return;
        }
        for (job, records) in jobs {
            match deleted {
                true => println!("job {job}: {records} records deleted"),
                false => println!("job {job} is over: {records} records would be deleted"),
            }
        }
        if jobs.is_empty() {
            println!("no job with records is over");
        }
    }
}

/// The jobs in the database that are closed on chain with no claim open, and how many records they have.
async fn over(store: &Store, config: Option<&Path>) -> anyhow::Result<Vec<(JobId, u64)>> {
    let config = Config::load(config)?;
    let deployment = Deployment::load(&config.chain.deployment)?;
    let rpc = crate::wiring::connect(&config).await?;
    let chain = ChainView::new(Arc::new(rpc), &deployment).complete().await?;
    let pinned = store.pinned();
    rules::place(&pinned, &Pinned { addresses: chain.at, ..pinned }).map_err(fail)?;
    let mut over = Vec::new();
    for id in store.known_jobs().map_err(fail)? {
        let (job, records) = (chain.job(id).await?, store.records(id).map_err(fail)?);
        if job.state == JobState::Closed && job.open_claims == 0 && records > 0 {
            over.push((id, records));
        }
    }
    Ok(over)
}

/// What one provider shows of the key.
struct Past {
    jobs: BTreeSet<JobId>,
    nonce: u64,
}

impl Rebuild {
    async fn run(self) -> anyhow::Result<()> {
        let Self { database: Database { database }, only_signer_of: me, role, own_node, .. } = self;
        let role = match role {
            RoleName::Operator => Role::Operator,
            RoleName::Client => Role::Client,
        };
        let config = Config::load(self.config.as_deref())?;
        let deployment = Deployment::load(&config.chain.deployment)?;
        let shown = database.display();
        anyhow::ensure!(
            database.symlink_metadata().is_err(),
            "{shown} is there: move it away first (and keep it), or use it"
        );
        if config.chain.rpc.len() < 2 && !own_node {
            let text =
                "rebuild believes the chain, and chain.rpc has one provider: name a second one, or say --own-node";
            return Err(ConfigError::Invalid(vec![text.into()]).into());
        }
        let mut pasts = Vec::new();
        let mut pinned = None;
        for url in &config.chain.rpc {
            let rpc = Rpc::connect(std::slice::from_ref(url), None).await?;
            let pin = rpc.pin();
            if pin.chain_id != deployment.chain_id {
                return Err(Unsafe(format!("{url} serves chain {}, not {}", pin.chain_id, deployment.chain_id)).into());
            }
            let chain = ChainView::new(Arc::new(rpc), &deployment).complete().await?;
            let here = Pinned { chain_id: pin.chain_id, genesis: pin.genesis, addresses: chain.at, address: me, role };
            if *pinned.get_or_insert(here) != here {
                return Err(Unsafe(format!("{url} serves another chain than the others")).into());
            }
            pasts.push(past(&chain, me, role).await.with_context(|| format!("asking {url}"))?);
        }
        let (Some(pinned), Some(first)) = (pinned, pasts.first()) else { anyhow::bail!("chain.rpc names no provider") };
        let nonce = first.nonce;
        anyhow::ensure!(
            pasts.iter().all(|past| past.nonce == nonce),
            "the providers differ on the account's nonce; try again"
        );
        let mut jobs: BTreeSet<JobId> = pasts.into_iter().flat_map(|past| past.jobs).collect();
        let document = self.from.as_deref().map(read).transpose()?;
        let store = Store::create_anew(&database, pinned).map_err(fail)?;
        let mut finish = || {
            let done = match &document {
                Some(document) => store.import(document, true).map_err(fail_import)?,
                None => Imported::default(),
            };
            jobs.extend(store.known_jobs().map_err(fail)?);
            store.close(&jobs.iter().copied().collect::<Vec<_>>(), nonce).map_err(fail)?;
            anyhow::Ok(done)
        };
        let done = finish().inspect_err(|_| {
            let _ = std::fs::remove_file(&database); // nothing was signed from it
        })?;
        if self.json {
            println!("{}", json!({"closed_jobs": jobs, "nonce_floor": nonce, "receipts": done.segments}));
        } else {
            println!(
                "{}: {} jobs closed, next nonce {nonce}, {} receipts taken over",
                database.display(),
                jobs.len(),
                done.segments
            );
        }
        Ok(())
    }
}

async fn past(chain: &ChainView, me: Address, role: Role) -> anyhow::Result<Past> {
    let Agreed { value: Nonces { mined: nonce, most, .. }, quorum } = chain.rpc().nonces(me).await?;
    anyhow::ensure!(
        quorum,
        "too few providers answer to be sure of the nonce of {me}: try again, or add some to chain.rpc"
    );
    anyhow::ensure!(
        nonce == most,
        "{} transactions of {me} are on their way: wait until they are mined, and be sure that nothing sends more",
        most.saturating_sub(nonce)
    );
    let hello = crate::signer::hello(chain, me, role).await?;
    Ok(Past { jobs: hello.claims_on_chain.into_iter().map(|(job, _)| job).collect(), nonce })
}
