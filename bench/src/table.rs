//! The one table: a row for each load, a column for each server, medians over the rounds and their quotients.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Who was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    OldDesign,
    Echo,
    Bidden,
    EncryptedEcho,
    EncryptedBidden,
    BiddenWithTrue,
    PosixSpawn,
    Popen,
    BiddenWithStreams,
    BiddenAlone,
    Pipe,
    LoggedInMemory,
    LoggedOnDisk,
    Sealed,
}

impl Subject {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OldDesign => "old design",
            Self::Echo => "bare echo",
            Self::Bidden => "bidden",
            Self::EncryptedEcho => "bare echo, CURVE",
            Self::EncryptedBidden => "bidden, CURVE",
            Self::BiddenWithTrue => "bidden with `true`",
            Self::PosixSpawn => "posix_spawn + wait",
            Self::Popen => "os.popen",
            Self::BiddenWithStreams => "bidden with streams",
            Self::BiddenAlone => "bidden without streams",
            Self::Pipe => "bare pipe",
            Self::LoggedInMemory => "bidden, log in memory",
            Self::LoggedOnDisk => "bidden, log on the disk",
            Self::Sealed => "bidden, log sealed",
        }
    }
}

/// What was measured of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    RoundTripP50,
    RoundTripP99,
    InFlight64,
    InFlight1000,
    Clients64,
    OsRoundTripP50,
    OsInFlight64,
    StreamedBytes,
    BesideStreamsP50,
    BesideStreamsP99,
    LoggingInFlight64,
    LoggingOsRoundTripP50,
}

#[derive(Clone, Copy)]
enum Unit {
    Microseconds,
    PerSecond,
    MebibytesPerSecond,
}

/// The spread from which on a run is called noisy.
const NOISY: f64 = 0.25;

struct Row {
    what: &'static str,
    unit: Unit,
    metric: Metric,
    baseline: Subject,
    bidden: Subject,
}

const ROWS: [Row; 17] = [
    network("round trip, one REQ client, p50", Unit::Microseconds, Metric::RoundTripP50),
    network("round trip, one REQ client, p99", Unit::Microseconds, Metric::RoundTripP99),
    network("one DEALER, 64 in flight", Unit::PerSecond, Metric::InFlight64),
    network("one DEALER, 1,000 in flight", Unit::PerSecond, Metric::InFlight1000),
    network("64 REQ clients, one in flight each", Unit::PerSecond, Metric::Clients64),
    encrypted("CURVE, round trip, one REQ client, p50", Unit::Microseconds, Metric::RoundTripP50),
    encrypted("CURVE, one DEALER, 64 in flight", Unit::PerSecond, Metric::InFlight64),
    os("`/bin/true`, round trip, p50", Unit::Microseconds, Metric::OsRoundTripP50, Subject::PosixSpawn),
    os("`/bin/true`, round trip, p50", Unit::Microseconds, Metric::OsRoundTripP50, Subject::Popen),
    os("`/bin/true`, 64 in flight", Unit::PerSecond, Metric::OsInFlight64, Subject::PosixSpawn),
    streams("one stream, as fast as it can", Unit::MebibytesPerSecond, Metric::StreamedBytes, Subject::Pipe),
    streams(
        "computation beside 64 streams, p50",
        Unit::Microseconds,
        Metric::BesideStreamsP50,
        Subject::BiddenAlone,
    ),
    streams(
        "computation beside 64 streams, p99",
        Unit::Microseconds,
        Metric::BesideStreamsP99,
        Subject::BiddenAlone,
    ),
    on_disk("log on the disk, one DEALER, 64 in flight", Unit::PerSecond, Metric::LoggingInFlight64),
    sealed("log sealed, one DEALER, 64 in flight", Unit::PerSecond, Metric::LoggingInFlight64),
    on_disk("its record on the disk, `/bin/true`, p50", Unit::Microseconds, Metric::LoggingOsRoundTripP50),
    sealed("log sealed, `/bin/true`, p50", Unit::Microseconds, Metric::LoggingOsRoundTripP50),
];

/// Against a log in memory, which costs the same but for the disk: there is no bidden without a log.
const fn on_disk(what: &'static str, unit: Unit, metric: Metric) -> Row {
    Row { what, unit, metric, baseline: Subject::LoggedInMemory, bidden: Subject::LoggedOnDisk }
}

const fn sealed(what: &'static str, unit: Unit, metric: Metric) -> Row {
    Row { what, unit, metric, baseline: Subject::LoggedOnDisk, bidden: Subject::Sealed }
}

const fn streams(what: &'static str, unit: Unit, metric: Metric, baseline: Subject) -> Row {
    Row { what, unit, metric, baseline, bidden: Subject::BiddenWithStreams }
}

const fn network(what: &'static str, unit: Unit, metric: Metric) -> Row {
    Row { what, unit, metric, baseline: Subject::Echo, bidden: Subject::Bidden }
}

/// The old design knows no encryption: what it does in plain text stands beside.
const fn encrypted(what: &'static str, unit: Unit, metric: Metric) -> Row {
    Row { what, unit, metric, baseline: Subject::EncryptedEcho, bidden: Subject::EncryptedBidden }
}

const fn os(what: &'static str, unit: Unit, metric: Metric, baseline: Subject) -> Row {
    Row { what, unit, metric, baseline, bidden: Subject::BiddenWithTrue }
}

/// Everything measured so far.
#[derive(Default)]
pub(crate) struct Results {
    samples: BTreeMap<(Metric, Subject), Vec<f64>>,
    skipped: BTreeMap<Subject, &'static str>,
}

impl Results {
    /// Adds what one round gave.
    pub(crate) fn add(&mut self, metric: Metric, subject: Subject, value: f64) {
        self.samples.entry((metric, subject)).or_default().push(value);
    }

    /// Notes why a subject has no numbers, and says it loudly the first time.
    pub(crate) fn skip(&mut self, subject: Subject, reason: &'static str) {
        if self.skipped.insert(subject, reason).is_none() {
            eprintln!("SKIPPED: {}: {reason}", subject.name());
        }
    }

    /// The table in Markdown.
    pub(crate) fn table(&self) -> String {
        let header = ["load", "unit", "old design (a)", "baseline (b)", "", "bidden (c)", "c / a", "c / b"];
        let mut lines = vec![header.map(str::to_owned)];
        lines.extend(ROWS.iter().map(|row| self.line(row)));
        render(&lines)
    }

    /// Whether the rounds differ so much that the run says little. The slowest hundredth always differs.
    pub(crate) fn is_noisy(&self) -> bool {
        let tails = [Metric::RoundTripP99, Metric::BesideStreamsP99];
        let steady = self.samples.iter().filter(|((metric, _), _)| !tails.contains(metric));
        steady.map(|(_, samples)| spread(samples)).any(|spread| spread > NOISY)
    }

    fn line(&self, row: &Row) -> [String; 8] {
        let old = self.median(row.metric, Subject::OldDesign);
        let baseline = self.median(row.metric, row.baseline);
        let bidden = self.median(row.metric, row.bidden);
        [
            row.what.to_owned(),
            match row.unit {
                Unit::Microseconds => "µs".to_owned(),
                Unit::PerSecond => "1/s".to_owned(),
                Unit::MebibytesPerSecond => "MiB/s".to_owned(),
            },
            self.cell(row, Subject::OldDesign),
            self.cell(row, row.baseline),
            row.baseline.name().to_owned(),
            self.cell(row, row.bidden),
            quotient(bidden, old),
            quotient(bidden, baseline),
        ]
    }

    fn cell(&self, row: &Row, subject: Subject) -> String {
        if let Some(reason) = self.skipped.get(&subject) {
            return format!("skipped: {reason}");
        }
        let Some(samples) = self.samples.get(&(row.metric, subject)) else {
            return "-".to_owned();
        };
        let median = median(samples);
        let value = match row.unit {
            Unit::Microseconds if median < 1000.0 => format!("{median:.1}"),
            Unit::Microseconds | Unit::PerSecond => thousands(median),
            Unit::MebibytesPerSecond => thousands(median / (1024.0 * 1024.0)),
        };
        format!("{value} ±{:.0}%", 100.0 * spread(samples))
    }

    fn median(&self, metric: Metric, subject: Subject) -> Option<f64> {
        self.samples.get(&(metric, subject)).map(|samples| median(samples))
    }
}

fn quotient(a: Option<f64>, b: Option<f64>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if a / b >= 10.0 => format!("{:.1}", a / b),
        (Some(a), Some(b)) => format!("{:.2}", a / b),
        _ => "-".to_owned(),
    }
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(at(middle.wrapping_sub(1)), at(middle))
    } else {
        at(middle)
    }
}

/// How far the farthest sample is from the median, as a part of it.
fn spread(samples: &[f64]) -> f64 {
    let median = median(samples);
    samples.iter().map(|sample| (sample - median).abs() / median).fold(0.0, f64::max)
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn render(lines: &[[String; 8]]) -> String {
    let mut widths = [3; 8];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if index == 0 {
            for width in widths {
                let _ = write!(text, "| {} ", "-".repeat(width));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quotients_stand_in_the_row() {
        let mut results = Results::default();
        for value in [90.0, 110.0, 100.0] {
            results.add(Metric::InFlight64, Subject::OldDesign, value);
            results.add(Metric::InFlight64, Subject::Bidden, value * 40.0);
        }
        results.skip(Subject::Echo, "for this test");
        let table = results.table();
        let row = table.lines().find(|line| line.contains("64 in flight")).unwrap();
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let expected = ["100 ±10%", "skipped: for this test", "bare echo", "4,000 ±10%", "40.0", "-"];
        assert_eq!(cells[3..9], expected);
    }

    #[test]
    fn rounds_that_differ_are_noise_except_in_the_slowest_hundredth() {
        let mut results = Results::default();
        for value in [100.0, 200.0, 100.0] {
            results.add(Metric::RoundTripP99, Subject::Echo, value);
        }
        assert!(!results.is_noisy());
        for value in [100.0, 130.0, 100.0] {
            results.add(Metric::RoundTripP50, Subject::Echo, value);
        }
        assert!(results.is_noisy());
    }

    #[test]
    fn every_line_of_the_table_has_the_same_width() {
        let table = Results::default().table();
        let widths: Vec<_> = table.lines().map(|line| line.chars().count()).collect();
        assert_eq!(widths.len(), ROWS.len() + 2);
        assert!(widths.iter().all(|width| *width == widths[0]));
    }

    #[test]
    fn medians_of_even_and_odd_numbers_of_rounds() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(thousands(999.4), "999");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }
}
