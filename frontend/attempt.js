// What every page with a script has: its buttons and links, and an attempt that may fail.
import { isOwner } from "./form.js";
import { CURE_RETURN_PARAM, addFragmentToReturnPath, goToSignIn } from "./navigation.js";
import { attribute, isVisible, queryAll, settings, show, warn } from "./page.js";
import { REFRESH_TIMEOUT_MS, errorCause, startAttempt, startSdk } from "./sdk.js";
import { userHash } from "./sdk_cookies.js";

export function addListeners(retry) {
  for (const element of queryAll("[data-ssr-retry]")) {
    element.addEventListener("click", retry);
  }
  for (const element of queryAll("[data-ssr-back]")) {
    element.addEventListener("click", () => history.back());
  }
  // The server never receives the fragment, so its link to this page has none.
  for (const element of queryAll("[data-ssr-here]")) {
    if (!element.hash) element.hash = location.hash;
  }
  for (const element of queryAll("[data-ssr-sign-in]")) {
    element.href = addFragmentToReturnPath(attribute(element, "href"), settings.returnParam);
  }
  for (const element of queryAll("[data-ssr-cure]")) {
    element.href = addFragmentToReturnPath(attribute(element, "href"), CURE_RETURN_PARAM);
  }
  // Another user may have signed in since this page was loaded. Do not send the form as that user.
  addEventListener("submit", (event) => {
    if (attribute(event.target, "data-ssr-owner") === null || isOwner(event.target)) return;
    event.preventDefault();
    if (userHash()) show("other_owner");
    else goToSignIn();
  }, true);
  // A page from the back/forward cache shows an old state. Ask the server again.
  addEventListener("pageshow", (event) => {
    if (event.persisted && settings.unsafe === undefined) location.reload();
  });
}

// Start the SDK and run `work`; show the cause if one of them fails.
export async function runAttempt(task, work) {
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

export async function whenVisible() {
  const nextEvent = (name) =>
    new Promise((resolve) => document.addEventListener(name, resolve, { once: true }));
  if (document.prerendering === true) await nextEvent("prerenderingchange");
  while (!isVisible()) await nextEvent("visibilitychange");
}
