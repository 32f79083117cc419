// The page that this script runs on: its settings, its elements and the part that is shown.

// Read off the prototype: content named "currentScript" would come first on the document itself.
const { get: currentScript } = Object.getOwnPropertyDescriptor(Document.prototype, "currentScript");
export const settings = currentScript.call(document).dataset;

// Off the prototype, as above.
export const queryAll = (selector) => Document.prototype.querySelectorAll.call(document, selector);

// Off the prototypes, as above: a field may be named like any of these.
export const attribute = (element, name) => Element.prototype.getAttribute.call(element, name);
export const createElement = (tag) => Document.prototype.createElement.call(document, tag);

// For whoever sets the site up; visitors read the page.
export function warn(problem) {
  const api = settings.apiDomain + settings.apiBasePath;
  console.warn(`flask_ssr_session: ${problem}. The refresh API is ${api}/session/refresh.`);
}

export function show(part, cause, detail) {
  for (const element of queryAll("[data-ssr-part]")) {
    element.hidden = element.dataset.ssrPart !== part;
  }
  for (const element of queryAll("[data-ssr-cause]")) {
    element.hidden = element.dataset.ssrCause !== cause;
  }
  for (const element of queryAll("[data-ssr-detail]")) {
    element.textContent = detail || "";
  }
  // In a whole page of ours the title goes along.
  const [heading] = queryAll(`[data-ssr-part="${part}"] .ssr-session-title`);
  if (heading && queryAll("title[data-ssr-title]").length) document.title = heading.textContent;
  const [button] = queryAll(`[data-ssr-part="${part}"] [data-ssr-focus]`);
  if (button) button.focus();
}
