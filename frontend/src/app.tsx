import { useEffect, useState } from "preact/hooks";
import { Empty } from "./parts/ui";
import { parseRoute, type Route } from "./route";
import { currentSession, onSession, signOut } from "./session";
import { AskPage } from "./views/ask";
import { CollectionPage } from "./views/collection";
import { CollectionsPage } from "./views/collections";
import { DocumentPage } from "./views/document";
import { JobsPage } from "./views/jobs";
import { RunPage } from "./views/run";
import { SearchPage } from "./views/search";
import { SignInPage } from "./views/sign-in";

const PLACES: { href: string; name: string; pages: Route["page"][] }[] = [
  { href: "#/", name: "Search", pages: ["search", "document"] },
  { href: "#ask", name: "Ask", pages: ["ask", "run"] },
  { href: "#collections", name: "Collections", pages: ["collections", "collection"] },
  { href: "#jobs", name: "Jobs", pages: ["jobs"] },
];

function Page({ route }: { route: Route }) {
  switch (route.page) {
    case "search":
      return <SearchPage query={route.query} mode={route.mode} collection={route.collection} />;
    case "ask":
      return <AskPage />;
    case "run":
      return <RunPage key={route.id} id={route.id} />;
    case "document":
      return <DocumentPage key={route.version} version={route.version} span={route.span} />;
    case "collections":
      return <CollectionsPage />;
    case "collection":
      return <CollectionPage key={route.id} id={route.id} />;
    case "jobs":
      return <JobsPage />;
    case "unknown":
      return (
        <Empty title="There is no such page">
          <p>
            The address may have been cut short. <a href="#/">Search the archive</a> instead.
          </p>
        </Empty>
      );
  }
}

function Header({ page }: { page: Route["page"] }) {
  const clientId = currentSession()?.clientId ?? "";
  return (
    <header class="top">
      <div class="bar">
        <a class="brand" href="#/">
          <img src="/icon.svg" alt="" width="26" height="26" />
          Carrel
        </a>
        <nav aria-label="Main">
          {PLACES.map((place) => (
            <a key={place.href} href={place.href} aria-current={place.pages.includes(page) ? "page" : undefined}>
              {place.name}
            </a>
          ))}
        </nav>
        <button type="button" class="quiet leave" title={`Signed in as ${clientId}`} onClick={signOut}>
          Sign out
        </button>
      </div>
    </header>
  );
}

export function App() {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  const [, setTurn] = useState(0);
  useEffect(() => onSession(() => setTurn((turn) => turn + 1)), []);
  useEffect(() => {
    const read = () => {
      // The skip link's target is no page of its own.
      if (location.hash === "#main") return;
      const next = parseRoute(location.hash);
      setRoute((old) => {
        if (old.page !== next.page) window.scrollTo(0, 0);
        return next;
      });
    };
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }, []);

  if (currentSession() === null) return <SignInPage />;
  return (
    <>
      {/* biome-ignore lint/a11y/useValidAnchor: it does lead somewhere, but the hash belongs to the routes */}
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById("main")?.focus();
        }}
      >
        Skip to the content
      </a>
      <Header page={route.page} />
      <main id="main" tabIndex={-1}>
        <Page route={route} />
      </main>
    </>
  );
}
