import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type Problem, problemOf } from "./problem";

export interface Loaded<T> {
  value: T | null;
  problem: Problem | null;
  loading: boolean;
  reload: () => void;
}

/** Loads when `key` changes. A value stays visible while it is loaded anew, so lists do not flicker. */
export function useLoad<T>(key: string, load: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ key: string; value: T | null; problem: Problem | null; loading: boolean }>({
    key,
    value: null,
    problem: null,
    loading: true,
  });
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;

  // `turn` is the request to load the same key again
  useEffect(() => {
    const abort = new AbortController();
    setState((old) => ({ key, value: old.key === key ? old.value : null, problem: null, loading: true }));
    latest.current(abort.signal).then(
      (value) => {
        if (!abort.signal.aborted) setState({ key, value, problem: null, loading: false });
      },
      (thrown: unknown) => {
        if (abort.signal.aborted) return;
        setState((old) => ({ key, value: old.value, problem: problemOf(thrown), loading: false }));
      },
    );
    return () => abort.abort();
  }, [key, turn]);

  const reload = useCallback(() => setTurn((value) => value + 1), []);
  const fresh = state.key === key;
  return {
    value: fresh ? state.value : null,
    problem: fresh ? state.problem : null,
    loading: fresh ? state.loading : true,
    reload,
  };
}

/** Calls `again` every `milliseconds` while `wanted` and the page is visible. */
export function useRepeat(wanted: boolean, milliseconds: number, again: () => void): void {
  const latest = useRef(again);
  latest.current = again;
  useEffect(() => {
    if (!wanted) return;
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") latest.current();
    }, milliseconds);
    return () => clearInterval(timer);
  }, [wanted, milliseconds]);
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === "" ? "Carrel" : `${title} – Carrel`;
  }, [title]);
}
