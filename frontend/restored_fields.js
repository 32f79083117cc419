// Tells whether the browser fills fields in again with the entries of another user.
//
// A browser that has not kept a page in memory loads it anew on the way back, for whoever is signed in
// by then, and restores what was typed into it.
import { userHash } from "./sdk_cookies.js";

// Note the user of the page at this place of the tab's history; return whether the last one noted there
// was another. Without the Navigation API, all places with one URL share a note.
export function noteUser() {
  const name = `ssr-session-user ${window.navigation?.currentEntry?.key ?? location.href}`;
  const user = userHash();
  try {
    const before = sessionStorage.getItem(name);
    if (user) sessionStorage.setItem(name, user);
    return before && before !== user;
  } catch {
    return false; // storage is blocked or full
  }
}
