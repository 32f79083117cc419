// Runs on ordinary pages: starts the SDK and keeps the session of a page in use.
import { guardForms } from "./form_guard.js";
import { guardLinks } from "./link_guard.js";
import { settings, warn } from "./page.js";
import { refreshAhead } from "./refresh_ahead.js";
import { refreshInBackground, repeatLostRefresh, startSdk } from "./sdk.js";
import { offerSignOut } from "./sign_out.js";
import { guardUser } from "./user_guard.js";

// A page may have two script elements. Turbo runs a second one if its settings differ.
const STARTED = Symbol.for("flask-ssr-session-guards");

export function runOrdinaryPage() {
  try {
    if (!window[STARTED]) {
      window[STARTED] = true;
      guardUser();
      offerSignOut();
      startSdk();
      guardForms();
      guardLinks();
      if (settings.refreshAhead !== undefined) refreshAhead();
    }
    // The page was made with newer claims than the token has: the next pages should have them, too.
    if (settings.staleClaims !== undefined) refreshInBackground(() => false);
    else repeatLostRefresh();
  } catch (error) {
    warn(`the SuperTokens SDK cannot start here (${error.name})`);
  }
}
