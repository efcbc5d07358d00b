import { useState } from "preact/hooks";
import { getReportMarkdown, getRun, verifyRun } from "../api/sdk.gen";
import type { CitationBody, ClaimBody, RunPageBody } from "../api/types.gen";
import { call } from "../call";
import { useCollections } from "../collections";
import { count, moment, number, place } from "../format";
import { useLoad, useTitle } from "../hooks";
import { Heading, Loading, ProblemNote, State } from "../parts/ui";
import { type Problem, problemOf } from "../problem";
import { isOver } from "../progress";
import { documentLink, searchLink } from "../route";
import { saveBlob } from "../save";
import { useRun, type Watched } from "../watch";

/** The plan while the run works: steps tick off, claims appear. */
function Working({ watched }: { watched: Watched }) {
  const { progress, connected, problem } = watched;
  return (
    <section class="card working" aria-labelledby="working">
      <h2 id="working">
        <span class="dot" aria-hidden="true" /> At work
      </h2>
      <p role="status" aria-live="polite">
        {progress.said}
      </p>
      {!connected && <p class="notice">The line broke; it is being taken up again.</p>}
      <ProblemNote problem={problem} />
      <ol class="steps">
        {progress.steps.map((step) => (
          <li key={step.question} class={step.done ? "done" : ""}>
            <span class="tick" aria-hidden="true">
              {step.done ? "✓" : ""}
            </span>
            <span>
              {step.question}
              <span class="unseen">{step.done ? " (done)" : " (not done yet)"}</span>
              {step.note !== "" && <span class="small note">{step.note}</span>}
            </span>
          </li>
        ))}
      </ol>
      {progress.claims.map((claim) => (
        <blockquote key={claim} class="quote">
          {claim}
        </blockquote>
      ))}
    </section>
  );
}

function Citation({ citation, repeat }: { citation: CitationBody; repeat: boolean }) {
  const link = documentLink(citation.version_id, citation.span);
  return (
    <li class="citation">
      {repeat && <blockquote class="quote">{citation.quote}</blockquote>}
      <p class="source">
        <a href={link} class="cite">
          <span class="number">{citation.number}</span>
          {citation.document_name}
        </a>
        <span class="small">{place(citation.version_number, citation.page)}</span>
      </p>
      <details class="context">
        <summary>In context</summary>
        <p>
          …{citation.prefix}
          <mark>{citation.quote}</mark>
          {citation.suffix}…
        </p>
      </details>
    </li>
  );
}

/** A claim. The built-in engine's claims are their quotes; then the words are not shown twice. */
function Claim({ claim }: { claim: ClaimBody }) {
  const same = claim.citations.length === 1 && claim.citations[0]?.quote === claim.text;
  return (
    <li class="claim">
      {same ? <blockquote class="quote">{claim.text}</blockquote> : <p class="statement">{claim.text}</p>}
      <ul class="citations">
        {claim.citations.map((citation) => (
          <Citation key={citation.id} citation={citation} repeat={!same} />
        ))}
      </ul>
    </li>
  );
}

function Claims({ run }: { run: RunPageBody }) {
  return (
    <>
      {run.plan.map((step) => {
        const claims = run.claims.filter((claim) => claim.step_id === step.id);
        return (
          <section key={step.id} class="answer" aria-label={step.question}>
            {run.plan.length > 1 && <h2>{step.question}</h2>}
            {claims.length === 0 ? (
              <p class="hint">No sentence answers this part well enough to be quoted.</p>
            ) : (
              <ol class="claims">
                {claims.map((claim) => (
                  <Claim key={claim.id} claim={claim} />
                ))}
              </ol>
            )}
          </section>
        );
      })}
    </>
  );
}

function Abstained({ run }: { run: RunPageBody }) {
  return (
    <div class="empty">
      <h2>The archive does not answer this</h2>
      <p>
        Nothing that was read answers the question well enough to be quoted, and Carrel does not guess. That may itself
        be the finding.
      </p>
      <p>
        <a href={searchLink(run.question, "hybrid", "")}>Look at the nearest passages</a>, ask in other words, or add
        documents: <code>carrel add …</code>
      </p>
    </div>
  );
}

function Check({ run }: { run: string }) {
  const [said, setSaid] = useState("");
  const [problem, setProblem] = useState<Problem | null>(null);
  const check = async () => {
    setProblem(null);
    setSaid("Checking…");
    try {
      const found = await call(verifyRun({ path: { id: run } }));
      const gone = found.deleted > 0 ? ` ${count(found.deleted, "citation")} name deleted documents.` : "";
      setSaid(`${found.exact} of ${count(found.citations, "quote")} equal the text, byte for byte.${gone}`);
    } catch (thrown) {
      setSaid("");
      setProblem(problemOf(thrown));
    }
  };
  return (
    <>
      <button type="button" class="wide" onClick={check}>
        Check every quote again
      </button>
      <p role="status" class="checked">
        {said}
      </p>
      <ProblemNote problem={problem} />
    </>
  );
}

function Side({ run }: { run: RunPageBody }) {
  const [problem, setProblem] = useState<Problem | null>(null);
  const collections = useCollections();
  const names = run.collections.map((id) => collections.value?.find((one) => one.id === id)?.name ?? "…");
  const save = async () => {
    setProblem(null);
    try {
      const report = await call(getReportMarkdown({ path: { id: run.id }, parseAs: "text" }));
      saveBlob(new Blob([report]), `report-${run.id}.md`);
    } catch (thrown) {
      setProblem(problemOf(thrown));
    }
  };
  const saveJson = () => saveBlob(new Blob([JSON.stringify(run, null, 2)]), `report-${run.id}.json`);
  return (
    <aside class="about" aria-label="About this report">
      {run.claims.length > 0 && <Check run={run.id} />}
      <h2>What was searched</h2>
      <dl>
        <dt>Where</dt>
        <dd>{names.length === 0 ? "every collection" : names.join(", ")}</dd>
        <dt>Documents that could have answered</dt>
        <dd>{number(run.searched.documents)}</dd>
        <dt>Passages read</dt>
        <dd>{number(run.searched.passages)}</dd>
        <dt>Sentences weighed</dt>
        <dd>{number(run.searched.sentences)}</dd>
        <dt>Questions</dt>
        <dd>
          <ol class="plan">
            {run.plan.map((step) => (
              <li key={step.id}>
                {step.completed && <span aria-hidden="true">✓ </span>}
                {step.question}
              </li>
            ))}
          </ol>
        </dd>
        <dt>Written by</dt>
        <dd>{run.engine}</dd>
        <dt>Asked</dt>
        <dd>{moment(run.created_at)}</dd>
      </dl>
      <div class="pair">
        <button type="button" class="quiet" onClick={save}>
          Save as Markdown
        </button>
        <button type="button" class="quiet" onClick={saveJson}>
          Save as JSON
        </button>
      </div>
      <ProblemNote problem={problem} />
    </aside>
  );
}

export function RunPage({ id }: { id: string }) {
  const run = useLoad(id, (signal) => call(getRun({ path: { id }, signal })));
  const open = run.value !== null && !isOver(run.value.state);
  const watched = useRun(id, open, run.reload);
  useTitle(run.value?.question ?? "Research");
  if (run.problem !== null) return <ProblemNote problem={run.problem} retry={run.reload} />;
  if (run.value === null) return <Loading what="Opening the report" />;
  const { value } = run;
  return (
    <div class="reading">
      <article>
        <Heading
          sub={
            <>
              <State state={open ? watched.progress.state : value.state} />{" "}
              {value.claims.length > 0 && !open && <>{count(value.claims.length, "claim")}, each an exact quote</>}
            </>
          }
        >
          {value.question}
        </Heading>
        {open && <Working watched={watched} />}
        {value.state === "completed" && <Claims run={value} />}
        {value.state === "abstained" && <Abstained run={value} />}
        {value.state === "failed" && (
          <div class="problem" role="alert">
            <strong>The run failed</strong>
            {value.failure != null && <p>{value.failure.message}</p>}
            <p class="advice">
              <a href="#jobs">Its job</a> can be tried again, or <a href="#ask">ask once more</a>.
            </p>
          </div>
        )}
        {value.state === "cancelled" && <p class="notice">The run was cancelled.</p>}
      </article>
      {!open && <Side run={value} />}
    </div>
  );
}
