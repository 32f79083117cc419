// Runs the refresh page: refreshes once the page is visible, then leaves it or shows the cause.
import { addListeners, runAttempt, whenVisible } from "./attempt.js";
import { CAUSE_MESSAGES, loopCause, sdkMarker, takeMarker } from "./loop_guard.js";
import { continueToPage, goToSignIn } from "./navigation.js";
import { settings, show, warn } from "./page.js";
import { refreshForAllTabs, signOutRevokedSession } from "./sdk.js";
import { wasRefreshedElsewhere } from "./sdk_cookies.js";
import { onSignIn } from "./session_watch.js";

// Date and performance are rounded and differ by some milliseconds. A token that was stored just
// before this page was requested must not seem to be stored after the request.
const CLOCK_TOLERANCE_MS = 20;

function refreshAndContinue(isRetry) {
  return runAttempt("refreshing", async () => {
    const isDone = () => !isRetry && wasRefreshedElsewhere();
    if (await refreshForAllTabs(isDone)) continueToPage();
    else goToSignIn();
  });
}

export async function runRefreshPage() {
  addListeners(() => refreshAndContinue(true));
  onSignIn(continueToPage);
  show("working");
  await whenVisible();
  // A session that is active was not refused: the visitor opened /refresh-session directly.
  const wasRefused = settings.reason !== "active";
  const marker = takeMarker() || (wasRefused && sdkMarker());
  // The form is one step back in the history. A sign-out would change the session's cookies, so the
  // browser would reload that page and lose the entries. A response to a form never reloads itself,
  // so it cannot loop.
  const isRevoked = settings.reason.startsWith("revoked"); // by the core, or by the app
  const isRevokedForm = isRevoked && settings.unsafe !== undefined;
  // The server has not seen a token that was stored after this page was requested: try that first.
  if (!marker || isRevokedForm || wasRefreshedElsewhere(CLOCK_TOLERANCE_MS)) {
    await refreshAndContinue(false);
  } else if (isRevoked) {
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
