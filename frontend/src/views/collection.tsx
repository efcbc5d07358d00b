import { useEffect, useState } from "preact/hooks";
import { getCollection, listDocuments } from "../api/sdk.gen";
import type { DocumentBody } from "../api/types.gen";
import { call } from "../call";
import { ago, bytes, count } from "../format";
import { useLoad, useRepeat, useTitle } from "../hooks";
import { Command, Empty, Heading, Loading, ProblemNote, State } from "../parts/ui";
import { Uploads } from "../parts/uploads";
import { type Problem, problemOf } from "../problem";
import { documentLink } from "../route";

const STATES = ["", "received", "extracted", "searchable", "failed", "quarantined", "rejected"];

function Row({ document }: { document: DocumentBody }) {
  const { latest } = document;
  return (
    <tr>
      <th scope="row">
        <a href={documentLink(document.current_version_id ?? latest.id)}>{document.name}</a>
        {latest.title != null && latest.title !== document.name && <span class="small note">{latest.title}</span>}
        {latest.failure != null && <span class="small note bad">{latest.failure.message}</span>}
      </th>
      <td>
        <State state={latest.state} />
      </td>
      <td class="figure">{document.versions}</td>
      <td class="figure">{bytes(latest.size)}</td>
      <td class="figure">{ago(document.updated_at, Date.now())}</td>
    </tr>
  );
}

function Documents({ collection, turn }: { collection: string; turn: number }) {
  const [state, setState] = useState("");
  const [more, setMore] = useState<{ items: DocumentBody[]; next: string | null } | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const query = { limit: 50, ...(state === "" ? {} : { state }) };
  const first = useLoad(`${collection}/${state}`, (signal) =>
    call(listDocuments({ path: { id: collection }, query, signal })),
  );
  // A finished upload asks for a fresh list
  useEffect(() => {
    if (turn > 0) first.reload();
  }, [turn]);
  const items = [...(first.value?.items ?? []), ...(more?.items ?? [])];
  const moving = items.some((one) => one.latest.state === "received" || one.latest.state === "extracted");
  useRepeat(moving, 2500, first.reload);
  const next = more === null ? (first.value?.next_cursor ?? null) : more.next;
  const readOn = async () => {
    if (next === null) return;
    try {
      const page = await call(listDocuments({ path: { id: collection }, query: { ...query, cursor: next } }));
      setMore({ items: [...(more?.items ?? []), ...page.items], next: page.next_cursor ?? null });
    } catch (thrown) {
      setProblem(problemOf(thrown));
    }
  };
  return (
    <section aria-labelledby="documents">
      <div class="line spread">
        <h2 id="documents">Documents</h2>
        <label class="beside">
          State
          <select
            value={state}
            onChange={(event) => {
              setState(event.currentTarget.value);
              setMore(null);
            }}
          >
            {STATES.map((one) => (
              <option key={one} value={one}>
                {one === "" ? "any" : one}
              </option>
            ))}
          </select>
        </label>
      </div>
      <ProblemNote problem={first.problem ?? problem} retry={first.reload} />
      {first.value === null && first.problem === null && <Loading what="Looking for documents" />}
      {first.value !== null && items.length === 0 && (
        <Empty title={state === "" ? "No document yet" : `No document is ${state}`}>
          {state === "" && (
            <>
              <p>Drop files above, or add a whole folder from a terminal:</p>
              <Command>carrel add letters/ --collection NAME --wait</Command>
            </>
          )}
        </Empty>
      )}
      {items.length > 0 && (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">State</th>
                <th scope="col" class="figure">
                  Versions
                </th>
                <th scope="col" class="figure">
                  Size
                </th>
                <th scope="col" class="figure">
                  Changed
                </th>
              </tr>
            </thead>
            <tbody>
              {items.map((one) => (
                <Row key={one.id} document={one} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {next !== null && (
        <button type="button" class="quiet more" onClick={readOn}>
          More documents
        </button>
      )}
    </section>
  );
}

export function CollectionPage({ id }: { id: string }) {
  const collection = useLoad(id, (signal) => call(getCollection({ path: { id }, signal })));
  const [turn, setTurn] = useState(0);
  useTitle(collection.value?.name ?? "Collection");
  if (collection.problem !== null) return <ProblemNote problem={collection.problem} retry={collection.reload} />;
  if (collection.value === null) return <Loading what="Opening the collection" />;
  const { name, description, documents } = collection.value;
  const arrived = () => {
    setTurn((value) => value + 1);
    collection.reload();
  };
  return (
    <>
      <Heading
        sub={
          <>
            {description !== "" && <>{description} · </>}
            {count(documents, "document")} · <a href={`#search?in=${id}`}>search in it</a>
          </>
        }
      >
        {name}
      </Heading>
      <Uploads collection={id} arrived={arrived} />
      <Documents collection={id} turn={turn} />
    </>
  );
}
