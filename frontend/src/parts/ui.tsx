/** Small parts that every page uses. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Problem } from "../problem";

/** The server's details begin with a small letter, for logs; here they stand alone. */
const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** A problem with its title, what is wrong this time, and what to do about it. */
export function ProblemNote({ problem, retry }: { problem: Problem | null; retry?: () => void }) {
  if (problem === null) return null;
  return (
    <div class="problem" role="alert">
      <strong>{problem.title}</strong>
      {problem.detail !== "" && <p>{sentence(problem.detail)}</p>}
      {problem.advice !== "" && <p class="advice">{problem.advice}</p>}
      {problem.requestId !== "" && (
        <p class="small">
          Request <code>{problem.requestId}</code>
        </p>
      )}
      {retry !== undefined && (
        <button type="button" class="quiet" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Says what to do first where there is nothing yet. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <p class="loading" role="status">
      <span class="dot" aria-hidden="true" /> {what}…
    </p>
  );
}

const GOOD = new Set(["searchable", "completed"]);
const BAD = new Set(["failed", "discarded", "quarantined", "rejected"]);
const MOVING = new Set(["received", "extracted", "running", "planning", "gathering", "writing"]);

/** A state as a word; the colour only repeats it. */
export function State({ state }: { state: string }) {
  const tone = GOOD.has(state) ? "good" : BAD.has(state) ? "bad" : MOVING.has(state) ? "moving" : "still";
  return <span class={`state ${tone}`}>{state}</span>;
}

/** The page's heading. It takes the focus when the page opens, so that screen readers begin there. */
export function Heading({ children, sub }: { children: ComponentChildren; sub?: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    const active = document.activeElement;
    if (active === null || active === document.body || active.closest("header") !== null) {
      heading.current?.focus({ preventScroll: true });
    }
  }, []);
  return (
    <div class="heading">
      <h1 tabIndex={-1} ref={heading}>
        {children}
      </h1>
      {sub !== undefined && <p class="sub">{sub}</p>}
    </div>
  );
}

export function Command({ children }: { children: string }) {
  return (
    <pre class="command">
      <code>{children}</code>
    </pre>
  );
}
