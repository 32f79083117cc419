// Runs the refresh page: refreshes once the page is visible, then leaves it or shows the cause.
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

// Date and performance are rounded and differ by some milliseconds. A token that was stored just
// before this page was requested must not seem to be stored after the request.
const CLOCK_TOLERANCE_MS = 20;

function addListeners() {
  for (const element of queryAll("[data-ssr-retry]")) {
    element.addEventListener("click", () => refreshAndContinue(true));
  }
  for (const element of queryAll("[data-ssr-back]")) {
    element.addEventListener("click", () => history.back());
  }
  // The server never receives the fragment, so its link to this page has none.
  for (const element of queryAll("[data-ssr-here]")) {
    if (!element.hash) element.hash = location.hash;
  }
  for (const element of queryAll("[data-ssr-sign-in]")) {
    element.href = addFragmentToReturnPath(attribute(element, "href"));
  }
  // Another user may have signed in since this page was loaded. Do not send the form as that user.
  addEventListener("submit", (event) => {
    if (attribute(event.target, "data-ssr-owner") === null || isOwner(event.target)) return;
    event.preventDefault();
    show("other_owner");
  }, true);
  // A page from the back/forward cache shows an old state. Ask the server again.
  addEventListener("pageshow", (event) => {
    if (event.persisted && settings.unsafe === undefined) location.reload();
  });
}

// Start the SDK and run `work`; show the cause if one of them fails.
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
    if (signal.aborted) return; // a newer attempt controls the page
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
  // A session that is active was not refused: the visitor opened /refresh-session directly.
  const wasRefused = settings.reason !== "active";
  const marker = takeMarker() || (wasRefused && sdkMarker());
  // The form is one step back in the history. A sign-out would change the session's cookies, so the
  // browser would reload that page and lose the entries. A response to a form never reloads itself,
  // so it cannot loop.
  const isRevokedForm = settings.reason === "revoked" && settings.unsafe !== undefined;
  // The server has not seen a token that was stored after this page was requested: try that first.
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
