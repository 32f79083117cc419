// Runs the pages for claims that failed. The repair page lets the API compute a claim again, then
// leads to the page that cures it.
import { addListeners, runAttempt, whenVisible } from "./attempt.js";
import { takeMarker } from "./loop_guard.js";
import { continueToPage, goToCure, goToSignIn } from "./navigation.js";
import { queryAll, settings, show, warn } from "./page.js";
import { apiFetch, signOutRevokedSession } from "./sdk.js";

// What the API says about a claim, by the name of the call. It puts the claim into a new token.
const CALLS = {
  email: { method: "GET", path: "/user/email/verify", isMet: (body) => body.isVerified },
  mfa: { method: "PUT", path: "/mfa/info", isMet: (body) => body.factors.next.length === 0 },
};

function checkAndContinue() {
  return runAttempt("checking a claim", async () => {
    const call = CALLS[settings.cureCall];
    const response = call && (await apiFetch(call.method, call.path));
    // The SDK has tried to refresh: the session has ended.
    if (response?.status === Number(settings.expiredStatus)) {
      goToSignIn();
    } else if (call && (await isMet(call, response))) {
      continueToPage();
    } else if (settings.unsafe !== undefined) {
      show("repair"); // the cure opens in a new tab, because the form is one step back in this tab
    } else {
      goToCure();
    }
  });
}

async function isMet(call, response) {
  if (!response.ok) throw response;
  const body = await response.json();
  try {
    if (body.status === "OK") return call.isMet(body) === true;
  } catch {
    // another error, not that of a failed connection
  }
  throw new SyntaxError("the API did not answer as SuperTokens' API does");
}

export async function runRepairPage() {
  addListeners(checkAndContinue);
  show("working");
  await whenVisible();
  // The page was reloaded after the API called the claim met, or the visitor came straight back from
  // the page that cures it. Another round would end in the same way.
  if (takeMarker() && settings.unsafe === undefined) {
    warn(
      `the claim ${settings.claim} is still refused after its cure (${settings.cure}): the API and ` +
        "the pages judge it differently, or the user cannot meet it",
    );
    show("problem", "unhelped");
    return;
  }
  await checkAndContinue();
}

// Runs the page that asks to sign in again. Only the visitor's click signs out: a link to a page must
// sign nobody out.
export function runSignInAgainPage() {
  addListeners(() => {});
  const signOut = () =>
    runAttempt("signing out", async () => {
      await signOutRevokedSession();
      goToSignIn();
    });
  for (const button of queryAll("[data-ssr-sign-out]")) button.addEventListener("click", signOut);
}
