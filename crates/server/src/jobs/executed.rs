//! The ids of requests that were executed, on disk and found by hash: memory does not grow with them, whatever kills the
//! server. What a job came to is not here, and nothing that a client wrote.
//!
//! Everything here can be made anew from the log, which is read again from the first record on whose ids are not here yet.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, ReadOnlyTable, ReadableDatabase as _, ReadableTable as _,
    TableDefinition, TableError, TableHandle as _,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::Bounds;
use super::ids::{Digest, Key};
use crate::limits::{ID_MEMORY, ID_PERIOD, IDS_CACHE_BYTES, IDS_INTERVAL};
use crate::moment::{ClockState, MemoryClock, Moment};

/// Which table has the ids of a period, and what is asked of each id: the hash of user and id; the digest of the order.
const fn ids(name: &str) -> TableDefinition<'_, u128, u128> {
    TableDefinition::new(name)
}

/// How many ids each user has used in each period.
const SHARES: TableDefinition<'_, (u64, &str), u64> = TableDefinition::new("shares");

/// What is known of the file as a whole.
const META: TableDefinition<'_, &str, u128> = TableDefinition::new("meta");
const FORMAT: (&str, u128) = ("format", 1);
const THROUGH: &str = "through";
const BOOT: &str = "boot";
const AHEAD: &str = "ahead_ms";
const LAST: &str = "last_ms";

/// The ids of executed requests cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the file of used ids {path}: {reason}")]
pub(crate) struct Unusable {
    path: String,
    reason: String,
}

/// All ids that were used. Lives on one thread, beside the one that writes.
pub(crate) struct ExecutedIds {
    path: PathBuf,
    clock: MemoryClock,
    by_user: u64,
    unstored_at_most: usize,
    /// None after an error, until the file could be opened again.
    store: RefCell<Option<Store>>,
    /// Used since the file was written last.
    unstored: RefCell<HashMap<u128, Used>>,
    /// Being written.
    storing: RefCell<HashMap<u128, Used>>,
    /// How many there are of each user, by period: those in the file and those on their way there.
    shares: RefCell<BTreeMap<u64, HashMap<Rc<str>, u64>>>,
    through: Cell<u64>,
    wanted: Notify,
}

/// The open file.
struct Store {
    database: Arc<Database>,
    /// As it was written last, the oldest period first.
    periods: Vec<(u64, ReadOnlyTable<u128, u128>)>,
}

#[derive(Clone, Copy)]
struct Used {
    period: u64,
    digest: u128,
}

/// What is to be written at once.
struct Batch {
    ids: Vec<(u64, u128, u128)>,
    shares: BTreeMap<(u64, String), u64>,
    through: u64,
    clock: ClockState,
    /// Older ones are removed.
    first_period: u64,
}

impl ExecutedIds {
    /// Opens the file beside the log at `log`, or makes it. One that is damaged is made anew: the log has what was in it.
    /// Returns a complaint about it too.
    ///
    /// # Errors
    /// The file cannot be opened, or another server has it.
    pub(crate) fn open(log: &Path, bounds: Bounds) -> Result<(Self, Option<String>), Unusable> {
        let path = log.with_extension("ids");
        let (database, complaint) = match open(&path) {
            Ok(database) => (database, None),
            Err(error) if is_damaged(&error) => {
                let complaint = format!("{}: {error}; it is made anew from the log", path.display());
                fs::remove_file(&path).map_err(unusable(&path))?;
                (open(&path).map_err(unusable(&path))?, Some(complaint))
            }
            Err(error) => return Err(unusable(&path)(error)),
        };
        let (through, clock, shares) = read_meta(&database).map_err(unusable(&path))?;
        let executed = Self {
            clock: MemoryClock::after(clock),
            by_user: bounds.ids_by_user,
            unstored_at_most: bounds.ids_unstored,
            store: RefCell::new(Some(Store::new(Arc::new(database)).map_err(unusable(&path))?)),
            unstored: RefCell::default(),
            storing: RefCell::default(),
            shares: RefCell::new(shares),
            through: Cell::new(through),
            wanted: Notify::new(),
            path,
        };
        Ok((executed, complaint))
    }

    /// The clock that says how long an id is remembered.
    pub(crate) fn clock(&self) -> MemoryClock {
        self.clock
    }

    /// The number of the record up to which the file has every id that the log has.
    pub(crate) fn stored_through(&self) -> u64 {
        self.through.get()
    }

    /// The log ends with this record. One that ends before what is stored has lost its end, or is another.
    pub(crate) fn log_ends_with(&self, record: u64) {
        self.through.set(self.through.get().min(record));
    }

    /// What an id was used for, if it was.
    ///
    /// # Errors
    /// That cannot be known.
    pub(super) fn find(&self, key: &Key, now: Moment) -> Result<Option<u128>, Unusable> {
        let hash = hash(key);
        let first_period = first_period(now);
        for used in [&self.unstored, &self.storing] {
            if let Some(used) = used.borrow().get(&hash).filter(|used| used.period >= first_period) {
                return Ok(Some(used.digest));
            }
        }
        let store = self.store.borrow();
        let store = store.as_ref().ok_or_else(|| unusable(&self.path)("it cannot be read"))?;
        for (_, table) in store.periods.iter().rev().take_while(|(period, _)| *period >= first_period) {
            if let Some(found) = table.get(hash).map_err(unusable(&self.path))? {
                return Ok(Some(found.value()));
            }
        }
        Ok(None)
    }

    /// Whether a user may use another id.
    ///
    /// # Errors
    /// Not now; in so long, as far as is known.
    pub(super) fn room_for(&self, user: &str, now: Moment) -> Result<(), Duration> {
        if self.unstored.borrow().len().saturating_add(self.storing.borrow().len()) >= self.unstored_at_most {
            return Err(IDS_INTERVAL);
        }
        let mut shares = self.shares.borrow_mut();
        *shares = shares.split_off(&first_period(now));
        let own = || shares.iter().filter_map(|(period, share)| Some((*period, *share.get(user)?)));
        if own().map(|(_, count)| count).fold(0, u64::saturating_add) < self.by_user {
            return Ok(());
        }
        let oldest = own().next().map_or(0, |(period, _)| period);
        Err(forgotten(oldest).since(now).max(IDS_INTERVAL))
    }

    /// Notes that an id was used up, from now on for as long as an id is remembered.
    pub(super) fn note(&self, key: &Key, digest: &Digest, now: Moment) {
        let used = Used { period: period(now), digest: first_half(digest) };
        let mut shares = self.shares.borrow_mut();
        let share = shares.entry(used.period).or_default().entry(Rc::clone(&key.user)).or_default();
        *share = share.saturating_add(1);
        self.unstored.borrow_mut().insert(hash(key), used);
        self.wanted.notify_one();
    }

    /// How many ids are remembered.
    pub(crate) fn count(&self, now: Moment) -> u64 {
        let shares = self.shares.borrow();
        let counts = shares.range(first_period(now)..).flat_map(|(_, share)| share.values());
        counts.copied().fold(0, u64::saturating_add)
    }

    /// Has the file written soon, though nothing was noted.
    pub(crate) fn want_to_store(&self) {
        self.wanted.notify_one();
    }

    /// Completes when there is something to write, and has been for a moment.
    pub(crate) async fn wait_for_work(&self) {
        if self.unstored.borrow().is_empty() {
            self.wanted.notified().await;
        }
        tokio::time::sleep(IDS_INTERVAL).await;
    }

    /// Writes what was noted, where `records` is the number of the newest record.
    ///
    /// # Errors
    /// It cannot be written: it is kept, and tried again with the next.
    pub(crate) async fn store(&self, records: u64, now: Moment) -> Result<(), Unusable> {
        let batch = self.batch(records, now);
        let written = self.write(batch).await;
        let mut storing = self.storing.borrow_mut();
        match written {
            Ok(store) => {
                storing.clear();
                *self.store.borrow_mut() = Some(store);
                self.through.set(records);
                Ok(())
            }
            Err(error) => {
                *self.store.borrow_mut() = None;
                // What was noted meanwhile under the same hash is the newer use.
                for (hash, used) in storing.drain() {
                    self.unstored.borrow_mut().entry(hash).or_insert(used);
                }
                Err(error)
            }
        }
    }

    fn batch(&self, through: u64, now: Moment) -> Batch {
        let used = std::mem::take(&mut *self.unstored.borrow_mut());
        let mut ids: Vec<_> = used.iter().map(|(hash, used)| (used.period, *hash, used.digest)).collect();
        // In the order of the tables: each page of a table is then written once.
        ids.sort_unstable();
        let mut shares = BTreeMap::new();
        let first_period = first_period(now);
        for (period, counts) in self.shares.borrow().range(first_period..) {
            shares.extend(counts.iter().map(|(user, count)| ((*period, (**user).to_owned()), *count)));
        }
        *self.storing.borrow_mut() = used;
        Batch { ids, shares, through, clock: self.clock.state(now), first_period }
    }

    async fn write(&self, batch: Batch) -> Result<Store, Unusable> {
        let open_database = self.store.borrow().as_ref().map(|store| Arc::clone(&store.database));
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || {
            let database = match open_database {
                Some(database) => database,
                None => Arc::new(open(&path)?),
            };
            batch.write(&database)?;
            Store::new(database)
        });
        match written.await {
            Ok(written) => written.map_err(unusable(&self.path)),
            Err(error) => Err(unusable(&self.path)(error)),
        }
    }
}

impl Store {
    fn new(database: Arc<Database>) -> Result<Self, redb::Error> {
        let reading = database.begin_read()?;
        let mut periods = Vec::new();
        for table in reading.list_tables()? {
            if let Some(period) = period_of(table.name()) {
                periods.push((period, reading.open_table(ids(table.name()))?));
            }
        }
        periods.sort_unstable_by_key(|(period, _)| *period);
        Ok(Self { database, periods })
    }
}

impl Batch {
    /// Writes all of it or nothing, to the disk.
    fn write(&self, database: &Database) -> Result<(), redb::Error> {
        let writing = database.begin_write()?;
        for period in self.ids.chunk_by(|one, other| one.0 == other.0) {
            let Some((number, ..)) = period.first() else { continue };
            let mut table = writing.open_table(ids(&table_name(*number)))?;
            for (_, hash, digest) in period {
                table.insert(hash, digest)?;
            }
        }
        let old: Vec<_> = writing
            .list_tables()?
            .map(|table| table.name().to_owned())
            .filter(|name| period_of(name).is_some_and(|period| period < self.first_period))
            .collect();
        for name in old {
            writing.delete_table(ids(&name))?;
        }
        {
            let mut shares = writing.open_table(SHARES)?;
            shares.retain(|(period, _), _| period >= self.first_period)?;
            for ((period, user), count) in &self.shares {
                shares.insert((*period, user.as_str()), count)?;
            }
            let mut meta = writing.open_table(META)?;
            meta.insert(FORMAT.0, FORMAT.1)?;
            meta.insert(THROUGH, u128::from(self.through))?;
            meta.insert(BOOT, self.clock.boot)?;
            meta.insert(AHEAD, self.clock.ahead.as_millis())?;
            meta.insert(LAST, self.clock.last.since_the_first().as_millis())?;
        }
        writing.commit()?;
        Ok(())
    }
}

type Shares = BTreeMap<u64, HashMap<Rc<str>, u64>>;

fn read_meta(database: &Database) -> Result<(u64, ClockState, Shares), redb::Error> {
    let reading = database.begin_read()?;
    let meta = match reading.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::TableDoesNotExist(_)) => return Ok((0, ClockState::default(), Shares::new())),
        Err(error) => return Err(error.into()),
    };
    let number = |key| Ok::<_, redb::Error>(meta.get(key)?.map_or(0, |value| value.value()));
    let duration = |key| Ok::<_, redb::Error>(milliseconds(number(key)?));
    let clock =
        ClockState { boot: number(BOOT)?, ahead: duration(AHEAD)?, last: Moment::new(duration(LAST)?) };
    let mut shares = Shares::new();
    for share in reading.open_table(SHARES)?.iter()? {
        let (key, count) = share?;
        let (period, user) = key.value();
        shares.entry(period).or_default().insert(user.into(), count.value());
    }
    Ok((u64::try_from(number(THROUGH)?).unwrap_or(0), clock, shares))
}

fn milliseconds(count: u128) -> Duration {
    Duration::from_millis(u64::try_from(count).unwrap_or(u64::MAX))
}

/// The owner alone reads and writes it, like the log.
fn open(path: &Path) -> Result<Database, DatabaseError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // What others wrote into the file must not be taken for ours: the whole of it is looked at.
    Builder::new()
        .set_cache_size(IDS_CACHE_BYTES)
        .set_check_integrity_on_open(true)
        .create_with_backend(FileBackend::new(file)?)
}

fn is_damaged(error: &DatabaseError) -> bool {
    use redb::StorageError::{Corrupted, Io};
    match error {
        DatabaseError::UpgradeRequired(_) | DatabaseError::Storage(Corrupted(_)) => true,
        DatabaseError::Storage(Io(error)) => {
            matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
        }
        _ => false,
    }
}

fn unusable<E: ToString>(path: &Path) -> impl Fn(E) -> Unusable + '_ {
    |reason| Unusable { path: path.display().to_string(), reason: reason.to_string() }
}

const PERIOD: &str = "ids-";

fn table_name(period: u64) -> String {
    format!("{PERIOD}{period}")
}

fn period_of(name: &str) -> Option<u64> {
    name.strip_prefix(PERIOD)?.parse().ok()
}

/// The period that a moment falls into.
fn period(moment: Moment) -> u64 {
    let period = moment.since_the_first().as_millis().checked_div(ID_PERIOD.as_millis()).unwrap_or(0);
    u64::try_from(period).unwrap_or(u64::MAX)
}

/// The first period of which ids are still remembered: one that has ended longer ago than that is forgotten as a whole.
fn first_period(now: Moment) -> u64 {
    period(Moment::new(now.since_the_first().saturating_sub(ID_MEMORY)))
}

/// When a period is forgotten.
fn forgotten(period: u64) -> Moment {
    let end = u32::try_from(period.saturating_add(1)).unwrap_or(u32::MAX);
    Moment::new(ID_PERIOD.saturating_mul(end).saturating_add(ID_MEMORY))
}

/// An id belongs to its user. Two that have the same hash would have to be looked for 2^64 times.
fn hash(key: &Key) -> u128 {
    let mut hash = Sha256::new();
    hash.update((key.user.len() as u64).to_le_bytes());
    hash.update(&*key.user);
    hash.update(key.id.as_str());
    half(hash.finalize().as_slice())
}

/// What of an order's digest is kept.
pub(super) fn first_half(digest: &Digest) -> u128 {
    half(digest.shown())
}

fn half(hash: &[u8]) -> u128 {
    hash.first_chunk().map_or(0, |half| u128::from_le_bytes(*half))
}
