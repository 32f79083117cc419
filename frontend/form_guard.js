// Refreshes before a form is sent.
import { isSameOriginPost, snapshotForm, submitSnapshot, supportsSubmitter } from "./form.js";
import { REFRESH_TIMEOUT_MS, refreshForAllTabs } from "./sdk.js";
import { isTokenExpired } from "./token_expiry.js";
import { isHeldForOtherUser } from "./user_guard.js";

// Refresh an expired session before a form is sent, so that the visitor's entries are not lost. The
// form is sent even if the refresh fails: the server's response then names the cause.
export function guardForms() {
  const waiting = new WeakSet();
  async function guard(event) {
    const { target: form, submitter: button } = event;
    if (event.defaultPrevented || !isTokenExpired() || !isSameOriginPost(form, button)) return;
    if (button?.name && !supportsSubmitter()) return;
    const copy = snapshotForm(form, button);
    event.preventDefault();
    if (waiting.has(form)) return;
    waiting.add(form);
    const timeout = new Promise((resolve) => setTimeout(resolve, REFRESH_TIMEOUT_MS));
    await Promise.race([refreshForAllTabs(() => !isTokenExpired()), timeout]).catch(() => {});
    waiting.delete(form);
    if (!isHeldForOtherUser()) submitSnapshot(copy);
  }
  // Run after all other submit listeners: one of them may handle the form itself.
  addEventListener("submit", () => {
    removeEventListener("submit", guard);
    addEventListener("submit", guard);
  }, true);
}
