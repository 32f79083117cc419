// session_script() starts the SuperTokens SDK before this script. When a fetch() here meets an
// expired access token, the SDK refreshes it and retries.

const TIME_LIMIT_SECONDS = 10;

function post(url, body) {
  return fetch(url, {
    method: "POST",
    signal: AbortSignal.timeout(TIME_LIMIT_SECONDS * 1000),
    headers: { "content-type": "application/json", rid: "emailpassword", "st-auth-mode": "cookie" },
    body: JSON.stringify(body),
  });
}

for (const form of document.querySelectorAll("form[data-auth]")) {
  const error = form.querySelector("[data-error]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    error.textContent = "";
    const formFields = [...new FormData(form)].map(([id, value]) => ({ id, value }));
    try {
      const response = await post(form.dataset.auth, { formFields });
      if (!response.ok) {
        error.textContent = `The sign-in service failed (status ${response.status}): its core may be down. Please try again.`;
        return;
      }
      const answer = await response.json();
      if (answer.status === "OK") location.assign(form.dataset.returnPath);
      else if (answer.status === "FIELD_ERROR") error.textContent = answer.formFields[0].error;
      else error.textContent = "E-mail address and password do not match.";
    } catch (problem) {
      error.textContent =
        problem.name === "TimeoutError"
          ? `The sign-in service did not answer within ${TIME_LIMIT_SECONDS} seconds. Please try again.`
          : "The sign-in service cannot be reached. Please try again.";
    }
  });
}

for (const button of document.querySelectorAll("[data-sign-out]")) {
  button.addEventListener("click", async () => {
    await supertokensWebsite.signOut();
    location.assign("/");
  });
}

for (const element of document.querySelectorAll("[data-expires]")) {
  const text = element.textContent;
  const show = () => {
    const seconds = Math.ceil(Number(element.dataset.expires) - Date.now() / 1000);
    element.textContent = seconds > 0 ? `${text}, in ${seconds} s` : "has expired: reload the page";
  };
  show();
  setInterval(show, 1000);
}

for (const element of document.querySelectorAll("[data-live]")) {
  const load = async () => {
    const response = await fetch(element.dataset.live);
    element.textContent = response.ok ? await response.text() : "Your session has ended: sign in again.";
  };
  load();
  setInterval(load, 3000);
}

for (const button of document.querySelectorAll("[data-send-email]")) {
  button.addEventListener("click", async () => {
    const response = await post("/auth/user/email/verify/token", {});
    if (response.ok) location.reload();
    else button.textContent = "Sign in first";
  });
}

for (const element of document.querySelectorAll("[data-verify]")) {
  const token = new URLSearchParams(location.search).get("token");
  post("/auth/user/email/verify", { method: "token", token })
    .then((response) => response.json())
    .then((answer) => {
      element.textContent = answer.status === "OK" ? "Verified." : "This link is no longer valid.";
    });
}
