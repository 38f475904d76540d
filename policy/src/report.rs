//! Telling a person what is wrong, and where.

use std::fmt;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// What some editors put before a text: no character of its first line.
const BOM: char = '\u{feff}';

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// What is wrong.
    pub message: String,
    /// What was expected, shown under the words in question.
    pub expected: String,
    /// What to do about it, where that is known.
    pub help: Option<String>,
    /// The words in question, as bytes of the text.
    pub span: Range<usize>,
    /// The line of the first of them, from 1.
    pub line: usize,
    /// Its column, in characters, from 1.
    pub column: usize,
}

/// All that is wrong with a policy file.
#[derive(Clone, Debug)]
pub struct Report {
    file: PathBuf,
    text: String,
    /// Where the lines begin, so that a line's number is found in a policy of
    /// ten thousand mounts as fast as in one of ten.
    lines: Vec<usize>,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// An empty report about a file and its text.
    pub(crate) fn new(file: &Path, text: &str) -> Report {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Report { file: file.to_owned(), text: text.to_owned(), lines, diagnostics: Vec::new() }
    }

    /// A policy file that cannot be read.
    pub fn unreadable(file: &Path, error: &std::io::Error) -> Report {
        let mut report = Report::new(file, "");
        let help = match error.kind() {
            ErrorKind::NotFound => "no such file: name the policy with --policy FILE",
            ErrorKind::IsADirectory => "name a file in it with --policy FILE",
            ErrorKind::PermissionDenied => "run as a user who may read it, or change its permissions",
            _ => "name the policy with --policy FILE",
        };
        report.add(0..0, format!("cannot read the policy file: {error}"), "", Some(help.into()));
        report
    }

    /// The line, from 1, that a byte of the text is on.
    pub(crate) fn line(&self, at: usize) -> u32 {
        self.lines.partition_point(|start| *start <= at) as u32
    }

    /// Where `words`, bytes of a string's value, stand in the text, if the
    /// string that `span` holds is written without escapes; else the span.
    pub(crate) fn within(&self, span: Range<usize>, value: &str, words: Range<usize>) -> Range<usize> {
        let written = self.text.get(span.clone()).unwrap_or("");
        match written.find(value) {
            Some(start) => span.start + start + words.start..span.start + start + words.end,
            None => span,
        }
    }

    pub(crate) fn add(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        expected: impl Into<String>,
        help: Option<String>,
    ) {
        let span = self.visible(&span);
        let line = self.line(span.start) as usize;
        let begin = self.lines.get(line - 1).copied().unwrap_or(0);
        let column =
            self.text.get(begin..span.start).unwrap_or("").trim_start_matches(BOM).chars().count() + 1;
        let (message, expected) = (message.into(), expected.into());
        self.diagnostics.push(Diagnostic { message, expected, help, span, line, column });
    }

    /// Takes over what another report about the same text tells.
    pub(crate) fn extend(&mut self, other: Report) {
        self.diagnostics.extend(other.diagnostics);
    }

    /// In the order of the file.
    pub(crate) fn sorted(mut self) -> Report {
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        self
    }

    /// The report as an error, if anything is wrong.
    pub(crate) fn into_result(self) -> Result<(), Report> {
        if self.diagnostics.is_empty() { Ok(()) } else { Err(self.sorted()) }
    }

    /// What is wrong, in the order of the file.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The report as a person reads it: each source line, underlined.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let file = self.file.to_string_lossy();
        let mut out = String::new();
        for diagnostic in &self.diagnostics {
            let title = Level::ERROR.primary_title(&diagnostic.message);
            let mut group = if self.text.is_empty() {
                title.element(annotate_snippets::Origin::path(&*file))
            } else {
                // Only the lines in question: the renderer reads all that it is given.
                let window = self.window(&diagnostic.span);
                let span = diagnostic.span.start - window.start..diagnostic.span.end - window.start;
                let source = self.text.get(window).unwrap_or("");
                let annotation = AnnotationKind::Primary.span(span).label(&diagnostic.expected);
                let snippet = Snippet::source(source).path(&*file).line_start(diagnostic.line);
                title.element(snippet.annotation(annotation))
            };
            if let Some(help) = &diagnostic.help {
                group = group.element(Level::HELP.message(help));
            }
            out.push_str(&renderer.render(&[group]));
            out.push('\n');
        }
        out
    }

    /// The lines that a span lies in.
    fn window(&self, span: &Range<usize>) -> Range<usize> {
        let first = self.line(span.start) as usize - 1;
        let start = self.lines.get(first).copied().unwrap_or(0);
        let rest = self.text.get(span.end..).unwrap_or("");
        let end = rest.find('\n').unwrap_or(rest.len());
        let line = rest.get(..end).unwrap_or("");
        start..span.end + line.strip_suffix('\r').unwrap_or(line).len()
    }

    /// The span, cut to characters of the text.
    fn visible(&self, span: &Range<usize>) -> Range<usize> {
        let floor = |mut at: usize| {
            at = at.min(self.text.len());
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        floor(span.start)..floor(span.end.max(span.start))
    }

    /// The report as a program reads it.
    pub fn to_json(&self) -> serde_json::Value {
        let errors: Vec<_> = self
            .diagnostics
            .iter()
            .map(|d| {
                serde_json::json!({
                    "file": self.file, "line": d.line, "column": d.column,
                    "message": d.message, "expected": d.expected, "help": d.help,
                })
            })
            .collect();
        serde_json::json!({ "errors": errors })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}
