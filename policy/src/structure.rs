//! From text to [`Raw`], telling all that is wrong with the structure.
//!
//! serde stops at the first error. So a file that it takes is done at once,
//! and only one that it refuses is held against the schema, key by key, which
//! finds every unknown key, wrong type and wrong word.

use std::path::Path;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::raw::Raw;
use crate::report::Report;

/// Reads a policy's text.
///
/// # Errors
///
/// All errors of syntax, or else all of structure.
pub fn read(file: &Path, text: &str) -> Result<Raw, Report> {
    let first = match toml::from_str::<Raw>(text) {
        Ok(raw) => return Ok(raw),
        Err(error) => error,
    };
    let mut report = Report::new(file, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        report.add(span, "the file is not TOML", error.message(), None);
    }
    if errors.is_empty() {
        let schema = crate::schema();
        let walker = Walker { definitions: schema.get("$defs").unwrap_or(&Value::Null) };
        walker.table(&schema, table.get_ref(), table.span(), "the policy", &mut report);
        if report.diagnostics().is_empty() {
            report.add(first.span().unwrap_or(0..0), first.message(), "", None);
        }
    }
    report.into_result()?;
    Err(Report::unreadable(file, first.message()))
}

struct Walker<'s> {
    definitions: &'s Value,
}

impl<'s> Walker<'s> {
    /// Follows `$ref`, and takes "or null" off.
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let name = name.rsplit('/').next().unwrap_or(name);
            return self.definitions.get(name).map_or(schema, |found| self.resolve(found));
        }
        let Some(choices) = schema.get("anyOf").and_then(Value::as_array) else { return schema };
        let mut real = choices.iter().filter(|choice| choice.get("type") != Some(&Value::from("null")));
        match (real.next(), real.next()) {
            (Some(only), None) => self.resolve(only),
            _ => schema,
        }
    }

    fn table(
        &self,
        schema: &'s Value,
        table: &DeTable<'_>,
        span: std::ops::Range<usize>,
        name: &str,
        report: &mut Report,
    ) {
        let none = serde_json::Map::new();
        let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let others = schema.get("additionalProperties").filter(|schema| schema.is_object());
        for (key, value) in table {
            let word = key.get_ref().as_ref();
            match known.get(word).or(others) {
                Some(schema) => self.value(schema, value, word, report),
                None => {
                    let words: Vec<&str> = known.keys().map(String::as_str).collect();
                    let expected = format!("expected one of: {}", words.join(", "));
                    let help = nearest(word, &words).map(|near| format!("did you mean `{near}`?"));
                    report.add(key.span(), format!("unknown key `{word}` in {name}"), expected, help);
                }
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            if !table.iter().any(|(word, _)| word.get_ref() == key) {
                report.add(
                    span.clone(),
                    format!("{name} has no `{key}`"),
                    format!("`{key}` is needed here"),
                    None,
                );
            }
        }
    }

    fn value(&self, schema: &'s Value, value: &Spanned<DeValue<'_>>, key: &str, report: &mut Report) {
        let schema = self.resolve(schema);
        let words = self.words(schema);
        let span = value.span();
        match value.get_ref() {
            DeValue::String(_) if words.is_empty() && self.takes(schema, "string") => {}
            DeValue::String(word) if words.iter().any(|known| *known == word.as_ref()) => {}
            DeValue::String(word) if !words.is_empty() => {
                let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                let help = nearest(word, &words).map(|near| format!("did you mean \"{near}\"?"));
                let expected = format!("expected {}", quoted.join(" or "));
                report.add(span, format!("`{key}` cannot be \"{word}\""), expected, help);
            }
            DeValue::Boolean(_) if self.takes(schema, "boolean") => {}
            DeValue::Integer(_) if self.takes(schema, "integer") => {}
            DeValue::Array(items) if self.takes(schema, "array") => {
                let of = schema.get("items").unwrap_or(&Value::Null);
                for item in items.iter() {
                    self.value(of, item, key, report);
                }
            }
            DeValue::Table(table) if self.takes(schema, "object") => {
                let schema = self.choice(schema, "object");
                // The span of a table that has a header is its header.
                self.table(schema, table, span, &format!("`{key}`"), report);
            }
            other => {
                let expected = format!("expected {}", self.types(schema).join(" or "));
                report.add(span, format!("`{key}` cannot be {}", article(other.type_str())), expected, None);
            }
        }
    }

    /// The alternatives of a schema, or itself.
    fn choices(&self, schema: &'s Value) -> Vec<&'s Value> {
        let several = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
        match several {
            Some(choices) => choices.iter().flat_map(|choice| self.choices(self.resolve(choice))).collect(),
            None => vec![schema],
        }
    }

    fn choice(&self, schema: &'s Value, kind: &str) -> &'s Value {
        self.choices(schema).into_iter().find(|choice| has_type(choice, kind)).unwrap_or(schema)
    }

    fn takes(&self, schema: &'s Value, kind: &str) -> bool {
        self.choices(schema).iter().any(|choice| has_type(choice, kind))
    }

    fn types(&self, schema: &'s Value) -> Vec<&'static str> {
        let kinds = [
            ("string", "a string"),
            ("boolean", "true or false"),
            ("integer", "a whole number"),
            ("array", "an array"),
            ("object", "a table"),
        ];
        kinds.into_iter().filter(|(kind, _)| self.takes(schema, kind)).map(|(_, words)| words).collect()
    }

    /// The words that a string may be, where it may not be any.
    fn words(&self, schema: &'s Value) -> Vec<&'s str> {
        self.choices(schema)
            .into_iter()
            .flat_map(|choice| {
                let several = choice.get("enum").and_then(Value::as_array).into_iter().flatten();
                several.chain(choice.get("const"))
            })
            .filter_map(Value::as_str)
            .collect()
    }
}

fn has_type(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        _ => false,
    }
}

fn article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}

/// The known word that a wrong one was most likely meant to be.
pub fn nearest<'w>(wrong: &str, words: &[&'w str]) -> Option<&'w str> {
    words
        .iter()
        .map(|word| (strsim::normalized_damerau_levenshtein(wrong, word), *word))
        .filter(|(likeness, _)| *likeness > 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}
