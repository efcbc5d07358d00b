/** Watches a research run while it works. */
import { useEffect, useState } from "preact/hooks";
import type { watchRun } from "./api/sdk.gen";
import type { RunEventBody } from "./api/types.gen";
import { type Problem, ProblemError, problemOf, toProblem } from "./problem";
import { advance, isOver, NOTHING_YET, type Progress } from "./progress";
import { currentSession, endSession } from "./session";
import { follow } from "./sse";

/** The stream was refused for good: trying again would not help. */
class Refused extends ProblemError {
  override name = "Refused";
}

/** The generated client has no type for a raw stream, so its path is taken from the type and fetched here. */
type EventsPath = Parameters<typeof watchRun>[0]["path"];

async function open({ id }: EventsPath, lastId: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const headers: Record<string, string> = {
    Accept: "text/event-stream",
    Authorization: `Bearer ${currentSession()?.token ?? ""}`,
  };
  if (lastId !== "") headers["Last-Event-ID"] = lastId;
  const response = await fetch(`/api/v1/research/${encodeURIComponent(id)}/events`, { headers, signal });
  if (response.ok && response.body !== null) return response.body;
  const problem = toProblem(await response.json().catch(() => undefined), response.status);
  if (response.status === 401) endSession();
  if (response.status >= 400 && response.status < 500 && response.status !== 429) throw new Refused(problem);
  throw new ProblemError(problem);
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

export interface Watched {
  progress: Progress;
  connected: boolean;
  problem: Problem | null;
}

/** Follows run `id` while `wanted`; calls `ended` once when it is over. */
export function useRun(id: string, wanted: boolean, ended: () => void): Watched {
  const [progress, setProgress] = useState<Progress>(NOTHING_YET);
  const [connected, setConnected] = useState(true);
  const [problem, setProblem] = useState<Problem | null>(null);
  // `ended` is called, not watched.
  useEffect(() => {
    if (!wanted) return;
    const abort = new AbortController();
    setProgress(NOTHING_YET);
    follow({
      open: (lastId, signal) => open({ id }, lastId, signal),
      receive: (event) => {
        const happening = JSON.parse(event.data) as RunEventBody;
        setProgress((old) => advance(old, happening));
        if (!isOver(happening.kind)) return false;
        ended();
        return true;
      },
      connected: setConnected,
      pause,
      signal: abort.signal,
    }).catch((thrown: unknown) => setProblem(problemOf(thrown)));
    return () => abort.abort();
  }, [id, wanted]);
  return { progress, connected, problem };
}
