// Signs out when the visitor clicks a button of sign_out_button(), or when a script asks.
import { navigateTo } from "./navigation.js";
import { attribute, warn } from "./page.js";
import { REFRESH_TIMEOUT_MS, errorCause, signOutRevokedSession, startAttempt } from "./sdk.js";
import { tellOtherTabs } from "./session_watch.js";

let running = null;

// Sign out of this browser's session, once for all callers. The promise rejects if that fails.
function signOut() {
  running = running || endSession();
  return running;
}

async function endSession() {
  let timer;
  const timeout = new Promise((resolve, reject) => {
    timer = setTimeout(() => {
      startAttempt(); // aborts the request
      reject(new TypeError("the API does not answer"));
    }, REFRESH_TIMEOUT_MS);
  });
  try {
    await Promise.race([signOutRevokedSession(), timeout]);
    tellOtherTabs();
  } catch (error) {
    warn(`signing out failed (${errorCause(error)})`);
    throw error;
  } finally {
    clearTimeout(timer);
    running = null;
  }
}

async function pressButton(button) {
  if (attribute(button, "aria-busy") !== null) return;
  const message = button.nextElementSibling;
  message.textContent = "";
  button.setAttribute("aria-busy", "true");
  try {
    await signOut();
    navigateTo(attribute(button, "data-ssr-sign-out-to"));
  } catch {
    message.textContent = attribute(button, "data-ssr-failed");
  }
  button.removeAttribute("aria-busy");
}

export function offerSignOut() {
  window.flaskSSRSession = { signOut };
  // A menu around the button may stop the click from bubbling.
  addEventListener("click", (event) => {
    const isButton = (node) => node.nodeType === 1 && attribute(node, "data-ssr-sign-out-to") !== null;
    const button = event.composedPath().find(isButton);
    if (button) pressButton(button);
  }, true);
}
