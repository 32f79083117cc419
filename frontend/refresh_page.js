// The refresh page: refreshes once it is seen, and shows how that went.
import { isOwner } from "./form.js";
import { CAUSES, loopCause, sdkMarker, takeMarker } from "./loop_guard.js";
import { continueToPage, signIn, withFragment } from "./navigation.js";
import { all, attribute, settings, show, warn } from "./page.js";
import { SILENT_MS, causeOf, refreshForAllTabs, signOut, startAttempt, startSdk } from "./sdk.js";
import { wasRefreshedElsewhere } from "./sdk_cookies.js";

// The two clocks of a browser are rounded, and some milliseconds apart: a token stored just before a
// page was asked for must not look like one stored after.
const CLOCKS_MS = 20;

function listen() {
  for (const element of all("[data-ssr-retry]")) {
    element.addEventListener("click", () => run(true));
  }
  for (const element of all("[data-ssr-back]")) {
    element.addEventListener("click", () => history.back());
  }
  // A link to the same page keeps the fragment, which the server never sees.
  for (const element of all("[data-ssr-here]")) {
    if (!element.hash) element.hash = location.hash;
  }
  for (const element of all("[data-ssr-sign-in]")) {
    element.href = withFragment(attribute(element, "href"));
  }
  // Whoever has signed in since the page came must not send what somebody else has typed.
  addEventListener("submit", (event) => {
    if (attribute(event.target, "data-ssr-owner") === null || isOwner(event.target)) return;
    event.preventDefault();
    show("other_owner");
  }, true);
  // From the back/forward cache comes an old state of the page: ask what is true now.
  addEventListener("pageshow", (event) => {
    if (event.persisted && settings.unsafe === undefined) location.reload();
  });
}

// Start the SDK, let it do its work, and where that fails, say why.
async function attend(what, work) {
  const { signal } = startAttempt();
  show("working");
  try {
    startSdk();
  } catch {
    show("problem", "blocked");
    return;
  }
  const silence = setTimeout(() => show("problem", "silent"), SILENT_MS);
  try {
    await work();
  } catch (error) {
    if (signal.aborted) return; // the next attempt has the page
    const cause = causeOf(error);
    warn(`${what} failed (${cause})`);
    show("problem", cause, error.status);
  } finally {
    clearTimeout(silence);
  }
}

function run(isRetry) {
  return attend("refreshing", async () => {
    const isDone = () => !isRetry && wasRefreshedElsewhere();
    if (await refreshForAllTabs(isDone)) continueToPage();
    else signIn();
  });
}

async function whenVisible() {
  const once = (name) => new Promise((done) => document.addEventListener(name, done, { once: true }));
  if (document.prerendering === true) await once("prerenderingchange");
  while (document.visibilityState === "hidden") await once("visibilitychange");
}

export async function runRefreshPage() {
  listen();
  show("working");
  await whenVisible();
  const isRefused = settings.reason !== "active"; // else this is /refresh-session, asked for by hand
  const marker = takeMarker() || (isRefused && sdkMarker());
  // A form is one step back, on a page that the browser asks for anew once the session's cookies
  // change: so the answer to a form signs nobody out, and as it never reloads, it cannot go round.
  const staysHere = settings.reason === "revoked" && settings.unsafe !== undefined;
  // A token stored since this page was asked for says nothing against it: try the new one first.
  if (!marker || staysHere || wasRefreshedElsewhere(CLOCKS_MS)) {
    await run(false);
  } else if (settings.reason === "revoked") {
    await attend("signing out of a revoked session", async () => {
      await signOut();
      signIn();
    });
  } else if (isRefused) {
    const cause = loopCause(marker);
    warn(`${CAUSES[cause]} (refused as "${settings.reason}")`);
    show("problem", cause);
  } else {
    show("renewed");
  }
}
