import { useState } from "preact/hooks";
import { useTitle } from "../hooks";
import { Command, ProblemNote } from "../parts/ui";
import { type Problem, problemOf } from "../problem";
import { currentAbsence, signIn } from "../session";

export function SignInPage() {
  const [clientId, setClientId] = useState("");
  const [secret, setSecret] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  useTitle("Sign in");

  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await signIn(clientId.trim(), secret.trim());
    } catch (thrown) {
      setProblem(problemOf(thrown));
      setBusy(false);
    }
  };

  return (
    <main class="door">
      <div class="welcome">
        <img src="/icon.svg" alt="" width="44" height="44" />
        <h1>Carrel</h1>
        <p>Documents in, cited answers out.</p>
      </div>
      <form class="card" onSubmit={submit} aria-label="Sign in">
        {currentAbsence() === "ended" && (
          <p class="notice" role="status">
            Your session has ended. Sign in again to continue where you were.
          </p>
        )}
        <ProblemNote problem={problem} />
        <label>
          Client id
          <input
            name="client_id"
            autocomplete="username"
            autocapitalize="off"
            spellcheck={false}
            required
            value={clientId}
            onInput={(event) => setClientId(event.currentTarget.value)}
          />
        </label>
        <label>
          Client secret
          <input
            name="client_secret"
            type="password"
            autocomplete="current-password"
            required
            value={secret}
            onInput={(event) => setSecret(event.currentTarget.value)}
          />
        </label>
        <button type="submit" disabled={busy}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
        <p class="small">The secret is sent once for a token and is not kept. The token stays in this tab only.</p>
      </form>
      <details class="help">
        <summary>Where do I get a client id?</summary>
        <p>
          On your own machine, <code>carrel up</code> makes one and keeps it in{" "}
          <code>~/.config/carrel/credentials.json</code>. On a shared server, an operator makes one:
        </p>
        <Command>carrel admin client create NAME</Command>
      </details>
    </main>
  );
}
