// Refreshes before a link is followed.
import { attribute, createElement, settings } from "./page.js";
import { holdNavigation, listenLast, replacesThisPage } from "./pending_navigation.js";

// The innermost of these handles a click. Only the browser can send the coordinates of a click on a
// server-side image map.
const HANDLES_CLICK = "a, area, button, input, label, select, summary, textarea, img[ismap]";

// Refresh an expired session before a link replaces this page, so that the next page needs no
// refresh page.
export function guardLinks() {
  listenLast("click", (event) => {
    const link = clickedLink(event);
    const copy = link && copyLink(link);
    if (!copy || !loadsDocument(copy)) return;
    const mayWait = receivesSession(copy);
    holdNavigation(event, { element: link, isPost: false, mayWait, prepare: () => () => copy.click() });
  });
}

// Return the link that the browser follows in this page's place, or undefined.
function clickedLink(event) {
  const hasModifier = event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;
  if (event.defaultPrevented || event.button !== 0 || hasModifier) return undefined;
  // The path has the links in open shadow trees, too.
  const path = event.composedPath().filter((node) => node instanceof Element);
  if (path.some((element) => element.isContentEditable === true)) return undefined;
  const link = path.find((element) => Element.prototype.matches.call(element, HANDLES_CLICK));
  if (!link || attribute(link, "download") !== null) return undefined;
  return replacesThisPage(attribute(link, "target")) ? link : undefined;
}

// Copy what decides where the browser goes and what it sends. The copy is in no document, so the
// page's listeners do not see its click.
function copyLink(link) {
  // In SVG, the property is an object. An element without a link has no such property, or it is empty.
  const url = link.href?.animVal ?? link.href;
  if (!url) return undefined;
  const copy = createElement("a");
  copy.href = url;
  copy.target = "_self"; // a <base> may be added meanwhile
  for (const name of ["ping", "referrerpolicy", "rel"]) {
    const value = attribute(link, name);
    if (value !== null) copy.setAttribute(name, value);
  }
  return copy;
}

// Return whether the link loads a document, and does not only move this page to a fragment.
function loadsDocument({ href, protocol }) {
  const [page] = location.href.split("#");
  return /^https?:$/.test(protocol) && !href.startsWith(`${page}#`);
}

// Return whether the browser sends the session's cookies there.
function receivesSession({ hostname, origin }) {
  const domain = settings.cookieDomain?.replace(/^\.?/, ".");
  return origin === location.origin || (domain && `.${hostname}`.endsWith(domain));
}
