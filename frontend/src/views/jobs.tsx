import { useState } from "preact/hooks";
import { cancelJob, getJob, listJobs, retryJob } from "../api/sdk.gen";
import type { JobBody, JobPageBody } from "../api/types.gen";
import { call, newKey } from "../call";
import { ago, count } from "../format";
import { useLoad, useRepeat, useTitle } from "../hooks";
import { Empty, Heading, Loading, ProblemNote, State } from "../parts/ui";
import { type Problem, problemOf } from "../problem";

const GROUPS = [
  { name: "All", state: undefined },
  { name: "Waiting and running", state: "blocked,scheduled,available,retryable,running" },
  { name: "Failed", state: "retryable,discarded" },
] as const;

const OPEN = new Set(["blocked", "scheduled", "available", "retryable", "running"]);

const WHAT: Record<string, string> = {
  "document.extract": "Read a file",
  "document.index": "Make a version searchable",
  "research.plan": "Plan an answer",
  "research.gather": "Gather evidence",
  "research.write": "Write a report",
};

function Subject({ job }: { job: JobBody }) {
  const { version, run } = job.payload;
  if (typeof version === "string") return <a href={`#v=${version}`}>the document</a>;
  if (typeof run === "string") return <a href={`#r=${run}`}>the question</a>;
  return null;
}

function Why({ page }: { page: JobPageBody }) {
  return (
    <div class="why">
      {page.waits.map((wait) => (
        <p key={wait.reason}>
          <strong>Why it waits:</strong> {wait.message}
        </p>
      ))}
      {page.waits.length === 0 && page.attempts.length === 0 && <p>It has not begun.</p>}
      {page.attempts.length > 0 && (
        <ol class="attempts">
          {page.attempts.map((attempt) => (
            <li key={attempt.number}>
              Attempt {attempt.number}: {attempt.outcome}, began {ago(attempt.started_at, Date.now())}
              {attempt.error != null && <span class="note bad small">{attempt.error.message}</span>}
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}

function Detail({ job }: { job: JobBody }) {
  const page = useLoad(`${job.id}/${job.state}/${job.attempt}`, (signal) =>
    call(getJob({ path: { id: job.id }, signal })),
  );
  if (page.problem !== null) return <ProblemNote problem={page.problem} retry={page.reload} />;
  if (page.value === null) return <Loading what="Asking why" />;
  return <Why page={page.value} />;
}

function Job({ job, changed }: { job: JobBody; changed: () => void }) {
  const [open, setOpen] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const act = async (action: () => Promise<unknown>) => {
    setProblem(null);
    try {
      await action();
      changed();
    } catch (thrown) {
      setProblem(problemOf(thrown));
    }
  };
  const again = job.state === "discarded" || job.state === "cancelled" || job.state === "retryable";
  const what = WHAT[job.kind] ?? job.kind;
  return (
    <li class="job">
      <div class="line">
        <State state={job.state} />
        <span class="grow">
          {what} <span class="small">{job.kind}</span> · <Subject job={job} />
          {job.progress != null && OPEN.has(job.state) && (
            <span class="small note">
              {job.progress.note} {job.progress.done}
              {job.progress.total != null && <> of {job.progress.total}</>}
            </span>
          )}
          {job.last_error != null && job.state !== "completed" && (
            <span class="small note bad">{job.last_error.message}</span>
          )}
        </span>
        <span class="small when">
          {ago(job.created_at, Date.now())}
          {job.attempt > 1 && (
            <>
              {" "}
              · attempt {job.attempt} of {job.max_attempts}
            </>
          )}
        </span>
        <button type="button" class="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
          {OPEN.has(job.state) ? "Why" : "History"}
        </button>
        {again && (
          <button
            type="button"
            class="quiet"
            onClick={() =>
              act(() => call(retryJob({ path: { id: job.id }, headers: { "Idempotency-Key": newKey() } })))
            }
          >
            Retry
          </button>
        )}
        {OPEN.has(job.state) && (
          <button type="button" class="quiet" onClick={() => act(() => call(cancelJob({ path: { id: job.id } })))}>
            Cancel
          </button>
        )}
      </div>
      {open && <Detail job={job} />}
      <ProblemNote problem={problem} />
    </li>
  );
}

export function JobsPage() {
  const [group, setGroup] = useState(0);
  const [limit, setLimit] = useState(25);
  const state = GROUPS[group]?.state;
  const jobs = useLoad(`${group}/${limit}`, (signal) =>
    call(listJobs({ query: { limit, ...(state === undefined ? {} : { state }) }, signal })),
  );
  useTitle("Jobs");
  useRepeat(true, 4000, jobs.reload);
  const items = jobs.value?.items ?? [];
  return (
    <>
      <Heading sub="What the archive does in the background, and why anything waits.">Jobs</Heading>
      <fieldset class="switch">
        <legend class="unseen">Which jobs</legend>
        {GROUPS.map((one, index) => (
          <label key={one.name}>
            <input type="radio" name="group" checked={group === index} onChange={() => setGroup(index)} />
            <span>{one.name}</span>
          </label>
        ))}
      </fieldset>
      <ProblemNote problem={jobs.problem} retry={jobs.reload} />
      {jobs.value === null && jobs.problem === null && <Loading what="Looking for jobs" />}
      {jobs.value !== null && items.length === 0 && (
        <Empty title={group === 0 ? "No job has run yet" : "There is none"}>
          <p>Every file that is added and every question that is asked becomes a few jobs.</p>
        </Empty>
      )}
      {items.length > 0 && (
        <>
          <p class="unseen" role="status">
            {count(items.length, "job")} shown
          </p>
          <ul class="rows jobs">
            {items.map((job) => (
              <Job key={job.id} job={job} changed={jobs.reload} />
            ))}
          </ul>
        </>
      )}
      {jobs.value?.next_cursor != null && limit < 200 && (
        <button type="button" class="quiet more" onClick={() => setLimit(Math.min(200, limit + 50))}>
          More jobs
        </button>
      )}
    </>
  );
}
