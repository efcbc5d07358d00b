import { useEffect, useState } from "preact/hooks";
import { search } from "../api/sdk.gen";
import type { HitBody } from "../api/types.gen";
import { call } from "../call";
import { useCollections } from "../collections";
import { count, place } from "../format";
import { useLoad, useTitle } from "../hooks";
import { Pieces } from "../parts/pieces";
import { Command, Empty, Heading, Loading, ProblemNote } from "../parts/ui";
import { documentLink, MODES, type Mode, searchLink } from "../route";

const MODE_NAMES: Record<Mode, string> = { hybrid: "Both", lexical: "Words", semantic: "Meaning" };
const MODE_HINTS: Record<Mode, string> = {
  hybrid: "Words and meaning together",
  lexical: "Only passages that hold the words",
  semantic: "Passages that mean the same, in whatever words",
};

function score(name: string, title: string, value: number | null | undefined) {
  if (value == null) return null;
  return (
    <span title={title}>
      {name} {value.toFixed(2)}
    </span>
  );
}

function Hit({ hit }: { hit: HitBody }) {
  const link = documentLink(hit.version_id, hit.passage.span);
  return (
    <li class="hit">
      <h2>
        <a href={link}>{hit.title ?? hit.document_name}</a>
      </h2>
      <p class="where">
        {hit.title != null && <span>{hit.document_name}</span>}
        <span>{place(hit.version_number, hit.snippet.page ?? hit.passage.page)}</span>
        {hit.passage.headings.length > 0 && <span class="trail">{hit.passage.headings.join(" › ")}</span>}
      </p>
      <p class="snippet">
        <Pieces text={hit.snippet.text} spans={hit.snippet.highlights} />
      </p>
      <p class="scores">
        {score("rank", "What the hits are ordered by, 0 to 1", hit.scores.rank)}
        {score("words", "BM25 over the words", hit.scores.lexical)}
        {score("meaning", "Cosine similarity of the meaning", hit.scores.vector)}
      </p>
    </li>
  );
}

function Hits({ query, mode, collection }: { query: string; mode: Mode; collection: string }) {
  const [limit, setLimit] = useState(10);
  const key = JSON.stringify([query, mode, collection]);
  // Another search begins with ten hits again
  useEffect(() => setLimit(10), [key]);
  const answer = useLoad(`${key}${limit}`, (signal) =>
    call(search({ body: { query, mode, limit, collections: collection === "" ? [] : [collection] }, signal })),
  );
  if (answer.problem !== null) return <ProblemNote problem={answer.problem} retry={answer.reload} />;
  if (answer.value === null) return <Loading what="Searching" />;
  const { hits } = answer.value;
  if (hits.length === 0) {
    return (
      <Empty title="Nothing was found">
        <p>
          Try fewer or other words{mode === "lexical" && <>, or search by meaning</>}
          {collection !== "" && <>, or look in every collection</>}. Documents can be found once their state is{" "}
          <em>searchable</em>: <a href="#collections">see the collections</a>.
        </p>
      </Empty>
    );
  }
  return (
    <>
      <p class="small" role="status">
        {count(hits.length, "passage")}
      </p>
      <ol class="hits">
        {hits.map((hit) => (
          <Hit key={`${hit.version_id}/${hit.passage.ordinal}`} hit={hit} />
        ))}
      </ol>
      {hits.length >= limit && limit < 100 && (
        <button type="button" class="quiet" onClick={() => setLimit(Math.min(100, limit + 20))}>
          More hits
        </button>
      )}
    </>
  );
}

function FirstSteps({ nothing }: { nothing: boolean }) {
  if (nothing) {
    return (
      <Empty title="The archive is empty">
        <p>Put in the first documents from a terminal, and they can be searched as soon as they are read:</p>
        <Command>carrel add report.pdf letters/ --collection case --wait</Command>
        <p>
          Or <a href="#collections">make a collection</a> and drop files on it.
        </p>
      </Empty>
    );
  }
  return (
    <p class="hint">
      Search finds passages by their words and by their meaning. To get an answer made of exact quotes,{" "}
      <a href="#ask">ask a question</a>.
    </p>
  );
}

export function SearchPage({ query, mode, collection }: { query: string; mode: Mode; collection: string }) {
  const [text, setText] = useState(query);
  const collections = useCollections();
  useTitle(query === "" ? "Search" : query);
  useEffect(() => setText(query), [query]);

  const go = (nextText: string, nextMode: Mode, nextCollection: string) => {
    location.hash = searchLink(nextText.trim(), nextMode, nextCollection);
  };
  const known = collections.value ?? [];
  const nothing = collections.value !== null && known.every((one) => one.documents === 0);

  return (
    <>
      <Heading>Search</Heading>
      <search>
        <form
          class="search"
          onSubmit={(event) => {
            event.preventDefault();
            if (text.trim() !== "") go(text, mode, collection);
          }}
        >
          <div class="line">
            <label class="grow">
              <span class="unseen">What to look for</span>
              <input
                type="search"
                name="q"
                placeholder="Words, or a question"
                maxLength={8000}
                value={text}
                onInput={(event) => setText(event.currentTarget.value)}
              />
            </label>
            <button type="submit">Search</button>
          </div>
          <div class="line options">
            <fieldset class="switch">
              <legend class="unseen">Search by</legend>
              {MODES.map((one) => (
                <label key={one} title={MODE_HINTS[one]}>
                  <input
                    type="radio"
                    name="mode"
                    value={one}
                    checked={mode === one}
                    onChange={() => go(text, one, collection)}
                  />
                  <span>{MODE_NAMES[one]}</span>
                </label>
              ))}
            </fieldset>
            <label class="beside">
              In
              <select
                name="collection"
                value={collection}
                onChange={(event) => go(text, mode, event.currentTarget.value)}
              >
                <option value="">every collection</option>
                {known.map((one) => (
                  <option key={one.id} value={one.id}>
                    {one.name}
                  </option>
                ))}
              </select>
            </label>
          </div>
        </form>
      </search>
      <ProblemNote problem={collections.problem} retry={collections.reload} />
      {query === "" ? <FirstSteps nothing={nothing} /> : <Hits query={query} mode={mode} collection={collection} />}
    </>
  );
}
