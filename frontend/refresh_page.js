// The refresh page: refreshes once it is seen, and shows how that went.
import { isOwner } from "./form.js";
import { CAUSE_MESSAGES, loopCause, sdkMarker, takeMarker } from "./loop_guard.js";
import { addFragmentToReturnPath, continueToPage, goToSignIn } from "./navigation.js";
import { attribute, queryAll, settings, show, warn } from "./page.js";
import {
  REFRESH_TIMEOUT_MS,
  errorCause,
  refreshForAllTabs,
  signOutRevokedSession,
  startAttempt,
  startSdk,
} from "./sdk.js";
import { wasRefreshedElsewhere } from "./sdk_cookies.js";

// The two clocks of a browser are rounded, and some milliseconds apart: a token stored just before a
// page was asked for must not look like one stored after.
const CLOCK_TOLERANCE_MS = 20;

function addListeners() {
  for (const element of queryAll("[data-ssr-retry]")) {
    element.addEventListener("click", () => refreshAndContinue(true));
  }
  for (const element of queryAll("[data-ssr-back]")) {
    element.addEventListener("click", () => history.back());
  }
  // A link to the same page keeps the fragment, which the server never sees.
  for (const element of queryAll("[data-ssr-here]")) {
    if (!element.hash) element.hash = location.hash;
  }
  for (const element of queryAll("[data-ssr-sign-in]")) {
    element.href = addFragmentToReturnPath(attribute(element, "href"));
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
async function runAttempt(task, work) {
  const { signal } = startAttempt();
  show("working");
  try {
    startSdk();
  } catch {
    show("problem", "blocked");
    return;
  }
  const timer = setTimeout(() => show("problem", "silent"), REFRESH_TIMEOUT_MS);
  try {
    await work();
  } catch (error) {
    if (signal.aborted) return; // the next attempt has the page
    const cause = errorCause(error);
    warn(`${task} failed (${cause})`);
    show("problem", cause, error.status);
  } finally {
    clearTimeout(timer);
  }
}

function refreshAndContinue(isRetry) {
  return runAttempt("refreshing", async () => {
    const isDone = () => !isRetry && wasRefreshedElsewhere();
    if (await refreshForAllTabs(isDone)) continueToPage();
    else goToSignIn();
  });
}

async function whenVisible() {
  const nextEvent = (name) =>
    new Promise((resolve) => document.addEventListener(name, resolve, { once: true }));
  if (document.prerendering === true) await nextEvent("prerenderingchange");
  while (document.visibilityState === "hidden") await nextEvent("visibilitychange");
}

export async function runRefreshPage() {
  addListeners();
  show("working");
  await whenVisible();
  const wasRefused = settings.reason !== "active"; // else this is /refresh-session, asked for by hand
  const marker = takeMarker() || (wasRefused && sdkMarker());
  // A form is one step back, on a page that the browser asks for anew once the session's cookies
  // change: so the answer to a form signs nobody out, and as it never reloads, it cannot go round.
  const isRevokedForm = settings.reason === "revoked" && settings.unsafe !== undefined;
  // A token stored since this page was asked for says nothing against it: try the new one first.
  if (!marker || isRevokedForm || wasRefreshedElsewhere(CLOCK_TOLERANCE_MS)) {
    await refreshAndContinue(false);
  } else if (settings.reason === "revoked") {
    await runAttempt("signing out of a revoked session", async () => {
      await signOutRevokedSession();
      goToSignIn();
    });
  } else if (wasRefused) {
    const cause = loopCause(marker);
    warn(`${CAUSE_MESSAGES[cause]} (refused as "${settings.reason}")`);
    show("problem", cause);
  } else {
    show("renewed");
  }
}
