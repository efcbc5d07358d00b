import { cut, type Span } from "../text";

/** Text with spans of it marked. `base` is the code point at which `text` begins; the first mark gets `firstId`. */
export function Pieces({
  text,
  spans,
  base = 0,
  firstId,
}: {
  text: string;
  spans: readonly Span[];
  base?: number;
  firstId?: string;
}) {
  const pieces = cut(text, spans, base);
  const first = pieces.find((piece) => piece.marked);
  return (
    <>
      {pieces.map((piece) =>
        piece.marked ? (
          <mark key={piece.start} id={piece === first ? firstId : undefined}>
            {piece.text}
          </mark>
        ) : (
          piece.text
        ),
      )}
    </>
  );
}
