import { useRef, useState } from "preact/hooks";
import { bytes } from "../format";
import { type Problem, problemOf } from "../problem";
import { upload } from "../upload";
import { ProblemNote } from "./ui";

interface Sending {
  id: number;
  name: string;
  size: number;
  share: number;
  outcome: string;
  problem: Problem | null;
}

const OUTCOMES: Record<string, string> = {
  created: "added, being read",
  revised: "a new version, being read",
  unchanged: "already here, nothing to do",
};

/** Drop files or choose them; they are sent one after another, each with its progress. */
export function Uploads({ collection, arrived }: { collection: string; arrived: () => void }) {
  const [list, setList] = useState<Sending[]>([]);
  const [over, setOver] = useState(false);
  const line = useRef<Promise<void>>(Promise.resolve());
  const serial = useRef(0);

  const change = (id: number, part: Partial<Sending>) =>
    setList((old) => old.map((one) => (one.id === id ? { ...one, ...part } : one)));

  const send = async (id: number, file: File) => {
    try {
      const { outcome } = await upload(collection, file, (share) => change(id, { share }));
      change(id, { share: 1, outcome: OUTCOMES[outcome] ?? outcome });
      arrived();
    } catch (thrown) {
      change(id, { problem: problemOf(thrown) });
    }
  };

  const take = (files: FileList | null | undefined) => {
    for (const file of Array.from(files ?? [])) {
      serial.current += 1;
      const id = serial.current;
      setList((old) => [...old, { id, name: file.name, size: file.size, share: 0, outcome: "", problem: null }]);
      line.current = line.current.then(() => send(id, file));
    }
  };

  return (
    <section aria-label="Add documents">
      <label
        class={over ? "drop over" : "drop"}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          take(event.dataTransfer?.files);
        }}
      >
        <span>
          Drop files here, or <span class="link">choose them</span>
        </span>
        <span class="small">
          A file of the same name becomes the next version of its document; earlier versions are kept.
        </span>
        <input
          type="file"
          class="unseen"
          name="files"
          multiple
          onChange={(event) => {
            take(event.currentTarget.files);
            event.currentTarget.value = "";
          }}
        />
      </label>
      {list.length > 0 && (
        <ul class="rows sending" aria-live="polite">
          {list.map((one) => (
            <li key={one.id}>
              <span class="grow">
                {one.name} <span class="small">{bytes(one.size)}</span>
                <ProblemNote problem={one.problem} />
              </span>
              {one.outcome === "" && one.problem === null ? (
                <progress max={1} value={one.share} aria-label={`Sending ${one.name}`} />
              ) : (
                <span class="small">{one.outcome}</span>
              )}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
