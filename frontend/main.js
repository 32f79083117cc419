// Starts the script that fits the page: the refresh page or an ordinary page.
//
// Only SuperTokens' SDK touches tokens. This package decides when the SDK runs and what the
// visitor sees in the meantime. The settings come from data- attributes of the script element; the
// server has validated them.
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
