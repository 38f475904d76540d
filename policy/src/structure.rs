//! From text to [`Raw`], telling all that is wrong with the structure.
//!
//! serde stops at the first error. So a file that it takes is done at once,
//! and only one that it refuses is held against the schema, key by key, which
//! finds every unknown key, wrong type and wrong word. Each is told of and
//! taken out, so that the rest can be held against the host as well.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use crate::raw::Raw;
use crate::report::Report;

/// Reads a policy's text: what is right, and a report of what is not.
///
/// # Errors
///
/// All errors of syntax: where there are any, nobody knows what the rest means.
pub fn read(file: &Path, text: &str) -> Result<(Raw, Report), Report> {
    let mut report = Report::new(file, text);
    let is_whole = |raw: &Raw| {
        raw.mount.iter().all(|mount| mount.get_ref().at.is_some())
            && raw.volume.iter().all(|volume| volume.get_ref().at.is_some())
            && raw.identity.is_whole()
            && raw.network.is_whole()
            && raw
                .root
                .as_ref()
                .is_none_or(|root| root.get_ref().layers.is_some() || root.get_ref().image.is_some())
    };
    let first = match toml::from_str::<Raw>(text) {
        Ok(raw) if is_whole(&raw) => return Ok((raw, report)),
        Ok(_) => None,
        Err(error) => Some(error),
    };
    let (mut table, errors) = DeTable::parse_recoverable(text);
    let mut told = HashSet::new();
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        if !told.insert((span.start, error.message())) || told.len() > crate::MANY {
            continue;
        }
        if error.message() == DUPLICATE {
            let word = text.get(span.clone()).unwrap_or("this").to_owned();
            let help = "take one of them away";
            report.add(span, format!("`{word}` is said twice"), "once is enough", Some(help.into()));
        } else {
            report.add(span, "the file is not TOML", error.message(), syntax_help(text, error));
        }
    }
    if errors.iter().any(|error| error.message() != DUPLICATE) {
        return Err(report.sorted());
    }
    let schema = crate::schema();
    let mut walker = Walker {
        schema: &schema,
        definitions: schema.get("$defs").unwrap_or(&Value::Null),
        report,
        damaged: HashSet::new(),
    };
    let span = table.span();
    walker.table(&schema, table.get_mut(), span, "the policy");
    let Walker { mut report, damaged, .. } = walker;
    let mut raw = match Raw::deserialize(Deserializer::from(table)) {
        Ok(raw) => raw,
        Err(error) => {
            // Nothing that the schema knows: serde's own words must do.
            let error = first.unwrap_or(error);
            report.add(error.span().unwrap_or(0..0), error.message(), "", None);
            return Err(report.sorted());
        }
    };
    for mount in &mut raw.mount {
        let start = mount.span().start;
        mount.get_mut().damaged = damaged.contains(&start);
    }
    if let Some(root) = &raw.root
        && root.get_ref().image.is_none()
        && root.get_ref().layers.is_none()
    {
        if !damaged.contains(&root.span().start) {
            let message = "`root` has neither `image` nor `layers`";
            report.add(root.span(), message, "`image` or `layers` is needed here", None);
        }
        raw.root = None;
    }
    Ok((raw, report))
}

/// What the parser says of a key that stands twice in a table.
const DUPLICATE: &str = "duplicate key";

/// What the commonest slips of the pen want.
fn syntax_help(text: &str, error: &toml::de::Error) -> Option<String> {
    let message = error.message();
    let at = error.span()?.start;
    let line = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let line = text.get(line..)?.lines().next()?;
    let help = if message.contains("must be quoted") {
        "write the value in quotes: \"…\""
    } else if message.contains("leading zero") {
        "write octal permissions in quotes: \"0644\""
    } else if line.trim_start().starts_with("[[") && !line.contains("]]") {
        "write `[[mount]]`, with two brackets on each side"
    } else {
        return None;
    };
    Some(help.into())
}

struct Walker<'s> {
    schema: &'s Value,
    definitions: &'s Value,
    report: Report,
    /// Where the tables begin that something has been taken out of.
    damaged: HashSet<usize>,
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

    /// Checks a table and takes out what is wrong.
    fn table(&mut self, schema: &'s Value, table: &mut DeTable<'_>, span: Range<usize>, name: &str) {
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties").filter(|schema| schema.is_object());
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            if !table.contains_key(key) {
                let (message, expected) =
                    (format!("{name} has no `{key}`"), format!("`{key}` is needed here"));
                self.report.add(span.clone(), message, expected, None);
                self.damaged.insert(span.start);
            }
        }
        let mut wrong = Vec::new();
        for (key, value) in table.iter_mut() {
            let word = key.get_ref().as_ref();
            let fits = match known.and_then(|known| known.get(word)).or(others) {
                Some(schema) => self.value(schema, value, word),
                None => {
                    let words: Vec<&str> =
                        known.into_iter().flatten().map(|(word, _)| word.as_str()).collect();
                    let expected = format!("expected one of: {}", words.join(", "));
                    let help = self
                        .belongs(word)
                        .or_else(|| nearest(word, &words).map(|near| format!("did you mean `{near}`?")));
                    self.report.add(key.span(), format!("unknown key `{word}` in {name}"), expected, help);
                    false
                }
            };
            if !fits {
                wrong.push(word.to_owned());
            }
        }
        for word in wrong {
            table.remove(word.as_str());
            self.damaged.insert(span.start);
        }
    }

    /// Where a key belongs that stands in the wrong table.
    fn belongs(&self, word: &str) -> Option<String> {
        let tables = self.schema.get("properties")?.as_object()?;
        if let Some(found) = tables.get(word) {
            let many = self.takes(self.resolve(found), "array");
            let found = self.resolve(found);
            if self.takes(found, "object") && self.takes(found, "string") {
                return Some(format!(
                    "`{word}` goes to the top of the file, before the first table, or is a table of its own: {}",
                    header(word, many)
                ));
            }
            return Some(match self.takes(found, "object") || many {
                true => format!("`{word}` is a table of its own: {}", header(word, many)),
                false => format!("`{word}` goes to the top of the file, before the first table"),
            });
        }
        tables.iter().find_map(|(name, of)| {
            let of = self.resolve(of);
            let inner = self.resolve(of.get("items").unwrap_or(of));
            inner.get("properties")?.get(word)?;
            Some(format!("`{word}` goes into {}", header(name, of.get("items").is_some())))
        })
    }

    /// Checks a value; what is wrong in it is taken out. False where nothing is left.
    fn value(&mut self, schema: &'s Value, value: &mut Spanned<DeValue<'_>>, key: &str) -> bool {
        let schema = self.resolve(schema);
        let words = self.words(schema);
        let span = value.span();
        let of = self.resolve(schema.get("items").unwrap_or(&Value::Null));
        let many = self.takes(schema, "array") && self.takes(of, "object");
        match value.get_mut() {
            DeValue::String(_) if words.is_empty() && self.takes(schema, "string") => true,
            DeValue::String(word) if words.iter().any(|known| *known == word.as_ref()) => true,
            DeValue::String(word) if !words.is_empty() => {
                let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                let help = nearest(word, &words).map(|near| format!("did you mean \"{near}\"?"));
                let expected = format!("expected {}", quoted.join(" or "));
                self.report.add(span, format!("`{key}` cannot be {word:?}"), expected, help);
                false
            }
            DeValue::Boolean(_) if self.takes(schema, "boolean") => true,
            DeValue::Integer(_) if self.takes(schema, "integer") || self.takes(schema, "number") => true,
            DeValue::Float(_) if self.takes(schema, "number") => true,
            DeValue::Array(items) if self.takes(schema, "array") => {
                let all = std::mem::replace(items, DeArray::new()).into_iter();
                let right: DeArray<'_> =
                    all.filter_map(|mut item| self.value(of, &mut item, key).then_some(item)).collect();
                *items = right;
                true
            }
            DeValue::Table(table) if self.takes(schema, "object") => {
                let schema = self.choice(schema, "object");
                // The span of a table that has a header is its header.
                self.table(schema, table, span, &format!("`{key}`"));
                true
            }
            DeValue::Table(table) if many => {
                let help = format!("write {}, with two brackets on each side", header(key, true));
                let expected = "expected an array of tables";
                self.report.add(span.clone(), format!("`{key}` cannot be a table"), expected, Some(help));
                self.table(of, table, span, &format!("`{key}`"));
                false
            }
            other => {
                let (kind, is_many) = (article(other.type_str()), other.is_array());
                let table = self.takes(schema, "object") || many;
                let help = (is_many && table).then(|| format!("write {}", header(key, many)));
                let expected = format!("expected {}", self.types(schema).join(" or "));
                self.report.add(span, format!("`{key}` cannot be {kind}"), expected, help);
                false
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
            ("number", "a number"),
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

/// A table's header, as it is written.
fn header(name: &str, many: bool) -> String {
    if many { format!("`[[{name}]]`") } else { format!("`[{name}]`") }
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
