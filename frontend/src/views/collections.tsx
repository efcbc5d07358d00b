import { useState } from "preact/hooks";
import { createCollection } from "../api/sdk.gen";
import { call, newKey } from "../call";
import { useCollections } from "../collections";
import { count, moment } from "../format";
import { useTitle } from "../hooks";
import { Command, Empty, Heading, Loading, ProblemNote } from "../parts/ui";
import { type Problem, problemOf } from "../problem";

function NewCollection() {
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const body = { name: name.trim(), description: description.trim() };
      const made = await call(createCollection({ body, headers: { "Idempotency-Key": newKey() } }));
      location.hash = `#c=${made.id}`;
    } catch (thrown) {
      setProblem(problemOf(thrown));
      setBusy(false);
    }
  };
  return (
    <details class="help new">
      <summary>New collection</summary>
      <form onSubmit={submit} aria-label="New collection">
        <div class="line">
          <label class="grow">
            Name
            <input name="name" required value={name} onInput={(event) => setName(event.currentTarget.value)} />
          </label>
          <label class="grow">
            What it is for
            <input
              name="description"
              value={description}
              onInput={(event) => setDescription(event.currentTarget.value)}
            />
          </label>
          <button type="submit" disabled={busy}>
            Make it
          </button>
        </div>
        <ProblemNote problem={problem} />
      </form>
    </details>
  );
}

export function CollectionsPage() {
  const collections = useCollections();
  useTitle("Collections");
  return (
    <>
      <Heading sub="A collection holds documents that belong together: a case, a project, a library.">
        Collections
      </Heading>
      <ProblemNote problem={collections.problem} retry={collections.reload} />
      {collections.value === null && collections.problem === null && <Loading what="Looking for collections" />}
      {collections.value?.length === 0 && (
        <Empty title="There is no collection yet">
          <p>The command makes one when it adds the first documents:</p>
          <Command>carrel add report.pdf letters/ --collection case --wait</Command>
          <p>Or make one here.</p>
        </Empty>
      )}
      <ul class="rows">
        {(collections.value ?? []).map((one) => (
          <li key={one.id}>
            <span class="grow">
              <a href={`#c=${one.id}`}>{one.name}</a>
              {one.description !== "" && <span class="small note">{one.description}</span>}
            </span>
            <span>{count(one.documents, "document")}</span>
            <span class="small when">since {moment(one.created_at)}</span>
          </li>
        ))}
      </ul>
      <NewCollection />
    </>
  );
}
