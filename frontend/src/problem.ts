/** What went wrong, told the same way wherever it came from. */

export interface Problem {
  title: string;
  detail: string;
  advice: string;
  status: number;
  code: string;
  requestId: string;
}

/** Thrown by every call of the API that did not succeed. */
export class ProblemError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.title);
    this.problem = problem;
  }
}

function field(body: unknown, name: string): string {
  if (typeof body !== "object" || body === null) return "";
  const value = (body as Record<string, unknown>)[name];
  return typeof value === "string" ? value : "";
}

/** Reads problem+json (RFC 9457), an OAuth error (RFC 6749 section 5.2), or explains that there was no answer. */
export function toProblem(body: unknown, status: number): Problem {
  const requestId = field(body, "request_id");
  if (field(body, "title") !== "") {
    return {
      title: field(body, "title"),
      detail: field(body, "detail"),
      advice: field(body, "advice"),
      code: field(body, "code"),
      status,
      requestId,
    };
  }
  const oauth = field(body, "error");
  if (oauth !== "") {
    return {
      title: "Not signed in",
      detail: field(body, "error_description"),
      advice: oauth === "invalid_client" ? "Check the client id and the secret; an operator can make new ones." : "",
      code: oauth,
      status,
      requestId,
    };
  }
  if (status === 0) {
    return {
      title: "The server does not answer",
      detail: "",
      advice: "Check the connection, and that the server runs; then try again.",
      code: "no_answer",
      status,
      requestId,
    };
  }
  return {
    title: `The server answered ${status}`,
    detail: "",
    advice: "Try again; if it stays, ask the operator.",
    code: "unexpected",
    status,
    requestId,
  };
}

/** Any thrown value as a problem. A fault of the page itself shows its message, never a silent nothing. */
export function problemOf(thrown: unknown): Problem {
  if (thrown instanceof ProblemError) return thrown.problem;
  if (thrown instanceof TypeError && /fetch|network/i.test(thrown.message)) return toProblem(undefined, 0);
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  return { title: "The page failed", detail, advice: "Load it again.", status: 0, code: "page", requestId: "" };
}
