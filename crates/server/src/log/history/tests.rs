//! Records in, rows out: each job and each other request once, from every file, whenever it is read.

#![allow(clippy::arithmetic_side_effects, reason = "a test may panic")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{History, HistoryFilter, HistoryReader, HistoryRow, RowState, history};
use crate::log::{Evidence, Log, Rotation, VerifyError, tidy, verify};

const UNBOUNDED: Rotation = Rotation { bytes: u64::MAX, keep: None };

/// A log of records that are written as they stand here, one a minute from 12:00 on.
struct Book {
    directory: TempDir,
    records: u64,
}

impl Book {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory"), records: 0 }
    }

    fn with(records: &[&str]) -> Self {
        let mut book = Self::new();
        book.write(records);
        book
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    /// What stands between `seq` and `prev` but for the time.
    fn write(&mut self, records: &[&str]) {
        let file = std::fs::File::options().append(true).create(true).open(self.path());
        let mut file = file.expect("opened");
        for record in records {
            self.records += 1;
            let (hour, minute) = (12 + self.records / 60, self.records % 60);
            writeln!(
                file,
                "{{\"seq\":{},\"time\":\"2026-11-24T{hour:02}:{minute:02}:00.000000Z\",{record},\"prev\":\"00\"}}",
                self.records
            )
            .expect("written");
        }
    }

    fn rotate(&self, compress: bool) {
        let name = format!("server.log.{:012}", self.records);
        std::fs::rename(self.path(), self.directory.path().join(name)).expect("moved");
        if compress {
            tidy(&self.path(), UNBOUNDED, u64::MAX);
        }
    }

    fn rows(&self, filter: HistoryFilter) -> Vec<HistoryRow> {
        history(&self.path(), filter, usize::MAX).expect("read").rows
    }

    fn all(&self) -> Vec<String> {
        short(&self.rows(HistoryFilter::default()))
    }
}

/// Of each row who, what, how it ended.
fn short(rows: &[HistoryRow]) -> Vec<String> {
    let number = |number: Option<i32>| number.map(|number| number.to_string());
    let words = |row: &HistoryRow| {
        [
            row.user.clone(),
            row.command.clone().or_else(|| row.expression.clone()).or_else(|| row.command_type.clone()),
            (!row.parameters.is_empty()).then(|| row.parameters.join("+")),
            (row.state != RowState::Ended).then(|| format!("{:?}", row.state)),
            row.code.clone().or_else(|| number(row.exit_code)).or_else(|| number(row.signal)),
            row.result.as_ref().map(|value| value.get().to_owned()),
        ]
    };
    rows.iter().map(|row| words(row).into_iter().flatten().collect::<Vec<_>>().join(" ")).collect()
}

const SERVER: &str = r#""event":"server_started","version":"0.1.0""#;
const STARTED: &str = r#""event":"started","user":"ann","peer":"127.0.0.1:1","request":{"command_type":"os","command_name":"ping","parameters":["-c","1"]},"job":"a-1","command":"ping","parameters":["-c","1"],"program":"/bin/ping","arguments":["-c","1"]"#;
const ENDED: &str = r#""event":"ended","user":"ann","command":"ping","job":"a-1","reply":{"status":"success","result":"64 bytes\n","stderr":"","exit_code":1,"duration_ms":12.500}"#;
const ANSWERED: &str = r#""event":"answered","user":"ann","peer":"127.0.0.1:1","request":{"command_type":"os","command_name":"ping","parameters":["-c","1"]},"reply":{"status":"success","exit_code":1,"job":"a-1","duration_ms":13.000}"#;
/// As the first servers wrote it, which knew no `ended`.
const ANSWERED_ALL: &str = r#""event":"answered","user":"ann","peer":"127.0.0.1:1","request":{"command_type":"os","command_name":"ping","parameters":["-c","1"]},"reply":{"status":"success","result":"64 bytes\n","stderr":"","exit_code":1,"job":"a-1","duration_ms":12.500}"#;
const COMPUTED: &str = r#""event":"answered","user":"bob","request":{"command_type":"compute","expression":"6*7"},"reply":{"status":"success","result":42,"type":"int","duration_ms":0.010}"#;
const REFUSED: &str = r#""event":"answered","user":"bob","request":{"command_type":"os","command_name":"\u0072m","parameters":["-rf"]},"reply":{"status":"error","message":"not available","code":"refused","duration_ms":0.020},"reason":"no such command""#;
const DETACHED: &str = r#""event":"answered","user":"ann","request":{"command_type":"os","command_name":"ping","detach":true},"reply":{"status":"success","job":"a-1","state":"running","duration_ms":0.100}"#;

#[test]
fn a_job_is_one_row_however_many_records_it_has() {
    let ping = "ann ping -c+1 1";
    for (records, rows) in [
        (&[SERVER, STARTED, ENDED, ANSWERED][..], &[ping][..]),
        (&[SERVER, STARTED, ENDED, ANSWERED, ANSWERED], &[ping]),
        (&[SERVER, STARTED, DETACHED, ENDED], &[ping]),
        (&[SERVER, STARTED, ANSWERED_ALL], &[ping]),
        (&[SERVER, ANSWERED_ALL], &[ping]),
        (&[SERVER, ENDED], &["ann ping 1"]),
        (&[SERVER, STARTED], &["ann ping -c+1 Running"]),
        (&[SERVER, STARTED, DETACHED], &["ann ping -c+1 Running"]),
        (&[SERVER, STARTED, SERVER], &["ann ping -c+1 Unknown"]),
        (&[SERVER, STARTED, SERVER, ENDED, ANSWERED], &[ping]),
        (&[SERVER, COMPUTED, REFUSED], &["bob 6*7 42", "bob rm -rf refused"]),
        (&[SERVER, STARTED, COMPUTED, ENDED, ANSWERED, COMPUTED], &[ping, "bob 6*7 42", "bob 6*7 42"]),
        (&[SERVER, STARTED, COMPUTED], &["bob 6*7 42", "ann ping -c+1 Running"]),
        (&[SERVER], &[]),
    ] {
        assert_eq!(Book::with(records).all(), rows, "{records:#?}");
    }
}

#[test]
fn a_row_has_what_its_records_say() {
    let rows = Book::with(&[SERVER, STARTED, ENDED, ANSWERED, REFUSED]).rows(HistoryFilter::default());
    let [job, refused] = rows.as_slice() else { panic!("{rows:#?}") };
    let expected = r#"{"record":2,"time":"2026-11-24T12:02:00.000000Z","ended":"2026-11-24T12:03:00.000000Z","state":"ended","user":"ann","peer":"127.0.0.1:1","command_type":"os","command":"ping","parameters":["-c","1"],"job":"a-1","status":"success","exit_code":1,"duration_ms":12.5}"#;
    assert_eq!(String::from_utf8(job.to_json()).expect("UTF-8"), expected);
    assert!(job.failed() && refused.failed());
    assert_eq!(refused.reason.as_deref(), Some("no such command"));
    let odd =
        HistoryRow { request_text: Some("\u{1b}[2J\u{202e}\u{9b}\n".to_owned()), ..HistoryRow::default() };
    let json = String::from_utf8(odd.to_json()).expect("UTF-8");
    assert!(json.contains(r"\u001b[2J\u202e\u009b\n") && json.is_ascii(), "{json}");
}

#[test]
fn filters_hold_together() {
    let killed = ENDED.replace("\"exit_code\":1", "\"signal\":9").replace("a-1", "a-2").replace("ann", "bob");
    let started = STARTED.replace("a-1", "a-2").replace("ann", "bob");
    let good = [
        STARTED.replace("a-1", "a-3"),
        ENDED.replace("a-1", "a-3").replace("\"exit_code\":1", "\"exit_code\":0"),
    ];
    // Minute 2 to 10.
    let book = Book::with(&[
        SERVER, STARTED, ENDED, COMPUTED, REFUSED, &started, &killed, &good[0], &good[1], COMPUTED,
    ]);
    let check = |filter: HistoryFilter, expected: &[&str]| assert_eq!(short(&book.rows(filter)), expected);
    let user = |name: &str| HistoryFilter { user: Some(name.into()), ..Default::default() };
    let command = |name: &str| HistoryFilter { command: Some(name.into()), ..Default::default() };
    check(user("ann"), &["ann ping -c+1 1", "ann ping -c+1 0"]);
    check(user("an"), &[]);
    check(user("bob\""), &[]);
    check(command("ping"), &["ann ping -c+1 1", "bob ping -c+1 9", "ann ping -c+1 0"]);
    check(command("rm"), &["bob rm -rf refused"]);
    check(command("6*7"), &[]);
    check(
        HistoryFilter { failed: true, ..Default::default() },
        &["ann ping -c+1 1", "bob rm -rf refused", "bob ping -c+1 9"],
    );
    check(HistoryFilter { failed: true, ..user("bob") }, &["bob rm -rf refused", "bob ping -c+1 9"]);
    check(HistoryFilter { command: Some("ping".into()), ..user("bob") }, &["bob ping -c+1 9"]);
    let since =
        |time: &str| HistoryFilter { since: Some(time.parse().expect("a time")), ..Default::default() };
    check(since("2026-11-24T12:09:00Z"), &["ann ping -c+1 0", "bob 6*7 42"]);
    check(since("2026-11-24T12:09:00.000001Z"), &["bob 6*7 42"]);
    check(since("2026-11-25T00:00:00Z"), &[]);
    check(HistoryFilter { user: Some("ann".into()), ..since("2026-11-24T12:05:00Z") }, &["ann ping -c+1 0"]);
}

#[test]
fn what_has_not_ended_is_filtered_too() {
    let book = Book::with(&[SERVER, &STARTED.replace("a-1", "a-0"), SERVER, STARTED]);
    assert_eq!(book.all(), ["ann ping -c+1 Unknown", "ann ping -c+1 Running"]);
    let since = |time: &str| Some(time.parse().expect("a time"));
    let check = |filter: HistoryFilter, expected: &[&str]| assert_eq!(short(&book.rows(filter)), expected);
    check(HistoryFilter { failed: true, ..Default::default() }, &["ann ping -c+1 Unknown"]);
    check(HistoryFilter { user: Some("bob".into()), ..Default::default() }, &[]);
    check(
        HistoryFilter { since: since("2026-11-24T12:30:00Z"), ..Default::default() },
        &["ann ping -c+1 Running"],
    );
}

#[test]
fn a_job_is_joined_through_files_and_compression() {
    for compress in [false, true] {
        let mut book = Book::with(&[SERVER, COMPUTED, STARTED]);
        book.rotate(compress);
        book.write(&[r#""event":"log_continued","after":"x""#, COMPUTED]);
        book.rotate(compress);
        assert_eq!(book.all(), ["bob 6*7 42", "bob 6*7 42", "ann ping -c+1 Running"], "no file is written");
        book.write(&[ENDED, ANSWERED]);
        assert_eq!(book.all(), ["bob 6*7 42", "ann ping -c+1 1", "bob 6*7 42"]);
    }
}

#[test]
fn the_newest_rows_have_room() {
    let mut book = Book::with(&[SERVER, COMPUTED, COMPUTED, REFUSED, STARTED]);
    let read = |book: &Book, max| history(&book.path(), HistoryFilter::default(), max).expect("read");
    let newest = read(&book, 2);
    assert_eq!(
        (short(&newest.rows), newest.earlier),
        (vec!["bob rm -rf refused".to_owned(), "ann ping -c+1 Running".into()], 2)
    );
    assert_eq!((read(&book, 0).rows.len(), read(&book, 0).earlier), (0, 4));
    assert_eq!(read(&book, 4).earlier, 0);
    book.write(&[ENDED]);
    assert_eq!(short(&read(&book, 1).rows), ["ann ping -c+1 1"]);
}

#[test]
fn lines_that_are_no_records_are_counted_and_a_torn_one_waits() {
    let book = Book::with(&[SERVER, COMPUTED]);
    let append = |text: &str| {
        std::fs::File::options()
            .append(true)
            .open(book.path())
            .expect("opened")
            .write_all(text.as_bytes())
            .expect("written");
    };
    append("nonsense\n{\"seq\":x}\n\n{\"seq\":3,\"time\":\"2026");
    let read: History = history(&book.path(), HistoryFilter::default(), 9).expect("read");
    assert_eq!((read.rows.len(), read.unreadable), (1, 3));
    assert!(history(Path::new("/nonexistent/server.log"), HistoryFilter::default(), 9).is_err());
}

#[test]
fn a_line_that_is_no_record_is_nobodys_row() {
    const REST: &str = r#""reply":{"status":"success","result":1},"prev":"00"}"#;
    let time = "2026-11-24T12:00:00.000000Z";
    let head = |event: &str| format!(r#"{{"seq":2,"time":"{time}","event":"{event}","#);
    let lines = [
        // Records by their heads alone.
        format!(r#"{}"user":"ann","#, head("answered")),
        format!(r#"{}"user":"ann",{REST}]"#, head("answered")),
        format!(r#"{}"user":"ann","x":nan,{REST}"#, head("answered")),
        format!(r#"{}"user":"ann","x":-NaN,{REST}"#, head("answered")),
        format!(r#"{}"user":"ann","user":"bob",{REST}"#, head("answered")),
        format!(r#"{}"user":["ann"],{REST}"#, head("answered")),
        format!(r#"{}"user":"ann","parameters":"x",{REST}"#, head("answered")),
        format!(r#"{}"user":"ann","reply":{{"result":Infinity"#, head("answered")),
        format!(r#"{}"user":"ann",{REST}"#, head("answered")).replace(time, ""),
        format!(r#"{}"user":"ann",{REST}"#, head("answered")).replace(time, "yesterday"),
        format!(r#"{}"user":"ann",{REST}"#, head("answered")).replace("\"seq\":2", "\"seq\":-2"),
        format!(r#"{}"user":"ann",{REST}"#, head("ended")),
        format!(r#"{}"user":"ann","job":7,{REST}"#, head("ended")),
        format!(r#"{}"user":"ann","job":"a-1","parameters":7,{REST}"#, head("started")),
        format!(r#"{}"user":"ann","job":7,{REST}"#, head("started")),
        "x".repeat(2 * crate::limits::LONG_RECORD_BYTES),
        format!(r#"{}"user":"ann","x":"{}""#, head("answered"), "x".repeat(crate::limits::LONG_RECORD_BYTES)),
    ];
    let of = |user: Option<&str>| HistoryFilter { user: user.map(str::to_owned), ..HistoryFilter::default() };
    for line in lines {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("server.log");
        let whole = format!(r#"{{"seq":1,"time":"{time}",{COMPUTED},"prev":"00"}}"#);
        std::fs::write(&path, format!("{whole}\n{line}\n")).expect("written");
        for (filter, rows) in [(of(None), 1), (of(Some("ann")), 0), (of(Some("bob")), 1)] {
            assert_eq!(history(&path, filter, 9).expect("read").rows.len(), rows, "{line}");
        }
        assert_eq!(history(&path, of(None), 9).expect("read").unreadable, 1, "{line}");
        let failed = HistoryFilter { failed: true, ..of(Some("ann")) };
        assert!(history(&path, failed, 9).expect("read").rows.is_empty(), "{line}");
        let mut following = HistoryReader::open(&path, of(Some("ann"))).expect("opened");
        assert!(following.read(9).expect("read").rows.is_empty(), "{line}");
    }
}

#[test]
fn a_file_that_begins_with_a_record_of_another_form_is_told_to_be_no_log_or_left_out() {
    let time = "2026-11-24T12:00:00.000000Z";
    for first in [
        r#"{"seq":1,"time":"then"}"#,
        r#"{"event":"answered","user":"ann","seq":1}"#,
        r#" {"seq":1}"#,
        "{\"seq\":1}",
    ] {
        for name in ["server.log", "server.log.1"] {
            let directory = tempfile::tempdir().expect("a directory");
            let whole = format!(r#"{{"seq":2,"time":"{time}",{COMPUTED},"prev":"00"}}"#);
            std::fs::write(directory.path().join(name), format!("{first}\n{whole}\n")).expect("written");
            let next = format!(r#"{{"seq":3,"time":"{time}",{COMPUTED},"prev":"00"}}"#);
            let mut log =
                std::fs::File::options().append(true).create(true).open(directory.path().join("server.log"));
            writeln!(log.as_mut().expect("opened"), "{next}").expect("written");
            let found = history(&directory.path().join("server.log"), HistoryFilter::default(), 9);
            let rows = found.map(|found| found.rows.len()).map_err(|error| error.kind());
            let expected = if name == "server.log" { Err(std::io::ErrorKind::InvalidData) } else { Ok(1) };
            assert_eq!(rows, expected, "{first}");
        }
    }
}

#[test]
fn records_with_numbers_that_json_lacks_are_rows_like_others() {
    for (result, shown) in [
        ("Infinity", r#"{"$float":"inf"}"#),
        ("-Infinity", r#"{"$float":"-inf"}"#),
        ("NaN", r#"{"$float":"nan"}"#),
        ("[-0.0, -Infinity]", r#"[-0.0, {"$float":"-inf"}]"#),
        (r#"{"$complex":[Infinity,NaN]}"#, r#"{"$complex":[{"$float":"inf"},{"$float":"nan"}]}"#),
        ("18446744073709551617", "18446744073709551617"),
    ] {
        let record = COMPUTED.replace("\"result\":42", &format!("\"result\":{result}"));
        let book = Book::with(&[&record, &record.replace("bob", "ann")]);
        let filter = HistoryFilter { user: Some("ann".to_owned()), ..HistoryFilter::default() };
        let found = history(&book.path(), filter, 9).expect("read");
        assert_eq!((short(&found.rows), found.unreadable), (vec![format!("ann 6*7 {shown}")], 0));
        assert_eq!(book.all().len(), 2);
    }
}

#[test]
fn a_reader_goes_on_as_the_log_grows_and_through_rotation() {
    let mut book = Book::with(&[SERVER, COMPUTED]);
    let mut reader = HistoryReader::open(&book.path(), HistoryFilter::default()).expect("opened");
    let mut next = || short(&reader.read(usize::MAX).expect("read").rows);
    assert_eq!(next(), ["bob 6*7 42"]);
    assert!(next().is_empty());
    book.write(&[STARTED, REFUSED]);
    assert_eq!(next(), ["bob rm -rf refused"]);
    // A line comes in two parts.
    let whole = std::fs::read_to_string(book.path()).expect("text");
    book.write(&[COMPUTED]);
    let line = std::fs::read_to_string(book.path()).expect("text").split_off(whole.len());
    std::fs::write(book.path(), [&whole, &line[..20]].concat()).expect("written");
    assert!(next().is_empty());
    std::fs::write(book.path(), [whole, line].concat()).expect("written");
    assert_eq!(next(), ["bob 6*7 42"]);
    // The file is moved away, written on, and followed by another, which is moved away and compressed at once.
    let moved = book.directory.path().join("server.log.moved");
    std::fs::rename(book.path(), &moved).expect("moved");
    assert!(next().is_empty());
    std::fs::write(book.path(), std::fs::read(&moved).expect("bytes")).expect("written");
    book.write(&[REFUSED]);
    let before = std::fs::read(&moved).expect("bytes").len();
    let more = std::fs::read(book.path()).expect("bytes").split_off(before);
    std::fs::File::options().append(true).open(&moved).expect("opened").write_all(&more).expect("written");
    std::fs::remove_file(book.path()).expect("removed");
    book.write(&[ENDED]);
    book.rotate(true);
    book.write(&[ANSWERED, COMPUTED]);
    assert_eq!(next(), ["ann ping -c+1 1", "bob rm -rf refused", "bob 6*7 42"]);
    book.write(&[REFUSED]);
    assert_eq!(next(), ["bob rm -rf refused"]);
}

#[tokio::test]
async fn a_log_that_is_written_and_rotated_meanwhile_loses_no_row_and_repeats_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("server.log");
    let rotation = Rotation { bytes: 4000, keep: None };
    let (log, _) = Log::open(&path, rotation).expect("opened");
    let reading = {
        let path = path.clone();
        std::thread::spawn(move || {
            let mut reader = HistoryReader::open(&path, HistoryFilter::default()).expect("opened");
            let mut rows = Vec::new();
            let patience = std::time::Instant::now();
            while rows.len() < 2000 {
                assert!(patience.elapsed().as_secs() < 30, "{}", rows.len());
                rows.extend(reader.read(usize::MAX).expect("read").rows);
            }
            rows
        })
    };
    let verified = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let verifying = {
        let (path, verified) = (path.clone(), std::sync::Arc::clone(&verified));
        std::thread::spawn(move || {
            loop {
                match verify(&path, &Evidence::default()) {
                    Ok(verified) if verified.last >= 2000 => return,
                    Ok(_) | Err(VerifyError::Empty(_)) => {
                        verified.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        })
    };
    for number in 0..2000_u64 {
        log.append(|line| {
            line.text("event", "answered");
            line.text("user", &number.to_string());
        });
        log.commit().expect("written");
        // It is verified while it is written, however busy the machine is.
        let times = u32::try_from(number / 500).expect("few");
        while number % 50 == 0 && verified.load(std::sync::atomic::Ordering::Relaxed) < times {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    verifying.join().expect("verified");
    let rows = reading.join().expect("read");
    let users: Vec<_> = rows.iter().map(|row| row.user.clone().unwrap_or_default()).collect();
    assert_eq!(users, (0..2000).map(|number| number.to_string()).collect::<Vec<_>>());
}
