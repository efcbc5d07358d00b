import { render } from "preact";
import { App } from "./app";
import { startSession } from "./session";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/pages.css";

startSession();
const root = document.getElementById("app");
if (root !== null) render(<App />, root);
