/**
 * The signed-in client.
 *
 * Never keeps the secret: it is sent once to `/oauth/token` and forgotten. The token lives in the tab's session storage
 * and ends with it; when it expires the page asks to sign in again.
 */
import { client } from "./api/client.gen";
import { issueToken } from "./api/sdk.gen";
import { ProblemError, toProblem } from "./problem";

const KEY = "carrel.session";

export interface Session {
  token: string;
  /** Milliseconds since the epoch. */
  expires: number;
  clientId: string;
}

/** Why there is no session: nobody signed in, the token ended, or the user left. */
export type Absence = "none" | "ended" | "left";

let session: Session | null = null;
let absence: Absence = "none";
let timer: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();

export function readSession(stored: string | null, now: number): Session | null {
  if (stored === null) return null;
  try {
    const value = JSON.parse(stored) as Partial<Session>;
    if (typeof value.token !== "string" || typeof value.expires !== "number") return null;
    if (value.expires <= now) return null;
    return { token: value.token, expires: value.expires, clientId: value.clientId ?? "" };
  } catch {
    return null;
  }
}

function change(next: Session | null, why: Absence): void {
  session = next;
  absence = why;
  clearTimeout(timer);
  if (next === null) sessionStorage.removeItem(KEY);
  else {
    sessionStorage.setItem(KEY, JSON.stringify(next));
    timer = setTimeout(() => change(null, "ended"), Math.max(0, next.expires - Date.now()));
  }
  for (const listener of listeners) listener();
}

/** Takes up the tab's session and teaches the generated client to send its token. Call it once. */
export function startSession(): void {
  // Without `omit` the browser answers a refused sign-in (401 with `WWW-Authenticate: Basic`) by its own dialogue.
  client.setConfig({ auth: () => session?.token, credentials: "omit" });
  client.interceptors.response.use((response) => {
    if (response.status === 401 && session !== null && !response.url.endsWith("/oauth/token")) change(null, "ended");
    return response;
  });
  const stored = readSession(sessionStorage.getItem(KEY), Date.now());
  if (stored !== null) change(stored, "none");
}

export const currentSession = (): Session | null => session;
export const currentAbsence = (): Absence => absence;

export function onSession(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Ends the session because the server no longer accepts its token. */
export function endSession(): void {
  change(null, "ended");
}

export function signOut(): void {
  change(null, "left");
}

/** Asks for a token with the client's credentials (RFC 6749 section 4.4). Throws ProblemError. */
export async function signIn(clientId: string, secret: string): Promise<void> {
  const asked = Date.now();
  const { data, error, response } = await issueToken({
    body: { grant_type: "client_credentials", client_id: clientId, client_secret: secret },
  });
  if (data === undefined) throw new ProblemError(toProblem(error, response?.status ?? 0));
  change({ token: data.access_token, expires: asked + data.expires_in * 1000, clientId }, "none");
}
