// Shows a page only to the user it was loaded for. After a sign-out or another user's sign-in, the
// page is loaded again, or, if the visitor has entered something, hidden behind a notice.
import { resetFields, hasEntries } from "./entries.js";
import {
  createElement,
  isVisible,
  nonce,
  noticeTemplate,
  queryAll,
  settings,
  show,
} from "./page.js";
import { noteUser } from "./restored_fields.js";
import { userHash } from "./sdk_cookies.js";
import { currentSession, watchSession } from "./session_watch.js";

// The page was requested by one user, and another has signed in before this script started.
const { frontUser } = settings;
const isForAnother = frontUser !== undefined && ![undefined, frontUser].includes(userHash());
// A cache of the site may answer each reload with the page of the other user.
const isReloaded = performance.getEntriesByType("navigation")[0]?.type === "reload";

let loadedFor = isForAnother ? { uid: "(another)" } : currentSession();
let isSignedOutHere = false;
let restorePage = null; // set while the page is hidden
let notice = null;
let noticePart = null;

function rememberSession() {
  loadedFor = currentSession();
  noteUser();
  isSignedOutHere = false;
  showPage();
}

// Return whether the page fits the session. If not, hide or leave it.
function check({ persisted }) {
  // A page that asks for more, with an element of refresh_page(), may carry a form and has a script
  // of its own.
  const isOurs = queryAll("[data-ssr-session]").length > 0;
  const template = !isOurs && noticeTemplate();
  const { uid, handle } = currentSession();
  // The SDK's cookies were missing, as some browsers delete them after a week.
  if (template && !loadedFor.uid && !persisted) rememberSession();
  const isSame = uid === loadedFor.uid && (handle === loadedFor.handle || hasEntries());
  // A page for everybody stays. So does one whose own script signs out: it decides where to go. The
  // back/forward cache is no reason to show either as it was.
  const stays = !persisted && (!template || (!uid && isSignedOutHere));
  if (isSame || stays || (!template && hasEntries())) {
    showPage();
    return true;
  }
  hidePage();
  const mustAsk = hasEntries() || (isForAnother && isReloaded);
  if (mustAsk) showNotice(template, uid ? "other_user" : "signed_out");
  else if (isVisible()) leavePage(); // a hidden tab waits, so that not all reload at once
  return false;
}

function hidePage() {
  if (restorePage) return;
  const [{ style }] = [...queryAll("body"), ...queryAll(":root")]; // there may be no body yet
  const { display } = style;
  const position = [scrollX, scrollY];
  style.setProperty("display", "none", "important");
  restorePage = () => {
    style.display = display;
    scrollTo(...position);
  };
}

function showPage() {
  if (!restorePage) return;
  if (notice) notice.remove();
  notice = noticePart = null;
  restorePage();
  restorePage = null;
}

function showNotice(template, part) {
  if (!notice) {
    notice = createElement("div");
    notice.append(template.content.cloneNode(true));
    notice.querySelector("link").nonce = nonce;
    for (const button of notice.querySelectorAll("[data-ssr-discard]")) {
      button.addEventListener("click", leavePage);
    }
    queryAll(":root")[0].append(notice);
  }
  if (noticePart !== part) show(part);
  noticePart = part;
}

function leavePage() {
  resetFields();
  if (settings.unsafe === undefined) location.reload();
  // A reload would send the form again, now as the current user.
  else location.replace(location.href.split("#")[0]);
}

// Return whether a form that waited must not be sent, because another user has signed in.
export function isHeldForOtherUser() {
  const { uid } = currentSession();
  return Boolean(uid) && uid !== loadedFor.uid && !check({});
}

function emptyRestoredFields() {
  hidePage();
  // Chromium fills fields in between "load" and "pageshow", in a task of its own.
  addEventListener("pageshow", () => setTimeout(() => {
    // Without the SDK's cookies, as above, a page for a session is its user's.
    if (userHash() || !noticeTemplate()) resetFields();
    showPage();
  }), { once: true });
}

export function guardUser() {
  // Turbo may run the script after the load, and then no browser fills anything in.
  if (noteUser() && document.readyState !== "complete") emptyRestoredFields();
  watchSession(check, (action) => {
    if (action === "SIGN_OUT") isSignedOutHere = true;
    if (action === "SESSION_CREATED") rememberSession();
  });
  addEventListener("pagehide", () => {
    isSignedOutHere = false;
  });
  if (isForAnother) addEventListener("DOMContentLoaded", check);
  addEventListener("turbo:load", rememberSession); // Turbo has replaced the body
  // Run before all other submit listeners, which may send the form themselves.
  addEventListener("submit", (event) => {
    let fits = false;
    try {
      fits = check(event);
    } finally {
      // Content that looks like the notice may make the check fail.
      if (!fits) {
        event.preventDefault();
        event.stopImmediatePropagation();
      }
    }
  }, true);
}
