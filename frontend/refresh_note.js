// Notes in localStorage that a refresh has been sent, until its answer is here.
//
// A page that is left in between loses the answer, and perhaps new tokens with it. The old refresh
// token is then good for 30 seconds, and its later use ends the session (CDI 5.6). So the next page
// that finds the note asks again at once.
const NOTE = "ssr-session-refreshing";
const MAX_AGE_MS = 20000;

let ownNote = null;

export function noteRefresh() {
  try {
    // A repetition keeps the time of the first request, so that a note does not last for ever.
    ownNote = isAnswerMissing() ? localStorage.getItem(NOTE) : String(Date.now());
    localStorage.setItem(NOTE, ownNote);
  } catch {
    // storage is blocked or full
  }
}

// Leave another tab's note: its answer is still missing.
export function forgetRefresh() {
  try {
    if (localStorage.getItem(NOTE) === ownNote) localStorage.removeItem(NOTE);
  } catch {
    // storage is blocked
  }
}

// Under the lock nobody is refreshing, so a note found there has lost its answer.
export function isAnswerMissing() {
  try {
    // The clock may have been set back since.
    return Math.abs(Date.now() - localStorage.getItem(NOTE)) < MAX_AGE_MS;
  } catch {
    return false; // storage is blocked
  }
}
