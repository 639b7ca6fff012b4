//! A view for spreadsheets: RFC 4180, with a first row of names. What terminals take for orders is escaped, as in tables.

use super::rows::{Table, Value};
use crate::escape::printable;

/// The rows.
pub(super) fn of(table: &Table) -> String {
    let keys = table.columns.iter().filter_map(|column| column.key);
    let mut csv = keys.collect::<Vec<_>>().join(",");
    csv.push_str("\r\n");
    for row in &table.rows {
        let fields: Vec<String> = table
            .columns
            .iter()
            .zip(row)
            .filter(|(column, _)| column.key.is_some())
            .map(|(_, value)| field(value))
            .collect();
        csv.push_str(&fields.join(","));
        csv.push_str("\r\n");
    }
    csv
}

fn field(value: &Value) -> String {
    match value {
        Value::Text(text) => quoted(text),
        Value::Number(number) | Value::Amount(number) => number.to_string(),
        Value::Change { amount, .. } => amount.to_string(),
        Value::Percent(number) | Value::Points { points: number, .. } | Value::Chance(number) => {
            number.to_string()
        }
        Value::Flag(flag) => flag.to_string(),
        Value::Texts(texts) => quoted(&texts.join(" ")),
        Value::Nothing => String::new(),
    }
}

fn quoted(text: &str) -> String {
    let text = printable(text);
    if text.contains([',', '"', ' ']) || text.starts_with(['=', '+', '-', '@']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn what_separates_fields_is_quoted_and_orders_to_terminals_are_escaped() {
        for (text, field) in [
            ("main", "main"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("\u{1b}[2J\n", "\\x1b[2J\\n"),
        ] {
            assert_eq!(quoted(text), field);
        }
    }
}
