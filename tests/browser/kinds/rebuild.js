// Makes a request of its own, with the headers that it was given.
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const { method, headers, url } = event.request;
  event.respondWith(fetch(new Request(url, { method, headers, credentials: "include", redirect: "manual" })));
});
