//! `bidden history`: the rows of local logs, as a table for people or as JSON for programs, once or as they come.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use client::{Action, Verdict, printed};
use server::{HistoryFilter, HistoryReader, HistoryRow, RowState, history as read_history};
use tokio::signal::unix::{SignalKind, signal};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::arguments::{History, Server};
use crate::ask::{another_answer, explanation, request};
use crate::exit::Exit;
use crate::terminal::{complain, harmless, inform, is_watched, note_absence_of};

/// How often `--follow` looks for new records.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

/// Rows that are spelled before they are printed.
const ROWS_AT_ONCE: usize = 4096;

/// The widest that a user's name and a result are shown on a terminal.
const MAX_WHO_COLUMNS: usize = 16;
const MAX_RESULT_COLUMNS: usize = 24;

/// As `2026-11-24 12:00:00` takes.
const WHEN_COLUMNS: usize = 19;
const TOOK_COLUMNS: usize = 7;
const WHEN: &str = "WHEN (UTC)";

pub(crate) async fn history(arguments: History) -> anyhow::Result<Exit> {
    if let Some(to) = &arguments.to {
        return of_server(to, &arguments).await;
    }
    let History { log, to: _, user, command, since, failed, follow, json, max } = arguments;
    let filter = HistoryFilter { user, command, since, failed };
    let unreadable = || format!("cannot read the log {}", log.display());
    if !follow {
        let found = read_history(&log, filter, max).with_context(unreadable)?;
        let mut printer = Printer::new(json, &found.rows);
        printer.print(&found.rows)?;
        if found.rows.is_empty() && is_watched() {
            inform("bidden: nothing");
        }
        warn(&found);
        note_absence_of(&log);
        return Ok(Exit::Success);
    }
    let mut reader = HistoryReader::open(&log, filter).with_context(unreadable)?;
    let found = reader.read(max).with_context(unreadable)?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let mut printer = Printer::new(json, &found.rows);
    printer.print(&found.rows)?;
    warn(&found);
    while !printer.is_unread {
        tokio::select! {
            _ = interrupt.recv() => break,
            () = tokio::time::sleep(FOLLOW_INTERVAL) => {
                let found = reader.read(usize::MAX).with_context(unreadable)?;
                printer.print(&found.rows)?;
                warn(&found);
            }
        }
    }
    Ok(Exit::Success)
}

/// What `history` answers with.
#[derive(serde::Deserialize)]
struct Told {
    rows: Vec<HistoryRow>,
    earlier: u64,
    #[serde(default)]
    missing: Vec<Missing>,
    #[serde(default)]
    unreadable: u64,
}

/// Records that the server's log lacks.
#[derive(serde::Deserialize)]
struct Missing {
    first: u64,
    last: u64,
}

/// The same from the log of a server, as far as it shows it.
async fn of_server(to: &str, arguments: &History) -> anyhow::Result<Exit> {
    let ago = |since: jiff::Timestamp| {
        Duration::try_from(jiff::Timestamp::now().duration_since(since)).unwrap_or_default()
    };
    let action = Action::History(client::History {
        user: arguments.user.as_deref().map(Into::into),
        command_name: arguments.command.as_deref().map(Into::into),
        since: arguments.since.map(ago),
        failed: arguments.failed,
    });
    let answer = request(&Server::named(to), action, vec![]).await?;
    match answer.reply()?.verdict {
        Verdict::Value { json, .. } => {
            let told: Told = serde_json::from_str(&json).context("the server's answer is no history")?;
            Printer::new(arguments.json, &told.rows).print(&told.rows)?;
            if told.rows.is_empty() && is_watched() {
                inform("bidden: nothing");
            }
            if told.earlier > 0 {
                inform(&format!(
                    "bidden: {} earlier rows are not shown; --since and the others choose",
                    told.earlier
                ));
            }
            for Missing { first, last } in told.missing {
                complain(&format!("records {first} to {last} of the server's log are missing"));
            }
            if told.unreadable > 0 {
                complain(&format!("{} lines of the server's log are no records", told.unreadable));
            }
            Ok(Exit::Success)
        }
        Verdict::Failed(failure) => {
            complain(&explanation(&failure));
            Ok(Exit::from_error(failure.code))
        }
        _ => Err(another_answer()),
    }
}

fn warn(found: &server::History) {
    if found.earlier > 0 {
        inform(&format!("bidden: {} earlier rows are not shown; --max shows more", found.earlier));
    }
    for finding in &found.findings {
        complain(&finding.to_string());
    }
    if found.unreadable > 0 {
        complain(&format!("{} lines are no records; `bidden log verify` says more", found.unreadable));
    }
}

/// Prints rows under each other, whenever they come.
struct Printer {
    table: Option<Table>,
    /// Nobody reads any more.
    is_unread: bool,
}

impl Printer {
    fn new(json: bool, rows: &[HistoryRow]) -> Self {
        let columns = terminal_columns();
        Self { table: (!json).then(|| Table::for_rows(rows, columns)), is_unread: false }
    }

    fn print(&mut self, rows: &[HistoryRow]) -> anyhow::Result<()> {
        for rows in rows.chunks(ROWS_AT_ONCE) {
            let mut text = Vec::new();
            match &mut self.table {
                Some(table) => table.write(rows, &mut text),
                None => {
                    for row in rows {
                        text.extend_from_slice(&row.to_json());
                        text.push(b'\n');
                    }
                }
            }
            let mut stdout = anstream::stdout().lock();
            match stdout.write_all(&text).and_then(|()| stdout.flush()) {
                // As when `head` has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    self.is_unread = true;
                    return Ok(());
                }
                written => written.context("cannot print")?,
            }
        }
        Ok(())
    }
}

/// The columns of the terminal, if stdout is one.
fn terminal_columns() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    rustix::termios::tcgetwinsize(&stdout)
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0)
}

/// How wide the columns are. The last one, with what was asked for, takes the rest of the line.
struct Table {
    who: usize,
    result: usize,
    /// Those of the terminal: nothing is cut where there is none.
    line: Option<usize>,
    has_heading: bool,
}

impl Table {
    fn for_rows(rows: &[HistoryRow], line: Option<usize>) -> Self {
        let widest = |cell: fn(&HistoryRow) -> String, least: usize, most: usize| {
            rows.iter().map(|row| cell(row).width()).max().unwrap_or(0).clamp(least, most)
        };
        Self {
            who: widest(who, 8, MAX_WHO_COLUMNS),
            result: widest(result, 10, MAX_RESULT_COLUMNS),
            line,
            has_heading: false,
        }
    }

    fn write(&mut self, rows: &[HistoryRow], out: &mut Vec<u8>) {
        if !self.has_heading {
            self.has_heading = true;
            let bold = Style::new().bold();
            let cells = [WHEN, "WHO", "RESULT", "TOOK", "WHAT"].map(str::to_owned);
            self.write_line(&cells, bold, bold, out);
        }
        for row in rows {
            let when = row.time.get(..WHEN_COLUMNS).unwrap_or(&row.time).replacen('T', " ", 1);
            let cells = [one_line(&when), who(row), result(row), took(row), what(row)];
            let colour = match row.state {
                RowState::Running => Some(AnsiColor::Yellow),
                _ if row.failed() => Some(AnsiColor::Red),
                _ => None,
            };
            let style = Style::new().fg_color(colour.map(Into::into));
            self.write_line(&cells, Style::new(), style, out);
        }
    }

    fn write_line(&self, cells: &[String; 5], plain: Style, of_result: Style, out: &mut Vec<u8>) {
        let [when, who, result, took, what] = cells;
        let when = self.cell(when, WHEN_COLUMNS);
        let who = self.cell(who, self.who);
        let result = self.cell(result, self.result);
        let took = format!("{}{took}", " ".repeat(TOOK_COLUMNS.saturating_sub(took.width())));
        let before = [&when, &who, &result, &took].map(|cell| cell.width().saturating_add(2)).iter().sum();
        let what = match self.line {
            Some(line) => cut(what, line.saturating_sub(before)),
            None => what.clone(),
        };
        // Writing into memory cannot fail.
        let _ = writeln!(
            out,
            "{plain}{when}  {who}{plain:#}  {of_result}{result}{of_result:#}  {plain}{took}  {what}{plain:#}"
        );
    }

    /// The text, filled up to so many columns, and on a terminal not wider than they are.
    fn cell(&self, text: &str, columns: usize) -> String {
        let text = if self.line.is_some() { cut(text, columns) } else { text.to_owned() };
        let fill = columns.saturating_sub(text.width());
        text + &" ".repeat(fill)
    }
}

fn who(row: &HistoryRow) -> String {
    one_line(row.user.as_deref().unwrap_or("-"))
}

fn result(row: &HistoryRow) -> String {
    match row.state {
        RowState::Running => return "no end yet".to_owned(),
        RowState::Unknown => return "unknown".to_owned(),
        RowState::Ended => {}
    }
    let text = match row {
        HistoryRow { code: Some(code), .. } => code.clone(),
        HistoryRow { signal: Some(signal), .. } => format!("signal {signal}"),
        HistoryRow { exit_code: Some(0), .. } => "ok".to_owned(),
        HistoryRow { exit_code: Some(code), .. } => format!("exit {code}"),
        HistoryRow { result: Some(value), .. } => printed(value.get()).into_owned(),
        HistoryRow { status: Some(status), .. } if status == "success" => "ok".to_owned(),
        HistoryRow { status, .. } => status.clone().unwrap_or_else(|| "?".to_owned()),
    };
    one_line(&text)
}

fn took(row: &HistoryRow) -> String {
    let Some(milliseconds) = row.duration_ms else { return "-".to_owned() };
    let seconds = milliseconds / 1000.0;
    if seconds < 0.001 {
        "<1 ms".to_owned()
    } else if seconds < 0.9995 {
        format!("{milliseconds:.0} ms")
    } else if seconds < 99.95 {
        format!("{seconds:.1} s")
    } else if seconds < 5999.5 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

fn what(row: &HistoryRow) -> String {
    let words = match row {
        HistoryRow { command: Some(command), parameters, .. } => {
            let words: Vec<_> = parameters.iter().map(|word| quoted(word)).collect();
            [std::slice::from_ref(command), &words].concat().join(" ")
        }
        HistoryRow { expression: Some(expression), .. } => expression.clone(),
        HistoryRow { command_type: Some(kind), job: Some(job), .. } => format!("{kind} {job}"),
        HistoryRow { command_type: Some(kind), .. } => kind.clone(),
        HistoryRow { request_text: Some(text), .. } => text.clone(),
        _ => "-".to_owned(),
    };
    one_line(&words)
}

/// A word as a shell would want it, where that makes a difference.
fn quoted(word: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "-_./:,=+@%".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn one_line(text: &str) -> String {
    harmless(text).replace('\n', r"\n").replace('\t', r"\t")
}

/// The beginning of a text that takes at most so many columns.
fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let fits = |character: &char| {
        let rest = left.checked_sub(character.width().unwrap_or(0));
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    let mut short: String = text.chars().take_while(fits).collect();
    if columns > 0 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::{Table, cut, what};
    use server::{HistoryRow, RowState};
    use unicode_width::UnicodeWidthStr as _;

    fn row(text: &str) -> HistoryRow {
        HistoryRow {
            time: "2026-11-24T12:00:00.000000Z".to_owned(),
            user: Some("ann".to_owned()),
            command: Some("ping".to_owned()),
            parameters: vec!["-c".to_owned(), text.to_owned()],
            status: Some("success".to_owned()),
            exit_code: Some(2),
            duration_ms: Some(1234.5),
            ..HistoryRow::default()
        }
    }

    fn table(rows: &[HistoryRow], line: Option<usize>) -> String {
        let mut out = Vec::new();
        Table::for_rows(rows, line).write(rows, &mut out);
        anstream::adapter::strip_str(std::str::from_utf8(&out).expect("UTF-8")).to_string()
    }

    #[test]
    fn a_line_fits_the_terminal_and_is_whole_without_one() {
        let rows = [row("x"), row(&"é世".repeat(100)), row("")];
        for columns in [20, 60, 80, 200] {
            let text = table(&rows, Some(columns));
            assert!(text.lines().all(|line| line.width() <= columns.max(60)), "{columns}:\n{text}");
            assert_eq!(text.lines().count(), 4);
        }
        let whole = table(&rows, None);
        assert!(whole.contains(&"é世".repeat(100)) && whole.contains("ping -c ''"), "{whole}");
        assert!(whole.contains("2026-11-24 12:00:00  ann       exit 2        1.2 s  ping -c x\n"), "{whole}");
    }

    #[test]
    fn a_terminal_finds_nothing_to_obey_and_no_second_line() {
        let rows = [row("a\nb\t\u{1b}[2J\u{202e}\r")];
        let text = table(&rows, Some(200));
        assert_eq!(text.lines().count(), 2);
        assert!(!text.chars().any(|character| character.is_control() && character != '\n'), "{text:?}");
        assert!(text.contains(r"'a\nb\t\u{1b}[2J\u{202e}'"), "{text}");
    }

    #[test]
    fn what_has_not_ended_says_so() {
        let running = HistoryRow { state: RowState::Running, exit_code: None, duration_ms: None, ..row("x") };
        assert!(table(&[running], None).contains("no end yet        -  ping"));
        assert_eq!(what(&HistoryRow::default()), "-");
    }

    #[test]
    fn a_text_is_cut_at_a_character() {
        assert_eq!((cut("abc", 3).as_str(), cut("abcd", 3).as_str()), ("abc", "ab…"));
        assert_eq!(
            (cut("世界", 3).as_str(), cut("世界", 2).as_str(), cut("世界", 0).as_str()),
            ("世…", "…", "")
        );
    }
}
