import { useState } from "preact/hooks";
import { ask, listRuns } from "../api/sdk.gen";
import { call, newKey } from "../call";
import { useCollections } from "../collections";
import { ago } from "../format";
import { useLoad, useRepeat, useTitle } from "../hooks";
import { Command, Empty, Heading, Loading, ProblemNote, State } from "../parts/ui";
import { type Problem, problemOf } from "../problem";
import { isOver } from "../progress";

function Runs() {
  const runs = useLoad("runs", (signal) => call(listRuns({ query: { limit: 20 }, signal })));
  const items = runs.value?.items ?? [];
  useRepeat(
    items.some((run) => !isOver(run.state)),
    3000,
    runs.reload,
  );
  if (runs.problem !== null) return <ProblemNote problem={runs.problem} retry={runs.reload} />;
  if (runs.value === null) return <Loading what="Looking for earlier questions" />;
  if (items.length === 0) return <p class="hint">No question has been asked yet.</p>;
  return (
    <ul class="rows">
      {items.map((run) => (
        <li key={run.id}>
          <a class="grow" href={`#r=${run.id}`}>
            {run.question}
          </a>
          <State state={run.state} />
          <span class="small when">{ago(run.created_at, Date.now())}</span>
        </li>
      ))}
    </ul>
  );
}

export function AskPage() {
  const collections = useCollections();
  const [question, setQuestion] = useState("");
  const [chosen, setChosen] = useState("");
  const [key, setKey] = useState(newKey);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  useTitle("Ask");

  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const body = { question: question.trim(), collections: chosen === "" ? [] : [chosen] };
      const run = await call(ask({ body, headers: { "Idempotency-Key": key } }));
      location.hash = `#r=${run.id}`;
    } catch (thrown) {
      setProblem(problemOf(thrown));
      setBusy(false);
    }
  };
  const change = (set: () => void) => {
    set();
    // Another question is another request; only a repetition keeps its key.
    setKey(newKey());
  };

  const known = collections.value ?? [];
  const nothing = collections.value !== null && known.every((one) => one.documents === 0);
  return (
    <>
      <Heading sub="Every claim of the report is an exact quote from a document version, or it is not made.">
        Ask
      </Heading>
      {nothing && (
        <Empty title="There is nothing to answer from yet">
          <p>Add documents first:</p>
          <Command>carrel add report.pdf letters/ --collection case --wait</Command>
        </Empty>
      )}
      <form class="card ask" onSubmit={submit} aria-label="Ask a question">
        <label>
          Question
          <textarea
            name="question"
            rows={3}
            maxLength={4000}
            required
            placeholder="How fast must the lock gate close, and who decided it?"
            value={question}
            onInput={(event) => {
              const { value } = event.currentTarget;
              change(() => setQuestion(value));
            }}
            onKeyDown={(event) => {
              if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
                event.preventDefault();
                event.currentTarget.form?.requestSubmit();
              }
            }}
          />
        </label>
        <div class="line options">
          <label class="beside">
            Answer from
            <select
              name="collection"
              value={chosen}
              onChange={(event) => {
                const { value } = event.currentTarget;
                change(() => setChosen(value));
              }}
            >
              <option value="">every collection</option>
              {known.map((one) => (
                <option key={one.id} value={one.id}>
                  {one.name}
                </option>
              ))}
            </select>
          </label>
          <button type="submit" disabled={busy || question.trim() === ""}>
            {busy ? "Asking…" : "Ask"}
          </button>
        </div>
        <ProblemNote problem={problem} />
      </form>
      <section aria-labelledby="recent">
        <h2 id="recent">Recent questions</h2>
        <Runs />
      </section>
    </>
  );
}
