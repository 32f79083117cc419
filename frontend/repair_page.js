// Runs the pages for claims that failed. The repair page lets the API compute a claim again, then
// leads to the page that cures it.
import { addListeners, runAttempt, whenVisible } from "./attempt.js";
import { takeMarker } from "./loop_guard.js";
import { continueToPage, goToCure, goToSignIn } from "./navigation.js";
import { queryAll, settings, show, shown, warn } from "./page.js";
import { apiFetch, repeatLostRefresh, signOutRevokedSession, startSdk } from "./sdk.js";
import { onSignIn } from "./session_watch.js";

// What the API says about a claim, by the name of the call; undefined if it does not say. It puts the
// claim into a new token.
const CALLS = {
  email: { method: "GET", path: "/user/email/verify", isMet: ({ isVerified }) => isVerified },
  mfa: { method: "PUT", path: "/mfa/info", isMet: ({ factors }) => factors?.next && !factors.next[0] },
};

// `isRetry`: the visitor pressed a button. `isBack`: the visitor comes straight from the step.
function checkAndContinue({ isRetry = false, isBack = false }) {
  return runAttempt("checking a claim", async () => {
    await repeatLostRefresh();
    const call = CALLS[settings.cureCall];
    const isForm = settings.unsafe !== undefined;
    const response = call && (await apiFetch(call.method, call.path));
    // The SDK has tried to refresh: the session has ended. Without a call, only the visitor knows
    // whether the step is done; a form that is sent too early comes back to this page.
    if (response?.status === Number(settings.expiredStatus)) {
      goToSignIn();
    } else if (call ? await isMet(call, response) : isForm && isRetry) {
      continueToPage();
    } else if (isBack || isForm) {
      // The visitor may have left the step undone, and only the visitor can tell. A form is one step
      // back in this tab, so its step opens in a new one.
      if (isBack) warnOfCure();
      show("repair");
    } else {
      goToCure();
    }
  });
}

async function isMet(call, response) {
  if (!response.ok) throw response;
  const body = await response.json();
  const answer = body.status === "OK" ? call.isMet(body) : undefined;
  if (typeof answer !== "boolean") throw new SyntaxError("the API says nothing about the claim");
  return answer;
}

function warnOfCure() {
  warn(
    `the claim ${settings.claim} is still refused after its cure (${settings.cure}): the visitor ` +
      "left it undone, or cannot do it, or the API and the pages judge it differently",
  );
}

export async function runRepairPage() {
  addListeners(() => checkAndContinue({ isRetry: true }));
  onSignIn(() => checkAndContinue({}));
  show("working");
  await whenVisible();
  const marker = settings.unsafe === undefined && takeMarker();
  // The page was reloaded after the API had called the claim met. Another round would end in the
  // same way.
  if (marker && marker.isMet) {
    warnOfCure();
    show("problem", "unhelped");
  } else {
    await checkAndContinue({ isBack: Boolean(marker) });
  }
}

// Runs the page that a stranger's form gets: once the visitor has signed in, it leads back to the form.
export function runSignInPage() {
  addListeners(() => {});
  shown.part = "sign_in";
  onSignIn(continueToPage);
}

// Runs the page that asks to sign in again. Only the visitor's click signs out: a link to a page must
// sign nobody out.
export function runSignInAgainPage() {
  addListeners(() => {});
  try {
    startSdk();
    repeatLostRefresh();
  } catch {
    // the attempt below says so
  }
  const signOut = () =>
    runAttempt("signing out", async () => {
      await signOutRevokedSession();
      goToSignIn();
    });
  for (const button of queryAll("[data-ssr-sign-out]")) button.addEventListener("click", signOut);
}
