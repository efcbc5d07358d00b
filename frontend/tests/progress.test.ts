import { expect, test } from "vitest";
import type { RunEventBody } from "../src/api/types.gen";
import { advance, isOver, NOTHING_YET } from "../src/progress";

let seq = 0;
function event(kind: string, payload: Record<string, unknown>): RunEventBody {
  seq += 1;
  return { seq, at: "2026-01-02T03:04:05Z", kind, payload };
}

test("a run is seen to plan, tick off its steps and write", () => {
  const planned = advance(NOTHING_YET, event("planned", { steps: ["How fast?", "Who decided?"] }));
  expect(planned.state).toBe("gathering");
  expect(planned.said).toBe("Planned in 2 steps.");

  const half = advance(planned, event("step_completed", { step: 1, passages: 1, evidence: 5, question: "" }));
  expect(half.steps.map((step) => step.done)).toEqual([false, true]);
  expect(half.steps[1]?.note).toBe("1 passage read, 5 sentences kept");
  expect(half.state).toBe("gathering");

  const whole = advance(half, event("step_completed", { step: 0, passages: 12, evidence: 32 }));
  expect(whole.state).toBe("writing");

  const written = advance(whole, event("claim", { text: "In 110 s.", citations: 1 }));
  expect(written.claims).toEqual(["In 110 s."]);
  expect(advance(written, event("completed", { claims: 1 })).state).toBe("completed");
});

test("an event of a newer server changes nothing", () => {
  expect(advance(NOTHING_YET, event("pondered", {}))).toBe(NOTHING_YET);
});

test("a run is over in four ways", () => {
  const over = ["completed", "abstained", "failed", "cancelled"];
  for (const kind of over) expect(isOver(advance(NOTHING_YET, event(kind, {})).state)).toBe(true);
  for (const state of ["planning", "gathering", "writing"]) expect(isOver(state)).toBe(false);
});
