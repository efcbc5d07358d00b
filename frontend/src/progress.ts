/** What a research run has shown so far, built from its events. */
import type { RunEventBody } from "./api/types.gen";

export interface Progress {
  state: "planning" | "gathering" | "writing" | "completed" | "abstained" | "failed" | "cancelled";
  steps: { question: string; done: boolean; note: string }[];
  claims: string[];
  /** The newest happening in a sentence, for people who listen. */
  said: string;
}

export const NOTHING_YET: Progress = { state: "planning", steps: [], claims: [], said: "The question is being read." };

export const isOver = (state: string): boolean => ["completed", "abstained", "failed", "cancelled"].includes(state);

const plural = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`;

/** The next progress. Events of an unknown kind change nothing, so that a newer server can be watched. */
export function advance(progress: Progress, event: RunEventBody): Progress {
  const payload = event.payload;
  switch (event.kind) {
    case "planned": {
      const questions = Array.isArray(payload.steps) ? payload.steps.map(String) : [];
      const steps = questions.map((question) => ({ question, done: false, note: "" }));
      return { ...progress, state: "gathering", steps, said: `Planned in ${plural(steps.length, "step", "steps")}.` };
    }
    case "step_completed": {
      const step = Number(payload.step);
      const note = `${plural(Number(payload.passages), "passage", "passages")} read, ${plural(Number(payload.evidence), "sentence", "sentences")} kept`;
      const steps = progress.steps.map((known, index) => (index === step ? { ...known, done: true, note } : known));
      const state = steps.every((known) => known.done) ? "writing" : "gathering";
      return { ...progress, steps, state, said: `Step ${step + 1} is done: ${note}.` };
    }
    case "claim": {
      const claims = [...progress.claims, String(payload.text ?? "")];
      return { ...progress, state: "writing", claims, said: `${plural(claims.length, "claim", "claims")} written.` };
    }
    case "completed":
      return { ...progress, state: "completed", said: "The report is ready." };
    case "abstained":
      return { ...progress, state: "abstained", said: "The archive holds no answer that could be quoted." };
    case "failed":
      return { ...progress, state: "failed", said: "The run failed." };
    case "cancelled":
      return { ...progress, state: "cancelled", said: "The run was cancelled." };
    default:
      return progress;
  }
}
