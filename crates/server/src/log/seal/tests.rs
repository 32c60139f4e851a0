//! Whoever has the key of one epoch and may write every file cannot change what was sealed before it without being found;
//! and wherever a server is killed, seal and key fit together again.

#![allow(clippy::arithmetic_side_effects, reason = "a test may panic")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::log::{Evidence, Log, OpenError, Rotation, VerifyError, tidy, verify};

const UNBOUNDED: Rotation = Rotation { bytes: u64::MAX, keep: None };

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("small")
    }
}

/// A log that is sealed, its state, and the state as it was in every epoch.
struct Sealed {
    directory: TempDir,
    key: VerificationKey,
    states: Vec<Vec<u8>>,
}

impl Sealed {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let key = create_sealing_state(&directory.path().join("server.seal")).expect("made");
        Self { directory, key, states: Vec::new() }
    }

    /// With this many seals and a few records around each.
    async fn with_epochs(epochs: usize, rotation: Rotation) -> Self {
        let mut sealed = Self::new();
        let mut dice = Dice(7);
        let log = sealed.open_with(rotation);
        for _ in 0..epochs {
            sealed.states.push(std::fs::read(sealed.state()).expect("a state"));
            append(&log, 1 + dice.below(5));
            log.seal().await.expect("sealed");
        }
        sealed.states.push(std::fs::read(sealed.state()).expect("a state"));
        append(&log, 2);
        sealed
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("server.seal")
    }

    fn open_with(&self, rotation: Rotation) -> Log {
        let (log, _) = Log::open(&self.log(), rotation).expect("opened");
        log.sealed_by(Sealer::open(&self.state()).expect("a state")).expect("it fits")
    }

    fn open(&self) -> Log {
        self.open_with(UNBOUNDED)
    }

    fn verify(&self) -> Result<crate::log::Verified, VerifyError> {
        let state = Some(read_sealing_state(&self.state()).expect("a state"));
        verify(&self.log(), &Evidence { keys: vec![self.key.clone()], state })
    }

    #[track_caller]
    fn assert_whole(&self, seals: u64) {
        let verified = self.verify().unwrap_or_else(|error| panic!("{error}"));
        let sealed = verified.sealed.expect("sealed");
        assert!(sealed.checked && sealed.complete);
        assert_eq!(sealed.epoch + 1, seals);
    }
}

fn append(log: &Log, count: usize) {
    for number in 0..count {
        log.append(|line| {
            line.text("event", "answered");
            line.number("number", number as u64);
        });
    }
    log.commit().expect("written");
}

/// A record as somebody has it who forges: without its number and its hash.
#[derive(Clone)]
struct Record {
    middle: String,
    epoch: Option<u64>,
}

fn read_records(text: &str) -> Vec<Record> {
    let record = |line: &str| {
        let middle = line.split_once(',').expect("a number").1.rsplit_once(",\"prev\"").expect("a hash").0;
        let epoch = Seal::read(line.as_bytes()).map(|seal| seal.epoch);
        Record { middle: middle.to_owned(), epoch }
    };
    text.lines().map(record).collect()
}

/// Writes a whole chain, with right seals from epoch `broken_in` on, which begin with this key.
fn forge(records: &[Record], broken_in: u64, key: &Key) -> String {
    let (mut text, mut previous) = (String::new(), [0; 32]);
    for (index, record) in records.iter().enumerate() {
        let mut line = format!("{{\"seq\":{},{}", index + 1, record.middle);
        if let Some(epoch) = record.epoch.filter(|epoch| *epoch >= broken_in) {
            let key = (broken_in..epoch).fold(key.clone(), |key, _| key.next());
            line.truncate(line.rfind(",\"mac\"").expect("a seal"));
            let mac = key.mac(&[SEAL, &previous, line.as_bytes()]);
            write!(line, ",\"mac\":\"{}\"", Key(mac).to_hex().as_str()).expect("memory");
        }
        write!(line, ",\"prev\":\"{}\"}}", Key(Zeroizing::new(previous)).to_hex().as_str()).expect("memory");
        previous = Sha256::digest(&line).into();
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[tokio::test]
async fn whoever_breaks_in_changes_nothing_that_was_sealed_before() {
    let sealed = Sealed::with_epochs(12, UNBOUNDED).await;
    sealed.assert_whole(12);
    let text = std::fs::read_to_string(sealed.log()).expect("text");
    let records = read_records(&text);
    let mut dice = Dice(42);
    let mut found = [0; 9];
    let mut missed = 0;
    for _ in 0..600 {
        let broken_in = 1 + dice.below(12);
        let stolen = SealingState::parse(&sealed.states[broken_in][..4096])
            .or_else(|| SealingState::parse(&sealed.states[broken_in][4096..]))
            .expect("a state");
        assert_eq!(stolen.epoch, broken_in as u64);
        let at_seal = |epoch: usize| {
            records.iter().position(|record| record.epoch == Some(epoch as u64)).expect("a seal")
        };
        // What stands up to the seal before the break-in, or after it.
        let last = at_seal(broken_in - 1);
        let place = dice.below(records.len() - 1);
        let mut forged = records.clone();
        let mut state = sealed.states[broken_in].clone();
        let kind = dice.below(found.len());
        match kind {
            0 => forged[place].middle.push_str(",\"more\":1"),
            1 => drop(forged.remove(place)),
            2 => forged.swap(place, place + 1),
            3 => forged.insert(place, Record { middle: records[0].middle.clone(), epoch: None }),
            4 => forged.truncate(place),
            // The end is cut off, and another one sealed with what was stolen.
            5 => {
                forged.truncate(place);
                let seal = records[at_seal(broken_in.min(11))]
                    .middle
                    .replace(&format!("\"epoch\":{}", broken_in.min(11)), &format!("\"epoch\":{broken_in}"));
                forged.push(Record { middle: seal, epoch: Some(broken_in as u64) });
            }
            // The state says that less was sealed than was.
            6 => {
                forged.truncate(place);
                let seals = forged.iter().filter(|record| record.epoch.is_some()).count();
                let fewer = SealingState { epoch: seals as u64, ..stolen.clone_for_test() };
                state = [fewer.spelled().to_vec(), vec![b'\n'; 4096]].concat();
            }
            7 => forged.retain(|record| record.epoch.is_none()),
            _ => drop(forged.drain(..place)),
        }
        std::fs::write(sealed.log(), forge(&forged, broken_in as u64, &stolen.key)).expect("written");
        std::fs::write(sealed.state(), state).expect("written");
        let first_changed = if matches!(kind, 7 | 8) { 0 } else { place };
        // The first number of what was cut off in front is missed by who reads from 1.
        let nothing_changed = kind == 8 && place == 0;
        match sealed.verify() {
            Ok(_) => {
                assert!(first_changed > last || nothing_changed, "kind {kind} at {place} in {broken_in}");
                missed += 1;
            }
            Err(error @ VerifyError::Io { .. }) => panic!("{error}"),
            Err(_) => found[kind] += 1,
        }
    }
    assert!(found.iter().all(|count| *count > 20), "{found:?}");
    // What came after the last seal before the break-in is the attacker's: this test would show if it were too strict.
    assert!(missed > 30, "{missed}");
}

impl SealingState {
    fn clone_for_test(&self) -> Self {
        Self { name: self.name.clone(), epoch: self.epoch, key: self.key.clone() }
    }
}

#[tokio::test]
async fn a_seal_is_right_only_under_its_key_and_as_the_server_spells_it() {
    let sealed = Sealed::with_epochs(3, UNBOUNDED).await;
    let text = std::fs::read_to_string(sealed.log()).expect("text");
    let other = Sealed::new();
    let error = |keys, content: &str| {
        std::fs::write(sealed.log(), content).expect("written");
        verify(&sealed.log(), &Evidence { keys, state: None }).expect_err("found").to_string()
    };
    assert!(error(vec![other.key.clone()], &text).contains("which is none of those given"));
    let spaced = text.replacen("\"event\":\"sealed\"", "\"event\": \"sealed\"", 1);
    assert!(error(vec![sealed.key.clone()], &spaced).contains("this is no record"));
    let unnamed = text.replacen("\"sealing_key\":", "\"sealing_keys\":", 1);
    assert!(error(vec![sealed.key.clone()], &unnamed).contains("is no seal of bidden's"));
    let first = text.split_inclusive('\n').next().expect("a line");
    assert!(error(vec![sealed.key.clone()], first).contains("the log has no seal"));
    // Without the key the numbers of the seals must still be right.
    let records: Vec<_> = read_records(&text).into_iter().filter(|record| record.epoch != Some(1)).collect();
    let gap = forge(&records, 9, &sealed.key.0);
    assert!(error(vec![], &gap).contains("seal 2 stands where seal 1 is expected"));
    // With both keys, or without any, the log is right.
    std::fs::write(sealed.log(), text).expect("written");
    let keys = vec![other.key.clone(), sealed.key.clone()];
    assert!(verify(&sealed.log(), &Evidence { keys, state: None }).is_ok());
    assert!(verify(&sealed.log(), &Evidence::default()).is_ok());
}

#[tokio::test]
async fn a_log_goes_on_under_a_second_state() {
    let sealed = Sealed::with_epochs(3, UNBOUNDED).await;
    std::fs::remove_file(sealed.state()).expect("removed");
    let second = create_sealing_state(&sealed.state()).expect("made");
    let log = sealed.open();
    append(&log, 3);
    log.seal_everything().await.expect("sealed");
    drop(log);
    let check = |keys| {
        let state = Some(read_sealing_state(&sealed.state()).expect("a state"));
        verify(&sealed.log(), &Evidence { keys, state })
    };
    assert_eq!(
        check(vec![sealed.key.clone(), second.clone()]).expect("right").sealed.expect("sealed").epoch,
        0
    );
    assert!(check(vec![second]).is_err(), "the seals of the first state are not checked");
}

#[tokio::test]
async fn wherever_a_server_is_killed_the_next_one_goes_on() {
    for step in 0..7 {
        let sealed = Sealed::with_epochs(3, UNBOUNDED).await;
        let (text, state) = (std::fs::read(sealed.log()).expect("a log"), sealed.states[3].clone());
        let mut seals = 4;
        // What the next seal leaves behind, as a whole.
        let log = sealed.open();
        append(&log, 2);
        let before = std::fs::read(sealed.log()).expect("a log");
        log.seal().await.expect("sealed");
        drop(log);
        let after = std::fs::read(sealed.log()).expect("a log");
        let next_state = std::fs::read(sealed.state()).expect("a state");
        // The third state stands in the second place, the fourth in the first.
        assert_eq!(SealingState::parse(&next_state[..4096]).map(|state| state.epoch), Some(4));
        assert!(SealingState::parse(&next_state[4096..]).is_none());
        let (kept_log, kept_state) = match step {
            0 => (text, state),
            1 => (before, state),
            2 => (after[..after.len() - 40].to_vec(), state),
            3 => (after, state),
            // The next key is written, in part or as a whole, and the one before is not erased yet.
            4 => (after, [&next_state[..50], &state[50..]].concat()),
            5 => (after, [&next_state[..4096], &state[4096..]].concat()),
            _ => (after, next_state),
        };
        if step < 3 {
            seals = 3;
        }
        std::fs::write(sealed.log(), kept_log).expect("written");
        std::fs::write(sealed.state(), kept_state).expect("written");
        // The verifier takes it as it is.
        if step != 2 {
            let verified = sealed.verify().unwrap_or_else(|error| panic!("step {step}: {error}"));
            assert_eq!(verified.sealed.expect("sealed").epoch + 1, seals, "step {step}");
        }
        let log = sealed.open();
        let erased = std::fs::read(sealed.state()).expect("a state");
        assert!(
            erased[..4096].iter().all(|byte| *byte == b'\n')
                || erased[4096..].iter().all(|byte| *byte == b'\n')
        );
        append(&log, 2);
        log.seal_everything().await.expect("sealed");
        drop(log);
        sealed.assert_whole(seals + 1);
    }
}

#[tokio::test]
async fn a_seal_that_was_cut_short_is_finished_and_not_made_twice() {
    let sealed = Sealed::with_epochs(2, UNBOUNDED).await;
    let log = sealed.open();
    append(&log, 1);
    {
        // The wait for the disk is given up, as when the server stops.
        let mut seal = std::pin::pin!(log.seal());
        let polled = futures_util::poll!(seal.as_mut());
        assert!(polled.is_pending());
    }
    append(&log, 1);
    log.seal_everything().await.expect("sealed");
    drop(log);
    sealed.assert_whole(4);
}

#[tokio::test]
async fn seals_go_on_through_rotation_and_outlive_the_oldest_files() {
    let rotation = Rotation { bytes: 3000, keep: Some(2) };
    let sealed = Sealed::with_epochs(40, rotation).await;
    tidy(&sealed.log(), rotation, u64::MAX);
    let verified = sealed.verify().expect("right");
    assert!(verified.first > 1 && verified.files == 3, "{verified:?}");
    let log = sealed.open_with(rotation);
    append(&log, 1);
    log.seal_everything().await.expect("sealed");
    drop(log);
    // One more where the seal filled a file, because the next begins with a record too.
    assert!(sealed.verify().expect("right").sealed.expect("sealed").epoch >= 40);
    // A file with the last seal is kept, however many files came after it.
    let log = sealed.open_with(rotation);
    let last = log.last_seal();
    for _ in 0..10 {
        append(&log, 30);
    }
    drop(log);
    tidy(&sealed.log(), rotation, last.unwrap_or(u64::MAX));
    assert!(sealed.verify().expect("right").files > 3);
    drop(sealed.open_with(rotation));
}

#[tokio::test]
async fn a_log_that_began_unsealed_is_sealed_from_its_first_record_on() {
    let sealed = Sealed::new();
    let (log, _) = Log::open(&sealed.log(), UNBOUNDED).expect("opened");
    append(&log, 20);
    drop(log);
    assert!(sealed.verify().expect("nothing is sealed yet").sealed.is_none());
    let log = sealed.open();
    append(&log, 1);
    log.seal().await.expect("sealed");
    drop(log);
    sealed.assert_whole(1);
    let text = std::fs::read_to_string(sealed.log()).expect("text");
    let mut records = read_records(&text);
    records[3].middle.push_str(",\"more\":1");
    std::fs::write(sealed.log(), forge(&records, 1, &sealed.key.0.next())).expect("written");
    assert!(sealed.verify().is_err());
}

#[tokio::test]
async fn a_state_does_not_go_on_in_another_log() {
    let sealed = Sealed::with_epochs(3, UNBOUNDED).await;
    let refused = |what: &str| {
        let (log, _) = Log::open(&sealed.log(), UNBOUNDED).expect("opened");
        match log.sealed_by(Sealer::open(&sealed.state()).expect("a state")) {
            Err(OpenError::Seal(error @ SealError::OtherLog { .. })) => {
                assert!(error.to_string().contains(what), "{error}");
            }
            _ => panic!("it goes on, and not: {what}"),
        }
    };
    let text = std::fs::read_to_string(sealed.log()).expect("text");
    let seals: Vec<_> = text.match_indices("\"event\":\"sealed\"").map(|(at, _)| at).collect();
    let up_to = text[..seals[2]].rfind('\n').expect("a line");
    std::fs::write(sealed.log(), &text[..=up_to]).expect("written");
    refused("its last seal would be number 2, and that of the log is number 1");
    std::fs::remove_file(sealed.log()).expect("removed");
    refused("it has made 3 seals, and the log has none");
    std::fs::write(sealed.log(), &text).expect("written");
    std::fs::write(sealed.state(), &sealed.states[2]).expect("written");
    let mac = text.rfind("\"mac\":\"").expect("a seal") + 7;
    let other = if text.as_bytes()[mac] == b'0' { "1" } else { "0" };
    std::fs::write(sealed.log(), [&text[..mac], other, &text[mac + 1..]].concat()).expect("written");
    refused("was not made with its key");
}

#[test]
fn a_state_that_cannot_be_used_says_why() {
    use std::os::unix::fs::PermissionsExt as _;
    let sealed = Sealed::new();
    let path = sealed.state();
    let check = |path: &Path, expected: &str| {
        let error = Sealer::open(path).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    };
    assert!(matches!(create_sealing_state(&path), Err(SealError::Exists(_))));
    let open = Sealer::open(&path).expect("opened");
    check(&path, "in use by another");
    assert!(!format!("{open:?}").contains(open.key().to_hex().as_str()));
    drop(open);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("set");
    check(&path, "others can read it (mode 0640)");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
    let whole = std::fs::read(&path).expect("a state");
    for spoiled in [&whole[..100], b"", &[&whole[..30], b"f", &whole[31..]].concat(), &vec![0; 8192]] {
        if spoiled != whole.as_slice() {
            std::fs::write(&path, spoiled).expect("written");
            check(&path, "is no sealing state");
        }
    }
    check(&path.with_extension("missing"), "`bidden log keygen");
    check(sealed.directory.path(), "");
}
