import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { getOriginal, getText, getVersion, listVersions } from "../api/sdk.gen";
import type { VersionPageBody } from "../api/types.gen";
import { call } from "../call";
import { bytes, count, moment, number } from "../format";
import { useLoad, useTitle } from "../hooks";
import { Pieces } from "../parts/pieces";
import { Heading, Loading, ProblemNote, State } from "../parts/ui";
import { type Problem, problemOf } from "../problem";
import { documentLink } from "../route";
import { saveBlob } from "../save";
import { type Span, windowAround } from "../text";

/** Code points fetched at once; longer texts are read on in both directions. */
const WINDOW = 60_000;

/** The text, with the cited words marked and scrolled to. */
function Text({ version, characters, span }: { version: string; characters: number; span: Span | null }) {
  const [extent, setExtent] = useState<Span>(() => windowAround(span, characters, WINDOW));
  const text = useLoad(`${version}/${extent.start}/${extent.end}`, (signal) =>
    call(getText({ path: { id: version }, query: { start: extent.start, end: extent.end }, signal })),
  );
  const shown = useRef<{ text: string; span: Span } | null>(null);
  if (text.value !== null) shown.current = text.value;
  const seen = shown.current;
  const wanted = span === null ? "" : `${span.start}-${span.end}`;
  const scrolled = useRef("");
  /** How far the reader was from the end of the page when earlier text was asked for. */
  const fromEnd = useRef<number | null>(null);

  useEffect(() => {
    if (span !== null && (span.start < extent.start || span.end > extent.end)) {
      setExtent(windowAround(span, characters, WINDOW));
    }
  }, [span, extent, characters]);

  const first = seen?.span.start;
  // The reader stays at the line that was being read when text is put before it.
  useLayoutEffect(() => {
    if (fromEnd.current === null) return;
    window.scrollTo(0, document.documentElement.scrollHeight - fromEnd.current);
    fromEnd.current = null;
  }, [first]);

  useEffect(() => {
    if (seen === null || wanted === "" || scrolled.current === wanted) return;
    const mark = document.getElementById("cited");
    if (mark === null) return;
    scrolled.current = wanted;
    mark.scrollIntoView({ block: "center" });
  });

  if (text.problem !== null) return <ProblemNote problem={text.problem} retry={text.reload} />;
  if (seen === null) return <Loading what="Opening the text" />;
  const earlier = () => {
    fromEnd.current = document.documentElement.scrollHeight - window.scrollY;
    setExtent({ start: Math.max(0, seen.span.start - WINDOW), end: seen.span.end });
  };
  const later = () => setExtent({ start: seen.span.start, end: Math.min(characters, seen.span.end + WINDOW) });
  return (
    <>
      {seen.span.start > 0 && (
        <button type="button" class="quiet more" disabled={text.loading} onClick={earlier}>
          Show earlier text ({number(seen.span.start)} characters before)
        </button>
      )}
      <div class="paper">
        <Pieces text={seen.text} base={seen.span.start} spans={span === null ? [] : [span]} firstId="cited" />
      </div>
      {seen.span.end < characters && (
        <button type="button" class="quiet more" disabled={text.loading} onClick={later}>
          Show later text ({number(characters - seen.span.end)} characters after)
        </button>
      )}
    </>
  );
}

function Versions({ document, shown }: { document: string; shown: string }) {
  const versions = useLoad(document, (signal) =>
    call(listVersions({ path: { id: document }, query: { limit: 50 }, signal })),
  );
  if (versions.problem !== null) return <ProblemNote problem={versions.problem} retry={versions.reload} />;
  if (versions.value === null) return <Loading what="Looking for versions" />;
  return (
    <ol class="versions" aria-label="Versions, newest first">
      {versions.value.map((one) => (
        <li key={one.id}>
          <a href={documentLink(one.id)} aria-current={one.id === shown ? "true" : undefined}>
            Version {one.number}
          </a>
          <span class="small">{moment(one.created_at)}</span>
          {one.state !== "searchable" && <State state={one.state} />}
        </li>
      ))}
    </ol>
  );
}

function Download({ version, name }: { version: string; name: string }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const download = async () => {
    setBusy(true);
    setProblem(null);
    try {
      const blob = await call(getOriginal({ path: { id: version }, parseAs: "blob" }));
      saveBlob(blob as unknown as Blob, name);
    } catch (thrown) {
      setProblem(problemOf(thrown));
    }
    setBusy(false);
  };
  return (
    <>
      <button type="button" class="wide" disabled={busy} onClick={download}>
        {busy ? "Fetching the original…" : "Download the original"}
      </button>
      <ProblemNote problem={problem} />
    </>
  );
}

function About({ page }: { page: VersionPageBody }) {
  const { version, document } = page;
  return (
    <aside class="about" aria-label="About this version">
      <dl>
        <dt>Version</dt>
        <dd>
          {version.number} of {document.versions}
          {document.current_version_id === version.id ? " (current)" : ""}
        </dd>
        <dt>State</dt>
        <dd>
          <State state={version.state} />
        </dd>
        <dt>File</dt>
        <dd>{version.file_name}</dd>
        <dt>Kind and size</dt>
        <dd>
          {version.media_type ?? "not known yet"}, {bytes(version.size)}
        </dd>
        {version.characters != null && (
          <>
            <dt>Text</dt>
            <dd>
              {count(version.characters, "character")}
              {version.language != null && <> ({version.language})</>}
            </dd>
          </>
        )}
        <dt>Came</dt>
        <dd>{moment(version.created_at)}</dd>
        <dt>Known as</dt>
        <dd>{document.external_id}</dd>
        <dt>SHA-256</dt>
        <dd>
          <code class="digest">{version.sha256}</code>
        </dd>
      </dl>
      <Download version={version.id} name={version.file_name} />
      {version.warnings.length > 0 && (
        <details>
          <summary>{count(version.warnings.length, "note")} from reading the file</summary>
          <ul>
            {version.warnings.map((warning) => (
              <li key={warning}>{warning}</li>
            ))}
          </ul>
        </details>
      )}
      <h2>Versions</h2>
      <Versions document={document.id} shown={version.id} />
      <p class="small">
        <a href={`#c=${document.collection_id}`}>Back to its collection</a>
      </p>
    </aside>
  );
}

function NoText({ page }: { page: VersionPageBody }) {
  const { version } = page;
  if (version.state === "failed") {
    return (
      <div class="problem">
        <strong>This version could not be read</strong>
        {version.failure != null && <p>{version.failure.message}</p>}
        <p class="advice">The original is kept and can be downloaded. The reason is repeated on the jobs page.</p>
      </div>
    );
  }
  return (
    <p class="hint">
      The text is not there yet: the file is still being read. <a href="#jobs">See the jobs</a>.
    </p>
  );
}

export function DocumentPage({ version, span }: { version: string; span: Span | null }) {
  const page = useLoad(version, (signal) => call(getVersion({ path: { id: version }, signal })));
  const title = page.value?.version.title ?? page.value?.document.name ?? "Document";
  useTitle(title);
  if (page.problem !== null) return <ProblemNote problem={page.problem} retry={page.reload} />;
  if (page.value === null) return <Loading what="Opening the document" />;
  const { version: shown, document } = page.value;
  const newer = document.current_version_id != null && document.current_version_id !== shown.id;
  return (
    <div class="reading">
      <article>
        <Heading
          sub={
            span === null ? (
              document.name
            ) : (
              <>
                {document.name} · characters {number(span.start)} to {number(span.end)}
              </>
            )
          }
        >
          {title}
        </Heading>
        {newer && (
          <p class="notice">
            This is version {shown.number}; search answers from{" "}
            <a href={documentLink(document.current_version_id ?? "")}>the current version</a>.
          </p>
        )}
        {shown.characters != null ? (
          <Text version={shown.id} characters={shown.characters} span={span} />
        ) : (
          <NoText page={page.value} />
        )}
      </article>
      <About page={page.value} />
    </div>
  );
}
