// Gives access to the page: its settings, its elements and the part that the visitor sees.
//
// All lookups go through prototypes: an element with the name or id "currentScript",
// "querySelectorAll" or "getAttribute" would replace that property of its document or form.

const { get: currentScript } = Object.getOwnPropertyDescriptor(Document.prototype, "currentScript");
export const { dataset: settings, nonce } = currentScript.call(document);

const { get: visibilityState } = Object.getOwnPropertyDescriptor(
  Document.prototype,
  "visibilityState",
);
export const isVisible = () => visibilityState.call(document) === "visible";

export const queryAll = (selector) => Document.prototype.querySelectorAll.call(document, selector);
export const createElement = (tag) => Document.prototype.createElement.call(document, tag);
export const attribute = (element, name) => Element.prototype.getAttribute.call(element, name);

// Return the notice that the server adds to a page that it made for a session, or undefined.
export const noticeTemplate = () => queryAll("template[data-ssr-notice]")[0];

// The console is for the site's developers; visitors read the page.
export function warn(problem) {
  const api = settings.apiDomain + settings.apiBasePath;
  console.warn(`flask_ssr_session: ${problem}. The refresh API is ${api}/session/refresh.`);
}

// What show() has shown last.
export const shown = { part: "", cause: "" };

export function show(part, cause, detail) {
  Object.assign(shown, { part, cause });
  for (const element of queryAll("[data-ssr-part]")) {
    element.hidden = element.dataset.ssrPart !== part;
  }
  for (const element of queryAll("[data-ssr-cause]")) {
    element.hidden = element.dataset.ssrCause !== cause;
  }
  for (const element of queryAll("[data-ssr-detail]")) {
    element.textContent = detail || "";
  }
  // Only refresh_document.html has this title element; an app's own page keeps its title.
  const [heading] = queryAll(`[data-ssr-part="${part}"] .ssr-session-title`);
  if (heading && queryAll("title[data-ssr-title]").length) document.title = heading.textContent;
  const [button] = queryAll(`[data-ssr-part="${part}"] [data-ssr-focus]`);
  if (button) button.focus();
}
