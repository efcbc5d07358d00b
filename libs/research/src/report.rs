//! The report as a document: JSON and Markdown.

use carrel_domain::research::{Citation, Claim, Run, RunState, Searched, Step};
use carrel_domain::text::Span;
use carrel_domain::{CitationId, ClaimId, DocumentId, RunId, VersionId};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// A finished run for those who read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// What was asked.
    pub question: String,
    /// `completed`, `abstained`, or where a run stands that has not ended so.
    pub state: String,
    /// What wrote it.
    pub engine: String,
    /// When it was asked (RFC 3339).
    pub created_at: String,
    /// When it ended (RFC 3339).
    pub finished_at: Option<String>,
    /// What was searched.
    pub searched: Searched,
    /// By sub-question, best first.
    pub claims: Vec<ReportClaim>,
}

/// One claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportClaim {
    /// Its id.
    pub id: ClaimId,
    /// The sub-question that it answers.
    pub question: String,
    /// The statement.
    pub text: String,
    /// How well it answers, in 0 to 1.
    pub score: f32,
    /// At least one.
    pub citations: Vec<ReportCitation>,
}

/// One exact quote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportCitation {
    /// Its id.
    pub id: CitationId,
    /// From 1, through the report.
    pub number: u32,
    /// The document.
    pub document: DocumentId,
    /// Its name when it was cited.
    pub document_name: String,
    /// The version.
    pub version: VersionId,
    /// Its number.
    pub version_number: u32,
    /// Code points of the version's text, end excluded.
    pub span: Span,
    /// Page of its first character.
    pub page: Option<u32>,
    /// The version's own words at the span.
    pub quote: String,
    /// What stands before.
    pub prefix: String,
    /// What stands after.
    pub suffix: String,
}

impl From<&Citation> for ReportCitation {
    fn from(citation: &Citation) -> Self {
        Self {
            id: citation.id,
            number: citation.number,
            document: citation.document,
            document_name: citation.document_name.clone(),
            version: citation.version,
            version_number: citation.version_number,
            span: citation.span,
            page: citation.page,
            quote: citation.quote.clone(),
            prefix: citation.prefix.clone(),
            suffix: citation.suffix.clone(),
        }
    }
}

impl Report {
    /// The report of a run with its plan and claims.
    pub fn of(run: &Run, steps: &[Step], claims: &[Claim]) -> Self {
        let question_of = |claim: &Claim| {
            steps
                .iter()
                .find(|step| step.id == claim.step)
                .map_or_else(|| run.question.clone(), |step| step.question.clone())
        };
        Self {
            run: run.id,
            question: run.question.clone(),
            state: run.state.as_str().to_owned(),
            engine: run.engine.clone(),
            created_at: run.created_at.to_rfc3339(),
            finished_at: run.finished_at.map(|at| at.to_rfc3339()),
            searched: run.searched.clone(),
            claims: claims
                .iter()
                .map(|claim| ReportClaim {
                    id: claim.id,
                    question: question_of(claim),
                    text: claim.text.clone(),
                    score: claim.score,
                    citations: claim.citations.iter().map(ReportCitation::from).collect(),
                })
                .collect(),
        }
    }

    /// The report in CommonMark. Names and quotes are escaped, so that nothing in a document becomes markup; the exact
    /// characters of a quote are in the JSON.
    pub fn to_markdown(&self) -> String {
        let mut out = format!("# {}\n\n", escaped_line(&self.question));
        if self.state == RunState::Abstained.as_str() {
            out.push_str("**No answer.** Nothing that was searched answers the question well enough to be quoted.\n\n");
        } else if self.claims.is_empty() {
            let _ = writeln!(out, "There is no answer yet: the run is {}.\n", escaped_line(&self.state));
        } else {
            out.push_str("## Answer\n\n");
            self.push_claims(&mut out);
        }
        self.push_searched(&mut out);
        let _ = write!(
            out,
            "Run {}, engine {}, asked {}",
            self.run,
            escaped_line(&self.engine),
            escaped_line(&self.created_at)
        );
        if let Some(finished_at) = &self.finished_at {
            let _ = write!(out, ", finished {}", escaped_line(finished_at));
        }
        out.push_str(".\n");
        out
    }

    fn push_claims(&self, out: &mut String) {
        let several = self.claims.iter().any(|claim| claim.question != self.question);
        let mut asked = "";
        for claim in &self.claims {
            if several && claim.question != asked {
                let _ = writeln!(out, "### {}\n", escaped_line(&claim.question));
                asked = &claim.question;
            }
            // A claim is one of its quotes, unless what it quoted was erased: then it says that.
            if claim.citations.iter().all(|citation| citation.quote != claim.text) {
                let _ = writeln!(out, "{}\n", escaped_line(&claim.text));
            }
            for (index, citation) in claim.citations.iter().enumerate() {
                let same = index > 0 && citation.quote == claim.text;
                if !same {
                    for line in citation.quote.lines() {
                        let _ = writeln!(out, "> {}", escaped_line(line));
                    }
                    out.push('\n');
                }
                let words = if same { "The same words: " } else { "" };
                let _ = write!(
                    out,
                    "{words}\\[{}\\] {}, version {}",
                    citation.number,
                    escaped_line(&citation.document_name),
                    citation.version_number
                );
                if let Some(page) = citation.page {
                    let _ = write!(out, ", page {page}");
                }
                let _ = writeln!(out, ", characters {} to {}\n", citation.span.start, citation.span.end);
            }
        }
    }

    fn push_searched(&self, out: &mut String) {
        let Searched { documents, passages, sentences, questions } = &self.searched;
        let _ = writeln!(
            out,
            "## What was searched\n\n{documents} documents could have answered; {passages} passages were read and {sentences} sentences weighed.\n"
        );
        if !questions.is_empty() {
            out.push_str("Questions asked:\n\n");
            for question in questions {
                let _ = writeln!(out, "- {}", escaped_line(question));
            }
            out.push('\n');
        }
    }
}

/// One line of CommonMark (or GitHub's dialect) that shows `text` and means nothing else: white space is collapsed,
/// marks are escaped, addresses do not become links.
pub fn escaped_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out = String::with_capacity(text.len() + 8);
    let mut digits_only = true;
    for (at, c) in text.char_indices() {
        let special = matches!(c, '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '|' | '~' | '$' | '&' | '@' | ':' | '!' | '^')
            // Marks that open a list, a heading or a rule at the start of a line.
            || at == 0 && matches!(c, '#' | '+' | '-' | '=')
            || digits_only && at > 0 && matches!(c, '.' | ')')
            // GitHub links what begins like an address.
            || c == '.' && text[..at].to_ascii_lowercase().ends_with("www");
        digits_only &= c.is_ascii_digit();
        if special {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
