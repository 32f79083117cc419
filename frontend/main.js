// Starts the script that fits the page: the refresh page or an ordinary page.
//
// Only SuperTokens' SDK touches tokens. This package decides when the SDK runs and what the
// visitor sees in the meantime. The settings come from data- attributes of the script element; the
// server has validated them.
import { runOrdinaryPage } from "./ordinary_page.js";
import { settings } from "./page.js";
import { runRefreshPage } from "./refresh_page.js";
import { runRepairPage, runSignInAgainPage, runSignInPage } from "./repair_page.js";

const PAGES = {
  refresh: runRefreshPage,
  repair: runRepairPage,
  "sign-in": runSignInPage,
  "sign-in-again": runSignInAgainPage,
};

// A page that renders the macro twice has two script elements. The second one would not find the
// marker that the first one has taken, and would refresh again.
const STARTED = Symbol.for("flask-ssr-session-runs");

if (settings.mode === "session") {
  runOrdinaryPage();
} else if (!window[STARTED]) {
  window[STARTED] = true;
  PAGES[settings.mode]();
}
