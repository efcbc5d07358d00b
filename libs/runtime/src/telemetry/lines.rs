//! Log lines in JSON that name the trace and the span they belong to.

use opentelemetry::trace::TraceContextExt;
use std::fmt;
use tracing::{Event, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::registry::LookupSpan;

/// The usual JSON with `trace_id` and `span_id` at its end, in the form of OpenTelemetry's logs; both are null on a line
/// that belongs to no request and no job.
pub(super) struct Traced(Format<Json, SystemTime>);

impl Default for Traced {
    fn default() -> Self {
        Self(format().json().flatten_event(true).with_span_list(false))
    }
}

impl<S> FormatEvent<S, JsonFields> for Traced
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    JsonFields: for<'a> FormatFields<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let open = line.trim_end().strip_suffix('}').unwrap_or(&line);
        // The current span, not the one that this layer's filter lets through.
        let trace = Span::current().context();
        let trace = trace.span().span_context().clone();
        if trace.is_valid() {
            writeln!(writer, r#"{open},"trace_id":"{}","span_id":"{}"}}"#, trace.trace_id(), trace.span_id())
        } else {
            writeln!(writer, r#"{open},"trace_id":null,"span_id":null}}"#)
        }
    }
}
