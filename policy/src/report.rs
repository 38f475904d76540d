//! Telling a person what is wrong, and where.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

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
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// An empty report about a file and its text.
    pub(crate) fn new(file: &Path, text: &str) -> Report {
        Report { file: file.to_owned(), text: text.to_owned(), diagnostics: Vec::new() }
    }

    pub(crate) fn unreadable(file: &Path, reason: &str) -> Report {
        let mut report = Report::new(file, "");
        let message = format!("cannot read the policy file: {reason}");
        report.add(
            0..0,
            message,
            "",
            Some(format!("name the file with --policy FILE (asked for: {})", file.display())),
        );
        report
    }

    pub(crate) fn add(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        expected: impl Into<String>,
        help: Option<String>,
    ) {
        let mut start = span.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &self.text[..start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        let (message, expected) = (message.into(), expected.into());
        self.diagnostics.push(Diagnostic { message, expected, help, span, line, column });
    }

    /// The report as an error, if anything is wrong.
    pub(crate) fn into_result(mut self) -> Result<(), Report> {
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        if self.diagnostics.is_empty() { Ok(()) } else { Err(self) }
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
                let span = self.visible(&diagnostic.span);
                let annotation = AnnotationKind::Primary.span(span).label(&diagnostic.expected);
                title.element(Snippet::source(&self.text).path(&*file).annotation(annotation))
            };
            if let Some(help) = &diagnostic.help {
                group = group.element(Level::HELP.message(help));
            }
            out.push_str(&renderer.render(&[group]));
            out.push('\n');
        }
        out
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
