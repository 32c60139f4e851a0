//! `bidden compute`: an expression, and its value or what is wrong with it.

use std::io::{self, Write as _};

use anyhow::Context as _;
use bytes::Bytes;
use client::{Action, Numbers, Verdict, printed};

use crate::arguments::Compute;
use crate::ask::{another_answer, explanation, print_raw, request};
use crate::columns::{self, ColumnFile};
use crate::exit::Exit;
use crate::terminal::{complain, inform};

pub(crate) async fn compute(arguments: Compute) -> anyhow::Result<Exit> {
    let Some(expression) = &arguments.expression else { return list_functions() };
    let action = Action::Compute {
        expression: expression.as_str().into(),
        variables: arguments.variables.clone(),
        columns: arguments.columns.iter().map(|column| column.name.as_str().into()).collect(),
        numbers: if arguments.strict { Numbers::Strict } else { Numbers::Python },
    };
    let columns = arguments.columns.iter().map(ColumnFile::read).collect::<anyhow::Result<Vec<_>>>()?;
    if columns.iter().map(Bytes::len).sum::<usize>() > client::MAX_COLUMN_BYTES {
        anyhow::bail!("the columns have more than {} bytes, which no server takes", client::MAX_COLUMN_BYTES);
    }
    let answer = request(&arguments.server, action, columns).await?;
    if arguments.json {
        return print_raw(&answer);
    }
    match answer.reply()?.verdict {
        Verdict::Column { .. } => {
            let column = answer.column().context("the server sent no column")?;
            columns::print(column, arguments.raw).context("cannot print the result")?;
            Ok(Exit::Success)
        }
        Verdict::Value { json, .. } => {
            let value = if arguments.strict { json } else { printed(&json) };
            writeln!(io::stdout(), "{value}").context("cannot print the result")?;
            Ok(Exit::Success)
        }
        Verdict::Failed(failure) => {
            complain(&explanation(&failure));
            if let Some(place) = failure.column.and_then(|column| place(expression, column)) {
                inform(&place);
            }
            Ok(Exit::from_error(failure.code))
        }
        Verdict::Finished { .. } | Verdict::Running { .. } => Err(another_answer()),
    }
}

fn list_functions() -> anyhow::Result<Exit> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    calc::functions()
        .try_for_each(|function| {
            writeln!(stdout, "{}{}\n    {}", function.name, function.signature, function.doc)
        })
        .and_then(|()| stdout.flush())
        .context("cannot print")?;
    Ok(Exit::Success)
}

/// The line of the expression in which a column lies, and a mark below it.
fn place(expression: &str, column: u32) -> Option<String> {
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let before: Vec<char> = expression.chars().take(column).collect();
    let in_line = before.iter().rev().take_while(|&&character| character != '\n').count();
    let line_start = column.checked_sub(in_line)?;
    let line: String =
        expression.chars().skip(line_start).take_while(|&character| character != '\n').collect();
    Some(format!("  {line}\n  {}^", " ".repeat(in_line)))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn the_mark_stands_below_the_place() {
        assert_eq!(place("1/0", 2).as_deref(), Some("  1/0\n   ^"));
        assert_eq!(place("(1 +\n2 $)", 8).as_deref(), Some("  2 $)\n    ^"));
        assert_eq!(place("1", 2).as_deref(), Some("  1\n   ^"));
        assert_eq!(place("1", 0), None);
    }
}
