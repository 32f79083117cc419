// The browser half of flask_ssr_session. Only SuperTokens' own SDK touches tokens; this script
// decides when it is asked and what the visitor sees meanwhile. What it knows comes in data-
// attributes of its own element, validated by the server.
import { runOrdinaryPage } from "./ordinary_page.js";
import { settings } from "./page.js";
import { runRefreshPage } from "./refresh_page.js";

const STARTED = Symbol.for("flask-ssr-session-runs");

if (settings.mode === "session") {
  runOrdinaryPage();
} else if (!window[STARTED]) {
  window[STARTED] = true;
  runRefreshPage();
}
