import { ProblemError, toProblem } from "./problem";

interface Answer<T> {
  data?: T | undefined;
  error?: unknown;
  response?: Response | undefined;
}

/** The value of a call of the generated client, or a ProblemError. */
export async function call<T>(pending: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await pending;
  if (response?.ok === true) return data as T;
  if (error instanceof DOMException && error.name === "AbortError") throw error;
  throw new ProblemError(toProblem(error, response?.status ?? 0));
}

/** A fresh idempotency key. `crypto.randomUUID` is missing on plain http outside localhost, so it is not used. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
