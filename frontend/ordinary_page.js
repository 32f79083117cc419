// Runs on ordinary pages: starts the SDK and keeps the session of a page in use.
import { guardForms } from "./form_guard.js";
import { queryAll, settings, warn } from "./page.js";
import { refreshForAllTabs, startSdk } from "./sdk.js";
import { frontToken } from "./sdk_cookies.js";

// The back/forward cache may restore a page that was loaded for another user. Hide and reload it.
function reloadForAnotherUser() {
  const loadedFor = frontToken().uid;
  addEventListener("pageshow", (event) => {
    if (!event.persisted || frontToken().uid === loadedFor) return;
    document.documentElement.style.setProperty("display", "none", "important");
    // Firefox fills the fields of a reloaded page in again, with what the other user has typed.
    for (const form of queryAll("form")) HTMLFormElement.prototype.reset.call(form);
    // Reloading the response to a form would send the form again, now as the current user.
    if (settings.unsafe === undefined) location.reload();
    else location.replace(location.pathname + location.search);
  });
}

export function runOrdinaryPage() {
  reloadForAnotherUser();
  guardForms();
  try {
    startSdk();
    // The page was made with newer claims than the token has: the next pages should have them, too.
    if (settings.staleClaims !== undefined) refreshForAllTabs(() => false).catch(() => {});
  } catch (error) {
    warn(`the SuperTokens SDK cannot start here (${error.name})`);
  }
}
